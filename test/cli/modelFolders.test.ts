import { existsSync } from "node:fs";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { isModelFolder, modelFolders, verifyModelFolder } from "../../src/cli/modelFolders.ts";
import type { Line } from "../../src/cli/verbs/verify.ts";

const MODELS = "../shared/models";

async function linesOf(folder: string): Promise<Line[]> {
  const lines: Line[] = [];
  for await (const line of verifyModelFolder(folder)) lines.push(line);
  return lines;
}

describe("a folder that cannot be verified is skipped with its cause", () => {
  let root: string;
  beforeAll(async () => {
    root = await mkdtemp(join(tmpdir(), "blindspot-"));
  });
  afterAll(() => rm(root, { recursive: true }));
  for (const [what, vectors, model, cause] of [
    ["vectors cut off", '{"format"', undefined, "expected JSON"],
    [
      "vectors of another format",
      '{"format": "other/1"}',
      undefined,
      "expected tflite-oracle-vectors/1 or onnx-op-tests/1, got other/1",
    ],
    ["no model", '{"format": "tflite-oracle-vectors/1"}', undefined, "expected model.tflite or model.onnx"],
    ["a model cut off", '{"format": "tflite-oracle-vectors/1"}', "TFL3", "model.tflite"],
  ] as const)
    it(what, async () => {
      const folder = join(root, what);
      await mkdir(folder);
      await writeFile(join(folder, "vectors.json"), vectors);
      if (model) await writeFile(join(folder, "model.tflite"), model);
      expect(await isModelFolder(folder)).toBe(true);
      expect(await modelFolders(root)).toContain(folder);
      const [line, ...more] = await linesOf(folder);
      expect(more).toEqual([]);
      expect(line).toMatchObject({ name: what, passed: 0, failed: 0, skipped: 1 });
      expect(line.note).toContain(cause);
    });
});

describe.skipIf(!existsSync(MODELS))("folders of ../shared/models", () => {
  it("give a line a runtime and build, intermediates counted", async () => {
    const lines = await linesOf(`${MODELS}/tflm_micro_speech`);
    expect(lines.length).toBe(10);
    expect(lines[0]).toEqual({
      name: "tflm_micro_speech tflm_ref_double",
      build: "simd",
      passed: 25,
      failed: 0,
      skipped: 0,
      note: "",
    });
  });

  it.each(["onnx_shark_quantized_mlp", "onnx_factorio_mnist_quantized"])(
    "%s is equal in all runtimes and their intermediates",
    async (name) => {
      const lines = await linesOf(`${MODELS}/${name}`);
      expect(lines.length).toBe(10);
      expect(lines.every(({ passed, failed, skipped }) => passed > 0 && failed + skipped === 0)).toBe(true);
    },
  );

  it("run every operator test", async () => {
    const lines = await linesOf(`${MODELS}/onnx_op_tests`);
    expect(lines.length).toBe(38);
    expect(lines.every(({ passed, failed, skipped }) => passed > 0 && failed + skipped === 0)).toBe(true);
  });
});
