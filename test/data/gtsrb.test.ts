import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { nodeFiles } from "../../src/cli/nodeFiles.ts";
import { DATASETS } from "../../src/data/datasets.ts";
import { digests, memoryFiles, ppm, records } from "./memoryFiles.ts";

const CLASSES = 43;
type Contents = Record<string, Uint8Array | string>;

/** Two tracks a class of two frames each, in records. */
function binaryFiles(): Record<string, Uint8Array | string> & {
  "d/train.csv": string;
  "d/test.csv": string;
} {
  const labels = Array.from({ length: 4 * CLASSES }, (_, i) => Math.floor(i / 4));
  const rows = labels.map((label, i) => `${i},${label},${Math.floor(i / 2)}`);
  const testLabels = Array.from({ length: CLASSES }, (_, label) => label);
  return {
    "d/train.bin": records(labels),
    "d/train.csv": ["record,class,global_track", ...rows, ""].join("\n"),
    "d/test.bin": records(testLabels),
    "d/test.csv": ["record,class", ...testLabels.map((label) => `${label},${label}`), ""].join("\n"),
  };
}

describe("records with a CSV", () => {
  const load = (contents: Contents) => DATASETS.gtsrb.load({ path: "d" }, memoryFiles(contents));
  const edited = (name: "d/train.csv" | "d/test.csv", from: string | RegExp, to: string): Contents => {
    const contents = binaryFiles();
    return { ...contents, [name]: contents[name].replace(from, to) };
  };

  test("tracks come from global_track and are not split", async () => {
    const { train, held, test, caveat } = await load(binaryFiles());
    expect([train.count, held.count, test.count]).toEqual([86, 86, 43]);
    const tracks = new Set(train.tracks);
    expect(tracks.size).toBe(43);
    expect([...held.tracks, ...test.tracks].some((track) => tracks.has(track))).toBe(false);
    expect(caveat).toMatch(/not comparable.*several times/);
  });

  const BAD: [string, Contents, string][] = [
    [
      "a CSV without tracks",
      edited("d/train.csv", "global_track", "track"),
      "d/train.csv: line 1: expected a column global_track, got record, class, track",
    ],
    [
      "a CSV of fewer rows than records",
      edited("d/train.csv", /\n[^\n]*\n$/, "\n"),
      "d/train.csv: expected 172 rows, as train.bin has records, got 171",
    ],
    [
      "a track that is no number",
      edited("d/train.csv", "\n1,0,0", "\n1,0,zero"),
      'd/train.csv: line 3: global_track: expected an integer in 0..1000000, got "zero"',
    ],
    [
      "a class that contradicts the record",
      edited("d/test.csv", "\n5,5", "\n5,6"),
      "d/test.csv: line 7: class: expected 5 as in record 5 of test.bin, got 6",
    ],
    ["no CSV", { ...binaryFiles(), "d/test.csv": "" }, "d/test.csv: expected data, got an empty file"],
    [
      "nothing that is GTSRB",
      { "d/readme": "x" },
      "d: expected GTSRB as train.bin train.csv test.bin test.csv, or Final_Training/Images/000CC/*.ppm with GT-000CC.csv, Final_Test/Images/*.ppm and GT-final_test.csv, got readme",
    ],
  ];
  for (const [what, contents, message] of BAD) {
    test(`${what}: refused in one line`, async () => {
      await expect(load(contents)).rejects.toThrow(message);
    });
  }
});

/** The official archives in small: two tracks of a frame each in every class (a third in class 14), one test image a class. */
function officialFiles(): Record<string, Uint8Array | string> {
  const contents: Contents = {};
  const header = "Filename;Width;Height;Roi.X1;Roi.Y1;Roi.X2;Roi.Y2;ClassId\r\n";
  let testCsv = header;
  for (let label = 0; label < CLASSES; label++) {
    const id = String(label).padStart(5, "0");
    const directory = `Final_Training/Images/${id}`;
    let csv = header;
    for (const track of label === 14 ? [0, 1, 23] : [0, 1]) {
      const name = `${String(track).padStart(5, "0")}_00000.ppm`;
      contents[`${directory}/${name}`] = ppm(20 + track, 30, [label, track, 200]);
      csv += `${name};${20 + track};30;5;5;15;25;${label}\r\n`;
    }
    contents[`${directory}/GT-${id}.csv`] = csv;
    contents[`Final_Test/Images/${id}.ppm`] = ppm(40, 41, [label, 9, 100]);
    testCsv += `${id}.ppm;40;41;5;5;35;36;${label}\r\n`;
  }
  contents["GT-final_test.csv"] = testCsv;
  return contents;
}

