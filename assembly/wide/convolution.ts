/** CONV_2D, DEPTHWISE_CONV_2D and FULLY_CONNECTED of int16 activations by int8 weights (16x8), zero points 0.
 * The products of up to `segment` offsets are summed in int32, which TypeScript has seen to hold them, and those sums in
 * int64 with the bias. With an int32 bias everything is one wrapping int32 sum. Source: TFLite reference/integer_ops/conv.h,
 * depthwise_conv.h and fully_connected.h; arm_convolve_s16 and kin, CMSIS-NN 99f736a. */
import { accumulatePixels, pairBytes, WEIGHTS_8 } from "../accumulate";
import { Convolution, Packed, WideConvolution, WideFullyConnected } from "../params";
import { PANEL_LANES } from "../lanes";
import { clearPadding } from "../widen";
import {
  clampOutput,
  requantizeReal,
  requantizeSum,
  requantizeSumNarrowed,
  rescale,
  roundsTwice,
  SUM32_DOUBLE,
  SUM64_CMSIS_NN,
  SUM64_DOUBLE,
  SUM64_TFLITE,
} from "./requantize";

/** Pixels of a chunk; scratch starts with their addresses, their int32 sums and their int64 sums, eight each. */
const CHUNK_PIXELS: i32 = 64;
const SUMS: usize = 256;
const WIDE_SUMS: usize = 256 + 64 * 32;
const IMAGE: usize = 256 + 64 * 32 + 64 * 64;
/** Rows that FULLY_CONNECTED copies at once. */
const CHUNK_ROWS: i32 = 16;

/** A panel: what an int32 sum starts from (zeros before an int64 one), multipliers (reduced for int64), shifts, int64 biases. */
const WIDE_PANEL_BYTES: usize = 160;
const MULTIPLIER: usize = 32;
const SHIFT: usize = 64;
const BIAS64: usize = 96;

/** The eight int64 biases of a panel for every pixel. */
@inline
function startSums(biases: usize, sums: usize, count: i32): void {
  for (const end = sums + ((<usize>count) << 6); sums < end; sums += 64) memory.copy(sums, biases, 64);
}

/** Adds eight int32 sums a pixel to the int64 ones. */
@inline
function addSums(acc: usize, sums: usize, count: i32): void {
  const end = acc + ((<usize>count) << 5);
  if (ASC_FEATURE_SIMD) {
    for (; acc < end; acc += 16, sums += 32) {
      const sum = v128.load(acc);
      v128.store(sums, i64x2.add(v128.load(sums), i64x2.extend_low_i32x4_s(sum)));
      v128.store(sums, i64x2.add(v128.load(sums, 16), i64x2.extend_high_i32x4_s(sum)), 16);
    }
  }
  for (; acc < end; acc += 4, sums += 8) store<i64>(sums, load<i64>(sums) + <i64>load<i32>(acc));
}

/** int64 sums of one panel for `count` pixels. segment: offsets (depthwise: pairs) that an int32 holds. */
@inline
function sumSegments(
  depthwise: bool,
  p: Packed,
  segment: i32,
  count: i32,
  shared: usize,
  weights: usize,
  panel: usize,
): void {
  const addresses = p.scratch,
    acc = addresses + SUMS,
    sums = addresses + WIDE_SUMS;
  const total = depthwise ? p.pairs : p.offsetCount,
    offsetBytes: usize = depthwise ? 8 : 4,
    weightBytes = <usize>(depthwise ? 1 : p.pairs) * pairBytes(WEIGHTS_8);
  startSums(panel + BIAS64, sums, count);
  for (let first = 0; first < total; first += segment) {
    const here = min(segment, total - first),
      offsets = p.offsets + <usize>first * offsetBytes,
      pairs = depthwise ? here : p.pairs;
    accumulatePixels(
      WEIGHTS_8,
      depthwise,
      addresses,
      count,
      shared,
      offsets,
      here,
      pairs,
      weights + <usize>first * weightBytes,
      panel,
      acc,
    );
    addSums(acc, sums, count);
  }
}

