/** AVERAGE_POOL_2D, MAX_POOL_2D and MEAN: preparation, and the same in plain TypeScript. */
import type { AveragePool2dArgs, MeanArgs, Op, Step, Values } from "./args.ts";
import type { Kernels } from "./module.ts";
import { floatBits } from "./params.ts";
import { clamp, requantize, roundHalfEven } from "./requantize.ts";
import { channelOf, exactForm } from "./requantizers.ts";
import { makeStep } from "./step.ts";

/** int32 sums by channel, read by eights. */
function sumBytes(channels: number): number {
  return (channels + 8) * 4;
}

function preparePool(kernels: Kernels, kernel: string, args: AveragePool2dArgs): Step {
  return makeStep(kernels, kernels.mark(), kernel, "Pool", args, {
    inputBytes: args.inputHeight * args.inputWidth * args.inputDepth,
    outputBytes: args.outputHeight * args.outputWidth * args.inputDepth,
    scratchBytes: sumBytes(args.inputDepth),
  });
}

/** reduce: the taps inside the image, at least one, to the output before its clamp. */
function referencePool(
  args: AveragePool2dArgs,
  [input]: readonly Values[],
  batches: number,
  reduce: (taps: number[]) => number,
): Int8Array {
  const { inputHeight, inputWidth, inputDepth, outputHeight, outputWidth } = args;
  const output = new Int8Array(batches * outputHeight * outputWidth * inputDepth);
  for (let index = 0; index < output.length; index++) {
    const pixel = Math.floor(index / inputDepth);
    const top = (Math.floor(pixel / outputWidth) % outputHeight) * args.strideHeight - args.padTop;
    const left = (pixel % outputWidth) * args.strideWidth - args.padLeft;
    const image = Math.floor(pixel / (outputHeight * outputWidth)) * inputHeight;
    const taps: number[] = [];
    for (let y = Math.max(top, 0); y < Math.min(top + args.filterHeight, inputHeight); y++) {
      for (let x = Math.max(left, 0); x < Math.min(left + args.filterWidth, inputWidth); x++) {
        taps.push(input[((image + y) * inputWidth + x) * inputDepth + (index % inputDepth)]);
      }
    }
    output[index] = clamp(reduce(taps), args.activationMin, args.activationMax);
  }
  return output;
}

/** C's integer division of the sum, half the count added away from zero. */
function averageHalfAway(taps: number[], inputOffset: number): number {
  const sum = taps.reduce((total, tap) => total + tap + inputOffset, 0);
  const half = Math.floor(taps.length / 2);
  return Math.trunc((sum > 0 ? sum + half : sum - half) / taps.length) - inputOffset;
}

export const AVERAGE_POOL_2D: Op<AveragePool2dArgs> = {
  macs: () => 0,
  prepare: (kernels, args) => preparePool(kernels, "average_pool_2d_s8", args),
  reference: (args, operands, batches) =>
    referencePool(args, operands, batches, (taps) => averageHalfAway(taps, args.inputOffset ?? 0)),
};

export const MAX_POOL_2D: Op<AveragePool2dArgs> = {
  macs: () => 0,
  prepare: (kernels, args) => preparePool(kernels, "max_pool_2d_s8", args),
  reference: (args, operands, batches) => referencePool(args, operands, batches, (taps) => Math.max(...taps)),
};

/** Sizes of neighbouring dimensions of one kind, kept and reduced by turns; the first are kept. */
export function meanRuns({ shape, axes }: Pick<MeanArgs, "shape" | "axes">): number[] {
  const sizes = [1];
  for (const [axis, size] of shape.entries()) {
    const reduced = axes.includes(axis) ? 1 : 0;
    if (size === 1) continue;
    if ((sizes.length - 1) % 2 === reduced) sizes[sizes.length - 1] *= size;
    else sizes.push(size);
  }
  return sizes;
}

/** [kept, reduced, kept, reduced], as the kernel walks them. */
export function meanBlocks({
  shape,
  axes,
}: Pick<MeanArgs, "shape" | "axes">): [number, number, number, number] {
  const sizes = meanRuns({ shape, axes });
  if (sizes.length > 4)
    throw new RangeError(`MEAN: axes ${axes.join()} of ${shape.join("x")} alternate too often`);
  const [outer, reducedOuter = 1, inner = 1, reducedInner = 1] = sizes;
  return [outer, reducedOuter, inner, reducedInner];
}

function prepareMean(kernels: Kernels, args: MeanArgs): Step {
  const [outer, reducedOuter, inner, reducedInner] = meanBlocks(args);
  const { multiplier, shift, scale } = channelOf(args, 0);
  const { inputOffset, outputOffset, activationMin, activationMax } = args;
  const values = {
    outer,
    reducedOuter,
    inner,
    reducedInner,
    inputOffset,
    outputOffset,
    activationMin,
    activationMax,
    requantizer: exactForm(args.requantizer),
    multiplier,
    shift,
    scale: floatBits(scale),
    folded: args.bias === undefined ? 0 : 1,
    bias: floatBits(args.bias ?? 0),
  };
  return makeStep(kernels, kernels.mark(), "mean_s8", "Mean", values, {
    inputBytes: outer * reducedOuter * inner * reducedInner,
    outputBytes: outer * inner,
    scratchBytes: sumBytes(inner),
  });
}

/** Index of the output that element `index` of an image is summed into. */
export function meanTarget({ shape, axes }: Pick<MeanArgs, "shape" | "axes">, index: number): number {
  let target = 0;
  let scale = 1;
  for (let axis = shape.length - 1, rest = index; axis >= 0; axis--) {
    if (!axes.includes(axis)) {
      target += (rest % shape[axis]) * scale;
      scale *= shape[axis];
    }
    rest = Math.floor(rest / shape[axis]);
  }
  return target;
}

function referenceMean(args: MeanArgs, [input]: readonly Values[], batches: number): Int8Array {
  const elements = args.shape.reduce((product, size) => product * size, 1);
  const count = args.axes.reduce((product, axis) => product * args.shape[axis], 1);
  const sums = new Int32Array((batches * elements) / count);
  for (let index = 0; index < batches * elements; index++) {
    const image = Math.floor(index / elements);
    sums[(image * elements) / count + meanTarget(args, index % elements)] += input[index] + args.inputOffset;
  }
  const channel = channelOf(args, 0);
  const { bias, activationMin, activationMax } = args;
  if (bias === undefined)
    return Int8Array.from(sums, (sum) => requantize(args.requantizer, sum, channel, args));
  return Int8Array.from(sums, (sum) => {
    const scaled = Math.fround(Math.fround(sum) * channel.scale);
    const code = clamp(Math.fround(scaled + Math.fround(bias)), activationMin, activationMax);
    return roundHalfEven(code) + args.outputOffset;
  });
}

export const MEAN: Op<MeanArgs> = {
  macs: () => 0,
  prepare: prepareMean,
  reference: referenceMean,
};
