/** float32: pools, means and softmax, whose sums have the order of the runtime. */
import { FloatPool, FloatReduce, FloatResize, Pad } from "../params";
import { expMlas, expXnnpack } from "./functions";
import { clampF32 } from "./sums";

/** The runtimes, as src/kernels/float/forms.ts numbers them. */
const TFLITE: i32 = 0;
const XNNPACK: i32 = 1;

/** A tap of the window, 0 outside of the image. */
@inline
function tap(p: FloatPool, input: usize, y: i32, x: i32): f32 {
  const inside = y >= 0 && x >= 0 && y < p.inputHeight && x < p.inputWidth;
  return inside ? load<f32>(input + ((<usize>((y * p.inputWidth + x) * p.inputDepth)) << 2)) : 0;
}

/** Row by row. */
function sumOfRows(p: FloatPool, input: usize, top: i32, left: i32): f32 {
  let sum: f32 = 0;
  for (let y = top; y < top + p.filterHeight; y++)
    for (let x = left; x < left + p.filterWidth; x++) sum += tap(p, input, y, x);
  return sum;
}

/** Columns by themselves, then from left to right. Source: ONNX Runtime 1.30.0 mlas pooling.cpp, strides of at most 2. */
function sumOfColumns(p: FloatPool, input: usize, top: i32, left: i32): f32 {
  let sum: f32 = 0;
  for (let x = left; x < left + p.filterWidth; x++) {
    let column: f32 = 0;
    for (let y = top; y < top + p.filterHeight; y++) column += tap(p, input, y, x);
    sum += column;
  }
  return sum;
}

/** Tap k, column after column; 0 behind the last. */
@inline
function columnTap(p: FloatPool, input: usize, top: i32, left: i32, k: i32): f32 {
  if (k >= p.filterHeight * p.filterWidth) return 0;
  return tap(p, input, top + (k % p.filterHeight), left + k / p.filterHeight);
}

/** Nine taps as a tree, then the next nine. Source: XNNPACK f32-avgpool-9p, executed on LiteRT.js 2.5.3. */
function sumByNines(p: FloatPool, input: usize, top: i32, left: i32): f32 {
  let sum: f32 = 0;
  for (let k = 0, end = p.filterHeight * p.filterWidth; k < end; k += 9) {
    const sum01 = columnTap(p, input, top, left, k) + columnTap(p, input, top, left, k + 1),
      sum23 = columnTap(p, input, top, left, k + 2) + columnTap(p, input, top, left, k + 3),
      sum45 = columnTap(p, input, top, left, k + 4) + columnTap(p, input, top, left, k + 5),
      sum67 = columnTap(p, input, top, left, k + 6) + columnTap(p, input, top, left, k + 7),
      sum018: f32 = sum01 + columnTap(p, input, top, left, k + 8);
    const nine: f32 = sum23 + sum45 + (sum018 + sum67);
    sum = k == 0 ? nine : sum + nine;
  }
  return sum;
}

/** The mean of the taps inside the image. */
function averageOf(p: FloatPool, input: usize, top: i32, left: i32): f32 {
  const rows = min(top + p.filterHeight, p.inputHeight) - max(top, 0),
    columns = min(left + p.filterWidth, p.inputWidth) - max(left, 0);
  const count = <f32>(rows * columns);
  if (p.form == TFLITE) return sumOfRows(p, input, top, left) / count;
  if (p.form == XNNPACK) return sumByNines(p, input, top, left) * (1 / count);
  const sum = p.strideWidth > 2 ? sumOfRows(p, input, top, left) : sumOfColumns(p, input, top, left);
  return sum / count;
}

