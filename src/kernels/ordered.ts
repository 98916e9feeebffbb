/** Convolutions whose accumulator saturates: preparation, and the same in plain TypeScript. assembly/ordered.ts says which
 * devices these are. DEPTHWISE_CONV_2D is one group a channel, FULLY_CONNECTED one pixel. */
import type { Conv2dArgs, DepthwiseConv2dArgs, FullyConnectedArgs, Op, Step, Values } from "./args.ts";
import { CONV_2D } from "./convolution.ts";
import { convolutionBytes, type Layer, layerBound, packLayer } from "./layer.ts";
import type { Kernels } from "./module.ts";
import { clamp, requantize } from "./requantize.ts";
import { channelOf, PANEL_LANES } from "./requantizers.ts";
import { makeStep } from "./step.ts";
import { inputBound, wholeWeights } from "./weights.ts";
import { paddedImage, tapOffsets } from "./windows.ts";

/** width: weights of one channel that lie together. */
const KERNELS = {
  "saturate-20": { kernel: "conv_2d_saturating_s8", width: 2 },
  "saturate-pairs-16": { kernel: "conv_2d_paired_s8", width: 4 },
} as const;
export type OrderedAccumulator = keyof typeof KERNELS;
export const ORDERED_ACCUMULATORS = Object.keys(KERNELS) as OrderedAccumulator[];
export type OrderedConv2dArgs = Conv2dArgs & { accumulator: OrderedAccumulator };

/** assembly/ordered.ts: accumulators and what a copy may write too much; products of a block. */
const SCRATCH_HEAD = 128 + 16;
const BLOCK = 16;
const MOST_20_BITS = 2 ** 19 - 1;

