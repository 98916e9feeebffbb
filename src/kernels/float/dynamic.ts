/** Dynamic quantization: float32 activations get their scale in each call, weights are integers. Preparation, and the same in
 * plain TypeScript. */
import type { Op, Step, Values, Window } from "../args.ts";
import type { Kernels } from "../module.ts";
import { clamp, roundHalfAway, roundHalfEven } from "../requantize.ts";
import { makeStep } from "../step.ts";
import { type Bounds, boundBits, bounded, f32 } from "./forms.ts";

/** How a range becomes a scale and a zero point, and a value a code.
 * onnxruntime: uint8, the zero point from the minimum, x / scale. tflite: int8 in float64, the zero point added before rounding.
 * xnnpack: int8, the zero point of the smaller error. pytorch-qnnpack: uint8, likewise, in float64; pytorch-fbgemm: seven bits of
 * it (reduce_range). Sources: assembly/float/dynamic.ts. */
export const DYNAMIC_FORMS = [
  "onnxruntime",
  "tflite",
  "xnnpack",
  "pytorch-qnnpack",
  "pytorch-fbgemm",
] as const;
export type DynamicForm = (typeof DYNAMIC_FORMS)[number];
/** The wasm module's number of each. */
const numberOf = (form: DynamicForm) => DYNAMIC_FORMS.indexOf(form);

/** Forms that quantize each row of a FULLY_CONNECTED by itself; the others the whole image. */
export const BY_ROWS: ReadonlySet<DynamicForm> = new Set(["tflite", "xnnpack"]);

/** filter: OHWI, codes less their zero points. scales: one, or one an output channel. parts: rows of one FULLY_CONNECTED that
 * are quantized by themselves, else 1. saturates: products of uint8 and int8 are added in pairs of 16 bits (AVX2 without VNNI);
 * for filters of one pixel and zero point 0. */
export type DynamicConv2dArgs = Window &
  Bounds & {
    form: DynamicForm;
    filter: Int16Array;
    scales: Float32Array;
    bias: Float32Array | null;
    parts: number;
    saturates: boolean;
    outputDepth: number;
    groups: number;
    dilationHeight: number;
    dilationWidth: number;
  };

export interface Range {
  /** Real size of one code. */
  step: number;
  zeroPoint: number;
  /** A code of a value, less the zero point. */
  code(value: number): number;
}

const SMALL_SCALE = f32(6.1e-5);

function rangeOnnxRuntime(low: number, high: number): Range {
  const step = low === high ? 1 : f32(f32(high - low) / 255);
  const zeroPoint = roundHalfEven(clamp(f32(0 - f32(low / step)), 0, 255)) || 0;
  const code = (value: number) => clamp(roundHalfEven(f32(value / step)) + zeroPoint, 0, 255) - zeroPoint;
  return { step, zeroPoint, code };
}

function rangeTflite(low: number, high: number): Range {
  if (low === high) return { step: 1, zeroPoint: 0, code: (value) => clamp(roundHalfAway(value), -128, 127) };
  const scale = (high - low) / 255;
  const isLow = 128 + Math.abs(low / scale) < 127 + Math.abs(high / scale);
  const chosen = isLow ? -128 - low / scale : 127 - high / scale;
  const zeroPoint = clamp(roundHalfAway(clamp(chosen, -128, 127)), -128, 127);
  const inverse = f32(1 / f32(scale));
  const code = (value: number) =>
    clamp(roundHalfAway(f32(zeroPoint + f32(value * inverse))), -128, 127) - zeroPoint;
  return { step: f32(scale), zeroPoint, code };
}

function rangeXnnpack(low: number, high: number): Range {
  const factor = low === high ? 1 : f32(255 / f32(high - low));
  const [least, most] = [f32(low * factor), f32(high * factor)];
  const errors = f32(f32(-128 + least) + f32(127 + most));
  const zeroPoint = roundHalfEven(clamp(errors > 0 ? f32(-128 - least) : f32(127 - most), -128, 127));
  const code = (value: number) =>
    clamp(roundHalfEven(f32(value * factor)) + zeroPoint, -128, 127) - zeroPoint;
  return { step: f32(1 / factor), zeroPoint, code };
}

