/** The functions of assembly/float/functions.ts in plain TypeScript. */
import { exp } from "../../elementary.ts";
import { fusedMultiplyAdd } from "../fused.ts";
import { f32 } from "./forms.ts";

const bits = new DataView(new ArrayBuffer(8));
const floatOf = (word: number) => {
  bits.setInt32(0, word);
  return bits.getFloat32(0);
};
const wordOf = (value: number) => {
  bits.setFloat32(0, value);
  return bits.getInt32(0);
};

type MultiplyAdd = typeof fusedMultiplyAdd;
/** Every operation rounded to float32. */
const multiplyAdd: MultiplyAdd = (a, b, c) => f32(f32(a * b) + c);

/** c0 * x + c1, times x plus c2 and so on. */
const polynomial = (x: number, coefficients: readonly number[], step = multiplyAdd) =>
  coefficients.slice(1).reduce((sum, c) => step(sum, x, f32(c)), f32(coefficients[0]));

const STEPS = 32;
/** 2^(i / 32). */
const EXP_TABLE = [
  1.0,
  1.0218971486541166,
  1.0442737824274138,
  1.0671404006768237,
  1.0905077326652577,
  1.1143867425958924,
  1.1387886347566916,
  1.1637248587775775,
  1.189207115002721,
  1.215247359980469,
  1.241857812073484,
  1.2690509571917332,
  1.2968395546510096,
  1.3252366431597413,
  1.3542555469368927,
  1.383909881963832,
  Math.SQRT2,
  1.4451808069770467,
  1.4768261459394993,
  1.5091644275934228,
  1.5422108254079407,
  1.5759808451078865,
  1.6104903319492543,
  1.645755478153965,
  1.681792830507429,
  1.718619298122478,
  1.7562521603732995,
  1.7947090750031072,
  1.8340080864093424,
  1.8741676341103,
  1.9152065613971474,
  1.9571441241754002,
];
const SHIFT = 6755399441055744;

/** Source: ARM optimized-routines expf, in glibc since 2.27, in musl and in newlib; assembly has AssemblyScript's copy. */
export function expLibm(x: number): number {
  if (Number.isNaN(x)) return x;
  if (x > 88.72283172607422) return Infinity;
  if (x < -103.97207641601562) return 0;
  const z = Math.LOG2E * STEPS * x;
  const n = z + SHIFT - SHIFT;
  const r = z - n;
  const high = (0.05550361559341535 / STEPS / STEPS / STEPS) * r + 0.2402284522445722 / STEPS / STEPS;
  const low = (0.6931471806916203 / STEPS) * r + 1;
  const i = ((n % STEPS) + STEPS) % STEPS;
  return f32((low + high * (r * r)) * EXP_TABLE[i] * 2 ** ((n - i) / STEPS));
}

/** 1 / c and ln c for a c near the middle of each sixteenth of [0.7, 1.4). */
const LOG_TABLE = [
  [1.398907162146528, -0.33569133332882284],
  [1.3403141896637998, -0.2929040563774074],
  [1.286432210124115, -0.2518726580937369],
  [1.2367150214269895, -0.21245868807117255],
  [1.1906977166711752, -0.17453945183745634],
  [1.1479821020556429, -0.1380057072319758],
  [1.1082251448272158, -0.10275976698545139],
  [1.0711297413057381, -0.06871392447020525],
  [1.036437278977283, -0.0357891387398228],
  [1.0, 0.0],
  [0.9492859795739057, 0.05204517742929496],
  [0.8951049428609004, 0.11081431298787942],
  [0.8476821620351103, 0.1652495223695143],
  [0.8050314851692001, 0.21687389031699977],
  [0.7664671008843108, 0.2659635028121397],
  [0.731428603316328, 0.3127556664073557],
];

/** Of a positive normal float32. Source: ARM optimized-routines logf, in glibc since 2.27, in musl and in newlib. */
export function logLibm(x: number): number {
  const word = wordOf(x);
  const moved = word - 0x3f330000;
  const [inverse, log] = LOG_TABLE[(moved >> 19) & 15];
  const z = floatOf(word - (moved & (0x1ff << 23)));
  const r = z * inverse - 1;
  const start = log + (moved >> 23) * Math.LN2;
  const square = r * r;
  const low = 0.333456765744066 * r + -0.4999997485802103 + -0.25089342214237154 * square;
  return f32(low * square + (start + r));
}

export function expXnnpack(x: number): number {
  if (x < -87.33654022216797) return 0;
  const shifted = f32(f32(x * f32(1.4426950216293335)) + 12583039);
  const scale = floatOf(wordOf(shifted) << 23);
  const n = f32(shifted - 12583039);
  const reduced = f32(f32(n * -0.693145751953125) + x);
  const t = f32(f32(n * f32(-0.000001428606765330187)) + reduced);
  const sum = polynomial(
    t,
    [0.008289290592074394, 0.04189782217144966, 0.16667652130126953, 0.4999915063381195, 0.9999997019767761],
  );
  return f32(f32(f32(t * scale) * sum) + scale);
}

