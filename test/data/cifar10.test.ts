import { expect, test } from "vitest";
import { DATASETS } from "../../src/data/datasets.ts";
import { DataError } from "../../src/errors.ts";
import { digests, memoryFiles, records } from "./memoryFiles.ts";

const EACH = Array.from({ length: 10 }, (_, label) => label);
const BATCHES = {
  "d/data_batch_1.bin": records(EACH),
  "d/data_batch_2.bin": records(EACH),
  "d/data_batch_3.bin": records(EACH),
  "d/data_batch_4.bin": records(EACH),
  "d/data_batch_5.bin": records(EACH),
  "d/test_batch.bin": records([...EACH, 3]),
};
const load = (contents: Record<string, Uint8Array | string>, path = "d") =>
  DATASETS.cifar10.load({ path }, memoryFiles(contents));

test("the official batches are five of training and one of test", async () => {
  const { train, held, test, caveat, sha256 } = await load(BATCHES);
  expect([train.count, held.count, test.count]).toEqual([40, 10, 11]);
  expect(caveat).toBe("");
  expect(Object.keys(sha256)).toHaveLength(6);
  const tracks = [...train.tracks, ...held.tracks, ...test.tracks];
  expect(new Set(tracks).size).toBe(61);
});

test("the directory above the batches will do, with or without a slash", async () => {
  const moved = Object.fromEntries(
    Object.entries(BATCHES).map(([path, bytes]) => [path.replace("d/", "up/cifar-10-batches-bin/"), bytes]),
  );
  expect((await load(moved, "up")).train.count).toBe(40);
  expect((await load(moved, "up/")).train.count).toBe(40);
});

test("lossless and JPEG parts are read together, and the caveat says so", async () => {
  const { train, held, test, caveat } = await load({
    "d/train_lossless.bin": records(EACH),
    "d/train_jpeg.bin": records(EACH),
    "d/test_lossless.bin": records(EACH),
    "d/test_jpeg.bin": records(EACH),
  });
  expect([train.count, held.count, test.count]).toEqual([10, 10, 20]);
  expect(caveat).toMatch(/JPEG .*not comparable with published/);
});

test("limits and seeds reach the splits", async () => {
  const files = memoryFiles(BATCHES);
  const options = { path: "d", seed: 3, heldShare: 0.4, images: { train: 12, test: 10 } };
  const first = await DATASETS.cifar10.load(options, files);
  expect([first.train.count, first.held.count, first.test.count]).toEqual([12, 20, 10]);
  expect(await digests(await DATASETS.cifar10.load(options, files))).toEqual(await digests(first));
  const other = await DATASETS.cifar10.load({ ...options, seed: 4 }, files);
  expect((await digests(other)).train).not.toBe((await digests(first)).train);
});

const without = (name: string) =>
  Object.fromEntries(Object.entries(BATCHES).filter(([path]) => path !== name));
const EXPECTED =
  "CIFAR-10 as data_batch_1.bin data_batch_2.bin data_batch_3.bin data_batch_4.bin data_batch_5.bin test_batch.bin, or train_lossless.bin train_jpeg.bin test_lossless.bin test_jpeg.bin";

const BAD: [string, Record<string, Uint8Array | string>, DataError][] = [
  ["a missing batch", without("d/data_batch_4.bin"), new DataError("d/data_batch_4.bin", "a file", "none")],
  ["no directory", {}, new DataError("d", "a directory with the data set", "nothing there")],
  ["a file", { d: "x" }, new DataError("d", "a directory with the data set", "a file")],
  ["other files", { "d/a.txt": "x", "d/b": "y" }, new DataError("d", EXPECTED, "a.txt b")],
  [
    "the Python version",
    { "d/data_batch_1": "x" },
    new DataError("d", EXPECTED, "the Python version (get the binary version, cifar-10-binary.tar.gz)"),
  ],
  [
    "an empty batch",
    { ...BATCHES, "d/data_batch_2.bin": "" },
    new DataError("d/data_batch_2.bin", "data", "an empty file"),
  ],
  [
    "a class that the test set lacks",
    { ...BATCHES, "d/test_batch.bin": records(EACH.slice(1)) },
    new DataError("d (test)", "images of class 0 (airplane)", "none in 9 images"),
  ],
  [
    "a label of another data set",
    { ...BATCHES, "d/data_batch_1.bin": records([1, 2, 42]) },
    new DataError("d/data_batch_1.bin: record 2 at byte 6146", "a label in 0..9", "42"),
  ],
];
for (const [what, contents, error] of BAD) {
  test(`${what} is refused in one line`, async () => {
    await expect(load(contents)).rejects.toThrow(error);
  });
}

test("an archive is refused with the advice to unpack it", async () => {
  await expect(load({ "a.tar.gz": "x" }, "a.tar.gz")).rejects.toThrow(
    "a.tar.gz: expected a directory with the data set, got an archive (unpack it and name the directory)",
  );
});

test("a missing path is a wrong call", async () => {
  await expect(DATASETS.cifar10.load({}, memoryFiles({}))).rejects.toThrow(
    "cifar10: expected the path of a directory, got none",
  );
});