/** One group a channel: 1HWC weights become OHWI. */
export function depthwiseAsConv2d(args: DepthwiseConv2dArgs): Conv2dArgs {
  const outputDepth = args.inputDepth * args.depthMultiplier;
  const taps = args.filterHeight * args.filterWidth;
  const source = wholeWeights(args, taps * outputDepth);
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

const weightsOf = (args: OrderedConv2dArgs) =>
  wholeWeights(
    args,
    (args.outputDepth * args.filterHeight * args.filterWidth * args.inputDepth) / args.groups,
  );

/** Bias as the accumulator starts with it: in pairs, without what the zero point adds to products of uint8. */
function startOf(args: OrderedConv2dArgs, filter: ArrayLike<number>, channel: number): number {
  const bias = args.bias === null ? 0 : args.bias[channel];
  if (args.accumulator === "saturate-20") return bias;
  const length = filter.length / args.outputDepth;
  let sum = 0;
  for (let k = 0; k < length; k++) sum += filter[channel * length + k];
  return (bias - (128 - args.inputOffset) * sum) | 0;
}

function layerOf(args: OrderedConv2dArgs): Layer {
  const { outputDepth, groups } = args;
  const filter = weightsOf(args);
  const length = filter.length / outputDepth;
  const at = (channel: number, k: number) => (k < length ? filter[channel * length + k] : 0);
  return {
    groups,
    groupDepth: outputDepth / groups,
    length,
    paddedLength: Math.ceil(length / BLOCK) * BLOCK,
    at,
  };
}

/** The largest product of an activation with the weights of one pair, of one sign. */
function pairBound({ groups, groupDepth, length, at }: Layer): number {
  let bound = 0;
  for (let channel = 0; channel < groups * groupDepth; channel++)
    for (let k = 0; k < length; k += 2) {
      const pair = [at(channel, k), at(channel, k + 1)];
      for (const sign of [1, -1])
        bound = Math.max(bound, 255 * pair.reduce((sum, weight) => sum + Math.max(0, sign * weight), 0));
    }
  return bound;
}

/** When the op's own kernel has the same sums. */
const EXACT: readonly { reason: string; allows(args: OrderedConv2dArgs): boolean }[] = [
  {
    reason: "with bias and weights as they are, no sum leaves 20 bits",
    allows: (args) => args.accumulator === "saturate-20" && layerBound(args, layerOf(args)) <= MOST_20_BITS,
  },
  {
    reason: "no pair of weights takes a uint8 out of 16 bits: those of seven bits never do",
    allows: (args) => args.accumulator === "saturate-pairs-16" && pairBound(layerOf(args)) <= 2 ** 15 - 1,
  },
];

/** [panel][k / width][8][width]. */
function packOrdered({ groups, groupDepth, paddedLength, at }: Layer, width: number): Int8Array {
  const panels = Math.ceil(groupDepth / PANEL_LANES);
  const packed = new Int8Array(groups * panels * PANEL_LANES * paddedLength);
  for (let channel = 0; channel < groups * groupDepth; channel++) {
    const [group, lane] = [Math.floor(channel / groupDepth), channel % groupDepth];
    const panel = group * panels + Math.floor(lane / PANEL_LANES);
    for (let k = 0; k < paddedLength; k++) {
      const run = panel * (paddedLength / width) + Math.floor(k / width);
      packed[(run * PANEL_LANES + (lane % PANEL_LANES)) * width + (k % width)] = at(channel, k);
    }
  }
  return packed;
}

/** [panel][block]: the magnitude up to which no sum of the panel leaves 20 bits within the block. */
function blockLimits(args: OrderedConv2dArgs, { groups, groupDepth, paddedLength, at }: Layer): Int32Array {
  const panels = Math.ceil(groupDepth / PANEL_LANES);
  const blocks = paddedLength / BLOCK;
  const limits = new Int32Array(groups * panels * blocks).fill(MOST_20_BITS);
  for (let channel = 0; channel < groups * groupDepth; channel++) {
    const panel =
      Math.floor(channel / groupDepth) * panels + Math.floor((channel % groupDepth) / PANEL_LANES);
    for (let block = 0; block < blocks; block++) {
      let sum = 0;
      for (let k = 0; k < BLOCK; k++) sum += Math.abs(at(channel, block * BLOCK + k));
      const place = panel * blocks + block;
      limits[place] = Math.min(limits[place], MOST_20_BITS - sum * inputBound(args.inputOffset));
    }
  }
  return limits;
}

/** plain: the step of the op where nothing saturates. */
export function prepareOrdered(kernels: Kernels, args: OrderedConv2dArgs, plain: () => Step): Step {
  if (EXACT.some(({ allows }) => allows(args))) return plain();
  const mark = kernels.mark();
  const { accumulator, outputDepth, groups } = args;
  const { kernel, width } = KERNELS[accumulator];
  const paired = accumulator === "saturate-pairs-16";
  const depth = args.inputDepth / groups;
  const image = paddedImage(args, args.inputDepth * 2);
  const rowIsRun = groups === 1 && args.dilationWidth === 1;
  const taps = tapOffsets(args, image, rowIsRun ? 1 : args.filterWidth);
  const layer = layerOf(args);
  const filter = weightsOf(args);
  const bias = Int32Array.from({ length: outputDepth }, (_, c) => startOf(args, filter, c));
  const sums = { ...args, bias, inputOffset: paired ? 128 : args.inputOffset };
  const values = {
    ...packLayer(kernels, sums, layer, packOrdered(layer, width)),
    ...image,
    inputOffset: args.inputOffset,
    offsets: kernels.place(Int32Array.from(taps)),
    offsetCount: taps.length,
    groupBytes: depth * 2,
    depthMultiplier: 1,
    spacingHeight: 1,
    spacingWidth: 1,
    runLength: rowIsRun ? args.filterWidth * depth : depth,
    length: layer.paddedLength,
    zeroPoint: paired ? 128 - args.inputOffset : 0,
    limits: paired ? 0 : kernels.place(blockLimits(args, layer)),
  };
  const bytes = convolutionBytes(args, image, outputDepth);
  const scratchBytes = bytes.scratchBytes + SCRATCH_HEAD + 4 * layer.paddedLength * 2;
  return makeStep(kernels, mark, kernel, "OrderedConvolution", values, { ...bytes, scratchBytes });
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
  prepare: (kernels, args) => prepareOrdered(kernels, args, () => CONV_2D.prepare(kernels, args)),
  reference(args, [input], batches) {
    if (args.requantizer === "none") throw new TypeError("CONV_2D_ORDERED: expected a requantizer, got none");
    const { requantizer, outputDepth } = args;
    const filter = weightsOf(args);
    const length = batches * args.outputHeight * args.outputWidth * outputDepth;
    return Int8Array.from({ length }, (_, index) => {
      const channel = index % outputDepth;
      const acc = accumulate(args, operandsOf(args, input, filter, index), startOf(args, filter, channel));
      return requantize(requantizer, acc, channelOf(args, channel), args);
    });
  },
};