describe("the official archives, unpacked", () => {
  const under = (prefix: string, contents: Contents): Contents =>
    Object.fromEntries(Object.entries(contents).map(([path, bytes]) => [`${prefix}/${path}`, bytes]));
  const load = (contents: Contents) => DATASETS.gtsrb.load({ path: "d" }, memoryFiles(under("d", contents)));
  let root = "";

  beforeAll(async () => {
    root = await mkdtemp(join(tmpdir(), "gtsrb-"));
    for (const [path, bytes] of Object.entries(officialFiles())) {
      const at = join(root, "GTSRB", path);
      await mkdir(join(at, ".."), { recursive: true });
      await writeFile(at, bytes);
    }
  });
  afterAll(() => rm(root, { recursive: true }));

  test("are read from a disk, resized, without the leaked track", async () => {
    const { train, held, test, caveat, sha256 } = await DATASETS.gtsrb.load({ path: root }, nodeFiles);
    expect([train.count, held.count, test.count]).toEqual([43, 43, 43]);
    for (const set of [train, held]) {
      for (let i = 0; i < set.count; i++) {
        const track = set.tracks[i] % 1_000_000;
        expect(track).toBeLessThan(2);
        expect([...set.pixels.subarray(i * 3072, i * 3072 + 3)]).toEqual([set.labels[i], track, 200]);
      }
    }
    expect(caveat).toMatch(/Track 23 of class 14/);
    expect(Object.keys(sha256)).toHaveLength(2 * CLASSES + 2);
  });

  test("are the same through another file system", async () => {
    const fromDisk = await DATASETS.gtsrb.load({ path: root }, nodeFiles);
    expect(await digests(await load(officialFiles()))).toEqual(await digests(fromDisk));
  });

  const BAD: [string, (contents: Contents) => void, string][] = [
    [
      "a class without its folder",
      (contents) => delete contents["Final_Training/Images/00007/GT-00007.csv"],
      "d/Final_Training/Images/00007/GT-00007.csv: expected a file, got none",
    ],
    [
      "a class without a picture",
      (contents) => {
        contents["Final_Training/Images/00007/GT-00007.csv"] = "Filename;ClassId\n";
      },
      "d/Final_Training/Images/00007/GT-00007.csv: expected a line for every image, got a header alone",
    ],
    [
      "a picture that is missing",
      (contents) => delete contents["Final_Test/Images/00003.ppm"],
      "d/Final_Test/Images/00003.ppm: expected a file, got none",
    ],
    [
      "a picture that is cut off",
      (contents) => {
        contents["Final_Test/Images/00003.ppm"] = ppm(9, 9, [1, 1, 1]).subarray(0, 100);
      },
      "d/Final_Test/Images/00003.ppm: byte 30: expected 243 bytes for 9x9 pixels, got 70",
    ],
    [
      "a test set without labels",
      (contents) => delete contents["GT-final_test.csv"],
      "d: expected GT-final_test.csv (in GTSRB_Final_Test_GT.zip), got none at",
    ],
    [
      "a class in the wrong folder",
      (contents) => {
        contents["Final_Training/Images/00007/GT-00007.csv"] = "Filename;ClassId\n00000_00000.ppm;8\n";
      },
      "GT-00007.csv: line 2: ClassId: expected 7, got 8",
    ],
    [
      "a name that leaves the folder",
      (contents) => {
        contents["Final_Training/Images/00007/GT-00007.csv"] = "Filename;ClassId\n../00000_00000.ppm;7\n";
      },
      "GT-00007.csv: line 2: expected a file name, got ../00000_00000.ppm",
    ],
    [
      "a name without a track",
      (contents) => {
        contents["Final_Training/Images/00007/GT-00007.csv"] = "Filename;ClassId\na.ppm;7\n";
        contents["Final_Training/Images/00007/a.ppm"] = ppm(9, 9, [1, 1, 1]);
      },
      "GT-00007.csv: line 2: expected a name TRACK_FRAME.ppm, got a.ppm",
    ],
  ];
  for (const [what, edit, message] of BAD) {
    test(`${what}: refused in one line`, async () => {
      const contents = officialFiles();
      edit(contents);
      await expect(load(contents)).rejects.toThrow(message);
    });
  }
});
