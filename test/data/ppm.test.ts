import { expect, test } from "vitest";
import { parsePpm, resizeBilinear } from "../../src/data/ppm.ts";
import { ppm } from "./memoryFiles.ts";

const ascii = (text: string) => new TextEncoder().encode(text);

test("a picture keeps its size and pixels, comments are skipped", () => {
  const { width, height, pixels } = parsePpm(ppm(3, 2, [9, 8, 7]), "a.ppm");
  expect([width, height]).toEqual([3, 2]);
  expect([...pixels]).toEqual([9, 8, 7, 9, 8, 7, 9, 8, 7, 9, 8, 7, 9, 8, 7, 9, 8, 7]);
});

const BAD: [string, Uint8Array, string][] = [
  ["a text PPM", ascii("P3\n1 1\n255\n1 2 3"), 'byte 0: expected the magic P6 of a binary PPM, got "P3"'],
  ["an empty file", ascii(""), 'byte 0: expected the magic P6 of a binary PPM, got ""'],
  ["a width of 0", ascii("P6 0 1 255 "), "byte 2: width: expected 1..4096, got 0"],
  ["a vast height", ascii("P6 1 99999 255 "), "byte 4: height: expected 1..4096, got 99999"],
  ["a word for a number", ascii("P6 1 x 255 "), "byte 5: expected the height, got no decimal number"],
  ["16 bits a channel", ascii("P6 1 1 65535 abcdef"), "maximum value: expected 255, got 65535"],
  ["a header that ends early", ascii("P6 1"), "byte 4: expected the height, got no decimal number"],
  [
    "a comment without end",
    ascii(`P6 #${"x".repeat(9000)}`),
    "byte 4096: expected the width, got no decimal number",
  ],
  ["missing pixels", ascii("P6 2 2 255 abc"), "byte 11: expected 12 bytes for 2x2 pixels, got 3"],
  ["no pixels", ascii("P6 2 2 255"), "byte 11: expected 12 bytes for 2x2 pixels, got 0"],
];
for (const [what, bytes, message] of BAD) {
  test(`${what} is refused at its place`, () => {
    expect(() => parsePpm(bytes, "a.ppm")).toThrow(`a.ppm: ${message}`);
  });
}

function resized(width: number, height: number, pixels: number[], side: number): number[] {
  const to = new Uint8Array(side * side * 3);
  const grey = Uint8Array.from(pixels.flatMap((value) => [value, value, value]));
  resizeBilinear({ width, height, pixels: grey }, side, to, 0);
  return Array.from({ length: side * side }, (_, i) => to[3 * i]);
}

test("a resize to the same side changes nothing", () => {
  expect(resized(2, 2, [10, 20, 30, 40], 2)).toEqual([10, 20, 30, 40]);
});

test("doubling weighs neighbours 3 to 1 and repeats the edge", () => {
  // cv2.resize of [[0, 100]] to width 4 gives 0 25 75 100.
  expect(resized(2, 1, [0, 100], 4).slice(0, 4)).toEqual([0, 25, 75, 100]);
});

test("halving by three takes the middle pixel", () => {
  expect(resized(6, 1, [1, 2, 3, 4, 5, 6], 2)).toEqual([2, 5, 2, 5]);
});

test("one pixel fills the picture", () => {
  expect(resized(1, 1, [77], 3)).toEqual(Array(9).fill(77));
});
