/** SOFTMAX over the last axis, in gemmlowp fixed point and by a float32 table. */
import { Primitive, Softmax } from "./params";
import { roundingDivideByPowerOfTwo, saturatingDoublingHighMultiply } from "./requantize";

/** value if `bit` of the quarters is not set, else value * factor. */
@inline
function scaleByBit(value: i32, quarters: i32, bit: i32, factor: i32): i32 {
  return quarters & (1 << bit) ? saturatingDoublingHighMultiply(value, factor) : value;
}

/** exp(value), value <= 0 in Q5.26, result Q0.31. Source: gemmlowp fixedpoint.h exp_on_negative_values. */
export function expOnNegativeValues(value: i32): i32 {
  if (value == 0) return i32.MAX_VALUE;
  const quarter = 1 << 24;
  const remainder = (value & (quarter - 1)) - quarter;
  const x = (remainder << 5) + (1 << 28);
  const x2 = saturatingDoublingHighMultiply(x, x),
    x3 = saturatingDoublingHighMultiply(x2, x),
    x4 = saturatingDoublingHighMultiply(x2, x2);
  const cubic = saturatingDoublingHighMultiply(roundingDivideByPowerOfTwo(x4, 2) + x3, 715827883) + x2;
  let result =
    1895147668 + saturatingDoublingHighMultiply(1895147668, x + roundingDivideByPowerOfTwo(cubic, 1));
  const quarters = remainder - value;
  result = scaleByBit(result, quarters, 24, 1672461947);
  result = scaleByBit(result, quarters, 25, 1302514674);
  result = scaleByBit(result, quarters, 26, 790015084);
  result = scaleByBit(result, quarters, 27, 290630308);
  result = scaleByBit(result, quarters, 28, 39332535);
  result = scaleByBit(result, quarters, 29, 720401);
  return scaleByBit(result, quarters, 30, 242);
}

@inline
export function saturatingShiftLeft(value: i32, bits: i32): i32 {
  const shifted = (<i64>value) << bits;
  return <i32>min<i64>(max<i64>(shifted, i32.MIN_VALUE), i32.MAX_VALUE);
}

/** 1 / (1 + value), value in [0, 1) and result in Q0.31. Source: gemmlowp one_over_one_plus_x_for_x_in_0_1. */
export function oneOverOnePlus(value: i32): i32 {
  const half = <i32>((<i64>value + i32.MAX_VALUE + 1) >> 1);
  let x = 1515870810 + saturatingDoublingHighMultiply(half, -1010580540);
  for (let step = 0; step < 3; step++) {
    const error = (1 << 29) - saturatingDoublingHighMultiply(half, x);
    x += saturatingShiftLeft(saturatingDoublingHighMultiply(x, error), 2);
  }
  return saturatingShiftLeft(x, 1);
}

@inline
export function rowMaximum(row: usize, size: i32): i32 {
  let maximum = <i32>load<i8>(row);
  for (let i = 1; i < size; i++) maximum = max(maximum, <i32>load<i8>(row + <usize>i));
  return maximum;
}

/** Exponentials (Q0.31) into scratch, -1 where the difference is below diffMin; returns their sum in Q12.19. */
export function exponentials(p: Softmax, row: usize): i64 {
  const maximum = rowMaximum(row, p.rowSize);
  let sum: i64 = 0,
    next = p.scratch;
  for (let i = 0; i < p.rowSize; i++, next += 4) {
    const difference = <i32>load<i8>(row + <usize>i) - maximum;
    if (difference < p.diffMin) {
      store<i32>(next, -1);
      continue;
    }
    const exponential = expOnNegativeValues(
      saturatingDoublingHighMultiply(difference << p.shift, p.multiplier),
    );
    store<i32>(next, exponential);
    sum += <i64>roundingDivideByPowerOfTwo(exponential, 12);
  }
  return sum;
}

/**
 * Rows of rowSize logits to probabilities in 1/256 with zero point -128. The sum is kept in 64 bits: 4096 and more equal
 * logits do not fit 32, and from 512 on the last exponent is 32 or more, which a wasm shift would take modulo 32.
 * Source: TFLite reference/softmax.h; arm_softmax_s8, CMSIS-NN 7.0.0.
 */
export function softmax_s8(params: usize): void {
  const p = changetype<Softmax>(params);
  let row = p.input,
    output = p.output;
  for (let rows = p.batches * p.rows; rows > 0; rows--, row += <usize>p.rowSize) {
    const sum = exponentials(p, row);
    const headroom = <i32>clz<i64>(sum) - 32;
    const mantissa = headroom >= 0 ? sum << headroom : sum >> -headroom;
    const reciprocal = oneOverOnePlus(<i32>(mantissa - ((<i64>1) << 31)));
    for (let i: usize = 0; i < <usize>p.rowSize; i++, output++) {
      const exponential = load<i32>(p.scratch + (i << 2));
      if (exponential < 0) {
        store<i8>(output, -128);
        continue;
      }
      const product = saturatingDoublingHighMultiply(reciprocal, exponential);
      store<i8>(output, <i8>(min(roundingDivideByPowerOfTwo(product, 35 - headroom), 255) - 128));
    }
  }
}

/** output: 256 float32, exp(-scale * (255 - i)) at i. Mathf.exp is musl's, so the same in every engine.
 * Source: TFLite PopulateSoftmaxLookupTable. */
export function softmax_table_f32(params: usize): void {
  const p = changetype<Softmax>(params);
  const scale = -reinterpret<f32>(p.scale);
  for (let i = 0; i < 256; i++) store<f32>(p.output + ((<usize>(255 - i)) << 2), Mathf.exp(scale * <f32>i));
}

/** Nearest integer, ties away from zero. */
@inline
function roundHalfAway(value: f32): f32 {
  const whole = trunc(value);
  return abs(value - whole) >= 0.5 ? whole + copysign<f32>(1, value) : whole;
}

/** By the table, summed in float32 in index order. Source: TFLite optimized_ops Softmax for int8 (x86, WASM). */
export function softmax_table_s8(params: usize): void {
  const p = changetype<Softmax>(params),
    outputScale = reinterpret<f32>(p.outputScale);
  let row = p.input,
    output = p.output;
  for (let rows = p.batches * p.rows; rows > 0; rows--, row += <usize>p.rowSize) {
    const table = p.table + ((<usize>(255 - rowMaximum(row, p.rowSize))) << 2);
    let sum: f32 = 0;
    for (let i = 0; i < p.rowSize; i++)
      sum += load<f32>(table + <usize>((<i32>load<i8>(row + <usize>i)) << 2));
    const inverse: f32 = 1 / (sum * outputScale);
    for (let i = 0; i < p.rowSize; i++, output++) {
      const value = load<f32>(table + <usize>((<i32>load<i8>(row + <usize>i)) << 2)) * inverse;
      store<i8>(output, <i8>min(max(<i32>roundHalfAway(min<f32>(value, 512)) + p.outputOffset, -128), 127));
    }
  }
}

/** a: Q5.26. */
export function exp_on_negative_values_s32(params: usize): void {
  const p = changetype<Primitive>(params);
  for (let i: usize = 0, end = (<usize>p.count) << 2; i < end; i += 4) {
    store<i32>(p.result + i, expOnNegativeValues(load<i32>(p.a + i)));
  }
}

/** a: Q0.31. */
export function one_over_one_plus_x_s32(params: usize): void {
  const p = changetype<Primitive>(params);
  for (let i: usize = 0, end = (<usize>p.count) << 2; i < end; i += 4) {
    store<i32>(p.result + i, oneOverOnePlus(load<i32>(p.a + i)));
  }
}
