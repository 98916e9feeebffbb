import type { Pixels } from "../defenses/defense.ts";
import type { Values } from "../model/compile.ts";
import { contentHasher } from "./contentHash.ts";

/** Bytes of results that one network keeps. */
const KEPT_BYTES = 64 << 20;
const FIRST_ROOM = 256;

/** One of the tensors that are remembered of each image. */
export interface RememberedPart {
  /** Values an image. */
  width: number;
  make(length: number): Values;
}

/** Rows of all parts by content, growing. */
class Generation {
  #parts: readonly RememberedPart[];
  #places = new Map<number, number>();
  #checks = new Float64Array(FIRST_ROOM);
  #rows: Values[];

  constructor(parts: readonly RememberedPart[]) {
    this.#parts = parts;
    this.#rows = parts.map(({ width, make }) => make(FIRST_ROOM * width));
  }

  get size(): number {
    return this.#places.size;
  }

  place(key: number, check: number): number {
    const place = this.#places.get(key);
    return place !== undefined && this.#checks[place] === check ? place : -1;
  }

  /** Of two images with one key the first is kept. */
  add(key: number, check: number, rows: readonly Values[], image: number): void {
    if (this.#places.has(key)) return;
    const place = this.#places.size;
    if (place === this.#checks.length) this.#grow();
    this.#places.set(key, place);
    this.#checks[place] = check;
    this.copy(rows, image, this.#rows, place);
  }

  read(place: number, to: readonly Values[], image: number): void {
    this.copy(this.#rows, place, to, image);
  }

  /** Row `image` of every part of `from` to row `place` of `to`. */
  copy(from: readonly Values[], image: number, to: readonly Values[], place: number): void {
    this.#parts.forEach(({ width }, p) => {
      to[p].set(from[p].subarray(image * width, (image + 1) * width), place * width);
    });
  }

  #grow(): void {
    const checks = new Float64Array(2 * this.#checks.length);
    checks.set(this.#checks);
    this.#checks = checks;
    this.#rows = this.#rows.map((rows, p) => {
      const more = this.#parts[p].make(2 * rows.length);
      more.set(rows);
      return more;
    });
  }
}

/**
 * `compute` for the images that were not seen before: defenses, and the arms in which they run, show a network the same
 * images again and again. Images are known by their content; of the results the last 32 to 64 MiB are kept.
 * size: pixel values an image. compute: the parts of `count` images, of which none may depend on its neighbours.
 */
export function rememberImages(
  size: number,
  parts: readonly RememberedPart[],
  compute: (pixels: Pixels, count: number) => Values[],
): (pixels: Pixels, count: number) => Values[] {
  const hash = contentHasher(4 * size);
  const rowBytes = parts.reduce((sum, { width, make }) => sum + width * make(0).BYTES_PER_ELEMENT, 0);
  const limit = Math.max(FIRST_ROOM, Math.floor(KEPT_BYTES / 2 / rowBytes));
  let [young, old] = [new Generation(parts), new Generation(parts)];
  return (pixels, count) => {
    const all = parts.map(({ width, make }) => make(count * width));
    const missing: { image: number; key: number; check: number }[] = [];
    for (let image = 0; image < count; image++) {
      const { key, check } = hash(pixels.subarray(image * size, (image + 1) * size));
      const holder = [young, old].find((generation) => generation.place(key, check) >= 0);
      if (holder) holder.read(holder.place(key, check), all, image);
      else missing.push({ image, key, check });
    }
    if (missing.length === 0) return all;
    const rows = compute(gathered(pixels, missing, count, size), missing.length);
    missing.forEach(({ image, key, check }, i) => {
      young.copy(rows, i, all, image);
      if (young.size >= limit) [young, old] = [new Generation(parts), young];
      young.add(key, check, rows, i);
    });
    return all;
  };
}

function gathered(pixels: Pixels, images: readonly { image: number }[], count: number, size: number): Pixels {
  if (images.length === count) return pixels;
  const Buffer = pixels instanceof Uint8Array ? Uint8Array : Float32Array;
  const some = new Buffer(images.length * size);
  images.forEach(({ image }, i) => some.set(pixels.subarray(image * size, (image + 1) * size), i * size));
  return some;
}
