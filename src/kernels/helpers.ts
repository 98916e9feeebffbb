/** CMSIS-NN's vectorised requantization helpers (M55), one value at a time, as CMSIS_NN_USE_SINGLE_ROUNDING builds them:
 * defect D11, since what they shift left leaves 32 bits. Source: arm_nnsupportfunctions.h, CMSIS-NN 99f736a; QEMU's M55. */
import { clamp } from "./requantize.ts";

const INT32_MAX = 2 ** 31 - 1;
/** floor(a * b / 2^31), the one overflow saturated; nudge: 2^30 rounds half up. */
function doublingHighMultiply(a: number, b: number, nudge: bigint): number {
  return clamp(Number((BigInt(a) * BigInt(b) + nudge) >> 31n), -(2 ** 31), INT32_MAX);
}

/** The shift is split so that the right one is at least 1. */
const helper = (nudge: bigint) => (acc: number, multiplier: number, shift: number) => {
  const right = Math.min(-1, shift);
  const shifted = Number(BigInt.asIntN(32, BigInt(acc) << BigInt(shift - right)));
  const high = BigInt(doublingHighMultiply(shifted, multiplier, nudge));
  return Number(BigInt.asIntN(32, (high + (1n << BigInt(-right - 1))) >> BigInt(-right)));
};

export const REQUANTIZE_HELPERS = {
  arm_requantize_mve: helper(0n),
  arm_requantize_mve_32x4: helper(0n),
  /** Of left-over lanes: rounds twice. */
  arm_requantize_mve_pred: helper(2n ** 30n),
} as const;
