/** ADD, SUB and MUL of two int8 tensors of one shape. */
import {
  DOUBLE_ALIGNED,
  doublingHighMultiplyLanes,
  FLOAT_EVEN,
  floatEvenLanes,
  outputLanes,
  SINGLE_ALIGNED,
} from "./lanes";
import { Add, Elementwise, Mul } from "./params";
import { isDouble, requantizeDouble, requantizeOne, requantizeSingle } from "./requantize";

/** What a rescaling by one multiplier and shift adds before its shift; vectors, so that loops hold them in registers.
 * Double: half of 2^-shift to the 32-bit high product. Single: half of the whole shift to the 64-bit product. */
@inline
function roundingOf(requantizer: i32, shift: i32): v128 {
  if (requantizer == SINGLE_ALIGNED) return i64x2.splat((<i64>1) << (31 - shift));
  return i32x4.splat((1 << -shift) >> 1);
}

/** All ones where the double form has a second rounding, whose ties go away from zero. */
@inline
function awayOf(shift: i32): v128 {
  return i32x4.splat(shift == 0 ? 0 : -1);
}

/** value / 2^right, half added already, ties away from zero where `away` is set. */
@inline
function shiftAway(value: v128, rounding: v128, away: v128, right: i32): v128 {
  const below = v128.and(i32x4.shr_s(value, 31), away);
  return i32x4.shr_s(i32x4.add(i32x4.add(value, rounding), below), right);
}

/** P4 or P5 of four lanes with one shift, given as right = -shift; |acc| < 2^30 and right in [0, 30]. */
@inline
function rescale(
  requantizer: i32,
  acc: v128,
  multiplier: v128,
  rounding: v128,
  away: v128,
  right: i32,
): v128 {
  if (requantizer == DOUBLE_ALIGNED)
    return shiftAway(doublingHighMultiplyLanes(acc, multiplier), rounding, away, right);
  const doubled = i32x4.shl(acc, 1);
  const low = i64x2.add(i64x2.extmul_low_i32x4_s(doubled, multiplier), rounding);
  const high = i64x2.add(i64x2.extmul_high_i32x4_s(doubled, multiplier), rounding);
  return i32x4.shr_s(v128.shuffle<i32>(low, high, 1, 3, 5, 7), right);
}

/** What the first of the two shifts of rescaleInput rounds by: the single form only where there is no second. */
@inline
function innerRoundingOf(requantizer: i32, shift: i32): v128 {
  return i32x4.splat(requantizer == DOUBLE_ALIGNED || shift == 0 ? 1 << 10 : 0);
}

/**
 * P4 or P5 of value * 2^20 without 64-bit products: value has nine bits, so with multiplier = high * 2^11 + low both
 * products fit 32, and (value * multiplier + 2^10) >> 11 is value * high + ((value * low + 2^10) >> 11).
 */
@inline
function rescaleInput(
  value: v128,
  high: v128,
  low: v128,
  inner: v128,
  rounding: v128,
  away: v128,
  right: i32,
): v128 {
  const rest = i32x4.shr_s(i32x4.add(i32x4.mul(value, low), inner), 11);
  return shiftAway(i32x4.add(i32x4.mul(value, high), rest), rounding, away, right);
}

/** Eight differences from the zero point. */
@inline
function widen(address: usize, offset: v128): v128 {
  return i16x8.add(v128.load_ext<i8>(address), offset);
}

