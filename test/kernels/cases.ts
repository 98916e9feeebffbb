/** Random arguments and operands for every op, of shapes that reach every tail of the kernels. */
import type {
  FixedPoint,
  FloatScale,
  Output,
  Requantization,
  Values,
  Window,
} from "../../src/kernels/args.ts";
import type { OPS } from "../../src/kernels/ops.ts";
import {
  addMultipliers,
  addMultipliersXnnpack,
  meanMultiplier,
  requantizeMultiplierXnnpack,
  softmaxMultiplier,
} from "../../src/kernels/requantize.ts";
import type { Random } from "../../src/random.ts";

import { LAYOUT_CASES } from "./layoutCases.ts";
import { MATMUL_CASES } from "./matmulCases.ts";
import { UNARY_CASES } from "./unaryCases.ts";

export interface Case<Args> {
  args: Args;
  operands: Values[];
  batches: number;
}
export type ArgsOf<Name extends keyof typeof OPS> = Parameters<(typeof OPS)[Name]["prepare"]>[1];

export function between(random: Random, low: number, high: number): number {
  return low + random.below(high - low + 1);
}

export function pick<T>(random: Random, ...choices: T[]): T {
  return choices[random.below(choices.length)];
}

/** int8 values: uniform, or all at one end, or one end and zero mixed. */
export function int8s(random: Random, length: number): Int8Array {
  const end = pick(random, -128, 127);
  const kind = random.below(6);
  const draw = () => (kind === 0 ? end : kind === 1 ? pick(random, 0, end) : between(random, -128, 127));
  return Int8Array.from({ length }, draw);
}

export function output(random: Random): Output {
  const activationMin = pick(random, -128, -128, between(random, -128, 100));
  const activationMax = pick(random, 127, between(random, activationMin, 127));
  return { outputOffset: between(random, -128, 127), activationMin, activationMax };
}

export function inputOffset(random: Random): number {
  return pick(random, 0, 128, -127, between(random, -127, 128));
}

/** Around 2^-7, so that most outputs are inside the range; at times a left shift or a tie-prone power of two. */
export function fixedPoint(random: Random, channels: number): FixedPoint {
  const length = pick(random, 1, channels);
  const left = random.below(5) === 0;
  return {
    requantizer: pick(random, "tflite-double", "tflite-single"),
    multiplier: Int32Array.from({ length }, () =>
      pick(random, 2 ** 30, between(random, 2 ** 30, 2 ** 31 - 1), between(random, 2 ** 30, 2 ** 31 - 1)),
    ),
    shift: Int32Array.from({ length }, () => between(random, -12, left ? 6 : -2)),
  };
}

export function floatScale(random: Random, channels: number): FloatScale {
  const length = pick(random, 1, channels);
  const scale = () => pick(random, 2 ** -between(random, 1, 12), (0.001 + random.uniform()) / 64);
  return { requantizer: "float-even", scale: Float32Array.from({ length }, scale) };
}

export function requantization(random: Random, channels: number): Requantization {
  const choice = random.below(7);
  if (choice === 0) return { requantizer: "none" };
  return choice < 5 ? fixedPoint(random, channels) : floatScale(random, channels);
}

/** int4: random bytes, so an odd last element leaves a stray high nibble. */
export function weights(random: Random, count: number, channels: number) {
  const weightBits = pick(random, 8 as const, 4 as const);
  const large = random.below(8) === 0 ? 2 ** 31 - 1 : 50_000;
  return {
    weightBits,
    filter: int8s(random, weightBits === 8 ? count : Math.ceil(count / 2)),
    bias:
      random.below(4) === 0
        ? null
        : Int32Array.from({ length: channels }, () => between(random, -large, large)),
  };
}

