/** Random arguments and operands for every op on float32, of shapes that reach every tail of the kernels. */
import type { Window } from "../../src/kernels/args.ts";
import { BY_ROWS, DYNAMIC_FORMS } from "../../src/kernels/float/dynamic.ts";
import type { FloatBinary, FloatUnary } from "../../src/kernels/float/elementwise.ts";
import { FLOAT_FORMS, type FloatForm } from "../../src/kernels/float/forms.ts";
import type { FLOAT_OPS } from "../../src/kernels/float/ops.ts";
import { MEAN_ORDERS } from "../../src/kernels/float/reduce.ts";
import type { Random } from "../../src/random.ts";
import { between, type Case, pick } from "./cases.ts";
import { matMulShape } from "./matmulCases.ts";

type ArgsOf<Name extends keyof typeof FLOAT_OPS> = Parameters<(typeof FLOAT_OPS)[Name]["prepare"]>[1];
export type FloatCases = { [Name in keyof typeof FLOAT_OPS]: (random: Random) => Case<ArgsOf<Name>> };

/** Mostly around 1, at times far from it, at times 0. */
const floats = (random: Random, length: number) =>
  Float32Array.from({ length }, () => {
    const size = pick(random, 1, 1, 1, 30, 1e-3, 0);
    return (random.uniform() * 2 - 1) * size;
  });

const bounds = (random: Random) =>
  pick(
    random,
    { activationMin: -Infinity, activationMax: Infinity },
    { activationMin: 0, activationMax: Infinity, zero: pick(random, 0, -0) },
    { activationMin: 0, activationMax: 6, zero: pick(random, 0, -0) },
    { activationMin: -1, activationMax: 1 },
  );
const form = (random: Random) => FLOAT_FORMS[random.below(FLOAT_FORMS.length)];

function window(random: Random, inputDepth: number, dilation: number): Window {
  const [filterHeight, filterWidth] = [between(random, 1, 4), between(random, 1, 4)];
  const [strideHeight, strideWidth] = [between(random, 1, 3), between(random, 1, 3)];
  const [outputHeight, outputWidth] = [between(random, 1, 5), between(random, 1, 5)];
  const extent = (output: number, stride: number, filter: number) =>
    (output - 1) * stride + (filter - 1) * dilation + 1;
  const [height, width] = [
    extent(outputHeight, strideHeight, filterHeight),
    extent(outputWidth, strideWidth, filterWidth),
  ];
  const pad = (filter: number) => random.below(filter);
  const [padTop, padLeft] = [pad(filterHeight), pad(filterWidth)];
  return {
    inputHeight: Math.max(1, height - padTop - pad(filterHeight) + random.below(2)),
    inputWidth: Math.max(1, width - padLeft - pad(filterWidth) + random.below(2)),
    inputDepth,
    ...{ outputHeight, outputWidth, filterHeight, filterWidth, strideHeight, strideWidth, padTop, padLeft },
  };
}

/** A FULLY_CONNECTED of several rows. */
const ROW = {
  ...{ inputHeight: 1, outputHeight: 1, filterHeight: 1, filterWidth: 1, strideHeight: 1, strideWidth: 1 },
  ...{ padTop: 0, padLeft: 0 },
};

/** A window that lies at least partly in the image, as shapes of a model guarantee. */
function poolWindow(random: Random): Window {
  for (;;) {
    const made = window(random, between(random, 1, 5), 1);
    const last = (output: number, stride: number, pad: number) => (output - 1) * stride - pad;
    const fits =
      last(made.outputHeight, made.strideHeight, made.padTop) < made.inputHeight &&
      last(made.outputWidth, made.strideWidth, made.padLeft) < made.inputWidth;
    if (fits) return made;
  }
}

const inputOf = (random: Random, { inputHeight, inputWidth, inputDepth }: Window, batches: number) =>
  floats(random, batches * inputHeight * inputWidth * inputDepth);

const elementwise = (random: Random) => {
  const elements = between(random, 1, 40);
  return { elements, batches: between(random, 1, 3) };
};

/** What ONNX Runtime's sums may start from: the case with another image, laid out as the output. */
function withAddend<Args extends Window & { form: FloatForm }>(
  random: Random,
  made: Case<Args>,
  outputDepth: number,
): Case<Args & { addend?: "image" | "shared" }> {
  const { args, operands, batches } = made;
  const addend =
    args.form === "onnxruntime" ? pick(random, undefined, "image" as const, "shared" as const) : undefined;
  if (!addend) return made;
  const length = args.outputHeight * args.outputWidth * outputDepth * (addend === "image" ? batches : 1);
  return { args: { ...args, addend }, operands: [...operands, floats(random, length)], batches };
}

