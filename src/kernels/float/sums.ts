/** float32 convolutions: the order of every sum as data, and the same in plain TypeScript. */
import type { Op, Step, Values, Window } from "../args.ts";
import type { Kernels } from "../module.ts";
import { makeStep } from "../step.ts";
import { type Bounds, boundBits, bounded, type FloatForm, isOnnxRuntime } from "./forms.ts";
import { orderOfMlas } from "./mlas.ts";
import {
  BIAS_ORDERS,
  filledUp,
  isLeftOver,
  type Order,
  sumInOrder,
  type Tap,
  type Term,
  taps,
  withoutBias,
} from "./order.ts";

/** filter: OHWI, [outputDepth][filterHeight][filterWidth][inputDepth / groups]; bias: one an output channel, or null. */
export type FloatConv2dArgs = Window &
  Bounds & {
    form: FloatForm;
    /** Of a FULLY_CONNECTED in ONNX Runtime: packed beforehand; unpacked from blocks of codes; or dequantized in the run,
     * inputs by outputs, or the other way round. */
    matrix?: "packed" | "plain" | "dequantized" | "dequantized-transposed";
    /** The filter is dequantized in the run. */
    dequantized?: boolean;
    filter: Float32Array;
    bias: Float32Array | null;
    outputDepth: number;
    groups: number;
    dilationHeight: number;
    dilationWidth: number;
    /** Under onnxruntime, of no FULLY_CONNECTED: sums start from the second operand, laid out as the output; shared: one image
     * for all. */
    addend?: "image" | "shared";
  };
/** filter: 1HWC, as DepthwiseConv2dArgs. */
export type FloatDepthwiseConv2dArgs = Omit<FloatConv2dArgs, "groups" | "outputDepth" | "matrix"> & {
  depthMultiplier: number;
};

export type Convolution = FloatConv2dArgs | FloatDepthwiseConv2dArgs;

const PANEL = 8;
/** Depthwise filters that XNNPACK has kernels for, with one output a channel, walk by columns. */
const MOST_DEPTHWISE_TAPS = 25;

/** Channels side by side, and those of its kernel for few channels. Source: XNNPACK config-utils.c xnn_use_nr2. */
export const WIDE = 8;
const NARROW = 2;

/** Whether XNNPACK takes its kernel for few outputs, f32-gemm-4x2c4: always below eight, and in a matrix product where the
 * last eight would be filled badly. Source: xnn_use_nr2; executed on LiteRT.js 2.5.3 for 1 to 1001 outputs. */
function isNarrow(outputs: number, isMatrix: boolean): boolean {
  const missing = (tile: number) => (tile - (outputs % tile)) % tile;
  const wasteful = missing(NARROW) < missing(WIDE) && missing(WIDE) * 100 > outputs;
  return outputs < WIDE || (isMatrix && wasteful);
}

/** XNNPACK's f32-gemm-4x2c4 and f32-igemm-4x2c4. runs: the terms of each tap. */
export function fourSums(runs: Term[][]): Order {
  const terms = runs.flatMap(filledUp);
  return { terms, block: terms.length, bias: "four-sums" };
}

/** Outputs that read the same channels. */
const outputsOfGroup = (args: Convolution) =>
  "outputDepth" in args ? args.outputDepth / args.groups : args.depthMultiplier;

/** depth: input channels that one output reads. */
function orderOf(args: Convolution, depth: number, isDepthwise: boolean): Order {
  const { form, filterHeight: height, filterWidth: width } = args;
  const channels = Array.from({ length: depth }, (_, channel) => channel);
  const products = height * width * depth;
  if (isOnnxRuntime(form)) return orderOfMlas(args, depth);
  if (form === "xnnpack" && "outputDepth" in args) {
    const isMatrix = products === depth && args.strideHeight === 1 && args.strideWidth === 1;
    if (isNarrow(outputsOfGroup(args), isMatrix && args.groups === 1)) {
      const runs = taps(height, width, false).map((tap) => channels.map((channel) => ({ ...tap, channel })));
      return fourSums(runs);
    }
  }
  const hasKernel = isDepthwise && height * width <= MOST_DEPTHWISE_TAPS && outputsOfGroup(args) === 1;
  const byColumns = form === "xnnpack" && hasKernel;
  const terms = taps(height, width, byColumns).flatMap((tap) =>
    channels.map((channel) => ({ ...tap, channel })),
  );
  return { terms, block: products, bias: form === "xnnpack" ? "first" : "last" };
}

/** direct: 1 where the image itself is all that is read. */
export interface PaddedImage {
  padTop: number;
  padLeft: number;
  paddedHeight: number;
  paddedWidth: number;
  direct: 0 | 1;
}

