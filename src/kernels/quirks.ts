/** Defects of CMSIS-NN that a profile may switch on, one row each. None is in the kernels: where a quirk applies, its step
 * runs in TypeScript over the kernels' memory. Found in CMSIS-NN 99f736a (v7.0.0-43) by running one case on every build.
 *
 * Not here: D3, D4 and most of D1 (memory outside of the operands is read: builds.ts names them), D11 (accumulators shifted
 * out of 32 bits: helpers.ts), D12 (a compiler), D13 (never reached), D14 (fixed), D15 (a call that fails). */
import type {
  AddArgs,
  Conv2dArgs,
  DepthwiseConv2dArgs,
  FullyConnectedArgs,
  SoftmaxArgs,
  Step,
  Values,
} from "./args.ts";
import { CONV_2D, FULLY_CONNECTED } from "./convolution.ts";
import { REQUANTIZE_HELPERS } from "./helpers.ts";
import type { Kernels } from "./module.ts";
import {
  clamp,
  expOnNegativeValues,
  requantize,
  requantizeDouble,
  requantizeSingle,
  roundingDivideByPowerOfTwo,
  saturatingDoublingHighMultiply,
} from "./requantize.ts";
import { channelOf } from "./requantizers.ts";
import { SOFTMAX } from "./softmax.ts";
import { unpackInt4 } from "./weights.ts";
import type { WideConv2dArgs, WideFullyConnectedArgs } from "./wide/args.ts";
import { conv2dSums, finish, fullyConnectedSums } from "./wide/convolution.ts";

export interface QuirkArgs {
  CONV_2D: Conv2dArgs;
  DEPTHWISE_CONV_2D: DepthwiseConv2dArgs;
  FULLY_CONNECTED: FullyConnectedArgs;
  ADD: AddArgs;
  SOFTMAX: SoftmaxArgs;
  /** Of int16 by int8. */
  CONV_2D_S16: WideConv2dArgs;
  FULLY_CONNECTED_S16: WideFullyConnectedArgs;
}

export interface Quirk<Op extends keyof QuirkArgs> {
  op: Op;
  /** Which builds have it, and what goes wrong. */
  what: string;
  /** Whether TFLite Micro's call of this layer reaches it. */
  applies(args: QuirkArgs[Op]): boolean;
  reference(args: QuirkArgs[Op], operands: readonly Values[], batches: number): Int8Array | Int16Array;
  /** Of a kernel that TFLite Micro does not call, or of a build for another processor. */
  other?(args: QuirkArgs[Op], operands: readonly Values[], batches: number): Int8Array | Int16Array;
}

const quirk = <Op extends keyof QuirkArgs>(row: Quirk<Op>) => row;

/** Padding after the image, negative where columns are left over. */
const totalPad = (args: Conv2dArgs) =>
  (args.outputWidth - 1) * args.strideWidth + args.filterWidth - args.inputWidth;

/** The last tap of the last pixel of a row reads the zero point. */
function lastTapLost(args: Conv2dArgs, operands: readonly Values[], batches: number): Int8Array {
  const output = CONV_2D.reference(args, operands, batches) as Int8Array;
  const filter = Int8Array.from(args.filter);
  const run = args.filterWidth * args.inputDepth;
  filter.forEach((_, i) => {
    if (i % run >= run - args.inputDepth) filter[i] = 0;
  });
  const without = CONV_2D.reference({ ...args, filter }, operands, batches) as Int8Array;
  const row = args.outputWidth * args.outputDepth;
  return output.map((value, i) => (i % row >= row - args.outputDepth ? without[i] : value));
}

/** The n-th four channels have the multiplier and shift of channel n, those left over the ones that come next. */
function sharedMultiplier(args: FullyConnectedArgs, operands: readonly Values[], batches: number): Int8Array {
  if (!("multiplier" in args) || args.multiplier.length === 1)
    return FULLY_CONNECTED.reference(args, operands, batches) as Int8Array;
  const whole = args.outputDepth - (args.outputDepth % 4);
  const four = (values: ArrayLike<number>) =>
    Array.from(values, (_, c) => values[c < whole ? Math.floor(c / 4) : c - (whole / 4) * 3]);
  const shared = { ...args, multiplier: four(args.multiplier), shift: four(args.shift) };
  return FULLY_CONNECTED.reference(shared, operands, batches) as Int8Array;
}

