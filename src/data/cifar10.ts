import { DataError } from "../errors.ts";
import { concatenate, type Records, readRecords } from "./binary.ts";
import { type Files, firstExisting, listDirectory, listed, readFile, sha256 } from "./files.ts";
import { assemble, type DatasetRow, directoryOf, type Loaded, ownTracks } from "./loading.ts";

const CLASS_NAMES = [
  "airplane",
  "automobile",
  "bird",
  "cat",
  "deer",
  "dog",
  "frog",
  "horse",
  "ship",
  "truck",
];

/** A set of files that hold CIFAR-10, recognized by any of their names. */
interface Layout {
  train: string[];
  test: string[];
  caveat: string;
}

const LAYOUTS: Layout[] = [
  {
    train: [1, 2, 3, 4, 5].map((n) => `data_batch_${n}.bin`),
    test: ["test_batch.bin"],
    caveat: "",
  },
  {
    train: ["train_lossless.bin", "train_jpeg.bin"],
    test: ["test_lossless.bin", "test_jpeg.bin"],
    caveat:
      "This is a part of CIFAR-10, about 60 % of it decoded from JPEG (quality 75): accuracies are not comparable with published ones.",
  },
];

async function findLayout(files: Files, path: string): Promise<{ directory: string; layout: Layout }> {
  await listDirectory(files, path);
  const unpacked = `${path}/cifar-10-batches-bin`;
  const directory = (await firstExisting(files, [unpacked], "directory")) ?? path;
  const names = new Set(await listDirectory(files, directory));
  const layout = LAYOUTS.find(({ train, test }) => [...train, ...test].some((name) => names.has(name)));
  if (layout) return { directory, layout };
  const looked = LAYOUTS.map(({ train, test }) => [...train, ...test].join(" ")).join(", or ");
  const python = names.has("cifar-10-batches-py") || names.has("data_batch_1");
  const got = python
    ? "the Python version (get the binary version, cifar-10-binary.tar.gz)"
    : listed([...names]);
  throw new DataError(directory, `CIFAR-10 as ${looked}`, got);
}

async function readAll(
  files: Files,
  directory: string,
  names: string[],
  digests: Record<string, string>,
): Promise<Records> {
  const parts: Records[] = [];
  for (const name of names) {
    const path = `${directory}/${name}`;
    const bytes = await readFile(files, path);
    digests[name] = await sha256(bytes);
    parts.push(readRecords(bytes, path, CLASS_NAMES.length));
  }
  return concatenate(parts);
}

async function loadCifar10(path: string, files: Files): Promise<Loaded> {
  const { directory, layout } = await findLayout(files, path);
  const digests: Record<string, string> = {};
  const train = await readAll(files, directory, layout.train, digests);
  const test = await readAll(files, directory, layout.test, digests);
  const tracks = ownTracks(train, 0);
  return { path: directory, train: { ...train, tracks }, test, sha256: digests, caveat: layout.caveat };
}

/** CIFAR-10 (Krizhevsky 2009): the unpacked binary version, or lossless and JPEG parts. Each image is its own track. */
export const cifar10: DatasetRow = {
  name: "cifar10",
  classNames: CLASS_NAMES,
  flip: true,
  needsPath: true,
  load: async (options, files) =>
    assemble(cifar10, await loadCifar10(directoryOf(cifar10, options), files), options),
};