function rangePytorch(low: number, high: number, most: number): Range {
  let scale = (high - low) / most;
  if (f32(scale) === 0 || f32(1 / f32(scale)) === Infinity) scale = 0.1;
  let [below, above] = [low, high];
  if (scale < SMALL_SCALE) {
    const amplifier = f32(SMALL_SCALE / f32(scale));
    scale = SMALL_SCALE;
    if (low === 0) above = f32(SMALL_SCALE * most);
    else if (high === 0) below = f32(-SMALL_SCALE * most);
    else [below, above] = [f32(low * amplifier), f32(high * amplifier)];
  }
  const isLow = -Math.abs(below / scale) < most - Math.abs(above / scale);
  const chosen = isLow ? -below / scale : most - above / scale;
  const zeroPoint = roundHalfEven(clamp(chosen, 0, most)) || 0;
  const inverse = f32(1 / f32(scale));
  const code = (value: number) => clamp(roundHalfEven(f32(value * inverse)) + zeroPoint, 0, most) - zeroPoint;
  return { step: f32(scale), zeroPoint, code };
}

const RANGES: Record<DynamicForm, (low: number, high: number) => Range> = {
  onnxruntime: rangeOnnxRuntime,
  tflite: rangeTflite,
  xnnpack: rangeXnnpack,
  "pytorch-qnnpack": (low, high) => rangePytorch(low, high, 255),
  "pytorch-fbgemm": (low, high) => rangePytorch(low, high, 127),
};

/** Of these values and 0. A NaN counts for nothing and has the zero point's code. */
export function rangeOf(form: DynamicForm, values: ArrayLike<number>): Range {
  let [low, high] = [0, 0];
  for (let i = 0; i < values.length; i++) {
    if (values[i] < low) low = values[i];
    if (values[i] > high) high = values[i];
  }
  const range = RANGES[form](low, high);
  return { ...range, code: (value) => range.code(value) || 0 };
}

const RUN = 8;
const STEP_BYTES = 8;

function prepare(kernels: Kernels, args: DynamicConv2dArgs): Step {
  const mark = kernels.mark();
  const { outputDepth, groups, inputDepth, filterHeight, filterWidth, dilationHeight, dilationWidth } = args;
  const depth = inputDepth / groups;
  const extent = (output: number, stride: number, filter: number, dilation: number) =>
    (output - 1) * stride + (filter - 1) * dilation + 1;
  const paddedHeight = extent(args.outputHeight, args.strideHeight, filterHeight, dilationHeight);
  const paddedWidth = extent(args.outputWidth, args.strideWidth, filterWidth, dilationWidth);
  const rowIsRun = groups === 1 && dilationWidth === 1;
  const run = rowIsRun ? filterWidth * depth : depth;
  const columns = rowIsRun ? 1 : filterWidth;
  const runLength = Math.ceil(run / RUN) * RUN;
  const runs = filterHeight * columns;
  const weights = new Int16Array(outputDepth * runs * runLength);
  for (let i = 0; i < outputDepth * runs; i++)
    weights.set(args.filter.subarray(i * run, (i + 1) * run), i * runLength);
  const offsets = Int32Array.from(
    { length: runs },
    (_, i) =>
      (Math.floor(i / columns) * dilationHeight * paddedWidth + (i % columns) * dilationWidth) *
      inputDepth *
      2,
  );
  const scales = Float32Array.from(
    { length: outputDepth },
    (_, c) => args.scales[args.scales.length === 1 ? 0 : c],
  );
  const totals = Int32Array.from({ length: outputDepth }, (_, c) =>
    args.filter.subarray(c * runs * run, (c + 1) * runs * run).reduce((sum, weight) => sum + weight, 0),
  );
  const values = {
    form: numberOf(args.form),
    parts: args.parts,
    steps: kernels.allocate(args.parts * STEP_BYTES),
    weights: kernels.place(weights),
    offsets: kernels.place(offsets),
    scales: kernels.place(scales),
    bias: args.bias ? kernels.place(args.bias) : 0,
    totals: args.saturates ? kernels.place(totals) : 0,
    runs,
    runLength,
    outputDepth,
    groupDepth: depth,
    groupOutputs: outputDepth / groups,
    inputHeight: args.inputHeight,
    inputWidth: args.inputWidth,
    inputDepth,
    outputHeight: args.outputHeight,
    outputWidth: args.outputWidth,
    strideHeight: args.strideHeight,
    strideWidth: args.strideWidth,
    padTop: args.padTop,
    padLeft: args.padLeft,
    paddedHeight,
    paddedWidth,
    ...boundBits(args),
  };
  return makeStep(kernels, mark, "conv_2d_dynamic_f32", "DynamicConvolution", values, {
    inputBytes: args.inputHeight * args.inputWidth * inputDepth * 4,
    outputBytes: args.outputHeight * args.outputWidth * outputDepth * 4,
    // A run that is filled up reads past the last value.
    scratchBytes: paddedHeight * paddedWidth * inputDepth * 2 + RUN * 2,
  });
}