/** NaN counts, and 0 is above -0, unless TFLite compares: there the first of both stays. */
function maximumOf(p: FloatPool, input: usize, top: i32, left: i32): f32 {
  let most = -f32.MAX_VALUE;
  for (let y = max(top, 0), end = min(top + p.filterHeight, p.inputHeight); y < end; y++)
    for (let x = max(left, 0), last = min(left + p.filterWidth, p.inputWidth); x < last; x++) {
      const value = tap(p, input, y, x);
      if (p.form == TFLITE) most = value > most ? value : most;
      else most = max<f32>(most, value);
    }
  return most;
}

@inline
function pool(p: FloatPool, isAverage: bool): void {
  const low = reinterpret<f32>(p.activationMin),
    high = reinterpret<f32>(p.activationMax),
    zero = reinterpret<f32>(p.zero);
  const imageBytes = (<usize>(p.inputHeight * p.inputWidth * p.inputDepth)) << 2;
  let input = p.input,
    output = p.output;
  for (let image = 0; image < p.batches; image++, input += imageBytes)
    for (let y = 0; y < p.outputHeight; y++)
      for (let x = 0; x < p.outputWidth; x++)
        for (let channel = 0; channel < p.inputDepth; channel++, output += 4) {
          const top = y * p.strideHeight - p.padTop,
            left = x * p.strideWidth - p.padLeft,
            from = input + ((<usize>channel) << 2);
          const value = isAverage ? averageOf(p, from, top, left) : maximumOf(p, from, top, left);
          store<f32>(output, clampF32(value, low, high) + zero);
        }
}

export function average_pool_2d_f32(params: usize): void {
  pool(changetype<FloatPool>(params), true);
}

export function max_pool_2d_f32(params: usize): void {
  pool(changetype<FloatPool>(params), false);
}

/** lane0 + lane2, lane1 + lane3 of four sums at `lanes`. */
@inline
function evenSum(lanes: usize): f32 {
  return load<f32>(lanes) + load<f32>(lanes, 8);
}
@inline
function oddSum(lanes: usize): f32 {
  return load<f32>(lanes, 4) + load<f32>(lanes, 12);
}

/** Four lanes, the rest after them. Source: ONNX Runtime 1.30.0 mlas (sums of exponentials, averages of a plane). */
function sumByFours(lanes: usize, from: usize, stride: usize, count: i32): f32 {
  let i = 0,
    sum: f32 = 0;
  if (count >= 4) {
    memory.fill(lanes, 0, 16);
    for (; i + 4 <= count; i += 4)
      for (let lane: usize = 0; lane < 4; lane++) {
        const at = lanes + (lane << 2);
        store<f32>(at, load<f32>(at) + load<f32>(from + (<usize>i + lane) * stride));
      }
    sum = evenSum(lanes) + oddSum(lanes);
  }
  for (; i < count; i++) sum += load<f32>(from + <usize>i * stride);
  return sum;
}

/** The same with the last two and three otherwise. Source: XNNPACK f32-raddstoreexpminusmax-wasmsimd. */
function sumOfExponentials(lanes: usize, from: usize, count: i32): f32 {
  const fours = count & ~3,
    rest = from + ((<usize>fours) << 2);
  let sum: f32 = sumByFours(lanes, from, 4, fours);
  if (count & 2) sum += load<f32>(rest) + load<f32>(rest, 4);
  if (count & 1) sum += load<f32>(rest + ((<usize>(count & 2)) << 2));
  return sum;
}

/** Four accumulators of four lanes. Source: XNNPACK 028aae4 f32-rsum-wasmsimd-u16-acc4. */
function sumBySixteens(lanes: usize, from: usize, count: i32): f32 {
  memory.fill(lanes, 0, 64);
  const fours = count & ~3;
  for (let i = 0; i < fours; i++) {
    const at = lanes + ((<usize>(i & 15)) << 2);
    store<f32>(at, load<f32>(at) + load<f32>(from + ((<usize>i) << 2)));
  }
  for (let lane: usize = 0; lane < 16; lane += 4) {
    const first = load<f32>(lanes + lane) + load<f32>(lanes + lane, 32),
      second = load<f32>(lanes + lane, 16) + load<f32>(lanes + lane, 48);
    store<f32>(lanes + lane, first + second);
  }
  const rest = from + ((<usize>fours) << 2);
  let even = evenSum(lanes),
    odd = oddSum(lanes);
  if (count & 2) {
    even += load<f32>(rest);
    odd += load<f32>(rest, 4);
  }
  const sum: f32 = even + odd;
  return count & 1 ? sum + load<f32>(rest + ((<usize>(count & 2)) << 2)) : sum;
}

