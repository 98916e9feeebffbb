/** Convolutions whose accumulator saturates, so that the order of the sum shows. A lane is a channel, as on the device: vectors
 * change no order. Four pixels are gathered at a time, each as one run of int16 in the order filter row, column, input channel.
 * ESP32-S3 (EE.VMULAS.S8.QACC): 20 bits a lane, saturated at every product. Weights of a panel: [k / 2][8][2].
 * AVX2 without VNNI (vpmaddubsw): products of uint8 activations and int8 weights, added in pairs that saturate at 16 bits.
 * Weights of a panel: [k / 4][8][4]. */
import { multiplyAdd, storeFour } from "./accumulate";
import { PANEL_BYTES, PANEL_LANES } from "./lanes";
import { OrderedConvolution } from "./params";
import { requantizePanel } from "./requantize";
import { clearPadding, widenImage } from "./widen";

/** Scratch: accumulators [4][8] int32, the gathered pixels, the widened image. */
const ROWS: usize = 128;
const LEAST: i32 = -(1 << 19);
const MOST: i32 = (1 << 19) - 1;
/** Products that are summed at once where no sum can leave 20 bits meanwhile, and their weights. */
const BLOCK: i32 = 16;
const BLOCK_BYTES: usize = 16 * 8;

/** `bytes` of int16, each plus `added`; up to 14 bytes more. */
@inline
function copyRun(source: usize, target: usize, bytes: usize, added: i32): void {
  if (ASC_FEATURE_SIMD) {
    const addend = i16x8.splat(<i16>added);
    for (let i: usize = 0; i < bytes; i += 16)
      v128.store(target + i, i16x8.add(v128.load(source + i), addend));
  } else
    for (let i: usize = 0; i < bytes; i += 2)
      store<i16>(target + i, <i16>(<i32>load<i16>(source + i) + added));
}

/** All that the pixel at `source` reads, run after run. */
function gatherPixel(p: OrderedConvolution, source: usize, target: usize): void {
  const bytes = (<usize>p.runLength) << 1;
  for (let i = 0; i < p.offsetCount; i++, target += bytes) {
    copyRun(source + <usize>load<u32>(p.offsets + ((<usize>i) << 2)), target, bytes, p.zeroPoint);
  }
}

/** Sums of two pairs a channel, each pair saturated, added to the accumulators of four channels. */
@inline
function addPairs(acc: v128, x: v128, y0: v128, y1: v128): v128 {
  const pairs = i16x8.narrow_i32x4_s(i32x4.dot_i16x8_s(x, y0), i32x4.dot_i16x8_s(x, y1));
  return i32x4.add(acc, i32x4.extadd_pairwise_i16x8_s(pairs));
}

/** One panel of four pixels `rowBytes` apart. */
function pairedFour(row: usize, rowBytes: usize, weights: usize, bias: usize, acc: usize): void {
  const row2 = row + rowBytes * 2;
  const bias0 = v128.load(bias),
    bias1 = v128.load(bias, 16);
  let c00 = bias0,
    c01 = bias1,
    c10 = bias0,
    c11 = bias1,
    c20 = bias0,
    c21 = bias1,
    c30 = bias0,
    c31 = bias1;
  for (let k: usize = 0; k < rowBytes; k += 8, weights += 32) {
    const x0 = v128.load_splat<i64>(row + k),
      x1 = v128.load_splat<i64>(row + rowBytes + k),
      x2 = v128.load_splat<i64>(row2 + k),
      x3 = v128.load_splat<i64>(row2 + rowBytes + k);
    let y0 = v128.load_ext<i8>(weights),
      y1 = v128.load_ext<i8>(weights, 8);
    c00 = addPairs(c00, x0, y0, y1);
    c10 = addPairs(c10, x1, y0, y1);
    c20 = addPairs(c20, x2, y0, y1);
    c30 = addPairs(c30, x3, y0, y1);
    y0 = v128.load_ext<i8>(weights, 16);
    y1 = v128.load_ext<i8>(weights, 24);
    c01 = addPairs(c01, x0, y0, y1);
    c11 = addPairs(c11, x1, y0, y1);
    c21 = addPairs(c21, x2, y0, y1);
    c31 = addPairs(c31, x3, y0, y1);
  }
  storeFour(acc, c00, c01, c10, c11, c20, c21, c30, c31);
}

