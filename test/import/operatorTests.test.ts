/** The reference of ONNX's quantized operators beside ONNX Runtime, and the format that tests of one operator come in. */
import { beforeAll, describe, expect, it } from "vitest";
import { findProfile } from "../../src/cli/profiles.ts";
import { loadKernelModule } from "../../src/cli/wasm.ts";
import { ModelFormatError, UnsupportedOpError } from "../../src/errors.ts";
import { evaluateOnnx } from "../../src/import/onnx/reference/evaluate.ts";
import { type ReferenceValue, referenceValue, type TypeName } from "../../src/import/onnx/reference/value.ts";
import { type OperatorCase, parseOperatorTests } from "../../src/import/operatorTests.ts";
import { verifyCase } from "../../src/import/verifyOperators.ts";
import { bindKernels, type Kernels } from "../../src/kernels/module.ts";
import { elements, type TensorData } from "../../src/model/graph.ts";
import type { Profile } from "../../src/profile/schema.ts";
import { seededRandom } from "../../src/random.ts";
import { model, type NodeDraft, node } from "./onnxModels.ts";
import { describeBesideOrt } from "./onnxRuntime.ts";

type Given = readonly [
  type: "float32" | "int8" | "uint8" | "int16" | "uint16" | "int32",
  shape: number[],
  data: TensorData,
];

const random = seededRandom(5);
const bytesOf = ({ buffer, byteOffset, byteLength }: TensorData) =>
  new Uint8Array(buffer, byteOffset, byteLength);
const reals = (...shape: number[]): Given => [
  "float32",
  shape,
  Float32Array.from({ length: elements(shape) }, () => (random.uniform() * 2 - 1) * 40),
];
const scale = (...shape: number[]): Given => [
  "float32",
  shape,
  Float32Array.from({ length: elements(shape) }, () => 0.05 + random.uniform() / 4),
];
const bytes = (type: "int8" | "uint8", ...shape: number[]): Given => {
  const data = Uint8Array.from({ length: elements(shape) }, () => random.below(256));
  return [type, shape, type === "uint8" ? data : new Int8Array(data.buffer)];
};
const words = (type: "int16" | "uint16", ...shape: number[]): Given => {
  const data = Uint16Array.from({ length: elements(shape) }, () => random.below(65536));
  return [type, shape, (type === "uint16" ? data : new Int16Array(data.buffer)) as TensorData];
};
const one = (type: "int8" | "uint8", value: number): Given => [
  type,
  [],
  type === "int8" ? Int8Array.of(value) : Uint8Array.of(value),
];

interface Case {
  node: NodeDraft;
  inputs: Record<string, Given>;
  outputs: Record<string, TypeName>;
  opset?: number;
}

const quantize = (attributes = {}) => node("QuantizeLinear", "x s z", "y", attributes);
const dequantize = (attributes = {}) => node("DequantizeLinear", "x s z", "y", attributes);
const product = node("QLinearMatMul", "a as az b bs bz ys yz", "y");
const ends = {
  ...{ as: scale(), az: one("uint8", 113), bs: scale(), bz: one("uint8", 114) },
  ...{ ys: [...scale().slice(0, 2), Float32Array.of(9)] as unknown as Given, yz: one("uint8", 118) },
};

