import { expect, test } from "vitest";
import { packed, unpacked } from "../../src/harness/packed.ts";

const VALUE = {
  name: "naïve",
  list: [
    { mask: Float32Array.of(0.1, -0, 1e-40), solved: true },
    { mask: new Float32Array(0), solved: false },
  ],
  norm: 0.1 + 0.2,
  none: null,
  odd: [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY],
};

test("gives back numbers, texts and arrays as they were, to the last bit", () => {
  const again = unpacked<typeof VALUE>(packed(VALUE));
  expect(again).toEqual(VALUE);
  expect(Object.is(again.list[0].mask[1], -0)).toBe(true);
});

test("reads bytes that lie at an odd place of a larger buffer, as files do", () => {
  const bytes = packed(VALUE);
  const file = Buffer.alloc(bytes.length + 3);
  file.set(bytes, 3);
  expect(unpacked(file.subarray(3))).toEqual(VALUE);
});