/** At times the same as uint8 less a zero point: up to 9 bits, as int16. */
export function uint8Weights(random: Random, drawn: ReturnType<typeof weights>) {
  if (drawn.weightBits === 4 || random.below(4) > 0) return drawn;
  const zeroPoint = pick(random, 0, 255, between(random, 0, 255));
  return { ...drawn, filter: Int16Array.from(drawn.filter, (w) => w + 128 - zeroPoint) };
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

export function dilatedWindow(random: Random, inputDepth: number) {
  const [vertical, horizontal] = [axis(random), axis(random)];
  const shape: Window = {
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
  };
  return { ...shape, dilationHeight: vertical.dilation, dilationWidth: horizontal.dilation };
}

export function image({ inputHeight, inputWidth, inputDepth }: Window): number {
  return inputHeight * inputWidth * inputDepth;
}

function conv2d(random: Random): Case<ArgsOf<"CONV_2D">> {
  const groups = pick(random, 1, 1, 1, 2, 3);
  const [depth, outputs] = [
    between(random, 1, pick(random, 4, 70 / groups)),
    between(random, 1, pick(random, 10, 70 / groups)),
  ].map(Math.floor);
  const window = dilatedWindow(random, depth * groups);
  const outputDepth = outputs * groups;
  const batches = between(random, 1, 3);
  const args = {
    ...window,
    ...output(random),
    ...requantization(random, outputDepth),
    ...uint8Weights(
      random,
      weights(random, outputDepth * window.filterHeight * window.filterWidth * depth, outputDepth),
    ),
    inputOffset: inputOffset(random),
    outputDepth,
    groups,
  };
  return { args, operands: [int8s(random, batches * image(window))], batches };
}

function depthwise(random: Random): Case<ArgsOf<"DEPTHWISE_CONV_2D">> {
  const depthMultiplier = pick(random, 1, 1, 1, 2, 5);
  const window = dilatedWindow(random, between(random, 1, Math.floor(70 / depthMultiplier)));
  const outputDepth = window.inputDepth * depthMultiplier;
  const batches = between(random, 1, 3);
  const args = {
    ...window,
    ...output(random),
    ...requantization(random, outputDepth),
    ...uint8Weights(
      random,
      weights(random, window.filterHeight * window.filterWidth * outputDepth, outputDepth),
    ),
    inputOffset: inputOffset(random),
    depthMultiplier,
  };
  return { args, operands: [int8s(random, batches * image(window))], batches };
}

function fullyConnected(random: Random): Case<ArgsOf<"FULLY_CONNECTED">> {
  const [inputDepth, outputDepth, batches] = [
    between(random, 1, 70),
    between(random, 1, 70),
    between(random, 1, 35),
  ];
  const rows = pick(random, 1, 1, 3);
  const args = {
    ...output(random),
    ...requantization(random, outputDepth),
    ...weights(random, outputDepth * inputDepth, outputDepth),
    rows,
    inputDepth,
    outputDepth,
    inputOffset: inputOffset(random),
    filterOffset: pick(random, 0, 0, between(random, -127, 128)),
  };
  return { args, operands: [int8s(random, batches * rows * inputDepth)], batches };
}

function elementwise(random: Random, elements: number) {
  const batches = between(random, 1, 3);
  const input2Shared = random.below(3) === 0;
  return {
    batches,
    operands: [int8s(random, batches * elements), int8s(random, (input2Shared ? 1 : batches) * elements)],
    args: {
      ...output(random),
      elements,
      input2Shared,
      input1Offset: inputOffset(random),
      input2Offset: inputOffset(random),
    },
  };
}

export function scale(random: Random): number {
  return Math.fround(pick(random, 2 ** -between(random, 3, 8), 0.002 + random.uniform() / 8));
}

export function add(random: Random, count = between(random, 1, 70)): Case<ArgsOf<"ADD">> {
  const { args, ...rest } = elementwise(random, count);
  const input2Sign = pick(random, 1 as const, -1 as const);
  const scales = [scale(random), scale(random), scale(random)] as const;
  const requantizer = pick(random, "float-even" as const, "tflite-double" as const, "tflite-single" as const);
  if (requantizer === "float-even") {
    return { args: { ...args, requantizer, input2Sign, ...addMultipliersXnnpack(...scales) }, ...rest };
  }
  const fields = addMultipliers(...scales);
  return { args: { ...args, requantizer, input2Sign, ...fields, ...unusual(random) }, ...rest };
}

/** Fields that no pair of scales gives: shifts of all kinds, or operands rescaled near ties and then left as they are, so
 * that an error in their rounding is not hidden by the last one. */
function unusual(random: Random) {
  const kind = random.below(4);
  if (kind === 0) {
    return {
      leftShift: between(random, 0, 20),
      outputShift: between(random, -20, 6),
      input1Shift: between(random, -31, 3),
    };
  }
  if (kind > 1) return {};
  const multiplier = () =>
    pick(random, 2 ** 30, 2 ** 30 + 1, 2 ** 31 - 1, between(random, 2 ** 30, 2 ** 31 - 1));
  return {
    input1Multiplier: multiplier(),
    input1Shift: between(random, -22, -20),
    input2Multiplier: multiplier(),
    input2Shift: between(random, -22, -20),
    outputMultiplier: 2 ** 31 - 1,
    outputShift: 0,
  };
}

function mul(random: Random): Case<ArgsOf<"MUL">> {
  const { args, ...rest } = elementwise(random, between(random, 1, 70));
  const scaling = random.below(3) === 0 ? floatScale(random, 1) : fixedPoint(random, 1);
  return { args: { ...args, ...scaling }, ...rest };
}

/** Every window holds a tap. */
function pool(random: Random): Case<ArgsOf<"AVERAGE_POOL_2D">> {
  const window = dilatedWindow(random, between(random, 1, 70));
  const { dilationHeight: _, dilationWidth: __, ...shape } = window;
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
    inputOffset: pick(random, 0, 128),
  };
  const batches = between(random, 1, 3);
  return { args, operands: [int8s(random, batches * image(shape))], batches };
}

