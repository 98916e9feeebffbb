import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { isModelFolder, modelFolders, verifyModelFolder } from "../../src/cli/modelFolders.ts";
import type { Line } from "../../src/cli/verbs/verify.ts";
import { importModel } from "../../src/import/index.ts";
import { parseModelVectors } from "../../src/import/modelVectors.ts";
import { verifyWithin } from "../../src/import/verifyWithin.ts";
import { buildTflite } from "../import/tfliteBuilder.ts";

const MODELS = "../shared/models";

async function linesOf(folder: string): Promise<Line[]> {
  const lines: Line[] = [];
  for await (const line of verifyModelFolder(folder)) lines.push(line);
  return lines;
}

describe("a folder that cannot be read fails with its cause", () => {
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
    ["vectors that are null", "null", undefined, "expected tflite-oracle-vectors/1 or onnx-op-tests/1"],
    ["no model", '{"format": "tflite-oracle-vectors/1"}', undefined, "expected model.tflite or model.onnx"],
    [
      "no vectors",
      '{"format": "tflite-oracle-vectors/1"}',
      "TFL3",
      "vectors.json: model: expected model vectors",
    ],
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
      expect(line).toMatchObject({ name: what, passed: 0, failed: 1, skipped: 0 });
      expect(line.note).toContain(cause);
    });
});

/** y = RELU(x) of two values: [1, 2], int8, both in 0.5. */
const RELU = buildTflite({
  tensors: [
    { shape: [1, 2], name: "x" },
    { shape: [1, 2], name: "y" },
  ],
  operators: [{ op: "RELU", inputs: [0], outputs: [1] }],
  inputs: [0],
  outputs: [1],
});
const RELU_SHA256 = createHash("sha256").update(RELU).digest("hex");
const base64 = (...values: number[]) => Buffer.from(Int8Array.from(values)).toString("base64");
const x = (text: string) => ({ tensor: "x", encoding: "raw_le", base64: text });
/** One sample, its output under two runtimes and its one intermediate tensor. */
const relu = () => ({
  format: "tflite-oracle-vectors/1",
  model: {
    sha256: RELU_SHA256,
  },
  inputs: [{ name: "a", tensors: [x(base64(-3, 4))] }],
  outputs: {
    tflm_ref_double: { runtime: "TFLM", samples: [[base64(0, 4)]] },
    tflm_cmsis_nn: { runtime: "CMSIS-NN", sameAs: "tflm_ref_double" },
  } as Record<string, object>,
  intermediates: [
    {
      runtime: "tflm_ref_double",
      inputIndex: 0,
      tensors: [{ index: 1, tensorName: "y", shape: [1, 2], dtype: "int8", base64: base64(0, 4) }],
    },
  ] as object[],
});
type Relu = ReturnType<typeof relu>;
const outputsOf = (samples: unknown) => ({ tflm_ref_double: { runtime: "TFLM", samples } });
const intermediate = (over: object, dump: object = {}) => [
  {
    runtime: "tflm_ref_double",
    inputIndex: 0,
    tensors: [{ index: 1, tensorName: "y", shape: [1, 2], dtype: "int8", base64: base64(0, 4), ...over }],
    ...dump,
  },
];
/** What is changed, and the counts [passed, failed, skipped] and the note of the first line. */
const CHANGED: [what: string, over: Partial<Relu> | object, counts: number[], note: string][] = [
  ["nothing", {}, [2, 0, 0], ""],
  ["a wrong output", { outputs: outputsOf([[base64(0, 5)]]) }, [1, 1, 0], "expected 5, got 4"],
  [
    "a wrong intermediate",
    { intermediates: intermediate({ base64: base64(1, 4) }) },
    [1, 1, 0],
    "a: y: 1 of 2",
  ],
  [
    "a hash that is wrong",
    { intermediates: intermediate({ base64: null, sha256: "00" }) },
    [1, 1, 0],
    "some of 2 values differ",
  ],
  [
    "another model's sha256",
    { model: { ...relu().model, sha256: "00" } },
    [0, 1, 0],
    `expected sha256 00, got ${RELU_SHA256}`,
  ],
  ["no sha256", { model: { ...relu().model, sha256: undefined } }, [0, 1, 0], "vectors.json: model.sha256"],
  ["state", { stateful: true }, [0, 0, 1], "state kept between runs"],
  [
    "an unknown runtime",
    { outputs: { __x: { runtime: "x", samples: [] } } },
    [0, 0, 1],
    "no shipped profile computes as __x",
  ],
  ["outputs that are an array", { outputs: [] }, [0, 1, 0], "vectors.json: outputs"],
  ["outputs that are text", { outputs: "tflm" }, [0, 1, 0], "vectors.json: outputs"],
  [
    "a runtime without samples",
    { outputs: { tflm_ref_double: { runtime: "x" } } },
    [0, 1, 0],
    "outputs.tflm_ref_double: expected samples",
  ],
  [
    "a ring of sameAs",
    {
      outputs: {
        tflm_ref_double: { runtime: "x", sameAs: "b" },
        b: { runtime: "x", sameAs: "tflm_ref_double" },
      },
    },
    [0, 1, 0],
    "expected samples, got none",
  ],
  [
    "sameAs of a prototype",
    { outputs: { tflm_ref_double: { runtime: "x", sameAs: "__proto__" } } },
    [0, 1, 0],
    "expected samples, got none",
  ],
  ["fewer samples than inputs", { outputs: outputsOf([]) }, [0, 1, 0], "expected 1 samples, got 0"],
  [
    "more samples than inputs",
    { outputs: outputsOf([[base64(0, 4)], [base64(0, 4)]]) },
    [0, 1, 0],
    "expected 1 samples, got 2",
  ],
  [
    "a sample without outputs",
    { outputs: outputsOf([[]]) },
    [0, 1, 0],
    "sample 0: expected 1 outputs, got 0",
  ],
  [
    "a sample of two outputs",
    { outputs: outputsOf([[base64(0, 4), base64(0, 4)]]) },
    [0, 1, 0],
    "expected 1 outputs, got 2",
  ],
  [
    "an output cut off",
    { outputs: outputsOf([[base64(0)]]) },
    [0, 1, 0],
    "tensor y: expected vectors of 2 bytes, got 1",
  ],
  ["an output that is no base64", { outputs: outputsOf([["AAA"]]) }, [0, 1, 0], "got base64"],
  ["an output of base64 with a tail", { outputs: outputsOf([["AA==AA=="]]) }, [0, 1, 0], "got base64"],
  [
    "no inputs of a sample",
    { inputs: [{ name: "a", tensors: [] }] },
    [0, 1, 0],
    "sample 0: expected 1 inputs, got 0",
  ],
  [
    "an input cut off",
    { inputs: [{ name: "a", tensors: [x(base64(1))] }] },
    [0, 1, 0],
    "expected 2 int8 values, got 1",
  ],
  [
    "two images of one",
    { inputs: [{ name: "a", tensors: [x(base64(1, 2, 3, 4))] }] },
    [0, 1, 0],
    "expected 2 int8 values, got 4",
  ],
  [
    "an input in floats",
    { inputs: [{ name: "a", tensors: [{ ...x(base64(1, 2)), encoding: "u8_affine" }] }] },
    [0, 1, 0],
    "expected 2 int8 values, got 8",
  ],
  [
    "an unknown encoding",
    { inputs: [{ name: "a", tensors: [{ ...x(base64(1, 2)), encoding: "hex" }] }] },
    [0, 1, 0],
    "inputs.0.tensors.0.encoding",
  ],
  [
    "an intermediate of no tensor",
    { intermediates: intermediate({ index: 9 }) },
    [0, 1, 0],
    "intermediate y: expected an index below 2, got 9",
  ],
  [
    "an intermediate of no sample",
    { intermediates: intermediate({}, { inputIndex: 7 }) },
    [0, 1, 0],
    "expected one of the 1 samples, got 7",
  ],
  [
    "an intermediate of a sample of no such name",
    { intermediates: intermediate({}, { inputIndex: null, input: "b" }) },
    [0, 1, 0],
    "samples, got b",
  ],
  [
    "an intermediate without values",
    { intermediates: intermediate({ base64: undefined }) },
    [0, 1, 0],
    "expected base64 or sha256, got neither",
  ],
  [
    "an intermediate cut off",
    { intermediates: intermediate({ base64: base64(1) }) },
    [0, 1, 0],
    "expected vectors of 2 bytes, got 1",
  ],
];