/** Input pixels of one output pixel by tap, null in the padding. */
function tapPixels(args: DepthwiseConv2dArgs, pixel: number): (number | null)[] {
  const top = Math.floor(pixel / args.outputWidth) * args.strideHeight - args.padTop;
  const left = (pixel % args.outputWidth) * args.strideWidth - args.padLeft;
  return Array.from({ length: args.filterHeight * args.filterWidth }, (_, tap) => {
    const y = top + Math.floor(tap / args.filterWidth) * args.dilationHeight;
    const x = left + (tap % args.filterWidth) * args.dilationWidth;
    const inside = y >= 0 && x >= 0 && y < args.inputHeight && x < args.inputWidth;
    return inside ? y * args.inputWidth + x : null;
  });
}

/** Which nibble comes next is counted over the taps that are read, so that clipped taps shift it; and the row of a tap is
 * taken as floor(input channels / 2) * multiplier bytes. */
function lostParity(args: DepthwiseConv2dArgs, [input]: readonly Values[], batches: number): Int8Array {
  const { inputDepth, depthMultiplier, outputHeight, outputWidth, bias } = args;
  const outputDepth = inputDepth * depthMultiplier;
  const rowBytes = Math.floor(inputDepth / 2) * depthMultiplier;
  const nibbles = unpackInt4(args.filter as Uint8Array, args.filter.length * 2);
  const pixels = outputHeight * outputWidth;
  const output = new Int8Array(batches * pixels * outputDepth);
  for (let pixel = 0; pixel < batches * pixels; pixel++) {
    const image = Math.floor(pixel / pixels) * args.inputHeight * args.inputWidth;
    const taps = tapPixels(args, pixel % pixels);
    let high = 0;
    for (let channel = 0; channel < outputDepth; channel++) {
      let acc = bias === null ? 0 : bias[channel];
      let byte = Math.floor(channel / 2);
      taps.forEach((source, tap) => {
        if (source === null) return;
        const at = (image + source) * inputDepth + Math.floor(channel / depthMultiplier);
        const weight = nibbles[2 * (tap * rowBytes + byte) + high] ?? 0;
        acc += (Number(input[at]) + args.inputOffset) * weight;
        byte += high;
        high = 1 - high;
      });
      if (taps.length % 2 === 0) high = 1 - high;
      const { requantizer } = args as { requantizer: "tflite-double" };
      output[pixel * outputDepth + channel] = requantize(
        requantizer,
        acc | 0,
        channelOf(args, channel),
        args,
      );
    }
  }
  return output;
}

/** A sum of 2^28 (512 equal logits) makes the last exponent 32, by which the C code shifts: GCC's builds give 1 (-127), a
 * processor that takes counts modulo 32 gives 127. */
const shiftOf32 = (code: number) => (args: SoftmaxArgs, operands: readonly Values[], batches: number) => {
  const output = SOFTMAX.reference(args, operands, batches) as Int8Array;
  if (args.form !== "fixed-point") return output;
  const { rowSize, shift, multiplier, diffMin } = args;
  for (let start = 0; start < output.length; start += rowSize) {
    const row = Array.from(operands[0].subarray(start, start + rowSize), Number);
    const differences = row.map((value) => value - Math.max(...row));
    const sum = differences.reduce((total, difference) => {
      if (difference < diffMin) return total;
      const scaled = saturatingDoublingHighMultiply((difference * 2 ** shift) | 0, multiplier);
      return total + roundingDivideByPowerOfTwo(expOnNegativeValues(scaled), 12);
    }, 0);
    if (sum < 2 ** 28) continue;
    differences.forEach((difference, i) => {
      output[start + i] = difference < diffMin ? -128 : code;
    });
  }
  return output;
};

/** Operands are taken as uint16 before the left shift, in whole groups of four. */
function lostSign(args: AddArgs, [input, input2]: readonly Values[], batches: number): Int8Array {
  if (args.requantizer === "float-even")
    throw new TypeError("ADD: expected a fixed-point form, got float-even");
  const { leftShift, elements, outputOffset, activationMin, activationMax } = args;
  const round = args.requantizer === "tflite-double" ? requantizeDouble : requantizeSingle;
  const whole = batches * elements - ((batches * elements) % 4);
  return Int8Array.from({ length: batches * elements }, (_, i) => {
    const operand = (value: number) => ((i < whole ? value & 0xffff : value) * 2 ** leftShift) | 0;
    const b = Number(input2[args.input2Shared ? i % elements : i]) + args.input2Offset;
    const u = round(operand(Number(input[i]) + args.input1Offset), args.input1Multiplier, args.input1Shift);
    const v = round(operand(b), args.input2Multiplier, args.input2Shift);
    const sum = round((u + (args.input2Sign ?? 1) * v) | 0, args.outputMultiplier, args.outputShift);
    return clamp(sum + outputOffset, activationMin, activationMax);
  });
}

/** Runs of pixels, [first, end), that the kernel takes by fours; what no run has is computed one by one. */
type Runs = (args: Conv2dArgs, batches: number) => [number, number][];

