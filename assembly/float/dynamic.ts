/** Products of float32 activations, quantized in each call, and integer weights: what runtimes call dynamic quantization. */
import { DynamicConvolution } from "./params";
import { clampF32 } from "./sums";

/** The runtimes, as src/kernels/float/dynamic.ts numbers them. */
const ONNX_RUNTIME: i32 = 0;
const TFLITE: i32 = 1;
const XNNPACK: i32 = 2;
const FBGEMM_REDUCED: i32 = 4;

/** Below it FBGEMM and QNNPACK widen the range instead. Source: PyTorch quant_utils.h SMALL_SCALE_THRESHOLD. */
const SMALL_SCALE: f32 = 6.1e-5;

/** What the last range gave: the step of a code, what values are multiplied with (or, at ONNX Runtime, divided by), and the
 * zero point. */
let step: f32 = 1;
let factor: f32 = 1;
let zeroPoint: i32 = 0;

@inline
function roundHalfAway(value: f64): f64 {
  return value < 0 ? -floor(0.5 - value) : floor(value + 0.5);
}

/** Source: ONNX Runtime 1.30.0 dynamicquantizelinear.cc. */
function rangeOnnxRuntime(low: f32, high: f32): void {
  step = low == high ? 1 : (high - low) / 255;
  factor = step;
  zeroPoint = <i32>nearest<f32>(clampF32(0 - low / step, 0, 255));
}

/** Source: TFLite f674577 portable_tensor_utils.cc PortableAsymmetricQuantizeFloats. */
function rangeTflite(low: f64, high: f64): void {
  if (low == high) {
    step = factor = 1;
    zeroPoint = 0;
    return;
  }
  const scale = (high - low) / 255;
  const fromLow = -128 - low / scale,
    fromHigh = 127 - high / scale;
  const chosen = 128 + abs(low / scale) < 127 + abs(high / scale) ? fromLow : fromHigh;
  step = <f32>scale;
  factor = 1 / step;
  zeroPoint = chosen <= -128 ? -128 : chosen >= 127 ? 127 : <i32>roundHalfAway(chosen);
}

/** Source: XNNPACK 75db3c0 quantization.h xnn_f32_qd8_asymmetric_quantization_params. */
function rangeXnnpack(low: f32, high: f32): void {
  factor = low == high ? 1 : 255 / (high - low);
  const least: f32 = low * factor,
    most: f32 = high * factor;
  const errors: f32 = -128 + least + (127 + most);
  zeroPoint = <i32>nearest<f32>(clampF32(errors > 0 ? -128 - least : 127 - most, -128, 127));
  step = 1 / factor;
}

/** Source: PyTorch quant_utils.h ChooseQuantizationParams, for uint8 or seven bits of it. */
function rangePytorch(low: f32, high: f32, most: i32): void {
  let scale = (<f64>high - <f64>low) / <f64>most;
  if (<f32>scale == 0 || <f32>(1 / <f32>scale) == f32.POSITIVE_INFINITY) scale = 0.1;
  if (scale < <f64>SMALL_SCALE) {
    const amplifier: f32 = SMALL_SCALE / <f32>scale;
    scale = <f64>SMALL_SCALE;
    if (low == 0) high = SMALL_SCALE * <f32>most;
    else if (high == 0) low = -SMALL_SCALE * <f32>most;
    else {
      low *= amplifier;
      high *= amplifier;
    }
  }
  const below = <f64>low / scale,
    above = <f64>high / scale;
  const chosen = -abs(below) < <f64>most - abs(above) ? -below : <f64>most - above;
  step = <f32>scale;
  factor = 1 / step;
  zeroPoint = chosen <= 0 ? 0 : chosen >= <f64>most ? most : <i32>nearest<f64>(chosen);
}

/** Of `count` values, zero included; a NaN counts for nothing. */
function findRange(form: i32, values: usize, count: usize): void {
  let low: f32 = 0,
    high: f32 = 0;
  for (let end = values + (count << 2); values < end; values += 4) {
    const value = load<f32>(values);
    low = value < low ? value : low;
    high = value > high ? value : high;
  }
  if (form == ONNX_RUNTIME) rangeOnnxRuntime(low, high);
  else if (form == TFLITE) rangeTflite(<f64>low, <f64>high);
  else if (form == XNNPACK) rangeXnnpack(low, high);
  else rangePytorch(low, high, form == FBGEMM_REDUCED ? 127 : 255);
}

/** A code less the zero point; 0 for NaN. */
@inline
function codeOf(form: i32, value: f32): i32 {
  if (value != value) return 0;
  const low = form == TFLITE || form == XNNPACK ? -128 : 0,
    high = form == FBGEMM_REDUCED ? 127 : low + 255;
  const scaled: f32 = form == ONNX_RUNTIME ? value / factor : value * factor;
  if (form == TFLITE) {
    const moved = clampF32(<f32>zeroPoint + scaled, -1024, 1024);
    return moved != moved ? 0 : min(max(<i32>roundHalfAway(moved), low), high) - zeroPoint;
  }
  const limited = clampF32(scaled, -1024, 1024);
  return limited != limited ? 0 : min(max(<i32>nearest<f32>(limited) + zeroPoint, low), high) - zeroPoint;
}