/** Of the elements at [reducedOuter][inner][reducedInner], where inner is one. */
function meanOf(p: FloatReduce, from: usize): f32 {
  const rowStride = (<usize>(p.inner * p.reducedInner)) << 2,
    count = <f32>(p.reducedOuter * p.reducedInner),
    inverse: f32 = 1 / count;
  if (p.form == XNNPACK && p.reducedInner > 1) {
    let sum: f32 = 0;
    for (let row = 0; row < p.reducedOuter; row++)
      sum += sumBySixteens(p.scratch, from + <usize>row * rowStride, p.reducedInner) * inverse;
    return sum;
  }
  if (p.form > XNNPACK && p.reducedInner == 1)
    return sumByFours(p.scratch, from, rowStride, p.reducedOuter) / count;
  if (p.form > XNNPACK && p.reducedOuter == 1) return sumByFours(p.scratch, from, 4, p.reducedInner) / count;
  let sum: f32 = 0;
  for (let row = 0; row < p.reducedOuter; row++)
    for (let i = 0; i < p.reducedInner; i++)
      sum += load<f32>(from + <usize>row * rowStride + ((<usize>i) << 2));
  return p.form == XNNPACK ? sum * inverse : sum / count;
}

/** An image is [outer][reducedOuter][inner][reducedInner]. */
export function mean_f32(params: usize): void {
  const p = changetype<FloatReduce>(params);
  const row = (<usize>p.reducedInner) << 2,
    block = row * <usize>(p.reducedOuter * p.inner);
  let output = p.output,
    input = p.input;
  for (let outer = 0, end = p.batches * p.outer; outer < end; outer++, input += block)
    for (let inner: usize = 0; inner < <usize>p.inner; inner++, output += 4)
      store<f32>(output, meanOf(p, input + inner * row));
}

@inline
function exponential(form: i32, x: f32): f32 {
  if (form == TFLITE) return NativeMathf.exp(x);
  return form == XNNPACK ? expXnnpack(x) : expMlas(x);
}

/** Exponentials of the differences to the greatest, at `target`; returns their sum. */
function exponentials(p: FloatReduce, row: usize, target: usize, most: f32): f32 {
  const beta = reinterpret<f32>(p.beta),
    bytes = (<usize>p.reducedInner) << 2;
  let sum: f32 = 0;
  for (let i: usize = 0; i < bytes; i += 4) {
    const value = exponential(p.form, (load<f32>(row + i) - most) * beta);
    store<f32>(target + i, value);
    sum += value;
  }
  if (p.form == TFLITE) return sum;
  if (p.form == XNNPACK) return sumOfExponentials(p.scratch, target, p.reducedInner);
  return sumByFours(p.scratch, target, 4, p.reducedInner);
}

function greatest(row: usize, count: i32): f32 {
  let most = -f32.MAX_VALUE;
  for (let i: usize = 0; i < <usize>count; i++) {
    const value = load<f32>(row + (i << 2));
    most = value > most ? value : most;
  }
  return most;
}

/** Rows of reducedInner values. Source: TFLite reference/softmax.h; XNNPACK softmax; ONNX Runtime mlas compute.cpp. */
export function softmax_f32(params: usize): void {
  const p = changetype<FloatReduce>(params),
    bytes = (<usize>p.reducedInner) << 2;
  let input = p.input,
    output = p.output;
  for (let row = 0, end = p.batches * p.outer; row < end; row++, input += bytes, output += bytes) {
    const sum = exponentials(p, input, output, greatest(input, p.reducedInner));
    const inverse: f32 = 1 / sum;
    for (let i: usize = 0; i < bytes; i += 4) {
      const value = load<f32>(output + i);
      store<f32>(output + i, p.form == TFLITE ? value / sum : value * inverse);
    }
  }
}

