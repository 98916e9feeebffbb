/** CONV_2D, DEPTHWISE_CONV_2D and FULLY_CONNECTED: widen, accumulate, requantize, in chunks that stay in the first cache.
 * acc = bias + sum of (x + inputOffset) * w in wrapping int32, taps in the padding adding 0. Source: TFLite
 * reference/integer_ops/conv.h and depthwise_conv.h; arm_convolve_s8 and kin, CMSIS-NN 7.0.0. */
import {
  accumulateFour,
  accumulateOne,
  accumulatePixels,
  pairBytes,
  WEIGHTS_4,
  WEIGHTS_8,
} from "./accumulate";
import { Convolution, FullyConnected, Packed } from "./params";
import {
  DOUBLE_ALIGNED,
  FLOAT_EVEN,
  NONE,
  offsetOf,
  PANEL_BYTES,
  PANEL_LANES,
  SINGLE_ALIGNED,
  sharedOf,
} from "./lanes";
import { requantizePanel } from "./requantize";
import { clearPadding, widenImage, widenRun } from "./widen";

/** Pixels of a chunk; scratch starts with their addresses, their sums (of all channels) and their accumulators. */
const CHUNK_PIXELS: i32 = 64;
const SUMS: usize = 256;
const ACCUMULATORS: usize = 512;
const IMAGE: usize = 512 + 64 * 32;

/** The panel of eight whole channels for `count` pixels, by fours that are requantized in registers; a last one by itself. */
@inline
function convolvePanel(
  form: i32,
  bits: i32,
  p: Packed,
  count: i32,
  start: usize,
  weights: usize,
  panel: usize,
  output: usize,
): void {
  const right = p.rightShift,
    shared = sharedOf(form, p),
    offset = offsetOf(form, p),
    low = i8x16.splat(<i8>p.activationMin),
    high = i8x16.splat(<i8>p.activationMax);
  const offsets = p.offsets,
    offsetCount = p.offsetCount,
    pairs = p.pairs,
    stride = <usize>p.outputDepth;
  let addresses = p.scratch,
    i = 0;
  for (; i + 1 < count; i += 4, addresses += 16, output += stride << 2) {
    const step2 = stride << (i + 2 < count ? 1 : 0),
      step3 = i + 3 < count ? stride * 3 : step2;
    accumulateFour(
      form,
      right,
      shared,
      offset,
      low,
      high,
      bits,
      addresses,
      start,
      offsets,
      offsetCount,
      pairs,
      weights,
      panel,
      output,
      stride,
      step2,
      step3,
    );
  }
  if (i >= count) return;
  const acc = p.scratch + ACCUMULATORS;
  accumulateOne(bits, addresses, start, offsets, offsetCount, pairs, weights, panel, acc);
  requantizePanel(p, panel, acc, 1, output, stride, PANEL_LANES);
}

/** By the requantizers that most layers have; returns false for others, with nothing done. */
@inline
function convolveInRegisters(
  bits: i32,
  p: Packed,
  count: i32,
  shared: usize,
  weights: usize,
  panel: usize,
  output: usize,
): bool {
  const form = p.requantizer;
  if (form == FLOAT_EVEN) convolvePanel(FLOAT_EVEN, bits, p, count, shared, weights, panel, output);
  else if (form == DOUBLE_ALIGNED)
    convolvePanel(DOUBLE_ALIGNED, bits, p, count, shared, weights, panel, output);
  else if (form == SINGLE_ALIGNED)
    convolvePanel(SINGLE_ALIGNED, bits, p, count, shared, weights, panel, output);
  else return false;
  return true;
}

function convolveInRegisters8(
  p: Packed,
  count: i32,
  shared: usize,
  weights: usize,
  panel: usize,
  output: usize,
): bool {
  return convolveInRegisters(WEIGHTS_8, p, count, shared, weights, panel, output);
}

function convolveInRegisters4(
  p: Packed,
  count: i32,
  shared: usize,
  weights: usize,
  panel: usize,
  output: usize,
): bool {
  return convolveInRegisters(WEIGHTS_4, p, count, shared, weights, panel, output);
}

/** filterOffset times the sum of each pixel's activations, added to its eight accumulators. */
function addFilterOffset(filterOffset: i32, sums: usize, count: i32, acc: usize): void {
  for (let i = 0; i < count; i++, sums += 4) {
    const correction = filterOffset * load<i32>(sums);
    for (const end = acc + 32; acc < end; acc += 4) store<i32>(acc, load<i32>(acc) + correction);
  }
}

