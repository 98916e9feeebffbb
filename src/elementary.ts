/** Elementary functions from + - * / and sqrt alone: the same bits in every engine, where `Math.exp` and its kin are
 * free to differ. Relative error about 1e-15 against the true value. */

/** ln 2 in two parts; the first has its low 21 bits zero, so that k * LN2_HIGH is exact. */
const LN2_HIGH = 0.6931471803691238;
const LN2_LOW = 1.9082149292705877e-10;

/** POWERS[k + 1022] = 2^k for k in -1022..1023. */
const POWERS = (() => {
  const powers = new Float64Array(2046);
  powers[1022] = 1;
  for (let i = 1023; i < powers.length; i++) powers[i] = powers[i - 1] * 2;
  for (let i = 1021; i >= 0; i--) powers[i] = powers[i + 1] / 2;
  return powers;
})();

/** 1/n! for n = 0..13. */
const INVERSE_FACTORIALS = (() => {
  const values = [1];
  let factorial = 1;
  for (let n = 1; n <= 13; n++) {
    factorial *= n;
    values.push(1 / factorial);
  }
  return values;
})();
const [, , C2, C3, C4, C5, C6, C7, C8, C9, C10, C11, C12, C13] = INVERSE_FACTORIALS;

const bits = new DataView(new ArrayBuffer(8));

/** x = m * 2^k with m in [sqrt(1/2), sqrt(2)); x positive and finite. */
function split(x: number): { m: number; k: number } {
  const scaled = x < POWERS[0] ? x * POWERS[1022 + 54] : x;
  bits.setFloat64(0, scaled);
  const high = bits.getUint32(0);
  let k = (high >>> 20) - 1023 - (scaled === x ? 0 : 54);
  bits.setUint32(0, (high & 0x000fffff) | (1023 << 20));
  let m = bits.getFloat64(0);
  if (m >= Math.SQRT2) {
    m /= 2;
    k++;
  }
  return { m, k };
}

/** ln m for m in [sqrt(1/2), sqrt(2)): 2 artanh((m-1)/(m+1)), whose argument is below 0.172. */
function logOfMantissa(m: number): number {
  const s = (m - 1) / (m + 1);
  const square = s * s;
  let sum = 0;
  for (let n = 25; n >= 3; n -= 2) sum = (sum + 1 / n) * square;
  return 2 * (s + s * sum);
}

export function exp(x: number): number {
  if (Number.isNaN(x)) return x;
  if (x > 709.782712893384) return Infinity;
  if (x < -745.1332191019412) return 0;
  const k = Math.round(x * Math.LOG2E);
  const r = x - k * LN2_HIGH - k * LN2_LOW;
  const high = ((((((C13 * r + C12) * r + C11) * r + C10) * r + C9) * r + C8) * r + C7) * r + C6;
  const sum = (((((high * r + C5) * r + C4) * r + C3) * r + C2) * r + 1) * r + 1;
  const half = k >> 1;
  return sum * POWERS[1022 + half] * POWERS[1022 + k - half];
}

export function log(x: number): number {
  if (!(x > 0) || x === Infinity) return x === 0 ? -Infinity : x === Infinity ? x : NaN;
  const { m, k } = split(x);
  return k * LN2_HIGH + (logOfMantissa(m) + k * LN2_LOW);
}

/** Exact at powers of two. */
export function log2(x: number): number {
  if (!(x > 0) || x === Infinity) return log(x);
  const { m, k } = split(x);
  return k + logOfMantissa(m) / Math.LN2;
}

/** Below 0.5 the continued fraction x/(1 + x²/(3 + x²/(5 + …))), elsewhere by exp. */
export function tanh(x: number): number {
  const size = Math.abs(x);
  if (size > 22) return x < 0 ? -1 : 1;
  if (size >= 0.5) {
    const value = 1 - 2 / (exp(2 * size) + 1);
    return x < 0 ? -value : value;
  }
  const square = x * x;
  let fraction = 0;
  for (let n = 15; n >= 1; n -= 2) fraction = square / (n + fraction);
  return x === 0 ? x : fraction / x;
}

/** 1 / (1 + e^-x). */
export function sigmoid(x: number): number {
  const e = exp(-Math.abs(x));
  return x < 0 ? e / (1 + e) : 1 / (1 + e);
}

function ratio(numerator: readonly number[], denominator: readonly number[], r: number): number {
  let top = 0;
  let bottom = 0;
  for (let i = numerator.length - 1; i >= 0; i--) top = top * r + numerator[i];
  for (let i = denominator.length - 1; i >= 0; i--) bottom = bottom * r + denominator[i];
  return top / bottom;
}

const CENTRE = [
  3.3871328727963665, 133.14166789178438, 1971.5909503065513, 13731.69376550946, 45921.95393154987,
  67265.7709270087, 33430.57558358813, 2509.0809287301227,
];
const CENTRE_BELOW = [
  1, 42.31333070160091, 687.1870074920579, 5394.196021424751, 21213.794301586597, 39307.89580009271,
  28729.085735721943, 5226.495278852854,
];
const MIDDLE = [
  1.4234371107496835, 4.630337846156546, 5.769497221460691, 3.6478483247632045, 1.2704582524523684,
  0.2417807251774506, 0.022723844989269184, 0.0007745450142783414,
];
const MIDDLE_BELOW = [
  1, 2.053191626637759, 1.6763848301838038, 0.6897673349851, 0.14810397642748008, 0.015198666563616457,
  0.0005475938084995345, 1.0507500716444169e-9,
];
const TAIL = [
  6.657904643501103, 5.463784911164114, 1.7848265399172913, 0.29656057182850487, 0.026532189526576124,
  0.0012426609473880784, 2.7115555687434876e-5, 2.0103343992922881e-7,
];
const TAIL_BELOW = [
  1, 0.599832206555888, 0.1369298809227358, 0.014875361290850615, 0.0007868691311456133,
  1.8463183175100548e-5, 1.421511758316446e-7, 2.0442631033899397e-15,
];

/**
 * The standard normal's quantile; p in (0, 1), RangeError outside.
 * Source: M. J. Wichura, Algorithm AS 241 (PPND16), Applied Statistics 37(3), 1988.
 */
export function normalQuantile(p: number): number {
  if (!(p > 0 && p < 1)) throw new RangeError(`normalQuantile: expected p in (0, 1), got ${p}`);
  const q = p - 0.5;
  if (Math.abs(q) <= 0.425) return q * ratio(CENTRE, CENTRE_BELOW, 0.180625 - q * q);
  const r = Math.sqrt(-log(q < 0 ? p : 1 - p));
  const value = r <= 5 ? ratio(MIDDLE, MIDDLE_BELOW, r - 1.6) : ratio(TAIL, TAIL_BELOW, r - 5);
  return q < 0 ? -value : value;
}
