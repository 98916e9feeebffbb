/** Random cases of the ops that move values, resize or convolve backwards. */
import type { Random } from "../../src/random.ts";
import {
  type ArgsOf,
  between,
  type Case,
  dilatedWindow,
  image,
  inputOffset,
  int8s,
  output,
  pick,
  requantization,
  weights,
} from "./cases.ts";

const product = (sizes: readonly number[]) => sizes.reduce((total, size) => total * size, 1);
const shapeOf = (random: Random, rank: number) => Array.from({ length: rank }, () => between(random, 1, 6));

function values(random: Random, elementBytes: number, length: number) {
  if (elementBytes === 1) return int8s(random, length);
  return Int32Array.from({ length }, () => between(random, -(2 ** 31), 2 ** 31 - 1));
}

function slice(random: Random): Case<ArgsOf<"STRIDED_SLICE">> {
  const shape = shapeOf(random, between(random, 1, 5));
  const begin = shape.map((size) => random.below(size));
  const strides = shape.map(() => pick(random, 1, 1, 2, -1, -2));
  const sizes = shape.map((size, i) => {
    const most = strides[i] > 0 ? size - 1 - begin[i] : begin[i];
    return between(random, 1, Math.floor(most / Math.abs(strides[i])) + 1);
  });
  const [elementBytes, batches] = [pick(random, 1, 4), between(random, 1, 3)];
  const operands = [values(random, elementBytes, batches * product(shape))];
  return { args: { shape, begin, strides, sizes, elementBytes }, operands, batches };
}

function transpose(random: Random): Case<ArgsOf<"TRANSPOSE">> {
  const shape = shapeOf(random, between(random, 1, 5));
  const permutation = shape.map((_, axis) => axis);
  for (let i = permutation.length - 1; i > 0; i--) {
    const j = random.below(i + 1);
    [permutation[i], permutation[j]] = [permutation[j], permutation[i]];
  }
  const [elementBytes, batches] = [pick(random, 1, 4), between(random, 1, 3)];
  const operands = [values(random, elementBytes, batches * product(shape))];
  return { args: { shape, permutation, elementBytes }, operands, batches };
}

function broadcast(random: Random): Case<ArgsOf<"BROADCAST_TO">> {
  const outputShape = shapeOf(random, between(random, 1, 5));
  const shape = outputShape.map((size) => pick(random, 1, size));
  const [elementBytes, batches] = [pick(random, 1, 4), between(random, 1, 3)];
  const operands = [values(random, elementBytes, batches * product(shape))];
  return { args: { shape, outputShape, elementBytes }, operands, batches };
}

function concatenation(random: Random): Case<ArgsOf<"CONCATENATION">> {
  const sizes = shapeOf(random, between(random, 1, 4));
  const [outer, batches] = [between(random, 1, 5), between(random, 1, 3)];
  const tables = sizes.map(() => (random.below(3) === 0 ? int8s(random, 256) : undefined));
  const constants = sizes.map((size) => (random.below(3) === 0 ? int8s(random, outer * size) : undefined));
  const operands = sizes.map((size) => int8s(random, batches * outer * size));
  const args = { outer, sizes, ...(random.below(2) === 0 && { tables }), constants };
  return { args, operands, batches };
}

function resize(random: Random) {
  const [inputHeight, inputWidth, inputDepth] = [
    between(random, 1, 7),
    between(random, 1, 7),
    between(random, 1, 20),
  ];
  const alignCorners = random.below(3) === 0;
  const args = {
    inputHeight,
    inputWidth,
    inputDepth,
    outputHeight: between(random, 1, 12),
    outputWidth: between(random, 1, 12),
    alignCorners,
    halfPixelCenters: !alignCorners && random.below(2) === 0,
  };
  const batches = between(random, 1, 3);
  return { args, operands: [int8s(random, batches * inputHeight * inputWidth * inputDepth)], batches };
}

function resizeBilinear(random: Random): Case<ArgsOf<"RESIZE_BILINEAR">> {
  const { args, ...rest } = resize(random);
  const form = pick(random, "tflite" as const, "tflite-up" as const, "xnnpack" as const);
  return { args: { ...args, form }, ...rest };
}

/** Outputs that cut the full result, and such as go beyond it. */
function transposeConv(random: Random): Case<ArgsOf<"TRANSPOSE_CONV">> {
  const { dilationHeight: _, dilationWidth: __, ...window } = dilatedWindow(random, between(random, 1, 9));
  const outputDepth = between(random, 1, 20);
  const [padTop, padLeft] = [random.below(window.filterHeight), random.below(window.filterWidth)];
  const reach = (input: number, stride: number, filter: number, pad: number) =>
    Math.max(1, (input - 1) * stride + filter - pad - random.below(3) + pick(random, 0, 0, 2));
  const args = {
    ...window,
    ...output(random),
    ...requantization(random, outputDepth),
    ...weights(
      random,
      outputDepth * window.filterHeight * window.filterWidth * window.inputDepth,
      outputDepth,
    ),
    padTop,
    padLeft,
    outputHeight: reach(window.inputHeight, window.strideHeight, window.filterHeight, padTop),
    outputWidth: reach(window.inputWidth, window.strideWidth, window.filterWidth, padLeft),
    outputDepth,
    inputOffset: inputOffset(random),
  };
  const batches = between(random, 1, 2);
  return { args, operands: [int8s(random, batches * image(window))], batches };
}

export const LAYOUT_CASES = {
  TRANSPOSE_CONV: transposeConv,
  CONCATENATION: concatenation,
  STRIDED_SLICE: slice,
  TRANSPOSE: transpose,
  BROADCAST_TO: broadcast,
  RESIZE_NEAREST_NEIGHBOR: resize,
  RESIZE_BILINEAR: resizeBilinear,
};
