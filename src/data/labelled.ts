/** A user's own images: a folder a class, a CSV of path and label, or .npy. */
import { DataError } from "../errors.ts";
import { permutation, type Random } from "../random.ts";
import { parseCsv, textColumn } from "./csv.ts";
import { type ImageSet, select } from "./dataset.ts";
import { type Files, listDirectory, readFile, sha256 } from "./files.ts";
import { fitPicture, type ImageShape, type Resize } from "./fit.ts";
import { parseNpy, parseNpyIntegers } from "./npy.ts";
import { decodePicture, isPicture } from "./pictures.ts";
import { shuffled } from "./split.ts";

const MAXIMUM_FILES = 200_000;
const MAXIMUM_FILE_BYTES = 32 << 20;
const MAXIMUM_SET_BYTES = 2 ** 30;
/** Labels are bytes. */
const MAXIMUM_CLASSES = 256;
/** Files that are read at one time. */
const TOGETHER = 16;

/** What there is, before a picture is decoded. */
export interface ImageList {
  /** As the user named it. */
  path: string;
  classNames: string[];
  /** Pictures and their class; of .npy none. */
  entries: { path: string; label: number }[];
  /** The files of .npy images and their labels. */
  arrays: { images: string; labels: string } | null;
  /** One digest of all files, names and labels. */
  sha256: Record<string, string>;
}

/**
 * Lists the images at `path`: a directory with a folder a class, or with images.npy and labels.npy, or a CSV with the columns path
 * and label. Class numbers: the lines of labels.txt beside the images if there is one; else the numbers themselves where all
 * names are numbers; else the names in the order of their code units. classes: how many the model has, for names that are numbers.
 * @throws DataError.
 */
export async function listImages(path: string, classes: number, files: Files): Promise<ImageList> {
  const whole = path.replace(/(.)\/+$/, "$1");
  const csv = whole.toLowerCase().endsWith(".csv");
  const directory = csv ? whole.replace(/[^/]*$/, "").replace(/(.)\/$/, "$1") || "." : whole;
  const names = csv ? null : await listDirectory(files, directory);
  const given = await labelsFile(directory, files);
  if (names?.includes("images.npy")) return npyList(directory, classes, given, files);
  const found = csv
    ? await csvEntries(whole, directory, files)
    : await folderEntries(directory, names!, files);
  if (found.length === 0)
    throw new DataError(
      whole,
      "a folder of pictures (PNG, JPEG, PPM) a class, a CSV, or images.npy",
      "no picture",
    );
  if (found.length > MAXIMUM_FILES)
    throw new DataError(whole, `at most ${MAXIMUM_FILES} pictures`, `${found.length}`);
  const classNames =
    given ??
    classNamesOf(
      found.map(({ name }) => name),
      classes,
    );
  if (classNames.length > MAXIMUM_CLASSES)
    throw new DataError(whole, `at most ${MAXIMUM_CLASSES} classes`, `${classNames.length}`);
  const number = new Map(classNames.map((name, i) => [name, i]));
  const entries = found.map(({ path: picture, name, where }) => {
    const label =
      number.get(name) ?? (/^\d+$/.test(name) && Number(name) < classNames.length ? Number(name) : undefined);
    if (label === undefined)
      throw new DataError(
        where,
        `one of ${classNames.length} labels (${classNames.slice(0, 6).join(", ")}…)`,
        name,
      );
    return { path: picture, label };
  });
  const lines = await inGroups(entries, async (entry) => {
    const bytes = await readFile(files, entry.path, MAXIMUM_FILE_BYTES);
    return `${await sha256(bytes)} ${entry.label} ${entry.path.slice(directory.length)}\n`;
  });
  const digest = await sha256(new TextEncoder().encode(`${classNames.join("\n")}\n\n${lines.join("")}`));
  return { path, classNames, entries, arrays: null, sha256: { [`${entries.length} pictures`]: digest } };
}

/** The images of a list in the model's size. @throws DataError naming the file. */
export async function readImages(
  list: ImageList,
  shape: ImageShape,
  resize: Resize | null,
  files: Files,
  progress: (done: number, total: number) => void = () => {},
): Promise<ImageSet> {
  if (list.arrays) return npyImages(list, shape, resize, files);
  const count = list.entries.length;
  const size = shape.height * shape.width * shape.channels;
  checkTotal(count * size, list.path);
  const pixels = new Uint8Array(count * size);
  let done = 0;
  await inGroups(list.entries, async ({ path }, i) => {
    const picture = await decodePicture(await readFile(files, path, MAXIMUM_FILE_BYTES), path);
    pixels.set(fitPicture(picture, shape, resize, path), i * size);
    progress(++done, count);
  });
  return setOf(
    pixels,
    Uint8Array.from(list.entries, ({ label }) => label),
    shape,
  );
}

/** Two halves with every class in both where it has two images, each shuffled: for the defender, and to measure on. */
export function halves(set: ImageSet, random: Random): [ImageSet, ImageSet] {
  const seen = new Map<number, number>();
  const parts: [number[], number[]] = [[], []];
  for (const i of permutation(random.fork("halves"), set.count)) {
    const before = seen.get(set.labels[i]) ?? 0;
    seen.set(set.labels[i], before + 1);
    parts[(before + 1) % 2].push(i);
  }
  const [test, clean] = parts.map((indices, i) => shuffled(select(set, indices), random.fork(`half ${i}`)));
  return [clean, test];
}

