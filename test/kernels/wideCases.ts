/** Random arguments and operands for the ops on int16, extremes among them. */
import type { DilatedWindow, Output, Values } from "../../src/kernels/args.ts";
import { addMultipliers, meanMultiplier, softmaxMultiplier } from "../../src/kernels/requantize.ts";
import type { RescaledType, Rounding, SumScaling } from "../../src/kernels/wide/args.ts";
import { RESCALED } from "../../src/kernels/wide/elementwise.ts";
import { logisticMultiplier } from "../../src/kernels/wide/logistic.ts";
import type { WIDE_OPS } from "../../src/kernels/wide/ops.ts";
import { softmaxTableMultiplier } from "../../src/kernels/wide/softmax.ts";
import type { Random } from "../../src/random.ts";
import type { Case } from "./cases.ts";

type ArgsOf<Name extends keyof typeof WIDE_OPS> = Parameters<(typeof WIDE_OPS)[Name]["prepare"]>[1];

function between(random: Random, low: number, high: number): number {
  return low + random.below(high - low + 1);
}

function pick<T>(random: Random, ...choices: T[]): T {
  return choices[random.below(choices.length)];
}

/** Uniform, or all at one end, or one end and zero mixed. */
function integers(random: Random, length: number, bits: 8 | 16 | 32): number[] {
  const [low, high] = [-(2 ** (bits - 1)), 2 ** (bits - 1) - 1];
  const end = pick(random, low, high);
  const kind = random.below(6);
  const uniform = () => low + Math.floor(random.uniform() * 2 ** bits);
  return Array.from({ length }, () => (kind === 0 ? end : kind === 1 ? pick(random, 0, end) : uniform()));
}

const int8s = (random: Random, length: number) => Int8Array.from(integers(random, length, 8));
const int16s = (random: Random, length: number) => Int16Array.from(integers(random, length, 16));

function output(random: Random): Output {
  const activationMin = pick(random, -32768, -32768, between(random, -32768, 30000));
  const activationMax = pick(random, 32767, between(random, activationMin, 32767));
  return { outputOffset: pick(random, 0, 0, between(random, -300, 300)), activationMin, activationMax };
}

const rounding = (random: Random) => pick<Rounding>(random, "tflite-double", "tflite-single");

const multiplier = (random: Random) =>
  pick(random, 2 ** 30, 2 ** 31 - 1, 0x7fff0000, between(random, 2 ** 30, 2 ** 31 - 1));

/** Shifts around -9, so that most outputs are inside the range; at times a left shift. Biases of all sizes. */
function sumScaling(random: Random, channels: number): SumScaling {
  const length = pick(random, 1, channels);
  const left = random.below(5) === 0;
  const scaling = {
    multiplier: Int32Array.from({ length }, () => multiplier(random)),
    shift: Int32Array.from({ length }, () => between(random, -14, left ? 7 : -4)),
  };
  const large = pick(random, 1e5, 1e8, 2 ** 31 - 1);
  const bias = () => Math.trunc((2 * random.uniform() - 1) * large);
  const none = random.below(4) === 0;
  if (random.below(3) === 0) {
    const values = Int32Array.from({ length: channels }, bias);
    return { ...scaling, sum: 32, requantizer: rounding(random), bias: none ? null : values };
  }
  const factor = pick(random, 1n, 1n, 10_000n);
  const values = BigInt64Array.from({ length: channels }, () => BigInt(bias()) * factor);
  if (random.below(4) === 0) {
    const factor = Float64Array.from(
      { length },
      () => (0.5 + random.uniform()) * 2 ** between(random, -14, left ? 7 : -4),
    );
    const requantizer = pick(random, "double" as const, "double-32" as const);
    return { sum: 64, requantizer, factor, bias: none ? null : values };
  }
  const requantizer = pick(random, "tflite-wide" as const, "cmsis-nn-wide" as const);
  return { ...scaling, sum: 64, requantizer, bias: none ? null : values };
}

function axis(random: Random) {
  const [input, filter, stride, dilation] = [
    between(random, 1, 9),
    between(random, 1, 4),
    pick(random, 1, 1, 2, 3),
    pick(random, 1, 1, 2),
  ];
  const extent = (filter - 1) * dilation + 1;
  const pad = random.below(extent);
  const fitting = Math.floor((input + 2 * pad - extent) / stride) + 1;
  return { input, filter, stride, dilation, pad, output: Math.max(1, fitting + pick(random, 0, 0, 1)) };
}

