/** Schemes of the families that need powers of two, beside those of the harness. */
import { ARITHMETICS } from "../kernels/arithmetics.ts";
import type { Profile } from "../profile/schema.ts";
import type { StaticScheme } from "./ptq.ts";

export const POWER_OF_TWO_SCHEMES = {
  "esp32-s3": {
    text: "powers of two, one a tensor, int8, bias of 20 bits (ESP-DL on ESP32-S3)",
    scheme: { weightBits: 8, granularity: "per-tensor", powerOfTwo: true, bias: { bits: 20, unit: 1 } },
  },
  "esp32-p4": {
    text: "powers of two, one a channel, int8 (ESP-DL on ESP32-P4)",
    scheme: { weightBits: 8, granularity: "per-channel", powerOfTwo: true },
  },
  max78000: {
    text: "powers of two, one a tensor, int8, int8 bias in units of 128 (MAX78000)",
    scheme: {
      weightBits: 8,
      granularity: "per-tensor",
      powerOfTwo: true,
      pooledMean: true,
      bias: { bits: 8, unit: 128 },
    },
  },
  "max78000-int4": {
    text: "the same with int4 weights",
    scheme: {
      weightBits: 4,
      granularity: "per-tensor",
      powerOfTwo: true,
      pooledMean: true,
      bias: { bits: 8, unit: 128 },
    },
  },
} as const satisfies Record<string, { text: string; scheme: StaticScheme }>;

/** The static scheme whose models a device takes. weightBits: one of those that its profile names. */
export function schemeFor({ arithmetic }: Profile, weightBits: 8 | 4): StaticScheme {
  const { ops, weights, bias } = arithmetic;
  const { granularity } = weights;
  if (!ARITHMETICS[ops.default.requantizer].powerOfTwo) return { weightBits, granularity };
  return {
    weightBits,
    granularity,
    powerOfTwo: true,
    ...(ops.MEAN?.form === "average-pool" && { pooledMean: true }),
    ...(bias && { bias: { bits: bias.bits, unit: bias.unit } }),
  };
}
