/** CONV_2D, DEPTHWISE_CONV_2D and FULLY_CONNECTED: packing, and the same in plain TypeScript. */
import type {
  Conv2dArgs,
  DepthwiseConv2dArgs,
  FullyConnectedArgs,
  Op,
  Output,
  Requantization,
  Step,
  Values,
} from "./args.ts";
import { DEPTHWISE_3X3 } from "./depthwise.ts";
import { convolutionBytes, even, OVERREAD, outputElementBytes, packLayer, SCRATCH_HEAD } from "./layer.ts";
import type { Kernels } from "./module.ts";
import { requantize } from "./requantize.ts";
import { channelOf, PANEL_LANES } from "./requantizers.ts";
import { makeStep } from "./step.ts";
import { packInt4, partOf, partsOf, wholeWeights } from "./weights.ts";
import { eachTap, paddedImage, tapOffsets } from "./windows.ts";
import { WINOGRAD } from "./winograd.ts";

/** Rows that FULLY_CONNECTED widens at once, a multiple of four: assembly/convolution.ts has scratch for 64. */
const CHUNK_BYTES = 16 << 10;
const chunkRows = (inputDepth: number) =>
  Math.min(64, Math.max(16, Math.floor(CHUNK_BYTES / (inputDepth * 2) / 4) * 4));

/** Pixels of the convolved image from one of the input to the next: more than 1 in what TRANSPOSE_CONV convolves. */
const DENSE = { spacingHeight: 1, spacingWidth: 1 };

/** What a convolution may run on other than taps: the first that allows it. Each has the same sums. */
const VARIANTS: readonly Variant[] = [
  WINOGRAD,
  {
    reason:
      "1x1 at stride 1 is FULLY_CONNECTED of every pixel: no padding, and rows of several images go together",
    allows: (args) =>
      [args.filterHeight, args.filterWidth, args.strideHeight, args.strideWidth, args.groups].every(
        (n) => n === 1,
      ) &&
      args.padTop === 0 &&
      args.padLeft === 0 &&
      args.outputHeight === args.inputHeight &&
      args.outputWidth === args.inputWidth &&
      partsOf(wholeWeights(args, args.outputDepth * args.inputDepth)) === 1,
    prepare: (kernels, args) =>
      prepareFullyConnected(kernels, {
        ...args,
        rows: args.outputHeight * args.outputWidth,
        filterOffset: 0,
      }),
  },
];

export interface Variant {
  /** Why it is worth it, and right. */
  reason: string;
  allows(args: Conv2dArgs): boolean;
  prepare(kernels: Kernels, args: Conv2dArgs): Step;
}

function prepareConv2d(kernels: Kernels, args: Conv2dArgs): Step {
  const variant = VARIANTS.find(({ allows }) => allows(args));
  return variant ? variant.prepare(kernels, args) : prepareTaps(kernels, args);
}

/** Any convolution: the taps of a pixel as runs of the widened image. */
export function prepareTaps(kernels: Kernels, args: Conv2dArgs, spacing = DENSE): Step {
  const mark = kernels.mark();
  const depth = args.inputDepth / args.groups;
  const image = paddedImage(args, args.inputDepth * 2);
  const rowIsRun = args.groups === 1 && args.dilationWidth === 1;
  const run = rowIsRun ? args.filterWidth * depth : depth;
  const taps = tapOffsets(args, image, rowIsRun ? 1 : args.filterWidth);
  const length = taps.length * run;
  const filter = wholeWeights(args, args.outputDepth * length);
  const parts = partsOf(filter);
  const offsets = new Array<number[]>(parts).fill(taps).flat();
  const stride = even(run);
  const paddedLength = offsets.length * stride;
  const dense = packLayer(kernels, args, {
    groups: args.groups,
    groupDepth: args.outputDepth / args.groups,
    length: paddedLength,
    paddedLength,
    at: (channel, k) => {
      const inRun = k % stride;
      if (inRun >= run) return 0;
      const tap = Math.floor(k / stride);
      const weight = filter[channel * length + (tap % taps.length) * run + inRun];
      return partOf(weight, Math.floor(tap / taps.length), parts);
    },
  });
  const values = {
    ...dense,
    ...image,
    offsets: kernels.place(Int32Array.from(offsets)),
    offsetCount: offsets.length,
    pairs: stride / 2,
    groupBytes: depth * 2,
    depthMultiplier: 1,
    ...spacing,
  };
  const bytes = convolutionBytes(args, image, args.outputDepth);
  return makeStep(kernels, mark, `conv_2d_s${args.weightBits}`, "Convolution", values, bytes);
}

