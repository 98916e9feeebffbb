import { execFile } from "node:child_process";
import { cp, mkdir, readFile, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { build } from "esbuild";
import { publint } from "publint";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { bundle } from "../../bundle.ts";
import { formatNpy } from "../../src/data/npy.ts";
import { exportTflite } from "../../src/export/tflite.ts";
import { cnn } from "../cli/cnn.ts";
import { olderNodes } from "../olderNodes.ts";
import { startWorkerd } from "../runtimes/workerd.ts";
import { formOf } from "../worker/client.ts";
import { packedProject, ROOT, run, type Sandbox, tool } from "./sandbox.ts";

/** What a tarball may weigh: it holds no picture, and of its dependencies those that are bundled in the page. */
const MOST_BYTES = 2 * 2 ** 20;

const older = await olderNodes();
const readme = await readFile(join(ROOT, "README.md"), "utf8");
const exampleOf = (text: string) => /## As a library[\s\S]*?```ts\n([\s\S]*?)```/.exec(text)![1];
const example = exampleOf(readme);
const auditExample = exampleOf(await readFile(join(ROOT, "docs/audit.md"), "utf8"));

describe("the packed package", () => {
  let project: Sandbox;
  const path = (name: string) => join(project.directory, name);

  beforeAll(async () => {
    project = await packedProject();
    await writeFile(path("model.tflite"), exportTflite(cnn(32, 10).int8));
    await writeFile(path("example.ts"), example);
    await writeFile(path("audit.ts"), auditExample);
  });
  afterAll(() => project?.remove());

  it("is small", async () => expect((await stat(project.tarball)).size).toBeLessThan(MOST_BYTES));

  it("has exports that publint finds nothing wrong with", async () => {
    const { messages } = await publint({ pkgDir: path("node_modules/blindspot"), strict: true });
    expect(messages).toEqual([]);
  });

  it("has types that are right for ESM and bundlers", async () => {
    await run(tool("attw"), [project.tarball, "--profile", "esm-only"]).catch(({ stdout }) =>
      expect.fail(stdout),
    );
  });

  it("declares every package that it imports, and no other", async () => {
    const { metafile } = await build({
      absWorkingDir: path("node_modules/blindspot"),
      entryPoints: ["dist/*.js", "dist/cli/**/*.js"],
      outdir: "out",
      bundle: true,
      write: false,
      metafile: true,
      packages: "external",
      platform: "node",
      format: "esm",
    });
    const paths = Object.values(metafile.inputs).flatMap(({ imports }) =>
      imports.filter(({ external, path }) => external && !path.startsWith("node:")).map(({ path }) => path),
    );
    const imported = new Set(paths.map((path) => /^(?:@[^/]+\/)?[^/]+/.exec(path)![0]));
    const { dependencies, peerDependencies } = project.manifest;
    expect([...imported].sort()).toEqual(Object.keys({ ...dependencies, ...peerDependencies }).sort());
  });

  for (const resolution of ["nodenext", "bundler"])
    it(`compiles the examples under ${resolution} resolution`, async () => {
      const module = resolution === "bundler" ? "esnext" : resolution;
      const options = ["--module", module, "--moduleResolution", resolution, "--target", "es2022"];
      const strict = ["--noEmit", "--strict", "--skipLibCheck", "--types", "node"];
      const { stdout } = await run(tool("tsc"), [...options, ...strict, "example.ts", "audit.ts"], {
        cwd: project.directory,
      }).catch((error) => error);
      expect(stdout).toBe("");
    });

  it("runs the README's example", async () => {
    const { stdout } = await run(process.execPath, ["example.ts"], { cwd: project.directory });
    expect(stdout).toMatch(/profile: 'stm32l4r5-cmsis-nn'[\s\S]*refused: \[\][\s\S]*Int8Array\(10\)/);
  });

  it("runs the audit's example", async () => {
    const { stdout } = await run(process.execPath, ["audit.ts"], { cwd: project.directory });
    expect(stdout).toMatch(/^## .*model\.tflite[\s\S]*stm32l4r5-cmsis-nn/);
  });

  it("goes through a bundler", async () => {
    await mkdir(path("bundled"), { recursive: true });
    const [entry, outfile] = [path("example.ts"), path("bundled/example.mjs")];
    await build({ entryPoints: [entry], outfile, bundle: true, format: "esm", platform: "node" });
    const { stdout } = await run(process.execPath, [outfile], { cwd: project.directory });
    expect(stdout).toContain("Int8Array(10)");
  });

  it("serves the page", async () => {
    const main = path("node_modules/blindspot/dist/cli/main.js");
    const serving = execFile(process.execPath, [main, "serve", "--port", "0"], { cwd: project.directory });
    try {
      const line = await new Promise<string>((said) =>
        serving.stderr!.once("data", (data) => said(`${data}`)),
      );
      const url = /^http:\/\/127\.0\.0\.1:\d+\//.exec(line)?.[0];
      const page = await fetch(url!);
      expect([page.status, await page.text()]).toEqual([200, expect.stringContaining("may this model ship")]);
      expect((await fetch(`${url}worker.js`)).headers.get("content-type")).toMatch(/javascript/);
    } finally {
      serving.kill();
    }
  });

  it("is a Worker as the example makes one of it", async () => {
    await cp(join(ROOT, "examples/worker/src"), path("worker"), { recursive: true });
    const options = ["--module", "esnext", "--moduleResolution", "bundler", "--lib", "es2023,webworker"];
    const strict = ["--noEmit", "--strict", "--skipLibCheck", "--types", "", "worker/index.ts"];
    await run(tool("tsc"), [...options, ...strict], { cwd: project.directory }).catch(({ stdout }) =>
      expect.fail(stdout),
    );
    const worker = await startWorkerd(path("worker/index.ts"), { TOKEN: "secret" });
    try {
      await worker.store("model.tflite", await readFile(path("model.tflite")));
      const input = formatNpy({ shape: [1, 32, 32, 3], data: new Int8Array(32 * 32 * 3) });
      const body = formOf({ profile: "stm32l4r5-cmsis-nn", model: "model.tflite", input });
      const headers = { authorization: "Bearer secret" };
      expect((await fetch(new URL("/profiles", worker.url))).status).toBe(401);
      const response = await fetch(new URL("/run", worker.url), { method: "POST", body, headers });
      expect(await response.json()).toMatchObject({ outputs: [{ shape: [1, 10], dtype: "int8" }] });
    } finally {
      await worker.stop();
    }
  });

  it("is a small Worker when it is bundled, and names in NOTICE what that contains", async () => {
    const { code, packages } = await bundle(path("node_modules/blindspot/dist/worker.js"), {
      runtime: "workerd",
    });
    const notice = await readFile(path("node_modules/blindspot/NOTICE"), "utf8");
    expect(code.length).toBeLessThan(1.3 * 2 ** 20);
    expect(packages.length).toBeGreaterThan(5);
    expect(packages.filter((name) => name !== "blindspot" && !notice.includes(`${name} (`))).toEqual([]);
  });

  it("runs the command line under this Node", async () => {
    const main = path("node_modules/blindspot/dist/cli/main.js");
    const asked = [main, "inspect", "model.tflite", "--profile", "stm32l4r5-cmsis-nn"];
    const { stdout } = await run(process.execPath, asked, { cwd: project.directory });
    expect(stdout).toMatch(/runs +every node/);
  });

  if (older.length === 0)
    it.skip("runs under an older Node (none on PATH: install nodejs 20 or 22)", () => {});
  for (const [version, node] of older)
    it(`quantizes a shipped model and draws a report under Node ${version}, with the bytes of this one`, async () => {
      const main = path("node_modules/blindspot/dist/cli/main.js");
      const results = join(ROOT, "docs/results/gtsrb-quick.json");
      const model = path("node_modules/blindspot/models/signs-resnet8-w8-clean-1001.blindspot");
      const bytes = async (executable: string, name: string) => {
        const verb = (...asked: string[]) => run(executable, [main, ...asked], { cwd: project.directory });
        await verb("quantize", model, "--dataset", "signs", "--images", "64", "-o", `${name}.tflite`);
        await verb("report", results, "-o", `${name}.html`);
        return Promise.all([readFile(path(`${name}.tflite`)), readFile(path(`${name}.html`))]);
      };
      const [[ours, page], [theirs, oldPage]] = [
        await bytes(process.execPath, "new"),
        await bytes(node, "old"),
      ];
      expect(theirs.equals(ours)).toBe(true);
      expect(oldPage.equals(page)).toBe(true);
    });
});
