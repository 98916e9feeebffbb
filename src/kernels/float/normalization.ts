/** float32 BATCH_NORMALIZATION by moments that are known: a factor and an offset a channel. */
import type { Op } from "../args.ts";
import { makeStep } from "../step.ts";
import { type Bounds, boundBits, bounded, f32 } from "./forms.ts";

/** rows: of channels in one image. gamma, beta, mean, variance: one a channel. */
export type FloatNormalizationArgs = Bounds & {
  rows: number;
  gamma: Float32Array;
  beta: Float32Array;
  mean: Float32Array;
  variance: Float32Array;
  epsilon: number;
};

/** Source: ONNX Runtime 1.30.0, nn/batch_norm.h, whose Eigen rounds each operation. */
function affineOf({ gamma, beta, mean, variance, epsilon }: FloatNormalizationArgs) {
  const factor = gamma.map((value, c) => f32(1 / f32(Math.sqrt(f32(variance[c] + f32(epsilon))))) * value);
  return { factor, offset: beta.map((value, c) => value - f32(mean[c] * factor[c])) };
}

export const BATCH_NORMALIZATION: Op<FloatNormalizationArgs> = {
  macs: () => 0,
  prepare(kernels, args) {
    const mark = kernels.mark();
    const { factor, offset } = affineOf(args);
    const { rows, gamma } = args;
    const values = {
      rows,
      channels: gamma.length,
      factors: kernels.place(factor),
      offsets: kernels.place(offset),
      ...boundBits(args),
    };
    const bytes = rows * gamma.length * 4;
    return makeStep(kernels, mark, "affine_f32", "FloatAffine", values, {
      inputBytes: bytes,
      outputBytes: bytes,
    });
  },
  reference(args, [input]) {
    const { factor, offset } = affineOf(args);
    return Float32Array.from(input as Float32Array, (x, i) => {
      const c = i % factor.length;
      return bounded(args, f32(f32(x * factor[c]) + offset[c]));
    });
  },
};
