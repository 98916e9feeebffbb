/** Windows over an image: what a prepared convolution reads of it, and the taps of one output. */
import type { DilatedWindow, Values, Window } from "./args.ts";

/** The widened image: as much of the padded input as some output reads. */
export function paddedImage(args: DilatedWindow, pixelBytes: number) {
  const extent = (output: number, stride: number, filter: number, dilation: number) =>
    (output - 1) * stride + (filter - 1) * dilation + 1;
  return {
    paddedHeight: extent(args.outputHeight, args.strideHeight, args.filterHeight, args.dilationHeight),
    paddedWidth: extent(args.outputWidth, args.strideWidth, args.filterWidth, args.dilationWidth),
    pixelBytes,
    inputHeight: args.inputHeight,
    inputWidth: args.inputWidth,
    inputDepth: args.inputDepth,
    outputHeight: args.outputHeight,
    outputWidth: args.outputWidth,
    strideHeight: args.strideHeight,
    strideWidth: args.strideWidth,
    padTop: args.padTop,
    padLeft: args.padLeft,
  };
}

/** Byte offsets of taps from a pixel's first; columns: 1 where a whole row of taps is one run. */
export function tapOffsets(
  args: DilatedWindow,
  image: { paddedWidth: number; pixelBytes: number },
  columns: number,
): number[] {
  return Array.from({ length: args.filterHeight * columns }, (_, tap) => {
    const row = Math.floor(tap / columns) * args.dilationHeight;
    return (row * image.paddedWidth + (tap % columns) * args.dilationWidth) * image.pixelBytes;
  });
}

/** Calls visit(tap, input pixel) for the taps of one output pixel that are inside the image. */
export function eachTap(
  args: DilatedWindow,
  outputPixel: number,
  visit: (tap: number, inputPixel: number) => void,
): void {
  const top = Math.floor(outputPixel / args.outputWidth) * args.strideHeight - args.padTop;
  const left = (outputPixel % args.outputWidth) * args.strideWidth - args.padLeft;
  for (let tap = 0; tap < args.filterHeight * args.filterWidth; tap++) {
    const y = top + Math.floor(tap / args.filterWidth) * args.dilationHeight;
    const x = left + (tap % args.filterWidth) * args.dilationWidth;
    if (y >= 0 && x >= 0 && y < args.inputHeight && x < args.inputWidth) visit(tap, y * args.inputWidth + x);
  }
}

/** Calls visit(index, taps) for every output of a pool, in order: the values of its channel that are inside the image. */
export function eachWindow(
  args: Window,
  input: Values,
  batches: number,
  visit: (index: number, taps: number[]) => void,
): void {
  const { inputHeight, inputWidth, inputDepth, outputHeight, outputWidth } = args;
  const dense = { ...args, dilationHeight: 1, dilationWidth: 1 };
  const pixels = outputHeight * outputWidth;
  for (let index = 0; index < batches * pixels * inputDepth; index++) {
    const pixel = Math.floor(index / inputDepth);
    const image = Math.floor(pixel / pixels) * inputHeight * inputWidth;
    const taps: number[] = [];
    eachTap(dense, pixel % pixels, (_, inputPixel) => {
      taps.push(input[(image + inputPixel) * inputDepth + (index % inputDepth)]);
    });
    visit(index, taps);
  }
}