const split = (count: number, size: number): [number, number][] =>
  Array.from({ length: count / size }, (_, i) => [i * size, (i + 1) * size]);

/** arm_convolve_s4: each image. */
const imageRuns: Runs = ({ outputHeight, outputWidth }, batches) =>
  split(batches * outputHeight * outputWidth, outputHeight * outputWidth);

/** arm_convolve_wrapper_s4: of 1x1 filters all images, or each row where there is a stride; of 1xN the pixels without padding. */
const wrapperRuns: Runs = (args, batches) => {
  const { outputHeight, outputWidth, inputDepth, inputHeight, inputWidth, filterHeight, filterWidth } = args;
  const { strideHeight, strideWidth, padTop, padLeft, dilationHeight, dilationWidth } = args;
  const pixels = batches * outputHeight * outputWidth;
  const dense = args.groups === 1 && dilationHeight === 1 && dilationWidth === 1;
  if (dense && filterHeight === 1 && filterWidth === 1 && padTop === 0 && padLeft === 0)
    return split(pixels, strideHeight === 1 && strideWidth === 1 ? pixels : outputWidth);
  if (!dense || inputHeight !== 1 || filterHeight !== 1 || (strideWidth * inputDepth) % 4 !== 0)
    return imageRuns(args, batches);
  const first = Math.ceil(padLeft / strideWidth);
  const end = Math.min(outputWidth, Math.floor((inputWidth + padLeft - filterWidth) / strideWidth) + 1);
  return split(pixels, outputWidth).map(([start]) => [start + first, start + Math.max(first, end)]);
};

/** Pixels left over by fours are rounded twice, half up both times; and what is shifted left wraps (D11). */
const roundedTwice =
  (runs: Runs) =>
  (args: Conv2dArgs, operands: readonly Values[], batches: number): Int8Array => {
    const plain = CONV_2D.reference(args, operands, batches) as Int8Array;
    if (args.requantizer !== "tflite-single") return plain;
    const { arm_requantize_mve: once, arm_requantize_mve_pred: twice } = REQUANTIZE_HELPERS;
    const { multiplier: _, shift: __, ...shape } = args;
    const sums = CONV_2D.reference({ ...shape, requantizer: "none" }, operands, batches);
    const output = plain.slice();
    const write = (pixel: number, helper: typeof once) => {
      for (let c = 0; c < args.outputDepth; c++) {
        const i = pixel * args.outputDepth + c;
        const { multiplier, shift } = channelOf(args, c);
        const value = helper(Number(sums[i]), multiplier, shift) + args.outputOffset;
        output[i] = clamp(value, args.activationMin, args.activationMax);
      }
    };
    for (const [first, end] of runs(args, batches))
      for (let pixel = first; pixel < end; pixel++)
        write(pixel, pixel < end - ((end - first) % 4) ? once : twice);
    return output;
  };

/** Of an odd number of pixels the products of the last are summed in 32 bits. */
function leftOverIn32(args: WideConv2dArgs, operands: readonly Values[], batches: number): Int16Array {
  const pixels = args.outputHeight * args.outputWidth;
  const isLeftOver = (i: number) => Math.floor(i / args.outputDepth) % pixels === pixels - 1;
  return Int16Array.from(conv2dSums(args, operands, batches), (sum, i) =>
    finish(args, pixels % 2 === 1 && isLeftOver(i) ? sum | 0 : sum, i % args.outputDepth),
  );
}

/** Products are summed in 32 bits, 512 at a time: 512 of the greatest reach 2^31. */
function blocksIn32(args: WideFullyConnectedArgs, operands: readonly Values[], batches: number): Int16Array {
  const block = { size: 512, of: (sum: number) => sum | 0 };
  return Int16Array.from(fullyConnectedSums(args, operands, batches, block), (sum, i) =>
    finish(args, sum, i % args.outputDepth),
  );
}

