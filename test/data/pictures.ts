import { encode as encodePng } from "fast-png";
import { encode as encodeJpeg } from "jpeg-js";

/** Pixel (x, y) of a drawn picture: smooth in both directions, so that JPEG keeps it. */
export function drawn(width: number, height: number, channels: number): Uint8Array {
  return Uint8Array.from({ length: width * height * channels }, (_, i) => {
    const [pixel, c] = [Math.floor(i / channels), i % channels];
    return (20 + 3 * (pixel % width) + 2 * Math.floor(pixel / width) + 40 * c) % 256;
  });
}

export function png(
  width: number,
  height: number,
  channels = 3,
  data = drawn(width, height, channels),
): Uint8Array {
  return encodePng({ width, height, channels, depth: 8, data });
}

export function jpeg(width: number, height: number, quality = 95): Uint8Array {
  const rgb = drawn(width, height, 3);
  const rgba = Uint8Array.from({ length: width * height * 4 }, (_, i) =>
    i % 4 === 3 ? 255 : rgb[Math.floor(i / 4) * 3 + (i % 4)],
  );
  return Uint8Array.from(encodeJpeg({ width, height, data: rgba }, quality).data);
}

const CRC = Uint32Array.from({ length: 256 }, (_, n) => {
  let c = n;
  for (let k = 0; k < 8; k++) c = c & 1 ? 0xedb88320 ^ (c >>> 1) : c >>> 1;
  return c;
});

/** A PNG chunk with its checksum. */
export function chunk(type: string, data: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(data.length + 12);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, data.length);
  bytes.set(new TextEncoder().encode(type), 4);
  bytes.set(data, 8);
  let crc = 0xffffffff;
  for (const byte of bytes.subarray(4, -4)) crc = CRC[(crc ^ byte) & 255] ^ (crc >>> 8);
  view.setUint32(data.length + 8, crc ^ 0xffffffff);
  return bytes;
}

export function join(...parts: Uint8Array[]): Uint8Array {
  return Uint8Array.from(parts.flatMap((part) => [...part]));
}

/** The header chunk of a PNG. */
export function header(width: number, height: number, depth = 8, colour = 2): Uint8Array {
  const data = new Uint8Array(13);
  const view = new DataView(data.buffer);
  view.setUint32(0, width);
  view.setUint32(4, height);
  data[8] = depth;
  data[9] = colour;
  return chunk("IHDR", data);
}

export const SIGNATURE = Uint8Array.of(0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a);
