/** The vector forms of the requantizers: eight channels at a time, exact within the bounds that src/kernels/requantizers.ts
 * has a form's `allows` check. A panel holds eight lanes of four bytes a field. */
import { Requantized } from "./params";
import {
  CARRY_SHIFT,
  FLOAT_UP,
  FLOOR_NUDGE,
  HALF_AWAY,
  HALF_EVEN,
  NEON_DOUBLE,
  SIXTEEN_BIT,
  TOWARD_ZERO,
  WRAP_SIXTEEN,
} from "./rounding";

export const DOUBLE_EXACT: i32 = 0;
export const DOUBLE_WIDE: i32 = 1;
export const SINGLE_EXACT: i32 = 2;
export const SINGLE_WIDE: i32 = 3;
export const FLOAT_EVEN: i32 = 4;
export const NONE: i32 = 5;
export const DOUBLE_ALIGNED: i32 = 6;
export const SINGLE_ALIGNED: i32 = 7;
/** A rare rounding (rounding.ts) plus this is its vector form. */
export const VECTOR: i32 = 16;

/** Channels and bytes of a panel. SCALE (float32) stands where MULTIPLIER does. */
export const PANEL_LANES: i32 = 8;
export const PANEL_BYTES: usize = 224;
export const MULTIPLIER: usize = 32;
export const SCALE: usize = 32;
export const SHIFT: usize = 64;
/** Wide and bounded: 2^(30 - right), the factor that shifts right in a high multiply. Aligned: the factor that brings a channel to
 * the right shift of all of them, 2^(shift - least shift), doubled in the single form. */
const POWER: usize = 96;
/** Double: half of 2^right (wide: of 2^30), and all ones (aligned: the factor) where right > 0. Single: eight i64, what the
 * product is rounded by. */
const NUDGE: usize = 128;
const MASK: usize = 160;
export const ROUNDING: usize = 128;
/** Wide and bounded: 2^left, and what the form shifts left by before it multiplies. */
const FACTOR: usize = 192;

/** 1.5 * 2^23: added to a float32 of at most 22 bits it leaves the nearest integer, ties to even, in the low bits. */
const MAGIC: f32 = 12582912.0;
const MAGIC_BITS: i32 = 0x4b400000;

/** High words of two times two 64-bit values. */
@inline
function highWords(low: v128, high: v128): v128 {
  return v128.shuffle<i32>(low, high, 1, 3, 5, 7);
}

/** High words of the 64-bit products of x and y. */
@inline
function multiplyHigh(x: v128, y: v128): v128 {
  return highWords(i64x2.extmul_low_i32x4_s(x, y), i64x2.extmul_high_i32x4_s(x, y));
}

/** High words of the 64-bit products of x and y, with low and high added to the products. */
@inline
function multiplyAddHigh(x: v128, y: v128, low: v128, high: v128): v128 {
  return highWords(
    i64x2.add(i64x2.extmul_low_i32x4_s(x, y), low),
    i64x2.add(i64x2.extmul_high_i32x4_s(x, y), high),
  );
}

/** SRDHM of four lanes; |acc| < 2^30. */
@inline
export function doublingHighMultiplyLanes(acc: v128, multiplier: v128): v128 {
  const half = i64x2.splat((<i64>1) << 31);
  return multiplyAddHigh(i32x4.shl(acc, 1), multiplier, half, half);
}

/** Clamped and rounded half to even. |low|, |high| < 2^21. */
@inline
export function floatEvenLanes(acc: v128, scale: v128, low: v128, high: v128): v128 {
  const value = f32x4.pmin(f32x4.pmax(f32x4.mul(f32x4.convert_i32x4_s(acc), scale), low), high);
  return i32x4.sub(f32x4.add(value, f32x4.splat(MAGIC)), i32x4.splat(MAGIC_BITS));
}

/** The same without its upper clamp, plus an offset. least: MAGIC_BITS plus the lower bound; base: MAGIC_BITS less the
 * offset. The bits of a float32 are in its order, so that what is beyond 22 bits falls outside of the clamp too. */
