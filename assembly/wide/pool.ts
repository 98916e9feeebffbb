/** AVERAGE_POOL_2D, MAX_POOL_2D and MEAN of int16. */
import { Mean, Pool } from "../params";
import { clampOutput, rescale, roundsTwice } from "./requantize";

/** sums[i] += input[i], count int16 values into int32. */
@inline
function addRow(input: usize, sums: usize, count: i32): void {
  let i = 0;
  if (ASC_FEATURE_SIMD) {
    for (; i + 8 <= count; i += 8, input += 16, sums += 32) {
      const row = v128.load(input);
      v128.store(sums, i32x4.add(v128.load(sums), i32x4.extend_low_i16x8_s(row)));
      v128.store(sums, i32x4.add(v128.load(sums, 16), i32x4.extend_high_i16x8_s(row)), 16);
    }
  }
  for (; i < count; i++, input += 2, sums += 4) store<i32>(sums, load<i32>(sums) + <i32>load<i16>(input));
}

/** maxima[i] = max(maxima[i], input[i]). */
@inline
function maximumRow(input: usize, maxima: usize, count: i32): void {
  let i = 0;
  if (ASC_FEATURE_SIMD) {
    for (; i + 8 <= count; i += 8, input += 16, maxima += 16)
      v128.store(maxima, i16x8.max_s(v128.load(maxima), v128.load(input)));
  }
  for (; i < count; i++, input += 2, maxima += 2)
    store<i16>(maxima, max(load<i16>(maxima), load<i16>(input)));
}

/** Quotients of the sums, ties away from zero, clamped. */
function averageSums(p: Pool, count: i32, output: usize): void {
  const half = count / 2;
  for (let channel: usize = 0; channel < <usize>p.inputDepth; channel++) {
    const sum = load<i32>(p.scratch + (channel << 2));
    const value = (sum > 0 ? sum + half : sum - half) / count;
    store<i16>(output + (channel << 1), <i16>min(max(value, p.activationMin), p.activationMax));
  }
}

/** The taps [top, bottom) x [left, right) of the image, which hold at least one. */
function averagePixel(p: Pool, input: usize, output: usize, top: i32, bottom: i32, left: i32, right: i32): void {
  memory.fill(p.scratch, 0, (<usize>p.inputDepth) << 2);
  for (let y = top; y < bottom; y++) {
    for (let x = left; x < right; x++)
      addRow(input + ((<usize>((y * p.inputWidth + x) * p.inputDepth)) << 1), p.scratch, p.inputDepth);
  }
  averageSums(p, (bottom - top) * (right - left), output);
}

function maximumPixel(p: Pool, input: usize, output: usize, top: i32, bottom: i32, left: i32, right: i32): void {
  const depth = p.inputDepth;
  for (let channel: usize = 0; channel < <usize>depth; channel++)
    store<i16>(output + (channel << 1), <i16>p.activationMin);
  for (let y = top; y < bottom; y++) {
    for (let x = left; x < right; x++)
      maximumRow(input + ((<usize>((y * p.inputWidth + x) * depth)) << 1), output, depth);
  }
  for (let channel: usize = 0; channel < <usize>depth; channel++) {
    const value = <i32>load<i16>(output + (channel << 1));
    store<i16>(output + (channel << 1), <i16>min(value, p.activationMax));
  }
}

@inline
function pool(isAverage: bool, params: usize): void {
  const p = changetype<Pool>(params),
    pixelBytes = (<usize>p.inputDepth) << 1,
    imageBytes = <usize>(p.inputHeight * p.inputWidth) * pixelBytes;
  let input = p.input,
    output = p.output;
  for (let image = 0; image < p.batches; image++, input += imageBytes) {
    for (let row = 0; row < p.outputHeight; row++) {
      const y = row * p.strideHeight - p.padTop,
        top = max(y, 0),
        bottom = min(y + p.filterHeight, p.inputHeight);
      for (let column = 0; column < p.outputWidth; column++, output += pixelBytes) {
        const x = column * p.strideWidth - p.padLeft,
          left = max(x, 0),
          right = min(x + p.filterWidth, p.inputWidth);
        if (isAverage) averagePixel(p, input, output, top, bottom, left, right);
        else maximumPixel(p, input, output, top, bottom, left, right);
      }
    }
  }
}

/** Source: TFLite reference/integer_ops/pooling.h, int16. */
export function average_pool_2d_s16(params: usize): void {
  pool(true, params);
}

export function max_pool_2d_s16(params: usize): void {
  pool(false, params);
}

/** Sums over reducedOuter and reducedInner of one [reducedOuter][inner][reducedInner] into sums[inner]. */
function sumBlock(p: Mean, input: usize, sums: usize): void {
  memory.fill(sums, 0, (<usize>p.inner) << 2);
  for (let row = 0; row < p.reducedOuter; row++) {
    if (p.reducedInner == 1) {
      addRow(input, sums, p.inner);
      input += (<usize>p.inner) << 1;
      continue;
    }
    for (let i: usize = 0; i < <usize>p.inner; i++) {
      let sum = load<i32>(sums + (i << 2));
      for (const end = input + ((<usize>p.reducedInner) << 1); input < end; input += 2)
        sum += <i32>load<i16>(input);
      store<i32>(sums + (i << 2), sum);
    }
  }
}

/** The int32 sum by a multiplier that is divided by the count already. Source: QuantizedMeanOrSum, TFLite reference/reduce.h. */
export function mean_s16(params: usize): void {
  const p = changetype<Mean>(params),
    sums = p.scratch,
    isDouble = roundsTwice(p.requantizer),
    blockBytes = (<usize>(p.reducedOuter * p.reducedInner * p.inner)) << 1;
  let input = p.input,
    output = p.output;
  for (let block = 0; block < p.batches * p.outer; block++, input += blockBytes) {
    sumBlock(p, input, sums);
    for (let i: usize = 0; i < <usize>p.inner; i++, output += 2) {
      const value = rescale(isDouble, load<i32>(sums + (i << 2)), p.multiplier, p.shift);
      store<i16>(output, <i16>clampOutput(value, p.outputOffset, p.activationMin, p.activationMax));
    }
  }
}
