/** CONV_2D of 3x3 filters at stride 1 by fewer products: assembly/winograd.ts. */
import type { Conv2dArgs, Step } from "./args.ts";
import type { Variant } from "./convolution.ts";
import { convolutionBytes, type Layer, layerBound, packLayer } from "./layer.ts";
import type { Kernels } from "./module.ts";
import { PANEL_LANES } from "./requantizers.ts";
import { makeStep } from "./step.ts";
import { wholeWeights } from "./weights.ts";
import { paddedImage } from "./windows.ts";

const POINTS = 16;
/** assembly/winograd.ts TILES. */
const SCRATCH_HEAD = 128 + 64 * 4;
/** Of transformed tiles and their products, so that both stay in the first cache with the weights of a panel. */
const CHUNK_BYTES = 24 << 10;
/** Outputs that tiles make beyond those wanted, per output: 16 products in place of 36 pay for up to this many. */
const MOST_WASTE = 0.6;

const half = (count: number) => Math.ceil(count / 2);
const tilesOf = ({ outputHeight, outputWidth }: Conv2dArgs) => half(outputHeight) * half(outputWidth);

/** Twice G times a vector of three values `step` apart: four, `outputStep` apart. */
function transformThree(
  input: ArrayLike<number>,
  at: number,
  step: number,
  output: Int16Array | Int32Array | Int8Array,
  to: number,
  outputStep: number,
): void {
  const a = input[at];
  const b = input[at + step];
  const c = input[at + 2 * step];
  output[to] = 2 * a;
  output[to + outputStep] = a + b + c;
  output[to + 2 * outputStep] = a - b + c;
  output[to + 3 * outputStep] = 2 * c;
}

/** [panel][point][inputDepth / 2][8][2]: four times the transforms, as int16, of int4 weights int8. Point 4 * y + x is row y
 * of twice G times the filter times row x of it. */
function packTransformed(args: Conv2dArgs): Int16Array | Int8Array {
  const { inputDepth, outputDepth } = args;
  const filter = wholeWeights(args, outputDepth * 9 * inputDepth);
  const panels = Math.ceil(outputDepth / PANEL_LANES);
  const pointLength = inputDepth * PANEL_LANES;
  const packed = new (args.weightBits === 4 ? Int8Array : Int16Array)(panels * POINTS * pointLength);
  const rows = new Int32Array(12);
  for (let channel = 0; channel < outputDepth; channel++) {
    const panel = Math.floor(channel / PANEL_LANES) * POINTS * pointLength;
    for (let k = 0; k < inputDepth; k++) {
      const place = panel + ((k >> 1) * PANEL_LANES + (channel % PANEL_LANES)) * 2 + (k & 1);
      for (let x = 0; x < 3; x++)
        transformThree(filter, (channel * 9 + x) * inputDepth + k, 3 * inputDepth, rows, x, 3);
      for (let y = 0; y < 4; y++)
        transformThree(rows, 3 * y, 1, packed, place + 4 * y * pointLength, pointLength);
    }
  }
  return packed;
}

/** The layer as its sums see it. */
function layerOf(args: Conv2dArgs): Layer {
  const length = 9 * args.inputDepth;
  const filter = wholeWeights(args, args.outputDepth * length);
  const at = (channel: number, k: number) => filter[channel * length + k];
  return { groups: 1, groupDepth: args.outputDepth, length, paddedLength: length, at };
}

function prepare(kernels: Kernels, args: Conv2dArgs): Step {
  const mark = kernels.mark();
  const { inputDepth } = args;
  const whole = {
    ...args,
    outputHeight: 2 * half(args.outputHeight),
    outputWidth: 2 * half(args.outputWidth),
  };
  const image = paddedImage(whole, inputDepth * 2);
  const tileBytes = POINTS * (inputDepth * 2 + PANEL_LANES * 4);
  const fitting = Math.floor(CHUNK_BYTES / tileBytes / 4) * 4;
  const tiles = Math.min(Math.max(fitting, 4), 64, Math.ceil(tilesOf(args) / 4) * 4);
  const values = {
    ...packLayer(kernels, args, layerOf(args), packTransformed(args)),
    ...image,
    outputHeight: args.outputHeight,
    outputWidth: args.outputWidth,
    offsets: kernels.place(new Int32Array(PANEL_LANES)),
    offsetCount: 1,
    pairs: inputDepth / 2,
    depthMultiplier: 1,
    spacingHeight: 1,
    spacingWidth: 1,
    tiles,
  };
  const bytes = convolutionBytes(args, image, args.outputDepth);
  const scratchBytes = bytes.scratchBytes + SCRATCH_HEAD + tiles * tileBytes;
  const kernel = `conv_2d_winograd_s${args.weightBits}`;
  return makeStep(kernels, mark, kernel, "WinogradConvolution", values, { ...bytes, scratchBytes });
}

export const WINOGRAD: Variant = {
  reason:
    "3x3 at stride 1 in 16 products a tile of 36, exact while four times the sums without bias fit 32 bits",
  allows: (args) =>
    [args.filterHeight, args.filterWidth].every((size) => size === 3) &&
    [args.strideHeight, args.strideWidth, args.dilationHeight, args.dilationWidth].every((n) => n === 1) &&
    args.groups === 1 &&
    args.inputDepth % 8 === 0 &&
    Math.ceil(tilesOf(args) / 4) * 16 <= (1 + MOST_WASTE) * args.outputHeight * args.outputWidth &&
    layerBound({ ...args, bias: null }, layerOf(args)) < 2 ** 29,
  prepare,
};
