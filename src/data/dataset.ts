/** Images as bytes, NHWC, with their labels. */
export interface ImageSet {
  count: number;
  height: number;
  width: number;
  channels: number;
  /** count * height * width * channels bytes. */
  pixels: Uint8Array;
  /** One class index an image. */
  labels: Uint8Array;
  /** Images of one track show one physical object and are never split. */
  tracks: Int32Array;
}

/** A data set split by track. `train` trains (and is what an attacker poisons), `held` is clean and belongs to the
 * defender and to calibration, `test` measures. */
export interface Dataset {
  name: string;
  classNames: string[];
  train: ImageSet;
  held: ImageSet;
  test: ImageSet;
  /** sha256 of every file, or of the drawing parameters, it came from. */
  sha256: Record<string, string>;
  /** One sentence about limits of this data that a reader of accuracies must know; empty if none. */
  caveat: string;
}

/** The images at `indices`, copied, in that order. */
export function select(set: ImageSet, indices: ArrayLike<number>): ImageSet {
  const { height, width, channels } = set;
  const size = height * width * channels;
  const count = indices.length;
  const pixels = new Uint8Array(count * size);
  const labels = new Uint8Array(count);
  const tracks = new Int32Array(count);
  for (let i = 0; i < count; i++) {
    const from = indices[i];
    pixels.set(set.pixels.subarray(from * size, (from + 1) * size), i * size);
    labels[i] = set.labels[from];
    tracks[i] = set.tracks[from];
  }
  return { count, height, width, channels, pixels, labels, tracks };
}
