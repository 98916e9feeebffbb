/** float32 multiply-adds of one rounding, as x86 has them. */

/** Of a float64 that lies halfway between two float32: its last 29 bits, and what they are then. */
const REST: i64 = 0x1fffffff;
const HALF: i64 = 0x10000000;
/** Below it a float32 has fewer bits. */
const LEAST_NORMAL: f64 = 1.1754943508222875e-38;

/** f32(a * b + c) of a sum whose rounding to float64 may have moved it onto a half: it is rounded to odd instead.
 * Source: Boldo and Melquiond, Emulation of FMA and correctly rounded sums (2008). */
function fusedByOdd(a: f32, b: f32, c: f32): f32 {
  const product = <f64>a * <f64>b,
    sum = product + <f64>c,
    rest = sum - product,
    error = product - (sum - rest) + (<f64>c - rest);
  if (!(abs(error) > 0)) return <f32>sum;
  const bits = reinterpret<i64>(sum);
  if (bits & 1) return <f32>sum;
  return <f32>reinterpret<f64>((error > 0) == (sum > 0) ? bits + 1 : bits - 1);
}

/** f32(a * b + c): the product is exact in float64. */
@inline
export function fused(a: f32, b: f32, c: f32): f32 {
  const sum = <f64>a * <f64>b + <f64>c;
  if ((reinterpret<i64>(sum) & REST) == HALF || abs(sum) < LEAST_NORMAL) return fusedByOdd(a, b, c);
  return <f32>sum;
}

/** Whether both float64 may be rounded at once. Zeros are exact. */
@inline
export function isPlain(sums: v128): bool {
  const halves = i64x2.eq(v128.and(sums, i64x2.splat(REST)), i64x2.splat(HALF)),
    small = v128.and(
      f64x2.lt(f64x2.abs(sums), f64x2.splat(LEAST_NORMAL)),
      f64x2.ne(sums, f64x2.splat(0)),
    );
  return !v128.any_true(v128.or(halves, small));
}
