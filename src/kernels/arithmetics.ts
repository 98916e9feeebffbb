/** Requantization by name: how a real factor becomes a multiplier, and how the product is rounded. A profile names one. */
import { log2 } from "../elementary.ts";
import type { FixedPoint, FloatScale, RequantizerName } from "./args.ts";
import { quantizeMultiplier } from "./requantize.ts";

interface Channel {
  multiplier: number;
  shift: number;
}

/** The factor of one channel as a double, and as a runtime that computes it in float32 has it. */
export interface Factor {
  double: number;
  float: number;
}

export interface Arithmetic {
  source: string;
  /** What the kernels do with the accumulator. */
  rounding: RequantizerName;
  /** How the factor is written; left out where the kernels take the float32 itself. */
  channel?(factor: Factor): Channel;
  /** Why a factor cannot be written; empty if it can. */
  refuse?(factor: Factor): string;
  /** All scales are powers of two, and all zero points 0. */
  powerOfTwo?: true;
}

const ofDouble = ({ double }: Factor) => quantizeMultiplier(double);
const ofFloat = ({ float }: Factor) => quantizeMultiplier(float);
const belowOne = ({ float }: Factor) =>
  float < 1 ? "" : `the factor of the accumulator must be below 1, is ${float}`;

export const isPowerOfTwo = (value: number) => value > 0 && Number.isInteger(log2(value));
const powerOfTwo = ({ double }: Factor) =>
  isPowerOfTwo(double) ? "" : `the factor of the accumulator must be a power of two, is ${double}`;

/** The multiplier cut to `kept` bits, half up; the shift is that of the whole. */
function narrowed(factor: Factor, kept: number): Channel {
  const { multiplier, shift } = quantizeMultiplier(factor.double);
  const unit = 2 ** (31 - kept);
  const rounded = Math.floor(multiplier / unit + 0.5) * unit;
  return rounded === 2 ** 31 ? { multiplier: 2 ** 30, shift: shift + 1 } : { multiplier: rounded, shift };
}

/** 15 bits of the factor and a shift of the accumulator. Source: XNNPACK 75db3c0 xnn_qu8_requantize_rndnu16. */
function fifteenBits({ float }: Factor): Channel {
  const { multiplier, shift } = quantizeMultiplier(float);
  const short = ((multiplier >> 7) + 256) >> 9;
  return short === 32768 ? { multiplier: 16384, shift: shift + 1 } : { multiplier: short, shift };
}

/** Below 0.5 the multiplier loses leading bits. Source: XiaoMi/nnlib df7ad3c. */
function reciprocal({ double }: Factor): Channel {
  const shift = Math.max(0, Math.floor(log2(double)) + 1);
  return { multiplier: Math.min(Math.round(double * 2 ** (31 - shift)), 2 ** 31 - 1), shift };
}