export const FLOAT_CASES: FloatCases = {
  CONV_2D(random) {
    const batches = between(random, 1, 2);
    const groups = pick(random, 1, 1, 2, 3);
    const [depth, outputs] = pick(
      random,
      [between(random, 1, 9), between(random, 1, 11)],
      [between(random, 1, 9), 1],
      [150, 1],
    );
    const dilation = pick(random, 1, 1, 2);
    const own = window(random, groups * depth, dilation);
    const outputDepth = groups * outputs;
    const matrix = pick(random, undefined, undefined, "packed" as const, "dequantized" as const);
    const args = {
      ...own,
      ...bounds(random),
      form: form(random),
      matrix,
      filter: floats(random, outputDepth * own.filterHeight * own.filterWidth * depth),
      bias: pick(random, null, floats(random, outputDepth)),
      outputDepth,
      groups,
      dilationHeight: dilation,
      dilationWidth: dilation,
    };
    const made = { args, operands: [inputOf(random, own, batches)], batches };
    return matrix ? made : withAddend(random, made, outputDepth);
  },
  DEPTHWISE_CONV_2D(random) {
    const batches = between(random, 1, 2);
    const dilation = pick(random, 1, 1, 2);
    const depthMultiplier = pick(random, 1, 1, 2, 3);
    const own = window(random, between(random, 1, 17), dilation);
    const channels = own.inputDepth * depthMultiplier;
    const args = {
      ...own,
      ...bounds(random),
      form: form(random),
      filter: floats(random, own.filterHeight * own.filterWidth * channels),
      bias: pick(random, null, floats(random, channels)),
      depthMultiplier,
      dilationHeight: dilation,
      dilationWidth: dilation,
    };
    return withAddend(random, { args, operands: [inputOf(random, own, batches)], batches }, channels);
  },
  TRANSPOSE_CONV(random) {
    const batches = between(random, 1, 2);
    const own = window(random, pick(random, between(random, 1, 9), between(random, 1, 9), 150), 1);
    const size = () => between(random, 1, 9);
    const outputDepth = between(random, 1, 11);
    const args = {
      ...{ ...own, outputHeight: size(), outputWidth: size() },
      ...bounds(random),
      form: form(random),
      filter: floats(random, outputDepth * own.filterHeight * own.filterWidth * own.inputDepth),
      bias: pick(random, null, floats(random, outputDepth), new Float32Array(outputDepth).fill(-0)),
      outputDepth,
    };
    return { args, operands: [inputOf(random, own, batches)], batches };
  },
  DYNAMIC_CONV_2D(random) {
    const batches = between(random, 1, 2);
    const groups = pick(random, 1, 1, 2, 3);
    const [depth, outputs] = [between(random, 1, 11), between(random, 1, 5)];
    const dilation = pick(random, 1, 1, 2);
    const isDense = random.below(3) === 0;
    const rows = between(random, 1, 4);
    const one = { ...window(random, depth, 1), ...ROW, inputWidth: rows, outputWidth: rows };
    const own = isDense ? one : window(random, groups * depth, dilation);
    const used = isDense ? 1 : groups;
    const outputDepth = used * outputs;
    const form = DYNAMIC_FORMS[random.below(DYNAMIC_FORMS.length)];
    const saturates = isDense && form === "onnxruntime" && random.below(2) === 0;
    const most = saturates ? 127 : 255;
    const args = {
      ...own,
      ...bounds(random),
      form,
      filter: Int16Array.from({ length: outputDepth * own.filterHeight * own.filterWidth * depth }, () =>
        pick(random, between(random, -most, most), most, -most),
      ),
      scales: floats(random, pick(random, 1, outputDepth)),
      bias: pick(random, null, floats(random, outputDepth)),
      parts: isDense && BY_ROWS.has(form) ? rows : 1,
      saturates,
      outputDepth,
      groups: used,
      dilationHeight: isDense ? 1 : dilation,
      dilationWidth: isDense ? 1 : dilation,
    };
    const input = inputOf(random, own, batches);
    if (random.below(8) === 0) input.fill(pick(random, 0, 1e-7, Number.NaN, Infinity, 3e38));
    if (random.below(8) === 0) input[0] = pick(random, Number.NaN, Infinity, -Infinity, -3e38);
    return { args, operands: [input], batches };
  },
  BATCH_NORMALIZATION(random) {
    const batches = between(random, 1, 3);
    const [rows, channels] = [between(random, 1, 7), between(random, 1, 9)];
    const moments = () => floats(random, channels);
    const args = {
      ...{ ...bounds(random), rows, gamma: moments(), beta: moments(), mean: moments() },
      ...{ variance: moments().map(Math.abs), epsilon: pick(random, 1e-5, 1e-3) },
    };
    return { args, operands: [floats(random, batches * rows * channels)], batches };
  },
  BATCH_MATMUL(random) {
    const shape = matMulShape(random);
    const { batches, xCount, yCount } = shape;
    const own = form(random);
    const alpha = own === "onnxruntime" ? pick(random, 1, 1, 0.3, -2) : 1;
    const args = { ...shape.args, form: own, alpha, isPacked: random.below(4) === 0 };
    return { args, operands: [floats(random, xCount), floats(random, yCount)], batches };
  },
  BINARY(random) {
    const { elements, batches } = elementwise(random);
    const input2Shared = random.below(2) === 0;
    const operator = pick<FloatBinary>(random, "ADD", "SUB", "MUL", "PRELU", "PRELU_XNNPACK");
    const args = { ...bounds(random), operator, elements, input2Shared };
    const second = floats(random, input2Shared ? elements : elements * batches);
    return { args, operands: [floats(random, elements * batches), second], batches };
  },
  UNARY(random) {
    const { elements, batches } = elementwise(random);
    const operator = pick<FloatUnary>(
      random,
      "CLAMP",
      "LEAKY_RELU",
      "LOGISTIC_LIBM",
      "LOGISTIC_XNNPACK",
      "LOGISTIC_MLAS",
      "TANH_LIBM",
      "TANH_XNNPACK",
      "TANH_MLAS",
      "HARD_SWISH_TFLITE",
      "HARD_SWISH_XNNPACK",
    );
    const range =
      operator === "LEAKY_RELU"
        ? { activationMin: 0.1, activationMax: 0, zero: pick(random, 0, -0) }
        : bounds(random);
    return {
      args: { ...range, operator, elements },
      operands: [floats(random, elements * batches)],
      batches,
    };
  },
  AVERAGE_POOL_2D(random) {
    const batches = between(random, 1, 2);
    const own = poolWindow(random);
    const args = { ...own, ...bounds(random), form: form(random) };
    return { args, operands: [inputOf(random, own, batches)], batches };
  },
  MAX_POOL_2D: (random) => FLOAT_CASES.AVERAGE_POOL_2D(random),
  MEAN(random) {
    const batches = between(random, 1, 2);
    const shape = Array.from({ length: 3 }, () => pick<number>(random, 1, 2, 5, 7, 19, 35));
    const axes = pick<number[]>(random, [0, 1], [1], [2], [1, 2], [0, 1, 2], [0]);
    const elements = shape.reduce((product, size) => product * size, 1);
    return {
      args: { order: pick(random, ...MEAN_ORDERS), shape, axes },
      operands: [floats(random, batches * elements)],
      batches,
    };
  },
  SOFTMAX(random) {
    const batches = between(random, 1, 2);
    const [rows, rowSize] = [between(random, 1, 3), between(random, 1, 40)];
    const args = { form: form(random), rows, rowSize, beta: pick(random, 1, 1, 0.5) };
    return { args, operands: [floats(random, batches * rows * rowSize)], batches };
  },
  LOG_SOFTMAX: (random) => FLOAT_CASES.SOFTMAX(random),
  PAD(random) {
    const batches = between(random, 1, 2);
    const shape = Array.from({ length: 3 }, () => between(random, 1, 4));
    const amounts = () => shape.map(() => random.below(3));
    const args = { shape, before: amounts(), after: amounts(), value: pick(random, 0, -1.5) };
    return { args, operands: [floats(random, batches * shape[0] * shape[1] * shape[2])], batches };
  },
  RESIZE_BILINEAR(random) {
    const batches = between(random, 1, 2);
    const size = () => between(random, 1, 6);
    const args = {
      form: form(random),
      ...{ inputHeight: size(), inputWidth: size(), inputDepth: between(random, 1, 5) },
      ...{ outputHeight: size(), outputWidth: size() },
      ...pick(
        random,
        { alignCorners: true, halfPixelCenters: false },
        { alignCorners: false, halfPixelCenters: true },
        { alignCorners: false, halfPixelCenters: false },
      ),
    };
    const elements = args.inputHeight * args.inputWidth * args.inputDepth;
    return { args, operands: [floats(random, batches * elements)], batches };
  },
};