const CASES: Record<string, Case> = {
  "QuantizeLinear along an axis": {
    node: quantize({ axis: 1 }),
    inputs: { x: reals(2, 3, 3, 2), s: scale(3), z: bytes("uint8", 3) },
    outputs: { y: "uint8" },
  },
  "QuantizeLinear in blocks, symmetric": {
    node: node("QuantizeLinear", "x s", "y", { axis: 1, block_size: 2, output_dtype: 5 }),
    inputs: { x: reals(3, 4), s: scale(3, 2) },
    outputs: { y: "int16" },
    opset: 21,
  },
  "QuantizeLinear in blocks of 3 of 7": {
    node: quantize({ axis: 0, block_size: 3 }),
    inputs: { x: reals(7, 2), s: scale(3, 2), z: bytes("int8", 3, 2) },
    outputs: { y: "int8" },
    opset: 21,
  },
  "QuantizeLinear to uint16": {
    node: quantize(),
    inputs: { x: reals(12), s: scale(), z: words("uint16") },
    outputs: { y: "uint16" },
    opset: 21,
  },
  "DequantizeLinear along an axis": {
    node: dequantize({ axis: 1 }),
    inputs: { x: bytes("uint8", 1, 3, 3, 2), s: scale(3), z: bytes("uint8", 3) },
    outputs: { y: "float32" },
  },
  "DequantizeLinear of int16": {
    node: dequantize(),
    inputs: { x: words("int16", 9), s: scale(), z: words("int16") },
    outputs: { y: "float32" },
    opset: 21,
  },
  "DequantizeLinear of uint16 in blocks": {
    node: dequantize({ axis: 1, block_size: 2 }),
    inputs: { x: words("uint16", 2, 4), s: scale(2, 2), z: words("uint16", 2, 2) },
    outputs: { y: "float32" },
    opset: 21,
  },
  "DequantizeLinear of int32": {
    node: node("DequantizeLinear", "x s", "y"),
    inputs: { x: ["int32", [3], Int32Array.of(-70000, 3, 2 ** 24 + 1)], s: scale() },
    outputs: { y: "float32" },
  },
  DynamicQuantizeLinear: {
    node: node("DynamicQuantizeLinear", "x", "y s z"),
    inputs: { x: reals(4, 5) },
    outputs: { y: "uint8", s: "float32", z: "uint8" },
  },
  "DynamicQuantizeLinear of values above 0": {
    node: node("DynamicQuantizeLinear", "x", "y s z"),
    inputs: { x: ["float32", [3], Float32Array.of(1, 2.1, 1.3)] },
    outputs: { y: "uint8", s: "float32", z: "uint8" },
  },
  MatMulInteger: {
    node: node("MatMulInteger", "a b az bz", "y"),
    inputs: {
      a: bytes("uint8", 4, 3),
      b: bytes("uint8", 3, 2),
      az: one("uint8", 12),
      bz: bytes("uint8", 2),
    },
    outputs: { y: "int32" },
  },
  "QLinearMatMul of two dimensions": {
    node: product,
    inputs: { a: bytes("uint8", 2, 4), b: bytes("uint8", 4, 3), ...ends },
    outputs: { y: "uint8" },
  },
  "QLinearMatMul of three dimensions": {
    node: product,
    inputs: { a: bytes("uint8", 2, 2, 4), b: bytes("uint8", 2, 4, 3), ...ends },
    outputs: { y: "uint8" },
  },
  ConvInteger: {
    node: node("ConvInteger", "x w xz", "y", { strides: [2, 1] }),
    inputs: { x: bytes("uint8", 2, 3, 5, 6), w: bytes("uint8", 4, 3, 2, 3), xz: one("uint8", 3) },
    outputs: { y: "int32" },
  },
  "QLinearConv in groups, with a scale a channel": {
    node: node("QLinearConv", "x xs xz w ws wz ys yz b", "y", { group: 2, pads: [1, 0, 0, 1] }),
    inputs: {
      ...{ x: bytes("uint8", 1, 4, 5, 5), xs: scale(), xz: one("uint8", 100) },
      ...{ w: bytes("int8", 6, 2, 3, 3), ws: scale(6), wz: ["int8", [6], new Int8Array(6)] },
      ...{ ys: ["float32", [], Float32Array.of(21)], yz: one("uint8", 120) },
      b: ["int32", [6], Int32Array.of(1, -200, 3000, -4, 5, 60000)],
    },
    outputs: { y: "uint8" },
  },
};