function setOf(pixels: Uint8Array, labels: Uint8Array, { height, width, channels }: ImageShape): ImageSet {
  const count = labels.length;
  return {
    count,
    height,
    width,
    channels,
    pixels,
    labels,
    tracks: Int32Array.from({ length: count }, (_, i) => i),
  };
}

function checkTotal(bytes: number, path: string): void {
  if (bytes > MAXIMUM_SET_BYTES)
    throw new DataError(path, `images of at most ${MAXIMUM_SET_BYTES} bytes in all`, `${bytes}`);
}

/** In order, some at a time. */
async function inGroups<T, R>(
  items: readonly T[],
  work: (item: T, index: number) => Promise<R>,
): Promise<R[]> {
  const results: R[] = [];
  for (let at = 0; at < items.length; at += TOGETHER) {
    const group = items.slice(at, at + TOGETHER).map((item, i) => work(item, at + i));
    // Which of several faults is told must not depend on which is met first.
    for (const each of await Promise.allSettled(group)) {
      if (each.status === "rejected") throw each.reason;
      results.push(each.value);
    }
  }
  return results;
}

async function labelsFile(directory: string, files: Files): Promise<string[] | null> {
  const path = `${directory}/labels.txt`;
  if ((await files.entry(path)).kind !== "file") return null;
  const lines = new TextDecoder().decode(await readFile(files, path, 1 << 20)).split(/\r?\n/);
  const names = lines.map((line) => line.trim()).filter((line) => line !== "");
  const twice = names.find((name, i) => names.indexOf(name) !== i);
  if (twice !== undefined) throw new DataError(path, "every class once", `${twice} twice`);
  if (names.length > MAXIMUM_CLASSES)
    throw new DataError(path, `at most ${MAXIMUM_CLASSES} classes`, `${names.length}`);
  return names;
}

/** A picture, its class by name, and where that stands. */
interface Found {
  path: string;
  name: string;
  where: string;
}

async function folderEntries(directory: string, names: readonly string[], files: Files): Promise<Found[]> {
  const found: Found[] = [];
  for (const name of names) {
    const folder = `${directory}/${name}`;
    if (name.startsWith(".") || (await files.entry(folder)).kind !== "directory") continue;
    for (const picture of await listDirectory(files, folder))
      if (!picture.startsWith(".") && isPicture(picture))
        found.push({ path: `${folder}/${picture}`, name, where: folder });
    if (found.length > MAXIMUM_FILES) break;
  }
  return found;
}

async function csvEntries(path: string, directory: string, files: Files): Promise<Found[]> {
  const csv = parseCsv(await readFile(files, path, 64 << 20), path, ",");
  const labels = textColumn(csv, "label");
  return textColumn(csv, "path").map((name, i) => ({
    path: name.startsWith("/") ? name : `${directory}/${name}`,
    name: labels[i],
    where: `${path}: line ${i + 2}: label`,
  }));
}

function classNamesOf(names: readonly string[], classes: number): string[] {
  const distinct = [...new Set(names)];
  if (!distinct.every((name) => /^\d{1,4}$/.test(name))) return distinct.sort();
  const top = Math.max(classes - 1, ...distinct.map(Number));
  return Array.from({ length: top + 1 }, (_, i) => String(i));
}

async function npyList(
  directory: string,
  classes: number,
  given: string[] | null,
  files: Files,
): Promise<ImageList> {
  const arrays = { images: `${directory}/images.npy`, labels: `${directory}/labels.npy` };
  const parts = [await readFile(files, arrays.images), await readFile(files, arrays.labels)];
  const digests = await Promise.all(parts.map(sha256));
  const classNames = given ?? Array.from({ length: classes }, (_, i) => String(i));
  return {
    ...{ path: directory, classNames, entries: [], arrays },
    sha256: { "images.npy": digests[0], "labels.npy": digests[1] },
  };
}

async function npyImages(
  { arrays, classNames }: ImageList,
  shape: ImageShape,
  resize: Resize | null,
  files: Files,
): Promise<ImageSet> {
  const { images: imagesPath, labels: labelsPath } = arrays!;
  const images = parseNpy(await readFile(files, imagesPath), imagesPath);
  const labels = parseNpyIntegers(await readFile(files, labelsPath), labelsPath);
  const [count, height, width, channels = 1] = images.shape;
  const known =
    images.shape.length === 3 || (images.shape.length === 4 && (channels === 1 || channels === 3));
  if (!(images.data instanceof Uint8Array) || !known || count === 0)
    throw new DataError(
      imagesPath,
      "uint8 of shape (images, height, width, 1 or 3)",
      `${images.data.constructor.name} (${images.shape.join(", ")})`,
    );
  if (labels.shape.join() !== `${count}`)
    throw new DataError(labelsPath, `${count} whole numbers`, `shape (${labels.shape.join(", ")})`);
  const wrong = labels.data.findIndex((label) => label < 0 || label >= classNames.length);
  if (wrong >= 0)
    throw new DataError(
      `${labelsPath}: label ${wrong}`,
      `0..${classNames.length - 1}`,
      `${labels.data[wrong]}`,
    );
  const [from, to] = [height * width * channels, shape.height * shape.width * shape.channels];
  checkTotal(count * to, imagesPath);
  const pixels = new Uint8Array(count * to);
  for (let i = 0; i < count; i++) {
    const picture = {
      height,
      width,
      channels: channels as 1 | 3,
      pixels: images.data.subarray(i * from, (i + 1) * from),
    };
    pixels.set(fitPicture(picture, shape, resize, imagesPath), i * to);
  }
  return setOf(pixels, Uint8Array.from(labels.data), shape);
}
