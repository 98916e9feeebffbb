/** LOG_SOFTMAX over the last axis: in gemmlowp fixed point, by a float32 table, and of float32 itself. */
import { LogSoftmax, Primitive } from "./params";
import {
  requantizeDouble,
  requantizeSingle,
  roundingDivideByPowerOfTwo,
  saturatingDoublingHighMultiply,
} from "./requantize";
import { expOnNegativeValues, oneOverOnePlus, rowMaximum, saturatingShiftLeft } from "./softmax";

/** ln(value), value >= 1 in Q12.19, result in Q5.26, accumulated in Q6.25.
 * Source: TFLite reference log_x_for_x_greater_than_or_equal_to_1_impl<5, 12>. */
function logOfPositive(value: i32): i32 {
  const sqrtHalf: i32 = 1518500250,
    fourthRootHalf: i32 = 1805811301,
    quarter: i32 = 1 << 23;
  const headroomA = <i32>clz<i32>(value);
  const scaledA = saturatingShiftLeft(value, headroomA - 1);
  const remainderA = saturatingShiftLeft(saturatingDoublingHighMultiply(scaledA, sqrtHalf), 1);
  const powerA = saturatingShiftLeft(12 - headroomA, 25) + quarter;
  const headroomB = <i32>clz<i32>(saturatingDoublingHighMultiply(value, sqrtHalf)) - 1;
  const remainderB = saturatingShiftLeft(value, headroomB);
  const powerB = saturatingShiftLeft(12 - headroomB, 25) - quarter;
  const r = min(remainderA, remainderB),
    power = max(powerA, powerB);
  const p = <i32>((<i64>r + <i64>fourthRootHalf + 1) >> 1),
    q = (r - fourthRootHalf) << 1;
  const square = saturatingDoublingHighMultiply(q, q);
  const cubic = saturatingDoublingHighMultiply(saturatingDoublingHighMultiply(q, square), 117049297);
  const numerator = saturatingDoublingHighMultiply(q, r) + cubic;
  const factor = 1057819769 + q + saturatingDoublingHighMultiply(127690142, square);
  const denominator =
    saturatingDoublingHighMultiply(p, factor) + saturatingDoublingHighMultiply(638450708, q);
  const product = saturatingDoublingHighMultiply(
    roundingDivideByPowerOfTwo(numerator, 6),
    oneOverOnePlus(denominator),
  );
  return saturatingShiftLeft(saturatingDoublingHighMultiply(power, 1488522236) + product, 1);
}

@inline
function requantize(p: LogSoftmax, value: i32, multiplier: i32, shift: i32): i32 {
  return p.single != 0
    ? requantizeSingle(value, multiplier, shift)
    : requantizeDouble(value, multiplier, shift);
}

/** Output in 1/16 with zero point 127. Source: TFLite reference/integer_ops/log_softmax.h, TFLM the same. */
export function log_softmax_s8(params: usize): void {
  const p = changetype<LogSoftmax>(params);
  let row = p.input,
    output = p.output;
  for (let rows = p.batches * p.rows; rows > 0; rows--, row += <usize>p.rowSize) {
    const maximum = rowMaximum(row, p.rowSize);
    let sum = 0;
    for (let i = 0; i < p.rowSize; i++) {
      const difference = <i32>load<i8>(row + <usize>i) - maximum;
      if (difference < p.diffMin) continue;
      const exponential = expOnNegativeValues(requantize(p, difference, p.multiplier, p.shift));
      sum += roundingDivideByPowerOfTwo(exponential, 12);
    }
    const logSum = logOfPositive(sum);
    const least = requantize(p, logSum + i32.MIN_VALUE, p.reverseMultiplier, p.reverseShift);
    const limit = max(p.diffMin - 1, least);
    for (let i = 0; i < p.rowSize; i++, output++) {
      const difference = <i32>load<i8>(row + <usize>i) - maximum;
      let value = -128;
      if (difference > limit) {
        const scaled = requantize(p, difference, p.multiplier, p.shift);
        value = min(max(roundingDivideByPowerOfTwo(scaled - logSum, 22) + 127, -128), 127);
      }
      store<i8>(output, <i8>value);
    }
  }
}

/** By the table of softmax_table_f32, summed in float32 in index order. Source: TFLite optimized_ops LogSoftmax for int8. */
export function log_softmax_table_s8(params: usize): void {
  const p = changetype<LogSoftmax>(params),
    inputScale = reinterpret<f32>(p.scale),
    outputScale = reinterpret<f32>(p.outputScale);
  const ratio: f32 = inputScale / outputScale;
  let row = p.input,
    output = p.output;
  for (let rows = p.batches * p.rows; rows > 0; rows--, row += <usize>p.rowSize) {
    const maximum = rowMaximum(row, p.rowSize);
    const table = p.table + ((<usize>(255 - maximum)) << 2);
    let sum: f32 = 0;
    for (let i = 0; i < p.rowSize; i++)
      sum += load<f32>(table + <usize>((<i32>load<i8>(row + <usize>i)) << 2));
    const offset: f32 = (inputScale * <f32>maximum + Mathf.log(sum)) / outputScale;
    for (let i = 0; i < p.rowSize; i++, output++) {
      const value = nearest<f32>(ratio * <f32>load<i8>(row + <usize>i) - offset);
      store<i8>(output, <i8>(min(max(<i32>max<f32>(value, -512) + p.outputOffset, -128), 127)));
    }
  }
}

/** x - max - ln(sum of exp(x - max)) in float32, by musl's expf and logf. Source: TFLite reference/log_softmax.h. */
export function log_softmax_f32(params: usize): void {
  const p = changetype<LogSoftmax>(params);
  let row = p.input,
    output = p.output;
  const rowBytes = (<usize>p.rowSize) << 2;
  for (let rows = p.batches * p.rows; rows > 0; rows--, row += rowBytes) {
    let maximum = load<f32>(row);
    for (let i: usize = 4; i < rowBytes; i += 4) maximum = max<f32>(maximum, load<f32>(row + i));
    let sum: f32 = 0;
    for (let i: usize = 0; i < rowBytes; i += 4) sum += Mathf.exp(load<f32>(row + i) - maximum);
    const logSum = Mathf.log(sum);
    for (let i: usize = 0; i < rowBytes; i += 4, output += 4)
      store<f32>(output, load<f32>(row + i) - maximum - logSum);
  }
}

/** a: Q12.19, at least 1. */
export function log_x_for_x_greater_than_or_equal_to_1_s32(params: usize): void {
  const p = changetype<Primitive>(params);
  for (let i: usize = 0, end = (<usize>p.count) << 2; i < end; i += 4) {
    store<i32>(p.result + i, logOfPositive(load<i32>(p.a + i)));
  }
}
