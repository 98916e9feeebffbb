/** CONV_2D, DEPTHWISE_CONV_2D and FULLY_CONNECTED of int16 by int8: packing, and the same in plain TypeScript. */
import type { Op, Output, Step, Values } from "../args.ts";
import type { Kernels } from "../module.ts";
import { clamp } from "../requantize.ts";
import { PANEL_LANES } from "../requantizers.ts";
import { makeStep } from "../step.ts";
import { accumulatorBound, packWeights } from "../weights.ts";
import { eachTap, paddedImage, tapOffsets } from "../windows.ts";
import type { SumScaling, WideConv2dArgs, WideDepthwiseConv2dArgs, WideFullyConnectedArgs } from "./args.ts";
import { reduceMultiplier, requantizeChannel, SUM_FORMS } from "./requantize.ts";

/** assembly/wide/convolution.ts: IMAGE, CHUNK_ROWS, WIDE_PANEL_BYTES. */
const SCRATCH_HEAD = 256 + 64 * 32 + 64 * 64;
const CHUNK_ROWS = 16;
const PANEL_WORDS = 40;
const MULTIPLIER = 8;
const SHIFT = 16;
const BIAS64 = 24;
/** Vectors read 16 bytes at a time. */
const OVERREAD = 16;
/** Pairs of products whose sum an int32 holds whatever the weights: 2 * 255 * 2^15 * 2^7 < 2^31. */
const PAIRS_HELD = 255;
const DENSE = { spacingHeight: 1, spacingWidth: 1 };

interface Layer {
  groups: number;
  groupDepth: number;
  /** Weights a channel, padded to whole pairs. */
  length: number;
  at(channel: number, k: number): number;
}

/** Whether int32 holds every sum of a layer, or may wrap. */
function fitsInt32(args: SumScaling, { groups, groupDepth, length, at }: Layer): boolean {
  return args.sum === 32 || accumulatorBound(groups * groupDepth, length, null, 2 ** 15, at) < 2 ** 31;
}

/** Panels of eight channels; groups start panels of their own. */
function packPanels(args: SumScaling, { groups, groupDepth }: Layer): Int32Array {
  const panelsPerGroup = Math.ceil(groupDepth / PANEL_LANES);
  const words = new Int32Array(groups * panelsPerGroup * PANEL_WORDS);
  const at = (values: ArrayLike<number>, channel: number) => values[values.length === 1 ? 0 : channel];
  for (let channel = 0; channel < groups * groupDepth; channel++) {
    const inGroup = channel % groupDepth;
    const panel = Math.floor(channel / groupDepth) * panelsPerGroup + Math.floor(inGroup / PANEL_LANES);
    const fields = words.subarray(panel * PANEL_WORDS, (panel + 1) * PANEL_WORDS);
    const lane = inGroup % PANEL_LANES;
    const bias = args.bias?.[channel] ?? 0;
    if ("factor" in args)
      new Float64Array(fields.buffer, fields.byteOffset + MULTIPLIER * 4, 8)[lane] = at(args.factor, channel);
    else {
      const multiplier = at(args.multiplier, channel);
      fields[MULTIPLIER + lane] = args.sum === 64 ? reduceMultiplier(multiplier) : multiplier;
      fields[SHIFT + lane] = at(args.shift, channel);
    }
    if (typeof bias === "number") fields[lane] = args.sum === 64 ? 0 : bias;
    else {
      fields[BIAS64 + 2 * lane] = Number(BigInt.asIntN(32, bias));
      fields[BIAS64 + 2 * lane + 1] = Number(BigInt.asIntN(32, bias >> 32n));
    }
  }
  return words;
}

function packLayer(kernels: Kernels, args: SumScaling & Output, layer: Layer) {
  const { groups, groupDepth } = layer;
  return {
    requantizer: SUM_FORMS[args.requantizer],
    panels: kernels.place(packPanels(args, layer)),
    weights: kernels.place(packWeights({ weightBits: 8, ...layer })),
    outputOffset: args.outputOffset,
    activationMin: args.activationMin,
    activationMax: args.activationMax,
    groups,
    groupDepth,
    outputDepth: groups * groupDepth,
  };
}

