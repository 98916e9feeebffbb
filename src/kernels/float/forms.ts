import { floatBits } from "../params.ts";

/** The runtimes whose float32 arithmetic is known to the last bit. The wasm module numbers them by their place.
 * tflite: TFLite f674577 and TFLM 90b983c reference kernels, in C++ without contraction to fused multiply-adds.
 * xnnpack: XNNPACK 75db3c0 for WASM SIMD128, as LiteRT.js 2.5.3 runs it; NEON and AVX2 builds fuse multiply-adds.
 * onnxruntime: ONNX Runtime 1.30.0 MLAS for WASM; -avx2 and -avx512: on x86-64, where multiply-adds are fused, and sums of
 * exponentials have as many lanes as a vector. */
export const FLOAT_FORMS = [
  "tflite",
  "xnnpack",
  "onnxruntime",
  "onnxruntime-avx2",
  "onnxruntime-avx512",
] as const;
export type FloatForm = (typeof FLOAT_FORMS)[number];

export const formNumber = (form: FloatForm) => FLOAT_FORMS.indexOf(form);

export const isOnnxRuntime = (form: FloatForm | undefined) => form?.startsWith("onnxruntime") ?? false;
/** Whether multiply-adds are fused. */
export const isFused = (form: FloatForm | undefined) =>
  form === "onnxruntime-avx2" || form === "onnxruntime-avx512";

const BLOCKS: Partial<Record<FloatForm, number>> = { "onnxruntime-avx2": 8, "onnxruntime-avx512": 16 };
/** Channels that lie side by side in the blocked images that ONNX Runtime has on x86. Source: mlas platform.cpp, NchwcBlockSize. */
export const channelBlock = (form: FloatForm): number | undefined => BLOCKS[form];
/** Whether pools run on blocked images: the channels fill them. Source: microsoft/onnxruntime 0ef8ce5, nchwc_transformer.cc. */
export function isBlocked(form: FloatForm, channels: number): boolean {
  const block = channelBlock(form);
  return block !== undefined && channels % block === 0;
}

/** Inclusive; infinite where there is no bound. zero: 0 where the runtime makes 0 of -0, added to what is inside; -0, the default,
 * changes nothing. */
export interface Bounds {
  activationMin: number;
  activationMax: number;
  zero?: number;
}

export const f32 = Math.fround;
/** NaN stays. */
export const bounded = ({ activationMin, activationMax, zero = -0 }: Bounds, value: number) =>
  (value < activationMin ? activationMin : value > activationMax ? activationMax : value) + zero;

/** As the kernels take them. */
export const boundBits = ({ activationMin, activationMax, zero = -0 }: Bounds) => ({
  activationMin: floatBits(activationMin),
  activationMax: floatBits(activationMax),
  zero: floatBits(zero),
});
