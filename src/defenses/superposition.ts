import type { ImageSet } from "../data/dataset.ts";
import type { Random } from "../random.ts";
import type { Subject } from "./defense.ts";
import { entropy, probabilities } from "./probabilities.ts";

/** How two pixel values become one. */
export interface Mode {
  id: string;
  title: string;
  /** Whether the result needs more than a byte, so that only a float model can take it. */
  unbounded: boolean;
  /** Of whole images, into `output`; a loop of its own in each mode, as a call for every pixel costs more than the sum. */
  mix(image: Uint8Array, overlay: Uint8Array, output: Float32Array | Uint8Array): void;
}

export const MODES: readonly Mode[] = [
  {
    id: "unclippedSum",
    title: "unclipped sum",
    unbounded: true,
    mix(image, overlay, output) {
      for (let p = 0; p < image.length; p++) output[p] = image[p] + overlay[p];
    },
  },
  {
    id: "saturatingAdd",
    title: "saturating uint8 add",
    unbounded: false,
    mix(image, overlay, output) {
      for (let p = 0; p < image.length; p++) output[p] = Math.min(255, image[p] + overlay[p]);
    },
  },
  {
    id: "halfBlend",
    title: "uint8 half blend, half up",
    unbounded: false,
    mix(image, overlay, output) {
      for (let p = 0; p < image.length; p++) output[p] = (image[p] + overlay[p] + 1) >> 1;
    },
  },
];

export interface SuperpositionOptions {
  mode: Mode;
  /** Clean images to draw from. */
  pool: ImageSet;
  /** Overlays an image. */
  overlays: number;
  random: Random;
}

/** Images that go through the model at a time, at least. */
const BATCH = 64;

/**
 * STRIP's H: for each image, the mean entropy in bits of the model's predictions under overlays drawn from the pool,
 * with replacement between images and without within one.
 */
export function superpositionEntropies(
  subject: Subject,
  images: ImageSet,
  options: SuperpositionOptions,
  progress: (done: number) => void,
): Float64Array {
  const { mode, overlays } = options;
  const size = images.height * images.width * images.channels;
  const together = Math.max(1, Math.ceil(BATCH / overlays));
  const Buffer = mode.unbounded ? Float32Array : Uint8Array;
  const mixed = new Buffer(together * overlays * size);
  const result = new Float64Array(images.count);
  for (let from = 0; from < images.count; from += together) {
    const to = Math.min(images.count, from + together);
    for (let i = from; i < to; i++) {
      const block = mixed.subarray((i - from) * overlays * size, (i - from + 1) * overlays * size);
      superpose(images.pixels.subarray(i * size, (i + 1) * size), block, options);
    }
    const count = (to - from) * overlays;
    const values = probabilities(subject, subject.scores(mixed.subarray(0, count * size), count), count);
    for (let n = 0; n < count; n++)
      result[from + Math.floor(n / overlays)] +=
        entropy(values, n * subject.classes, subject.classes) / overlays;
    progress(to);
  }
  return result;
}

/** `image` under each of its overlays, one after the other, into `output`. */
function superpose(
  image: Uint8Array,
  output: Float32Array | Uint8Array,
  options: SuperpositionOptions,
): void {
  const { pool, overlays, mode, random } = options;
  const size = image.length;
  const drawn = new Set<number>();
  while (drawn.size < overlays) drawn.add(random.below(pool.count));
  let at = 0;
  for (const index of drawn) {
    const overlay = pool.pixels.subarray(index * size, (index + 1) * size);
    mode.mix(image, overlay, output.subarray(at, at + size));
    at += size;
  }
}
