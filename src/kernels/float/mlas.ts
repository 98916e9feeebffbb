/** The orders of ONNX Runtime's matrix products. */
import { channelBlock, isFused } from "./forms.ts";
import { filledUp, type Order, type Term, taps } from "./order.ts";
import type { Convolution, FloatConv2dArgs } from "./sums.ts";

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

/** Outputs as MLAS sees them, rows by columns. */
interface Product {
  rows: number;
  columns: number;
  rowsArePixels: boolean;
  terms: Term[];
  bias: Order["bias"];
  /** B is [columns][terms] as it lies. */
  isTransposed: boolean;
  /** B of one column lies side by side. */
  isVector: boolean;
  /** B is made and multiplied a block of rows at a time. */
  isSliced: boolean;
}

/** Source: mlas sgemm.cpp; x86_64/SgemmKernelM1Avx.S sums four products, then two, then one; executed on 1.30.0. */
function orderOnX86(product: Product): Order {
  const { rows, columns, rowsArePixels, terms, bias, isTransposed, isVector } = product;
  const eightSums = (count: number, byPixel: boolean): Order => ({
    ...{ terms, block: terms.length, bias: "eight-sums", tree: { rows: count, byPixel } },
  });
  if (rows === 1 && isTransposed) return eightSums(columns, !rowsArePixels);
  if (rows === 1) return { terms: inFours(terms), block: 4, bias };
  if (columns === 1 && isVector) return eightSums(rows, rowsArePixels);
  return { terms, block: mlasBlock(columns, terms.length), bias, isFused: true };
}

/** Runs of four; of the last three, two by themselves. */
function inFours(terms: Term[]): Term[] {
  const whole = terms.length & ~3;
  const rest = terms.slice(whole);
  if (rest.length !== 3) return filledUp(terms);
  return [...terms.slice(0, whole), ...filledUp(rest.slice(0, 2)), ...filledUp(rest.slice(2))];
}

/** Strides and dilations of 1, and no padding. */
const isDense = (args: Convolution) =>
  args.inputHeight === args.outputHeight + args.filterHeight - 1 &&
  args.inputWidth === args.outputWidth + args.filterWidth - 1 &&
  [args.strideHeight, args.strideWidth, args.dilationHeight, args.dilationWidth].every((n) => n === 1) &&
  args.padTop + args.padLeft === 0;

/** Whether MLAS multiplies a channel's image as it lies, its rows as long as the filter's. Source: mlas convolve.cpp. */
const spansRows = (args: Convolution, depth: number) =>
  depth === 1 &&
  args.filterHeight * args.filterWidth > 1 &&
  args.filterWidth === args.inputWidth &&
  isDense(args);

/** Whether it multiplies the image as it lies. */
const isDirect = (args: Convolution, depth: number) =>
  isDense(args) &&
  (args.filterHeight * args.filterWidth === 1 ||
    (depth === 1 && args.filterHeight === args.inputHeight && args.filterWidth === 1));

/** Source: mlas sgemm.cpp and wasm_simd/SgemvKernelWasmSimd.cpp. */
function orderOnWasm(product: Product): Order {
  const { rows, columns, rowsArePixels, terms, bias, isTransposed, isSliced } = product;
  const block = mlasBlock(columns, terms.length);
  if (rows > 1 || isTransposed) return { terms, block, bias };
  const tree = { rows: columns, byPixel: !rowsArePixels };
  return { terms, block: isSliced ? block : terms.length, bias: "vector", tree };
}

/** rows: output channels of a group. */
function productOfConvolution(args: Convolution, terms: Term[], depth: number, rows: number): Product {
  const isTransposed = spansRows(args, depth);
  const shape = { rows, columns: args.outputHeight * args.outputWidth, rowsArePixels: false };
  const isVector = !isTransposed || args.inputWidth === 1;
  const isSliced = !isTransposed && !isDirect(args, depth);
  return { ...shape, terms, bias: "last", isTransposed, isVector, isSliced };
}

