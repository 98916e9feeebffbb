/** From int32 accumulators to int8: the requantizers of ARITHMETIC.md section 1, exact for every int32, and the vector
 * forms that need bounds. src/kernels/requantizers.ts chooses and says why; numbers are shared with it by a test. */
import { Primitive, Requantized } from "./params";
import { NEON_DOUBLE, requantizeRare } from "./rounding";

export const DOUBLE_EXACT: i32 = 0;
export const DOUBLE_BOUNDED: i32 = 1;
export const SINGLE_EXACT: i32 = 2;
export const SINGLE_BOUNDED: i32 = 3;
export const FLOAT_EVEN: i32 = 4;
export const NONE: i32 = 5;
export const DOUBLE_ALIGNED: i32 = 6;
export const SINGLE_ALIGNED: i32 = 7;

/** A panel holds eight channels, eight lanes of four bytes a field. SCALE (float32) stands where MULTIPLIER does. */
export const PANEL_LANES: i32 = 8;
export const PANEL_BYTES: usize = 192;
const MULTIPLIER: usize = 32;
const SCALE: usize = 32;
const SHIFT: usize = 64;
/** Bounded: 2^(30 + shift), the factor that shifts right by -shift in a high multiply. Aligned: the factor that brings a
 * channel to the right shift of all of them, 2^(shift - least shift), doubled in the single form. */
const POWER: usize = 96;
/** Double: half of 2^-shift, and all ones (aligned: the factor) where shift < 0. Single: eight i64, half of the whole shift. */
const NUDGE: usize = 128;
const MASK: usize = 160;
const ROUNDING: usize = 128;

/** floor((a * b + 2^30) / 2^31), the low 32 bits: only INT_MIN * INT_MIN does not fit. Source: CMSIS-NN 7.0.0
 * arm_nn_doubling_high_mult_no_sat. */
@inline
export function doublingHighMultiply(a: i32, b: i32): i32 {
  return <i32>((<i64>a * <i64>b + (1 << 30)) >> 31);
}

/** The same, saturated. Source: gemmlowp fixedpoint.h SaturatingRoundingDoublingHighMul. */
@inline
export function saturatingDoublingHighMultiply(a: i32, b: i32): i32 {
  return a == i32.MIN_VALUE && b == i32.MIN_VALUE ? i32.MAX_VALUE : doublingHighMultiply(a, b);
}

/** value / 2^exponent, ties away from zero; exponent in [0, 62]. Source: gemmlowp fixedpoint.h RoundingDivideByPOT. */
@inline
export function roundingDivideByPowerOfTwo(value: i32, exponent: i32): i32 {
  const half = ((<i64>1) << exponent) >> 1;
  const magnitude = (value < 0 ? -(<i64>value) : <i64>value) + half;
  return <i32>(value < 0 ? -(magnitude >> exponent) : magnitude >> exponent);
}

/** P4; shift in [-31, 30]. The left shift wraps. Source: TFLite common.cc MultiplyByQuantizedMultiplier. */
@inline
export function requantizeDouble(acc: i32, multiplier: i32, shift: i32): i32 {
  const high = doublingHighMultiply(acc << max(shift, 0), multiplier);
  return roundingDivideByPowerOfTwo(high, max(-shift, 0));
}

/** P5; shift in [-31, 30]. Source: arm_nn_requantize, CMSIS-NN 7.0.0, single rounding. */
@inline
export function requantizeSingle(acc: i32, multiplier: i32, shift: i32): i32 {
  return <i32>((<i64>acc * <i64>multiplier + ((<i64>1) << (30 - shift))) >> (31 - shift));
}

/** P8 without its offset: clamped to [low, high] before it is rounded half to even. Source: XNNPACK requantization.h. */
@inline
export function requantizeFloat(acc: i32, scale: f32, low: i32, high: i32): i32 {
  const value = min<f32>(max<f32>(<f32>acc * scale, <f32>low), <f32>high);
  return <i32>nearest(value);
}

