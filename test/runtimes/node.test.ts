import { execFile } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { beforeAll, describe, expect, it } from "vitest";
import { bundle } from "../../bundle.ts";
import { loadKernelModule } from "../../src/cli/wasm.ts";
import { OPS } from "../../src/kernels/ops.ts";
import { WIDE_OPS } from "../../src/kernels/wide/ops.ts";
import { olderNodes } from "../olderNodes.ts";
import { allDigests, type Digests, type Packed, unpack } from "./cases.ts";
import { packedCases } from "./given.ts";

const KERNELS = new URL("../../build/kernels.simd.wasm", import.meta.url);
const older = await olderNodes();

describe("Node", () => {
  let packed: Packed;
  let here: Digests;
  beforeAll(async () => {
    packed = await packedCases();
    here = await allDigests(unpack(packed, await loadKernelModule()));
  });

  it("has a case for every op, for many profiles and for both defenses", () => {
    const named = (pattern: RegExp) => Object.keys(here).filter((name) => pattern.test(name)).length;
    const hashes = Object.entries(here).filter(([, text]) => /^[0-9a-f]{64}$/.test(text));
    expect(named(/ on int8$/)).toBe(Object.keys(OPS).length);
    expect(named(/ on int16$/)).toBe(Object.keys(WIDE_OPS).length);
    expect(named(/^ResNet-8 on /)).toBe(packed.profiles.length);
    expect(hashes.filter(([name]) => name.startsWith("ResNet-8")).length).toBeGreaterThan(10);
    expect(named(/^(strip|neuralCleanse) on .*: (detected|not detected)$/)).toBe(2);
  });

  if (older.length === 0)
    it.skip("computes the same in an older Node (none on PATH: install nodejs 20 or 22)", () => {});
  for (const [version, node] of older)
    it(`computes the same in ${version}`, async () => {
      const directory = await mkdtemp(join(tmpdir(), "blindspot-node-"));
      const contents = `
        import { readFileSync } from "node:fs";
        import { allDigests, unpack } from "./test/runtimes/cases.ts";
        const kernels = await WebAssembly.compile(readFileSync(new URL(${JSON.stringify(KERNELS.href)})));
        console.log(JSON.stringify(await allDigests(unpack(${JSON.stringify(packed)}, kernels))));
      `;
      const { code } = await bundle({ contents }, { runtime: "node" });
      const file = join(directory, "cases.mjs");
      await writeFile(file, code);
      const { stdout } = await promisify(execFile)(node, [file]);
      await rm(directory, { recursive: true });
      expect(JSON.parse(stdout)).toEqual(here);
    });
});
