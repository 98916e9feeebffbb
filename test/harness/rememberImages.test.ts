import { describe, expect, it } from "vitest";
import type { Pixels } from "../../src/defenses/defense.ts";
import { contentHasher } from "../../src/harness/contentHash.ts";
import { rememberImages } from "../../src/harness/rememberImages.ts";
import { seededRandom } from "../../src/random.ts";

const SIZE = 12;

const PARTS = [
  { width: 1, make: (length: number) => new Float32Array(length) },
  { width: 2, make: (length: number) => new Int8Array(length) },
];

/** Sum, and first and last pixel less 128, of each image; and how many images were computed. */
function sums() {
  const counted = { images: 0 };
  const compute = (pixels: Pixels, count: number) => {
    counted.images += count;
    const rows = PARTS.map(({ width, make }) => make(count * width));
    for (let i = 0; i < count; i++) {
      const image = [...pixels.subarray(i * SIZE, (i + 1) * SIZE)];
      rows[0][i] = image.reduce((a, b) => a + b, 0);
      rows[1].set([image[0] - 128, image[SIZE - 1] - 128], 2 * i);
    }
    return rows;
  };
  return { counted, compute };
}

const images = (count: number, seed: number) => {
  const random = seededRandom(seed);
  return Uint8Array.from({ length: count * SIZE }, () => random.below(256));
};

describe("rememberImages", () => {
  it("computes an image once, wherever it stands, and gives what computing gives", () => {
    const own = sums();
    const seen = rememberImages(SIZE, PARTS, own.compute);
    const [a, b] = [images(5, 1), images(4, 2)];
    const mixed = new Uint8Array([...b, ...a, ...a, ...b]);
    expect(seen(a, 5)).toEqual(sums().compute(a, 5));
    expect(seen(mixed, 18)).toEqual(sums().compute(mixed, 18));
    expect(seen(mixed.slice(), 18)).toEqual(sums().compute(mixed, 18));
    expect(own.counted.images).toBe(5 + 8);
  });

  it("tells floats from bytes and a changed array from what it was", () => {
    const own = sums();
    const seen = rememberImages(SIZE, PARTS, own.compute);
    const a = images(1, 3);
    seen(a, 1);
    seen(
      Float32Array.from(a, (value) => value + 0.25),
      1,
    );
    a[7] ^= 128;
    expect(seen(a, 1)).toEqual(sums().compute(a, 1));
    expect(own.counted.images).toBe(3);
  });

  it("goes on giving right rows when more were seen than it keeps", () => {
    const width = 1 << 17;
    const compute = (pixels: Pixels, count: number) => {
      const rows = new Int8Array(count * width);
      for (let i = 0; i < count; i++) rows.fill(pixels[i * SIZE] - 128, i * width, (i + 1) * width);
      return [rows];
    };
    const seen = rememberImages(SIZE, [{ width, make: (length) => new Int8Array(length) }], compute);
    const all = images(700, 4);
    for (const from of [0, 300, 100, 400]) {
      const part = all.subarray(from * SIZE, (from + 300) * SIZE);
      for (let i = 0; i < 300; i++)
        expect(seen(part.subarray(i * SIZE, (i + 1) * SIZE), 1)[0][width - 1]).toBe(part[i * SIZE] - 128);
    }
  });
});

describe("contentHasher", () => {
  const hash = contentHasher(4096);

  it("differs for every one and every two flipped bits of an image", () => {
    const image = images(10, 6);
    const found = new Set([JSON.stringify(hash(image))]);
    let tried = 1;
    for (let i = 0; i < 8 * image.length; i += 5)
      for (let j = i; j < 8 * image.length; j += 97) {
        const other = image.slice();
        other[i >> 3] ^= 1 << (i & 7);
        if (j !== i) other[j >> 3] ^= 1 << (j & 7);
        found.add(JSON.stringify(hash(other)));
        tried++;
      }
    expect(found.size).toBe(tried);
  });

  it("tells lengths of zeros apart", () => {
    const found = new Set(Array.from({ length: 64 }, (_, n) => hash(new Uint8Array(n)).key));
    expect(found.size).toBe(64);
  });
});