function window(random: Random, inputDepth: number): DilatedWindow {
  const [vertical, horizontal] = [axis(random), axis(random)];
  return {
    inputHeight: vertical.input,
    inputWidth: horizontal.input,
    inputDepth,
    outputHeight: vertical.output,
    outputWidth: horizontal.output,
    filterHeight: vertical.filter,
    filterWidth: horizontal.filter,
    strideHeight: vertical.stride,
    strideWidth: horizontal.stride,
    padTop: vertical.pad,
    padLeft: horizontal.pad,
    dilationHeight: vertical.dilation,
    dilationWidth: horizontal.dilation,
  };
}

const image = ({ inputHeight, inputWidth, inputDepth }: DilatedWindow) =>
  inputHeight * inputWidth * inputDepth;

/** At times so many channels that an int32 does not hold the sums, of an input that reaches them. */
function conv2d(random: Random): Case<ArgsOf<"CONV_2D">> {
  const groups = pick(random, 1, 1, 1, 2, 3);
  const many = random.below(4) === 0;
  const depth = many ? between(random, 90, 600) : between(random, 1, 24);
  const outputs = between(random, 1, many ? 3 : 12);
  const shape = window(random, depth * groups);
  const outputDepth = outputs * groups;
  const batches = between(random, 1, 2);
  const args = {
    ...shape,
    ...output(random),
    ...sumScaling(random, outputDepth),
    filter: int8s(random, outputDepth * shape.filterHeight * shape.filterWidth * depth),
    outputDepth,
    groups,
  };
  return { args, operands: [int16s(random, batches * image(shape))], batches };
}

function transposeConv(random: Random): Case<ArgsOf<"TRANSPOSE_CONV">> {
  const { dilationHeight: _, dilationWidth: __, ...shape } = window(random, between(random, 1, 9));
  const outputDepth = between(random, 1, 12);
  const [padTop, padLeft] = [random.below(shape.filterHeight), random.below(shape.filterWidth)];
  const reach = (input: number, stride: number, filter: number, pad: number) =>
    Math.max(1, (input - 1) * stride + filter - pad - random.below(3) + pick(random, 0, 0, 2));
  const args = {
    ...shape,
    ...output(random),
    ...sumScaling(random, outputDepth),
    padTop,
    padLeft,
    outputHeight: reach(shape.inputHeight, shape.strideHeight, shape.filterHeight, padTop),
    outputWidth: reach(shape.inputWidth, shape.strideWidth, shape.filterWidth, padLeft),
    filter: int8s(random, outputDepth * shape.filterHeight * shape.filterWidth * shape.inputDepth),
    outputDepth,
  };
  const batches = between(random, 1, 2);
  return {
    args,
    operands: [int16s(random, batches * image({ ...shape, dilationHeight: 1, dilationWidth: 1 }))],
    batches,
  };
}

/** At times with a filter of more than 510 taps. */
function depthwise(random: Random): Case<ArgsOf<"DEPTHWISE_CONV_2D">> {
  const depthMultiplier = pick(random, 1, 1, 1, 2, 5);
  const inputDepth = between(random, 1, Math.floor(40 / depthMultiplier));
  const shape = { ...window(random, inputDepth) };
  if (random.below(6) === 0) {
    Object.assign(shape, {
      inputHeight: 26,
      inputWidth: 25,
      outputHeight: 2,
      outputWidth: 1,
      filterHeight: 25,
      filterWidth: 25,
      strideHeight: 1,
      padTop: 0,
      padLeft: 0,
      dilationHeight: 1,
      dilationWidth: 1,
    });
  }
  const outputDepth = inputDepth * depthMultiplier;
  const batches = between(random, 1, 2);
  const args = {
    ...shape,
    ...output(random),
    ...sumScaling(random, outputDepth),
    filter: int8s(random, shape.filterHeight * shape.filterWidth * outputDepth),
    depthMultiplier,
  };
  return { args, operands: [int16s(random, batches * image(shape))], batches };
}

