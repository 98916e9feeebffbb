// The page, as a folder of files that any web server can serve at any path.
import { copyFile, mkdir, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { dirname } from "node:path";
import { build } from "esbuild";

const json = async (path) => JSON.parse(await readFile(path, "utf8"));

/** profiles: what profiles.js exports. out: the folder to make. */
export async function buildPage(profiles, out) {
  await rm(out, { recursive: true, force: true });
  await mkdir(`${out}/models`, { recursive: true });
  const { metafile } = await build({
    entryPoints: { main: "src/web/main.ts", worker: "src/web/worker.ts" },
    outdir: out,
    chunkNames: "chunks/[name]-[hash]",
    bundle: true,
    splitting: true,
    minify: true,
    metafile: true,
    legalComments: "none",
    format: "esm",
    platform: "browser",
    conditions: ["browser"],
    target: "es2022",
    logLevel: "warning",
  });
  const { version, dependencies } = await json("package.json");
  const tfjs = dirname(createRequire(import.meta.url).resolve("@tensorflow/tfjs-backend-wasm/package.json"));
  const { STYLE } = await import(new URL("src/report/html/style.css.ts", import.meta.url).href);
  const { AUDIT_STYLE } = await import(new URL("src/report/audit/style.css.ts", import.meta.url).href);
  const versions = { blindspot: version, tfjs: dependencies["@tensorflow/tfjs-core"] };
  const page = await readFile("src/web/index.html", "utf8");
  const models = new Set(Array.from(page.matchAll(/data-(?:file|policy)="([^"]+)"/g), ([, file]) => file));
  await Promise.all([
    writeFile(`${out}/index.html`, page),
    copyFile("src/web/icon.svg", `${out}/icon.svg`),
    copyFile("build/kernels.simd.wasm", `${out}/kernels.simd.wasm`),
    copyFile("build/train.wasm", `${out}/train.wasm`),
    copyFile(`${tfjs}/dist/tfjs-backend-wasm-simd.wasm`, `${out}/tfjs-backend-wasm-simd.wasm`),
    ...[...models].map((file) => copyFile(`models/${file}`, `${out}/models/${file}`)),
    writeFile(`${out}/site.json`, JSON.stringify({ versions, profiles })),
    writeFile(
      `${out}/style.css`,
      STYLE +
        AUDIT_STYLE +
        (await readFile("src/web/page.css", "utf8")) +
        (await readFile("src/web/outcome.css", "utf8")),
    ),
    writeFile(`${out}/LICENSES.txt`, await licences(Object.keys(metafile.inputs))),
  ]);
}

/** The licences of the packages that files of a bundle came from. */
async function licences(paths) {
  const folders = new Set(
    paths
      .filter((path) => !path.includes("(disabled)"))
      .flatMap((path) => /.*node_modules\/(?:@[^/]+\/)?[^/]+/.exec(path)?.[0] ?? []),
  );
  const texts = [...folders].sort().map(async (folder) => {
    const { name, version, license } = await json(`${folder}/package.json`);
    const file = (await readdir(folder)).find((each) => /^licen[cs]e/i.test(each));
    const text = file ? await readFile(`${folder}/${file}`, "utf8") : "";
    return `${name} ${version}: ${license}\n\n${text.trim()}\n`;
  });
  return `What is bundled in this folder, and under which licence.\n\n${(await Promise.all(texts)).join("\n----\n\n")}`;
}
