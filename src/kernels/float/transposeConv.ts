/** float32 TRANSPOSE_CONV: outputs that lie a stride apart read the same taps, and are a convolution of their own. */
import type { Op, Operands, Step, Values, Window } from "../args.ts";
import type { Kernels } from "../module.ts";
import { type Bounds, bounded, type FloatForm, f32, isFused } from "./forms.ts";
import { mlasBlock, STRIDE } from "./mlas.ts";
import { type Order, sumInOrder, type Tap, type Term, taps } from "./order.ts";
import { fourSums, type OutputPlace, outputsOf, type PaddedImage, prepareSums, WIDE } from "./sums.ts";

/** padTop, padLeft: rows and columns of the full result before the output. filter: OHWI; bias: one an output channel, or null. */
export type FloatTransposeConvArgs = Window &
  Bounds & { form: FloatForm; filter: Float32Array; bias: Float32Array | null; outputDepth: number };

/**
 * The sum of an output that reads these taps, given by rows of the filter.
 * xnnpack: XNNPACK 75db3c0, operators/deconvolution-nhwc.c. tflite: TFLM 90b983c, reference/transpose_conv.h, which adds each
 * input to where it falls, so that the last tap comes first. onnxruntime: ONNX Runtime 1.30.0, nn/conv_transpose.cc, a matrix
 * product of every tap, then Col2im; of a filter of one row the product is a transposed one, whose block MLAS lets be.
 */
function orderOf(args: FloatTransposeConvArgs, read: readonly Tap[]): Order {
  const { form, inputDepth, outputDepth } = args;
  const runs = read.map((tap) => Array.from({ length: inputDepth }, (_, channel) => ({ ...tap, channel })));
  const products = read.length * inputDepth;
  if (form === "tflite") return { terms: runs.toReversed().flat(), block: products, bias: "last" };
  if (form === "xnnpack")
    return outputDepth < WIDE ? fourSums(runs) : { terms: runs.flat(), block: products, bias: "first" };
  const isOneRow = args.filterHeight * args.filterWidth * outputDepth === 1;
  const block = isOneRow ? STRIDE : mlasBlock(args.inputHeight * args.inputWidth, inputDepth);
  return { terms: runs.flat(), block, run: inputDepth, bias: "last", isFused: isFused(form) };
}

const weightOf =
  ({ filter, filterHeight, filterWidth, inputDepth }: FloatTransposeConvArgs) =>
  (output: number, { y, x, channel }: Term) =>
    filter[((output * filterHeight + y) * filterWidth + x) * inputDepth + channel];

/** The bias and, under a filter below its stride, zero times each tap that is not read, as XNNPACK adds it: -0 becomes 0. */
function startOf(args: FloatTransposeConvArgs, read: readonly Tap[]): Float32Array | null {
  const { form, bias, filterHeight, filterWidth, inputDepth } = args;
  const isBelowStride = args.strideHeight > filterHeight || args.strideWidth > filterWidth;
  if (form !== "xnnpack" || !bias || !isBelowStride) return bias;
  const weight = weightOf(args);
  const others = taps(filterHeight, filterWidth, false).filter(
    ({ y, x }) => !read.some((tap) => tap.y === y && tap.x === x),
  );
  return bias.map((value, output) => {
    let sum = value;
    for (const tap of others)
      for (let channel = 0; channel < inputDepth; channel++)
        sum = f32(sum + 0 * weight(output, { ...tap, channel }));
    return sum;
  });
}

/** `count` outputs of one axis from `first` on, a stride apart, which read the same taps: the first tap at pixel `source` of
 * the image and the ones after it, each further tap a pixel before. */
interface Phase {
  first: number;
  count: number;
  source: number;
  taps: number[];
}

interface Axis {
  phases: Phase[];
  /** Zeros before the image, and pixels with them, that the phases read. */
  pad: number;
  extent: number;
}

function axisOf(stride: number, filter: number, before: number, outputs: number): Axis {
  const phases = Array.from({ length: Math.min(stride, filter) }, (_, tap) => {
    const first = (((tap - before) % stride) + stride) % stride;
    return {
      first,
      count: Math.ceil((outputs - first) / stride),
      source: (first + before - tap) / stride,
      taps: Array.from({ length: Math.ceil((filter - tap) / stride) }, (_, j) => tap + j * stride),
    };
  }).filter(({ count }) => count > 0);
  const pad = Math.ceil(filter / stride) - 1;
  return { phases, pad, extent: Math.max(0, ...phases.map(({ source, count }) => pad + source + count)) };
}

const axesOf = (args: Window): [rows: Axis, columns: Axis] => [
  axisOf(args.strideHeight, args.filterHeight, args.padTop, args.outputHeight),
  axisOf(args.strideWidth, args.filterWidth, args.padLeft, args.outputWidth),
];

/** Convolutions that a TRANSPOSE_CONV falls into. */
export const phaseCount = (args: Window): number =>
  axesOf(args).reduce((count, { phases }) => count * phases.length, 1);

/** Outputs that read the same taps. */
interface Part {
  taps: Tap[];
  rows: number;
  columns: number;
  /** Bytes of outputs before the first. */
  start: number;
  outputs: OutputPlace;
  image: PaddedImage;
  /** Where the first of them finds a tap in the padded image. */
  place(tap: Tap): Tap;
}

