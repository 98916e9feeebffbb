/** TRANSPOSE_CONV: the convolution of the input with its pixels `stride` apart by the turned filter. */
import type { Conv2dArgs, Op, Output, Requantization, Values, Weights, Window } from "./args.ts";
import { outputWriter, prepareTaps } from "./convolution.ts";
import { packInt4, wholeWeights } from "./weights.ts";

/** padTop, padLeft: rows and columns of the full result before the output, less than the filter. filter: OHWI. */
export type TransposeConvArgs = Window &
  Weights &
  Output &
  Requantization & { inputOffset: number; outputDepth: number };

/** The filter with its taps in reverse. */
export function turnTaps<Values extends Int8Array | Int16Array>(
  filter: Values,
  { filterHeight, filterWidth, inputDepth }: Window,
): Values {
  const taps = filterHeight * filterWidth;
  return filter.map((_, i) => {
    const [channel, rest] = [i % inputDepth, Math.floor(i / inputDepth)];
    const [tap, output] = [rest % taps, Math.floor(rest / taps)];
    return filter[(output * taps + taps - 1 - tap) * inputDepth + channel];
  }) as Values;
}

function turned(args: TransposeConvArgs) {
  const taps = args.filterHeight * args.filterWidth;
  const values = turnTaps(wholeWeights(args, args.outputDepth * taps * args.inputDepth), args);
  return args.weightBits === 4 ? packInt4(values) : values;
}

/** The convolution of the input with its pixels `stride` apart that a TRANSPOSE_CONV is. */
export const asConvolution = (args: Window) => ({
  padTop: args.filterHeight - 1 - args.padTop,
  padLeft: args.filterWidth - 1 - args.padLeft,
  strideHeight: 1,
  strideWidth: 1,
  dilationHeight: 1,
  dilationWidth: 1,
  groups: 1,
});

/** Every input value times every tap, added to where it falls, as TFLite does it. weight: of tap w, input channel last. */
export function scatterSums(
  args: Window & { outputDepth: number },
  batches: number,
  product: (input: number, weight: number) => number,
): Float64Array {
  const { inputDepth, outputDepth, outputHeight, outputWidth, filterHeight, filterWidth } = args;
  const sums = new Float64Array(batches * outputHeight * outputWidth * outputDepth);
  const pixels = args.inputHeight * args.inputWidth;
  for (let i = 0; i < batches * pixels * inputDepth; i++) {
    const [channel, pixel] = [i % inputDepth, Math.floor(i / inputDepth)];
    const top = Math.floor((pixel % pixels) / args.inputWidth) * args.strideHeight - args.padTop;
    const left = (pixel % args.inputWidth) * args.strideWidth - args.padLeft;
    const image = Math.floor(pixel / pixels) * outputHeight;
    for (let w = 0; w < outputDepth * filterHeight * filterWidth; w++) {
      const y = top + (Math.floor(w / filterWidth) % filterHeight);
      const x = left + (w % filterWidth);
      if (y < 0 || x < 0 || y >= outputHeight || x >= outputWidth) continue;
      const output = Math.floor(w / filterWidth / filterHeight);
      sums[((image + y) * outputWidth + x) * outputDepth + output] += product(i, w * inputDepth + channel);
    }
  }
  return sums;
}

/** Source of the arithmetic: TFLite reference/integer_ops/transpose_conv.h; XNNPACK deconvolution, the same sums. */
export const TRANSPOSE_CONV: Op<TransposeConvArgs> = {
  macs: ({ inputHeight, inputWidth, inputDepth, filterHeight, filterWidth, outputDepth }) =>
    inputHeight * inputWidth * inputDepth * filterHeight * filterWidth * outputDepth,
  prepare(kernels, args) {
    const { strideHeight, strideWidth } = args;
    const convolution: Conv2dArgs = { ...args, ...asConvolution(args), filter: turned(args) };
    return prepareTaps(kernels, convolution, { spacingHeight: strideHeight, spacingWidth: strideWidth });
  },
  reference: scatter,
};

function scatter(args: TransposeConvArgs, [input]: readonly Values[], batches: number): Values {
  const { outputDepth, filterHeight, filterWidth, inputDepth, bias } = args;
  const filter = wholeWeights(args, outputDepth * filterHeight * filterWidth * inputDepth);
  const sums = scatterSums(args, batches, (i, w) => (Number(input[i]) + args.inputOffset) * filter[w]);
  const { output, write } = outputWriter(args, sums.length);
  sums.forEach((sum, i) => {
    write(i, sum + (bias === null ? 0 : bias[i % outputDepth]), i % outputDepth);
  });
  return output;
}
