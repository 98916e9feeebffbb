/** float32: means and softmax, whose sums have the order of the runtime. */
import { Pad } from "../params";
import { FloatReduce, FloatResize } from "./params";
import { expMlas, expMlasFused, expXnnpack } from "./functions";

/** The runtimes, as src/kernels/float/forms.ts numbers them. */
const TFLITE: i32 = 0;
const XNNPACK: i32 = 1;
const ONNXRUNTIME: i32 = 2;
const ONNXRUNTIME_AVX2: i32 = 3;

/** Orders of a mean, as src/kernels/float/reduce.ts numbers them. */
const MEAN_XNNPACK: i32 = 1;
const FOUR_LANES: i32 = 2;
const VECTORS: i32 = 3;
const FOURS: i32 = 4;
const COLUMNS: i32 = 5;

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

/** The same from `start` on by two vectors in turn, what is before them after them. Source: Eigen's redux, of SSE. */
function sumByVectors(lanes: usize, from: usize, stride: usize, start: i32, count: i32): f32 {
  const fours = (count - start) & ~3,
    eights = fours & ~7,
    end = start + fours;
  if (fours == 0) {
    let sum = load<f32>(from);
    for (let i = 1; i < count; i++) sum += load<f32>(from + <usize>i * stride);
    return sum;
  }
  for (let lane = 0; lane < 4; lane++) {
    const at = from + <usize>(start + lane) * stride;
    let sum = load<f32>(at);
    if (eights > 0) {
      let second = load<f32>(at + 4 * stride);
      for (let i = 8; i < eights; i += 8) {
        sum += load<f32>(at + <usize>i * stride);
        second += load<f32>(at + <usize>(i + 4) * stride);
      }
      sum += second;
      if (eights < fours) sum += load<f32>(at + <usize>eights * stride);
    }
    store<f32>(lanes + ((<usize>lane) << 2), sum);
  }
  let sum = evenSum(lanes) + oddSum(lanes);
  for (let i = 0; i < start; i++) sum += load<f32>(from + <usize>i * stride);
  for (let i = end; i < count; i++) sum += load<f32>(from + <usize>i * stride);
  return sum;
}

/** Element k of those at [reducedOuter][inner][reducedInner], where inner is one. */
@inline
function reducedAt(p: FloatReduce, from: usize, k: i32): f32 {
  const at = (k / p.reducedInner) * p.inner * p.reducedInner + (k % p.reducedInner);
  return load<f32>(from + ((<usize>at) << 2));
}

/** Four by themselves, then added; the last two and one too. Source: ONNX Runtime 1.30.0 mlas SgemmKernelM1Avx.S, by ones. */
function sumOfFours(p: FloatReduce, from: usize, count: i32): f32 {
  let sum: f32 = 0;
  for (let k = 0; k < count; ) {
    const left = count - k,
      end = k + (left >= 4 ? 4 : left >= 2 ? 2 : 1);
    let own = reducedAt(p, from, k);
    for (k++; k < end; k++) own += reducedAt(p, from, k);
    sum = own + sum;
  }
  return sum;
}

/** The first by itself, then by fours. Source: ONNX Runtime 1.30.0 mlas SgemvKernelWasmSimd.cpp, by ones. */
function sumOfLastColumn(p: FloatReduce, from: usize, count: i32): f32 {
  let sum = reducedAt(p, from, 0),
    k = 1;
  for (; k + 4 <= count; k += 4) {
    const four: f32 = reducedAt(p, from, k) + reducedAt(p, from, k + 1);
    sum += four + reducedAt(p, from, k + 2) + reducedAt(p, from, k + 3);
  }
  for (; k < count; k++) sum += reducedAt(p, from, k);
  return sum;
}

/** Of the elements at [reducedOuter][inner][reducedInner], where inner is one. index: of the mean in its image. */
function meanOf(p: FloatReduce, from: usize, index: i32): f32 {
  const rowStride = (<usize>(p.inner * p.reducedInner)) << 2,
    elements = p.reducedOuter * p.reducedInner,
    count = <f32>elements,
    inverse: f32 = 1 / count;
  if (p.form == MEAN_XNNPACK && p.reducedInner > 1) {
    let sum: f32 = 0;
    for (let row = 0; row < p.reducedOuter; row++)
      sum += sumBySixteens(p.scratch, from + <usize>row * rowStride, p.reducedInner) * inverse;
    return sum;
  }
  const isColumn = p.reducedInner == 1,
    stride: usize = isColumn ? rowStride : 4;
  if (isColumn || p.reducedOuter == 1) {
    if (p.form == FOUR_LANES) return sumByFours(p.scratch, from, stride, elements) / count;
    const start = min(-(index * elements) & 3, elements);
    if (p.form == VECTORS) return sumByVectors(p.scratch, from, stride, start, elements) / count;
  }
  if (p.form == FOURS) return sumOfFours(p, from, elements) / count;
  if (p.form == COLUMNS && index % p.inner >= (p.inner & ~3)) return sumOfLastColumn(p, from, elements) / count;
  let sum: f32 = 0;
  for (let row = 0; row < p.reducedOuter; row++)
    for (let i = 0; i < p.reducedInner; i++)
      sum += load<f32>(from + <usize>row * rowStride + ((<usize>i) << 2));
  return p.form == MEAN_XNNPACK ? sum * inverse : sum / count;
}

/** An image is [outer][reducedOuter][inner][reducedInner]. */
export function mean_f32(params: usize): void {
  const p = changetype<FloatReduce>(params);
  const row = (<usize>p.reducedInner) << 2,
    block = row * <usize>(p.reducedOuter * p.inner);
  let input = p.input,
    output = p.output;
  for (let outer = 0, end = p.batches * p.outer; outer < end; outer++, input += block)
    for (let inner = 0; inner < p.inner; inner++, output += 4)
      store<f32>(output, meanOf(p, input + <usize>inner * row, (outer % p.outer) * p.inner + inner));
}

@inline
function exponential(form: i32, x: f32): f32 {
  if (form == TFLITE) return NativeMathf.exp(x);
  if (form == XNNPACK) return expXnnpack(x);
  return form == ONNXRUNTIME ? expMlas(x) : expMlasFused(x, form > ONNXRUNTIME_AVX2);
}

/** `count` lanes, halved to eight of them, then neighbours. Source: mlas x86_64/TransKernelFma3.S, TransKernelAvx512F.S. */
function sumOfLanes(lanes: usize, from: usize, values: i32, count: i32): f32 {
  memory.fill(lanes, 0, 64);
  for (let i = 0; i < values; i++) {
    const at = lanes + ((<usize>(i & (count - 1))) << 2);
    store<f32>(at, load<f32>(at) + load<f32>(from + ((<usize>i) << 2)));
  }
  if (count == 16)
    for (let lane: usize = 0; lane < 32; lane += 4)
      store<f32>(lanes + lane, load<f32>(lanes + lane) + load<f32>(lanes + lane, 32));
  const low: f32 = load<f32>(lanes) + load<f32>(lanes, 4) + (load<f32>(lanes, 8) + load<f32>(lanes, 12)),
    high: f32 = load<f32>(lanes, 16) + load<f32>(lanes, 20) + (load<f32>(lanes, 24) + load<f32>(lanes, 28));
  return low + high;
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
  if (p.form == ONNXRUNTIME) return sumByFours(p.scratch, target, 4, p.reducedInner);
  return sumOfLanes(p.scratch, target, p.reducedInner, p.form == ONNXRUNTIME_AVX2 ? 8 : 16);
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