const EXP_MLAS = [
  0.0013780593872070312, 0.008373124524950981, 0.041669536381959915, 0.166664719581604, 0.49999985098838806,
  1, 1,
];

/** exp(x) as a value in [1/sqrt 2, sqrt 2] and a power of two. */
function splitExpMlas(x: number, step: MultiplyAdd): { value: number; power: number } {
  const power = f32(step(x, f32(1.4426950216293335), 12582912) - 12582912);
  const t = step(power, f32(-0.000001428606765330187), step(power, -0.693145751953125, x));
  return { value: polynomial(t, EXP_MLAS, step), power };
}

/** The least normal result is that of the least x. */
function expMlasBy(step: MultiplyAdd, x: number): number {
  const { value, power } = splitExpMlas(Math.max(x, f32(-88.37625885009766)), step);
  return f32(value * floatOf(((power + 127) << 23) | 0));
}
export const expMlas = (x: number) => expMlasBy(multiplyAdd, x);
export const expMlasFused = (x: number) => expMlasBy(fusedMultiplyAdd, x);
/** Down to the least float32. */
export function expMlasWide(x: number): number {
  const { value, power } = splitExpMlas(Math.max(x, f32(-103.9720840454)), fusedMultiplyAdd);
  return f32(value * 2 ** power);
}

export function logisticLibm(x: number): number {
  if (x > f32(16.619047164916992)) return 1;
  return x < -9 ? expLibm(x) : f32(1 / f32(1 + expLibm(-x)));
}

export function logisticXnnpack(x: number): number {
  const e = expXnnpack(-Math.abs(x));
  const below = f32(e / f32(e + 1));
  return x > 0 ? f32(1 - below) : below;
}

interface Rational {
  limit: number;
  above: readonly number[];
  below: readonly number[];
}

/** x times an even polynomial over another, x limited. */
function rational({ limit, above, below }: Rational, x: number, step = multiplyAdd): number {
  const v = Math.min(Math.max(x, f32(-limit)), f32(limit));
  const square = f32(v * v);
  return f32(f32(polynomial(square, above, step) * v) / polynomial(square, below, step));
}

const LOGISTIC_MLAS: Rational = {
  limit: 18,
  above: [
    4.37031012579801e-11, 1.15627324459942e-7, 6.08574864600143e-5, 8.51377133304701e-3, 2.48287947061529e-1,
  ],
  below: [
    6.10247389755681e-13, 5.76102136993427e-9, 6.2910678501704e-6, 1.70198817374094e-3, 1.16817656904453e-1,
    9.9315192102318e-1,
  ],
};
const logisticBy = (step: MultiplyAdd, x: number) =>
  Math.min(Math.max(f32(rational(LOGISTIC_MLAS, x, step) + 0.5), 0), 1);
export const logisticMlas = (x: number) => logisticBy(multiplyAdd, x);
export const logisticMlasFused = (x: number) => logisticBy(fusedMultiplyAdd, x);

/** Rounded once: what a correctly rounded libm gives. */
export function tanhLibm(x: number): number {
  if (Math.abs(x) < 0.01) {
    const square = x * x;
    return f32(x * (1 - square * (1 / 3 - square * (2 / 15 - (square * 17) / 315))));
  }
  const e = exp(-2 * Math.abs(x));
  return f32((Math.sign(x) * (1 - e)) / (1 + e));
}

const TANH_XNNPACK: Rational = {
  limit: 7.8522667885,
  above: [1.4248920266e-8, 2.1235626264e-5, 3.5330520477e-3, 1.3412411511e-1, 1],
  below: [8.136594829e-7, 3.3472978976e-4, 2.6018999517e-2, 4.6745735407e-1, 1],
};
export const tanhXnnpack = (x: number) => rational(TANH_XNNPACK, x);

const TANH_MLAS: Rational = {
  limit: 9,
  above: [
    -2.76076847742355e-16, 2.00018790482477e-13, -8.60467152213735e-11, 5.12229709037114e-8,
    1.48572235717979e-5, 6.37261928875436e-4, 4.89352455891786e-3,
  ],
  below: [1.19825839466702e-6, 1.18534705686654e-4, 2.268434632439e-3, 4.89352518554385e-3],
};
export const tanhMlas = (x: number) => rational(TANH_MLAS, x);
export const tanhMlasFused = (x: number) => rational(TANH_MLAS, x, fusedMultiplyAdd);

const clamped = (value: number, high: number) => Math.min(Math.max(value, 0), high);

export const hardSwishTflite = (x: number) => f32(f32(x * clamped(f32(x + 3), 6)) / 6);
export const hardSwishXnnpack = (x: number) => f32(x * clamped(f32(f32(x * f32(1 / 6)) + 0.5), 1));
