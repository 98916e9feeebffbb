/** Operations of rare families by table: a value of every pair of int8, averages with other roundings, softmax by other tables. */
import { PairLookup, RoundedPool, SoftmaxTable } from "./params";
import { requantizeDouble } from "./requantize";
import { FLOAT_UP, NEON_DOUBLE, requantizeRare } from "./rounding";

@inline
function pairOf(table: usize, first: usize, second: usize): u32 {
  return <u32>load<u8>(table + ((<usize>load<u8>(first)) << 8) + <usize>load<u8>(second));
}

/** table: 65,536 int8 by (first as uint8) * 256 + second as uint8. */
export function lookup_pair_s8(params: usize): void {
  const p = changetype<PairLookup>(params),
    table = p.table,
    elements = <usize>p.elements,
    fours = elements & ~3;
  let input = p.input,
    input2 = p.input2,
    output = p.output;
  for (let image = p.batches; image > 0; image--) {
    let i: usize = 0;
    for (; i < fours; i += 4) {
      const a = input + i,
        b = input2 + i;
      const low = pairOf(table, a, b) | (pairOf(table, a + 1, b + 1) << 8),
        high = pairOf(table, a + 2, b + 2) | (pairOf(table, a + 3, b + 3) << 8);
      store<u32>(output + i, low | (high << 16));
    }
    for (; i < elements; i++) store<u8>(output + i, pairOf(table, input + i, input2 + i));
    input += elements;
    input2 += <usize>p.input2Stride;
    output += elements;
  }
}

const TRUNCATE: i32 = 0;
const HALF_UP: i32 = 1;
const HALF_EVEN: i32 = 2;
const RECIPROCAL: i32 = 3;

/** A product with (2^30 + 1) 2^k / count and one rounding, half up: k so that it has 31 bits. Source: TOSA cd5acdd AVG_POOL2D. */
@inline
function averageByReciprocal(sum: i32, count: i32): i32 {
  const k = 32 - clz<i32>(count - 1);
  const multiplier = (((<i64>1 << 30) + 1) << k) / <i64>count;
  return <i32>((<i64>sum * multiplier + ((<i64>1) << (29 + k))) >> (30 + k));
}

/** sum: of values less their zero point; the product with 1 / count is float32 where it is rounded. */
@inline
function averageOf(rounding: i32, sum: i32, count: i32): i32 {
  if (rounding == TRUNCATE) return sum / count;
  if (rounding == RECIPROCAL) return averageByReciprocal(sum, count);
  const inverse: f32 = <f32>1 / <f32>count;
  if (rounding == HALF_EVEN) return <i32>nearest(<f32>sum * inverse);
  return requantizeRare(FLOAT_UP, sum, 0, 0, inverse, -512, 512);
}

/** Taps [top, bottom) x [left, right) of one channel. Dequantized: float32 sum in row order, then the output's scale and
 * zero point before rounding. Source: ONNX Runtime 1.30.0 qlinear_pool.cc. */
function roundedAverage(p: RoundedPool, channel: usize, top: i32, bottom: i32, left: i32, right: i32): i32 {
  const scale = reinterpret<f32>(p.inputScale),
    count = (bottom - top) * (right - left);
  let sum = 0,
    total: f32 = 0;
  for (let y = top; y < bottom; y++) {
    for (let x = left; x < right; x++) {
      const value =
        <i32>load<i8>(channel + <usize>((y * p.inputWidth + x) * p.inputDepth)) + p.inputOffset;
      sum += value;
      total += <f32>value * scale;
    }
  }
  if (p.rounding <= RECIPROCAL) return averageOf(p.rounding, sum, count) + p.outputOffset;
  const average = total / <f32>count;
  const code = average / reinterpret<f32>(p.outputScale) + <f32>(p.outputOffset + p.codeOffset);
  return <i32>nearest(min<f32>(max<f32>(code, -512), 512)) - p.codeOffset;
}

export function average_pool_2d_rounded_s8(params: usize): void {
  const p = changetype<RoundedPool>(params);
  const imageBytes = <usize>(p.inputHeight * p.inputWidth * p.inputDepth);
  let input = p.input,
    output = p.output;
  for (let image = 0; image < p.batches; image++, input += imageBytes) {
    for (let y = 0; y < p.outputHeight; y++) {
      const firstRow = y * p.strideHeight - p.padTop,
        bottom = min(firstRow + p.filterHeight, p.inputHeight);
      for (let x = 0; x < p.outputWidth; x++) {
        const firstColumn = x * p.strideWidth - p.padLeft,
          right = min(firstColumn + p.filterWidth, p.inputWidth);
        for (let c: usize = 0; c < <usize>p.inputDepth; c++, output++) {
          const value = roundedAverage(p, input + c, max(firstRow, 0), bottom, max(firstColumn, 0), right);
          store<i8>(output, <i8>min(max(value, p.activationMin), p.activationMax));
        }
      }
    }
  }
}

