/** The inner loops: int16 activations by packed int8 or int4 weights into int32, four pixels by the eight channels of a panel.
 *
 * Weights of a panel, for every pair of values k, k+1 that a pixel reads: channels 0..3 (w[k], w[k+1]), then channels 4..7,
 * sixteen int8. As int4 they are eight bytes: the others times 16, plus the first four, plus 8, which is -128 to 127: the
 * others in the high nibbles, the first four plus 8 in the low ones.
 * Lanes of a vector are thus 4 channels x 2 k, an activation pair is read by one load_splat, and no sum crosses lanes. */

import { clampLanes, eightLanes, NONE, ROUNDING } from "./lanes";

export const WEIGHTS_8: i32 = 8;
export const WEIGHTS_4: i32 = 4;
/** Transformed weights (winograd.ts), which need more than eight bits. */
export const WEIGHTS_16: i32 = 16;

/** Bytes of weights a pair of values. */
@inline
export function pairBytes(bits: i32): usize {
  return <usize>(bits << 1);
}

@inline
export function lowWeights(bits: i32, weights: usize): v128 {
  if (bits == WEIGHTS_16) return v128.load(weights);
  const bytes = v128.load_ext<i8>(weights);
  return bits == WEIGHTS_8
    ? bytes
    : i16x8.sub(v128.and(bytes, i16x8.splat(15)), i16x8.splat(8));
}

@inline
export function highWeights(bits: i32, weights: usize): v128 {
  if (bits == WEIGHTS_16) return v128.load(weights, 16);
  return bits == WEIGHTS_8 ? v128.load_ext<i8>(weights, 8) : i16x8.shr_s(v128.load_ext<i8>(weights), 4);
}

/** 8, where V8 cannot see that it is constant: it makes constants anew in every round of a loop. */
const EIGHT = memory.data<i16>([8]);

/** Of int4 the byte less 8: 16 times the second four channels is left in the sums of the first, see withoutSecond. */
@inline
function firstWeights(bits: i32, low: v128, eight: v128): v128 {
  return bits == WEIGHTS_4 ? i16x8.sub(low, eight) : low;
}

@inline
function secondWeights(bits: i32, low: v128, weights: usize): v128 {
  return bits == WEIGHTS_4 ? i16x8.shr_s(low, 4) : highWeights(bits, weights);
}

/** Sums of the first four channels by firstWeights to their own, and the other way. */
@inline
function withSecond(bits: i32, first: v128, second: v128): v128 {
  return bits == WEIGHTS_4 ? i32x4.add(first, i32x4.shl(second, 4)) : first;
}

@inline
function withoutSecond(bits: i32, first: v128, second: v128): v128 {
  return bits == WEIGHTS_4 ? i32x4.sub(first, i32x4.shl(second, 4)) : first;
}

@inline
export function multiplyAdd(acc: v128, x: v128, y: v128): v128 {
  return i32x4.add(acc, i32x4.dot_i16x8_s(x, y));
}

/** Four pixels by the eight channels of a panel, as int32 [4][8]. */
@inline
export function storeFour(
  acc: usize,
  c00: v128,
  c01: v128,
  c10: v128,
  c11: v128,
  c20: v128,
  c21: v128,
  c30: v128,
  c31: v128,
): void {
  v128.store(acc, c00);
  v128.store(acc, c01, 16);
  v128.store(acc, c10, 32);
  v128.store(acc, c11, 48);
  v128.store(acc, c20, 64);
  v128.store(acc, c21, 80);
  v128.store(acc, c30, 96);
  v128.store(acc, c31, 112);
}

/** Four pixels by the eight channels of a panel: by NONE the accumulators themselves, [4][8] one after the other, else
 * int8, step1 to step3 bytes from the first. */