/** The first `lanes` channels of `count` pixels to output, outputStride bytes from one pixel to the next. */
function requantizeSums(
  p: Packed,
  panel: usize,
  count: i32,
  output: usize,
  outputStride: usize,
  lanes: i32,
): void {
  const narrowed = p.requantizer == SUM64_CMSIS_NN,
    real = p.requantizer >= SUM64_DOUBLE,
    wraps = p.requantizer == SUM32_DOUBLE,
    offset = p.outputOffset,
    low = p.activationMin,
    high = p.activationMax;
  let sums = p.scratch + WIDE_SUMS;
  for (let pixel = 0; pixel < count; pixel++, sums += 64, output += outputStride) {
    for (let lane: usize = 0; lane < <usize>lanes; lane++) {
      const sum = load<i64>(sums + (lane << 3)),
        reduced = load<i32>(panel + (lane << 2), MULTIPLIER),
        shift = load<i32>(panel + (lane << 2), SHIFT);
      const value = real
        ? requantizeReal(wraps ? <i64>(<i32>sum) : sum, load<f64>(panel + (lane << 3), MULTIPLIER))
        : narrowed
          ? requantizeSumNarrowed(sum, reduced, shift)
          : requantizeSum(sum, reduced, shift);
      store<i16>(output + (lane << 1), <i16>clampOutput(value, offset, low, high));
    }
  }
}

/** The same from int32 sums. */
function requantizeAccumulators(
  p: Packed,
  panel: usize,
  count: i32,
  output: usize,
  outputStride: usize,
  lanes: i32,
): void {
  const isDouble = roundsTwice(p.requantizer),
    offset = p.outputOffset,
    low = p.activationMin,
    high = p.activationMax;
  let acc = p.scratch + SUMS;
  for (let pixel = 0; pixel < count; pixel++, acc += 32, output += outputStride) {
    for (let lane: usize = 0; lane < <usize>lanes; lane++) {
      const channel = panel + (lane << 2);
      const value = rescale(
        isDouble,
        load<i32>(acc + (lane << 2)),
        load<i32>(channel, MULTIPLIER),
        load<i32>(channel, SHIFT),
      );
      store<i16>(output + (lane << 1), <i16>clampOutput(value, offset, low, high));
    }
  }
}

/** All channels of `count` pixels whose addresses are in scratch. */
@inline
function convolveChunk(depthwise: bool, p: Packed, segment: i32, count: i32, output: usize): void {
  const scratch = p.scratch,
    depth = p.groupDepth,
    outputStride = (<usize>p.outputDepth) << 1;
  const isWide = p.requantizer >= SUM64_TFLITE;
  const weightBytes = <usize>(depthwise ? p.pairs : p.pairs * p.offsetCount) * pairBytes(WEIGHTS_8);
  let weights = p.weights,
    panel = p.panels;
  for (let group = 0; group < p.groups; group++, output += (<usize>depth) << 1) {
    for (let channel = 0; channel < depth; channel += PANEL_LANES) {
      const shared = <usize>(depthwise ? channel << 1 : group * p.groupBytes),
        lanes = min(PANEL_LANES, depth - channel),
        target = output + ((<usize>channel) << 1);
      if (isWide) {
        sumSegments(depthwise, p, segment, count, shared, weights, panel);
        requantizeSums(p, panel, count, target, outputStride, lanes);
      } else {
        const offsets = p.offsets,
          acc = scratch + SUMS;
        accumulatePixels(
          WEIGHTS_8,
          depthwise,
          scratch,
          count,
          shared,
          offsets,
          p.offsetCount,
          p.pairs,
          weights,
          panel,
          acc,
        );
        requantizeAccumulators(p, panel, count, target, outputStride, lanes);
      }
      weights += weightBytes;
      panel += WIDE_PANEL_BYTES;
    }
  }
}

/** The last address again, up to a multiple of four. */
@inline
function repeatLast(addresses: usize, count: i32): void {
  for (let i = count; (i & 3) != 0; i++) {
    store<u32>(addresses + ((<usize>i) << 2), load<u32>(addresses + ((<usize>(count - 1)) << 2)));
  }
}

@inline
function convolveImage(depthwise: bool, p: WideConvolution, output: usize): void {
  const addresses = p.scratch;
  const columnBytes = <usize>(p.strideWidth * p.pixelBytes),
    rowBytes = <usize>(p.strideHeight * p.paddedWidth * p.pixelBytes),
    outputBytes = (<usize>p.outputDepth) << 1;
  const pixels = p.outputHeight * p.outputWidth,
    width = p.outputWidth;
  let row = addresses + IMAGE,
    address = row,
    column = 0;
  for (let start = 0; start < pixels; start += CHUNK_PIXELS) {
    const count = min(CHUNK_PIXELS, pixels - start);
    for (let i: usize = 0; i < <usize>count; i++, address += columnBytes, column++) {
      if (column == width) {
        column = 0;
        row += rowBytes;
        address = row;
      }
      store<u32>(addresses + (i << 2), <u32>address);
    }
    repeatLast(addresses, count);
    convolveChunk(depthwise, p, p.segment, count, output);
    output += <usize>count * outputBytes;
  }
}