/** Of one operator whose operands are all inputs. */
function modelOf({ node: own, inputs, outputs, opset = 13 }: Case, shapes: number[][] = []): Uint8Array {
  return model({
    inputs: Object.fromEntries(Object.entries(inputs).map(([name, [type, shape]]) => [name, [type, shape]])),
    outputs: Object.fromEntries(
      Object.entries(outputs).map(([name, type], i) => [name, [type, shapes[i] ?? ["n"]]]),
    ),
    nodes: [own],
    opset,
  });
}

const referenceValues = (inputs: Record<string, Given>) =>
  new Map<string, ReferenceValue>(
    Object.entries(inputs).map(([name, [type, shape, data]]) => [
      name,
      referenceValue(type, shape, bytesOf(data), name),
    ]),
  );

/** Sums that AVX2's 16-bit pairs saturate. */
const SATURATES = new Set(["QLinearConv in groups, with a scale a channel"]);

describeBesideOrt("the reference of ONNX's quantized operators", ({ run, own: { profile } }) => {
  const isExact = profile.arithmetic.accumulator.overflow !== "saturate-pairs";
  const cases = Object.entries(CASES).filter(([name]) => isExact || !SATURATES.has(name));
  it.each(cases)("%s", async (name, test) => {
    const own = evaluateOnnx(modelOf(test), referenceValues(test.inputs), name);
    const shapes = own.map(({ shape }) => shape);
    const computed = await run(modelOf(test, shapes), test.inputs as never);
    Object.keys(test.outputs).forEach((output, i) => {
      expect(Array.from(own[i].data)).toEqual(Array.from(computed[output].data as Float32Array));
      expect(own[i].shape).toEqual(computed[output].dims);
    });
  });
});

describe("the reference of ONNX's quantized operators", () => {
  it("refuses a type that it has not in one line", () => {
    const file = model({
      inputs: { x: ["float32", [2]] },
      outputs: { y: ["float8e4m3fn", [2]] },
      nodes: [node("QuantizeLinear", "x s", "y", { output_dtype: 17 })],
      constants: [{ name: "s", dims: [], dataType: 1, floatData: [1] }],
      opset: 21,
    });
    const run = () => evaluateOnnx(file, referenceValues({ x: reals(2) }), "float8.onnx");
    expect(run).toThrow(UnsupportedOpError);
    expect(run).toThrow(
      "float8.onnx: cannot run 1 node: node 0 QuantizeLinear: output_dtype is float8e4m3fn",
    );
  });

  it.each<[string, NodeDraft, Record<string, Given>]>([
    ["scales", quantize({ axis: 1 }), { x: reals(2, 3), s: scale(2), z: bytes("uint8", 2) }],
    ["an axis", quantize({ axis: 4 }), { x: reals(2, 3), s: scale(3), z: bytes("uint8", 3) }],
    [
      "blocks",
      quantize({ axis: 1, block_size: 2 }),
      { x: reals(2, 3), s: scale(2, 3), z: bytes("uint8", 2, 3) },
    ],
    ["matrices", node("MatMulInteger", "a b", "y"), { a: bytes("uint8", 2, 3), b: bytes("uint8", 2, 3) }],
    [
      "a filter",
      node("ConvInteger", "x w", "y"),
      { x: bytes("uint8", 1, 3, 4, 4), w: bytes("uint8", 1, 2, 3, 3) },
    ],
    [
      "pads",
      node("ConvInteger", "x w", "y", { pads: [-9, 0, 0, 0] }),
      { x: bytes("uint8", 1, 1, 4, 4), w: bytes("uint8", 1, 1, 3, 3) },
    ],
    [
      "a window",
      node("ConvInteger", "x w", "y"),
      { x: bytes("uint8", 1, 1, 2, 2), w: bytes("uint8", 1, 1, 3, 3) },
    ],
    ["an operand", node("QLinearMatMul", "a b", "y"), { a: bytes("uint8", 2, 2), b: bytes("uint8", 2, 2) }],
  ])("names the node for %s that does not fit", (_, own, inputs) => {
    const file = modelOf({ node: own, inputs, outputs: { y: "uint8" } });
    expect(() => evaluateOnnx(file, referenceValues(inputs), "bad.onnx")).toThrow(ModelFormatError);
    expect(() => evaluateOnnx(file, referenceValues(inputs), "bad.onnx")).toThrow(/^bad.onnx: node 0 /);
  });
});

