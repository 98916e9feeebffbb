import { DataError } from "../errors.ts";
import { concatenate, IMAGE_BYTES, type Records, SIDE } from "./binary.ts";
import { integerColumn, parseCsv, textColumn } from "./csv.ts";
import { type Files, firstExisting, readFile, sha256 } from "./files.ts";
import type { Loaded } from "./loading.ts";
import { parsePpm, resizeBilinear } from "./ppm.ts";

export const OFFICIAL_LAYOUT =
  "Final_Training/Images/000CC/*.ppm with GT-000CC.csv, Final_Test/Images/*.ppm and GT-final_test.csv";

/** Files read at a time. */
const BATCH = 64;
const PICTURE_BYTES = 64 * 1024 ** 2;
/** Official frames end in TRACK_FRAME.ppm. */
const TRAIN_NAME = /^(\d{1,6})_(\d{1,6})\.ppm$/;
/** Track 23 of class 14: eight of its frames are, byte for byte, also in the official test set. */
const LEAKED = { label: 14, track: 23 };

interface Folder {
  records: Records;
  names: string[];
  /** Keys the folder's table and pictures. */
  sha256: Record<string, string>;
}

/** Reads the pictures that a table of the official format lists (Filename;Width;Height;...;ClassId). */
async function readFolder(
  files: Files,
  directory: string,
  csvPath: string,
  key: string,
  classes: number,
): Promise<Folder> {
  const csvBytes = await readFile(files, csvPath);
  const csv = parseCsv(csvBytes, csvPath, ";");
  if (csv.rows === 0) throw new DataError(csvPath, "a line for every image", "a header alone");
  const names = textColumn(csv, "Filename");
  const labels = Uint8Array.from(integerColumn(csv, "ClassId", classes - 1));
  const pixels = new Uint8Array(names.length * IMAGE_BYTES);
  const digests: string[] = [];
  for (let start = 0; start < names.length; start += BATCH) {
    const batch = names.slice(start, start + BATCH).map(async (name, i) => {
      if (/[/\\]/.test(name)) throw new DataError(`${csvPath}: line ${start + i + 2}`, "a file name", name);
      const path = `${directory}/${name}`;
      const bytes = await readFile(files, path, PICTURE_BYTES);
      resizeBilinear(parsePpm(bytes, path), SIDE, pixels, (start + i) * IMAGE_BYTES);
      return sha256(bytes);
    });
    digests.push(...(await Promise.all(batch)));
  }
  return {
    records: { count: names.length, pixels, labels },
    names,
    sha256: {
      [`${key}.csv`]: await sha256(csvBytes),
      [`${key}/*.ppm (sha256 of their sha256 in table order)`]: await sha256(
        new TextEncoder().encode(digests.join("\n")),
      ),
    },
  };
}

/** The training folder of one class, without the leaked track. tracks: label * 10^6 + the official track. */
async function readClass(
  files: Files,
  root: string,
  label: number,
  classes: number,
): Promise<Folder & { tracks: number[] }> {
  const id = String(label).padStart(5, "0");
  const directory = `${root}/Final_Training/Images/${id}`;
  const csvPath = `${directory}/GT-${id}.csv`;
  const folder = await readFolder(files, directory, csvPath, `Final_Training/${id}`, classes);
  const { records, names } = folder;
  const tracks = names.map((name, i) => {
    const match = TRAIN_NAME.exec(name);
    if (!match) throw new DataError(`${csvPath}: line ${i + 2}`, "a name TRACK_FRAME.ppm", name);
    if (records.labels[i] !== label) {
      throw new DataError(`${csvPath}: line ${i + 2}: ClassId`, `${label}`, `${records.labels[i]}`);
    }
    return label * 1_000_000 + Number(match[1]);
  });
  const leaked = LEAKED.label * 1_000_000 + LEAKED.track;
  const kept = tracks.flatMap((track, i) => (track === leaked ? [] : [i]));
  const pixels = new Uint8Array(kept.length * IMAGE_BYTES);
  kept.forEach((from, i) => {
    pixels.set(records.pixels.subarray(from * IMAGE_BYTES, (from + 1) * IMAGE_BYTES), i * IMAGE_BYTES);
  });
  const labels = new Uint8Array(kept.length).fill(label);
  return { ...folder, records: { count: kept.length, pixels, labels }, tracks: kept.map((i) => tracks[i]) };
}

/** The archives as unpacked under `root`. */
export async function loadOfficial(
  files: Files,
  root: string,
  classes: number,
  caveat: string,
): Promise<Loaded> {
  const folders: (Folder & { tracks: number[] })[] = [];
  for (let label = 0; label < classes; label++) folders.push(await readClass(files, root, label, classes));
  const images = `${root}/Final_Test/Images`;
  const places = [
    `${root}/GT-final_test.csv`,
    `${images}/GT-final_test.csv`,
    `${root}/Final_Test/GT-final_test.csv`,
  ];
  const outer = root.replace(/\/GTSRB$/, "");
  if (outer !== root) places.push(`${outer}/GT-final_test.csv`);
  const csvPath = await firstExisting(files, places, "file");
  if (!csvPath) {
    throw new DataError(
      root,
      "GT-final_test.csv (in GTSRB_Final_Test_GT.zip)",
      `none at ${places.join(", ")}`,
    );
  }
  const test = await readFolder(files, images, csvPath, "Final_Test/GT-final_test", classes);
  return {
    path: root,
    train: {
      ...concatenate(folders.map(({ records }) => records)),
      tracks: Int32Array.from(folders.flatMap(({ tracks }) => tracks)),
    },
    test: test.records,
    sha256: Object.assign({}, ...folders.map((folder) => folder.sha256), test.sha256),
    caveat: `Track 23 of class 14 is left out of training because frames of it are in the official test set. ${caveat}`,
  };
}
