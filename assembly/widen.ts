/** int8 activations to int16 minus the zero point, in an image with its padding of zeros around it. */
import { Convolution } from "./params";

/** count values: int16 = int8 + offset. */
@inline
export function widenRun(input: usize, output: usize, count: i32, offset: i32): void {
  let i = 0;
  if (ASC_FEATURE_SIMD) {
    const offsets = i16x8.splat(<i16>offset);
    for (; i + 8 <= count; i += 8) {
      v128.store(output + ((<usize>i) << 1), i16x8.add(v128.load_ext<i8>(input + <usize>i), offsets));
    }
  }
  for (; i < count; i++)
    store<i16>(output + ((<usize>i) << 1), <i16>(<i32>load<i8>(input + <usize>i) + offset));
}

/** Each of `depth` channels `multiplier` times over, as depthwise with a depth multiplier reads them. */
function repeatChannels(input: usize, output: usize, depth: i32, multiplier: i32, offset: i32): void {
  for (let channel = 0; channel < depth; channel++) {
    const value = <i16>(<i32>load<i8>(input + <usize>channel) + offset);
    for (let i = 0; i < multiplier; i++, output += 2) store<i16>(output, value);
  }
}

/** bytes: even. */
@inline
function clear(address: usize, bytes: usize): void {
  const end = address + bytes;
  if (ASC_FEATURE_SIMD) for (; address + 16 <= end; address += 16) v128.store(address, i64x2.splat(0));
  for (; address < end; address += 2) store<i16>(address, 0);
}

/** Clears what widenImage does not write. Once a call: images after the first leave it as it is. */
export function clearPadding(p: Convolution, padded: usize): void {
  const rowBytes = <usize>(p.paddedWidth * p.pixelBytes);
  if ((p.spacingHeight | p.spacingWidth) > 1) return clear(padded, <usize>p.paddedHeight * rowBytes);
  const top = min(p.padTop, p.paddedHeight),
    left = min(p.padLeft, p.paddedWidth);
  const rows = min(p.inputHeight, p.paddedHeight - top),
    columns = min(p.inputWidth, p.paddedWidth - left);
  const leftBytes = <usize>(left * p.pixelBytes),
    rightStart = <usize>((left + columns) * p.pixelBytes);
  clear(padded, <usize>top * rowBytes);
  let row = padded + <usize>top * rowBytes;
  for (let y = 0; y < rows; y++, row += rowBytes) {
    clear(row, leftBytes);
    clear(row + rightStart, rowBytes - rightStart);
  }
  clear(row, <usize>(p.paddedHeight - top - rows) * rowBytes);
}

/** One image NHWC into a padded one that is clear, its pixels `spacing` apart: what TRANSPOSE_CONV convolves. */
function spreadImage(p: Convolution, input: usize, padded: usize): void {
  const pixelBytes = <usize>p.pixelBytes,
    rowBytes = <usize>(p.paddedWidth * p.spacingHeight) * pixelBytes;
  const rows = min(p.inputHeight, (p.paddedHeight - p.padTop - 1) / p.spacingHeight + 1),
    columns = min(p.inputWidth, (p.paddedWidth - p.padLeft - 1) / p.spacingWidth + 1);
  const depth = p.inputDepth,
    step = <usize>p.spacingWidth * pixelBytes;
  let row = padded + <usize>(p.padTop * p.paddedWidth + p.padLeft) * pixelBytes;
  for (let y = 0; y < rows; y++, row += rowBytes) {
    let pixel = row,
      source = input + <usize>(y * p.inputWidth * depth);
    for (let x = 0; x < columns; x++, pixel += step, source += <usize>depth)
      widenRun(source, pixel, depth, p.inputOffset);
  }
}

/** One image NHWC into its place in the padded one. Rows and columns that no output reads are left out. */
export function widenImage(p: Convolution, input: usize, padded: usize): void {
  if ((p.spacingHeight | p.spacingWidth) > 1) return spreadImage(p, input, padded);
  const pixelBytes = <usize>p.pixelBytes,
    rowBytes = <usize>p.paddedWidth * pixelBytes;
  const top = min(p.padTop, p.paddedHeight),
    left = min(p.padLeft, p.paddedWidth);
  const rows = min(p.inputHeight, p.paddedHeight - top),
    columns = min(p.inputWidth, p.paddedWidth - left);
  const depth = p.inputDepth,
    offset = p.inputOffset,
    multiplier = p.depthMultiplier;
  const dense = multiplier == 1 && p.pixelBytes == depth << 1;
  let row = padded + <usize>top * rowBytes + <usize>left * pixelBytes;
  for (let y = 0; y < rows; y++, row += rowBytes, input += <usize>(p.inputWidth * depth)) {
    if (dense) {
      widenRun(input, row, columns * depth, offset);
      continue;
    }
    let pixel = row,
      source = input;
    for (let x = 0; x < columns; x++, pixel += pixelBytes, source += <usize>depth) {
      if (multiplier == 1) widenRun(source, pixel, depth, offset);
      else repeatChannels(source, pixel, depth, multiplier, offset);
    }
  }
}