/** All channels of `count` pixels whose addresses are in scratch. */
@inline
function convolveChunk(
  bits: i32,
  depthwise: bool,
  p: Packed,
  count: i32,
  filterOffset: i32,
  output: usize,
): void {
  const scratch = p.scratch,
    acc = scratch + ACCUMULATORS,
    depth = p.groupDepth;
  const elementBytes: usize = p.requantizer == NONE ? 4 : 1,
    outputStride = <usize>p.outputDepth * elementBytes;
  const weightBytes = <usize>(depthwise ? p.pairs : p.pairs * p.offsetCount) * pairBytes(bits);
  let weights = p.weights,
    panel = p.panels;
  for (let group = 0; group < p.groups; group++, output += <usize>depth * elementBytes) {
    for (
      let channel = 0;
      channel < depth;
      channel += PANEL_LANES, weights += weightBytes, panel += PANEL_BYTES
    ) {
      const shared = <usize>(depthwise ? channel << 1 : group * p.groupBytes),
        target = output + <usize>channel * elementBytes;
      if (ASC_FEATURE_SIMD && !depthwise && filterOffset == 0 && channel + PANEL_LANES <= depth) {
        const done =
          bits == WEIGHTS_8
            ? convolveInRegisters8(p, count, shared, weights, panel, target)
            : convolveInRegisters4(p, count, shared, weights, panel, target);
        if (done) continue;
      }
      accumulatePixels(
        bits,
        depthwise,
        scratch,
        count,
        shared,
        p.offsets,
        p.offsetCount,
        p.pairs,
        weights,
        panel,
        acc,
      );
      if (filterOffset != 0) addFilterOffset(filterOffset, scratch + SUMS, count, acc);
      const lanes = min(PANEL_LANES, depth - channel);
      requantizePanel(p, panel, acc, count, target, outputStride, lanes);
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
function convolveImage(bits: i32, depthwise: bool, p: Convolution, output: usize): void {
  const addresses = p.scratch,
    image = addresses + IMAGE;
  const columnBytes = <usize>(p.strideWidth * p.pixelBytes);
  const rowBytes = <usize>(p.strideHeight * p.paddedWidth * p.pixelBytes);
  const outputBytes = <usize>p.outputDepth * (p.requantizer == NONE ? 4 : 1);
  const pixels = p.outputHeight * p.outputWidth,
    width = p.outputWidth;
  let row = image,
    address = image,
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
    convolveChunk(bits, depthwise, p, count, 0, output);
    output += <usize>count * outputBytes;
  }
}

@inline
function convolve(bits: i32, depthwise: bool, params: usize): void {
  const p = changetype<Convolution>(params),
    image = p.scratch + IMAGE;
  const inputBytes = <usize>(p.inputHeight * p.inputWidth * p.inputDepth);
  const outputBytes = <usize>(
    (p.outputHeight * p.outputWidth * p.outputDepth * (p.requantizer == NONE ? 4 : 1))
  );
  let input = p.input,
    output = p.output;
  clearPadding(p, image);
  for (let i = 0; i < p.batches; i++, input += inputBytes, output += outputBytes) {
    widenImage(p, input, image);
    convolveImage(bits, depthwise, p, output);
  }
}

export function conv_2d_s8(params: usize): void {
  convolve(WEIGHTS_8, false, params);
}

/** Weights as nibbles. */
export function conv_2d_s4(params: usize): void {
  convolve(WEIGHTS_4, false, params);
}

export function depthwise_conv_2d_s8(params: usize): void {
  convolve(WEIGHTS_8, true, params);
}

/** Weights as nibbles. */
export function depthwise_conv_2d_s4(params: usize): void {
  convolve(WEIGHTS_4, true, params);
}

/** Widens `count` rows, notes their addresses and, where the weights have a zero point, their sums. */
function widenRows(p: FullyConnected, input: usize, count: i32): void {
  const addresses = p.scratch,
    depth = p.inputDepth;
  let row = addresses + IMAGE;
  widenRun(input, row, count * depth, p.inputOffset);
  for (let i: usize = 0; i < <usize>count; i++, row += (<usize>depth) << 1) {
    store<u32>(addresses + (i << 2), <u32>row);
    if (p.filterOffset == 0) continue;
    let sum = 0;
    for (let k = 0; k < depth; k++) sum += <i32>load<i16>(row + ((<usize>k) << 1));
    store<i32>(addresses + SUMS + (i << 2), sum);
  }
  repeatLast(addresses, count);
}

@inline
function fullyConnected(bits: i32, params: usize): void {
  const p = changetype<FullyConnected>(params);
  const outputBytes = <usize>p.outputDepth * (p.requantizer == NONE ? 4 : 1);
  let input = p.input,
    output = p.output;
  for (let start = 0; start < p.batches; start += p.chunkRows) {
    const count = min(p.chunkRows, p.batches - start);
    widenRows(p, input, count);
    convolveChunk(bits, false, p, count, p.filterOffset, output);
    input += <usize>(count * p.inputDepth);
    output += <usize>count * outputBytes;
  }
}

export function fully_connected_s8(params: usize): void {
  fullyConnected(WEIGHTS_8, params);
}

/** Weights as nibbles. */
export function fully_connected_s4(params: usize): void {
  fullyConnected(WEIGHTS_4, params);
}
