import { log2 } from "../elementary.ts";
import { clamp, roundHalfAway } from "../kernels/requantize.ts";
import type { Quantization } from "../model/graph.ts";

/** The paper's uniform symmetric quantizer, Q_b(r) = s * clamp(round(r / s), -2^(b-1), 2^(b-1) - 1) with
 * s = max|r| / (2^(b-1) - 1), one s for the tensor. Returns real values. Source: arXiv 2512.06243. */
export function fakeQuantizeSymmetric(values: Float32Array, bits: number): Float32Array {
  const top = 2 ** (bits - 1) - 1;
  const scale = largestMagnitude(values, 0, values.length, 1) / top || 1;
  return values.map((value) => scale * clamp(roundHalfAway(value / scale), -top - 1, top));
}

/** The quantizer of the paper's public code: 2^b levels between the tensor's minimum and maximum, no zero point, so
 * that zero is in general not representable. Returns real values. */
export function fakeQuantizeMinMax(values: Float32Array, bits: number): Float32Array {
  let [low, high] = [Infinity, -Infinity];
  for (const value of values) {
    low = Math.min(low, value);
    high = Math.max(high, value);
  }
  const scale = (high - low) / (2 ** bits - 1);
  return scale > 0
    ? values.map((value) => low + scale * roundHalfAway((value - low) / scale))
    : values.slice();
}

function largestMagnitude(values: Float32Array, from: number, count: number, stride: number): number {
  let largest = 0;
  for (let i = 0; i < count; i++) largest = Math.max(largest, Math.abs(values[from + i * stride]));
  return largest;
}

/** A tensor seen as channels: element i of channel c is at c * channelStride + i * stride (filters OHWI and [out, in]:
 * stride 1) or, for depthwise 1HWC, at i * channels + c. */
export interface ChannelLayout {
  channels: number;
  perChannel: number;
  offset(channel: number): number;
  stride: number;
}

/** Channels in the first dimension (axis 0) or in the last. */
export function channelLayout(shape: readonly number[], axis: number): ChannelLayout {
  const channels = shape[axis];
  const perChannel = shape.reduce((a, b) => a * b, 1) / channels;
  return axis === 0
    ? { channels, perChannel, offset: (c) => c * perChannel, stride: 1 }
    : { channels, perChannel, offset: (c) => c, stride: channels };
}

/** Symmetric weights in [-(2^(b-1) - 1), 2^(b-1) - 1] with one float32 scale a channel (or, with granularity
 * per-tensor, one in all), or the next power of two that is not below `least`. A channel of zeros gets scale 1. Values are one a byte, int4 included. */
export function quantizeWeights(
  values: Float32Array,
  shape: readonly number[],
  axis: number,
  bits: 8 | 4,
  granularity: "per-channel" | "per-tensor",
  powersOfTwo?: { least: number },
): { data: Int8Array; quantization: Quantization } {
  const layout = channelLayout(shape, axis);
  const top = 2 ** (bits - 1) - 1;
  const scaleOf = (magnitude: number) =>
    powersOfTwo
      ? Math.max(powerOfTwoScale(magnitude, top), powersOfTwo.least)
      : Math.fround(magnitude / top) || 1;
  const whole = scaleOf(largestMagnitude(values, 0, values.length, 1));
  const scale = Float32Array.from({ length: layout.channels }, (_, c) =>
    granularity === "per-tensor"
      ? whole
      : scaleOf(largestMagnitude(values, layout.offset(c), layout.perChannel, layout.stride)),
  );
  const data = new Int8Array(values.length);
  for (let c = 0; c < layout.channels; c++)
    for (let i = 0; i < layout.perChannel; i++) {
      const at = layout.offset(c) + i * layout.stride;
      data[at] = clamp(roundHalfAway(values[at] / scale[c]), -top, top);
    }
  return granularity === "per-tensor"
    ? { data, quantization: { scale: scale.subarray(0, 1), zeroPoint: new Int32Array(1) } }
    : { data, quantization: { scale, zeroPoint: new Int32Array(layout.channels), axis } };
}

/** The least power of two by which the magnitude fits `top` codes; 1 for 0. */
export function powerOfTwoScale(magnitude: number, top: number): number {
  if (magnitude === 0) return 1;
  const exponent = Math.ceil(log2(magnitude / top));
  return magnitude > top * 2 ** exponent ? 2 ** (exponent + 1) : 2 ** exponent;
}

/** Symmetric int8 whose scale is a power of two. Source: esp-ppq de6381b, ceil of log2 of the calibrated range. */
export function powerOfTwoQuantization(minimum: number, maximum: number): Quantization {
  const scale = powerOfTwoScale(Math.max(Math.abs(minimum), Math.abs(maximum)), 127);
  return { scale: Float32Array.of(scale), zeroPoint: Int32Array.of(0) };
}

/** Asymmetric int8 for real values in [minimum, maximum], widened to hold zero exactly; TFLite's nudged zero point. */
export function activationQuantization(minimum: number, maximum: number): Quantization {
  const low = Math.min(0, minimum);
  const high = Math.max(0, maximum);
  const scale = Math.fround((high - low) / 255) || Math.fround(1 / 255);
  const zeroPoint = clamp(roundHalfAway(-128 - low / scale), -128, 127);
  return { scale: Float32Array.of(scale), zeroPoint: Int32Array.of(zeroPoint) };
}

/** Two int4 values a byte, even index in the low nibble; a final odd value leaves a zero high nibble. */
export function packInt4(values: Int8Array): Uint8Array {
  const packed = new Uint8Array((values.length + 1) >> 1);
  values.forEach((value, i) => {
    packed[i >> 1] |= (value & 15) << ((i & 1) * 4);
  });
  return packed;
}

/** The inverse of packInt4, sign-extended. */
export function unpackInt4(packed: Uint8Array, count: number): Int8Array {
  return Int8Array.from({ length: count }, (_, i) => ((packed[i >> 1] >> ((i & 1) * 4)) << 28) >> 28);
}
