/** Valid models, and broken copies of them, for the fuzz run and its short form in the suite. */
import { ModelFormatError, UnsupportedOpError } from "../../src/errors.ts";
import { importOnnx } from "../../src/import/onnx/index.ts";
import { ModelProto } from "../../src/import/onnx/schema.ts";
import { decodeMessage, encodeMessage } from "../../src/import/onnx/wire.ts";
import type { Random } from "../../src/random.ts";
import { float, model, node, tensor } from "./onnxModels.ts";

const ramp = (count: number) => Array.from({ length: count }, (_, i) => (i % 17) - 8);

const floatModel = model({
  inputs: { x: ["float32", ["N", 3, 8, 8]] },
  outputs: { y: ["float32", ["N", 5]] },
  nodes: [
    node("Conv", "x w b", "c", { pads: [1, 1, 1, 1], strides: [2, 2] }),
    node("BatchNormalization", "c b b b v", "n", { epsilon: float(0.01) }),
    node("Clip", "n lo hi", "r"),
    node("Resize", "r _ scales", "u", { mode: "linear" }),
    node("Split", "u", "s t", { axis: 1 }),
    node("Concat", "t s", "k", { axis: 1 }),
    node("Slice", "k starts ends axes", "l"),
    node("Pad", "l pads", "p"),
    node("MaxPool", "p", "m", { kernel_shape: [2, 2], strides: [2, 2], ceil_mode: 1 }),
    node("Shape", "m", "shape"),
    node("Gather", "shape zero", "batch", { axis: 0 }),
    node("Unsqueeze", "batch first", "batch1"),
    node("Concat", "batch1 open", "to", { axis: 0 }),
    node("Reshape", "m to", "f"),
    node("Gemm", "f g", "h", { transB: 1 }),
    node("Softmax", "h", "y", { axis: -1 }),
  ],
  constants: [
    tensor("w", "float32", [4, 3, 3, 3], ramp(108)),
    tensor("b", "float32", [4], [1, 2, 3, 4]),
    tensor("v", "float32", [4], [1, 1, 1, 1]),
    tensor("lo", "float32", [], [0]),
    tensor("hi", "float32", [], [6]),
    tensor("scales", "float32", [4], [1, 1, 2, 2]),
    tensor("starts", "int64", [2], [1, 0]),
    tensor("ends", "int64", [2], [7, 6]),
    tensor("axes", "int64", [2], [2, -1]),
    tensor("pads", "int64", [8], [0, 0, 1, 1, 0, 0, 1, 1]),
    tensor("zero", "int64", [], [0]),
    tensor("first", "int64", [1], [0]),
    tensor("open", "int64", [1], [-1]),
    tensor("g", "float32", [5, 64], ramp(320)),
  ],
});

const quantized = model({
  inputs: { x: ["uint8", [1, 2, 5, 5]] },
  outputs: { y: ["uint8", [1, 2, 1, 1]] },
  nodes: [
    node("DequantizeLinear", "x s z", "d"),
    node("DequantizeLinear", "w ws wz", "wd", { axis: 0 }),
    node("Conv", "d wd", "c", { group: 2 }),
    node("Relu", "c", "r"),
    node("QuantizeLinear", "r s z", "q"),
    node("com.microsoft:QLinearAdd", "q s z q s z s z", "a"),
    node("QLinearConv", "a s z w4 s wz0 s z b", "e", { kernel_shape: [1, 1] }),
    node("com.microsoft:QLinearGlobalAveragePool", "e s z s z", "y"),
  ],
  constants: [
    tensor("s", "float32", [], [0.05]),
    tensor("z", "uint8", [], [128]),
    tensor("w", "int4", [2, 1, 3, 3], ramp(18)),
    tensor("ws", "float32", [2], [0.1, 0.2]),
    tensor("wz", "int4", [2], [0, 0]),
    tensor("w4", "int8", [2, 2, 1, 1], [1, 2, 3, 4]),
    tensor("wz0", "int8", [], [0]),
    tensor("b", "int32", [2], [100, -100]),
  ],
  opset: 21,
});

const dynamic = model({
  inputs: { x: ["float32", [1, 4]] },
  outputs: { y: ["float32", [1, 3]] },
  nodes: [
    node("DynamicQuantizeLinear", "x", "q qs qz"),
    node("MatMulInteger", "q w qz", "m"),
    node("Cast", "m", "f", { to: 1 }),
    node("Mul", "qs ws", "s"),
    node("Mul", "f s", "y"),
  ],
  constants: [tensor("w", "int8", [4, 3], ramp(12)), tensor("ws", "float32", [], [0.01])],
});

export const SEEDS: Record<string, Uint8Array> = { float: floatModel, quantized, dynamic };

/** Bytes that mean something in protobuf: varints without an end, the largest ones, lengths and wire types. */
const TELLING = [0x00, 0x01, 0x7f, 0x80, 0xff, 0x0a, 0x12, 0x08, 0x22, 0x2a, 0x4a];

/** A broken copy: half of them bytes changed at random, half a well-formed file that says something else. */
export function mutated(bytes: Uint8Array, random: Random): Uint8Array {
  return random.below(2) === 0 ? mutatedBytes(bytes, random) : mutatedFields(bytes, random);
}

