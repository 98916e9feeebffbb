import type { Tensor } from "../../model/graph.ts";

/** What an operator's version follows from. */
export interface Signature {
  inputs: readonly (Tensor | undefined)[];
  output: Tensor;
  /** FULLY_CONNECTED. */
  keepDims?: boolean;
  /** RESIZE_BILINEAR, RESIZE_NEAREST_NEIGHBOR: half_pixel_centers, or in the latter align_corners. */
  centered?: boolean;
  /** ADD, SUB of int16. */
  powerOfTwoScales?: boolean;
}

type Version = number | ((signature: Signature) => number);

const SINCE_RANK_5 = 4;

/** By the type of the first input: float32 and the rest, int8, int16. */
const typed =
  (other: number, int8: number, int16: number, input = 0) =>
  ({ inputs }: Signature): number =>
    inputs[input]?.dtype === "int16" ? int16 : inputs[input]?.dtype === "int8" ? int8 : other;

/** More than four dimensions came later than any type. */
const ranked =
  (of: (signature: Signature) => number) =>
  (signature: Signature): number =>
    signature.inputs[0]!.shape.length > 4 ? SINCE_RANK_5 : of(signature);

const sum = (scaled16: number) => (signature: Signature) =>
  typed(1, 2, signature.powerOfTwoScales ? 1 : scaled16)(signature);

const resize = (signature: Signature) => Math.max(typed(1, 2, 4)(signature), signature.centered ? 3 : 1);

function multiply(signature: Signature): number {
  const [a, b, y] = [...signature.inputs, signature.output].map((tensor) => tensor?.quantization?.scale[0]);
  const least = a && b && y && (a * b) / y >= 1 ? 3 : 1;
  return Math.max(typed(1, 2, 4)(signature), least);
}

/** int8 filters of float activations run as hybrids. */
const isHybrid = ({ inputs: [x, filter] }: Signature) => x?.dtype === "float32" && filter?.dtype === "int8";

function convolution(signature: Signature): number {
  const [x, filter] = signature.inputs;
  if (x!.shape[3] !== filter!.shape[3]) return 6;
  if (isHybrid(signature)) return filter!.quantization!.scale.length > 1 ? 5 : 2;
  return filter!.dtype === "int4" ? 7 : typed(1, 3, 4)(signature);
}

function depthwise(signature: Signature): number {
  const [, filter] = signature.inputs;
  if (isHybrid(signature)) return filter!.quantization!.scale.length > 1 ? 6 : 4;
  // Of float, 2 is the first with dilation.
  return filter!.dtype === "int4" ? 7 : typed(2, 3, 5)(signature);
}

function fullyConnected(signature: Signature): number {
  const [x, filter, bias] = signature.inputs;
  if (isHybrid(signature)) return filter!.quantization!.scale.length > 1 ? 12 : 3;
  if (filter!.dtype === "int4") return 10;
  if (x!.dtype === "int16") return 7;
  if (!bias) return 6;
  return signature.keepDims ? 5 : typed(1, 4, 7)(signature);
}

/**
 * The version of each operator that can run it. Those without a row are at 1.
 * Source: GetBuiltinOperatorVersion, tensorflow/lite/tools/versioning/op_version.cc, TensorFlow 0208740.
 */
const VERSIONS: Readonly<Record<string, Version>> = {
  CONV_2D: convolution,
  DEPTHWISE_CONV_2D: depthwise,
  FULLY_CONNECTED: fullyConnected,
  TRANSPOSE_CONV: ({ inputs }) => (inputs[3] ? 4 : 2),
  ADD: sum(3),
  SUB: sum(5),
  MUL: multiply,
  AVERAGE_POOL_2D: typed(1, 2, 3),
  MAX_POOL_2D: typed(1, 2, 3),
  MEAN: typed(1, 2, 3),
  SOFTMAX: typed(1, 2, 3),
  LOG_SOFTMAX: typed(1, 2, 1),
  LOGISTIC: typed(1, 2, 3),
  TANH: typed(1, 2, 3),
  RELU: typed(2, 2, 3),
  RELU6: typed(1, 2, 3),
  LEAKY_RELU: typed(1, 1, 2),
  PAD: ranked(typed(1, 2, 3)),
  PADV2: ranked(typed(1, 2, 3)),
  TRANSPOSE: ranked(typed(1, 2, 5)),
  STRIDED_SLICE: ranked(typed(1, 2, 1)),
  CONCATENATION: typed(1, 2, 3),
  SPLIT: typed(1, 2, 4, 1),
  SPLIT_V: typed(1, 2, 1),
  RESIZE_BILINEAR: resize,
  RESIZE_NEAREST_NEIGHBOR: resize,
  QUANTIZE: ({ output }) => (output.dtype === "int16" ? 2 : 1),
  DEQUANTIZE: typed(1, 2, 3),
  CAST: ({ inputs, output }) => (inputs[0]!.dtype === "int8" || output.dtype === "int8" ? 3 : 1),
};

export function operatorVersion(operator: string, signature: Signature): number {
  const version = VERSIONS[operator] ?? 1;
  return typeof version === "number" ? version : version(signature);
}
