/** The rarer roundings of one accumulator, scalar, exact for every int32. src/kernels/rounding.ts has the same in
 * TypeScript with the source of each; src/kernels/requantizers.ts their numbers. */
import { Primitive } from "./params";
import { doublingHighMultiply } from "./requantize";

export const NEON_DOUBLE: i32 = 8;
export const HALF_AWAY: i32 = 9;
export const HALF_EVEN: i32 = 10;
export const TOWARD_ZERO: i32 = 11;
export const FLOOR_NUDGE: i32 = 12;
export const SIXTEEN_BIT: i32 = 13;
export const WRAP_SIXTEEN: i32 = 14;
export const CARRY_SHIFT: i32 = 15;
export const FLOAT_UP: i32 = 16;

@inline
function saturate32(value: i64): i64 {
  return min<i64>(max<i64>(value, i32.MIN_VALUE), i32.MAX_VALUE);
}

/** High product half up, saturated, then a right shift half up. */
function neonDouble(acc: i32, multiplier: i32, shift: i32): i32 {
  const shifted = acc << max(shift, 0);
  const corner = shifted == i32.MIN_VALUE && multiplier == i32.MIN_VALUE;
  const high = corner ? i32.MAX_VALUE : doublingHighMultiply(shifted, multiplier);
  return shift >= 0 ? high : <i32>((<i64>high + ((<i64>1) << (-shift - 1))) >> -shift);
}

/** High product by floor, then a right shift half away from zero, its sum saturated. */
function floorNudge(acc: i32, multiplier: i32, shift: i32): i32 {
  const high = <i32>((<i64>(acc << max(shift, 0)) * <i64>multiplier) >> 31);
  if (shift >= 0) return high;
  const nudged = saturate32(<i64>high + ((<i64>1) << (-shift - 1)) - (high < 0 ? 1 : 0));
  return <i32>(nudged >> -shift);
}

/** A product of 15 bits with the accumulator cut to 16, half up. */
function sixteenBit(acc: i32, multiplier: i32, shift: i32): i32 {
  const shifted =
    shift >= 0 ? saturate32((<i64>acc) << shift) : (<i64>acc + ((<i64>1) << (-shift - 1))) >> -shift;
  const cut = min<i64>(max<i64>(shifted, -32768), 32767);
  return <i32>((cut * <i64>multiplier + (1 << 14)) >> 15);
}

/** Clamped in float32, then half up. */
function floatUp(acc: i32, scale: f32, low: i32, high: i32): i32 {
  const value = min<f32>(max<f32>(<f32>acc * scale, <f32>low), <f32>high),
    whole = floor(value);
  return <i32>whole + (value - whole >= 0.5 ? 1 : 0);
}

/** Those that round the whole product by its lost bits; 31 - shift of them. */
function roundProduct(rounding: i32, product: i64, bits: i64, negative: bool): i32 {
  const half = (<i64>1) << (bits - 1);
  if (rounding == HALF_AWAY || rounding == TOWARD_ZERO) {
    const magnitude = (product < 0 ? -product : product) + (rounding == HALF_AWAY ? half : 0);
    return <i32>(product < 0 ? -(magnitude >> bits) : magnitude >> bits);
  }
  const whole = product >> bits,
    rest = product - (whole << bits);
  if (rest < half || (rest == half && (whole & 1) == 0)) return <i32>whole;
  return <i32>(rounding == CARRY_SHIFT && negative ? whole - 1 : whole + 1);
}

/** low, high: the clamp without the offset, for the float form. */
export function requantizeRare(
  rounding: i32,
  acc: i32,
  multiplier: i32,
  shift: i32,
  scale: f32,
  low: i32,
  high: i32,
): i32 {
  if (rounding == NEON_DOUBLE) return neonDouble(acc, multiplier, shift);
  if (rounding == FLOOR_NUDGE) return floorNudge(acc, multiplier, shift);
  if (rounding == SIXTEEN_BIT) return sixteenBit(acc, multiplier, shift);
  if (rounding == WRAP_SIXTEEN) {
    return <i32>(<i16>(((((<i64>acc) << shift) * <i64>multiplier) + (1 << 30)) >> 31));
  }
  if (rounding == FLOAT_UP) return floatUp(acc, scale, low, high);
  return roundProduct(rounding, <i64>acc * <i64>multiplier, <i64>(31 - shift), acc < 0);
}

/** a: acc, b: multiplier, c: shift, by NEON_DOUBLE. */
export function requantize_neon_s32(params: usize): void {
  const p = changetype<Primitive>(params);
  for (let i: usize = 0, end = (<usize>p.count) << 2; i < end; i += 4) {
    store<i32>(p.result + i, neonDouble(load<i32>(p.a + i), load<i32>(p.b + i), load<i32>(p.c + i)));
  }
}