export const QUIRKS = {
  "cmsis-nn-d1": quirk({
    op: "CONV_2D",
    what: "M55: a 1xN convolution with a horizontal stride and one column left over loses the last tap of its last pixel",
    applies: (args) =>
      args.inputHeight === 1 &&
      args.filterHeight === 1 &&
      args.groups === 1 &&
      args.weightBits === 8 &&
      args.dilationWidth === 1 &&
      args.strideWidth >= 2 &&
      (args.strideWidth * args.inputDepth) % 4 === 0 &&
      args.padLeft === 0 &&
      totalPad(args) === -1,
    reference: lastTapLost,
  }),
  "cmsis-nn-d2": quirk({
    op: "FULLY_CONNECTED",
    what: "M55: a per-channel layer whose weights have a zero point uses one multiplier for four channels",
    applies: (args) => args.filterOffset !== 0 && "multiplier" in args && args.multiplier.length > 1,
    reference: sharedMultiplier,
  }),
  "cmsis-nn-d5": quirk({
    op: "DEPTHWISE_CONV_2D",
    what: "all cores: int4 weights of an odd number of input channels are read at the wrong nibbles, off the optimised path",
    applies: (args) =>
      args.weightBits === 4 &&
      args.inputDepth % 2 === 1 &&
      (args.depthMultiplier > 1 || args.dilationHeight > 1 || args.dilationWidth > 1),
    reference: lostParity,
  }),
  "cmsis-nn-d6": quirk({
    op: "SOFTMAX",
    what: "M3, M4, M7, M33 built by GCC: rows of 512 and more nearly equal logits give -127, where -128 is right",
    applies: (args) => args.form === "fixed-point" && args.rowSize >= 512,
    reference: shiftOf32(-127),
    other: shiftOf32(127),
  }),
  "cmsis-nn-d7": quirk({
    op: "ADD",
    what: "M4, M7, M33: a left shift below 16 loses the sign of operands; TFLite's int8 ADD has 20",
    applies: (args) => args.requantizer !== "float-even" && args.leftShift < 16,
    reference: lostSign,
  }),
  "cmsis-nn-d10": quirk({
    op: "CONV_2D",
    what: "M55 with single rounding: int4 convolutions round the left-over pixels twice",
    applies: (args) => args.weightBits === 4 && args.requantizer === "tflite-single",
    reference: roundedTwice(wrapperRuns),
    other: roundedTwice(imageRuns),
  }),
  "cmsis-nn-d8": quirk({
    op: "CONV_2D_S16",
    what: "M3, M4, M7, M33: int16 with an int64 bias and over 512 products sums the left-over pixel in 32 bits",
    applies: (args) =>
      args.sum === 64 && (args.filterHeight * args.filterWidth * args.inputDepth) / args.groups > 512,
    reference: leftOverIn32,
  }),
  "cmsis-nn-d9": quirk({
    op: "FULLY_CONNECTED_S16",
    what: "M4, M7, M33, M55: int16 sums of 512 products are held in 32 bits, which the greatest ones leave",
    applies: (args) => args.sum === 64 && args.inputDepth >= 512,
    reference: blocksIn32,
  }),
} as const;

export type QuirkName = keyof typeof QUIRKS;

/** What every quirk of an op makes of a call, reached by TFLite Micro or not. */
export function* quirkOutputs<Op extends keyof QuirkArgs>(
  op: Op,
  args: QuirkArgs[Op],
  operands: readonly Values[],
  batches: number,
): Generator<[QuirkName, Values]> {
  for (const [name, quirk] of Object.entries(QUIRKS)) {
    const row = quirk as unknown as Quirk<Op>;
    if (row.op !== op) continue;
    yield [name as QuirkName, row.reference(args, operands, batches)];
    if (row.other) yield [name as QuirkName, row.other(args, operands, batches)];
  }
}

/** The step of the first of these quirks that applies; undefined where none does. bytes: of the step it replaces. */
export function quirkStep<Op extends keyof QuirkArgs>(
  names: readonly QuirkName[],
  op: Op,
  kernels: Kernels,
  args: QuirkArgs[Op],
  plain: Step,
): Step | undefined {
  const row = names
    .map((name) => QUIRKS[name] as unknown as Quirk<Op>)
    .find((row) => row.op === op && row.applies(args));
  const compute = (operands: Values[], batches: number) => row!.reference(args, operands, batches);
  return row && hostStep(kernels, plain, op.endsWith("_S16"), compute);
}

/** A step of the same sizes that runs in TypeScript. */
function hostStep(
  kernels: Kernels,
  plain: Step,
  wide: boolean,
  compute: (operands: (Int8Array | Int16Array)[], batches: number) => Int8Array | Int16Array,
): Step {
  let bound = { input: 0, input2: 0, output: 0 };
  const view = (address: number, bytes: number) =>
    wide
      ? new Int16Array(kernels.memory.buffer, address, bytes / 2)
      : new Int8Array(kernels.memory.buffer, address, bytes);
  return {
    ...plain,
    bind: ({ input, input2 = 0, output }) => {
      bound = { input, input2, output };
    },
    // One image after another, as the device has them.
    run: (batches) => {
      for (let i = 0; i < batches; i++) {
        const operands = [view(bound.input + plain.inputBytes * i, plain.inputBytes)];
        if (plain.input2Bytes !== undefined)
          operands.push(view(bound.input2 + plain.input2Bytes * i, plain.input2Bytes));
        view(bound.output + plain.outputBytes * i, plain.outputBytes).set(compute(operands, 1));
      }
    },
  };
}
