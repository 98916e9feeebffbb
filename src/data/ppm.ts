import { DataError } from "../errors.ts";

export interface Picture {
  height: number;
  width: number;
  /** height * width * 3, NHWC. */
  pixels: Uint8Array;
}

const MAXIMUM_SIDE = 4096;
/** A header may not be longer than this, comments included. */
const HEADER_BYTES = 4096;

/** Reads a binary PPM (magic P6, 8 bits). Throws DataError with the byte offset. Source: netpbm, ppm(5). */
export function parsePpm(bytes: Uint8Array, path: string): Picture {
  if (bytes[0] !== 0x50 || bytes[1] !== 0x36) {
    const got = String.fromCharCode(...bytes.subarray(0, 2)).replace(/[^ -~]/g, "?");
    throw new DataError(`${path}: byte 0`, "the magic P6 of a binary PPM", JSON.stringify(got));
  }
  let at = 2;
  const next = (what: string, maximum: number): number => {
    const number = headerNumber(bytes, at, path, what);
    if (number.value < 1 || number.value > maximum) {
      throw new DataError(`${path}: byte ${at}: ${what}`, `1..${maximum}`, `${number.value}`);
    }
    at = number.end;
    return number.value;
  };
  const width = next("width", MAXIMUM_SIDE);
  const height = next("height", MAXIMUM_SIDE);
  const maximum = next("maximum value", 65535);
  if (maximum !== 255) throw new DataError(`${path}: maximum value`, "255", `${maximum}`);
  const start = at + 1;
  const size = height * width * 3;
  if (bytes.length - start < size) {
    const expected = `${size} bytes for ${width}x${height} pixels`;
    throw new DataError(`${path}: byte ${start}`, expected, `${Math.max(0, bytes.length - start)}`);
  }
  return { height, width, pixels: bytes.subarray(start, start + size) };
}

/** The decimal number after white space and comments at `start`, and the offset behind its last digit. */
function headerNumber(
  bytes: Uint8Array,
  start: number,
  path: string,
  what: string,
): { value: number; end: number } {
  const limit = Math.min(bytes.length, HEADER_BYTES);
  let at = start;
  let comment = false;
  for (; at < limit; at++) {
    const byte = bytes[at];
    if (comment) comment = byte !== 0x0a;
    else if (byte === 0x23) comment = true;
    else if (byte !== 0x20 && (byte < 0x09 || byte > 0x0d)) break;
  }
  const first = at;
  let value = 0;
  while (at < limit && at - first < 9 && bytes[at] >= 0x30 && bytes[at] <= 0x39) {
    value = value * 10 + bytes[at++] - 0x30;
  }
  if (at === first) throw new DataError(`${path}: byte ${first}`, `the ${what}`, "no decimal number");
  return { value, end: at };
}

/**
 * Resizes the whole frame by bilinear interpolation without anti-aliasing, half-pixel centres, edges clamped: OpenCV's
 * cv2.resize default up to its fixed-point rounding (1 level). Writes side * side * 3 bytes to `to` at `offset`.
 */
export function resizeBilinear(from: Picture, side: number, to: Uint8Array, offset: number): void {
  const rows = taps(from.height, side);
  const columns = taps(from.width, side);
  for (let y = 0; y < side; y++) {
    const top = rows.low[y] * from.width;
    const bottom = rows.high[y] * from.width;
    const v = rows.weight[y];
    for (let x = 0; x < side; x++) {
      const left = columns.low[x];
      const right = columns.high[x];
      const u = columns.weight[x];
      for (let c = 0; c < 3; c++) {
        const a = from.pixels[(top + left) * 3 + c] * (1 - u) + from.pixels[(top + right) * 3 + c] * u;
        const b = from.pixels[(bottom + left) * 3 + c] * (1 - u) + from.pixels[(bottom + right) * 3 + c] * u;
        to[offset + (y * side + x) * 3 + c] = Math.floor(a * (1 - v) + b * v + 0.5);
      }
    }
  }
}

/** For each output position the two input positions and the weight of the second. */
function taps(from: number, to: number): { low: Int32Array; high: Int32Array; weight: Float64Array } {
  const low = new Int32Array(to);
  const high = new Int32Array(to);
  const weight = new Float64Array(to);
  for (let i = 0; i < to; i++) {
    const at = Math.min(Math.max(((i + 0.5) * from) / to - 0.5, 0), from - 1);
    low[i] = Math.floor(at);
    high[i] = Math.min(low[i] + 1, from - 1);
    weight[i] = at - low[i];
  }
  return { low, high, weight };
}
