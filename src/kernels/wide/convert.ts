/** QUANTIZE, DEQUANTIZE and PAD of int16: preparation, and the same in plain TypeScript. */
import type { DequantizeArgs, Op, PadArgs } from "../args.ts";
import { padFields, padSource } from "../convert.ts";
import { floatBits } from "../params.ts";
import { clamp, roundHalfAway } from "../requantize.ts";
import { makeStep } from "../step.ts";

/** float32 to int16: round(f32(x / scale)), ties away from zero; NaN becomes the zero point. Source: TFLite reference. */
export const QUANTIZE: Op<DequantizeArgs> = {
  macs: () => 0,
  prepare(kernels, { elements, scale, zeroPoint }) {
    const values = { elements, scale: floatBits(scale), zeroPoint };
    const bytes = { inputBytes: elements * 4, outputBytes: elements * 2 };
    return makeStep(kernels, kernels.mark(), "quantize_f32_s16", "Quantize", values, bytes);
  },
  reference: ({ scale, zeroPoint }, [input]) =>
    Int16Array.from(input as Float32Array, (x) => {
      const value = roundHalfAway(Math.fround(x / Math.fround(scale)));
      return clamp((Number.isNaN(value) ? 0 : value) + zeroPoint, -32768, 32767);
    }),
};

export const DEQUANTIZE: Op<DequantizeArgs> = {
  macs: () => 0,
  prepare(kernels, { elements, scale, zeroPoint }) {
    const values = { elements, scale: floatBits(scale), zeroPoint };
    const bytes = { inputBytes: elements * 2, outputBytes: elements * 4 };
    return makeStep(kernels, kernels.mark(), "dequantize_s16_f32", "Quantize", values, bytes);
  },
  reference: ({ scale, zeroPoint }, [input]) =>
    Float32Array.from(input as Int16Array, (q) => (q - zeroPoint) * Math.fround(scale)),
};

export const PAD: Op<PadArgs> = {
  macs: () => 0,
  prepare(kernels, args) {
    const { values, input, output } = padFields(args);
    const bytes = { inputBytes: input * 2, outputBytes: output * 2 };
    return makeStep(kernels, kernels.mark(), "pad_s16", "Pad", values, bytes);
  },
  reference: (args, [input], batches) =>
    Int16Array.from({ length: batches * padFields(args).output }, (_, index) => {
      const source = padSource(args, index);
      return source < 0 ? args.value : input[source];
    }),
};