function fullyConnected(random: Random): Case<ArgsOf<"FULLY_CONNECTED">> {
  const inputDepth = pick(
    random,
    between(random, 1, 70),
    between(random, 500, 530),
    between(random, 1, 3000),
  );
  const [outputDepth, batches] = [between(random, 1, 20), between(random, 1, 20)];
  const args = {
    ...output(random),
    ...sumScaling(random, outputDepth),
    filter: int8s(random, outputDepth * inputDepth),
    inputDepth,
    outputDepth,
  };
  return { args, operands: [int16s(random, batches * inputDepth)], batches };
}

function elementwise(random: Random) {
  const [elements, batches] = [between(random, 1, 70), between(random, 1, 3)];
  const input2Shared = random.below(3) === 0;
  return {
    batches,
    operands: [int16s(random, batches * elements), int16s(random, (input2Shared ? 1 : batches) * elements)],
    args: { ...output(random), elements, input2Shared, input1Offset: 0, input2Offset: 0 },
  };
}

const scale = (random: Random) =>
  Math.fround(pick(random, 2 ** -between(random, 8, 15), (0.01 + random.uniform()) / 4096));

function add(random: Random): Case<ArgsOf<"ADD">> {
  const { args, ...rest } = elementwise(random);
  const input2Sign = pick(random, 1 as const, -1 as const);
  if (random.below(3) === 0) {
    const shifted = { form: "shifted" as const, shifted: pick(random, 1 as const, 2 as const) };
    return { args: { ...args, ...shifted, shift: between(random, 0, 15), input2Sign }, ...rest };
  }
  const fields = addMultipliers(scale(random), scale(random), scale(random), 15);
  const form = { form: "rescaled" as const, requantizer: rounding(random) };
  return { args: { ...args, ...form, input2Sign, ...fields }, ...rest };
}

function mul(random: Random): Case<ArgsOf<"MUL">> {
  const { args, ...rest } = elementwise(random);
  const scaling = { multiplier: multiplier(random), shift: between(random, -20, 2) };
  return { args: { ...args, requantizer: rounding(random), ...scaling }, ...rest };
}

/** Every window holds a tap. */
function pool(random: Random): Case<ArgsOf<"AVERAGE_POOL_2D">> {
  const { dilationHeight: _, dilationWidth: __, ...shape } = window(random, between(random, 1, 40));
  const padTop = random.below(shape.filterHeight);
  const padLeft = random.below(shape.filterWidth);
  const { activationMin, activationMax } = output(random);
  const args = {
    ...shape,
    padTop,
    padLeft,
    outputHeight: between(random, 1, Math.ceil((shape.inputHeight + padTop) / shape.strideHeight)),
    outputWidth: between(random, 1, Math.ceil((shape.inputWidth + padLeft) / shape.strideWidth)),
    activationMin,
    activationMax,
  };
  const batches = between(random, 1, 3);
  const elements = shape.inputHeight * shape.inputWidth * shape.inputDepth;
  return { args, operands: [int16s(random, batches * elements)], batches };
}

function mean(random: Random): Case<ArgsOf<"MEAN">> {
  const shape = [between(random, 1, 9), between(random, 1, 9), between(random, 1, 40)];
  const axes = pick(random, [0, 1], [0, 1], [2], [1], [0, 2], [0, 1, 2], [1, 2]);
  const count = axes.reduce((product, index) => product * shape[index], 1);
  const scaling = { requantizer: rounding(random), ...meanMultiplier(0.3 + random.uniform(), count) };
  const batches = between(random, 1, 3);
  const elements = shape.reduce((product, size) => product * size, 1);
  const args = { ...output(random), ...scaling, shape, axes };
  return { args, operands: [int16s(random, batches * elements)], batches };
}

function softmax(random: Random): Case<ArgsOf<"SOFTMAX">> {
  const [rows, rowSize, batches] = [
    between(random, 1, 3),
    pick(random, between(random, 1, 40), between(random, 500, 600)),
    between(random, 1, 2),
  ];
  const elements = batches * rows * rowSize;
  if (random.below(2) === 0) {
    const fields = softmaxMultiplier(2 ** (random.uniform() * 8 - 7), 1);
    const args = { rows, rowSize, form: "fixed-point" as const, ...fields };
    return { args, operands: [int8s(random, elements)], batches };
  }
  const fields = softmaxTableMultiplier(2 ** (random.uniform() * 12 - 16), pick(random, 1, 0.5));
  const tables = pick(random, "float32" as const, "float64" as const);
  const args = { rows, rowSize, form: "tables" as const, tables, requantizer: rounding(random), ...fields };
  return { args, operands: [int16s(random, elements)], batches };
}

