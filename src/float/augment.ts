import type { Random } from "../random.ts";

/** Images as bytes, NHWC, with a class index each. An ImageSet is one; so is a PoisonedSet. */
export interface TrainingImages {
  count: number;
  height: number;
  width: number;
  channels: number;
  pixels: Uint8Array;
  labels: Uint8Array;
  /** 1 where the image carries the trigger. */
  poisoned?: Uint8Array;
}

export interface Augmentation {
  /** Shift by at most `crop` pixels on each axis; what comes in from outside is black. */
  crop: number;
  /** Mirror left to right, half of the images. Not for signs. */
  flip: boolean;
}

interface Placement {
  dy: number;
  dx: number;
  mirrored: boolean;
}

/** Draws in a fixed order, so that a switched-off part does not move the stream of another. */
function place({ crop, flip }: Augmentation, random: Random): Placement {
  const dy = random.below(2 * crop + 1) - crop;
  const dx = random.below(2 * crop + 1) - crop;
  return { dy, dx, mirrored: flip && random.below(2) === 1 };
}

/** Copies one image, moved by (dy, dx), over a black one. */
function copyPlaced(
  image: Uint8Array,
  out: Uint8Array,
  { height, width, channels }: TrainingImages,
  { dy, dx, mirrored }: Placement,
): void {
  out.fill(0);
  for (let y = Math.max(0, dy); y < Math.min(height, height + dy); y++) {
    for (let x = Math.max(0, dx); x < Math.min(width, width + dx); x++) {
      const from = ((y - dy) * width + (mirrored ? width - 1 - (x - dx) : x - dx)) * channels;
      const to = (y * width + x) * channels;
      for (let c = 0; c < channels; c++) out[to + c] = image[from + c];
    }
  }
}

export interface Batch {
  pixels: Uint8Array;
  labels: Int32Array;
}

/** The images at `indices`, augmented; those that are poisoned are stamped afterwards, so that the trigger never moves. */
export function assembleBatch(
  images: TrainingImages,
  indices: Uint32Array,
  augmentation: Augmentation,
  random: Random,
  stamp?: (pixels: Uint8Array, count: number) => void,
): Batch {
  const size = images.height * images.width * images.channels;
  const pixels = new Uint8Array(indices.length * size);
  const labels = new Int32Array(indices.length);
  indices.forEach((index, i) => {
    const image = images.pixels.subarray(index * size, (index + 1) * size);
    const out = pixels.subarray(i * size, (i + 1) * size);
    copyPlaced(image, out, images, place(augmentation, random));
    if (images.poisoned?.[index]) stamp?.(out, 1);
    labels[i] = images.labels[index];
  });
  return { pixels, labels };
}
