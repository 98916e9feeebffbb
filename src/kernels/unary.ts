/** Functions of one int8 as tables of 256 entries, computed when they are prepared: LOGISTIC, TANH, HARD_SWISH, LEAKY_RELU
 * and PRELU (a table for each alpha). */
import { exp, tanh } from "../elementary.ts";
import type { Op, Step, Values } from "./args.ts";
import type { Kernels } from "./module.ts";
import {
  clamp,
  expOnNegativeValues,
  oneMinusOverOnePlus,
  oneOverOnePlus,
  quantizeMultiplier,
  requantizeDouble,
  requantizeSingle,
  roundHalfAway,
  roundHalfEven,
  roundingDivideByPowerOfTwo,
} from "./requantize.ts";
import { makeStep } from "./step.ts";

/** Scales are float32, zero points int8. */
export interface Ends {
  elements: number;
  inputScale: number;
  inputZeroPoint: number;
  outputScale: number;
  outputZeroPoint: number;
}
export type FixedRequantizer = "tflite-double" | "tflite-single";

/** fixed-point: gemmlowp Q4.27 (TFLM), for output scale 1/256 (TANH 1/128); its requantizer.
 * table-half-away: float32, zero point after rounding (TFLite). table-half-even: zero point before it (XNNPACK). */
export type SigmoidForm = "fixed-point" | "table-half-away" | "table-half-even";
export type LogisticArgs = Ends & { form: SigmoidForm; requantizer: FixedRequantizer };
export type TanhArgs = LogisticArgs;
export type HardSwishArgs = Ends;
/** multipliers as they are applied to q - zero point; XNNPACK's have 8 fraction bits. */
export type LeakyReluArgs = Pick<Ends, "elements" | "inputZeroPoint" | "outputZeroPoint"> &
  (
    | { form: "tflite"; requantizer: FixedRequantizer; positive: Multiplier; negative: Multiplier }
    | { form: "xnnpack"; positive: number; negative: number }
  );
export interface Multiplier {
  multiplier: number;
  shift: number;
}
/** alpha: int8 codes of one image, less their zero point. */
export type PreluArgs = Pick<Ends, "elements" | "inputZeroPoint" | "outputZeroPoint"> & {
  alpha: ArrayLike<number>;
  requantizer: FixedRequantizer;
  positive: Multiplier;
  negative: Multiplier;
};

const code = (byte: number) => (byte << 24) >> 24;
const int8 = (value: number) => clamp(value, -128, 127);

/** A row whose values are functions of one int8. */
function tableOp<Args extends { elements: number }>(of: (args: Args) => (q: number) => number): Op<Args> {
  return {
    macs: () => 0,
    prepare(kernels, args) {
      const mark = kernels.mark();
      const table = kernels.place(Int8Array.from({ length: 256 }, (_, byte) => of(args)(code(byte))));
      const bytes = { inputBytes: args.elements, outputBytes: args.elements };
      return makeStep(kernels, mark, "lookup_s8", "Lookup", { elements: args.elements, table }, bytes);
    },
    reference: (args, [input]) => Int8Array.from(input as Int8Array, of(args)),
  };
}

const requantizeBy = (requantizer: FixedRequantizer) =>
  requantizer === "tflite-double" ? requantizeDouble : requantizeSingle;

/** float32 of the code, the function in float32, and the code of that. */
function realValued({ inputScale, inputZeroPoint, outputScale, outputZeroPoint, form }: LogisticArgs) {
  const inverse = Math.fround(1 / outputScale);
  return (real: (x: number) => number) => (q: number) => {
    const value = Math.fround(real(Math.fround(inputScale * (q - inputZeroPoint))) * inverse);
    if (form === "table-half-away") return int8(roundHalfAway(value) + outputZeroPoint);
    return int8(roundHalfEven(Math.fround(value + outputZeroPoint)));
  };
}

/** onPositive: of |x| > 0 in Q4.27, to Q0.31. outputBits: the output's scale is 2^-outputBits.
 * Source: TFLM reference integer_ops/logistic.h and tanh.h. */
function fixedPoint(
  { inputScale, inputZeroPoint, requantizer }: LogisticArgs,
  { low, zero, outputBits }: { low: number; zero: number; outputBits: number },
  ofReal: (q27: number) => number,
) {
  const { multiplier, shift } = quantizeMultiplier(inputScale * 2 ** 27);
  const radius = Math.floor((15 * 2 ** 27) / 2 ** shift);
  return (q: number) => {
    const difference = q - inputZeroPoint;
    if (difference <= -radius) return low;
    if (difference >= radius) return 127;
    const value = ofReal(requantizeBy(requantizer)(difference, multiplier, shift));
    return int8(roundingDivideByPowerOfTwo(value, 31 - outputBits) + zero);
  };
}

const INT32_MAX = 2 ** 31 - 1;

function logisticQ31(x: number): number {
  if (x === 0) return 2 ** 30;
  const positive = oneOverOnePlus(expOnNegativeValues(-Math.abs(x), 4));
  return x > 0 ? positive : INT32_MAX - positive;
}

/** The doubled argument is the same bits with one integer bit more. */
function tanhQ31(x: number): number {
  if (x === 0) return 0;
  const positive = oneMinusOverOnePlus(expOnNegativeValues(-Math.abs(x), 5));
  return x > 0 ? positive : -positive;
}

