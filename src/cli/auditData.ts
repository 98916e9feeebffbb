import { type ImageSet, select } from "../data/dataset.ts";
import { DATASETS } from "../data/datasets.ts";
import type { ImageShape, Resize } from "../data/fit.ts";
import { type ImageList, listImages, readImages } from "../data/labelled.ts";
import { ownImages } from "../harness/audit/images.ts";
import type { AuditImages } from "../harness/audit/inputs.ts";
import { loadDataset } from "./dataset.ts";
import { UsageError } from "./io.ts";
import { nodeFiles } from "./nodeFiles.ts";

/** The images of an audit before they are decoded: what they are, and how to get them. */
export interface AuditData {
  name: string;
  /** Decides every image; cheap. */
  sha256: Record<string, string>;
  trainingSha256: Record<string, string> | null;
  load(
    progress: (done: number, total: number) => void,
  ): Promise<{ images: AuditImages; sha256: Record<string, string> }>;
}

export interface DataOptions {
  /** signs, or where the images are. */
  data: string;
  /** How a directory of a known data set is read; undefined: the user's own images. */
  dataset?: string;
  trainingData?: string;
  resize: Resize | null;
}

/** @throws UsageError, DataError. */
export async function auditData(
  options: DataOptions,
  shape: ImageShape,
  classes: number,
): Promise<AuditData> {
  const known = options.dataset ?? (options.data in DATASETS ? options.data : undefined);
  const training =
    options.trainingData === undefined ? null : await listImages(options.trainingData, classes, nodeFiles);
  return known === undefined
    ? ownData(options, await listImages(options.data, classes, nodeFiles), training, shape)
    : knownData(known, options, training, shape);
}

const readAs = (
  list: ImageList,
  shape: ImageShape,
  resize: Resize | null,
  progress?: (done: number, total: number) => void,
) => readImages(list, shape, resize, nodeFiles, progress);

function ownData(
  { resize }: DataOptions,
  list: ImageList,
  training: ImageList | null,
  shape: ImageShape,
): AuditData {
  return {
    name: list.path,
    sha256: { ...list.sha256, resize: resize ?? "none" },
    trainingSha256: training?.sha256 ?? null,
    load: async (progress) => {
      const set = await readAs(list, shape, resize, progress);
      const given = training && (await trainingSet(training, list.classNames, shape, resize));
      const images = ownImages(list, set, given);
      return { images, sha256: list.sha256 };
    },
  };
}

async function knownData(
  name: string,
  { data, resize }: DataOptions,
  training: ImageList | null,
  shape: ImageShape,
): Promise<AuditData> {
  const drawn = name === "signs";
  if (drawn && data !== "signs")
    throw new UsageError(`--data ${data}: the signs are drawn; expected --data signs`);
  const loading = drawn ? null : await loadDataset(name, data);
  return {
    name,
    sha256: loading?.dataset.sha256 ?? { drawn: "signs" },
    trainingSha256: training?.sha256 ?? null,
    load: async () => {
      const { dataset } = loading ?? (await loadDataset(name, undefined));
      const { classNames, held: clean, test, caveat, sha256 } = dataset;
      const given = training && (await trainingSet(training, classNames, shape, resize));
      return { images: { name, classNames, clean, test, training: given, caveat }, sha256 };
    },
  };
}

/** With the class numbers of the other images. @throws UsageError where a class is not among theirs. */
async function trainingSet(
  list: ImageList,
  classNames: readonly string[],
  shape: ImageShape,
  resize: Resize | null,
): Promise<ImageSet> {
  const numbers = list.classNames.map((name, i) => {
    const at = classNames.indexOf(name);
    return at < 0 && name === String(i) && i < classNames.length ? i : at;
  });
  const unknown = numbers.indexOf(-1);
  if (unknown >= 0)
    throw new UsageError(
      `--training-data ${list.path}: expected the classes of --data, got ${list.classNames[unknown]}`,
    );
  const set = await readAs(list, shape, resize);
  return {
    ...select(
      set,
      Array.from({ length: set.count }, (_, i) => i),
    ),
    labels: set.labels.map((label) => numbers[label]),
  };
}