/** Codes less their zero points into the padded image; steps and zero points of its parts at `steps`. */
function quantize(p: DynamicConvolution, input: usize): void {
  const parts = <usize>p.parts,
    columns = <usize>(p.inputWidth * p.inputDepth),
    each = (<usize>p.inputHeight * columns) / parts;
  const rowBytes = (<usize>(p.paddedWidth * p.inputDepth)) << 1;
  memory.fill(p.scratch, 0, <usize>p.paddedHeight * rowBytes + 16);
  for (let part: usize = 0; part < parts; part++) {
    findRange(p.form, input + part * (each << 2), each);
    store<f32>(p.steps + (part << 3), step);
    store<i32>(p.steps + (part << 3), zeroPoint, 4);
    for (let i = part * each, end = i + each; i < end; i++) {
      const y = <i32>(i / columns) + p.padTop,
        at = <usize>(i % columns);
      if (y >= p.paddedHeight || <i32>(at / <usize>p.inputDepth) + p.padLeft >= p.paddedWidth) continue;
      const target = p.scratch + <usize>y * rowBytes + ((at + <usize>(p.padLeft * p.inputDepth)) << 1);
      store<i16>(target, <i16>codeOf(p.form, load<f32>(input + (i << 2))));
    }
  }
}

/** Exact. weights: runs of a multiple of eight int16, zeros behind the last. */
@inline
function sum(p: DynamicConvolution, pixel: usize, weights: usize): i32 {
  const bytes = (<usize>p.runLength) << 1,
    end = p.offsets + ((<usize>p.runs) << 2);
  if (ASC_FEATURE_SIMD) {
    let fours = i32x4.splat(0);
    for (let offset = p.offsets; offset < end; offset += 4, weights += bytes) {
      const from = pixel + load<u32>(offset);
      for (let i: usize = 0; i < bytes; i += 16)
        fours = i32x4.add(fours, i32x4.dot_i16x8_s(v128.load(from + i), v128.load(weights + i)));
    }
    const twos = i32x4.add(fours, v128.shuffle<i32>(fours, fours, 2, 3, 0, 1));
    return i32x4.extract_lane(twos, 0) + i32x4.extract_lane(twos, 1);
  }
  let total = 0;
  for (let offset = p.offsets; offset < end; offset += 4, weights += bytes) {
    const from = pixel + load<u32>(offset);
    for (let i: usize = 0; i < bytes; i += 2) total += <i32>load<i16>(from + i) * <i32>load<i16>(weights + i);
  }
  return total;
}

/** vpmaddubsw: products of uint8 codes and int8 weights, two at a time in 16 bits. total: of the channel's weights. */
function pairedSum(p: DynamicConvolution, row: usize, weights: usize, zero: i32, total: i32): i32 {
  let acc = -zero * total;
  for (let i: usize = 0, end = (<usize>p.runLength) << 1; i < end; i += 4) {
    const pair =
      (<i32>load<i16>(row + i) + zero) * <i32>load<i16>(weights + i) +
      (<i32>load<i16>(row + i, 2) + zero) * <i32>load<i16>(weights + i, 2);
    acc += min(max(pair, -32768), 32767);
  }
  return acc;
}

/** One pixel's outputs. at: the step and the zero point of its part. */
function pixelOutputs(p: DynamicConvolution, pixel: usize, at: usize, output: usize): void {
  const inputStep = load<f32>(at),
    zero = load<i32>(at, 4);
  const low = reinterpret<f32>(p.activationMin),
    high = reinterpret<f32>(p.activationMax);
  const filterBytes = (<usize>(p.runs * p.runLength)) << 1;
  let weights = p.weights;
  for (let channel = 0; channel < p.outputDepth; channel++, weights += filterBytes, output += 4) {
    const word = (<usize>channel) << 2,
      from = pixel + ((<usize>((channel / p.groupOutputs) * p.groupDepth)) << 1);
    const acc = <f32>(
      p.totals != 0 ? pairedSum(p, from, weights, zero, load<i32>(p.totals + word)) : sum(p, from, weights)
    );
    const scale = load<f32>(p.scales + word);
    const real: f32 = p.form == XNNPACK ? acc * inputStep * scale : acc * (inputStep * scale);
    const value: f32 = p.bias != 0 ? real + load<f32>(p.bias + word) : real;
    store<f32>(output, clampF32(value, low, high) + reinterpret<f32>(p.zero));
  }
}

/** CONV_2D, DEPTHWISE_CONV_2D as one group a channel, FULLY_CONNECTED as an image of one row. parts: that are quantized by
 * themselves, each of as many outputs. */
export function conv_2d_dynamic_f32(params: usize): void {
  const p = changetype<DynamicConvolution>(params);
  const imageBytes = (<usize>(p.inputHeight * p.inputWidth * p.inputDepth)) << 2,
    pixelBytes = (<usize>p.inputDepth) << 1,
    outputBytes = (<usize>p.outputDepth) << 2,
    pixels = p.outputHeight * p.outputWidth;
  let input = p.input,
    output = p.output;
  for (let image = 0; image < p.batches; image++, input += imageBytes) {
    quantize(p, input);
    for (let i = 0; i < pixels; i++, output += outputBytes) {
      const y = (i / p.outputWidth) * p.strideHeight,
        x = (i % p.outputWidth) * p.strideWidth;
      const part = <usize>((i * p.parts) / pixels);
      const pixel = p.scratch + <usize>(y * p.paddedWidth + x) * pixelBytes;
      pixelOutputs(p, pixel, p.steps + (part << 3), output);
    }
  }
}