describe("tests of one operator", () => {
  let kernels: Kernels;
  let profile: Profile;
  beforeAll(async () => {
    kernels = await bindKernels(await loadKernelModule());
    profile = await findProfile("onnxruntime-web");
  });

  const test = CASES["QuantizeLinear along an axis"];
  const text = (data: TensorData) => Buffer.from(bytesOf(data)).toString("base64");
  const written = (inputs: Record<string, Given>) =>
    Object.entries(inputs).map(([name, [dtype, shape, data]]) => ({
      name,
      dtype,
      shape,
      base64: text(data),
    }));

  it("are run by the kernels too, where a Graph has the operator", () => {
    const inputs: Record<string, Given> = { x: reals(6), s: scale(), z: one("uint8", 128) };
    const file = modelOf({ node: quantize(), inputs, outputs: { y: "uint8" } });
    const [own] = evaluateOnnx(file, referenceValues(inputs), "q.onnx");
    const outputs = [{ name: "y", dtype: "uint8", shape: [6], base64: text(Uint8Array.from(own.data)) }];
    const one_: OperatorCase = { inputs: written(inputs), runtime: undefined, outputs };
    const result = verifyCase(file, one_, { profile, kernels }, "q.onnx");
    expect(result).toEqual({ outputs: 2, differing: [], notCompiled: "" });
  });

  it.each(["MatMulInteger", "ConvInteger"])("have %s by kernels, its int32 sums as they are", (name) => {
    const { inputs } = CASES[name];
    const file = modelOf(CASES[name]);
    const [own] = evaluateOnnx(file, referenceValues(inputs), name);
    const base64 = text(Int32Array.from(own.data));
    const outputs = [{ name: "y", dtype: "int32", shape: own.shape, base64 }];
    const one_: OperatorCase = { inputs: written(inputs), runtime: undefined, outputs };
    expect(verifyCase(file, one_, { profile, kernels }, name)).toEqual({
      outputs: 2,
      differing: [],
      notCompiled: "",
    });
  });

  it("say what differs and why the kernels did not run", () => {
    const wrong = new Uint8Array(36).fill(7);
    const outputs = [{ name: "y", dtype: "uint8", shape: [2, 3, 3, 2], base64: text(wrong) }];
    const one_: OperatorCase = { inputs: written(test.inputs), runtime: undefined, outputs };
    const { differing, notCompiled } = verifyCase(modelOf(test), one_, { profile, kernels }, "axis.onnx");
    expect(differing[0]).toMatchObject({ output: "y", by: "reference", expected: 7 });
    expect(notCompiled).toContain("QUANTIZE");
  });

  it("follow sameAs, and leave out what failed", () => {
    const outputs = [{ name: "y", dtype: "uint8", shape: [1], base64: "AA==" }];
    const json = {
      format: "onnx-op-tests/1",
      tests: {
        a: {
          file: "a.onnx",
          cases: [{ inputs: [], outputs: { r: outputs, s: { sameAs: "r" }, t: { error: "no" } } }],
        },
      },
    };
    const [{ cases }] = parseOperatorTests(json, "vectors.json");
    expect(cases.map(({ runtime, outputs }) => [runtime, outputs.length])).toEqual([
      ["r", 1],
      ["s", 1],
    ]);
  });

  it("name a file beside the tests", () => {
    const json = { format: "onnx-op-tests/1", tests: { a: { file: "../a.onnx" } } };
    expect(() => parseOperatorTests(json, "vectors.json")).toThrow("vectors.json: tests.a.file");
  });
});
