/** Requantization of the int16 ops in exact integers, one value at a time. */
import {
  clamp,
  quantizeMultiplier,
  requantizeDouble,
  requantizeSingle,
  roundHalfAway,
} from "../requantize.ts";
import type { Rounding, SumScaling } from "./args.ts";

/** The numbers of assembly/wide/requantize.ts and of DOUBLE_EXACT and SINGLE_EXACT. */
export const SUM_FORMS: Record<SumScaling["requantizer"], number> = {
  "tflite-double": 0,
  "tflite-single": 2,
  "tflite-wide": 32,
  "cmsis-nn-wide": 33,
  double: 34,
  "double-32": 35,
};

/** P4 or P5. */
export function rescale(rounding: Rounding, value: number, multiplier: number, shift: number): number {
  return (rounding === "tflite-double" ? requantizeDouble : requantizeSingle)(value, multiplier, shift);
}

/** The multiplier's upper 16 bits, rounded, below 2^15. */
export function reduceMultiplier(multiplier: number): number {
  return multiplier < 0x7fff0000 ? (multiplier + 0x8000) >> 16 : 0x7fff;
}

/** P7: an int64 sum, half up, the low 32 bits; shift in [-31, 7]. Products wrap in 64 bits.
 * Source: MultiplyByQuantizedMultiplier(int64), TFLite common.cc. */
export function requantizeSum(acc: bigint, multiplier: number, shift: number): number {
  const nudged = acc * BigInt(reduceMultiplier(multiplier)) + (1n << BigInt(14 - shift));
  return Number(BigInt.asIntN(32, BigInt.asIntN(64, nudged) >> BigInt(15 - shift)));
}

/** P7 with 32 bits kept before the last shift. Source: arm_nn_requantize_s64, CMSIS-NN 99f736a. */
export function requantizeSumNarrowed(acc: bigint, multiplier: number, shift: number): number {
  const product = BigInt.asIntN(64, acc * BigInt(reduceMultiplier(multiplier)));
  const value = Number(BigInt.asIntN(32, product >> BigInt(14 - shift)));
  return Math.floor((value + 1) / 2);
}

/** Half away from zero, within int32. Source: FullyConnected with scales, LiteRT 13eade6 reference/integer_ops. */
export function requantizeReal(acc: bigint, factor: number): number {
  return clamp(roundHalfAway(Number(acc) * factor), -(2 ** 31), 2 ** 31 - 1);
}

/** One sum of products of an output channel, bias added, rounded. sum: exact, below 2^53. */
export function requantizeChannel(args: SumScaling, sum: number, channel: number): number {
  const at = (values: ArrayLike<number>) => values[values.length === 1 ? 0 : channel];
  if (args.sum === 32)
    return rescale(
      args.requantizer,
      (sum + (args.bias?.[channel] ?? 0)) | 0,
      at(args.multiplier),
      at(args.shift),
    );
  const acc = BigInt.asIntN(64, BigInt(sum) + (args.bias?.[channel] ?? 0n));
  if ("factor" in args)
    return requantizeReal(args.requantizer === "double" ? acc : BigInt.asIntN(32, acc), at(args.factor));
  const [multiplier, shift] = [at(args.multiplier), at(args.shift)];
  return args.requantizer === "tflite-wide"
    ? requantizeSum(acc, multiplier, shift)
    : requantizeSumNarrowed(acc, multiplier, shift);
}

/** P1 of a value of either sign, as TFLite takes it from the alpha of a LEAKY_RELU. */
export function signedMultiplier(value: number): { multiplier: number; shift: number } {
  const { multiplier, shift } = quantizeMultiplier(Math.abs(value));
  return { multiplier: value < 0 ? -multiplier : multiplier, shift };
}
