/** AVERAGE_POOL_2D, MAX_POOL_2D and MEAN of int16. */
import type { AveragePool2dArgs, Op } from "../args.ts";
import { meanBlocks, meanTarget } from "../pool.ts";
import { clamp } from "../requantize.ts";
import { makeStep } from "../step.ts";
import { eachWindow } from "../windows.ts";
import type { WideMeanArgs } from "./args.ts";
import { rescale, SUM_FORMS } from "./requantize.ts";

/** reduce: the taps inside the image, at least one, to the output before its clamp. */
const pool = (kernel: string, reduce: (taps: number[]) => number): Op<AveragePool2dArgs> => ({
  macs: () => 0,
  prepare: (kernels, args) =>
    makeStep(kernels, kernels.mark(), kernel, "Pool", args, {
      inputBytes: args.inputHeight * args.inputWidth * args.inputDepth * 2,
      outputBytes: args.outputHeight * args.outputWidth * args.inputDepth * 2,
      scratchBytes: args.inputDepth * 4,
    }),
  reference(args, [input], batches) {
    const output = new Int16Array(batches * args.outputHeight * args.outputWidth * args.inputDepth);
    eachWindow(args, input, batches, (index, taps) => {
      output[index] = clamp(reduce(taps), args.activationMin, args.activationMax);
    });
    return output;
  },
});

/** C's integer division of the sum, half the count added away from zero. */
function averageHalfAway(taps: number[]): number {
  const sum = taps.reduce((total, tap) => total + tap, 0);
  const half = Math.floor(taps.length / 2);
  return Math.trunc((sum > 0 ? sum + half : sum - half) / taps.length);
}

export const AVERAGE_POOL_2D = pool("average_pool_2d_s16", averageHalfAway);
export const MAX_POOL_2D = pool("max_pool_2d_s16", (taps) => Math.max(...taps));

export const MEAN: Op<WideMeanArgs> = {
  macs: () => 0,
  prepare(kernels, args) {
    const [outer, reducedOuter, inner, reducedInner] = meanBlocks(args);
    const { multiplier, shift, outputOffset, activationMin, activationMax } = args;
    const values = {
      ...{ outer, reducedOuter, inner, reducedInner, multiplier, shift },
      ...{ outputOffset, activationMin, activationMax },
      requantizer: SUM_FORMS[args.requantizer],
    };
    return makeStep(kernels, kernels.mark(), "mean_s16", "Mean", values, {
      inputBytes: outer * reducedOuter * inner * reducedInner * 2,
      outputBytes: outer * inner * 2,
      scratchBytes: inner * 4,
    });
  },
  reference(args, [input], batches) {
    const elements = args.shape.reduce((product, size) => product * size, 1);
    const count = args.axes.reduce((product, axis) => product * args.shape[axis], 1);
    const sums = new Int32Array((batches * elements) / count);
    for (let index = 0; index < batches * elements; index++) {
      const image = Math.floor(index / elements) * (elements / count);
      sums[image + meanTarget(args, index % elements)] += input[index];
    }
    return Int16Array.from(sums, (sum) => {
      const value = rescale(args.requantizer, sum, args.multiplier, args.shift) + args.outputOffset;
      return clamp(value, args.activationMin, args.activationMax);
    });
  },
};