@inline
export function finishFour(
  form: i32,
  right: i32,
  shared: v128,
  offset: v128,
  low: v128,
  high: v128,
  panel: usize,
  c00: v128,
  c01: v128,
  c10: v128,
  c11: v128,
  c20: v128,
  c21: v128,
  c30: v128,
  c31: v128,
  output: usize,
  step1: usize,
  step2: usize,
  step3: usize,
): void {
  if (form == NONE) return storeFour(output, c00, c01, c10, c11, c20, c21, c30, c31);
  const first = clampLanes(
    eightLanes(form, c00, c01, panel, panel + ROUNDING, 16, right, shared, offset, shared),
    eightLanes(form, c10, c11, panel, panel + ROUNDING, 16, right, shared, offset, shared),
    low,
    high,
  );
  v128.store_lane<i64>(output, first, 0);
  v128.store_lane<i64>(output + step1, first, 1);
  const second = clampLanes(
    eightLanes(form, c20, c21, panel, panel + ROUNDING, 16, right, shared, offset, shared),
    eightLanes(form, c30, c31, panel, panel + ROUNDING, 16, right, shared, offset, shared),
    low,
    high,
  );
  v128.store_lane<i64>(output + step2, second, 0);
  v128.store_lane<i64>(output + step3, second, 1);
}

/** pixels: four addresses of int16; offsets: offsetCount byte offsets, a run of `pairs` pairs at each; panel: biases and
 * what the form needs; the rest as in finishFour. */
@inline
export function accumulateFour(
  form: i32,
  right: i32,
  constant: v128,
  offset: v128,
  low: v128,
  high: v128,
  bits: i32,
  pixels: usize,
  shared: usize,
  offsets: usize,
  offsetCount: i32,
  pairs: i32,
  weights: usize,
  panel: usize,
  output: usize,
  step1: usize,
  step2: usize,
  step3: usize,
): void {
  const a0 = <usize>load<u32>(pixels) + shared,
    a1 = <usize>load<u32>(pixels, 4) + shared;
  const a2 = <usize>load<u32>(pixels, 8) + shared,
    a3 = <usize>load<u32>(pixels, 12) + shared;
  const eight = v128.load_splat<i16>(EIGHT),
    bias1 = v128.load(panel, 16),
    bias0 = withSecond(bits, v128.load(panel), bias1);
  let c00 = bias0,
    c01 = bias1,
    c10 = bias0,
    c11 = bias1,
    c20 = bias0,
    c21 = bias1,
    c30 = bias0,
    c31 = bias1;
  const runBytes = (<usize>pairs) << 2;
  for (let i = 0; i < offsetCount; i++) {
    let k = <usize>load<u32>(offsets + ((<usize>i) << 2));
    for (const end = k + runBytes; k < end; k += 4) {
      const bytes = bits == WEIGHTS_16 ? v128.load(weights) : v128.load_ext<i8>(weights),
        y0 = firstWeights(bits, bytes, eight),
        y1 = secondWeights(bits, bytes, weights);
      const x0 = v128.load_splat<i32>(a0 + k);
      c00 = multiplyAdd(c00, x0, y0);
      c01 = multiplyAdd(c01, x0, y1);
      const x1 = v128.load_splat<i32>(a1 + k);
      c10 = multiplyAdd(c10, x1, y0);
      c11 = multiplyAdd(c11, x1, y1);
      const x2 = v128.load_splat<i32>(a2 + k);
      c20 = multiplyAdd(c20, x2, y0);
      c21 = multiplyAdd(c21, x2, y1);
      const x3 = v128.load_splat<i32>(a3 + k);
      c30 = multiplyAdd(c30, x3, y0);
      c31 = multiplyAdd(c31, x3, y1);
      weights += pairBytes(bits);
    }
  }
  c00 = withoutSecond(bits, c00, c01);
  c10 = withoutSecond(bits, c10, c11);
  c20 = withoutSecond(bits, c20, c21);
  c30 = withoutSecond(bits, c30, c31);
  finishFour(form, right, constant, offset, low, high, panel, c00, c01, c10, c11, c20, c21, c30, c31, output, step1, step2, step3);
}

/** The same for one pixel. */
@inline
export function accumulateOne(
  bits: i32,
  pixels: usize,
  shared: usize,
  offsets: usize,
  offsetCount: i32,
  pairs: i32,
  weights: usize,
  bias: usize,
  acc: usize,
): void {
  const a0 = <usize>load<u32>(pixels) + shared;
  let c00 = v128.load(bias),
    c01 = v128.load(bias, 16);
  const runBytes = (<usize>pairs) << 2;
  for (let i = 0; i < offsetCount; i++) {
    let k = <usize>load<u32>(offsets + ((<usize>i) << 2));
    for (const end = k + runBytes; k < end; k += 4) {
      const x0 = v128.load_splat<i32>(a0 + k);
      c00 = multiplyAdd(c00, x0, lowWeights(bits, weights));
      c01 = multiplyAdd(c01, x0, highWeights(bits, weights));
      weights += pairBytes(bits);
    }
  }
  v128.store(acc, c00);
  v128.store(acc, c01, 16);
}