@inline
function floatEvenFour(acc: v128, scale: v128, least: v128, base: v128): v128 {
  const value = f32x4.mul(f32x4.convert_i32x4_s(acc), scale);
  return i32x4.sub(i32x4.max_s(f32x4.add(value, f32x4.splat(MAGIC)), least), base);
}

/** Clamped, then rounded half up. */
@inline
function floatUpFour(acc: v128, scale: v128, low: v128, high: v128): v128 {
  const value = f32x4.pmin(f32x4.pmax(f32x4.mul(f32x4.convert_i32x4_s(acc), scale), low), high),
    whole = f32x4.floor(value);
  const up = f32x4.ge(f32x4.sub(value, whole), f32x4.splat(0.5));
  return i32x4.sub(i32x4.sub(f32x4.add(whole, f32x4.splat(MAGIC)), i32x4.splat(MAGIC_BITS)), up);
}

/** P4 of four lanes whose factors bring them to one right shift; |acc| * factor < 2^30 and right <= 29. */
@inline
function doubleAlignedFour(acc: v128, panel: usize, nudge: v128, right: i32): v128 {
  const high = doublingHighMultiplyLanes(acc, v128.load(panel, MULTIPLIER));
  const correction = v128.and(i32x4.shr_s(high, 31), v128.load(panel, MASK));
  return i32x4.shr_s(
    i32x4.sub(i32x4.add(i32x4.mul(high, v128.load(panel, POWER)), nudge), correction),
    right,
  );
}

/** P5 of four lanes; |acc| * factor < 2^31 and right <= 29. rounding: 2^(31 + right). */
@inline
function singleAlignedFour(acc: v128, panel: usize, rounding: v128, right: i32): v128 {
  const scaled = i32x4.mul(acc, v128.load(panel, POWER));
  return i32x4.shr_s(multiplyAddHigh(scaled, v128.load(panel, MULTIPLIER), rounding, rounding), right);
}

/** Bits 30 to 61 of two times two 64-bit values. */
@inline
function shiftedBy30(low: v128, high: v128): v128 {
  return highWords(i64x2.shl(low, 2), i64x2.shl(high, 2));
}

/** P4 of four lanes with a shift each, for every accumulator: the high product wraps, and so does the left shift. */
@inline
function doubleWideFour(acc: v128, panel: usize): v128 {
  const scaled = i32x4.mul(acc, v128.load(panel, FACTOR)),
    multiplier = v128.load(panel, MULTIPLIER),
    power = v128.load(panel, POWER),
    half = i64x2.splat((<i64>1) << 30);
  const product0 = i64x2.add(i64x2.extmul_low_i32x4_s(scaled, multiplier), half),
    product1 = i64x2.add(i64x2.extmul_high_i32x4_s(scaled, multiplier), half);
  const high = highWords(i64x2.shl(product0, 1), i64x2.shl(product1, 1));
  const away = i32x4.add(v128.load(panel, NUDGE), v128.and(i32x4.shr_s(high, 31), v128.load(panel, MASK)));
  return shiftedBy30(
    i64x2.add(i64x2.extmul_low_i32x4_s(high, power), i64x2.extend_low_i32x4_s(away)),
    i64x2.add(i64x2.extmul_high_i32x4_s(high, power), i64x2.extend_high_i32x4_s(away)),
  );
}

/** P5 of four lanes with a shift each; |acc| * 2^left < 2^30. rounding: where four lanes of i64 are. */
@inline
function singleWideFour(acc: v128, panel: usize, rounding: usize): v128 {
  const scaled = i32x4.mul(acc, v128.load(panel, FACTOR)),
    multiplier = v128.load(panel, MULTIPLIER),
    power = v128.load(panel, POWER);
  const product0 = i64x2.add(i64x2.extmul_low_i32x4_s(scaled, multiplier), v128.load(rounding)),
    product1 = i64x2.add(i64x2.extmul_high_i32x4_s(scaled, multiplier), v128.load(rounding, 16));
  const high = highWords(i64x2.shl(product0, 1), i64x2.shl(product1, 1));
  return shiftedBy30(i64x2.extmul_low_i32x4_s(high, power), i64x2.extmul_high_i32x4_s(high, power));
}

