import { convertIndexedToRgb, decode } from "fast-png";
import { DataError } from "../errors.ts";
import { checkSize, type Decoded, oneLine } from "./pictureLimits.ts";

const SIGNATURE = [0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a];
/** What decides the pixels. All other chunks are dropped before decoding: a profile or a text may be a bomb too. */
const KEPT = new Set(["IHDR", "PLTE", "tRNS", "IDAT", "IEND"]);
/** Samples a pixel by colour type: grey, RGB, palette, grey and alpha, RGBA. */
const SAMPLES: Record<number, number> = { 0: 1, 2: 3, 3: 1, 4: 2, 6: 4 };
/** Deflate makes at most 1,032 bytes of one: up to here no data can grow beyond 32 MiB. */
const HARMLESS = 32 << 10;

interface Chunk {
  type: string;
  /** The whole chunk with length and checksum, and its data alone. */
  bytes: Uint8Array;
  data: Uint8Array;
}

export const isPng = (bytes: Uint8Array): boolean => SIGNATURE.every((byte, i) => bytes[i] === byte);

/**
 * Pixels as RGB or grey, 8 bits; 16 bits are rounded down to their high byte. Size and inflated size are checked before
 * anything is decoded. @throws DataError naming the file for what is no PNG, breaks off, fails a checksum, is too large, or is
 * not opaque.
 */
export async function decodePng(bytes: Uint8Array, path: string): Promise<Decoded> {
  const chunks = chunksOf(bytes, path);
  const header = chunks[0].data;
  const view = new DataView(header.buffer, header.byteOffset, header.byteLength);
  if (chunks[0].type !== "IHDR" || header.length !== 13)
    throw new DataError(path, "a PNG header", chunks[0].type);
  const [width, height, depth, colour] = [view.getUint32(0), view.getUint32(4), header[8], header[9]];
  checkSize({ width, height }, path);
  const row = Math.ceil((width * (SAMPLES[colour] ?? 4) * depth) / 8) + 1;
  await checkInflated(
    chunks.filter(({ type }) => type === "IDAT").map(({ data }) => data),
    // Interlaced: each of seven passes may add a filter byte a line.
    row * height + 8 * height,
    path,
  );
  const kept = chunks.filter(({ type }) => KEPT.has(type)).map(({ bytes: chunk }) => chunk);
  try {
    return samples(decode(joined([Uint8Array.from(SIGNATURE), ...kept]), { checkCrc: true }), path);
  } catch (error) {
    if (error instanceof DataError) throw error;
    throw new DataError(path, "a PNG", oneLine(error));
  }
}

function chunksOf(bytes: Uint8Array, path: string): Chunk[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const chunks: Chunk[] = [];
  for (let at = 8; chunks.at(-1)?.type !== "IEND"; ) {
    const length = at + 12 <= bytes.length ? view.getUint32(at) : Infinity;
    if (at + 12 + length > bytes.length)
      throw new DataError(`${path}: byte ${at}`, "a whole PNG chunk", "the end of the file");
    const type = String.fromCharCode(...bytes.subarray(at + 4, at + 8)).replace(/[^ -~]/g, "?");
    const end = at + 12 + length;
    chunks.push({ type, bytes: bytes.subarray(at, end), data: bytes.subarray(at + 8, end - 4) });
    at = end;
  }
  return chunks;
}

/** Inflates, counting alone, and stops at the first byte too many. */
async function checkInflated(parts: readonly Uint8Array[], maximum: number, path: string): Promise<void> {
  if (parts.reduce((sum, { length }) => sum + length, 0) <= HARMLESS) return;
  const inflated = new Blob(parts as Uint8Array<ArrayBuffer>[])
    .stream()
    .pipeThrough(new DecompressionStream("deflate"));
  let total = 0;
  try {
    for await (const chunk of inflated) {
      total += chunk.length;
      if (total > maximum) break;
    }
  } catch (error) {
    throw new DataError(path, "a PNG", oneLine(error));
  }
  if (total > maximum)
    throw new DataError(
      path,
      `${maximum} bytes of pixels at most, as its size says`,
      "data that inflate to more",
    );
}

function joined(parts: readonly Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

type Png = ReturnType<typeof decode>;

function samples(png: Png, path: string): Decoded {
  const { width, height, depth } = png;
  if (png.palette) {
    const data = convertIndexedToRgb(png);
    return opaque({ width, height, channels: data.length / (width * height), data }, path);
  }
  if (png.transparency && png.transparency.length > 0)
    throw new DataError(path, "an opaque image", "a transparent colour");
  const data =
    depth === 16
      ? Uint8Array.from(png.data as Uint16Array, (value) => value >> 8)
      : depth === 8
        ? (png.data as Uint8Array)
        : unpacked(png);
  return opaque({ width, height, channels: png.channels, data }, path);
}

/** Greys of 1, 2 or 4 bits, each line on a byte of its own, as 0..255. */
function unpacked({ width, height, depth, data }: Png): Uint8Array {
  const perLine = Math.ceil((width * depth) / 8);
  const top = (1 << depth) - 1;
  return Uint8Array.from({ length: width * height }, (_, i) => {
    const [y, bit] = [Math.floor(i / width), (i % width) * depth];
    const byte = data[y * perLine + (bit >> 3)];
    return (((byte >> (8 - depth - (bit & 7))) & top) * 255) / top;
  });
}

/** Without its alpha, which must be 255 everywhere: a model sees no background. */
function opaque(
  image: { width: number; height: number; channels: number; data: Uint8Array },
  path: string,
): Decoded {
  const { width, height, channels, data } = image;
  if (channels === 1 || channels === 3) return { width, height, channels, pixels: data };
  const colours = channels === 2 ? 1 : 3;
  const pixels = new Uint8Array(width * height * colours);
  for (let i = 0; i < width * height; i++) {
    if (data[i * channels + colours] !== 255)
      throw new DataError(path, "an opaque image", "transparent pixels");
    for (let c = 0; c < colours; c++) pixels[i * colours + c] = data[i * channels + c];
  }
  return { width, height, channels: colours as 1 | 3, pixels };
}