/** A copy with one to eight changes: bits, bytes, cuts, insertions, runs copied from elsewhere. */
function mutatedBytes(bytes: Uint8Array, random: Random): Uint8Array {
  let result: Uint8Array = Uint8Array.from(bytes);
  for (let changes = 1 + random.below(8); changes > 0 && result.length > 0; changes--)
    result = CHANGES[random.below(CHANGES.length)](result, random);
  return result;
}

type Change = (bytes: Uint8Array, random: Random) => Uint8Array;
const joined = (...parts: ArrayLike<number>[]) => Uint8Array.from(parts.flatMap((part) => Array.from(part)));
const CHANGES: Change[] = [
  (bytes, random) => {
    bytes[random.below(bytes.length)] ^= 1 << random.below(8);
    return bytes;
  },
  (bytes, random) => {
    bytes[random.below(bytes.length)] = TELLING[random.below(TELLING.length)];
    return bytes;
  },
  (bytes, random) => {
    bytes[random.below(bytes.length)] = random.below(256);
    return bytes;
  },
  (bytes, random) => bytes.slice(0, random.below(bytes.length)),
  (bytes, random) => {
    const at = random.below(bytes.length);
    return joined(bytes.subarray(0, at), bytes.subarray(at + 1 + random.below(8)));
  },
  (bytes, random) => {
    const at = random.below(bytes.length);
    const huge = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, random.below(256)];
    return joined(bytes.subarray(0, at), huge.slice(random.below(9)), bytes.subarray(at));
  },
  (bytes, random) => {
    const from = random.below(bytes.length);
    const at = random.below(bytes.length);
    const run = bytes.slice(from, from + 1 + random.below(64));
    return joined(bytes.subarray(0, at), run, bytes.subarray(random.below(2) ? at : at + run.length));
  },
];

const NUMBERS = [
  0,
  1,
  2,
  3,
  4,
  7,
  8,
  -1,
  -2,
  255,
  256,
  65536,
  2 ** 31 - 1,
  2 ** 31,
  2 ** 40,
  2 ** 53,
  2 ** 62,
  -(2 ** 62),
];
const OPERATORS =
  "Conv ConvTranspose Gemm MatMul Add Sub Mul Div Concat Split Slice Pad ReduceMean AveragePool MaxPool Softmax Clip PRelu " +
  "Reshape Flatten Transpose Resize QuantizeLinear DequantizeLinear QLinearConv QLinearMatMul MatMulInteger ConvInteger Cast " +
  "BatchNormalization Constant Identity ConstantOfShape Squeeze Unsqueeze Shape Gather Range Expand Where If DynamicQuantizeLinear";

type Holder = Record<string, unknown> | unknown[];
interface Place {
  holder: Holder;
  key: string | number;
}

/** Every value of a message, and the strings among them. */
function placesOf(root: Holder): { places: Place[]; strings: string[] } {
  const places: Place[] = [];
  const strings: string[] = [];
  const visit = (holder: Holder) => {
    for (const key of Array.isArray(holder) ? holder.keys() : Object.keys(holder)) {
      const value = (holder as Record<string | number, unknown>)[key];
      if (value === undefined) continue;
      places.push({ holder, key });
      if (typeof value === "string") strings.push(value);
      if (typeof value === "object" && !(value instanceof Uint8Array)) visit(value as Holder);
    }
  };
  visit(root);
  return { places, strings: [...strings, ...OPERATORS.split(" ")] };
}

function mutatedFields(bytes: Uint8Array, random: Random): Uint8Array {
  const root = decodeMessage(ModelProto, bytes, "seed") as unknown as Record<string, unknown>;
  for (let changes = 1 + random.below(4); changes > 0; changes--) {
    const { places, strings } = placesOf(root);
    const { holder, key } = places[random.below(places.length)];
    const at = holder as Record<string | number, unknown>;
    at[key] = otherValue(at[key], strings, random);
  }
  try {
    return encodeMessage(ModelProto, root as never);
  } catch {
    return bytes; // a number that its field cannot hold
  }
}

function otherValue(value: unknown, strings: string[], random: Random): unknown {
  if (typeof value === "number") return NUMBERS[random.below(NUMBERS.length)];
  if (typeof value === "string") return strings[random.below(strings.length)];
  if (value instanceof Uint8Array) return value.slice(0, random.below(value.length + 1));
  if (!Array.isArray(value)) return value;
  const list = [...value];
  const from = random.below(list.length + 1);
  if (random.below(2) === 0) list.splice(from, 1);
  else if (list.length > 0) list.splice(from, 0, list[random.below(list.length)]);
  return list;
}

export type Outcome = "imported" | "malformed" | "unsupported";

/** What the importer makes of a file. Any error but its own two is thrown on. */
export function outcomeOf(bytes: Uint8Array): Outcome {
  try {
    importOnnx(bytes, "fuzz.onnx", () => undefined);
    return "imported";
  } catch (error) {
    if (error instanceof ModelFormatError) return "malformed";
    if (error instanceof UnsupportedOpError) return "unsupported";
    throw error;
  }
}
