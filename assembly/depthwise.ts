/** DEPTHWISE_CONV_2D of 3x3 filters, four channels and two outputs of a row at a time. Taps go in five pairs: the first two
 * rows by columns, V, and the third along itself, H, its last tap with a zero. What one output has put together the next
 * ones use again, weights stay in registers, and the sums are requantized there. */
import {
  accumulateDepthwiseScalar,
  firstFour,
  highWeights,
  lowWeights,
  multiplyAdd,
  pairBytes,
  WEIGHTS_4,
  WEIGHTS_8,
} from "./accumulate";
import {
  clampLanes,
  DOUBLE_ALIGNED,
  DOUBLE_WIDE,
  eightLanes,
  FLOAT_EVEN,
  offsetOf,
  PANEL_BYTES,
  PANEL_LANES,
  ROUNDING,
  SINGLE_ALIGNED,
  SINGLE_WIDE,
  sharedOf,
} from "./lanes";
import { Convolution } from "./params";
import { requantizePanel } from "./requantize";
import { clearPadding, widenImage } from "./widen";

/** Scratch: one pixel of one panel, then the widened image. */
const IMAGE: usize = 32;
/** Of rows that all channels go over in turn, so that they stay in the first cache. */
const STRIP_BYTES: i32 = 16384;
const PAIRS: i32 = 5;

/** Four channels of a pixel, in the low half. */
@inline
function four(address: usize): v128 {
  return v128.load_zero<i64>(address);
}

/** Weights of a pair for the first (second = false) or the last four channels of a panel. */
@inline
function weightsOf(bits: i32, weights: usize, pair: i32, second: bool): v128 {
  const at = weights + <usize>pair * pairBytes(bits);
  if (bits == WEIGHTS_8) return second ? highWeights(WEIGHTS_8, at) : lowWeights(WEIGHTS_8, at);
  return second ? highWeights(WEIGHTS_4, at) : lowWeights(WEIGHTS_4, at);
}

/** Four channels of `rows` rows of outputs. row: the first tap; panel: fields of the four; rounding: theirs of the single
 * forms. */
@inline
function convolveRows(
  form: i32,
  stride: i32,
  p: Convolution,
  row: usize,
  rows: i32,
  y0: v128,
  y1: v128,
  y2: v128,
  y3: v128,
  y4: v128,
  panel: usize,
  rounding: usize,
  output: usize,
): void {
  const pixel = <usize>p.pixelBytes,
    rowBytes = <usize>p.paddedWidth * pixel,
    depth = <usize>p.outputDepth,
    right = p.rightShift,
    shared = sharedOf(form, p),
    offset = offsetOf(form, p),
    low = i8x16.splat(<i8>p.activationMin),
    high = i8x16.splat(<i8>p.activationMax),
    bias = v128.load(panel);
  const width = p.outputWidth,
    outputBytes = <usize>width * depth;
  for (; rows > 0; rows--, row += rowBytes * <usize>stride, output += outputBytes) {
    let a = row,
      b = row + rowBytes,
      c = b + rowBytes;
    let v0 = firstFour(four(a), four(b)),
      v1 = firstFour(four(a + pixel), four(b + pixel)),
      last = four(c + pixel),
      h0 = firstFour(four(c), last);
    a += pixel * 2;
    b += pixel * 2;
    c += pixel * 2;
    let next = four(c),
      h1 = firstFour(last, next);
    let target = output;
    for (let x = width; x > 0; x -= 2, target += depth * 2) {
      const v2 = firstFour(four(a), four(b)),
        v3 = firstFour(four(a + pixel), four(b + pixel));
      last = four(c + pixel);
      const h2 = firstFour(next, last);
      a += pixel * 2;
      b += pixel * 2;
      c += pixel * 2;
      next = four(c);
      let first = multiplyAdd(multiplyAdd(multiplyAdd(bias, v0, y0), v1, y1), v2, y2);
      first = multiplyAdd(multiplyAdd(first, h0, y3), h2, y4);
      let second: v128;
      if (stride == 1) {
        const h3 = firstFour(last, next);
        second = multiplyAdd(multiplyAdd(multiplyAdd(bias, v1, y0), v2, y1), v3, y2);
        second = multiplyAdd(multiplyAdd(second, h1, y3), h3, y4);
        v0 = v2;
        v1 = v3;
        h0 = h2;
        h1 = h3;
      } else {
        const v4 = firstFour(four(a), four(b));
        last = four(c + pixel);
        const h4 = firstFour(next, last);
        second = multiplyAdd(multiplyAdd(multiplyAdd(bias, v2, y0), v3, y1), v4, y2);
        second = multiplyAdd(multiplyAdd(second, h2, y3), h4, y4);
        v0 = v4;
        v1 = firstFour(four(a + pixel), four(b + pixel));
        h0 = h4;
        a += pixel * 2;
        b += pixel * 2;
        c += pixel * 2;
        next = four(c);
      }
      const values = eightLanes(form, first, second, panel, rounding, 0, right, shared, offset, shared);
      const bytes = clampLanes(values, values, low, high);
      v128.store_lane<i32>(target, bytes, 0);
      if (x > 1) v128.store_lane<i32>(target + depth, bytes, 1);
    }
  }
}

