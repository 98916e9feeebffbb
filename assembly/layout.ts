/** Ops that move values, and the two that resize images. Elements are bytes, or runs of bytes that stay together. */
import { CopyRows, Gather, PositionLookup, Resize } from "./params";

@inline
function copyRun(output: usize, input: usize, bytes: usize): void {
  if (bytes == 1) store<u8>(output, load<u8>(input));
  else if (bytes == 4) store<u32>(output, load<u32>(input));
  else memory.copy(output, input, bytes);
}

/** Five nested dimensions of runs, read by byte strides (0 repeats, negative goes backwards) and written densely. */
export function gather(params: usize): void {
  const p = changetype<Gather>(params),
    run = <usize>p.runBytes;
  let image = p.input + <usize>p.start,
    output = p.output;
  for (let i = 0; i < p.batches; i++, image += <usize>p.imageBytes) {
    for (let i0 = 0; i0 < p.size0; i0++) {
      for (let i1 = 0; i1 < p.size1; i1++) {
        for (let i2 = 0; i2 < p.size2; i2++) {
          for (let i3 = 0; i3 < p.size3; i3++) {
            let input =
              image + <usize>(i0 * p.stride0 + i1 * p.stride1 + i2 * p.stride2 + i3 * p.stride3);
            for (let i4 = 0; i4 < p.size4; i4++, input += <usize>p.stride4, output += run) {
              copyRun(output, input, run);
            }
          }
        }
      }
    }
  }
}

/** Dense rows of the input to rows `outputStride` apart; through 256 bytes at `table` where that is not 0. */
export function copy_rows(params: usize): void {
  const p = changetype<CopyRows>(params),
    bytes = <usize>p.rowBytes;
  let input = p.input,
    output = p.output + <usize>p.outputStart;
  for (let row = p.batches * p.rows; row > 0; row--, input += bytes, output += <usize>p.outputStride) {
    if (p.table == 0) {
      memory.copy(output, input, bytes);
      continue;
    }
    for (let i: usize = 0; i < bytes; i++) {
      store<u8>(output + i, load<u8>(p.table + <usize>load<u8>(input + i)));
    }
  }
}

/** Element i of an image through the table of 256 bytes at tables + 256 * rows[i] (uint16). */
export function lookup_by_position(params: usize): void {
  const p = changetype<PositionLookup>(params);
  let input = p.input,
    output = p.output;
  for (let image = 0; image < p.batches; image++) {
    for (let i = 0; i < p.elements; i++, input++, output++) {
      const row = <usize>load<u16>(p.rows + ((<usize>i) << 1)) << 8;
      store<u8>(output, load<u8>(p.tables + row + <usize>load<u8>(input)));
    }
  }
}

/** Pixel (y, x) of the output is pixel (rows[y], columns[x]) of the input. */
export function resize_nearest_neighbor(params: usize): void {
  const p = changetype<Resize>(params),
    pixel = <usize>p.inputDepth;
  const rowBytes = <usize>(p.inputWidth * p.inputDepth);
  let input = p.input,
    output = p.output;
  for (let image = 0; image < p.batches; image++, input += <usize>p.inputHeight * rowBytes) {
    for (let y: usize = 0; y < <usize>p.outputHeight; y++) {
      const row = input + <usize>load<u32>(p.rows + (y << 2)) * rowBytes;
      for (let x: usize = 0; x < <usize>p.outputWidth; x++, output += pixel) {
        copyRun(output, row + <usize>load<u32>(p.columns + (x << 2)) * pixel, pixel);
      }
    }
  }
}

/** acc * 2^-bits: half up, or half away from zero. */
@inline
function divide(acc: i32, bits: i32, halfAway: bool): i32 {
  const half = 1 << (bits - 1);
  if (!halfAway) return (acc + half) >> bits;
  return acc > 0 ? (acc + half) / (1 << bits) : (acc - half) / (1 << bits);
}

/**
 * rows, columns: three int32 an output row or column: lower index, upper index, weight of the upper one in 2^-weightBits.
 * Source: TFLite reference ResizeBilinearInteger (10 bits); XNNPACK s8-ibilinear (11 bits), whose two steps are exact.
 */
export function resize_bilinear_s8(params: usize): void {
  const p = changetype<Resize>(params),
    depth = p.inputDepth,
    one = 1 << p.weightBits,
    halfAway = p.halfAway != 0;
  const rowBytes = <usize>(p.inputWidth * depth);
  let input = p.input,
    output = p.output;
  for (let image = 0; image < p.batches; image++, input += <usize>p.inputHeight * rowBytes) {
    for (let y: usize = 0; y < <usize>p.outputHeight; y++) {
      const row = p.rows + y * 12,
        down = load<i32>(row, 8);
      const top = input + <usize>load<u32>(row) * rowBytes,
        bottom = input + <usize>load<u32>(row, 4) * rowBytes;
      for (let x: usize = 0; x < <usize>p.outputWidth; x++) {
        const column = p.columns + x * 12,
          right = load<i32>(column, 8);
        const left = <usize>(load<i32>(column) * depth),
          next = <usize>(load<i32>(column, 4) * depth);
        for (let i: usize = 0; i < <usize>depth; i++, output++) {
          const above =
            <i32>load<i8>(top + left + i) * (one - right) + <i32>load<i8>(top + next + i) * right;
          const below =
            <i32>load<i8>(bottom + left + i) * (one - right) + <i32>load<i8>(bottom + next + i) * right;
          store<i8>(output, <i8>divide(above * (one - down) + below * down, p.weightBits << 1, halfAway));
        }
      }
    }
  }
}