/** Each of `depth` channels `multiplier` times over. */
function repeatChannels(input: usize, output: usize, depth: i32, multiplier: i32): void {
  for (let channel: usize = 0; channel < <usize>depth; channel++) {
    const value = load<i16>(input + (channel << 1));
    for (let i = 0; i < multiplier; i++, output += 2) store<i16>(output, value);
  }
}

/** One image NHWC into a padded one that is clear, its pixels `spacing` apart: what TRANSPOSE_CONV convolves. */
function spreadImage(p: Convolution, input: usize, padded: usize): void {
  const bytes = <usize>p.pixelBytes,
    rows = min(p.inputHeight, (p.paddedHeight - p.padTop - 1) / p.spacingHeight + 1),
    columns = <usize>min(p.inputWidth, (p.paddedWidth - p.padLeft - 1) / p.spacingWidth + 1);
  const step = <usize>p.spacingWidth * bytes,
    rowBytes = <usize>(p.paddedWidth * p.spacingHeight) * bytes;
  let row = padded + <usize>(p.padTop * p.paddedWidth + p.padLeft) * bytes;
  for (let y = 0; y < rows; y++, row += rowBytes, input += <usize>p.inputWidth * bytes)
    for (let x: usize = 0; x < columns; x++) memory.copy(row + x * step, input + x * bytes, bytes);
}

/** One image NHWC into its place in the padded one. Rows and columns that no output reads are left out. */
function copyImage(p: Convolution, input: usize, padded: usize): void {
  if ((p.spacingHeight | p.spacingWidth) > 1) return spreadImage(p, input, padded);
  const pixelBytes = <usize>p.pixelBytes,
    rowBytes = <usize>p.paddedWidth * pixelBytes,
    sourceBytes = (<usize>p.inputDepth) << 1;
  const top = min(p.padTop, p.paddedHeight),
    left = min(p.padLeft, p.paddedWidth);
  const rows = min(p.inputHeight, p.paddedHeight - top),
    columns = <usize>min(p.inputWidth, p.paddedWidth - left);
  let row = padded + <usize>top * rowBytes + <usize>left * pixelBytes;
  for (let y = 0; y < rows; y++, row += rowBytes, input += <usize>p.inputWidth * sourceBytes) {
    if (pixelBytes == sourceBytes) {
      memory.copy(row, input, columns * sourceBytes);
      continue;
    }
    for (let x: usize = 0; x < columns; x++) {
      const target = row + x * pixelBytes,
        source = input + x * sourceBytes;
      if (p.depthMultiplier == 1) memory.copy(target, source, sourceBytes);
      else repeatChannels(source, target, p.inputDepth, p.depthMultiplier);
    }
  }
}

@inline
function convolve(depthwise: bool, params: usize): void {
  const p = changetype<WideConvolution>(params),
    image = p.scratch + IMAGE;
  const inputBytes = (<usize>(p.inputHeight * p.inputWidth * p.inputDepth)) << 1,
    outputBytes = (<usize>(p.outputHeight * p.outputWidth * p.outputDepth)) << 1;
  let input = p.input,
    output = p.output;
  clearPadding(p, image);
  for (let i = 0; i < p.batches; i++, input += inputBytes, output += outputBytes) {
    copyImage(p, input, image);
    convolveImage(depthwise, p, output);
  }
}

export function conv_2d_s16(params: usize): void {
  convolve(false, params);
}

export function depthwise_conv_2d_s16(params: usize): void {
  convolve(true, params);
}

export function fully_connected_s16(params: usize): void {
  const p = changetype<WideFullyConnected>(params),
    addresses = p.scratch,
    rowBytes = (<usize>p.inputDepth) << 1;
  let input = p.input,
    output = p.output;
  for (let start = 0; start < p.batches; start += CHUNK_ROWS) {
    const count = min(CHUNK_ROWS, p.batches - start);
    memory.copy(addresses + IMAGE, input, <usize>count * rowBytes);
    for (let i: usize = 0; i < <usize>count; i++)
      store<u32>(addresses + (i << 2), <u32>(addresses + IMAGE + i * rowBytes));
    repeatLast(addresses, count);
    convolveChunk(false, p, p.segment, count, output);
    input += <usize>count * rowBytes;
    output += (<usize>(count * p.outputDepth)) << 1;
  }
}
