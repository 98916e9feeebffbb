/** AVERAGE_POOL_2D, MAX_POOL_2D and MEAN. */
import { Mean, Pool } from "./params";
import { outputLanes, storeLanes } from "./lanes";
import { requantizeOne } from "./requantize";

/** sums[i] += input[i], count int8 values into int32. */
@inline
function addRow(input: usize, sums: usize, count: i32): void {
  let i: usize = 0;
  const end = <usize>count;
  if (ASC_FEATURE_SIMD) {
    for (; i + 8 <= end; i += 8, sums += 32) {
      const row = v128.load_ext<i8>(input + i);
      v128.store(sums, i32x4.add(v128.load(sums), i32x4.extend_low_i16x8_s(row)));
      v128.store(sums, i32x4.add(v128.load(sums, 16), i32x4.extend_high_i16x8_s(row)), 16);
    }
  }
  for (; i < end; i++, sums += 4) store<i32>(sums, load<i32>(sums) + <i32>load<i8>(input + i));
}

/** Four quotients, ties away from zero. A float32 holds |sum| + half up to 2^24 and its quotient never rounds up to an integer. */
@inline
function averageLanes(sums: usize, shift: v128, half: v128, count: v128): v128 {
  const sum = i32x4.add(v128.load(sums), shift),
    sign = i32x4.shr_s(i32x4.sub(sum, i32x4.splat(1)), 31);
  const nudged = i32x4.add(sum, i32x4.sub(v128.xor(half, sign), sign));
  return i32x4.trunc_sat_f32x4_s(f32x4.div(f32x4.convert_i32x4_s(nudged), count));
}

/** Quotients of `depth` sums by `count`, clamped, as int8. */
function averageSums(p: Pool, sums: usize, count: i32, output: usize): void {
  const half = count / 2,
    shift = p.inputOffset * count,
    low = p.activationMin,
    high = p.activationMax;
  let channel = 0;
  if (ASC_FEATURE_SIMD) {
    const halves = i32x4.splat(half),
      shifts = i32x4.splat(shift),
      counts = f32x4.splat(<f32>count);
    const low8 = i8x16.splat(<i8>low),
      high8 = i8x16.splat(<i8>high),
      offset = i16x8.splat(<i16>-p.inputOffset);
    for (; count < 65536 && channel < p.inputDepth; channel += 8, sums += 32) {
      const value0 = averageLanes(sums, shifts, halves, counts),
        value1 = averageLanes(sums + 16, shifts, halves, counts);
      const lanes = min(8, p.inputDepth - channel);
      storeLanes(output + <usize>channel, outputLanes(value0, value1, offset, low8, high8), lanes);
    }
  }
  for (; channel < p.inputDepth; channel++, sums += 4) {
    const sum = load<i32>(sums) + shift;
    const value = (sum > 0 ? sum + half : sum - half) / count - p.inputOffset;
    store<i8>(output + <usize>channel, <i8>min(max(value, low), high));
  }
}

/** One pixel: the taps [top, bottom) x [left, right) of the image, which hold at least one. */
@inline
function averagePixel(
  p: Pool,
  input: usize,
  output: usize,
  top: i32,
  bottom: i32,
  left: i32,
  right: i32,
): void {
  const sums = p.scratch,
    depth = p.inputDepth;
  memory.fill(sums, 0, (<usize>(depth + 8)) << 2);
  for (let y = top; y < bottom; y++) {
    for (let x = left; x < right; x++) addRow(input + <usize>((y * p.inputWidth + x) * depth), sums, depth);
  }
  averageSums(p, sums, (bottom - top) * (right - left), output);
}

@inline
function maximumPixel(
  p: Pool,
  input: usize,
  output: usize,
  top: i32,
  bottom: i32,
  left: i32,
  right: i32,
): void {
  const depth = p.inputDepth,
    low = p.activationMin,
    high = p.activationMax;
  let channel = 0;
  if (ASC_FEATURE_SIMD) {
    for (; channel + 16 <= depth; channel += 16) {
      let maximum = i8x16.splat(<i8>low);
      for (let y = top; y < bottom; y++) {
        for (let x = left; x < right; x++) {
          maximum = i8x16.max_s(
            maximum,
            v128.load(input + <usize>((y * p.inputWidth + x) * depth + channel)),
          );
        }
      }
      v128.store(output + <usize>channel, i8x16.min_s(maximum, i8x16.splat(<i8>high)));
    }
  }
  for (; channel < depth; channel++) {
    let maximum = low;
    for (let y = top; y < bottom; y++) {
      for (let x = left; x < right; x++) {
        maximum = max(maximum, <i32>load<i8>(input + <usize>((y * p.inputWidth + x) * depth + channel)));
      }
    }
    store<i8>(output + <usize>channel, <i8>min(maximum, high));
  }
}