/** A high product, then a right shift of each lane: P6 (no mask), the floor-nudge (no half). |acc| * 2^left < 2^28. */
@inline
function doubleFour(form: i32, acc: v128, panel: usize): v128 {
  const half = i64x2.splat(form == FLOOR_NUDGE + VECTOR ? 0 : (<i64>1) << 31);
  const scaled = i32x4.mul(acc, v128.load(panel, FACTOR));
  const high = multiplyAddHigh(scaled, v128.load(panel, MULTIPLIER), half, half);
  if (form == WRAP_SIXTEEN + VECTOR) return i32x4.shr_s(i32x4.shl(high, 16), 16);
  const mask = v128.and(i32x4.shr_s(high, 31), v128.load(panel, MASK));
  const nudged = i32x4.add(i32x4.add(high, v128.load(panel, NUDGE)), mask);
  return multiplyHigh(i32x4.shl(nudged, 2), v128.load(panel, POWER));
}

/** One rounding of the product, kept times eight. rounding: where four lanes of i64 are. |acc| * 2^left < 2^28.
 * Ties: up; away from zero, by one less below it; to even, by one less where the floor is even. */
@inline
function singleFour(form: i32, acc: v128, panel: usize, rounding: usize): v128 {
  const scaled = i32x4.mul(acc, v128.load(panel, FACTOR)),
    multiplier = v128.load(panel, MULTIPLIER),
    power = v128.load(panel, POWER);
  let low = i64x2.extmul_low_i32x4_s(scaled, multiplier),
    high = i64x2.extmul_high_i32x4_s(scaled, multiplier);
  let round0 = v128.load(rounding),
    round1 = v128.load(rounding, 16);
  let whole = highWords(low, high);
  if (form == HALF_AWAY + VECTOR || form == TOWARD_ZERO + VECTOR) {
    const below = i32x4.shr_s(whole, 31),
      below0 = i64x2.extend_low_i32x4_s(below),
      below1 = i64x2.extend_high_i32x4_s(below);
    round0 = form == HALF_AWAY + VECTOR ? i64x2.add(round0, below0) : v128.and(round0, below0);
    round1 = form == HALF_AWAY + VECTOR ? i64x2.add(round1, below1) : v128.and(round1, below1);
  }
  if (form == HALF_EVEN + VECTOR || form == CARRY_SHIFT + VECTOR) {
    whole = multiplyHigh(whole, power);
    const even = i32x4.sub(v128.and(whole, i32x4.splat(1)), i32x4.splat(1));
    round0 = i64x2.add(round0, i64x2.extend_low_i32x4_s(even));
    round1 = i64x2.add(round1, i64x2.extend_high_i32x4_s(even));
  }
  low = i64x2.add(low, round0);
  high = i64x2.add(high, round1);
  const result = multiplyHigh(highWords(low, high), power);
  if (form != CARRY_SHIFT + VECTOR) return result;
  const negative = i32x4.shr_s(acc, 31),
    carry = i32x4.sub(result, whole);
  return i32x4.add(whole, i32x4.sub(v128.xor(carry, negative), negative));
}

/** A shift half up, cut to 16 bits, a product half up. |acc| * 2^left < 2^28. */
@inline
function sixteenFour(acc: v128, panel: usize): v128 {
  const nudged = i32x4.add(i32x4.mul(acc, v128.load(panel, FACTOR)), v128.load(panel, NUDGE));
  const shifted = multiplyHigh(i32x4.shl(nudged, 2), v128.load(panel, POWER));
  const cut = i32x4.min_s(i32x4.max_s(shifted, i32x4.splat(-32768)), i32x4.splat(32767));
  const x = i32x4.shl(cut, 16),
    multiplier = v128.load(panel, MULTIPLIER),
    half = i64x2.splat((<i64>1) << 30);
  const low = i64x2.add(i64x2.extmul_low_i32x4_s(x, multiplier), half),
    high = i64x2.add(i64x2.extmul_high_i32x4_s(x, multiplier), half);
  return highWords(i64x2.add(low, low), i64x2.add(high, high));
}

