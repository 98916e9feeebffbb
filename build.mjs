// `node build.mjs kernels` compiles the AssemblyScript kernels into build/, `node build.mjs web` makes dist/web, the page,
// `node build.mjs dist` makes dist/, the package with the page in it, and `node build.mjs` all of it.
import { execFile } from "node:child_process";
import { mkdir, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import asc from "assemblyscript/asc";
import { build } from "esbuild";
import { buildPage } from "./page.mjs";

const root = (path) => fileURLToPath(new URL(path, import.meta.url));

/** Each row is one wasm module. */
const MODULES = [
  { entry: "assembly/kernels.ts", target: "simd" },
  { entry: "assembly/kernels.ts", target: "scalar" },
  { entry: "assembly/train.ts", target: "train" },
  { entry: "assembly/bench.ts", target: "bench" },
];

/** Each row is one file of dist/; exports and bin of package.json name them. */
const ENTRIES = {
  index: "src/index.ts",
  audit: "src/audit.ts",
  float: "src/float/index.ts",
  worker: "src/worker/index.ts",
  "cli/main": "src/cli/main.ts",
  "cli/labThread": "src/cli/labThread.ts",
  "cli/auditThread": "src/cli/auditThread.ts",
  "cli/bench/worksThread": "src/cli/bench/worksThread.ts",
};

async function buildKernels() {
  await mkdir("build", { recursive: true });
  for (const { entry, target } of MODULES) {
    const { error, stderr } = await asc.main([entry, "--config", "asconfig.json", "--target", target]);
    if (error) throw new Error(`${stderr.toString()}${target}: ${error.message}`);
  }
}

/** Our own code for Node 20 and every bundler, dependencies left as imports. Chunks lie as deep as src/cli/*.ts, for ROOT. */
function buildModules() {
  return build({
    entryPoints: ENTRIES,
    outdir: "dist",
    chunkNames: "chunks/[name]-[hash]",
    bundle: true,
    splitting: true,
    packages: "external",
    format: "esm",
    platform: "node",
    target: "es2022",
    logLevel: "warning",
  });
}

/** Declarations of what the library's entries reach. tsc leaves the .ts of our imports in them. */
async function buildTypes() {
  await promisify(execFile)(root("node_modules/.bin/tsc"), ["-p", "tsconfig.types.json"]);
  for (const name of await readdir("dist/types", { recursive: true })) {
    if (!name.endsWith(".d.ts")) continue;
    const text = await readFile(`dist/types/${name}`, "utf8");
    await writeFile(`dist/types/${name}`, text.replaceAll(/((?:from|import\() ?"\.[^"]*)\.ts"/g, '$1.js"'));
  }
}

/** The shipped profiles, by id. */
async function readProfiles() {
  const names = (await readdir("edge-profiles")).filter((name) => name !== "profile.schema.json").sort();
  return Promise.all(names.map(async (name) => JSON.parse(await readFile(`edge-profiles/${name}`, "utf8"))));
}

const buildWeb = async () => buildPage(await readProfiles(), "dist/web");

/** The shipped profiles as a module, for runtimes without files. */
async function buildProfiles() {
  const profiles = await readProfiles();
  const lines = profiles.map((profile) => `  ${JSON.stringify(profile)},\n`).join("");
  await writeFile("dist/profiles.js", `export const profiles = [\n${lines}];\n`);
  await writeFile(
    "dist/types/profiles.d.ts",
    'import type { Profile } from "./profile/schema.js";\n/** The shipped profiles, by id. */\nexport declare const profiles: readonly Profile[];\n',
  );
  await writeFile(
    "dist/types/wasm.d.ts",
    "declare const module: WebAssembly.Module;\nexport default module;\n",
  );
}

/** What the command line asks for. */
const PARTS = {
  kernels: buildKernels,
  web: buildWeb,
  dist: async () => {
    await rm("dist", { recursive: true, force: true });
    await Promise.all([buildModules(), buildTypes()]);
    await buildProfiles();
    await buildWeb();
  },
};

process.chdir(root("."));
const asked = process.argv.slice(2);
for (const part of asked.length > 0 ? asked : ["kernels", "dist"]) await PARTS[part]();
