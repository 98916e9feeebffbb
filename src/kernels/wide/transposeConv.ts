/** TRANSPOSE_CONV of int16 by int8: the convolution of the input with its pixels `stride` apart by the turned filter. */
import type { Op, Values } from "../args.ts";
import { asConvolution, scatterSums, turnTaps } from "../transposeConv.ts";
import type { WideTransposeConvArgs } from "./args.ts";
import { finish, prepareConv2d } from "./convolution.ts";

/** Source of the arithmetic: TFLite reference/integer_ops/transpose_conv.h, 16x8. */
export const TRANSPOSE_CONV: Op<WideTransposeConvArgs> = {
  macs: ({ inputHeight, inputWidth, inputDepth, filterHeight, filterWidth, outputDepth }) =>
    inputHeight * inputWidth * inputDepth * filterHeight * filterWidth * outputDepth,
  prepare: (kernels, args) =>
    prepareConv2d(
      kernels,
      { ...args, ...asConvolution(args), filter: turnTaps(args.filter, args) },
      { spacingHeight: args.strideHeight, spacingWidth: args.strideWidth },
    ),
  reference(args, [input]: readonly Values[], batches) {
    const sums = scatterSums(args, batches, (i, w) => Number(input[i]) * args.filter[w]);
    return Int16Array.from(sums, (sum, i) => finish(args, sum, i % args.outputDepth));
  },
};
