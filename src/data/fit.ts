import { DataError } from "../errors.ts";
import type { Decoded } from "./pictureLimits.ts";

/** How a picture of another size becomes the model's. crop: the largest part in the middle of the right shape; stretch: all of it. */
export const RESIZES = ["crop", "stretch"] as const;
export type Resize = (typeof RESIZES)[number];

export interface ImageShape {
  height: number;
  width: number;
  channels: number;
}

/**
 * The picture in the model's size: unchanged where it has it, else each pixel the mean of the area that it covers, rounded half up.
 * Integers only, so that every engine gives the same bytes. Grey becomes three equal channels; colours become grey by
 * (77 R + 150 G + 29 B + 128) >> 8 (BT.601). @throws DataError naming the file where sizes differ and `resize` is null.
 */
export function fitPicture(
  picture: Decoded,
  shape: ImageShape,
  resize: Resize | null,
  path: string,
): Uint8Array {
  const { height, width } = shape;
  const same = picture.height === height && picture.width === width;
  if (!same && resize === null)
    throw new DataError(
      path,
      `${width} x ${height} pixels (or say how to resize)`,
      `${picture.width} x ${picture.height}`,
    );
  return inChannels(same ? picture : resized(picture, shape, resize!), shape.channels);
}

function inChannels({ pixels, channels }: Decoded, wanted: number): Uint8Array {
  if (channels === wanted) return pixels;
  if (channels === 1)
    return Uint8Array.from({ length: pixels.length * 3 }, (_, i) => pixels[Math.floor(i / 3)]);
  return Uint8Array.from({ length: pixels.length / 3 }, (_, i) => {
    const [r, g, b] = pixels.subarray(3 * i, 3 * i + 3);
    return (77 * r + 150 * g + 29 * b + 128) >> 8;
  });
}

/** Part of the picture along one axis, and the output positions that it becomes. */
interface Axis {
  first: number;
  size: number;
  output: number;
}

function resized(picture: Decoded, { height, width }: ImageShape, resize: Resize): Decoded {
  let [rows, columns] = [picture.height, picture.width];
  if (resize === "crop") {
    if (columns * height > rows * width) columns = Math.max(1, Math.floor((rows * width) / height));
    else rows = Math.max(1, Math.floor((columns * height) / width));
  }
  const y: Axis = { first: (picture.height - rows) >> 1, size: rows, output: height };
  const x: Axis = { first: (picture.width - columns) >> 1, size: columns, output: width };
  return { height, width, channels: picture.channels, pixels: areaMeans(picture, y, x) };
}

/** Where output position `i` begins, in input pixels times `output`: input pixel p covers [p * output, (p + 1) * output). */
const begin = ({ size }: Axis, i: number) => i * size;

function areaMeans({ pixels, width, channels }: Decoded, y: Axis, x: Axis): Uint8Array {
  const out = new Uint8Array(y.output * x.output * channels);
  const area = y.size * x.size;
  const sums = new Float64Array(channels);
  for (let i = 0; i < y.output; i++)
    for (let j = 0; j < x.output; j++) {
      sums.fill(0);
      eachCovered(y, i, (row, high) =>
        eachCovered(x, j, (column, wide) => {
          const at = (row * width + column) * channels;
          for (let c = 0; c < channels; c++) sums[c] += high * wide * pixels[at + c];
        }),
      );
      const at = (i * x.output + j) * channels;
      for (let c = 0; c < channels; c++) out[at + c] = Math.floor((2 * sums[c] + area) / (2 * area));
    }
  return out;
}

/** Input pixels that output position `i` covers, each with the length covered, of `size` in all. */
function eachCovered(axis: Axis, i: number, visit: (input: number, length: number) => void): void {
  const { first, output } = axis;
  const [from, to] = [begin(axis, i), begin(axis, i + 1)];
  for (let p = Math.floor(from / output); p * output < to; p++)
    visit(first + p, Math.min(to, (p + 1) * output) - Math.max(from, p * output));
}