/** The same without vectors, one lane of one pixel. */
function pairedSum(row: usize, rowBytes: usize, weights: usize, sum: i32): i32 {
  for (const end = row + rowBytes; row < end; row += 8, weights += 32) {
    for (let k: usize = 0; k < 4; k += 2) {
      const x = row + (k << 1);
      const pair = <i32>load<i16>(x) * <i32>load<i8>(weights + k) + <i32>load<i16>(x, 2) * <i32>load<i8>(weights + k, 1);
      sum += min(max(pair, -32768), 32767);
    }
  }
  return sum;
}

@inline
function saturated(acc: v128): v128 {
  return i32x4.min_s(i32x4.max_s(acc, i32x4.splat(LEAST)), i32x4.splat(MOST));
}

/** Two products, one after the other. */
@inline
function addInOrder(acc: v128, x: v128, y: v128): v128 {
  const first = v128.and(x, i32x4.splat(0xffff));
  const after = saturated(multiplyAdd(acc, first, y));
  return saturated(multiplyAdd(after, v128.xor(x, first), y));
}

@inline
function largest(a: v128, b: v128): v128 {
  return i32x4.max_s(i32x4.abs(a), i32x4.abs(b));
}

/** One panel of four pixels. limits: one a block, the magnitude up to which its products are summed at once. */
function saturatingFour(
  row: usize,
  rowBytes: usize,
  weights: usize,
  limits: usize,
  bias: usize,
  acc: usize,
): void {
  const row2 = row + rowBytes * 2;
  const bias0 = saturated(v128.load(bias)),
    bias1 = saturated(v128.load(bias, 16));
  let c00 = bias0,
    c01 = bias1,
    c10 = bias0,
    c11 = bias1,
    c20 = bias0,
    c21 = bias1,
    c30 = bias0,
    c31 = bias1;
  for (let k: usize = 0; k < rowBytes; limits += 4) {
    const most = i32x4.max_s(
      i32x4.max_s(largest(c00, c01), largest(c10, c11)),
      i32x4.max_s(largest(c20, c21), largest(c30, c31)),
    );
    const end = k + BLOCK * 2;
    if (!v128.any_true(i32x4.gt_s(most, v128.load_splat<i32>(limits)))) {
      for (; k < end; k += 4, weights += 16) {
        const y0 = v128.load_ext<i8>(weights),
          y1 = v128.load_ext<i8>(weights, 8);
        const x0 = v128.load_splat<i32>(row + k);
        c00 = multiplyAdd(c00, x0, y0);
        c01 = multiplyAdd(c01, x0, y1);
        const x1 = v128.load_splat<i32>(row + rowBytes + k);
        c10 = multiplyAdd(c10, x1, y0);
        c11 = multiplyAdd(c11, x1, y1);
        const x2 = v128.load_splat<i32>(row2 + k);
        c20 = multiplyAdd(c20, x2, y0);
        c21 = multiplyAdd(c21, x2, y1);
        const x3 = v128.load_splat<i32>(row2 + rowBytes + k);
        c30 = multiplyAdd(c30, x3, y0);
        c31 = multiplyAdd(c31, x3, y1);
      }
    } else {
      for (; k < end; k += 4, weights += 16) {
        const y0 = v128.load_ext<i8>(weights),
          y1 = v128.load_ext<i8>(weights, 8);
        const x0 = v128.load_splat<i32>(row + k);
        c00 = addInOrder(c00, x0, y0);
        c01 = addInOrder(c01, x0, y1);
        const x1 = v128.load_splat<i32>(row + rowBytes + k);
        c10 = addInOrder(c10, x1, y0);
        c11 = addInOrder(c11, x1, y1);
        const x2 = v128.load_splat<i32>(row2 + k);
        c20 = addInOrder(c20, x2, y0);
        c21 = addInOrder(c21, x2, y1);
        const x3 = v128.load_splat<i32>(row2 + rowBytes + k);
        c30 = addInOrder(c30, x3, y0);
        c31 = addInOrder(c31, x3, y1);
      }
    }
  }
  storeFour(acc, c00, c01, c10, c11, c20, c21, c30, c31);
}

