import { decode as decodeJpegData } from "jpeg-js";
import { DataError } from "../errors.ts";
import { checkSize, type Decoded, MAXIMUM_PIXELS, oneLine } from "./pictureLimits.ts";
import { decodePng, isPng } from "./png.ts";
import { parsePpm } from "./ppm.ts";

/** A format of pictures. */
interface PictureFormat {
  name: string;
  endings: readonly string[];
  /** Whether the first bytes are its. */
  matches(bytes: Uint8Array): boolean;
  decode(bytes: Uint8Array, path: string): Decoded | Promise<Decoded>;
}

/** Pure JavaScript decoders, so that every runtime gets the same bytes. */
export const PICTURE_FORMATS: readonly PictureFormat[] = [
  { name: "PNG", endings: [".png"], matches: isPng, decode: decodePng },
  {
    name: "JPEG",
    endings: [".jpg", ".jpeg"],
    matches: (bytes) => bytes[0] === 0xff && bytes[1] === 0xd8,
    decode: decodeJpeg,
  },
  {
    name: "binary PPM",
    endings: [".ppm"],
    matches: (bytes) => bytes[0] === 0x50 && bytes[1] === 0x36,
    decode: (bytes, path) => ({ ...parsePpm(bytes, path), channels: 3 }),
  },
];

export const isPicture = (name: string): boolean =>
  PICTURE_FORMATS.some(({ endings }) => endings.some((ending) => name.toLowerCase().endsWith(ending)));

/** A picture by what its bytes say, whatever its name. @throws DataError naming the file. */
export async function decodePicture(bytes: Uint8Array, path: string): Promise<Decoded> {
  const format = PICTURE_FORMATS.find(({ matches }) => matches(bytes));
  if (!format) {
    const known = PICTURE_FORMATS.map(({ name }) => name).join(", ");
    throw new DataError(
      path,
      `a picture (${known})`,
      bytes.length === 0 ? "an empty file" : "something else",
    );
  }
  return format.decode(bytes, path);
}

const MEMORY_MIB = 512;

/** RGB. Orientation in EXIF is not applied. */
function decodeJpeg(bytes: Uint8Array, path: string): Decoded {
  checkSize(jpegSize(bytes, path), path);
  try {
    const { width, height, data } = decodeJpegData(bytes, {
      useTArray: true,
      formatAsRGBA: false,
      tolerantDecoding: false,
      maxResolutionInMP: Math.ceil(MAXIMUM_PIXELS / 1e6),
      maxMemoryUsageInMB: MEMORY_MIB,
    });
    if (data.length !== width * height * 3) throw new Error("pixels of another number");
    return { width, height, channels: 3, pixels: data };
  } catch (error) {
    throw new DataError(path, "a JPEG", oneLine(error));
  }
}

/** From the first frame header, before anything is decoded. Source: ITU-T T.81, B.2.2. */
function jpegSize(bytes: Uint8Array, path: string): { width: number; height: number } {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  for (let at = 2; at + 9 <= bytes.length; ) {
    const marker = bytes[at + 1];
    if (bytes[at] !== 0xff) break;
    if (marker >= 0xc0 && marker <= 0xcf && marker !== 0xc4 && marker !== 0xc8 && marker !== 0xcc)
      return { height: view.getUint16(at + 5), width: view.getUint16(at + 7) };
    at += marker === 0xff ? 1 : 2 + view.getUint16(at + 2);
  }
  throw new DataError(path, "a JPEG with a frame header", "none");
}
