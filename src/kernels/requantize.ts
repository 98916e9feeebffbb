/** The requantization primitives in exact integers, one value at a time: what the wasm kernels are tested against.
 * Numbers (P1...) are those of the arithmetic reference; every integer is an int32 unless said otherwise. */
import { log2 } from "../elementary.ts";
import type { RequantizerName } from "./args.ts";
import { ROUNDINGS } from "./rounding.ts";

const INT32_MIN = -2147483648;
const INT32_MAX = 2147483647;

/** The low 32 bits, as int32. */
function wrap32(value: bigint): number {
  return Number(BigInt.asIntN(32, value));
}

export function clamp(value: number, low: number, high: number): number {
  return Math.min(Math.max(value, low), high);
}

/** Nearest integer, ties away from zero: C's round(). */
export function roundHalfAway(value: number): number {
  const whole = Math.trunc(value);
  return Math.abs(value - whole) >= 0.5 ? whole + Math.sign(value) : whole;
}

/** Nearest integer, ties to even: C's rint(). */
export function roundHalfEven(value: number): number {
  const floor = Math.floor(value);
  const rest = value - floor;
  return rest > 0.5 || (rest === 0.5 && floor % 2 !== 0) ? floor + 1 : floor;
}

/** floor((a * b + 2^30) / 2^31), the low 32 bits. Source: arm_nn_doubling_high_mult_no_sat, CMSIS-NN 7.0.0. */
export function doublingHighMultiply(a: number, b: number): number {
  return wrap32((BigInt(a) * BigInt(b) + (1n << 30n)) >> 31n);
}

/** P2: the same, INT_MIN * INT_MIN saturated. Source: gemmlowp SaturatingRoundingDoublingHighMul. */
export function saturatingDoublingHighMultiply(a: number, b: number): number {
  return a === INT32_MIN && b === INT32_MIN ? INT32_MAX : doublingHighMultiply(a, b);
}

/** P3: value / 2^exponent, ties away from zero; exponent in [0, 62]. Source: gemmlowp RoundingDivideByPOT. */
export function roundingDivideByPowerOfTwo(value: number, exponent: number): number {
  if (exponent === 0) return value;
  const magnitude = (BigInt(Math.abs(value)) + (1n << BigInt(exponent - 1))) >> BigInt(exponent);
  return Number(value < 0 ? -magnitude : magnitude);
}

/**
 * P4: two roundings, half up and then half away from zero; shift in [-31, 30], a left shift wraps.
 * Source: MultiplyByQuantizedMultiplier, TFLite common.cc; arm_nn_requantize, CMSIS-NN 7.0.0, whose first step does not
 * saturate (TFLite's does, for the one multiplier, INT_MIN, that no scale gives).
 */
export function requantizeDouble(acc: number, multiplier: number, shift: number): number {
  const shifted = wrap32(BigInt(acc) << BigInt(Math.max(shift, 0)));
  return roundingDivideByPowerOfTwo(doublingHighMultiply(shifted, multiplier), Math.max(-shift, 0));
}

/** P5: one rounding, half up; shift in [-31, 30]. Source: ruy; arm_nn_requantize, CMSIS-NN 7.0.0, single rounding. */
export function requantizeSingle(acc: number, multiplier: number, shift: number): number {
  return wrap32((BigInt(acc) * BigInt(multiplier) + (1n << BigInt(30 - shift))) >> BigInt(31 - shift));
}

/** P8: float32 product clamped to [low, high], ties to even; no offset. Source: XNNPACK, ORT, FBGEMM. */
export function requantizeFloat(acc: number, scale: number, low: number, high: number): number {
  return roundHalfEven(clamp(Math.fround(Math.fround(acc) * scale), low, high));
}

/** One accumulator by any requantizer but "none": rounded, offset added without wrapping, clamped. */
export function requantize(
  requantizer: RequantizerName,
  acc: number,
  channel: { multiplier: number; shift: number; scale: number },
  output: { outputOffset: number; activationMin: number; activationMax: number },
): number {
  const { outputOffset, activationMin, activationMax } = output;
  const [low, high] = [activationMin - outputOffset, activationMax - outputOffset];
  return clamp(unclamped(requantizer, acc, channel, low, high) + outputOffset, activationMin, activationMax);
}