/** Interleaves the eight channels of two taps, so that a dot product adds both. */
@inline
export function firstFour(tap0: v128, tap1: v128): v128 {
  return v128.shuffle<i16>(tap0, tap1, 0, 8, 1, 9, 2, 10, 3, 11);
}

@inline
function lastFour(tap0: v128, tap1: v128): v128 {
  return v128.shuffle<i16>(tap0, tap1, 4, 12, 5, 13, 6, 14, 7, 15);
}

/** Depthwise: offsets hold two taps a pair, the last one twice if their number is odd; every lane reads its own channel. */
@inline
export function accumulateDepthwiseFour(
  bits: i32,
  pixels: usize,
  shared: usize,
  offsets: usize,
  pairs: i32,
  weights: usize,
  bias: usize,
  acc: usize,
): void {
  const a0 = <usize>load<u32>(pixels) + shared,
    a1 = <usize>load<u32>(pixels, 4) + shared;
  const a2 = <usize>load<u32>(pixels, 8) + shared,
    a3 = <usize>load<u32>(pixels, 12) + shared;
  const bias0 = v128.load(bias),
    bias1 = v128.load(bias, 16);
  let c00 = bias0,
    c01 = bias1,
    c10 = bias0,
    c11 = bias1,
    c20 = bias0,
    c21 = bias1,
    c30 = bias0,
    c31 = bias1;
  for (const end = offsets + ((<usize>pairs) << 3); offsets < end; offsets += 8) {
    const tap0 = <usize>load<u32>(offsets),
      tap1 = <usize>load<u32>(offsets, 4);
    const y0 = lowWeights(bits, weights),
      y1 = highWeights(bits, weights);
    let u = v128.load(a0 + tap0),
      v = v128.load(a0 + tap1);
    c00 = multiplyAdd(c00, firstFour(u, v), y0);
    c01 = multiplyAdd(c01, lastFour(u, v), y1);
    (u = v128.load(a1 + tap0)), (v = v128.load(a1 + tap1));
    c10 = multiplyAdd(c10, firstFour(u, v), y0);
    c11 = multiplyAdd(c11, lastFour(u, v), y1);
    (u = v128.load(a2 + tap0)), (v = v128.load(a2 + tap1));
    c20 = multiplyAdd(c20, firstFour(u, v), y0);
    c21 = multiplyAdd(c21, lastFour(u, v), y1);
    (u = v128.load(a3 + tap0)), (v = v128.load(a3 + tap1));
    c30 = multiplyAdd(c30, firstFour(u, v), y0);
    c31 = multiplyAdd(c31, lastFour(u, v), y1);
    weights += pairBytes(bits);
  }
  storeFour(acc, c00, c01, c10, c11, c20, c21, c30, c31);
}

/** Weight of lane and half of a pair: of int4 lanes 0..3 in low nibbles, 4..7 in high ones. */
@inline
function weight(bits: i32, weights: usize, lane: i32, half: i32): i32 {
  if (bits == WEIGHTS_16) return <i32>load<i16>(weights + <usize>((lane * 2 + half) << 1));
  if (bits == WEIGHTS_8) return <i32>load<i8>(weights + <usize>(lane * 2 + half));
  const byte = <i32>load<i8>(weights + <usize>((lane & 3) * 2 + half));
  return lane < 4 ? (byte & 15) - 8 : byte >> 4;
}

/** x0, x1: the pair's activations, the same for all channels. Channels `lane` and `lane + 1`. */
@inline
function product(bits: i32, weights: usize, lane: i32, x0: i32, x1: i32): i32 {
  return x0 * weight(bits, weights, lane, 0) + x1 * weight(bits, weights, lane, 1);
}