/** Runs of `run` values, in pieces of as many pairs as an int32 sum may hold. weight: channel, run and place in it. */
function packRuns(
  kernels: Kernels,
  args: SumScaling & Output,
  shape: { groups: number; groupDepth: number; run: number; runs: readonly number[] },
  weight: (channel: number, run: number, place: number) => number,
) {
  const { groups, groupDepth, run, runs } = shape;
  const layerOf = (stride: number): Layer => ({
    groups,
    groupDepth,
    length: runs.length * stride,
    at: (channel, k) => (k % stride < run ? weight(channel, Math.floor(k / stride), k % stride) : 0),
  });
  const pairs = Math.ceil(run / 2);
  const fits = fitsInt32(args, layerOf(pairs * 2));
  const pieces = fits ? 1 : Math.ceil(pairs / PAIRS_HELD);
  const piecePairs = Math.ceil(pairs / pieces);
  const offsets = runs.flatMap((offset) =>
    Array.from({ length: pieces }, (_, piece) => offset + piece * piecePairs * 4),
  );
  const stride = pieces * piecePairs * 2;
  const fields = {
    ...packLayer(kernels, args, layerOf(stride)),
    offsets: kernels.place(Int32Array.from(offsets)),
    offsetCount: offsets.length,
    pairs: piecePairs,
    segment: fits ? offsets.length : Math.floor(PAIRS_HELD / piecePairs),
  };
  return { fields, overread: OVERREAD + (stride - run) * 2 };
}

/** spacing: more than 1 in what TRANSPOSE_CONV convolves. */
export function prepareConv2d(kernels: Kernels, args: WideConv2dArgs, spacing = DENSE): Step {
  const mark = kernels.mark();
  const { groups, outputDepth, filterWidth, filter } = args;
  const depth = args.inputDepth / groups;
  const image = paddedImage(args, args.inputDepth * 2);
  const rowIsRun = groups === 1 && args.dilationWidth === 1;
  const run = rowIsRun ? filterWidth * depth : depth;
  const runs = tapOffsets(args, image, rowIsRun ? 1 : filterWidth);
  const shape = { groups, groupDepth: outputDepth / groups, run, runs };
  const { fields, overread } = packRuns(
    kernels,
    args,
    shape,
    (channel, at, place) => filter[(channel * runs.length + at) * run + place],
  );
  const values = { ...fields, ...image, groupBytes: depth * 2, depthMultiplier: 1, ...spacing };
  const bytes = convolutionBytes(args, image, outputDepth, overread);
  return makeStep(kernels, mark, "conv_2d_s16", "WideConvolution", values, bytes);
}

function convolutionBytes(
  args: WideConv2dArgs | WideDepthwiseConv2dArgs,
  image: ReturnType<typeof paddedImage>,
  outputDepth: number,
  overread: number,
) {
  return {
    inputBytes: args.inputHeight * args.inputWidth * args.inputDepth * 2,
    outputBytes: args.outputHeight * args.outputWidth * outputDepth * 2,
    scratchBytes: SCRATCH_HEAD + image.paddedHeight * image.paddedWidth * image.pixelBytes + overread,
  };
}

function prepareDepthwiseConv2d(kernels: Kernels, args: WideDepthwiseConv2dArgs): Step {
  const mark = kernels.mark();
  const outputDepth = args.inputDepth * args.depthMultiplier;
  const image = paddedImage(args, Math.ceil(outputDepth / PANEL_LANES) * PANEL_LANES * 2);
  const taps = tapOffsets(args, image, args.filterWidth);
  const pairs = Math.ceil(taps.length / 2);
  const layer: Layer = {
    groups: 1,
    groupDepth: outputDepth,
    length: pairs * 2,
    at: (channel, k) => (k < taps.length ? args.filter[k * outputDepth + channel] : 0),
  };
  const offsets = taps.length & 1 ? [...taps, taps[taps.length - 1]] : taps;
  const values = {
    ...packLayer(kernels, args, layer),
    ...image,
    offsets: kernels.place(Int32Array.from(offsets)),
    offsetCount: 1,
    pairs,
    segment: fitsInt32(args, layer) ? pairs : PAIRS_HELD,
    groupBytes: 0,
    depthMultiplier: args.depthMultiplier,
  };
  const bytes = convolutionBytes(args, image, outputDepth, OVERREAD);
  return makeStep(kernels, mark, "depthwise_conv_2d_s16", "WideConvolution", values, bytes);
}

function prepareFullyConnected(kernels: Kernels, args: WideFullyConnectedArgs): Step {
  const mark = kernels.mark();
  const { inputDepth, outputDepth, filter } = args;
  const shape = { groups: 1, groupDepth: outputDepth, run: inputDepth, runs: [0] };
  const { fields, overread } = packRuns(
    kernels,
    args,
    shape,
    (channel, _, place) => filter[channel * inputDepth + place],
  );
  return makeStep(
    kernels,
    mark,
    "fully_connected_s16",
    "WideFullyConnected",
    { ...fields, inputDepth },
    {
      inputBytes: inputDepth * 2,
      outputBytes: outputDepth * 2,
      scratchBytes: SCRATCH_HEAD + CHUNK_ROWS * inputDepth * 2 + overread,
    },
  );
}