/** ADD by two rescalings and a third of their sum, eight at a time; returns how many are done. */
@inline
function addFixedPoint(requantizer: i32, p: Add, input1: usize, input2: usize, output: usize): i32 {
  const offset1 = i16x8.splat(<i16>p.input1Offset),
    offset2 = i16x8.splat(<i16>p.input2Offset),
    offset = i16x8.splat(<i16>p.outputOffset);
  const low = i8x16.splat(<i8>p.activationMin),
    high = i8x16.splat(<i8>p.activationMax),
    sign = i32x4.splat(p.input2Sign);
  const right1 = -p.input1Shift,
    high1 = i32x4.splat(p.input1Multiplier >> 11),
    low1 = i32x4.splat(p.input1Multiplier & 2047);
  const right2 = -p.input2Shift,
    high2 = i32x4.splat(p.input2Multiplier >> 11),
    low2 = i32x4.splat(p.input2Multiplier & 2047);
  const inner1 = innerRoundingOf(requantizer, p.input1Shift),
    half1 = i32x4.splat((1 << right1) >> 1);
  const inner2 = innerRoundingOf(requantizer, p.input2Shift),
    half2 = i32x4.splat((1 << right2) >> 1);
  const zero = i32x4.splat(0),
    isDouble = requantizer == DOUBLE_ALIGNED;
  const away1 = isDouble ? awayOf(p.input1Shift) : zero,
    away2 = isDouble ? awayOf(p.input2Shift) : zero,
    away = awayOf(p.outputShift);
  const right = -p.outputShift,
    multiplier = i32x4.splat(p.outputMultiplier),
    rounding = roundingOf(requantizer, p.outputShift);
  const elements = p.elements;
  let i = 0;
  for (; i + 8 <= elements; i += 8) {
    const a = widen(input1 + <usize>i, offset1),
      b = widen(input2 + <usize>i, offset2);
    const u0 = rescaleInput(i32x4.extend_low_i16x8_s(a), high1, low1, inner1, half1, away1, right1);
    const v0 = rescaleInput(i32x4.extend_low_i16x8_s(b), high2, low2, inner2, half2, away2, right2);
    const value0 = rescale(
      requantizer,
      i32x4.add(u0, i32x4.mul(v0, sign)),
      multiplier,
      rounding,
      away,
      right,
    );
    const u1 = rescaleInput(i32x4.extend_high_i16x8_s(a), high1, low1, inner1, half1, away1, right1);
    const v1 = rescaleInput(i32x4.extend_high_i16x8_s(b), high2, low2, inner2, half2, away2, right2);
    const value1 = rescale(
      requantizer,
      i32x4.add(u1, i32x4.mul(v1, sign)),
      multiplier,
      rounding,
      away,
      right,
    );
    v128.store_lane<i64>(output + <usize>i, outputLanes(value0, value1, offset, low, high), 0);
  }
  return i;
}

/** XNNPACK's ADD, eight at a time; returns how many are done. The sign is in the multiplier: the product is exact. */
@inline
function addXnnpack(p: Add, input1: usize, input2: usize, output: usize): i32 {
  const offset1 = i16x8.splat(<i16>p.input1Offset),
    offset2 = i16x8.splat(<i16>p.input2Offset),
    offset = i16x8.splat(<i16>p.outputOffset);
  const low = i8x16.splat(<i8>p.activationMin),
    high = i8x16.splat(<i8>p.activationMax);
  const multiplier1 = i32x4.splat(p.input1Multiplier),
    multiplier2 = i32x4.splat(p.input2Multiplier * p.input2Sign);
  const right = p.shift,
    rounding = i32x4.splat(1 << (right - 1)),
    elements = p.elements;
  let i = 0;
  for (; i + 8 <= elements; i += 8) {
    const a = widen(input1 + <usize>i, offset1),
      b = widen(input2 + <usize>i, offset2);
    const product0 = i32x4.add(i32x4.mul(i32x4.extend_low_i16x8_s(a), multiplier1), rounding);
    const product1 = i32x4.add(i32x4.mul(i32x4.extend_high_i16x8_s(a), multiplier1), rounding);
    const sum0 = i32x4.add(product0, i32x4.mul(i32x4.extend_low_i16x8_s(b), multiplier2));
    const sum1 = i32x4.add(product1, i32x4.mul(i32x4.extend_high_i16x8_s(b), multiplier2));
    const values = outputLanes(i32x4.shr_s(sum0, right), i32x4.shr_s(sum1, right), offset, low, high);
    v128.store_lane<i64>(output + <usize>i, values, 0);
  }
  return i;
}

/** MUL, eight at a time; returns how many are done. */
@inline
function multiply(requantizer: i32, p: Mul, input1: usize, input2: usize, output: usize): i32 {
  const offset1 = i16x8.splat(<i16>p.input1Offset),
    offset2 = i16x8.splat(<i16>p.input2Offset),
    offset = i16x8.splat(<i16>p.outputOffset);
  const low = i8x16.splat(<i8>p.activationMin),
    high = i8x16.splat(<i8>p.activationMax);
  const lowest = f32x4.splat(<f32>(p.activationMin - p.outputOffset)),
    highest = f32x4.splat(<f32>(p.activationMax - p.outputOffset));
  const scale = f32x4.splat(reinterpret<f32>(p.scale)),
    multiplier = i32x4.splat(p.multiplier);
  const right = -p.shift,
    rounding = roundingOf(requantizer, p.shift),
    away = awayOf(p.shift),
    elements = p.elements;
  let i = 0;
  for (; i + 8 <= elements; i += 8) {
    const a = widen(input1 + <usize>i, offset1),
      b = widen(input2 + <usize>i, offset2);
    let value0 = i32x4.extmul_low_i16x8_s(a, b),
      value1 = i32x4.extmul_high_i16x8_s(a, b);
    value0 =
      requantizer == FLOAT_EVEN
        ? floatEvenLanes(value0, scale, lowest, highest)
        : rescale(requantizer, value0, multiplier, rounding, away, right);
    value1 =
      requantizer == FLOAT_EVEN
        ? floatEvenLanes(value1, scale, lowest, highest)
        : rescale(requantizer, value1, multiplier, rounding, away, right);
    v128.store_lane<i64>(output + <usize>i, outputLanes(value0, value1, offset, low, high), 0);
  }
  return i;
}

