import { DataError } from "../errors.ts";

/** A decoded picture: NHWC of one image, grey or RGB. */
export interface Decoded {
  width: number;
  height: number;
  channels: 1 | 3;
  pixels: Uint8Array;
}

const MAXIMUM_SIDE = 8192;
export const MAXIMUM_PIXELS = 1 << 24;

/** @throws DataError naming the file. */
export function checkSize({ width, height }: { width: number; height: number }, path: string): void {
  const fits = (side: number) => side >= 1 && side <= MAXIMUM_SIDE;
  if (!fits(width) || !fits(height) || width * height > MAXIMUM_PIXELS)
    throw new DataError(
      path,
      `1 to ${MAXIMUM_SIDE} pixels a side and ${MAXIMUM_PIXELS} in all`,
      `${width} x ${height}`,
    );
}

/** A library's message, as the rest of a sentence. */
export function oneLine(error: unknown): string {
  const { message, cause } = error as Error;
  const why = cause instanceof Error ? `${message} ${cause.message}` : message;
  return (why || "something else").replace(/\s+/g, " ").slice(0, 120);
}