/** What the lanes of a layer share, made once a loop: see eightLanes. */
@inline
export function sharedOf(form: i32, p: Requantized): v128 {
  if (form == DOUBLE_ALIGNED) return i32x4.splat((1 << p.rightShift) >> 1);
  if (form == SINGLE_ALIGNED) return i64x2.splat((<i64>1) << (31 + p.rightShift));
  if (form == FLOAT_EVEN) return i32x4.splat(MAGIC_BITS + p.activationMin - p.outputOffset);
  return f32x4.splat(<f32>(p.activationMin - p.outputOffset));
}

@inline
export function offsetOf(form: i32, p: Requantized): v128 {
  return form == FLOAT_EVEN
    ? i32x4.splat(MAGIC_BITS - p.outputOffset)
    : i16x8.splat(<i16>p.outputOffset);
}

@inline
function fourLanes(form: i32, acc: v128, panel: usize, rounding: usize, right: i32, shared: v128, high: v128): v128 {
  if (form == DOUBLE_ALIGNED) return doubleAlignedFour(acc, panel, shared, right);
  if (form == SINGLE_ALIGNED) return singleAlignedFour(acc, panel, shared, right);
  if (form == FLOAT_UP + VECTOR) return floatUpFour(acc, v128.load(panel, SCALE), shared, high);
  if (form == SIXTEEN_BIT + VECTOR) return sixteenFour(acc, panel);
  if (form == DOUBLE_WIDE) return doubleWideFour(acc, panel);
  if (form == SINGLE_WIDE) return singleWideFour(acc, panel, rounding);
  const isDouble =
    form == NEON_DOUBLE + VECTOR ||
    form == FLOOR_NUDGE + VECTOR ||
    form == WRAP_SIXTEEN + VECTOR;
  return isDouble ? doubleFour(form, acc, panel) : singleFour(form, acc, panel, rounding);
}

/** Eight accumulators to int16, offset added and saturated, of which the clamp is left to do. step: bytes from the fields of
 * the first four in the panel to those of the others, 16, or 0 for the same four channels of two pixels.
 * shared, offset: sharedOf and offsetOf of the form; right: rightShift of the layer; high: upper bound of the float forms. */
@inline
export function eightLanes(
  form: i32,
  acc0: v128,
  acc1: v128,
  panel: usize,
  rounding: usize,
  step: usize,
  right: i32,
  shared: v128,
  offset: v128,
  high: v128,
): v128 {
  if (form == FLOAT_EVEN) {
    return i16x8.narrow_i32x4_s(
      floatEvenFour(acc0, v128.load(panel, SCALE), shared, offset),
      floatEvenFour(acc1, v128.load(panel + step, SCALE), shared, offset),
    );
  }
  const value0 = fourLanes(form, acc0, panel, rounding, right, shared, high),
    value1 = fourLanes(form, acc1, panel + step, rounding + step * 2, right, shared, high);
  return i16x8.add_sat_s(i16x8.narrow_i32x4_s(value0, value1), offset);
}

/** Two pixels of eightLanes as int8, clamped: the first in the low half. */
@inline
export function clampLanes(first: v128, second: v128, activationMin: v128, activationMax: v128): v128 {
  return i8x16.min_s(i8x16.max_s(i8x16.narrow_i16x8_s(first, second), activationMin), activationMax);
}

/** Offset and clamp of eight lanes of int32, as int8 in the low half. */
@inline
export function outputLanes(
  low4: v128,
  high4: v128,
  offset: v128,
  activationMin: v128,
  activationMax: v128,
): v128 {
  const sum = i16x8.add_sat_s(i16x8.narrow_i32x4_s(low4, high4), offset);
  return clampLanes(sum, sum, activationMin, activationMax);
}

/** Writes the first `lanes` of eight int8. */
@inline
export function storeLanes(address: usize, values: v128, lanes: i32): void {
  if (lanes == 8) {
    v128.store_lane<i64>(address, values, 0);
    return;
  }
  let bits = i64x2.extract_lane(values, 0);
  for (let lane = 0; lane < lanes; lane++, bits >>= 8) store<i8>(address + <usize>lane, <i8>bits);
}