@inline
export function isDouble(requantizer: i32): bool {
  return requantizer == DOUBLE_EXACT || requantizer == DOUBLE_BOUNDED || requantizer == DOUBLE_ALIGNED;
}

/** Any requantizer of one value, offset and clamp included. The sum with the offset does not wrap. */
export function requantizeOne(
  requantizer: i32,
  acc: i32,
  multiplier: i32,
  shift: i32,
  scale: f32,
  offset: i32,
  low: i32,
  high: i32,
): i32 {
  let value: i32;
  if (requantizer == FLOAT_EVEN) value = requantizeFloat(acc, scale, low - offset, high - offset);
  else if (isDouble(requantizer)) value = requantizeDouble(acc, multiplier, shift);
  else if (requantizer >= NEON_DOUBLE) {
    value = requantizeRare(requantizer, acc, multiplier, shift, scale, low - offset, high - offset);
  } else value = requantizeSingle(acc, multiplier, shift);
  return min(max(value, low - offset), high - offset) + offset;
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

/** High words of the 64-bit products of x and y. */
@inline
function multiplyHigh(x: v128, y: v128): v128 {
  return v128.shuffle<i32>(i64x2.extmul_low_i32x4_s(x, y), i64x2.extmul_high_i32x4_s(x, y), 1, 3, 5, 7);
}

/** High words of the 64-bit products of x and y, with low and high added to the products. */
@inline
function multiplyAddHigh(x: v128, y: v128, low: v128, high: v128): v128 {
  return v128.shuffle<i32>(
    i64x2.add(i64x2.extmul_low_i32x4_s(x, y), low),
    i64x2.add(i64x2.extmul_high_i32x4_s(x, y), high),
    1,
    3,
    5,
    7,
  );
}

/** SRDHM of four lanes; |acc| < 2^30. */
@inline
export function doublingHighMultiplyLanes(acc: v128, multiplier: v128): v128 {
  const half = i64x2.splat((<i64>1) << 31);
  return multiplyAddHigh(i32x4.shl(acc, 1), multiplier, half, half);
}

/** P4 of four lanes with a shift each; |acc| < 2^28 and shift in [-28, 0]. */
@inline
function doubleLanes(acc: v128, multiplier: v128, power: v128, nudge: v128, mask: v128): v128 {
  const high = doublingHighMultiplyLanes(acc, multiplier);
  const nudged = i32x4.add(i32x4.add(high, nudge), v128.and(i32x4.shr_s(high, 31), mask));
  return multiplyHigh(i32x4.shl(nudged, 2), power);
}

/** P5 of four lanes with a shift each; |acc| < 2^28 and shift in [-28, 0]. rounding*: 2^(33 - shift). */
@inline
function singleLanes(acc: v128, multiplier: v128, power: v128, roundingLow: v128, roundingHigh: v128): v128 {
  return multiplyHigh(multiplyAddHigh(i32x4.shl(acc, 3), multiplier, roundingLow, roundingHigh), power);
}

/** P4 of four lanes whose factors bring them to one right shift; |acc| * factor < 2^30 and right <= 29.
 * factor: 2^(right + shift); below: the same, or 0 where shift is 0; nudge: half of 2^right. */
@inline
function doubleAlignedLanes(
  acc: v128,
  multiplier: v128,
  factor: v128,
  below: v128,
  nudge: v128,
  right: i32,
): v128 {
  const high = doublingHighMultiplyLanes(acc, multiplier);
  const correction = v128.and(i32x4.shr_s(high, 31), below);
  return i32x4.shr_s(i32x4.sub(i32x4.add(i32x4.mul(high, factor), nudge), correction), right);
}

/** P5 of four lanes; |acc| * factor < 2^31 and right <= 29. factor: 2^(right + shift + 1); rounding: 2^(31 + right). */
@inline
function singleAlignedLanes(acc: v128, multiplier: v128, factor: v128, rounding: v128, right: i32): v128 {
  return i32x4.shr_s(multiplyAddHigh(i32x4.mul(acc, factor), multiplier, rounding, rounding), right);
}

/** Clamped and rounded half to even: adding 1.5 * 2^23 leaves the integer in the low bits. |low|, |high| < 2^21. */
@inline
export function floatEvenLanes(acc: v128, scale: v128, low: v128, high: v128): v128 {
  const value = f32x4.pmin(f32x4.pmax(f32x4.mul(f32x4.convert_i32x4_s(acc), scale), low), high);
  return i32x4.sub(f32x4.add(value, f32x4.splat(12582912.0)), i32x4.splat(0x4b400000));
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
  return i8x16.min_s(i8x16.max_s(i8x16.narrow_i16x8_s(sum, sum), activationMin), activationMax);
}

function requantizeExact(
  p: Requantized,
  panel: usize,
  acc: usize,
  pixels: i32,
  output: usize,
  outputStride: usize,
  lanes: i32,
): void {
  const low = p.activationMin,
    high = p.activationMax,
    offset = p.outputOffset,
    requantizer = p.requantizer;
  for (let pixel = 0; pixel < pixels; pixel++, acc += 32, output += outputStride) {
    for (let lane = 0; lane < lanes; lane++) {
      const channel = panel + ((<usize>lane) << 2);
      const value = load<i32>(acc + ((<usize>lane) << 2));
      const multiplier = load<i32>(channel, MULTIPLIER),
        shift = load<i32>(channel, SHIFT),
        scale = load<f32>(channel, SCALE);
      store<i8>(
        output + <usize>lane,
        <i8>requantizeOne(requantizer, value, multiplier, shift, scale, offset, low, high),
      );
    }
  }
}

function storeAccumulators(acc: usize, pixels: i32, output: usize, outputStride: usize, lanes: i32): void {
  for (let pixel = 0; pixel < pixels; pixel++, acc += 32, output += outputStride) {
    memory.copy(output, acc, (<usize>lanes) << 2);
  }
}

function requantizeDoubleBounded(
  p: Requantized,
  panel: usize,
  acc: usize,
  pixels: i32,
  output: usize,
  outputStride: usize,
  lanes: i32,
): void {
  const offset = i16x8.splat(<i16>p.outputOffset),
    low = i8x16.splat(<i8>p.activationMin),
    high = i8x16.splat(<i8>p.activationMax);
  const multiplier0 = v128.load(panel, MULTIPLIER),
    multiplier1 = v128.load(panel, MULTIPLIER + 16);
  const power0 = v128.load(panel, POWER),
    power1 = v128.load(panel, POWER + 16);
  const nudge0 = v128.load(panel, NUDGE),
    nudge1 = v128.load(panel, NUDGE + 16);
  const mask0 = v128.load(panel, MASK),
    mask1 = v128.load(panel, MASK + 16);
  for (let pixel = 0; pixel < pixels; pixel++, acc += 32, output += outputStride) {
    const value0 = doubleLanes(v128.load(acc), multiplier0, power0, nudge0, mask0);
    const value1 = doubleLanes(v128.load(acc, 16), multiplier1, power1, nudge1, mask1);
    storeLanes(output, outputLanes(value0, value1, offset, low, high), lanes);
  }
}

function requantizeSingleBounded(
  p: Requantized,
  panel: usize,
  acc: usize,
  pixels: i32,
  output: usize,
  outputStride: usize,
  lanes: i32,
): void {
  const offset = i16x8.splat(<i16>p.outputOffset),
    low = i8x16.splat(<i8>p.activationMin),
    high = i8x16.splat(<i8>p.activationMax);
  const multiplier0 = v128.load(panel, MULTIPLIER),
    multiplier1 = v128.load(panel, MULTIPLIER + 16);
  const power0 = v128.load(panel, POWER),
    power1 = v128.load(panel, POWER + 16);
  const rounding0 = v128.load(panel, ROUNDING),
    rounding1 = v128.load(panel, ROUNDING + 16);
  const rounding2 = v128.load(panel, ROUNDING + 32),
    rounding3 = v128.load(panel, ROUNDING + 48);
  for (let pixel = 0; pixel < pixels; pixel++, acc += 32, output += outputStride) {
    const value0 = singleLanes(v128.load(acc), multiplier0, power0, rounding0, rounding1);
    const value1 = singleLanes(v128.load(acc, 16), multiplier1, power1, rounding2, rounding3);
    storeLanes(output, outputLanes(value0, value1, offset, low, high), lanes);
  }
}

function requantizeDoubleAligned(
  p: Requantized,
  panel: usize,
  acc: usize,
  pixels: i32,
  output: usize,
  outputStride: usize,
  lanes: i32,
): void {
  const offset = i16x8.splat(<i16>p.outputOffset),
    low = i8x16.splat(<i8>p.activationMin),
    high = i8x16.splat(<i8>p.activationMax);
  const multiplier0 = v128.load(panel, MULTIPLIER),
    multiplier1 = v128.load(panel, MULTIPLIER + 16);
  const factor0 = v128.load(panel, POWER),
    factor1 = v128.load(panel, POWER + 16);
  const below0 = v128.load(panel, MASK),
    below1 = v128.load(panel, MASK + 16);
  const right = p.rightShift,
    nudge = i32x4.splat((1 << right) >> 1);
  for (let pixel = 0; pixel < pixels; pixel++, acc += 32, output += outputStride) {
    const value0 = doubleAlignedLanes(v128.load(acc), multiplier0, factor0, below0, nudge, right);
    const value1 = doubleAlignedLanes(v128.load(acc, 16), multiplier1, factor1, below1, nudge, right);
    storeLanes(output, outputLanes(value0, value1, offset, low, high), lanes);
  }
}

function requantizeSingleAligned(
  p: Requantized,
  panel: usize,
  acc: usize,
  pixels: i32,
  output: usize,
  outputStride: usize,
  lanes: i32,
): void {
  const offset = i16x8.splat(<i16>p.outputOffset),
    low = i8x16.splat(<i8>p.activationMin),
    high = i8x16.splat(<i8>p.activationMax);
  const multiplier0 = v128.load(panel, MULTIPLIER),
    multiplier1 = v128.load(panel, MULTIPLIER + 16);
  const factor0 = v128.load(panel, POWER),
    factor1 = v128.load(panel, POWER + 16);
  const right = p.rightShift,
    rounding = i64x2.splat((<i64>1) << (31 + right));
  for (let pixel = 0; pixel < pixels; pixel++, acc += 32, output += outputStride) {
    const value0 = singleAlignedLanes(v128.load(acc), multiplier0, factor0, rounding, right);
    const value1 = singleAlignedLanes(v128.load(acc, 16), multiplier1, factor1, rounding, right);
    storeLanes(output, outputLanes(value0, value1, offset, low, high), lanes);
  }
}

function requantizeFloatEven(
  p: Requantized,
  panel: usize,
  acc: usize,
  pixels: i32,
  output: usize,
  outputStride: usize,
  lanes: i32,
): void {
  const offset = i16x8.splat(<i16>p.outputOffset),
    low8 = i8x16.splat(<i8>p.activationMin),
    high8 = i8x16.splat(<i8>p.activationMax);
  const low = f32x4.splat(<f32>(p.activationMin - p.outputOffset)),
    high = f32x4.splat(<f32>(p.activationMax - p.outputOffset));
  const scale0 = v128.load(panel, SCALE),
    scale1 = v128.load(panel, SCALE + 16);
  for (let pixel = 0; pixel < pixels; pixel++, acc += 32, output += outputStride) {
    const value0 = floatEvenLanes(v128.load(acc), scale0, low, high);
    const value1 = floatEvenLanes(v128.load(acc, 16), scale1, low, high);
    storeLanes(output, outputLanes(value0, value1, offset, low8, high8), lanes);
  }
}

/**
 * Requantizes the eight channels of one panel for `pixels` pixels: acc [pixels][8] int32, bias included; the first `lanes`
 * channels go to output, outputStride bytes from one pixel to the next.
 */
export function requantizePanel(
  p: Requantized,
  panel: usize,
  acc: usize,
  pixels: i32,
  output: usize,
  outputStride: usize,
  lanes: i32,
): void {
  if (p.requantizer == NONE) return storeAccumulators(acc, pixels, output, outputStride, lanes);
  if (ASC_FEATURE_SIMD) {
    if (p.requantizer == DOUBLE_ALIGNED)
      return requantizeDoubleAligned(p, panel, acc, pixels, output, outputStride, lanes);
    if (p.requantizer == SINGLE_ALIGNED)
      return requantizeSingleAligned(p, panel, acc, pixels, output, outputStride, lanes);
    if (p.requantizer == DOUBLE_BOUNDED)
      return requantizeDoubleBounded(p, panel, acc, pixels, output, outputStride, lanes);
    if (p.requantizer == SINGLE_BOUNDED)
      return requantizeSingleBounded(p, panel, acc, pixels, output, outputStride, lanes);
    if (p.requantizer == FLOAT_EVEN)
      return requantizeFloatEven(p, panel, acc, pixels, output, outputStride, lanes);
  }
  requantizeExact(p, panel, acc, pixels, output, outputStride, lanes);
}

/** input: int32 [batches][8]; output: int8 [batches][8]; one panel. What every convolution ends with, alone for tests. */
export function requantize_panel_s8(params: usize): void {
  const p = changetype<Requantized>(params);
  const stride: usize = p.requantizer == NONE ? 32 : 8;
  requantizePanel(p, p.panels, p.input, p.batches, p.output, stride, PANEL_LANES);
}

/** a: acc, b: multiplier, c: shift. */
export function requantize_double_s32(params: usize): void {
  const p = changetype<Primitive>(params);
  for (let i: usize = 0, end = (<usize>p.count) << 2; i < end; i += 4) {
    store<i32>(p.result + i, requantizeDouble(load<i32>(p.a + i), load<i32>(p.b + i), load<i32>(p.c + i)));
  }
}

/** a: acc, b: multiplier, c: shift. */
export function requantize_single_s32(params: usize): void {
  const p = changetype<Primitive>(params);
  for (let i: usize = 0, end = (<usize>p.count) << 2; i < end; i += 4) {
    store<i32>(p.result + i, requantizeSingle(load<i32>(p.a + i), load<i32>(p.b + i), load<i32>(p.c + i)));
  }
}

export function doubling_high_mult_s32(params: usize): void {
  const p = changetype<Primitive>(params);
  for (let i: usize = 0, end = (<usize>p.count) << 2; i < end; i += 4) {
    store<i32>(p.result + i, saturatingDoublingHighMultiply(load<i32>(p.a + i), load<i32>(p.b + i)));
  }
}

export function doubling_high_mult_no_sat_s32(params: usize): void {
  const p = changetype<Primitive>(params);
  for (let i: usize = 0, end = (<usize>p.count) << 2; i < end; i += 4) {
    store<i32>(p.result + i, doublingHighMultiply(load<i32>(p.a + i), load<i32>(p.b + i)));
  }
}

/** a: dividend, b: exponent. */
export function divide_by_power_of_two_s32(params: usize): void {
  const p = changetype<Primitive>(params);
  for (let i: usize = 0, end = (<usize>p.count) << 2; i < end; i += 4) {
    store<i32>(p.result + i, roundingDivideByPowerOfTwo(load<i32>(p.a + i), load<i32>(p.b + i)));
  }
}
