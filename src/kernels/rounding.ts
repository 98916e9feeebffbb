/** The rarer roundings of one accumulator, in exact integers: what assembly/rounding.ts is tested against. Each has its
 * number there. multiplier, shift: real factor = multiplier * 2^(shift - 31), unless said otherwise. */
import type { RequantizerName } from "./args.ts";

interface Channel {
  multiplier: number;
  shift: number;
  scale: number;
}

const low32 = (value: bigint) => Number(BigInt.asIntN(32, value));
const saturate = (value: bigint, bits: number) => {
  const top = (1n << BigInt(bits - 1)) - 1n;
  return value > top ? top : value < -top - 1n ? -top - 1n : value;
};
const product = (acc: number, { multiplier }: Channel) => BigInt(acc) * BigInt(multiplier);
const bits = ({ shift }: Channel) => BigInt(31 - shift);
const shiftLeft = (acc: number, shift: number) =>
  BigInt.asIntN(32, BigInt(acc) << BigInt(Math.max(shift, 0)));

/** P6: high product half up, then a right shift half up. Source: TFLite MultiplyByQuantizedMultiplier4Rows on NEON. */
export function requantizeNeon(acc: number, multiplier: number, shift: number): number {
  const wide = shiftLeft(acc, shift) * BigInt(multiplier);
  const high = saturate((wide + (1n << 30n)) >> 31n, 32);
  return shift >= 0 ? Number(high) : low32((high + (1n << BigInt(-shift - 1))) >> BigInt(-shift));
}

/** One rounding, ties away from zero. Source: QNNPACK 7d2a4e9 precise-scalar.c; nvdla/hw SDP converters. */
function halfAway(acc: number, channel: Channel): number {
  const value = product(acc, channel);
  const magnitude = ((value < 0n ? -value : value) + (1n << (bits(channel) - 1n))) >> bits(channel);
  return low32(value < 0n ? -magnitude : magnitude);
}

/** One rounding, ties to even. Source: esp-dl 12c0616 dl_tool.cpp shift_and_round_half_even. */
function halfEven(acc: number, channel: Channel): number {
  const floor = product(acc, channel) >> bits(channel);
  const rest = product(acc, channel) - (floor << bits(channel));
  const half = 1n << (bits(channel) - 1n);
  return low32(rest > half || (rest === half && (floor & 1n) === 1n) ? floor + 1n : floor);
}

/** Source: Vela a6f6566, NpuRoundingMode.TRUNCATE. */
function towardZero(acc: number, channel: Channel): number {
  const value = product(acc, channel);
  return low32(value < 0n ? -(-value >> bits(channel)) : value >> bits(channel));
}

/** High product by floor, then a right shift half away from zero with saturating sums.
 * Source: esp-nn d45b843 esp_nn_multiply_by_quantized_mult_esp32s3.S, SKIP_NUDGE. */
function floorNudge(acc: number, channel: Channel): number {
  const high = BigInt.asIntN(32, (shiftLeft(acc, channel.shift) * BigInt(channel.multiplier)) >> 31n);
  if (channel.shift >= 0) return Number(high);
  const right = BigInt(-channel.shift);
  const nudged = saturate(high + (1n << (right - 1n)) - (high < 0n ? 1n : 0n), 32);
  return Number(nudged >> right);
}

/** P9b. multiplier: 15 bits; shift: of the accumulator before it is cut to 16 bits. Source: XNNPACK 75db3c0 rndnu16. */
function sixteenBit(acc: number, { multiplier, shift }: Channel): number {
  const right = BigInt(Math.max(-shift, 0));
  const shifted =
    shift >= 0 ? saturate(BigInt(acc) << BigInt(shift), 32) : (BigInt(acc) + (1n << (right - 1n))) >> right;
  return low32((saturate(shifted, 16) * BigInt(multiplier) + (1n << 14n)) >> 15n);
}

/** ((acc << shift) * multiplier + 2^30) >> 31 in 64 bits, the low 16; shift >= 0.
 * Source: XiaoMi/nnlib df7ad3c, supernode. */
function wrapSixteen(acc: number, { multiplier, shift }: Channel): number {
  const value = BigInt.asIntN(64, (BigInt(acc) << BigInt(shift)) * BigInt(multiplier) + (1n << 30n));
  return Number(BigInt.asIntN(16, value >> 31n));
}

/** To even as the K210 simulator has it, wrong below zero. Source: nncase 99431d9 carry_shift<int64, true>. */
function carryShift(acc: number, channel: Channel): number {
  const floor = product(acc, channel) >> bits(channel);
  const rest = product(acc, channel) - (floor << bits(channel));
  const half = 1n << (bits(channel) - 1n);
  const carries = rest > half || (rest === half && (floor & 1n) === 1n);
  return low32(carries ? floor + (acc < 0 ? -1n : 1n) : floor);
}

type Rare = Exclude<RequantizerName, "tflite-double" | "tflite-single" | "float-even">;

/** float-up is P8 with ties up; low and high are the bounds less the output offset. */
export const ROUNDINGS: Record<Rare, (acc: number, channel: Channel, low: number, high: number) => number> = {
  "neon-double": (acc, { multiplier, shift }) => requantizeNeon(acc, multiplier, shift),
  "half-away": halfAway,
  "half-even": halfEven,
  "toward-zero": towardZero,
  "floor-nudge": floorNudge,
  "sixteen-bit": sixteenBit,
  "wrap-sixteen": wrapSixteen,
  "carry-shift": carryShift,
  "float-up": (acc, { scale }, low, high) => {
    const value = Math.min(Math.max(Math.fround(Math.fround(acc) * scale), low), high);
    const floor = Math.floor(value);
    return value - floor >= 0.5 ? floor + 1 : floor;
  },
};
