/** float32 convolutions: the order of every sum as data, and the same in plain TypeScript. */
import type { Op, Step, Values, Window } from "../args.ts";
import type { Kernels } from "../module.ts";
import { makeStep } from "../step.ts";
import { type Bounds, boundBits, bounded, type FloatForm, f32 } from "./forms.ts";

/** filter: OHWI, [outputDepth][filterHeight][filterWidth][inputDepth / groups]; bias: one an output channel, or null. */
export type FloatConv2dArgs = Window &
  Bounds & {
    form: FloatForm;
    /** Of a FULLY_CONNECTED: whether ONNX Runtime packs the matrix beforehand, or multiplies with it as it is. */
    matrix?: "packed" | "plain";
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

/** The wasm module numbers them by their place. */
const BIAS_ORDERS = ["last", "first", "first-of-blocks", "four-sums", "vector"] as const;

/** Row and column of a filter, or of an image. */
export interface Tap {
  y: number;
  x: number;
}

/** none: times 0, to fill up four. */
export interface Term extends Tap {
  channel: number;
  none?: true;
}

export interface Order {
  /** Tap and channel of each product. */
  terms: Term[];
  /** Products summed by themselves, and those whose blocks are, where the bias is last. */
  block: number;
  run: number;
  bias: (typeof BIAS_ORDERS)[number];
  /** Under "vector", the last outputs of a plane, whose products are summed by fours, and -0 stays at a bound. */
  left?: number;
}

const PANEL = 8;
/** Depthwise filters that XNNPACK has kernels for, with one output a channel, walk by columns. */
const MOST_DEPTHWISE_TAPS = 25;
/** K at a time, of a packed and of any other matrix. Source: mlas sgemm.cpp, MLAS_SGEMM_PACKED_STRIDEK, MLAS_SGEMM_STRIDEK. */
export const PACKED_BLOCK = 256;
export const STRIDE = 128;

/** Source: mlas sgemm.cpp, convolve.cpp: the block grows as the outputs of a plane get fewer than its products. */
export function mlasBlock(outputs: number, products: number): number {
  let [columns, block] = [STRIDE, STRIDE];
  while (outputs < products && columns > 16 && columns / 2 >= outputs)
    [columns, block] = [columns / 2, block * 2];
  return block;
}

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

/** A run's length made a multiple of four. */
function filledUp(run: Term[]): Term[] {
  const rest = (4 - (run.length % 4)) % 4;
  return [...run, ...new Array<Term>(rest).fill({ ...run[0], none: true })];
}

/** XNNPACK's f32-gemm-4x2c4 and f32-igemm-4x2c4. runs: the terms of each tap. */
export function fourSums(runs: Term[][]): Order {
  const terms = runs.flatMap(filledUp);
  return { terms, block: terms.length, run: terms.length, bias: "four-sums" };
}

export function taps(height: number, width: number, byColumns: boolean): Tap[] {
  const count = height * width;
  return Array.from({ length: count }, (_, i) =>
    byColumns ? { y: i % height, x: Math.floor(i / height) } : { y: Math.floor(i / width), x: i % width },
  );
}

type ConvArgs = FloatConv2dArgs | FloatDepthwiseConv2dArgs;

/** Outputs that read the same channels. */
const outputsOfGroup = (args: ConvArgs) =>
  "outputDepth" in args ? args.outputDepth / args.groups : args.depthMultiplier;

/** Whether the window is at every place of the image, and nowhere beside it. */
function isUnpadded(args: ConvArgs): boolean {
  const places = (input: number, filter: number, dilation: number) => input - (filter - 1) * dilation;
  return (
    [args.padTop, args.padLeft].every((pad) => pad === 0) &&
    [args.strideHeight, args.strideWidth].every((stride) => stride === 1) &&
    args.outputHeight === places(args.inputHeight, args.filterHeight, args.dilationHeight) &&
    args.outputWidth === places(args.inputWidth, args.filterWidth, args.dilationWidth)
  );
}

/** Which product of matrices a convolution is. direct: of the image itself. Source: MlasConvPrepare, convolve.cpp. */
function mlasProduct(args: ConvArgs, depth: number): "direct" | "transposed" | "expanded" {
  const { filterHeight, filterWidth, dilationHeight, dilationWidth } = args;
  if (!isUnpadded(args)) return "expanded";
  if (filterHeight * filterWidth === 1) return "direct";
  if (depth > 1 || dilationHeight * dilationWidth > 1) return "expanded";
  if (filterWidth === args.inputWidth) return "transposed";
  return filterHeight === args.inputHeight && filterWidth === 1 ? "direct" : "expanded";
}

/** A convolution by MLAS. One output a group is a vector times a matrix. Source: ONNX Runtime 1.30.0, convolve.cpp, sgemm.cpp,
 * SgemvKernelWasmSimd.cpp. */
function mlasOrder(args: ConvArgs, depth: number): Omit<Order, "terms"> {
  const [products, outputs] = [
    args.filterHeight * args.filterWidth * depth,
    args.outputHeight * args.outputWidth,
  ];
  const [run, block, product] = [products, mlasBlock(outputs, products), mlasProduct(args, depth)];
  if (outputsOfGroup(args) > 1 || product === "transposed") return { run, block, bias: "last" };
  return { run, block: product === "direct" ? products : block, bias: "vector", left: outputs % 4 };
}

/** depth: input channels that one output reads. */
function orderOf(args: ConvArgs, depth: number, isDepthwise: boolean): Order {
  const { form, filterHeight: height, filterWidth: width } = args;
  const channels = Array.from({ length: depth }, (_, channel) => channel);
  const products = height * width * depth;
  if (form === "onnxruntime") {
    const terms = channels.flatMap((channel) =>
      taps(height, width, false).map((tap) => ({ ...tap, channel })),
    );
    const whole = { terms, run: products };
    if ("outputDepth" in args && args.matrix === "packed")
      return { ...whole, block: PACKED_BLOCK, bias: "first-of-blocks" };
    if ("outputDepth" in args && args.matrix === "plain")
      return { ...whole, block: mlasBlock(args.outputDepth, products), bias: "last" };
    return { terms, ...mlasOrder(args, depth) };
  }
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
  return { terms, block: products, run: products, bias: form === "xnnpack" ? "first" : "last" };
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
function paddedImage(args: ConvArgs, isRead: boolean): PaddedImage {
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

/** What stands for no bias: what changes no sum. */
const withoutBias = ({ bias }: Order) => (bias === "vector" ? -0 : 0);

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
    run: order.run,
    biasOrder: BIAS_ORDERS.indexOf(order.bias),
    left: order.left ?? 0,
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

/** One product after the other, from the addend or without it the first product on; where isLeft, by fours in every block. */
function vectorSum(products: readonly number[], block: number, isLeft: boolean, addend?: number): number {
  const skipped = addend === undefined ? 1 : 0;
  let sum = addend ?? products[0];
  const add = (some: readonly number[]) => {
    sum = f32(sum + some.slice(1).reduce((acc, each) => f32(acc + each), some[0]));
  };
  for (let first = 0; first < products.length; first += block) {
    const own = products.slice(Math.max(first, skipped), first + block);
    const fours = isLeft ? own.length & ~3 : 0;
    for (let k = 0; k < fours; k += 4) add(own.slice(k, k + 4));
    for (const each of own.slice(fours)) add([each]);
  }
  return sum;
}

/** start: the bias; product: of a term, 0 where it lies in the padding; isLeft: of the last outputs of a plane; addend: what
 * sums whose bias comes last start from. */
export function sumInOrder(
  { terms, block, run, bias }: Order,
  start: number,
  product: (term: Term) => number,
  isLeft = false,
  addend?: number,
): number {
  if (bias === "vector") return f32(vectorSum(terms.map(product), block, isLeft, addend) + start);
  const added = (some: readonly Term[], from: number) =>
    some.reduce((acc, term) => f32(acc + product(term)), from);
  const every = (at: number, from: number) =>
    added(
      terms.filter((_, k) => k % 4 === at),
      from,
    );
  if (bias === "four-sums") return f32(f32(every(0, start) + every(2, 0)) + f32(every(1, 0) + every(3, 0)));
  if (bias === "first") return added(terms, start);
  const blocks = (some: readonly Term[], from: number) => {
    let total = from;
    for (let first = 0; first < some.length; first += block)
      total = f32(total + added(some.slice(first, first + block), 0));
    return total;
  };
  if (bias === "first-of-blocks") return blocks(terms, start);
  let total = 0;
  for (let first = 0; first < terms.length; first += run)
    total = f32(total + blocks(terms.slice(first, first + run), addend ?? 0));
  return f32(total + start);
}

function reference(
  args: ConvArgs,
  layer: Pick<Layer, "order" | "weight"> & {
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
    const isLeft = rest >= outputHeight * outputWidth - (order.left ?? 0);
    const product = (term: Term) => {
      const [y, x] = [top + term.y * args.dilationHeight, left + term.x * args.dilationWidth];
      const inside = y >= 0 && x >= 0 && y < inputHeight && x < inputWidth;
      const at = ((image * inputHeight + y) * inputWidth + x) * inputDepth + source(channel, term.channel);
      return term.none ? 0 : f32((inside ? Number(input[at]) : 0) * weight(channel, term));
    };
    const bias = args.bias?.[channel] ?? withoutBias(order);
    const value = sumInOrder(order, bias, product, isLeft, addend(index));
    return bounded(isLeft ? { ...args, zero: -0 } : args, value);
  });
}

const dilated =
  ({ dilationHeight, dilationWidth }: ConvArgs) =>
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
