import { expect, test } from "vitest";
import { PLAIN_BLENDS } from "../../src/defenses/softTrigger.ts";
import { floatBlends } from "../../src/float/blends.ts";
import { seededRandom } from "../../src/random.ts";
import { backend, normals } from "./setup.ts";

const blends = floatBlends(backend);

test.each([
  [1024, 3, 8],
  [5, 3, 2],
  [7, 1, 3],
  [1, 1, 1],
  [9, 4, 1],
])(
  "blends of %i pixels, %i channels, %i images have the bits of those without a backend",
  (area, channels, count) => {
    const random = seededRandom(area);
    const length = area * channels;
    const trigger = {
      mask: Float32Array.from({ length: area }, () => random.uniform()),
      pattern: Float32Array.from({ length }, () => 255 * random.uniform()),
    };
    const pixels = Uint8Array.from({ length: count * length }, () => random.below(256));
    const gradient = normals(random, count * length);
    const [own, plain] = [blends, PLAIN_BLENDS].map(({ blend, blendGradient }) => {
      const images = new Float32Array(count * length);
      // Left from an update before: overwritten.
      const sums = { mask: new Float64Array(area).fill(1), pattern: new Float64Array(length).fill(1) };
      blend(trigger, pixels, count, images);
      blendGradient(trigger, pixels, gradient, sums);
      return { images, ...sums };
    });
    expect(own).toEqual(plain);
    expect(own.images.some((value) => value !== 0)).toBe(true);
  },
);