/** The same without vectors, one lane of one pixel. */
function saturatingSum(row: usize, rowBytes: usize, weights: usize, sum: i32): i32 {
  sum = min(max(sum, LEAST), MOST);
  for (const end = row + rowBytes; row < end; row += 4, weights += 16) {
    sum = min(max(sum + <i32>load<i16>(row) * <i32>load<i8>(weights), LEAST), MOST);
    sum = min(max(sum + <i32>load<i16>(row, 2) * <i32>load<i8>(weights, 1), LEAST), MOST);
  }
  return sum;
}

/** One panel of four gathered pixels to acc [4][8]. */
@inline
function sumPanel(paired: bool, p: OrderedConvolution, weights: usize, limits: usize, panel: usize): void {
  const acc = p.scratch,
    rowBytes = (<usize>p.length) << 1,
    row = acc + ROWS;
  if (ASC_FEATURE_SIMD) {
    if (paired) pairedFour(row, rowBytes, weights, panel, acc);
    else saturatingFour(row, rowBytes, weights, limits, panel, acc);
    return;
  }
  for (let i: usize = 0; i < 32; i++) {
    const lane = i & 7,
      pixel = row + (i >> 3) * rowBytes,
      bias = load<i32>(panel + (lane << 2));
    const sum = paired
      ? pairedSum(pixel, rowBytes, weights + (lane << 2), bias)
      : saturatingSum(pixel, rowBytes, weights + (lane << 1), bias);
    store<i32>(acc + (i << 2), sum);
  }
}

/** All channels of up to four pixels of one image, from number `first` on. */
@inline
function convolvePixels(paired: bool, p: OrderedConvolution, image: usize, first: i32, count: i32, output: usize): void {
  const columnBytes = p.strideWidth * p.pixelBytes,
    imageRowBytes = p.strideHeight * p.paddedWidth * p.pixelBytes,
    rowBytes = (<usize>p.length) << 1,
    panelBytes = <usize>p.length * PANEL_LANES,
    limitBytes = <usize>(p.length / BLOCK) << 2;
  let weights = p.weights,
    limits = p.limits,
    panel = p.panels;
  for (let group = 0; group < p.groups; group++, output += <usize>p.groupDepth) {
    const source = image + <usize>(group * p.groupBytes);
    for (let i = 0; i < count; i++) {
      const y = (first + i) / p.outputWidth,
        x = (first + i) % p.outputWidth;
      const pixel = source + <usize>(y * imageRowBytes + x * columnBytes);
      gatherPixel(p, pixel, p.scratch + ROWS + <usize>i * rowBytes);
    }
    for (let channel = 0; channel < p.groupDepth; channel += PANEL_LANES) {
      sumPanel(paired, p, weights, limits, panel);
      const lanes = min(PANEL_LANES, p.groupDepth - channel),
        target = output + <usize>channel;
      requantizePanel(p, panel, p.scratch, count, target, <usize>p.outputDepth, lanes);
      weights += panelBytes;
      limits += limitBytes;
      panel += PANEL_BYTES;
    }
  }
}

@inline
function convolve(paired: bool, params: usize): void {
  const p = changetype<OrderedConvolution>(params),
    image = p.scratch + ROWS + (<usize>p.length << 3) + 16,
    pixels = p.outputHeight * p.outputWidth;
  const inputBytes = <usize>(p.inputHeight * p.inputWidth * p.inputDepth);
  let input = p.input,
    output = p.output;
  clearPadding(p, image);
  for (let i = 0; i < p.batches; i++, input += inputBytes) {
    widenImage(p, input, image);
    for (let first = 0; first < pixels; first += 4) {
      const count = min(4, pixels - first);
      convolvePixels(paired, p, image, first, count, output);
      output += <usize>(count * p.outputDepth);
    }
  }
}

export function conv_2d_saturating_s8(params: usize): void {
  convolve(false, params);
}

export function conv_2d_paired_s8(params: usize): void {
  convolve(true, params);
}