/** Codes (less the zero point) and weights of one output, filter row by row; 0 in the padding. */
function operandsOf(args: DynamicConv2dArgs, codes: Int16Array, channel: number, pixel: number) {
  const { inputHeight, inputWidth, inputDepth, groups, filterWidth, outputWidth } = args;
  const depth = inputDepth / groups;
  const first = Math.floor(channel / (args.outputDepth / groups)) * depth;
  const taps = args.filterHeight * filterWidth;
  const top = Math.floor(pixel / outputWidth) * args.strideHeight - args.padTop;
  const left = (pixel % outputWidth) * args.strideWidth - args.padLeft;
  return Array.from({ length: taps * depth }, (_, k) => {
    const tap = Math.floor(k / depth);
    const y = top + Math.floor(tap / filterWidth) * args.dilationHeight;
    const x = left + (tap % filterWidth) * args.dilationWidth;
    const inside = y >= 0 && x >= 0 && y < inputHeight && x < inputWidth;
    const code = inside ? codes[(y * inputWidth + x) * inputDepth + first + (k % depth)] : 0;
    return { code, weight: args.filter[channel * taps * depth + k] };
  });
}

function accumulate(operands: ReturnType<typeof operandsOf>, saturates: boolean, zeroPoint: number): number {
  if (!saturates) return operands.reduce((acc, { code, weight }) => (acc + code * weight) | 0, 0);
  let acc = operands.reduce((sum, { weight }) => sum - zeroPoint * weight, 0);
  for (let k = 0; k < operands.length; k += 2) {
    const pair = operands
      .slice(k, k + 2)
      .reduce((sum, { code, weight }) => sum + (code + zeroPoint) * weight, 0);
    acc += clamp(pair, -32768, 32767);
  }
  return acc | 0;
}

function reference(args: DynamicConv2dArgs, [input]: readonly Values[], batches: number): Float32Array {
  const { outputDepth, parts, form, bias, scales } = args;
  const pixels = args.outputHeight * args.outputWidth;
  const imageSize = args.inputHeight * args.inputWidth * args.inputDepth;
  const output = new Float32Array(batches * pixels * outputDepth);
  for (let image = 0; image < batches; image++) {
    const values = input.subarray(image * imageSize, (image + 1) * imageSize);
    const each = imageSize / parts;
    const ranges = Array.from({ length: parts }, (_, i) =>
      rangeOf(form, values.subarray(i * each, (i + 1) * each)),
    );
    const codes = Int16Array.from(values, (value, i) => ranges[Math.floor(i / each)].code(value));
    for (let i = 0; i < pixels * outputDepth; i++) {
      const [pixel, channel] = [Math.floor(i / outputDepth), i % outputDepth];
      const { step, zeroPoint } = ranges[Math.floor((pixel * parts) / pixels)];
      const acc = f32(accumulate(operandsOf(args, codes, channel, pixel), args.saturates, zeroPoint));
      const scale = scales[scales.length === 1 ? 0 : channel];
      const real = form === "xnnpack" ? f32(f32(acc * step) * scale) : f32(acc * f32(step * scale));
      output[image * pixels * outputDepth + i] = bounded(args, bias ? f32(real + bias[channel]) : real);
    }
  }
  return output;
}

/** DEPTHWISE_CONV_2D is one group a channel; FULLY_CONNECTED an image of one row. */
export const DYNAMIC_CONV_2D: Op<DynamicConv2dArgs> = {
  macs: (args) =>
    (args.outputHeight *
      args.outputWidth *
      args.filterHeight *
      args.filterWidth *
      args.inputDepth *
      args.outputDepth) /
    args.groups,
  prepare,
  reference,
};
