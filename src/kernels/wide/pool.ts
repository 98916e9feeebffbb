/** AVERAGE_POOL_2D and MAX_POOL_2D of int16. */
import type { AveragePool2dArgs, Op } from "../args.ts";
import { clamp } from "../requantize.ts";
import { makeStep } from "../step.ts";
import { eachWindow } from "./windows.ts";

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