export function finish(args: SumScaling & Output, sum: number, channel: number): number {
  const value = requantizeChannel(args, sum, channel) + args.outputOffset;
  return clamp(value, args.activationMin, args.activationMax);
}

/** Exact sums of products, without the bias. */
export function conv2dSums(args: WideConv2dArgs, [input]: readonly Values[], batches: number): Float64Array {
  const { inputDepth, outputDepth, groups, filter } = args;
  const depth = inputDepth / groups;
  const taps = args.filterHeight * args.filterWidth;
  const pixels = args.outputHeight * args.outputWidth;
  return Float64Array.from({ length: batches * pixels * outputDepth }, (_, index) => {
    const channel = index % outputDepth;
    const pixel = Math.floor(index / outputDepth);
    const image = Math.floor(pixel / pixels) * args.inputHeight * args.inputWidth;
    const group = Math.floor(channel / (outputDepth / groups));
    let sum = 0;
    eachTap(args, pixel % pixels, (tap, inputPixel) => {
      const x = (image + inputPixel) * inputDepth + group * depth;
      const w = (channel * taps + tap) * depth;
      for (let i = 0; i < depth; i++) sum += input[x + i] * filter[w + i];
    });
    return sum;
  });
}

function referenceConv2d(args: WideConv2dArgs, operands: readonly Values[], batches: number): Int16Array {
  const sums = conv2dSums(args, operands, batches);
  return Int16Array.from(sums, (sum, i) => finish(args, sum, i % args.outputDepth));
}

function referenceDepthwiseConv2d(
  args: WideDepthwiseConv2dArgs,
  [input]: readonly Values[],
  batches: number,
): Int16Array {
  const { inputDepth, depthMultiplier, filter } = args;
  const outputDepth = inputDepth * depthMultiplier;
  const pixels = args.outputHeight * args.outputWidth;
  return Int16Array.from({ length: batches * pixels * outputDepth }, (_, index) => {
    const channel = index % outputDepth;
    const pixel = Math.floor(index / outputDepth);
    const image = Math.floor(pixel / pixels) * args.inputHeight * args.inputWidth;
    let sum = 0;
    eachTap(args, pixel % pixels, (tap, inputPixel) => {
      const x = (image + inputPixel) * inputDepth + Math.floor(channel / depthMultiplier);
      sum += input[x] * filter[tap * outputDepth + channel];
    });
    return finish(args, sum, channel);
  });
}

/** of: what becomes of the sum of one output, which it gets in blocks of so many products. */
export function fullyConnectedSums(
  args: WideFullyConnectedArgs,
  [input]: readonly Values[],
  batches: number,
  block = { size: args.inputDepth, of: (sum: number) => sum },
): Float64Array {
  const { inputDepth, outputDepth, filter } = args;
  return Float64Array.from({ length: batches * outputDepth }, (_, index) => {
    const x = Math.floor(index / outputDepth) * inputDepth;
    const w = (index % outputDepth) * inputDepth;
    let total = 0;
    for (let start = 0; start < inputDepth; start += block.size) {
      let sum = 0;
      for (let i = start; i < Math.min(start + block.size, inputDepth); i++)
        sum += input[x + i] * filter[w + i];
      total += block.of(sum);
    }
    return total;
  });
}

function referenceFullyConnected(
  args: WideFullyConnectedArgs,
  operands: readonly Values[],
  batches: number,
): Int16Array {
  const sums = fullyConnectedSums(args, operands, batches);
  return Int16Array.from(sums, (sum, i) => finish(args, sum, i % args.outputDepth));
}

function windowMacs(
  args: WideConv2dArgs | WideDepthwiseConv2dArgs,
  outputDepth: number,
  depth: number,
): number {
  return args.outputHeight * args.outputWidth * outputDepth * args.filterHeight * args.filterWidth * depth;
}

export const CONV_2D: Op<WideConv2dArgs> = {
  macs: (args) => windowMacs(args, args.outputDepth, args.inputDepth / args.groups),
  prepare: prepareConv2d,
  reference: referenceConv2d,
};

export const DEPTHWISE_CONV_2D: Op<WideDepthwiseConv2dArgs> = {
  macs: (args) => windowMacs(args, args.inputDepth * args.depthMultiplier, 1),
  prepare: prepareDepthwiseConv2d,
  reference: referenceDepthwiseConv2d,
};

export const FULLY_CONNECTED: Op<WideFullyConnectedArgs> = {
  macs: (args) => args.inputDepth * args.outputDepth,
  prepare: prepareFullyConnected,
  reference: referenceFullyConnected,
};
