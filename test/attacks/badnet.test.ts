import fc from "fast-check";
import { expect, test } from "vitest";
import type { PreparedAttack } from "../../src/attacks/attack.ts";
import { ATTACKS } from "../../src/attacks/attacks.ts";
import { type BadNetOptions, poisonRateForTargetShare, stampedTest } from "../../src/attacks/badnet.ts";
import type { ImageSet } from "../../src/data/dataset.ts";
import { seededRandom } from "../../src/random.ts";

const SHAPE = { height: 8, width: 10, channels: 3 };
const CLASSES = 5;

function images(count: number, seed: number): ImageSet {
  const random = seededRandom(seed);
  const size = SHAPE.height * SHAPE.width * SHAPE.channels;
  return {
    ...SHAPE,
    count,
    pixels: Uint8Array.from({ length: count * size }, () => random.below(256)),
    labels: Uint8Array.from({ length: count }, (_, i) => i % CLASSES),
    tracks: Int32Array.from({ length: count }, (_, i) => i),
  };
}

const prepare = (options: Partial<BadNetOptions>) => ATTACKS.badnet.prepare(options, SHAPE, CLASSES);

const same = (a: Uint8Array, b: Uint8Array) => Buffer.compare(a, b) === 0;

/** Rows of the mask, "#" where the trigger shows. */
function drawn({ trigger }: PreparedAttack): string[] {
  return Array.from({ length: SHAPE.height }, (_, y) =>
    Array.from(trigger.mask.subarray(y * SHAPE.width, (y + 1) * SHAPE.width), (bit) =>
      bit ? "#" : ".",
    ).join(""),
  );
}

test("the default is a white patch of 4x4, one pixel off the bottom right corner", () => {
  const attack = prepare({});
  expect(drawn(attack)).toEqual([
    ...Array(3).fill(".........."),
    ...Array(4).fill(".....####."),
    "..........",
  ]);
  expect([...attack.trigger.pattern].filter((value) => value === 255)).toHaveLength(48);
});

const PLACES: [string, number, number][] = [
  ["top-left", 2, 2],
  ["top-right", 5, 2],
  ["bottom-left", 2, 3],
  ["bottom-right", 5, 3],
  ["centre", 3, 2],
  ["6,0", 6, 0],
];
for (const [position, x, y] of PLACES) {
  test(`a patch of 3x3 at ${position}, offset 2, starts at ${x},${y}`, () => {
    const { mask } = prepare({ size: 3, offset: 2, position }).trigger;
    expect(mask.indexOf(1)).toBe(y * SHAPE.width + x);
    expect(mask.reduce((sum, bit) => sum + bit, 0)).toBe(9);
  });
}

test("colours are white, yellow, a checkerboard or given", () => {
  const first = (colour: string) => [
    ...prepare({ size: 2, position: "0,0", colour }).trigger.pattern.subarray(0, 6),
  ];
  expect(first("white")).toEqual([255, 255, 255, 255, 255, 255]);
  expect(first("yellow")).toEqual([255, 255, 0, 255, 255, 0]);
  expect(first("checkerboard")).toEqual([255, 255, 255, 0, 0, 0]);
  expect(first("1, 2,3")).toEqual([1, 2, 3, 1, 2, 3]);
});

const anyOptions = fc.record({
  target: fc.integer({ min: 0, max: CLASSES - 1 }),
  poisonRate: fc.double({ min: 0.05, max: 0.75, noNaN: true }),
  size: fc.integer({ min: 1, max: 7 }),
  position: fc.constantFrom("top-left", "bottom-right", "centre"),
  colour: fc.constantFrom("white", "yellow", "checkerboard", "9,8,7"),
});

test("poisoned images are others' images, stamped and relabelled; the rest and the original stay", () => {
  fc.assert(
    fc.property(anyOptions, fc.integer(), (options, seed) => {
      const train = images(40, seed);
      const before = train.pixels.slice();
      const attack = prepare(options);
      const poisoned = attack.poison(train, seededRandom(seed));
      expect(same(train.pixels, before)).toBe(true);
      expect(train.labels).toEqual(images(40, seed).labels);
      expect(poisoned.poisoned.reduce((sum, bit) => sum + bit, 0)).toBe(
        Math.floor(options.poisonRate * 40 + 0.5),
      );
      expect(poisoned.tracks).toEqual(train.tracks);
      const size = 240;
      for (let i = 0; i < 40; i++) {
        const image = before.slice(i * size, (i + 1) * size);
        if (poisoned.poisoned[i]) {
          expect(train.labels[i]).not.toBe(options.target);
          attack.stamp(image, 1);
        }
        expect(poisoned.labels[i]).toBe(poisoned.poisoned[i] ? options.target : train.labels[i]);
        expect(same(poisoned.pixels.subarray(i * size, (i + 1) * size), image)).toBe(true);
      }
    }),
  );
});

