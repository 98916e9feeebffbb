import { describe, expect, it } from "vitest";
import { halves, listImages, readImages } from "../../src/data/labelled.ts";
import { formatNpy } from "../../src/data/npy.ts";
import { DataError } from "../../src/errors.ts";
import { seededRandom } from "../../src/random.ts";
import { memoryFiles, ppm } from "./memoryFiles.ts";
import { png } from "./pictures.ts";

const SHAPE = { height: 2, width: 3, channels: 3 };
const red = ppm(3, 2, [200, 0, 0]);
const blue = ppm(3, 2, [0, 0, 99]);
type Contents = Record<string, Uint8Array | string>;

const load = async (contents: Contents, path = "set", classes = 2) => {
  const files = memoryFiles(contents);
  const list = await listImages(path, classes, files);
  return { list, set: await readImages(list, SHAPE, null, files) };
};
const refused = (contents: Contents, path = "set", classes = 2) =>
  load(contents, path, classes).catch((error: unknown) => {
    expect(error).toBeInstanceOf(DataError);
    return (error as Error).message;
  });

describe("a folder a class", () => {
  const contents = {
    "set/stop/b.ppm": blue,
    "set/stop/a.ppm": red,
    "set/give way/1.PPM": blue,
    "set/readme.md": "x",
  };

  it("has its classes in the order of their names, and its pictures in theirs", async () => {
    const { list, set } = await load(contents);
    expect(list.classNames).toEqual(["give way", "stop"]);
    expect([...set.labels]).toEqual([0, 1, 1]);
    expect([0, 18, 36].map((at) => [...set.pixels.subarray(at, at + 3)])).toEqual([
      [0, 0, 99],
      [200, 0, 0],
      [0, 0, 99],
    ]);
  });

  it("has those of labels.txt where there is one", async () => {
    const { list, set } = await load({ ...contents, "set/labels.txt": "stop\ngive way\nother\n" });
    expect(list.classNames).toEqual(["stop", "give way", "other"]);
    expect([...set.labels]).toEqual([1, 0, 0]);
  });

  it("takes names that are numbers for the class numbers, 10 after 9", async () => {
    const { list, set } = await load(
      { "set/10/a.ppm": red, "set/9/a.ppm": blue, "set/0/a.ppm": red },
      "set/",
      12,
    );
    expect(list.classNames).toHaveLength(12);
    expect([...set.labels].sort((a, b) => a - b)).toEqual([0, 9, 10]);
  });

  it("has a digest that a byte, a name or a label changes", async () => {
    const digest = async (more: Contents) =>
      JSON.stringify((await load({ ...contents, ...more })).list.sha256);
    const plain = await digest({});
    expect(await digest({ "set/readme.md": "other" })).toBe(plain);
    const others: Contents[] = [
      { "set/stop/b.ppm": red },
      { "set/stop/c.ppm": red },
      { "set/labels.txt": "stop\ngive way" },
    ];
    for (const more of others) expect(await digest(more)).not.toBe(plain);
  });

  it("is refused in one line that says what is wrong", async () => {
    expect(await refused({})).toBe("set: expected a directory with the data set, got nothing there");
    expect(await refused({ "set/a.ppm": red })).toMatch(
      /^set: expected a folder of pictures .*, got no picture$/,
    );
    expect(await refused({ ...contents, "set/labels.txt": "stop\nyield" })).toMatch(
      /^set\/give way: expected one of 2 labels .*, got give way$/,
    );
    expect(await refused({ ...contents, "set/labels.txt": "stop\nstop" })).toBe(
      "set/labels.txt: expected every class once, got stop twice",
    );
    expect(await refused({ "set/a/x.ppm": "P6 nonsense", "set/b/y.ppm": red })).toMatch(/^set\/a\/x.ppm: /);
    expect(await refused({ "set/a/x.png": png(4, 4), "set/b/y.ppm": red })).toMatch(
      /^set\/a\/x.png: expected 3 x 2 pixels .*, got 4 x 4$/,
    );
  });
});