function addOne(p: Add, a: i32, b: i32): i32 {
  let value: i32;
  if (p.requantizer == FLOAT_EVEN) {
    value =
      (a * p.input1Multiplier + b * p.input2Multiplier * p.input2Sign + (1 << (p.shift - 1))) >> p.shift;
  } else if (isDouble(p.requantizer)) {
    const u = requantizeDouble(a << p.leftShift, p.input1Multiplier, p.input1Shift);
    const v = requantizeDouble(b << p.leftShift, p.input2Multiplier, p.input2Shift);
    value = requantizeDouble(u + v * p.input2Sign, p.outputMultiplier, p.outputShift);
  } else {
    const u = requantizeSingle(a << p.leftShift, p.input1Multiplier, p.input1Shift);
    const v = requantizeSingle(b << p.leftShift, p.input2Multiplier, p.input2Shift);
    value = requantizeSingle(u + v * p.input2Sign, p.outputMultiplier, p.outputShift);
  }
  const low = p.activationMin - p.outputOffset,
    high = p.activationMax - p.outputOffset;
  return min(max(value, low), high) + p.outputOffset;
}

@inline
function mulOne(p: Mul, a: i32, b: i32): i32 {
  const scale = reinterpret<f32>(p.scale);
  return requantizeOne(
    p.requantizer,
    a * b,
    p.multiplier,
    p.shift,
    scale,
    p.outputOffset,
    p.activationMin,
    p.activationMax,
  );
}

/** As many elements of one image as vectors do; returns their number. */
@inline
function eights(isAdd: bool, p: Elementwise, input1: usize, input2: usize, output: usize): i32 {
  const add = changetype<Add>(p),
    mul = changetype<Mul>(p);
  if (p.requantizer == DOUBLE_ALIGNED) {
    return isAdd
      ? addFixedPoint(DOUBLE_ALIGNED, add, input1, input2, output)
      : multiply(DOUBLE_ALIGNED, mul, input1, input2, output);
  }
  if (p.requantizer == SINGLE_ALIGNED) {
    return isAdd
      ? addFixedPoint(SINGLE_ALIGNED, add, input1, input2, output)
      : multiply(SINGLE_ALIGNED, mul, input1, input2, output);
  }
  if (p.requantizer != FLOAT_EVEN) return 0;
  return isAdd ? addXnnpack(add, input1, input2, output) : multiply(FLOAT_EVEN, mul, input1, input2, output);
}

@inline
function elementwise(isAdd: bool, p: Elementwise): void {
  let input1 = p.input,
    input2 = p.input2,
    output = p.output;
  for (let image = 0; image < p.batches; image++) {
    let i = 0;
    if (ASC_FEATURE_SIMD) i = eights(isAdd, p, input1, input2, output);
    for (; i < p.elements; i++) {
      const a = <i32>load<i8>(input1 + <usize>i) + p.input1Offset,
        b = <i32>load<i8>(input2 + <usize>i) + p.input2Offset;
      const value = isAdd ? addOne(changetype<Add>(p), a, b) : mulOne(changetype<Mul>(p), a, b);
      store<i8>(output + <usize>i, <i8>value);
    }
    input1 += <usize>p.elements;
    input2 += <usize>p.input2Stride;
    output += <usize>p.elements;
  }
}

/** Fixed point: TFLite reference/integer_ops/add.h, arm_elementwise_add_s8 (CMSIS-NN 7.0.0). FLOAT_EVEN stands for
 * XNNPACK's form (qs8-vadd): 21-bit multipliers, half up. */
export function add_s8(params: usize): void {
  elementwise(true, changetype<Elementwise>(params));
}

/** TFLite reference/integer_ops/mul.h, arm_elementwise_mul_s8 (CMSIS-NN 7.0.0); XNNPACK qs8-vmul by FLOAT_EVEN. */
export function mul_s8(params: usize): void {
  elementwise(false, changetype<Elementwise>(params));
}