function unclamped(
  requantizer: RequantizerName,
  acc: number,
  channel: { multiplier: number; shift: number; scale: number },
  low: number,
  high: number,
): number {
  if (requantizer === "tflite-double") return requantizeDouble(acc, channel.multiplier, channel.shift);
  if (requantizer === "tflite-single") return requantizeSingle(acc, channel.multiplier, channel.shift);
  if (requantizer === "float-even") return requantizeFloat(acc, channel.scale, low, high);
  return ROUNDINGS[requantizer](acc, channel, low, high);
}

/** P11: exp(value), value <= 0 with integerBits before the point, result Q0.31. Source: gemmlowp exp_on_negative_values. */
export function expOnNegativeValues(value: number, integerBits = 5): number {
  if (value === 0) return INT32_MAX;
  const quarter = 1 << (29 - integerBits);
  const remainder = (value & (quarter - 1)) - quarter;
  const x = (remainder << integerBits) + (1 << 28);
  const x2 = saturatingDoublingHighMultiply(x, x);
  const x3 = saturatingDoublingHighMultiply(x2, x);
  const x4 = saturatingDoublingHighMultiply(x2, x2);
  const cubic = saturatingDoublingHighMultiply(roundingDivideByPowerOfTwo(x4, 2) + x3, 715827883) + x2;
  const polynomial = x + roundingDivideByPowerOfTwo(cubic, 1);
  let result = 1895147668 + saturatingDoublingHighMultiply(1895147668, polynomial);
  const quarters = (remainder - value) | 0;
  for (const [bit, factor] of EXP_FACTORS.slice(0, integerBits + 2).entries()) {
    if (quarters & (1 << (29 - integerBits + bit))) result = saturatingDoublingHighMultiply(result, factor);
  }
  return result;
}
/** exp(-2^(i - 2)) in Q0.31. */
const EXP_FACTORS = [1672461947, 1302514674, 790015084, 290630308, 39332535, 720401, 242];

/** 2 / (1 + value) in Q2.29, value in [0, 1) in Q0.31, by three steps of Newton's method. */
function twoOverOnePlus(value: number): number {
  const half = Math.floor((value + INT32_MAX + 1) / 2);
  let x = 1515870810 + saturatingDoublingHighMultiply(half, -1010580540);
  for (let step = 0; step < 3; step++) {
    const error = (1 << 29) - saturatingDoublingHighMultiply(half, x);
    x = (x + saturatingShiftLeft(saturatingDoublingHighMultiply(x, error | 0), 2)) | 0;
  }
  return x;
}

/** P12: 1 / (1 + value), value in [0, 1) and result in Q0.31. Source: gemmlowp one_over_one_plus_x_for_x_in_0_1. */
export function oneOverOnePlus(value: number): number {
  return saturatingShiftLeft(twoOverOnePlus(value), 1);
}

/** (1 - value) / (1 + value), as oneOverOnePlus. Source: gemmlowp one_minus_x_over_one_plus_x_for_x_in_0_1. */
export function oneMinusOverOnePlus(value: number): number {
  return saturatingShiftLeft(twoOverOnePlus(value) - (1 << 29), 2);
}

export function saturatingShiftLeft(value: number, bits: number): number {
  return clamp(value * 2 ** bits, INT32_MIN, INT32_MAX);
}

/** value = fraction * 2^exponent with fraction in [0.5, 1), as C's frexp; value > 0 and normal. */
function splitExponent(value: number): { fraction: number; exponent: number } {
  const bits = new DataView(new ArrayBuffer(8));
  bits.setFloat64(0, value);
  const exponent = ((bits.getUint16(0) >> 4) & 0x7ff) - 1022;
  return { fraction: value / 2 ** exponent, exponent };
}

