/** Convolutions whose accumulator saturates: preparation, and the same in plain TypeScript. assembly/ordered.ts says which
 * devices these are. DEPTHWISE_CONV_2D is one group a channel, FULLY_CONNECTED one pixel. */
import type {
  Conv2dArgs,
  DepthwiseConv2dArgs,
  FullyConnectedArgs,
  Op,
  Step,
  Values,
  Weights,
} from "./args.ts";
import type { Kernels } from "./module.ts";
import { clamp, requantize } from "./requantize.ts";
import { channelOf, exactForm } from "./requantizers.ts";
import { makeStep } from "./step.ts";
import { unpackInt4 } from "./weights.ts";

/** The wasm module knows them by their place. */
export const ORDERED_ACCUMULATORS = ["saturate-20", "saturate-pairs-16"] as const;
export type OrderedAccumulator = (typeof ORDERED_ACCUMULATORS)[number];
export type OrderedConv2dArgs = Conv2dArgs & { accumulator: OrderedAccumulator };

function plainWeights({ weightBits, filter }: Weights, count: number): ArrayLike<number> {
  return weightBits === 4 ? unpackInt4(filter as Uint8Array, count) : filter;
}

/** One group a channel: 1HWC weights become OHWI. */
export function depthwiseAsConv2d(args: DepthwiseConv2dArgs): Conv2dArgs {
  const outputDepth = args.inputDepth * args.depthMultiplier;
  const taps = args.filterHeight * args.filterWidth;
  const source = plainWeights(args, taps * outputDepth);
  const filter = Int8Array.from(
    { length: taps * outputDepth },
    (_, i) => source[(i % taps) * outputDepth + Math.floor(i / taps)],
  );
  return { ...args, weightBits: 8, filter, outputDepth, groups: args.inputDepth };
}

/** One pixel of inputDepth channels. */
export function fullyConnectedAsConv2d(args: FullyConnectedArgs): Conv2dArgs {
  const one = {
    inputHeight: 1,
    inputWidth: 1,
    outputHeight: 1,
    outputWidth: 1,
    filterHeight: 1,
    filterWidth: 1,
  };
  const steps = { strideHeight: 1, strideWidth: 1, dilationHeight: 1, dilationWidth: 1 };
  return { ...args, ...one, ...steps, padTop: 0, padLeft: 0, groups: 1 };
}

/** Bias as the accumulator starts with it: in pairs, without what the zero point adds to products of uint8. */
function startOf(args: OrderedConv2dArgs, filter: ArrayLike<number>, channel: number): number {
  const bias = args.bias === null ? 0 : args.bias[channel];
  if (args.accumulator === "saturate-20") return bias;
  const length = filter.length / args.outputDepth;
  let sum = 0;
  for (let k = 0; k < length; k++) sum += filter[channel * length + k];
  return (bias - (128 - args.inputOffset) * sum) | 0;
}

function prepareOrdered(kernels: Kernels, args: OrderedConv2dArgs): Step {
  const mark = kernels.mark();
  const { outputDepth, groups, inputDepth } = args;
  const count = (outputDepth * args.filterHeight * args.filterWidth * inputDepth) / groups;
  const filter = Int8Array.from(plainWeights(args, count));
  const channels = Array.from({ length: outputDepth }, (_, c) => channelOf(args, c));
  const place = (values: number[]) => kernels.place(Int32Array.from(values));
  const { filter: _, bias: __, ...own } = args;
  const values = {
    ...(own as unknown as Record<string, number>),
    requantizer: exactForm(args.requantizer),
    accumulator: ORDERED_ACCUMULATORS.indexOf(args.accumulator),
    weights: kernels.place(filter),
    bias: place(channels.map((_, c) => startOf(args, filter, c))),
    multipliers: place(channels.map(({ multiplier }) => multiplier)),
    shifts: place(channels.map(({ shift }) => shift)),
    scales: kernels.place(Float32Array.from(channels, ({ scale }) => scale)),
    groupDepth: inputDepth / groups,
    groupOutputs: outputDepth / groups,
  };
  return makeStep(kernels, mark, "conv_2d_ordered_s8", "Ordered", values, {
    inputBytes: args.inputHeight * args.inputWidth * inputDepth,
    outputBytes: args.outputHeight * args.outputWidth * outputDepth,
  });
}

/** Activations (null in the padding) and weights of one output, in the order filter row, column, input channel. */
function operandsOf(args: OrderedConv2dArgs, input: Values, filter: ArrayLike<number>, index: number) {
  const { outputDepth, outputHeight, outputWidth, inputDepth, groups } = args;
  const depth = inputDepth / groups;
  const channel = index % outputDepth;
  const pixel = Math.floor(index / outputDepth);
  const image = Math.floor(pixel / (outputHeight * outputWidth)) * args.inputHeight;
  const group = Math.floor(channel / (outputDepth / groups)) * depth;
  const taps = args.filterHeight * args.filterWidth;
  return Array.from({ length: taps * depth }, (_, k) => {
    const tap = Math.floor(k / depth);
    const top = (Math.floor(pixel / outputWidth) % outputHeight) * args.strideHeight - args.padTop;
    const y = top + Math.floor(tap / args.filterWidth) * args.dilationHeight;
    const x =
      (pixel % outputWidth) * args.strideWidth - args.padLeft + (tap % args.filterWidth) * args.dilationWidth;
    const inside = y >= 0 && x >= 0 && y < args.inputHeight && x < args.inputWidth;
    const at = ((image + y) * args.inputWidth + x) * inputDepth + group + (k % depth);
    return { value: inside ? Number(input[at]) : null, weight: filter[channel * taps * depth + k] };
  });
}

function accumulate(args: OrderedConv2dArgs, operands: ReturnType<typeof operandsOf>, start: number): number {
  if (args.accumulator === "saturate-20") {
    const saturate = (value: number) => clamp(value, -(2 ** 19), 2 ** 19 - 1);
    return operands.reduce(
      (acc, { value, weight }) =>
        value === null ? acc : saturate(acc + (value + args.inputOffset) * weight),
      saturate(start),
    );
  }
  const products = operands.map(
    ({ value, weight }) => (value === null ? 128 - args.inputOffset : value + 128) * weight,
  );
  let acc = start;
  for (let k = 0; k < products.length; k += 2)
    acc += clamp(products[k] + (products[k + 1] ?? 0), -32768, 32767);
  return acc | 0;
}

export const CONV_2D_ORDERED: Op<OrderedConv2dArgs> = {
  macs: (args) =>
    (args.outputHeight *
      args.outputWidth *
      args.outputDepth *
      args.filterHeight *
      args.filterWidth *
      args.inputDepth) /
    args.groups,
  prepare: prepareOrdered,
  reference(args, [input], batches) {
    if (args.requantizer === "none") throw new TypeError("CONV_2D_ORDERED: expected a requantizer, got none");
    const { requantizer, outputDepth } = args;
    const count = (outputDepth * args.filterHeight * args.filterWidth * args.inputDepth) / args.groups;
    const filter = plainWeights(args, count);
    const length = batches * args.outputHeight * args.outputWidth * outputDepth;
    return Int8Array.from({ length }, (_, index) => {
      const channel = index % outputDepth;
      const acc = accumulate(args, operandsOf(args, input, filter, index), startOf(args, filter, channel));
      return requantize(requantizer, acc, channelOf(args, channel), args);
    });
  },
};