/** Bytes from one output to the next. */
export interface OutputPlace {
  outputPixelBytes: number;
  outputRowBytes: number;
  outputImageBytes: number;
}

/** Outputs one after the other. */
export function outputsOf(height: number, width: number, depth: number): OutputPlace {
  const outputRowBytes = width * depth * 4;
  return { outputPixelBytes: depth * 4, outputRowBytes, outputImageBytes: height * outputRowBytes };
}

/** As much of the padded image as some output reads; the image itself where that is all. */
function paddedImage(args: Convolution, isRead: boolean): PaddedImage {
  const extent = (output: number, stride: number, filter: number, dilation: number) =>
    (output - 1) * stride + (filter - 1) * dilation + 1;
  const height = extent(args.outputHeight, args.strideHeight, args.filterHeight, args.dilationHeight);
  const width = extent(args.outputWidth, args.strideWidth, args.filterWidth, args.dilationWidth);
  const { inputHeight, inputWidth, padTop, padLeft } = args;
  const direct =
    isRead && padTop === 0 && padLeft === 0 && height <= inputHeight && width <= inputWidth ? 1 : 0;
  return { padTop, padLeft, paddedHeight: height, paddedWidth: direct ? inputWidth : width, direct };
}

/** Where the window walks, and what is added to its sums. */
type Walk = Pick<
  FloatConv2dArgs,
  | keyof Bounds
  | "addend"
  | "bias"
  | "inputDepth"
  | "inputHeight"
  | "inputWidth"
  | "outputHeight"
  | "outputWidth"
  | "strideHeight"
  | "strideWidth"
>;

export interface Layer {
  kernel: "conv_2d_f32" | "depthwise_conv_2d_f32";
  image: PaddedImage;
  outputs: OutputPlace;
  order: Order;
  groups: number;
  groupDepth: number;
  depthMultiplier: number;
  groupBytes: number;
  weight(channel: number, term: Term): number;
  /** Where the first output finds a tap in the padded image. */
  place(tap: Tap): Tap;
}

/** A step of sums in a given order. */
export function prepareSums(kernels: Kernels, args: Walk, layer: Layer): Step {
  const mark = kernels.mark();
  const { order, groups, groupDepth, depthMultiplier, weight, image } = layer;
  const depth = args.inputDepth * depthMultiplier;
  const { terms } = order;
  const panels = Math.ceil(groupDepth / PANEL);
  const weights = new Float32Array(groups * panels * terms.length * PANEL);
  const bias = new Float32Array(groups * panels * PANEL);
  const none = withoutBias(order);
  for (let group = 0; group < groups; group++)
    for (let i = 0; i < groupDepth; i++) {
      const channel = group * groupDepth + i;
      const panel = group * panels + Math.floor(i / PANEL);
      bias[panel * PANEL + (i % PANEL)] = args.bias?.[channel] ?? none;
      terms.forEach((term, k) => {
        weights[(panel * terms.length + k) * PANEL + (i % PANEL)] = term.none ? 0 : weight(channel, term);
      });
    }
  const offsets = Int32Array.from(terms, (term) => {
    const { y, x } = layer.place(term);
    return ((y * image.paddedWidth + x) * depth + term.channel) * 4;
  });
  const values = {
    weights: kernels.place(weights),
    bias: kernels.place(bias),
    offsets: kernels.place(offsets),
    lanes: kernels.allocate(PANEL * 4),
    input2ImageBytes: args.addend === "image" ? layer.outputs.outputImageBytes : 0,
    terms: terms.length,
    block: order.block,
    run: order.run ?? terms.length,
    biasOrder: BIAS_ORDERS.indexOf(order.bias),
    fused: order.isFused ? 1 : 0,
    treeRows: order.tree?.rows ?? 0,
    treeByPixel: order.tree?.byPixel ? 1 : 0,
    groups,
    groupDepth,
    groupBytes: layer.groupBytes,
    inputHeight: args.inputHeight,
    inputWidth: args.inputWidth,
    depth,
    depthMultiplier,
    outputHeight: args.outputHeight,
    outputWidth: args.outputWidth,
    strideHeight: args.strideHeight,
    strideWidth: args.strideWidth,
    ...image,
    ...layer.outputs,
    ...boundBits(args),
  };
  return makeStep(kernels, mark, layer.kernel, "FloatConvolution", values, {
    inputBytes: args.inputHeight * args.inputWidth * args.inputDepth * 4,
    ...(args.addend && { input2Bytes: layer.outputs.outputImageBytes }),
    outputBytes: layer.outputs.outputImageBytes,
    scratchBytes: image.direct ? 0 : image.paddedHeight * image.paddedWidth * depth * 4,
  });
}

