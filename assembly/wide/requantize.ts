/** From int64 sums to int32, and the two int32 forms that int16 ops use. */
import { Primitive } from "../params";
import { DOUBLE_EXACT } from "../lanes";
import { requantizeDouble, requantizeSingle } from "../requantize";

/** Forms of a sum of int16 by int8 products beside DOUBLE_EXACT and SINGLE_EXACT of an int32 one. */
export const SUM64_TFLITE: i32 = 32;
export const SUM64_CMSIS_NN: i32 = 33;
export const SUM64_DOUBLE: i32 = 34;
export const SUM32_DOUBLE: i32 = 35;

/** The multiplier's upper 16 bits, rounded, below 2^15. */
@inline
export function reduceMultiplier(multiplier: i32): i32 {
  return multiplier < 0x7fff0000 ? (multiplier + 0x8000) >> 16 : 0x7fff;
}

/** P7: half up; reduced: 15 bits; shift in [-31, 7]. Source: MultiplyByQuantizedMultiplier(int64), TFLite common.cc. */
@inline
export function requantizeSum(acc: i64, reduced: i32, shift: i32): i32 {
  return <i32>((acc * <i64>reduced + ((<i64>1) << (14 - shift))) >> (15 - shift));
}

/** P7 with 32 bits kept before the last shift, so equal below 2^30. Source: arm_nn_requantize_s64, CMSIS-NN 99f736a. */
@inline
export function requantizeSumNarrowed(acc: i64, reduced: i32, shift: i32): i32 {
  const value = <i32>((acc * <i64>reduced) >> (14 - shift));
  return <i32>((<i64>value + 1) >> 1);
}

/** Half away from zero, within int32. Source: FullyConnected with scales, LiteRT 13eade6 reference/integer_ops. */
@inline
export function requantizeReal(acc: i64, factor: f64): i32 {
  const value = <f64>acc * factor,
    whole = trunc(value);
  const rounded = Math.abs(value - whole) >= 0.5 ? whole + Math.sign(value) : whole;
  return <i32>min<f64>(max<f64>(rounded, <f64>i32.MIN_VALUE), <f64>i32.MAX_VALUE);
}

/** P4 or P5. */
@inline
export function rescale(isDouble: bool, value: i32, multiplier: i32, shift: i32): i32 {
  return isDouble ? requantizeDouble(value, multiplier, shift) : requantizeSingle(value, multiplier, shift);
}

@inline
export function roundsTwice(requantizer: i32): bool {
  return requantizer == DOUBLE_EXACT;
}

/** Offset without wrapping, then the clamp. */
@inline
export function clampOutput(value: i32, offset: i32, low: i32, high: i32): i32 {
  return <i32>min<i64>(max<i64>(<i64>value + <i64>offset, <i64>low), <i64>high);
}

/** a: int64 sums, b: multiplier, c: shift. */
export function requantize_s64(params: usize): void {
  const p = changetype<Primitive>(params);
  for (let i: usize = 0, end = (<usize>p.count) << 2; i < end; i += 4) {
    const reduced = reduceMultiplier(load<i32>(p.b + i));
    store<i32>(p.result + i, requantizeSum(load<i64>(p.a + (i << 1)), reduced, load<i32>(p.c + i)));
  }
}

/** The same as CMSIS-NN has it. */
export function requantize_narrowed_s64(params: usize): void {
  const p = changetype<Primitive>(params);
  for (let i: usize = 0, end = (<usize>p.count) << 2; i < end; i += 4) {
    const reduced = reduceMultiplier(load<i32>(p.b + i));
    store<i32>(p.result + i, requantizeSumNarrowed(load<i64>(p.a + (i << 1)), reduced, load<i32>(p.c + i)));
  }
}