function phaseParts(args: FloatTransposeConvArgs, [vertical, horizontal]: readonly [Axis, Axis]): Part[] {
  const { strideHeight, strideWidth, outputHeight, outputWidth, outputDepth } = args;
  const whole = outputsOf(outputHeight, outputWidth, outputDepth);
  const isWhole = vertical.extent <= args.inputHeight && horizontal.extent <= args.inputWidth;
  const direct = vertical.pad === 0 && horizontal.pad === 0 && isWhole;
  const image: PaddedImage = {
    ...{ padTop: vertical.pad, padLeft: horizontal.pad, paddedHeight: vertical.extent },
    ...{ paddedWidth: direct ? args.inputWidth : horizontal.extent, direct: direct ? 1 : 0 },
  };
  return vertical.phases.flatMap((row) =>
    horizontal.phases.map((column) => ({
      taps: row.taps.flatMap((y) => column.taps.map((x) => ({ y, x }))),
      rows: row.count,
      columns: column.count,
      start: row.first * whole.outputRowBytes + column.first * whole.outputPixelBytes,
      outputs: {
        outputPixelBytes: strideWidth * whole.outputPixelBytes,
        outputRowBytes: strideHeight * whole.outputRowBytes,
        outputImageBytes: whole.outputImageBytes,
      },
      image,
      place: ({ y, x }) => ({
        y: vertical.pad + row.source - row.taps.indexOf(y),
        x: horizontal.pad + column.source - column.taps.indexOf(x),
      }),
    })),
  );
}

/** All outputs, as those are that no tap reaches. */
function untouched({ inputWidth, outputHeight, outputWidth, outputDepth }: FloatTransposeConvArgs): Part {
  return {
    ...{ taps: [], rows: outputHeight, columns: outputWidth, start: 0 },
    outputs: outputsOf(outputHeight, outputWidth, outputDepth),
    image: { padTop: 0, padLeft: 0, paddedHeight: 0, paddedWidth: inputWidth, direct: 1 },
    place: (tap) => tap,
  };
}

/** The phases, after all outputs where some are in none. */
function partsOf(args: FloatTransposeConvArgs): Part[] {
  const axes = axesOf(args);
  const all = Math.min(args.strideHeight, args.outputHeight) * Math.min(args.strideWidth, args.outputWidth);
  const phases = phaseParts(args, axes);
  return phases.length < all ? [untouched(args), ...phases] : phases;
}

function prepare(kernels: Kernels, args: FloatTransposeConvArgs): Step {
  const parts = partsOf(args).map(({ taps: read, rows, columns, start, ...part }) => {
    const walk = { ...args, bias: startOf(args, read), outputHeight: rows, outputWidth: columns };
    const step = prepareSums(
      kernels,
      { ...walk, strideHeight: 1, strideWidth: 1 },
      {
        ...part,
        kernel: "conv_2d_f32",
        order: orderOf(args, read),
        weight: weightOf(args),
        ...{ groups: 1, groupDepth: args.outputDepth, depthMultiplier: 1, groupBytes: 0 },
      },
    );
    return { step, start };
  });
  return {
    ...parts[0].step,
    scratchBytes: Math.max(...parts.map(({ step }) => step.scratchBytes)),
    constantBytes: parts.reduce((sum, { step }) => sum + step.constantBytes, 0),
    bind: (operands: Operands) => {
      for (const { step, start } of parts) step.bind({ ...operands, output: operands.output + start });
    },
    run: (batches) => {
      for (const { step } of parts) step.run(batches);
    },
  };
}

/** Output by output, without phases. */
function reference(args: FloatTransposeConvArgs, [input]: readonly Values[], batches: number): Float32Array {
  const { outputHeight, outputWidth, outputDepth, inputHeight, inputWidth, inputDepth } = args;
  const weight = weightOf(args);
  const all = taps(args.filterHeight, args.filterWidth, false);
  return Float32Array.from({ length: batches * outputHeight * outputWidth * outputDepth }, (_, index) => {
    const [channel, pixel] = [index % outputDepth, Math.floor(index / outputDepth)];
    const image = Math.floor(pixel / (outputHeight * outputWidth)) * inputHeight;
    const row = (tap: Tap) =>
      ((Math.floor(pixel / outputWidth) % outputHeight) + args.padTop - tap.y) / args.strideHeight;
    const column = (tap: Tap) => ((pixel % outputWidth) + args.padLeft - tap.x) / args.strideWidth;
    const read = all.filter((tap) => Number.isInteger(row(tap)) && Number.isInteger(column(tap)));
    const start = startOf(args, read)?.[channel] ?? 0;
    const value = sumInOrder(orderOf(args, read), start, 0, (term) => {
      const [y, x] = [row(term), column(term)];
      const inside = y >= 0 && x >= 0 && y < inputHeight && x < inputWidth;
      const at = ((image + y) * inputWidth + x) * inputDepth + term.channel;
      return [inside ? Number(input[at]) : 0, term.none ? 0 : weight(channel, term)];
    });
    return bounded(args, value);
  });
}

export const TRANSPOSE_CONV: Op<FloatTransposeConvArgs> = {
  macs: ({ inputHeight, inputWidth, inputDepth, filterHeight, filterWidth, outputDepth }) =>
    inputHeight * inputWidth * inputDepth * filterHeight * filterWidth * outputDepth,
  prepare,
  reference,
};