/** All channels of some rows of outputs by one form. */
@inline
function convolveRowsBy(
  form: i32,
  stride: i32,
  bits: i32,
  p: Convolution,
  row: usize,
  rows: i32,
  output: usize,
): void {
  const depth = p.outputDepth,
    weightBytes = <usize>PAIRS * pairBytes(bits);
  let weights = p.weights,
    panel = p.panels;
  for (let channel = 0; channel < depth; channel += 4, row += 8, output += 4) {
    const second = (channel & 4) != 0,
      half: usize = second ? 16 : 0;
    convolveRows(
      form,
      stride,
      p,
      row,
      rows,
      weightsOf(bits, weights, 0, second),
      weightsOf(bits, weights, 1, second),
      weightsOf(bits, weights, 2, second),
      weightsOf(bits, weights, 3, second),
      weightsOf(bits, weights, 4, second),
      panel + half,
      panel + ROUNDING + half * 2,
      output,
    );
    if (second) {
      weights += weightBytes;
      panel += PANEL_BYTES;
    }
  }
}

@inline
function convolveInVectors(
  stride: i32,
  bits: i32,
  p: Convolution,
  row: usize,
  rows: i32,
  output: usize,
): void {
  switch (p.requantizer) {
    case FLOAT_EVEN:
      return convolveRowsBy(FLOAT_EVEN, stride, bits, p, row, rows, output);
    case DOUBLE_ALIGNED:
      return convolveRowsBy(DOUBLE_ALIGNED, stride, bits, p, row, rows, output);
    case SINGLE_ALIGNED:
      return convolveRowsBy(SINGLE_ALIGNED, stride, bits, p, row, rows, output);
    case DOUBLE_WIDE:
      return convolveRowsBy(DOUBLE_WIDE, stride, bits, p, row, rows, output);
    case SINGLE_WIDE:
      return convolveRowsBy(SINGLE_WIDE, stride, bits, p, row, rows, output);
  }
}

function convolveRows1(bits: i32, p: Convolution, row: usize, rows: i32, output: usize): void {
  convolveInVectors(1, bits, p, row, rows, output);
}

function convolveRows2(bits: i32, p: Convolution, row: usize, rows: i32, output: usize): void {
  convolveInVectors(2, bits, p, row, rows, output);
}

/** The same without vectors, pixel by pixel. */
@inline
function convolveRowScalar(bits: i32, p: Convolution, row: usize, output: usize): void {
  const acc = p.scratch,
    depth = p.outputDepth,
    weightBytes = <usize>PAIRS * pairBytes(bits);
  for (let x = 0; x < p.outputWidth; x++, row += <usize>(p.strideWidth * p.pixelBytes)) {
    let weights = p.weights,
      panel = p.panels,
      pixel = row;
    for (let channel = 0; channel < depth; channel += PANEL_LANES, pixel += 16) {
      const lanes = min(PANEL_LANES, depth - channel);
      accumulateDepthwiseScalar(bits, pixel, p.offsets, PAIRS, weights, panel, acc);
      requantizePanel(p, panel, acc, 1, output, 0, lanes);
      weights += weightBytes;
      panel += PANEL_BYTES;
      output += <usize>lanes;
    }
  }
}

@inline
function convolve(bits: i32, params: usize): void {
  const p = changetype<Convolution>(params),
    image = p.scratch + IMAGE;
  const inputBytes = <usize>(p.inputHeight * p.inputWidth * p.inputDepth),
    rowBytes = <usize>(p.strideHeight * p.paddedWidth * p.pixelBytes),
    outputBytes = <usize>(p.outputWidth * p.outputDepth);
  const strip = ASC_FEATURE_SIMD ? max(STRIP_BYTES / <i32>rowBytes, 1) : 1;
  let input = p.input,
    output = p.output;
  clearPadding(p, image);
  for (let i = 0; i < p.batches; i++, input += inputBytes) {
    widenImage(p, input, image);
    let row = image;
    for (let y = 0; y < p.outputHeight; y += strip, row += rowBytes * <usize>strip) {
      const rows = min(strip, p.outputHeight - y);
      if (ASC_FEATURE_SIMD) {
        if (p.strideWidth == 1) convolveRows1(bits, p, row, rows, output);
        else convolveRows2(bits, p, row, rows, output);
      } else convolveRowScalar(bits, p, row, output);
      output += outputBytes * <usize>rows;
    }
  }
}

export function depthwise_conv_2d_3x3_s8(params: usize): void {
  convolve(WEIGHTS_8, params);
}

/** Weights as nibbles. */
export function depthwise_conv_2d_3x3_s4(params: usize): void {
  convolve(WEIGHTS_4, params);
}