/** x - most - log(sum). Source: TFLite reference/log_softmax.h; ONNX Runtime mlas compute.cpp. */
export function log_softmax_ordered_f32(params: usize): void {
  const p = changetype<FloatReduce>(params),
    bytes = (<usize>p.reducedInner) << 2;
  let input = p.input,
    output = p.output;
  for (let row = 0, end = p.batches * p.outer; row < end; row++, input += bytes, output += bytes) {
    const most = greatest(input, p.reducedInner),
      logarithm = NativeMathf.log(exponentials(p, input, output, most));
    for (let i: usize = 0; i < bytes; i += 4)
      store<f32>(output + i, load<f32>(input + i) - most - logarithm);
  }
}

/** Fills with `value` and copies the rows of the last dimension into place. */
export function pad_f32(params: usize): void {
  const p = changetype<Pad>(params);
  const rowBytes = (<usize>p.size2) << 2,
    outputRow = (<usize>(p.before2 + p.size2 + p.after2)) << 2;
  const outputPlane = <usize>(p.before1 + p.size1 + p.after1) * outputRow,
    outputBytes = <usize>(p.before0 + p.size0 + p.after0) * outputPlane;
  let input = p.input,
    output = p.output;
  for (let i: usize = 0, end = <usize>p.batches * outputBytes; i < end; i += 4) store<i32>(output + i, p.value);
  for (let image = 0; image < p.batches; image++, output += outputBytes) {
    let plane =
      output + <usize>p.before0 * outputPlane + <usize>p.before1 * outputRow + ((<usize>p.before2) << 2);
    for (let i = 0; i < p.size0; i++, plane += outputPlane) {
      let target = plane;
      for (let j = 0; j < p.size1; j++, target += outputRow, input += rowBytes)
        memory.copy(target, input, rowBytes);
    }
  }
}

/** rows, columns: of each output one the two offsets it lies between and its distance to the first, as float32.
 * form 0: the four products of TFLite reference/resize_bilinear.h; 1: from left to right, then down, as XNNPACK. */
export function resize_bilinear_f32(params: usize): void {
  const p = changetype<FloatResize>(params),
    depth = (<usize>p.inputDepth) << 2;
  const imageBytes = <usize>(p.inputHeight * p.inputWidth) * depth;
  let input = p.input,
    output = p.output;
  for (let image = 0; image < p.batches; image++, input += imageBytes)
    for (let y: usize = 0; y < <usize>p.outputHeight; y++)
      for (let x: usize = 0; x < <usize>p.outputWidth; x++) {
        const row = p.rows + y * 12,
          column = p.columns + x * 12;
        const down = load<f32>(row, 8),
          right = load<f32>(column, 8);
        const top = input + load<u32>(row),
          bottom = input + load<u32>(row, 4),
          left = <usize>load<u32>(column),
          other = <usize>load<u32>(column, 4);
        for (let channel: usize = 0; channel < depth; channel += 4, output += 4) {
          const a = load<f32>(top + left + channel),
            b = load<f32>(bottom + left + channel),
            c = load<f32>(top + other + channel),
            d = load<f32>(bottom + other + channel);
          if (p.form == TFLITE) {
            const sum: f32 = a * (1 - down) * (1 - right) + b * down * (1 - right);
            store<f32>(output, sum + c * (1 - down) * right + d * down * right);
          } else {
            const upper: f32 = a + (c - a) * right,
              lower: f32 = b + (d - b) * right;
            store<f32>(output, upper + (lower - upper) * down);
          }
        }
      }
}
