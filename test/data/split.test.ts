import fc from "fast-check";
import { expect, test } from "vitest";
import type { ImageSet } from "../../src/data/dataset.ts";
import { limited, splitByTrack } from "../../src/data/split.ts";
import { seededRandom } from "../../src/random.ts";

/** Tracks of each class, each with its number of frames; every image is one pixel that holds its index. */
function setOf(classes: number[][]): ImageSet {
  const labels: number[] = [];
  const tracks: number[] = [];
  let track = 0;
  classes.forEach((frames, label) => {
    for (const count of frames) {
      for (let f = 0; f < count; f++) {
        labels.push(label);
        tracks.push(track);
      }
      track++;
    }
  });
  const count = labels.length;
  const pixels = Uint8Array.from({ length: count }, (_, i) => i & 255);
  return {
    count,
    height: 1,
    width: 1,
    channels: 1,
    pixels,
    labels: Uint8Array.from(labels),
    tracks: Int32Array.from(tracks),
  };
}

const sourceOf = (classes: number[][]) => ({
  set: setOf(classes),
  classNames: classes.map((_, label) => `c${label}`),
  path: "somewhere",
});

const anyClasses = fc.array(fc.array(fc.integer({ min: 1, max: 6 }), { minLength: 2, maxLength: 12 }), {
  minLength: 1,
  maxLength: 8,
});
const anyShare = fc.double({ min: 0.01, max: 0.99, noNaN: true });

test("no track is in both parts, every image is in one, every class in both", () => {
  fc.assert(
    fc.property(anyClasses, anyShare, fc.integer(), (classes, share, seed) => {
      const source = sourceOf(classes);
      const { train, held } = splitByTrack(source, share, seededRandom(seed));
      const heldTracks = new Set(held.tracks);
      expect(train.tracks.some((track) => heldTracks.has(track))).toBe(false);
      expect(train.count + held.count).toBe(source.set.count);
      expect([...train.tracks, ...held.tracks].sort()).toEqual([...source.set.tracks].sort());
      expect(new Set(train.labels).size).toBe(classes.length);
      expect(new Set(held.labels).size).toBe(classes.length);
    }),
  );
});

test("labels and pixels stay with their track", () => {
  const source = sourceOf([
    [2, 3, 1],
    [4, 4],
  ]);
  const { train, held } = splitByTrack(source, 0.4, seededRandom(5));
  for (const part of [train, held]) {
    for (let i = 0; i < part.count; i++) {
      expect(source.set.tracks[part.pixels[i]]).toBe(part.tracks[i]);
      expect(source.set.labels[part.pixels[i]]).toBe(part.labels[i]);
    }
  }
});

test("the share of tracks held out is rounded to the nearest", () => {
  const { held } = splitByTrack(sourceOf([Array(20).fill(1), Array(10).fill(1)]), 0.15, seededRandom(1));
  expect([...held.labels].filter((label) => label === 0)).toHaveLength(3);
  expect([...held.labels].filter((label) => label === 1)).toHaveLength(2);
});

test("the same seed gives the same split, another seed another", () => {
  const source = sourceOf([Array(30).fill(2), Array(30).fill(2)]);
  const order = (seed: number) => splitByTrack(source, 0.2, seededRandom(seed)).held.pixels.join();
  expect(order(4)).toBe(order(4));
  expect(order(4)).not.toBe(order(5));
});

test("no part is sorted by class", () => {
  const { train, held } = splitByTrack(sourceOf(Array(4).fill(Array(40).fill(1))), 0.5, seededRandom(1));
  for (const part of [train, held]) expect(new Set(part.labels.subarray(0, 20)).size).toBe(4);
});

test("a class without images is named with its file", () => {
  expect(() => splitByTrack(sourceOf([[1, 1], []]), 0.2, seededRandom(1))).toThrow(
    "somewhere: expected images of class 1 (c1), got none in 2 images",
  );
});

test("a class with one track cannot be split", () => {
  expect(() => splitByTrack(sourceOf([[1, 1], [5]]), 0.2, seededRandom(1))).toThrow(
    "somewhere: expected two tracks or more of class 1 (c1) to hold one out, got 1",
  );
});

test("a track with two classes is refused", () => {
  const source = sourceOf([[2, 2], [2]]);
  source.set.tracks[5] = 0;
  expect(() => splitByTrack(source, 0.2, seededRandom(1))).toThrow(
    "somewhere: image 5: expected class 0 like the rest of track 0, got 1",
  );
});

for (const share of [0, 1, -0.1, Number.NaN]) {
  test(`a held share of ${share} is refused`, () => {
    expect(() => splitByTrack(sourceOf([[1, 1]]), share, seededRandom(1))).toThrow(RangeError);
  });
}

test("a limited set has that many different images of every class", () => {
  const source = sourceOf([Array(60).fill(1), Array(3).fill(1), Array(2).fill(1)]);
  fc.assert(
    fc.property(fc.integer({ min: 3, max: 80 }), fc.integer(), (maximum, seed) => {
      const part = limited(source, maximum, seededRandom(seed));
      expect(part.count).toBe(Math.min(maximum, source.set.count));
      expect(new Set(part.tracks).size).toBe(part.count);
      expect(new Set(part.labels).size).toBe(3);
    }),
  );
  expect(() => limited(source, 2, seededRandom(1))).toThrow(
    "images: expected an integer of at least 3 classes, got 2",
  );
});
