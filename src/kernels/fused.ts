/** float32 as x86 computes it: products and sums of one rounding, and conversions to int32. */

const words = new BigInt64Array(1);
const doubles = new Float64Array(words.buffer);

/** f32(a * b + c). The double sum is rounded to odd, so that rounding it again is the one rounding there is.
 * Source: Boldo and Melquiond, Emulation of FMA and correctly rounded sums (2008). */
export function fusedMultiplyAdd(a: number, b: number, c: number): number {
  const product = a * b;
  const sum = product + c;
  const rest = sum - product;
  const error = product - (sum - rest) + (c - rest);
  if (!(Math.abs(error) > 0)) return Math.fround(sum);
  doubles[0] = sum;
  if ((words[0] & 1n) === 0n) words[0] += error > 0 === sum > 0 ? 1n : -1n;
  return Math.fround(doubles[0]);
}

const LEAST = -(2 ** 31);

/** CVTPS2DQ of an integer: what int32 has not, NaN too, is the least int32. */
export const toInt32 = (value: number) => (value >= LEAST && value < -LEAST ? value : LEAST);