/** Over one channel a depthwise convolution is a plain one, whose filter has its taps last. */
function overOneChannel(args: DepthwiseConv2dArgs): Conv2dArgs {
  const { depthMultiplier, weightBits } = args;
  const taps = args.filterHeight * args.filterWidth;
  const filter = wholeWeights(args, taps * depthMultiplier);
  const turned = filter.map((_, i) => filter[(i % taps) * depthMultiplier + Math.floor(i / taps)]);
  return {
    ...args,
    filter: weightBits === 4 ? packInt4(turned) : turned,
    outputDepth: depthMultiplier,
    groups: 1,
  };
}

function prepareDepthwiseConv2d(kernels: Kernels, args: DepthwiseConv2dArgs): Step {
  if (args.inputDepth === 1) return prepareConv2d(kernels, overOneChannel(args));
  return DEPTHWISE_3X3.allows(args)
    ? DEPTHWISE_3X3.prepare(kernels, args)
    : prepareDepthwiseTaps(kernels, args);
}

/** Any depthwise convolution: every lane reads the taps of its own channel. */
function prepareDepthwiseTaps(kernels: Kernels, args: DepthwiseConv2dArgs): Step {
  const mark = kernels.mark();
  const outputDepth = args.inputDepth * args.depthMultiplier;
  const image = paddedImage(args, Math.ceil(outputDepth / PANEL_LANES) * PANEL_LANES * 2);
  const taps = tapOffsets(args, image, args.filterWidth);
  const filter = wholeWeights(args, taps.length * outputDepth);
  const parts = partsOf(filter);
  const length = taps.length * parts;
  const layer = packLayer(kernels, args, {
    groups: 1,
    groupDepth: outputDepth,
    length,
    paddedLength: even(length),
    at: (channel, k) =>
      k < length
        ? partOf(filter[(k % taps.length) * outputDepth + channel], Math.floor(k / taps.length), parts)
        : 0,
  });
  const offsets = new Array<number[]>(parts).fill(taps).flat();
  if (length & 1) offsets.push(taps[taps.length - 1]);
  const values = {
    ...layer,
    ...image,
    offsets: kernels.place(Int32Array.from(offsets)),
    offsetCount: 1,
    pairs: offsets.length / 2,
    groupBytes: 0,
    depthMultiplier: args.depthMultiplier,
    ...DENSE,
  };
  const bytes = convolutionBytes(args, image, outputDepth);
  return makeStep(kernels, mark, `depthwise_conv_2d_s${args.weightBits}`, "Convolution", values, bytes);
}

function prepareFullyConnected(kernels: Kernels, args: FullyConnectedArgs): Step {
  const mark = kernels.mark();
  const { inputDepth, outputDepth } = args;
  const filter = wholeWeights(args, outputDepth * inputDepth);
  const layer = packLayer(kernels, args, {
    groups: 1,
    groupDepth: outputDepth,
    length: inputDepth,
    paddedLength: even(inputDepth),
    at: (channel, k) => (k < inputDepth ? filter[channel * inputDepth + k] : 0),
  });
  const values = {
    ...layer,
    offsets: kernels.place(Int32Array.of(0)),
    offsetCount: 1,
    pairs: even(inputDepth) / 2,
    inputDepth,
    filterOffset: args.filterOffset,
    chunkRows: chunkRows(inputDepth),
  };
  const rows = args.rows ?? 1;
  const step = makeStep(kernels, mark, `fully_connected_s${args.weightBits}`, "FullyConnected", values, {
    inputBytes: rows * inputDepth,
    outputBytes: rows * outputDepth * outputElementBytes(args),
    scratchBytes: SCRATCH_HEAD + chunkRows(inputDepth) * inputDepth * 2 + OVERREAD,
  });
  return { ...step, run: (batches) => step.run(batches * rows) };
}

/** The output array of a reference, and how an accumulator (exact, wrapped here) of a channel goes into it. */
export function outputWriter(args: Requantization & Output, count: number) {
  if (args.requantizer === "none") {
    const output = new Int32Array(count);
    const write = (index: number, acc: number) => {
      output[index] = acc;
    };
    return { output, write };
  }
  const { requantizer } = args;
  const output = new Int8Array(count);
  const write = (index: number, acc: number, channel: number) => {
    output[index] = requantize(requantizer, acc | 0, channelOf(args, channel), args);
  };
  return { output, write };
}