/** Source: onnxruntime core/providers/cpu/math/gemm.cc: the bias is where the sum begins. */
function productOfMatrix({ matrix, outputWidth, outputDepth }: FloatConv2dArgs, terms: Term[]): Product {
  const isTransposed = matrix === "dequantized-transposed";
  const shape = { rows: outputWidth, columns: outputDepth, rowsArePixels: true };
  const isVector = !isTransposed;
  return { ...shape, terms, bias: "first-of-blocks", isTransposed, isVector, isSliced: false };
}

/** Channels of a point, at most, that are summed in one go. Source: mlas snchwc.cpp, MaximumInputChannelBatch. */
const POINTWISE_BATCH = 128;

/** A block of channels is filled up with zeros where their number is a multiple of it. Source: 1.30.0, executed. */
const FILLED_UP = 4;

/** Whether a convolution of a filter that the file has as it is runs on blocked images. depth: as below.
 * Source: microsoft/onnxruntime 0ef8ce5, nchwc_transformer.cc; executed on 1.30.0. */
function isBlockedConvolution(args: Convolution, depth: number, block: number): boolean {
  if (!("outputDepth" in args)) return args.depthMultiplier === 1 && args.inputDepth % FILLED_UP === 0;
  const { groups, outputDepth } = args;
  if (groups === 1) return depth < block || depth % FILLED_UP === 0;
  if (depth === 1 && outputDepth === groups) return outputDepth % FILLED_UP === 0;
  return depth % block === 0 && (outputDepth / groups) % block === 0;
}

/** Of a filter of one tap. */
const isUnpadded = (args: Convolution) =>
  args.padTop + args.padLeft === 0 &&
  (args.outputHeight - 1) * args.strideHeight < args.inputHeight &&
  (args.outputWidth - 1) * args.strideWidth < args.inputWidth;

/** Blocks of channels, in each row, column and channel; few channels one after the other, those of a point side by side.
 * Source: microsoft/onnxruntime d018c97, mlas snchwc.cpp. */
function orderOnBlocks(args: Convolution, depth: number, block: number): Order {
  const allTaps = taps(args.filterHeight, args.filterWidth, false);
  const isPoint = allTaps.length === 1 && depth >= block && isUnpadded(args);
  const side = depth < block ? 1 : block;
  const channels = Array.from({ length: depth }, (_, channel) => channel);
  const terms = Array.from({ length: Math.ceil(depth / side) }, (_, at) =>
    channels.slice(at * side, (at + 1) * side),
  ).flatMap((own) => allTaps.flatMap((tap) => own.map((channel) => ({ ...tap, channel }))));
  return { terms, block: isPoint ? POINTWISE_BATCH : side * allTaps.length, bias: "last", isFused: true };
}

/** Channel, row, column. depth: input channels that one output reads. */
export function orderOfMlas(args: Convolution, depth: number): Order {
  const tapsOfChannel = taps(args.filterHeight, args.filterWidth, false);
  const terms = Array.from({ length: depth }, (_, channel) =>
    tapsOfChannel.map((tap) => ({ ...tap, channel })),
  ).flat();
  const isOnX86 = isFused(args.form);
  const block = channelBlock(args.form);
  const isAsInFile = !("matrix" in args && args.matrix) && !args.dequantized;
  if (block && isAsInFile && isBlockedConvolution(args, depth, block))
    return orderOnBlocks(args, depth, block);
  const orderOfProduct = isOnX86 ? orderOnX86 : orderOnWasm;
  if (!("outputDepth" in args) || !args.matrix) {
    const rows = "outputDepth" in args ? args.outputDepth / args.groups : args.depthMultiplier;
    return orderOfProduct(productOfConvolution(args, terms, depth, rows));
  }
  if (args.matrix === "packed")
    return { terms, block: PACKED_BLOCK, bias: "first-of-blocks", isFused: isOnX86 };
  if (args.matrix === "plain")
    return { terms, block: mlasBlock(args.outputDepth, terms.length), bias: "last", isFused: isOnX86 };
  return orderOfProduct(productOfMatrix(args, terms));
}