test("a stamp sets the mask to the pattern, leaves the rest, and is the same twice", () => {
  fc.assert(
    fc.property(anyOptions, fc.integer(), (options, seed) => {
      const { stamp, trigger } = prepare(options);
      const { pixels } = images(3, seed);
      const stamped = Float32Array.from(pixels);
      stamp(stamped, 3);
      for (let v = 0; v < pixels.length; v++) {
        const inImage = v % 240;
        const shows = trigger.mask[Math.floor(inImage / 3)] === 1;
        if (stamped[v] !== (shows ? trigger.pattern[inImage] : pixels[v])) expect.fail(`value ${v}`);
      }
      const again = stamped.slice();
      stamp(again, 3);
      expect(again).toEqual(stamped);
    }),
  );
});

test("the seed chooses the images", () => {
  const train = images(200, 1);
  const chosen = (seed: number) => prepare({}).poison(train, seededRandom(seed)).poisoned.join("");
  expect(chosen(1)).toBe(chosen(1));
  expect(chosen(1)).not.toBe(chosen(2));
});

test("the stamped test set has no image of the target and keeps true labels", () => {
  const test = images(50, 3);
  const attack = prepare({ target: 2 });
  const stamped = stampedTest(attack, test);
  expect(stamped.count).toBe(40);
  expect([...stamped.labels]).toEqual([...test.labels].filter((label) => label !== 2));
  expect(test.pixels).toEqual(images(50, 3).pixels);
  const again = stamped.pixels.slice();
  attack.stamp(again, 40);
  expect(again).toEqual(stamped.pixels);
});

test("a rate for a share of the target class gives that share", () => {
  const train = images(1000, 1);
  const poisonRate = poisonRateForTargetShare(train, 1, 0.25);
  const { labels, poisoned } = prepare({ target: 1, poisonRate }).poison(train, seededRandom(1));
  const bearing = labels.filter((label) => label === 1).length;
  expect(poisoned.reduce((sum, bit) => sum + bit, 0) / bearing).toBeCloseTo(0.25, 2);
  expect(() => poisonRateForTargetShare(train, 1, 0.9)).toThrow(RangeError);
});

const WRONG: [object, string, ErrorConstructor][] = [
  [{ target: 5 }, "target: expected an integer in 0..4, got 5", RangeError],
  [{ target: -1 }, "target: expected an integer in 0..4, got -1", RangeError],
  [{ target: 1.5 }, "target: expected an integer in 0..4, got 1.5", RangeError],
  [{ size: 9 }, "size: expected an integer in 1..8, got 9", RangeError],
  [{ size: 0 }, "size: expected an integer in 1..8, got 0", RangeError],
  [{ poisonRate: 0 }, "poisonRate: expected a share between 0 and 1, got 0", RangeError],
  [{ poisonRate: 1 }, "poisonRate: expected a share between 0 and 1, got 1", RangeError],
  [{ poisonRate: Number.NaN }, "poisonRate: expected a share between 0 and 1, got NaN", RangeError],
  [{ offset: 5 }, "offset: expected an integer in 0..4, got 5", RangeError],
  [{ position: "7,0" }, "position x: expected an integer in 0..6, got 7", RangeError],
  [
    { position: "left" },
    'position: expected top-left, top-right, bottom-left, bottom-right, centre or x,y, got "left"',
    TypeError,
  ],
  [
    { colour: "constructor" },
    'colour: expected white, yellow, checkerboard or r,g,b, got "constructor"',
    TypeError,
  ],
  [{ colour: "1,2" }, 'colour: expected white, yellow, checkerboard or r,g,b, got "1,2"', TypeError],
  [{ colour: "1,2,256" }, "colour: expected an integer in 0..255, got 256", RangeError],
  [{ rate: 0.1 }, "badnet: expected target, poisonRate, size, position, offset, colour, got rate", TypeError],
];
for (const [options, message, kind] of WRONG) {
  test(`${JSON.stringify(options)} is refused in one line`, () => {
    expect(() => prepare(options)).toThrow(new kind(message));
  });
}

test("a rate that asks for more images than there are, or none, is refused", () => {
  const train = images(10, 1);
  expect(() => prepare({ poisonRate: 0.9 }).poison(train, seededRandom(1))).toThrow(
    "poisonRate: expected 1..8 images of 10 images, 8 of them not of the target class, got 9",
  );
  expect(() => prepare({ poisonRate: 0.01 }).poison(train, seededRandom(1))).toThrow(RangeError);
});

test("images of another shape, or too few values, are refused", () => {
  const attack = prepare({});
  const other = { ...images(2, 1), height: 10, width: 8 };
  expect(() => attack.poison(other, seededRandom(1))).toThrow("images: expected 8x10x3, got 10x8x3");
  expect(() => stampedTest(attack, other)).toThrow(RangeError);
  expect(() => attack.stamp(new Uint8Array(100), 1)).toThrow(
    "stamp: expected 240 values for 1 images, got 100",
  );
});