function referenceConv2d(args: Conv2dArgs, [input]: readonly Values[], batches: number): Values {
  const { inputDepth, outputDepth, groups, inputOffset, bias } = args;
  const depth = inputDepth / groups;
  const taps = args.filterHeight * args.filterWidth;
  const filter = wholeWeights(args, outputDepth * taps * depth);
  const pixels = args.outputHeight * args.outputWidth;
  const { output, write } = outputWriter(args, batches * pixels * outputDepth);
  for (let index = 0; index < output.length; index++) {
    const channel = index % outputDepth;
    const pixel = Math.floor(index / outputDepth);
    const image = Math.floor(pixel / pixels) * args.inputHeight * args.inputWidth;
    const group = Math.floor(channel / (outputDepth / groups));
    let acc = bias === null ? 0 : bias[channel];
    eachTap(args, pixel % pixels, (tap, inputPixel) => {
      const x = (image + inputPixel) * inputDepth + group * depth;
      const w = (channel * taps + tap) * depth;
      for (let i = 0; i < depth; i++) acc += (input[x + i] + inputOffset) * filter[w + i];
    });
    write(index, acc, channel);
  }
  return output;
}

function referenceDepthwiseConv2d(
  args: DepthwiseConv2dArgs,
  [input]: readonly Values[],
  batches: number,
): Values {
  const { inputDepth, depthMultiplier, inputOffset, bias } = args;
  const outputDepth = inputDepth * depthMultiplier;
  const filter = wholeWeights(args, args.filterHeight * args.filterWidth * outputDepth);
  const pixels = args.outputHeight * args.outputWidth;
  const { output, write } = outputWriter(args, batches * pixels * outputDepth);
  for (let index = 0; index < output.length; index++) {
    const channel = index % outputDepth;
    const pixel = Math.floor(index / outputDepth);
    const image = Math.floor(pixel / pixels) * args.inputHeight * args.inputWidth;
    let acc = bias === null ? 0 : bias[channel];
    eachTap(args, pixel % pixels, (tap, inputPixel) => {
      const x = (image + inputPixel) * inputDepth + Math.floor(channel / depthMultiplier);
      acc += (input[x] + inputOffset) * filter[tap * outputDepth + channel];
    });
    write(index, acc, channel);
  }
  return output;
}

function referenceFullyConnected(
  args: FullyConnectedArgs,
  [input]: readonly Values[],
  batches: number,
): Values {
  const { inputDepth, outputDepth, inputOffset, filterOffset, bias } = args;
  const filter = wholeWeights(args, outputDepth * inputDepth);
  const { output, write } = outputWriter(args, batches * (args.rows ?? 1) * outputDepth);
  for (let index = 0; index < output.length; index++) {
    const channel = index % outputDepth;
    const x = Math.floor(index / outputDepth) * inputDepth;
    let acc = bias === null ? 0 : bias[channel];
    for (let i = 0; i < inputDepth; i++) {
      acc += (input[x + i] + inputOffset) * (filter[channel * inputDepth + i] + filterOffset);
    }
    write(index, acc, channel);
  }
  return output;
}

function windowMacs(args: Conv2dArgs | DepthwiseConv2dArgs, outputDepth: number, depth: number): number {
  return args.outputHeight * args.outputWidth * outputDepth * args.filterHeight * args.filterWidth * depth;
}

export const CONV_2D: Op<Conv2dArgs> = {
  macs: (args) => windowMacs(args, args.outputDepth, args.inputDepth / args.groups),
  prepare: prepareConv2d,
  reference: referenceConv2d,
};

export const DEPTHWISE_CONV_2D: Op<DepthwiseConv2dArgs> = {
  macs: (args) => windowMacs(args, args.inputDepth * args.depthMultiplier, 1),
  prepare: prepareDepthwiseConv2d,
  reference: referenceDepthwiseConv2d,
};

export const FULLY_CONNECTED: Op<FullyConnectedArgs> = {
  macs: (args) => (args.rows ?? 1) * args.inputDepth * args.outputDepth,
  prepare: prepareFullyConnected,
  reference: referenceFullyConnected,
};