/** Without vectors: one pixel, eight sums in locals. */
@inline
export function accumulateScalar(
  bits: i32,
  pixel: usize,
  offsets: usize,
  offsetCount: i32,
  pairs: i32,
  weights: usize,
  bias: usize,
  acc: usize,
): void {
  let c0 = load<i32>(bias),
    c1 = load<i32>(bias, 4),
    c2 = load<i32>(bias, 8),
    c3 = load<i32>(bias, 12);
  let c4 = load<i32>(bias, 16),
    c5 = load<i32>(bias, 20),
    c6 = load<i32>(bias, 24),
    c7 = load<i32>(bias, 28);
  for (let i = 0; i < offsetCount; i++) {
    let a = pixel + <usize>load<u32>(offsets + ((<usize>i) << 2));
    for (const end = a + ((<usize>pairs) << 2); a < end; a += 4, weights += pairBytes(bits)) {
      const x0 = <i32>load<i16>(a),
        x1 = <i32>load<i16>(a, 2);
      c0 += product(bits, weights, 0, x0, x1);
      c1 += product(bits, weights, 1, x0, x1);
      c2 += product(bits, weights, 2, x0, x1);
      c3 += product(bits, weights, 3, x0, x1);
      c4 += product(bits, weights, 4, x0, x1);
      c5 += product(bits, weights, 5, x0, x1);
      c6 += product(bits, weights, 6, x0, x1);
      c7 += product(bits, weights, 7, x0, x1);
    }
  }
  store<i32>(acc, c0);
  store<i32>(acc, c1, 4);
  store<i32>(acc, c2, 8);
  store<i32>(acc, c3, 12);
  store<i32>(acc, c4, 16);
  store<i32>(acc, c5, 20);
  store<i32>(acc, c6, 24);
  store<i32>(acc, c7, 28);
}

/** Depthwise without vectors: lane by lane. */
@inline
export function accumulateDepthwiseScalar(
  bits: i32,
  pixel: usize,
  offsets: usize,
  pairs: i32,
  weights: usize,
  bias: usize,
  acc: usize,
): void {
  for (let lane = 0; lane < 8; lane++) {
    let sum = load<i32>(bias + ((<usize>lane) << 2));
    const a = pixel + ((<usize>lane) << 1);
    for (let pair: usize = 0; pair < <usize>pairs; pair++) {
      const taps = offsets + (pair << 3),
        w = weights + pair * pairBytes(bits);
      sum += <i32>load<i16>(a + <usize>load<u32>(taps)) * weight(bits, w, lane, 0);
      sum += <i32>load<i16>(a + <usize>load<u32>(taps, 4)) * weight(bits, w, lane, 1);
    }
    store<i32>(acc + ((<usize>lane) << 2), sum);
  }
}

/** int32 sums of one panel for `count` pixels; addresses are repeated up to a multiple of four. pairs: of an offset; depthwise:
 * of all. */
@inline
export function accumulatePixels(
  bits: i32,
  depthwise: bool,
  addresses: usize,
  count: i32,
  shared: usize,
  offsets: usize,
  offsetCount: i32,
  pairs: i32,
  weights: usize,
  bias: usize,
  acc: usize,
): void {
  let i = 0;
  if (ASC_FEATURE_SIMD) {
    const zero = i64x2.splat(0);
    for (; depthwise && i < count; i += 4, addresses += 16, acc += 128) {
      accumulateDepthwiseFour(bits, addresses, shared, offsets, pairs, weights, bias, acc);
    }
    for (; i + 1 < count; i += 4, addresses += 16, acc += 128) {
      accumulateFour(
        NONE,
        0,
        zero,
        zero,
        zero,
        zero,
        bits,
        addresses,
        shared,
        offsets,
        offsetCount,
        pairs,
        weights,
        bias,
        acc,
        0,
        0,
        0,
      );
    }
    if (i < count) accumulateOne(bits, addresses, shared, offsets, offsetCount, pairs, weights, bias, acc);
  } else {
    for (; i < count; i++, addresses += 4, acc += 32) {
      const pixel = <usize>load<u32>(addresses) + shared;
      if (depthwise) accumulateDepthwiseScalar(bits, pixel, offsets, pairs, weights, bias, acc);
      else accumulateScalar(bits, pixel, offsets, offsetCount, pairs, weights, bias, acc);
    }
  }
}