/** P1: value = multiplier * 2^(shift - 31), a double >= 0; below 2^-32 both are 0. Source: TFLite quantization_util.cc. */
export function quantizeMultiplier(value: number): { multiplier: number; shift: number } {
  if (value < 2 ** -40) return { multiplier: 0, shift: 0 };
  const { fraction, exponent } = splitExponent(value);
  const rounded = roundHalfAway(fraction * 2 ** 31);
  const [multiplier, shift] = rounded === 2 ** 31 ? [2 ** 30, exponent + 1] : [rounded, exponent];
  return shift < -31 ? { multiplier: 0, shift: 0 } : { multiplier, shift };
}

/** Fields of AddFixedPoint from the three scales; leftShift: 20 for int8, 15 for int16. narrow: the ratios are rounded to
 * float32, as for SUB in TFLM (sub_common.cc). Source: TFLite kernels/add.cc. */
export function addMultipliers(
  scale1: number,
  scale2: number,
  outputScale: number,
  leftShift = 20,
  narrow = false,
) {
  const twiceMaximum = 2 * Math.max(scale1, scale2);
  const ratio = (value: number) => quantizeMultiplier(narrow ? Math.fround(value) : value);
  const input1 = ratio(scale1 / twiceMaximum);
  const input2 = ratio(scale2 / twiceMaximum);
  const output = ratio(twiceMaximum / (2 ** leftShift * outputScale));
  return {
    leftShift,
    input1Multiplier: input1.multiplier,
    input1Shift: input1.shift,
    input2Multiplier: input2.multiplier,
    input2Shift: input2.shift,
    outputMultiplier: output.multiplier,
    outputShift: output.shift,
  };
}

/** Fields of AddXnnpack; both ratios to the output scale below 2^8, the larger at least 2^-10.
 * Source: xnn_init_qs8_add_minmax_scalar_params, XNNPACK 75db3c0. */
export function addMultipliersXnnpack(scale1: number, scale2: number, outputScale: number) {
  const ratio1 = Math.fround(scale1 / outputScale);
  const ratio2 = Math.fround(scale2 / outputScale);
  const shift = 21 - splitExponent(Math.max(ratio1, ratio2)).exponent;
  return {
    input1Multiplier: roundHalfEven(ratio1 * 2 ** shift),
    input2Multiplier: roundHalfEven(ratio2 * 2 ** shift),
    shift,
  };
}

/** The multiplier of scaleRatio = input scale / output scale, divided by the number of values summed.
 * Source: TFLite reference/integer_ops/mean.h (the division truncates). */
export function meanMultiplier(scaleRatio: number, count: number): { multiplier: number; shift: number } {
  const { multiplier, shift } = quantizeMultiplier(scaleRatio);
  const bits = Math.min(Math.floor(log2(count)), 32, 31 + shift);
  return { multiplier: Number((BigInt(multiplier) << BigInt(bits)) / BigInt(count)), shift: shift - bits };
}

/**
 * XNNPACK's mean of count values: scale and bias of RHE(f32(f32(sum) * scale + bias)), the sum of raw codes.
 * Source: the outputs of LiteRT.js 2.5.3, of which 30,720 near ties single this form out among 40.
 */
export function meanXnnpack(
  scaleRatio: number,
  count: number,
  zeroPoints: { input: number; output: number },
): { scale: number; bias: number } {
  const scale = Math.fround(Math.fround(scaleRatio) * Math.fround(1 / count));
  return { scale, bias: Math.fround(zeroPoints.output - Math.fround(zeroPoints.input * count * scale)) };
}

/** Fields of the fixed-point softmax. Source: TFLite PreprocessSoftmaxScaling and CalculateInputRadius, 5 integer bits. */
export function softmaxMultiplier(inputScale: number, beta: number) {
  const { multiplier, shift } = quantizeMultiplier(Math.min(beta * inputScale * 2 ** 26, 2 ** 31 - 1));
  return { multiplier, shift, diffMin: -Math.floor((31 * 2 ** 26) / 2 ** shift) };
}

/** Multiplier of the 8-bit requantization, from f32(input scale / output scale). Source: XNNPACK qs8-vcvt. */
export function requantizeMultiplierXnnpack(scaleRatio: number): number {
  return roundHalfEven(256 * Math.fround(scaleRatio));
}