function mean(random: Random): Case<ArgsOf<"MEAN">> {
  const shape = [between(random, 1, 9), between(random, 1, 9), between(random, 1, 70)];
  const axes = pick(random, [0, 1], [0, 1], [0, 1], [2], [1], [0, 2], [0, 1, 2], [1, 2]);
  const count = axes.reduce((product, index) => product * shape[index], 1);
  const ratio = 0.3 + random.uniform();
  const pair = meanMultiplier(ratio, count);
  const requantizer = pick(random, "float-even" as const, "tflite-double" as const, "tflite-single" as const);
  const scaling =
    requantizer === "float-even"
      ? { requantizer, scale: [Math.fround(ratio / count)] }
      : { requantizer, multiplier: [pair.multiplier], shift: [pair.shift] };
  const batches = between(random, 1, 3);
  const elements = shape.reduce((product, size) => product * size, 1);
  const args = { ...output(random), ...scaling, shape, axes, inputOffset: inputOffset(random) };
  if (requantizer === "float-even" && random.below(2) === 0)
    Object.assign(args, { inputOffset: 0, outputOffset: 0, bias: Math.fround(random.normal() * 40) });
  return { args, operands: [int8s(random, batches * elements)], batches };
}

function softmax(random: Random): Case<ArgsOf<"SOFTMAX">> {
  const [rows, rowSize, batches] = [between(random, 1, 4), between(random, 1, 40), between(random, 1, 3)];
  const inputScale = 2 ** (random.uniform() * 8 - 7);
  const args =
    random.below(3) === 0
      ? {
          rows,
          rowSize,
          form: "float-table" as const,
          scale: inputScale,
          outputScale: 1 / 256,
          outputOffset: -128,
        }
      : {
          rows,
          rowSize,
          form: "fixed-point" as const,
          ...softmaxMultiplier(inputScale, pick(random, 1, 0.5)),
        };
  return { args, operands: [int8s(random, batches * rows * rowSize)], batches };
}

function pad(random: Random): Case<ArgsOf<"PAD">> {
  const shape = [between(random, 1, 5), between(random, 1, 5), between(random, 1, 20)];
  const counts = () => shape.map(() => pick(random, 0, 0, 1, 3));
  const args = { shape, before: counts(), after: counts(), value: between(random, -128, 127) };
  const batches = between(random, 1, 3);
  const elements = shape.reduce((product, size) => product * size, 1);
  return { args, operands: [int8s(random, batches * elements)], batches };
}

function reshape(random: Random): Case<ArgsOf<"RESHAPE">> {
  const [elements, batches] = [between(random, 1, 40), between(random, 1, 3)];
  return { args: { elements, elementBytes: 1 }, operands: [int8s(random, batches * elements)], batches };
}

/** Values of all sizes, ties and what is not a number. */
export function float32s(random: Random, length: number, unit: number): Float32Array {
  return Float32Array.from({ length }, () =>
    pick(
      random,
      (between(random, -300, 300) / 2) * unit,
      random.normal() * 60 * unit,
      pick(random, Number.NaN, Infinity, -Infinity, 0, -0, 3e38, -1e-40),
    ),
  );
}

function quantize(random: Random): Case<ArgsOf<"QUANTIZE">> {
  const [elements, batches] = [between(random, 1, 40), between(random, 1, 3)];
  const rounding = pick(random, "half-away" as const, "half-even" as const, "quotient-half-even" as const);
  const args = { elements, scale: scale(random), zeroPoint: between(random, -128, 127), rounding };
  return { args, operands: [float32s(random, batches * elements, args.scale)], batches };
}

function dequantize(random: Random): Case<ArgsOf<"DEQUANTIZE">> {
  const [elements, batches] = [between(random, 1, 40), between(random, 1, 3)];
  const args = { elements, scale: scale(random), zeroPoint: between(random, -128, 127) };
  return { args, operands: [int8s(random, batches * elements)], batches };
}

function requantize(random: Random): Case<ArgsOf<"REQUANTIZE">> {
  const [elements, batches] = [between(random, 1, 70), between(random, 1, 3)];
  const multiplier = requantizeMultiplierXnnpack(scale(random) / scale(random));
  const scaling = pick<FixedPoint | FloatScale | { requantizer: "xnnpack-8-bit"; multiplier: number }>(
    random,
    fixedPoint(random, 1),
    floatScale(random, 1),
    {
      requantizer: "xnnpack-8-bit" as const,
      multiplier,
    },
  );
  const args = { ...output(random), ...scaling, elements, inputOffset: inputOffset(random) };
  return { args, operands: [int8s(random, batches * elements)], batches };
}

export const CASES: { [Name in keyof typeof OPS]: (random: Random) => Case<ArgsOf<Name>> } = {
  CONV_2D: conv2d,
  DEPTHWISE_CONV_2D: depthwise,
  FULLY_CONNECTED: fullyConnected,
  ADD: add,
  MUL: mul,
  AVERAGE_POOL_2D: pool,
  MAX_POOL_2D: pool,
  MEAN: mean,
  SOFTMAX: softmax,
  PAD: pad,
  RESHAPE: reshape,
  QUANTIZE: quantize,
  DEQUANTIZE: dequantize,
  REQUANTIZE: requantize,
  ...LAYOUT_CASES,
  ...MATMUL_CASES,
  ...UNARY_CASES,
};