describe("a CSV", () => {
  const csv = "path,label\nx.ppm,stop\nsub/y.ppm,give way\n";
  const pictures = { "set/x.ppm": red, "set/sub/y.ppm": blue };

  it("names pictures from where it lies, and their classes", async () => {
    const { list, set } = await load({ "set/list.csv": csv, ...pictures }, "set/list.csv");
    expect(list.classNames).toEqual(["give way", "stop"]);
    expect([...set.labels]).toEqual([1, 0]);
  });

  it("may name classes by number", async () => {
    const { set } = await load(
      { "set/list.csv": "label,path\n3,x.ppm\n0,sub/y.ppm\n", ...pictures },
      "set/list.csv",
      5,
    );
    expect([...set.labels]).toEqual([3, 0]);
  });

  it("is refused with the line", async () => {
    const of = (text: string, more: Contents = {}) =>
      refused({ "set/list.csv": text, ...pictures, ...more }, "set/list.csv");
    expect(await of("file,label\nx.ppm,1\n")).toMatch(/^set\/list.csv: line 1: expected a column path/);
    expect(await of("path,label\nx.ppm\n")).toMatch(/^set\/list.csv: line 2: expected 2 cells/);
    expect(await of("path,label\nnone.ppm,a\n")).toMatch(/^set\/none.ppm: expected a file, got none$/);
    expect(await of(csv, { "set/labels.txt": "stop\n" })).toMatch(
      /^set\/list.csv: line 3: label: expected one of 1 labels/,
    );
  });
});

describe("images.npy", () => {
  const images = formatNpy({ shape: [2, 2, 3, 3], data: Uint8Array.from({ length: 36 }, (_, i) => i) });
  const int64 = (values: number[]) => {
    const bytes = formatNpy({ shape: [values.length], data: Int32Array.from(values) });
    const text = Buffer.from(bytes.subarray(0, 128)).toString("latin1").replace("<i4", "<i8");
    return Uint8Array.from([
      ...Buffer.from(text, "latin1"),
      ...new Uint8Array(BigInt64Array.from(values, BigInt).buffer),
    ]);
  };

  it("holds the images, labels.npy their classes, as numpy's int64 too", async () => {
    const labels = formatNpy({ shape: [2], data: Int32Array.of(1, 0) });
    for (const each of [labels, int64([1, 0])]) {
      const { list, set } = await load({ "set/images.npy": images, "set/labels.npy": each });
      expect(list.classNames).toEqual(["0", "1"]);
      expect([...set.labels]).toEqual([1, 0]);
      expect(set.pixels[35]).toBe(35);
    }
  });

  it("is refused in one line that says what is wrong", async () => {
    const of = (labels: Uint8Array, pixels = images) =>
      refused({ "set/images.npy": pixels, "set/labels.npy": labels });
    expect(await refused({ "set/images.npy": images })).toBe("set/labels.npy: expected a file, got none");
    expect(await of(int64([1, 2]))).toBe("set/labels.npy: label 1: expected 0..1, got 2");
    expect(await of(int64([1]))).toBe("set/labels.npy: expected 2 whole numbers, got shape (1)");
    expect(await of(int64([1, 2 ** 40]))).toMatch(/labels.npy: value 1: expected an int32/);
    const floats = formatNpy({ shape: [2, 2, 3, 3], data: new Float32Array(36) });
    expect(await of(int64([1, 0]), floats)).toMatch(
      /images.npy: expected uint8 of shape .*, got Float32Array/,
    );
  });
});

describe("halves of a set", () => {
  it("hold every image once and each class in both, whatever the order was", () => {
    const labels = Uint8Array.from({ length: 40 }, (_, i) => Math.floor(i / 10));
    const pixels = Uint8Array.from({ length: 40 }, (_, i) => i);
    const set = { count: 40, height: 1, width: 1, channels: 1, pixels, labels, tracks: new Int32Array(40) };
    const [clean, test] = halves(set, seededRandom(1));
    expect([...clean.pixels, ...test.pixels].sort((a, b) => a - b)).toEqual([...pixels]);
    for (const half of [clean, test])
      expect([...half.labels].sort()).toEqual([...labels].filter((_, i) => i % 2 === 0));
    expect([...clean.labels]).not.toEqual([...clean.labels].sort());
  });
});