function reference(
  args: Convolution,
  layer: Pick<Layer, "order" | "weight" | "groupDepth"> & {
    outputDepth: number;
    source(channel: number, term: number): number;
  },
  [input, input2]: readonly Values[],
  batches: number,
): Float32Array {
  const { outputHeight, outputWidth, inputHeight, inputWidth, inputDepth } = args;
  const { order, weight, outputDepth, source } = layer;
  const addend = (index: number) => args.addend && Number(input2[index % input2.length]);
  return Float32Array.from({ length: batches * outputHeight * outputWidth * outputDepth }, (_, index) => {
    const channel = index % outputDepth;
    const pixel = Math.floor(index / outputDepth);
    const [image, rest] = [
      Math.floor(pixel / (outputHeight * outputWidth)),
      pixel % (outputHeight * outputWidth),
    ];
    const top = Math.floor(rest / outputWidth) * args.strideHeight - args.padTop;
    const left = (rest % outputWidth) * args.strideWidth - args.padLeft;
    const place = order.tree?.byPixel ? rest : channel % layer.groupDepth;
    const operands = (term: Term) => {
      const [y, x] = [top + term.y * args.dilationHeight, left + term.x * args.dilationWidth];
      const inside = y >= 0 && x >= 0 && y < inputHeight && x < inputWidth;
      const at = ((image * inputHeight + y) * inputWidth + x) * inputDepth + source(channel, term.channel);
      return [inside ? Number(input[at]) : 0, term.none ? 0 : weight(channel, term)] as const;
    };
    const bias = args.bias?.[channel] ?? withoutBias(order);
    const value = sumInOrder(order, bias, place, operands, addend(index));
    return bounded(isLeftOver(order, place) ? { ...args, zero: -0 } : args, value);
  });
}

const dilated =
  ({ dilationHeight, dilationWidth }: FloatConv2dArgs | FloatDepthwiseConv2dArgs) =>
  ({ y, x }: Tap): Tap => ({ y: y * dilationHeight, x: x * dilationWidth });

function denseLayer(args: FloatConv2dArgs) {
  const depth = args.inputDepth / args.groups;
  const groupDepth = args.outputDepth / args.groups;
  const { filter, filterHeight, filterWidth } = args;
  return {
    order: orderOf(args, depth, false),
    place: dilated(args),
    image: paddedImage(args, true),
    outputs: outputsOf(args.outputHeight, args.outputWidth, args.outputDepth),
    groups: args.groups,
    groupDepth,
    depthMultiplier: 1,
    groupBytes: depth * 4,
    outputDepth: args.outputDepth,
    source: (channel: number, own: number) => Math.floor(channel / groupDepth) * depth + own,
    weight: (channel: number, { y, x, channel: own }: Term) =>
      filter[((channel * filterHeight + y) * filterWidth + x) * depth + own],
  };
}

function depthwiseLayer(args: FloatDepthwiseConv2dArgs) {
  const { filter, filterWidth, inputDepth, depthMultiplier } = args;
  const outputDepth = inputDepth * depthMultiplier;
  return {
    order: orderOf(args, 1, true),
    place: dilated(args),
    image: paddedImage(args, depthMultiplier === 1),
    outputs: outputsOf(args.outputHeight, args.outputWidth, outputDepth),
    groups: 1,
    groupDepth: outputDepth,
    depthMultiplier,
    groupBytes: 0,
    outputDepth,
    source: (channel: number) => Math.floor(channel / depthMultiplier),
    weight: (channel: number, { y, x }: Term) => filter[(y * filterWidth + x) * outputDepth + channel],
  };
}

const windowMacs = (args: Window, depth: number) =>
  args.outputHeight * args.outputWidth * args.filterHeight * args.filterWidth * depth;

/** FULLY_CONNECTED is one of a window of one pixel, with `matrix`. */
export const CONV_2D: Op<FloatConv2dArgs> = {
  macs: (args) => windowMacs(args, (args.inputDepth / args.groups) * args.outputDepth),
  prepare: (kernels, args) => prepareSums(kernels, args, { kernel: "conv_2d_f32", ...denseLayer(args) }),
  reference: (args, operands, batches) => reference(args, denseLayer(args), operands, batches),
};

export const DEPTHWISE_CONV_2D: Op<FloatDepthwiseConv2dArgs> = {
  macs: (args) => windowMacs(args, args.inputDepth * args.depthMultiplier),
  prepare: (kernels, args) =>
    prepareSums(kernels, args, { kernel: "depthwise_conv_2d_f32", ...depthwiseLayer(args) }),
  reference: (args, operands, batches) => reference(args, depthwiseLayer(args), operands, batches),
};
