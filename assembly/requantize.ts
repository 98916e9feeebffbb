/** From int32 accumulators to int8: the requantizers of ARITHMETIC.md section 1, exact for every int32; lanes.ts has their
 * vector forms. src/kernels/requantizers.ts chooses and says why; numbers are shared with it by a test. */
import {
  clampLanes,
  DOUBLE_ALIGNED,
  DOUBLE_WIDE,
  DOUBLE_EXACT,
  eightLanes,
  FLOAT_EVEN,
  MULTIPLIER,
  NONE,
  offsetOf,
  PANEL_LANES,
  ROUNDING,
  SCALE,
  SHIFT,
  SINGLE_ALIGNED,
  SINGLE_WIDE,
  sharedOf,
  storeLanes,
  VECTOR,
} from "./lanes";
import { Primitive, Requantized } from "./params";
import {
  CARRY_SHIFT,
  FLOAT_UP,
  FLOOR_NUDGE,
  HALF_AWAY,
  HALF_EVEN,
  NEON_DOUBLE,
  requantizeRare,
  SIXTEEN_BIT,
  TOWARD_ZERO,
  WRAP_SIXTEEN,
} from "./rounding";

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
  return requantizer == DOUBLE_EXACT || requantizer == DOUBLE_WIDE || requantizer == DOUBLE_ALIGNED;
}

/** Any requantizer of one value, offset and clamp included. The sum with the offset does not wrap. */
export function requantizeOne(
  form: i32,
  acc: i32,
  multiplier: i32,
  shift: i32,
  scale: f32,
  offset: i32,
  low: i32,
  high: i32,
): i32 {
  const requantizer = form >= NEON_DOUBLE + VECTOR ? form - VECTOR : form;
  let value: i32;
  if (requantizer == FLOAT_EVEN) value = requantizeFloat(acc, scale, low - offset, high - offset);
  else if (isDouble(requantizer)) value = requantizeDouble(acc, multiplier, shift);
  else if (requantizer >= NEON_DOUBLE) {
    value = requantizeRare(requantizer, acc, multiplier, shift, scale, low - offset, high - offset);
  } else value = requantizeSingle(acc, multiplier, shift);
  return min(max(value, low - offset), high - offset) + offset;
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

/** By a vector form, its number known to the compiler. */
@inline
function requantizeVectors(
  form: i32,
  p: Requantized,
  panel: usize,
  acc: usize,
  pixels: i32,
  output: usize,
  outputStride: usize,
  lanes: i32,
): void {
  const shared = sharedOf(form, p),
    offset = offsetOf(form, p),
    right = p.rightShift,
    high = f32x4.splat(<f32>(p.activationMax - p.outputOffset));
  const low8 = i8x16.splat(<i8>p.activationMin),
    high8 = i8x16.splat(<i8>p.activationMax);
  for (let pixel = 0; pixel < pixels; pixel++, acc += 32, output += outputStride) {
    const value = eightLanes(form, v128.load(acc), v128.load(acc, 16), panel, panel + ROUNDING, 16, right, shared, offset, high);
    storeLanes(output, clampLanes(value, value, low8, high8), lanes);
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
    switch (p.requantizer) {
      case DOUBLE_ALIGNED:
        return requantizeVectors(DOUBLE_ALIGNED, p, panel, acc, pixels, output, outputStride, lanes);
      case SINGLE_ALIGNED:
        return requantizeVectors(SINGLE_ALIGNED, p, panel, acc, pixels, output, outputStride, lanes);
      case FLOAT_EVEN:
        return requantizeVectors(FLOAT_EVEN, p, panel, acc, pixels, output, outputStride, lanes);
      case DOUBLE_WIDE:
        return requantizeVectors(DOUBLE_WIDE, p, panel, acc, pixels, output, outputStride, lanes);
      case SINGLE_WIDE:
        return requantizeVectors(SINGLE_WIDE, p, panel, acc, pixels, output, outputStride, lanes);
      case NEON_DOUBLE + VECTOR:
        return requantizeVectors(NEON_DOUBLE + VECTOR, p, panel, acc, pixels, output, outputStride, lanes);
      case HALF_AWAY + VECTOR:
        return requantizeVectors(HALF_AWAY + VECTOR, p, panel, acc, pixels, output, outputStride, lanes);
      case HALF_EVEN + VECTOR:
        return requantizeVectors(HALF_EVEN + VECTOR, p, panel, acc, pixels, output, outputStride, lanes);
      case TOWARD_ZERO + VECTOR:
        return requantizeVectors(TOWARD_ZERO + VECTOR, p, panel, acc, pixels, output, outputStride, lanes);
      case FLOOR_NUDGE + VECTOR:
        return requantizeVectors(FLOOR_NUDGE + VECTOR, p, panel, acc, pixels, output, outputStride, lanes);
      case SIXTEEN_BIT + VECTOR:
        return requantizeVectors(SIXTEEN_BIT + VECTOR, p, panel, acc, pixels, output, outputStride, lanes);
      case WRAP_SIXTEEN + VECTOR:
        return requantizeVectors(WRAP_SIXTEEN + VECTOR, p, panel, acc, pixels, output, outputStride, lanes);
      case CARRY_SHIFT + VECTOR:
        return requantizeVectors(CARRY_SHIFT + VECTOR, p, panel, acc, pixels, output, outputStride, lanes);
      case FLOAT_UP + VECTOR:
        return requantizeVectors(FLOAT_UP + VECTOR, p, panel, acc, pixels, output, outputStride, lanes);
    }
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
