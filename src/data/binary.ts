import { DataError } from "../errors.ts";

/** Images as read, before they are split. */
export interface Records {
  count: number;
  /** count * 32 * 32 * 3, NHWC. */
  pixels: Uint8Array;
  labels: Uint8Array;
}

export const SIDE = 32;
export const IMAGE_BYTES = SIDE * SIDE * 3;
const PLANE = SIDE * SIDE;
const RECORD_BYTES = 1 + IMAGE_BYTES;

/**
 * Reads records of 1 label byte and 3 planes (R, G, B) of 32x32 bytes into NHWC. classes: labels are 0..classes-1.
 * Throws DataError naming the first bad record. Source: CIFAR-10 binary version, cs.toronto.edu/~kriz/cifar.html.
 */
export function readRecords(bytes: Uint8Array, path: string, classes: number): Records {
  const over = bytes.length % RECORD_BYTES;
  const count = (bytes.length - over) / RECORD_BYTES;
  if (over !== 0) {
    const where = `${path}: record ${count} at byte ${count * RECORD_BYTES}`;
    throw new DataError(where, `${RECORD_BYTES} bytes a record`, `${over} left`);
  }
  const pixels = new Uint8Array(count * IMAGE_BYTES);
  const labels = new Uint8Array(count);
  for (let i = 0; i < count; i++) {
    const start = i * RECORD_BYTES;
    const label = bytes[start];
    if (label >= classes) {
      throw new DataError(
        `${path}: record ${i} at byte ${start}`,
        `a label in 0..${classes - 1}`,
        `${label}`,
      );
    }
    labels[i] = label;
    interleave(bytes, start + 1, pixels, i * IMAGE_BYTES);
  }
  return { count, pixels, labels };
}

function interleave(from: Uint8Array, start: number, to: Uint8Array, offset: number): void {
  for (let p = 0; p < PLANE; p++) {
    to[offset + 3 * p] = from[start + p];
    to[offset + 3 * p + 1] = from[start + PLANE + p];
    to[offset + 3 * p + 2] = from[start + 2 * PLANE + p];
  }
}

/** All of `parts` in their order. */
export function concatenate(parts: Records[]): Records {
  const count = parts.reduce((sum, part) => sum + part.count, 0);
  const pixels = new Uint8Array(count * IMAGE_BYTES);
  const labels = new Uint8Array(count);
  let at = 0;
  for (const part of parts) {
    pixels.set(part.pixels, at * IMAGE_BYTES);
    labels.set(part.labels, at);
    at += part.count;
  }
  return { count, pixels, labels };
}