function pad(random: Random): Case<ArgsOf<"PAD">> {
  const shape = [between(random, 1, 5), between(random, 1, 5), between(random, 1, 20)];
  const counts = () => shape.map(() => pick(random, 0, 0, 1, 3));
  const args = { shape, before: counts(), after: counts(), value: between(random, -32768, 32767) };
  const batches = between(random, 1, 3);
  const elements = shape.reduce((product, size) => product * size, 1);
  return { args, operands: [int16s(random, batches * elements)], batches };
}

/** Values of all sizes, ties and what is not a number. */
function quantize(random: Random): Case<ArgsOf<"QUANTIZE">> {
  const [elements, batches] = [between(random, 1, 40), between(random, 1, 3)];
  const args = { elements, scale: scale(random), zeroPoint: pick(random, 0, 0, between(random, -99, 99)) };
  const draw = () =>
    pick(
      random,
      (between(random, -70000, 70000) / 2) * args.scale,
      random.normal() * 20000 * args.scale,
      pick(random, Number.NaN, Infinity, -Infinity, 0, -0, 3e38, -1e-40),
    );
  return { args, operands: [Float32Array.from({ length: batches * elements }, draw)], batches };
}

function dequantize(random: Random): Case<ArgsOf<"DEQUANTIZE">> {
  const [elements, batches] = [between(random, 1, 40), between(random, 1, 3)];
  const args = { elements, scale: scale(random), zeroPoint: pick(random, 0, between(random, -99, 99)) };
  return { args, operands: [int16s(random, batches * elements)], batches };
}

const BITS = { int8: 8, int16: 16, int32: 32 } as const;
const ARRAYS = { int8: Int8Array, int16: Int16Array, int32: Int32Array };

function requantize(random: Random): Case<ArgsOf<"REQUANTIZE">> {
  const [elements, batches] = [between(random, 1, 70), between(random, 1, 3)];
  const from = pick<RescaledType>(random, "int8", "int16", "int32");
  const to = pick(random, ...RESCALED[from]);
  const high = 2 ** (BITS[to] - 1) - 1;
  const shift = () => between(random, -20, pick(random, 0, 8));
  const sign = pick(random, 1, 1, -1);
  const negative = { multiplier: sign * multiplier(random), shift: shift() };
  const args = {
    from,
    to,
    elements,
    inputOffset: pick(random, 0, 0, between(random, -127, 128)),
    outputOffset: pick(random, 0, 0, between(random, -127, 128)),
    activationMin: pick(random, -high - 1, -5),
    activationMax: pick(random, high, 100),
    requantizer: rounding(random),
    multiplier: multiplier(random),
    shift: shift(),
    ...pick(random, {}, { negative }),
  };
  const values: Values = new ARRAYS[from](integers(random, batches * elements, BITS[from]));
  return { args, operands: [values], batches };
}

const logistic = (op: "LOGISTIC" | "TANH") => (random: Random) => {
  const [elements, batches] = [between(random, 1, 70), between(random, 1, 3)];
  const args = { elements, ...logisticMultiplier(pick(random, 2 ** -12, 2 ** -11, scale(random)), op) };
  return { args, operands: [int16s(random, batches * elements)], batches };
};

export const WIDE_CASES: {
  [Name in keyof typeof WIDE_OPS]: (random: Random) => Case<ArgsOf<Name>>;
} = {
  CONV_2D: conv2d,
  DEPTHWISE_CONV_2D: depthwise,
  FULLY_CONNECTED: fullyConnected,
  TRANSPOSE_CONV: transposeConv,
  ADD: add,
  MUL: mul,
  AVERAGE_POOL_2D: pool,
  MAX_POOL_2D: pool,
  MEAN: mean,
  SOFTMAX: softmax,
  PAD: pad,
  QUANTIZE: quantize,
  DEQUANTIZE: dequantize,
  REQUANTIZE: requantize,
  LOGISTIC: logistic("LOGISTIC"),
  TANH: logistic("TANH"),
};