/** exp(scale * (i - 255)) in double, as float32. Source: ONNX Runtime 1.30.0 qlinear_softmax.cc. */
export function softmax_double_table_f32(params: usize): void {
  const p = changetype<SoftmaxTable>(params),
    scale = <f64>reinterpret<f32>(p.scale);
  for (let i = 0; i < 256; i++) {
    store<f32>(p.output + ((<usize>i) << 2), <f32>Math.exp(<f64>(i - 255) * scale));
  }
}

/** min(65535, trunc(expf(scale * (i - 255)) * 65535 + 0.5)) as int32. Source: LiteRT f674577, uint16 tables of aarch64. */
export function softmax_short_table_s32(params: usize): void {
  const p = changetype<SoftmaxTable>(params),
    scale = reinterpret<f32>(p.scale);
  for (let i = 0; i < 256; i++) {
    const value = <i32>(Mathf.exp(scale * <f32>(i - 255)) * <f32>65535 + <f32>0.5);
    store<i32>(p.output + ((<usize>i) << 2), min(value, 65535));
  }
}

@inline
function rowMaximum(row: usize, size: i32): i32 {
  let maximum = <i32>load<i8>(row);
  for (let i = 1; i < size; i++) maximum = max(maximum, <i32>load<i8>(row + <usize>i));
  return maximum;
}

/** The table at 255 - the row's maximum: add 4 * value. */
@inline
function tableOf(p: SoftmaxTable, row: usize): usize {
  return p.table + <usize>((255 - rowMaximum(row, p.rowSize)) << 2);
}

/** round(table * floor(1 / outputScale) / sum + zero point), half to even. Source: as softmax_double_table_f32. */
export function softmax_onnxruntime_s8(params: usize): void {
  const p = changetype<SoftmaxTable>(params),
    steps = floor(<f32>1 / reinterpret<f32>(p.outputScale));
  let row = p.input,
    output = p.output;
  for (let rows = p.batches * p.rows; rows > 0; rows--, row += <usize>p.rowSize) {
    const table = tableOf(p, row);
    let sum: f32 = 0;
    for (let i = 0; i < p.rowSize; i++) sum += load<f32>(table + <usize>(<i32>load<i8>(row + <usize>i) << 2));
    for (let i = 0; i < p.rowSize; i++, output++) {
      const value = (load<f32>(table + <usize>(<i32>load<i8>(row + <usize>i) << 2)) * steps) / sum;
      const code = <i32>nearest(value + <f32>p.outputOffset);
      store<i8>(output, <i8>min(max(code, -128), 127));
    }
  }
}

/** The multiplier of a positive float32 in [2^30, 2^31); its shift is the exponent of frexp. */
@inline
function multiplierOf(value: f32): i32 {
  return ((reinterpret<i32>(value) & 0x7fffff) | 0x800000) << 7;
}

@inline
function shiftOf(value: f32): i32 {
  return (reinterpret<i32>(value) >> 23) - 126;
}

/** Integer sum and one multiplier a row; blocks of 16 by NEON, the rest in scalar code.
 * Source: LiteRT f674577, SoftmaxInt8LUT with TFLITE_SOFTMAX_USE_UINT16_LUT. */
export function softmax_short_table_s8(params: usize): void {
  const p = changetype<SoftmaxTable>(params),
    blocks = p.rowSize & ~15;
  let row = p.input,
    output = p.output;
  for (let rows = p.batches * p.rows; rows > 0; rows--, row += <usize>p.rowSize) {
    const table = tableOf(p, row);
    let sum = 0;
    for (let i = 0; i < p.rowSize; i++) sum += load<i32>(table + <usize>(<i32>load<i8>(row + <usize>i) << 2));
    const inverse: f32 = <f32>1 / (<f32>sum * reinterpret<f32>(p.outputScale));
    const multiplier = multiplierOf(inverse),
      shift = shiftOf(inverse);
    for (let i = 0; i < p.rowSize; i++, output++) {
      const entry = load<i32>(table + <usize>(<i32>load<i8>(row + <usize>i) << 2));
      const value =
        i < blocks
          ? requantizeRare(NEON_DOUBLE, entry, multiplier, shift, 0, 0, 0)
          : requantizeDouble(entry, multiplier, shift);
      store<i8>(output, <i8>min(max(value + p.outputOffset, -128), 127));
    }
  }
}