/** In float32, as 1 / (1 + e^-x); XNNPACK takes e^x where x is negative. */
function logisticFloat(x: number, form: SigmoidForm): number {
  const below = form === "table-half-even" && x < 0;
  const e = Math.fround(exp(below ? x : -x));
  const sum = Math.fround(1 + e);
  return Math.fround((below ? e : 1) / sum);
}

/** Source of the forms: TFLM reference/integer_ops/logistic.h; LUTPopulateInt8, LiteRT f674577; XNNPACK sigmoid-nc. */
export const LOGISTIC: Op<LogisticArgs> = tableOp((args) =>
  args.form === "fixed-point"
    ? fixedPoint(args, { low: -128, zero: -128, outputBits: 8 }, logisticQ31)
    : realValued(args)((x) => logisticFloat(x, args.form)),
);

export const TANH: Op<TanhArgs> = tableOp((args) =>
  args.form === "fixed-point"
    ? fixedPoint(args, { low: -128, zero: 0, outputBits: 7 }, tanhQ31)
    : realValued(args)((x) => Math.fround(tanh(x))),
);

const int16 = (value: number) => clamp(value, -32768, 32767);

/** floor((a b + 2^14) / 2^15), saturated. */
function doublingHighMultiply16(a: number, b: number): number {
  return int16(Math.floor((a * b + 2 ** 14) / 2 ** 15));
}

function multiplier16(real: number) {
  const { multiplier, shift } = quantizeMultiplier(real);
  return { multiplier: Math.min(Math.floor((multiplier + 2 ** 15) / 2 ** 16), 32767), shift };
}

/** In 16-bit fixed point, on every runtime: XNNPACK leaves it to TFLite. Source: TFLite reference/hard_swish.h. */
function hardSwish({ inputScale, inputZeroPoint, outputScale, outputZeroPoint }: HardSwishArgs) {
  const fine = Math.fround(inputScale / 128);
  const output = multiplier16(Math.fround(fine / outputScale));
  const gate = multiplier16(Math.fround(fine / Math.fround(3 / 32768)));
  return (q: number) => {
    const x = (q - inputZeroPoint) * 128;
    let reluish = gate.shift > 0 ? int16(x * 2 ** (gate.shift - 1)) : x;
    reluish = doublingHighMultiply16(reluish, gate.multiplier);
    if (gate.shift > 0) reluish = int16(reluish * 2);
    if (gate.shift < 0) reluish = roundingDivideByPowerOfTwo(reluish, -gate.shift);
    const fraction = (reluish + 32768) >> 1;
    const scaled = int16(Math.trunc((fraction * doublingHighMultiply16(x, output.multiplier)) / 32768));
    return int8(roundingDivideByPowerOfTwo(scaled, -output.shift) + outputZeroPoint);
  };
}

export const HARD_SWISH: Op<HardSwishArgs> = tableOp(hardSwish);

/** The output's shift, which HARD_SWISH cannot have above 0. */
export function hardSwishShift(inputScale: number, outputScale: number): number {
  return multiplier16(Math.fround(Math.fround(inputScale / 128) / outputScale)).shift;
}

/** Source: TFLite reference/leaky_relu.h QuantizeLeakyRelu; XNNPACK qs8-vlrelu. */
export const LEAKY_RELU: Op<LeakyReluArgs> = tableOp((args) => (q) => {
  const difference = q - args.inputZeroPoint;
  if (args.form === "xnnpack") {
    const factor = difference >= 0 ? args.positive : args.negative;
    return int8(Math.floor((difference * factor + 128) / 256) + args.outputZeroPoint);
  }
  const { multiplier, shift } = difference >= 0 ? args.positive : args.negative;
  return int8(requantizeBy(args.requantizer)(difference, multiplier, shift) + args.outputZeroPoint);
});

/** Source: BroadcastPrelu4DSlow, TFLite reference/prelu.h. */
function preluOne(args: PreluArgs, q: number, alpha: number): number {
  const difference = q - args.inputZeroPoint;
  const { multiplier, shift } = difference >= 0 ? args.positive : args.negative;
  const acc = difference >= 0 ? difference : difference * alpha;
  return int8(requantizeBy(args.requantizer)(acc, multiplier, shift) + args.outputZeroPoint);
}

function preparePrelu(kernels: Kernels, args: PreluArgs): Step {
  const mark = kernels.mark();
  const { elements } = args;
  const alphas = [...new Set(Array.from(args.alpha))];
  const tables = Int8Array.from({ length: 256 * alphas.length }, (_, i) =>
    preluOne(args, code(i), alphas[i >> 8]),
  );
  const rows = Uint16Array.from(args.alpha, (alpha) => alphas.indexOf(alpha));
  const values = { elements, rows: kernels.place(rows), tables: kernels.place(tables) };
  const bytes = { inputBytes: elements, outputBytes: elements };
  return makeStep(kernels, mark, "lookup_by_position", "PositionLookup", values, bytes);
}

export const PRELU: Op<PreluArgs> = {
  macs: () => 0,
  prepare: preparePrelu,
  reference: (args, [input]: readonly Values[]) =>
    Int8Array.from(input as Int8Array, (q, i) => preluOne(args, q, args.alpha[i % args.elements])),
};