@inline
function pool(average: bool, p: Pool): void {
  const imageBytes = <usize>(p.inputHeight * p.inputWidth * p.inputDepth);
  let input = p.input,
    output = p.output;
  for (let image = 0; image < p.batches; image++, input += imageBytes) {
    for (let y = 0; y < p.outputHeight; y++) {
      const firstRow = y * p.strideHeight - p.padTop;
      const top = max(firstRow, 0),
        bottom = min(firstRow + p.filterHeight, p.inputHeight);
      for (let x = 0; x < p.outputWidth; x++, output += <usize>p.inputDepth) {
        const firstColumn = x * p.strideWidth - p.padLeft;
        const left = max(firstColumn, 0),
          right = min(firstColumn + p.filterWidth, p.inputWidth);
        if (average) averagePixel(p, input, output, top, bottom, left, right);
        else maximumPixel(p, input, output, top, bottom, left, right);
      }
    }
  }
}

/** Sum of x + inputOffset over the taps inside the image by their number, ties away from zero; then the clamp. A window that holds no
 * tap would divide by 0: compile() refuses it. Source: TFLite reference/integer_ops/pooling.h; arm_avgpool_s8. */
export function average_pool_2d_s8(params: usize): void {
  pool(true, changetype<Pool>(params));
}

/** Source: TFLite reference/integer_ops/pooling.h; arm_max_pool_s8, CMSIS-NN 7.0.0. */
export function max_pool_2d_s8(params: usize): void {
  pool(false, changetype<Pool>(params));
}

/** Sums over reducedOuter and reducedInner of one [reducedOuter][inner][reducedInner] into sums[inner]. */
@inline
function sumBlock(p: Mean, input: usize, sums: usize): void {
  memory.fill(sums, 0, (<usize>p.inner) << 2);
  for (let row = 0; row < p.reducedOuter; row++) {
    if (p.reducedInner == 1) {
      addRow(input, sums, p.inner);
      input += <usize>p.inner;
      continue;
    }
    for (let i: usize = 0; i < <usize>p.inner; i++) {
      let sum = load<i32>(sums + (i << 2));
      for (const end = input + <usize>p.reducedInner; input < end; input++) sum += <i32>load<i8>(input);
      store<i32>(sums + (i << 2), sum);
    }
  }
}

/** sum * scale + bias in float32, clamped and rounded half to even, and only then moved by outputOffset.
 * Source: XNNPACK, as LiteRT.js 2.5.3 computes it. */
@inline
function foldedMean(p: Mean, sum: i32): i32 {
  const value = <f32>sum * reinterpret<f32>(p.scale) + reinterpret<f32>(p.bias);
  const code = nearest(min<f32>(max<f32>(value, <f32>p.activationMin), <f32>p.activationMax));
  return <i32>code + p.outputOffset;
}

/** Sum of x + inputOffset, requantized. Source: TFLite reference/integer_ops/mean.h with the multiplier already divided by
 * the count; XNNPACK by FLOAT_EVEN. */
export function mean_s8(params: usize): void {
  const p = changetype<Mean>(params),
    sums = p.scratch,
    scale = reinterpret<f32>(p.scale);
  const count = p.reducedOuter * p.reducedInner;
  const blockBytes = <usize>(count * p.inner);
  let input = p.input,
    output = p.output;
  for (let block = 0; block < p.batches * p.outer; block++, input += blockBytes) {
    sumBlock(p, input, sums);
    for (let i: usize = 0; i < <usize>p.inner; i++, output++) {
      const acc = load<i32>(sums + (i << 2)) + p.inputOffset * count;
      if (p.folded != 0) {
        store<i8>(output, <i8>foldedMean(p, acc));
        continue;
      }
      const value = requantizeOne(
        p.requantizer,
        acc,
        p.multiplier,
        p.shift,
        scale,
        p.outputOffset,
        p.activationMin,
        p.activationMax,
      );
      store<i8>(output, <i8>value);
    }
  }
}
