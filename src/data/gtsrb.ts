import { DataError } from "../errors.ts";
import { type Records, readRecords } from "./binary.ts";
import { integerColumn, parseCsv } from "./csv.ts";
import { type Files, firstExisting, listDirectory, listed, readFile, sha256 } from "./files.ts";
import { loadOfficial, OFFICIAL_LAYOUT } from "./gtsrbOfficial.ts";
import { assemble, type DatasetRow, directoryOf, type Loaded } from "./loading.ts";

/** Class names in the order of the official class ids. Source: GTSRB, Stallkamp et al. 2012. */
const CLASS_NAMES = [
  "speed limit 20",
  "speed limit 30",
  "speed limit 50",
  "speed limit 60",
  "speed limit 70",
  "speed limit 80",
  "end of speed limit 80",
  "speed limit 100",
  "speed limit 120",
  "no passing",
  "no passing for vehicles over 3.5 t",
  "right of way at the next intersection",
  "priority road",
  "yield",
  "stop",
  "no vehicles",
  "no vehicles over 3.5 t",
  "no entry",
  "general caution",
  "dangerous curve to the left",
  "dangerous curve to the right",
  "double curve",
  "bumpy road",
  "slippery road",
  "road narrows on the right",
  "road work",
  "traffic signals",
  "pedestrians",
  "children crossing",
  "bicycles crossing",
  "beware of ice or snow",
  "wild animals crossing",
  "end of all speed and passing limits",
  "turn right ahead",
  "turn left ahead",
  "ahead only",
  "go straight or right",
  "go straight or left",
  "keep right",
  "keep left",
  "roundabout",
  "end of no passing",
  "end of no passing for vehicles over 3.5 t",
];

const TEST_REPEATS =
  "Test images of GTSRB show the same sign several times and carry no track, so intervals that count them as independent are too narrow.";
const BINARY_CAVEAT = `This is a part of GTSRB (about 10 of 30 frames a track); accuracies are not comparable with published ones. ${TEST_REPEATS}`;

/** The records of NAME.bin with the columns of NAME.csv, one line a record in the same order. */
async function readTable(
  files: Files,
  directory: string,
  name: string,
  digests: Record<string, string>,
): Promise<{ records: Records; csv: ReturnType<typeof parseCsv> }> {
  const path = `${directory}/${name}.bin`;
  const bytes = await readFile(files, path);
  const csvPath = `${directory}/${name}.csv`;
  const csvBytes = await readFile(files, csvPath);
  digests[`${name}.bin`] = await sha256(bytes);
  digests[`${name}.csv`] = await sha256(csvBytes);
  const records = readRecords(bytes, path, CLASS_NAMES.length);
  const csv = parseCsv(csvBytes, csvPath, ",");
  if (csv.rows !== records.count) {
    throw new DataError(csvPath, `${records.count} rows, as ${name}.bin has records`, `${csv.rows}`);
  }
  const classes = integerColumn(csv, "class", CLASS_NAMES.length - 1);
  const wrong = classes.findIndex((label, i) => label !== records.labels[i]);
  if (wrong >= 0) {
    const where = `${csvPath}: line ${wrong + 2}: class`;
    throw new DataError(
      where,
      `${records.labels[wrong]} as in record ${wrong} of ${name}.bin`,
      `${classes[wrong]}`,
    );
  }
  return { records, csv };
}

async function loadBinary(files: Files, directory: string): Promise<Loaded> {
  const digests: Record<string, string> = {};
  const train = await readTable(files, directory, "train", digests);
  const test = await readTable(files, directory, "test", digests);
  const tracks = integerColumn(train.csv, "global_track", 1_000_000);
  return {
    path: directory,
    train: { ...train.records, tracks },
    test: test.records,
    sha256: digests,
    caveat: BINARY_CAVEAT,
  };
}

async function loadGtsrb(path: string, files: Files): Promise<Loaded> {
  const names = await listDirectory(files, path);
  if (names.some((name) => /^(train|test)\.(bin|csv)$/.test(name))) return loadBinary(files, path);
  const official = [path, `${path}/GTSRB`];
  for (const root of official) {
    const parts = [`${root}/Final_Training`, `${root}/Final_Test`];
    if (await firstExisting(files, parts, "directory")) {
      return loadOfficial(files, root, CLASS_NAMES.length, TEST_REPEATS);
    }
  }
  throw new DataError(
    path,
    `GTSRB as train.bin train.csv test.bin test.csv, or ${OFFICIAL_LAYOUT}`,
    listed(names),
  );
}

/** GTSRB (Stallkamp et al. 2012): the unpacked official archives, or records with track ids in a CSV. */
export const gtsrb: DatasetRow = {
  name: "gtsrb",
  classNames: CLASS_NAMES,
  flip: false,
  needsPath: true,
  load: async (options, files) =>
    assemble(gtsrb, await loadGtsrb(directoryOf(gtsrb, options), files), options),
};
