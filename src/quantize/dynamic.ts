/** How runtimes quantize activations whose range is taken at run time: one row each. */
import { clamp, roundHalfAway, roundHalfEven } from "../kernels/requantize.ts";
import type { OpName } from "../model/graph.ts";

/** code = x / scale + zeroPoint, within [low, high]. */
export interface DynamicRange {
  scale: number;
  zeroPoint: number;
  low: number;
  high: number;
}

interface Extremes {
  minimum: number;
  maximum: number;
}

export interface DynamicRuntime {
  source: string;
  /** Ops of a network that are quantized so; the others stay float. */
  ops: readonly OpName[];
  /** What shares one range. */
  per: "call" | "row";
  /** extremes: of the values and 0. */
  range(extremes: Extremes): DynamicRange;
  quantize(x: number, range: DynamicRange): number;
}

const f32 = Math.fround;

/** Double range, float32 scale, ties to even, zero point after rounding. */
function torchRange(high: number) {
  return ({ minimum, maximum }: Extremes): DynamicRange => {
    const scale = (maximum - minimum) / high;
    if (f32(scale) === 0) return { scale: f32(0.1), zeroPoint: 0, low: 0, high };
    const fromMinimum = -Math.abs(minimum / scale) < high - Math.abs(maximum / scale);
    const zeroPoint = fromMinimum ? -minimum / scale : high - maximum / scale;
    return { scale: f32(scale), zeroPoint: clamp(roundHalfEven(zeroPoint), 0, high), low: 0, high };
  };
}

const byInverse = (x: number, { scale, zeroPoint, low, high }: DynamicRange) =>
  clamp(roundHalfEven(f32(x * f32(1 / scale))) + zeroPoint, low, high);

export const DYNAMIC = {
  "pytorch-qnnpack": {
    source: "torch 1.13.1, quantize_dynamic with the qnnpack engine, executed: reduce_range has no effect",
    ops: ["FULLY_CONNECTED"],
    per: "call",
    range: torchRange(255),
    quantize: byInverse,
  },
  "pytorch-fbgemm": {
    source:
      "pytorch qlinear_dynamic.cpp 00a1abb, reduce_range: 7 bits, as two products must fit 16 bits on AVX2",
    ops: ["FULLY_CONNECTED"],
    per: "call",
    range: torchRange(127),
    quantize: byInverse,
  },
  onnxruntime: {
    source: "ONNX Runtime 1.30.0 DynamicQuantizeLinear, executed natively and in WebAssembly",
    ops: ["CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED"],
    per: "call",
    range: ({ minimum, maximum }) => {
      const scale = f32(f32(maximum - minimum) / 255) || 1;
      const zeroPoint = roundHalfEven(clamp(f32(-f32(minimum / scale)), 0, 255));
      return { scale, zeroPoint, low: 0, high: 255 };
    },
    quantize: (x, { scale, zeroPoint, low, high }) =>
      clamp(roundHalfEven(f32(x / scale)) + zeroPoint, low, high),
  },
  "tflite-hybrid": {
    source: "LiteRT f674577 AsymmetricQuantizeFloats, executed: the zero point is added before rounding",
    ops: ["CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED"],
    per: "row",
    range: ({ minimum, maximum }) => {
      const [low, high] = [-128, 127];
      if (minimum === maximum) return { scale: 1, zeroPoint: 0, low, high };
      const scale = (maximum - minimum) / 255;
      const fromMinimum = 128 + Math.abs(minimum / scale) < 127 + Math.abs(maximum / scale);
      const zeroPoint = fromMinimum ? low - minimum / scale : high - maximum / scale;
      return { scale: f32(scale), zeroPoint: roundHalfAway(clamp(zeroPoint, low, high)), low, high };
    },
    quantize: (x, { scale, zeroPoint, low, high }) =>
      clamp(roundHalfAway(f32(zeroPoint + f32(x * f32(1 / scale)))), low, high),
  },
  "xnnpack-qd8": {
    source: "XNNPACK 75db3c0 qd8, read; LiteRT.js 2.5.3 equal to 1e-7",
    ops: ["CONV_2D", "FULLY_CONNECTED"],
    per: "row",
    range: ({ minimum, maximum }) => {
      const [low, high] = [-128, 127];
      if (minimum === maximum) return { scale: 1, zeroPoint: 0, low, high };
      const inverse = f32(255 / f32(maximum - minimum));
      const [least, most] = [f32(minimum * inverse), f32(maximum * inverse)];
      const zeroPoint = f32(f32(low + least) + f32(high + most)) > 0 ? f32(low - least) : f32(high - most);
      return { scale: f32(1 / inverse), zeroPoint: roundHalfEven(clamp(zeroPoint, low, high)), low, high };
    },
    quantize: byInverse,
  },
} as const satisfies Record<string, DynamicRuntime>;

/** Smallest and largest value, 0 among them. */
export function extremesOf(values: Float32Array): Extremes {
  let [minimum, maximum] = [0, 0];
  for (const value of values) {
    minimum = Math.min(minimum, value);
    maximum = Math.max(maximum, value);
  }
  return { minimum, maximum };
}