const rows = {
  "tflite-double": {
    source: "LiteRT f674577 common.cc MultiplyByQuantizedMultiplier; CMSIS-NN 99f736a; TOSA double; Vela TFL",
    rounding: "tflite-double",
    channel: ofDouble,
  },
  "tflite-single": {
    source: "ruy 2af8886 apply_multiplier.cc; CMSIS_NN_USE_SINGLE_ROUNDING; TOSA single; Vela NATURAL",
    rounding: "tflite-single",
    channel: ofDouble,
  },
  "float-even": {
    source: "XNNPACK 75db3c0 xnn_qs8_requantize_fp32; ONNX Runtime 1.30.0 MLAS; QNNPACK fp32; FBGEMM",
    rounding: "float-even",
  },
  "float-up": {
    source: "esp-dl 12c0616, averages in float with the rounding of ESP32-S3",
    rounding: "float-up",
  },
  "neon-double": {
    source: "LiteRT f674577 common.h MultiplyByQuantizedMultiplier4Rows, aarch64",
    rounding: "neon-double",
    channel: ofDouble,
  },
  rndnu: {
    source:
      "XNNPACK 75db3c0 xnn_qs8_requantize_rndnu (NEON, uint8): the 24 bits of the float32, one rounding half up",
    rounding: "tflite-single",
    channel: ofFloat,
  },
  rndnu16: {
    source: "XNNPACK 75db3c0 xnn_qu8_requantize_rndnu16",
    rounding: "sixteen-bit",
    channel: fifteenBits,
  },
  "qnnpack-q31": {
    source: "QNNPACK 7d2a4e9 q31-scalar.c",
    rounding: "tflite-double",
    channel: ofFloat,
    refuse: belowOne,
  },
  "qnnpack-precise": {
    source: "QNNPACK 7d2a4e9 precise-scalar.c",
    rounding: "half-away",
    channel: ofFloat,
    refuse: belowOne,
  },
  "esp-nn-skip-nudge": {
    source: "esp-nn d45b843 esp_nn_multiply_by_quantized_mult_esp32s3.S, CONFIG_NN_SKIP_NUDGE",
    rounding: "floor-nudge",
    channel: ofDouble,
  },
  "ethos-u-truncate": {
    source: "Vela a6f6566 NpuRoundingMode.TRUNCATE",
    rounding: "toward-zero",
    channel: ofDouble,
  },
  "hexagon-nn": {
    source: "XiaoMi/nnlib df7ad3c, supernode: the output zero point is part of the bias",
    rounding: "wrap-sixteen",
    channel: reciprocal,
  },
  nvdla: {
    source: "nvdla/hw 8e06b1b, SDP converter: int16 scale, half away from zero",
    rounding: "half-away",
    channel: (factor) => narrowed(factor, 15),
  },
  "gap-sq8": {
    source:
      "GreenWaves gap_sdk a230265, nntool compute_scales with 8 bits and at most 24 of shift, gap_roundnorm",
    rounding: "tflite-single",
    channel: (factor) =>
      narrowed(factor, Math.max(0, Math.min(8, 24 + quantizeMultiplier(factor.double).shift))),
  },
  "power-of-two-half-up": {
    source: "esp-dl 12c0616 shift_and_round_half_up (ESP32-S3); Vitis-AI b2b2279 _vai_round_cpu method 2",
    rounding: "tflite-single",
    channel: ofDouble,
    refuse: powerOfTwo,
    powerOfTwo: true,
  },
  "power-of-two-half-even": {
    source: "esp-dl 12c0616 shift_and_round_half_even (ESP32-P4)",
    rounding: "half-even",
    channel: ofDouble,
    refuse: powerOfTwo,
    powerOfTwo: true,
  },
  max78000: {
    source:
      "ai8x-synthesis ab4f4c0 izer/simulate.py: floor(0.5 + acc * 2^output_shift / 128), output_shift -15..15",
    rounding: "tflite-single",
    channel: ofDouble,
    refuse: (factor) =>
      powerOfTwo(factor) ||
      (Math.abs(log2(factor.double) + 7) <= 15
        ? ""
        : `the output shift must be -15 to 15, is ${log2(factor.double) + 7}`),
    powerOfTwo: true,
  },
  "k210-simulator": {
    source: "nncase 99431d9 carry_shift<int64, true>: wrong below zero",
    rounding: "carry-shift",
    channel: ofDouble,
    refuse: powerOfTwo,
    powerOfTwo: true,
  },
} as const satisfies Record<string, Arithmetic>;

export type ArithmeticName = keyof typeof rows;
export const ARITHMETICS: Record<ArithmeticName, Arithmetic> = rows;

/** What the kernels take for these factors: one, or one a channel. */
export function requantizationOf(name: ArithmeticName, factors: readonly Factor[]): FixedPoint | FloatScale {
  const { rounding, channel } = ARITHMETICS[name];
  if (!channel) {
    const requantizer = rounding as FloatScale["requantizer"];
    return { requantizer, scale: Float32Array.from(factors, ({ float }) => float) };
  }
  const channels = factors.map(channel);
  const requantizer = rounding as FixedPoint["requantizer"];
  return { requantizer, multiplier: channels.map((c) => c.multiplier), shift: channels.map((c) => c.shift) };
}

/** What hexagon-nn adds to the bias for a zero point; the output offset is then that of uint8, -128. */
export function hexagonFold(factor: number, zeroPoint: number): number {
  return Math.round((zeroPoint + 128) / factor);
}
