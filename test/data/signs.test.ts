import { expect, test } from "vitest";
import { DATASETS } from "../../src/data/datasets.ts";
import { sha256 } from "../../src/data/files.ts";
import { SIGN_CLASSES } from "../../src/data/signClasses.ts";
import { drawTexture } from "../../src/data/signDrawing.ts";
import { digests, memoryFiles } from "./memoryFiles.ts";

const SMALL = { train: 430, held: 86, test: 100 };
const load = (options: object) => DATASETS.signs.load(options, memoryFiles({}));
const small = await load({ images: SMALL });
const digest = await digests(small);
const splits = [small.train, small.held, small.test];

test("the first images are these bytes in every engine", async () => {
  expect(await sha256(small.train.pixels.subarray(0, 200 * 3072))).toBe(
    "345f629f8de23d52095c04bbdcd46b651b8dc55d7d7dae6848b64854447249ac",
  );
  expect(small.sha256["drawing"]).toBe("a9e575ec28cf1bc254c66de6858b929c1983e01cac2fdf2ea2014dfaa4a7800a");
});

test("each split has exactly the images asked for, of every class", () => {
  expect(splits.map(({ count }) => count)).toEqual([430, 86, 100]);
  for (const { labels } of splits) expect(new Set(labels).size).toBe(43);
});

test("classes are mildly imbalanced", async () => {
  const { train } = await load({ images: { ...SMALL, train: 2150 } });
  const counts = new Array(43).fill(0);
  for (const label of train.labels) counts[label]++;
  expect(Math.min(...counts)).toBeGreaterThanOrEqual(33);
  expect(Math.max(...counts)).toBeLessThanOrEqual(67);
});

test("no track is in two splits, and none has two classes or over 10 frames", () => {
  const seen = new Set<number>();
  for (const { tracks, labels, count } of splits) {
    const own = new Map<number, number[]>();
    for (let i = 0; i < count; i++) own.set(tracks[i], [...(own.get(tracks[i]) ?? []), labels[i]]);
    for (const [track, classes] of own) {
      expect(seen.has(track)).toBe(false);
      expect(new Set(classes).size).toBe(1);
      expect(classes.length).toBeLessThanOrEqual(10);
      seen.add(track);
    }
  }
});

test("no split is sorted by class", () => {
  for (const { labels } of splits) expect(new Set(labels.subarray(0, 43)).size).toBeGreaterThan(20);
});

test("the same seed draws the same, another seed does not", async () => {
  expect(await digests(await load({ images: SMALL }))).toEqual(digest);
  const other = await digests(await load({ images: SMALL, seed: 2 }));
  for (const split of ["train", "held", "test", "sha256"] as const)
    expect(other[split]).not.toEqual(digest[split]);
});

test("more images of one split leave the others as they are", async () => {
  const more = await digests(await load({ images: { ...SMALL, train: 900 } }));
  expect(more.test).toBe(digest.test);
  expect(more.held).toBe(digest.held);
});

test("any two classes differ in 1 % of the texture at least", () => {
  const drawn = SIGN_CLASSES.map((sign) => {
    const paints = ["none", sign.rim, sign.fill, sign.ink];
    return Array.from(drawTexture(sign), (code) => paints[code]);
  });
  for (let a = 0; a < drawn.length; a++) {
    for (let b = 0; b < a; b++) {
      const differing = drawn[a].filter((paint, i) => paint !== drawn[b][i]).length;
      const pair = `${SIGN_CLASSES[a].name}, ${SIGN_CLASSES[b].name}`;
      expect(differing / drawn[a].length, pair).toBeGreaterThan(0.01);
    }
  }
});

test("options that mean nothing here are refused", async () => {
  await expect(load({ path: "x" })).rejects.toThrow("signs: expected no path (it is drawn), got x");
  await expect(load({ heldShare: 0.2 })).rejects.toThrow("got heldShare");
  await expect(load({ images: { test: 42 } })).rejects.toThrow("images.test: expected 43..1000000, got 42");
});