describe("vectors of a model, changed:", () => {
  let root: string;
  beforeAll(async () => {
    root = await mkdtemp(join(tmpdir(), "blindspot-"));
  });
  afterAll(() => rm(root, { recursive: true }));
  it.each(CHANGED)("%s", async (what, over, [passed, failed, skipped], note) => {
    const folder = join(root, what);
    await mkdir(folder);
    await writeFile(join(folder, "model.tflite"), RELU);
    await writeFile(join(folder, "vectors.json"), JSON.stringify({ ...relu(), ...over }));
    const [line] = await linesOf(folder);
    expect(line.note).toContain(note);
    expect(line).toMatchObject({ passed, failed, skipped });
    expect(line.note).not.toContain("\n");
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

  it.each([
    { name: "onnx_shark_quantized_mlp", within: 43, left: ["Gemm", "Tanh", "Gemm"] },
    { name: "onnx_factorio_mnist_quantized", within: 21, left: [] },
  ])("$name is equal in all runtimes and their intermediates, inside of nodes too", async (model) => {
    const lines = await linesOf(`${MODELS}/${model.name}`);
    const inside = lines.filter(({ name }) => name.endsWith(", within"));
    const others = lines.filter((line) => !inside.includes(line));
    expect(others.length).toBe(10);
    expect(others.every(({ passed, failed, skipped }) => passed > 0 && failed + skipped === 0)).toBe(true);
    expect(inside).toMatchObject([{ passed: model.within, failed: 0, skipped: model.left.length }]);
    expect(inside[0].unequal ?? []).toEqual(
      model.left.length === 0 ? [] : [expect.stringContaining(model.left.join(", "))],
    );
  });

  it("finds a changed tensor inside of a node", async () => {
    const path = `${MODELS}/onnx_factorio_mnist_quantized`;
    const vectors = parseModelVectors(JSON.parse(await readFile(`${path}/vectors.json`, "utf8")), path);
    const [dump] = vectors.intermediates;
    const codes = dump.tensors.find(({ tensorName }) => tensorName.endsWith("Flatten_output_0_quantized"))!;
    const bytes = Buffer.from(codes.base64!, "base64");
    bytes[3] ^= 1;
    codes.base64 = bytes.toString("base64");
    const model = await readFile(`${path}/model.onnx`);
    const { differing } = verifyWithin(model, vectors, importModel(model, "model.onnx"), dump.runtime);
    expect(differing.map(({ tensor }) => tensor)).toContain(codes.tensorName);
    expect(differing[0].at).toBe(3);
  });

  it("run every operator test", async () => {
    const lines = await linesOf(`${MODELS}/onnx_op_tests`);
    expect(lines.length).toBe(38);
    expect(lines.every(({ passed, failed, skipped }) => passed > 0 && failed + skipped === 0)).toBe(true);
  });
});
