import type { Dataset, ImageSet } from "../data/dataset.ts";
import { DATASETS } from "../data/datasets.ts";
import type { DatasetRow } from "../data/loading.ts";
import { UsageError } from "./io.ts";
import { nodeFiles } from "./nodeFiles.ts";

/** The row that --dataset names, and its images. @throws UsageError, DataError. */
export async function loadDataset(
  name: string,
  path: string | undefined,
): Promise<{ row: DatasetRow; dataset: Dataset }> {
  const row = (DATASETS as Record<string, DatasetRow>)[name];
  if (!row) throw new UsageError(`--dataset: expected ${Object.keys(DATASETS).join(", ")}, got ${name}`);
  if (row.needsPath && path === undefined)
    throw new UsageError(`--data: expected the directory of ${name}, got nothing`);
  return { row, dataset: await row.load({ path }, nodeFiles) };
}

/** The same images in memory that threads share. */
export function sharedDataset(dataset: Dataset): Dataset {
  const { train, held, test } = dataset;
  return { ...dataset, train: sharedImages(train), held: sharedImages(held), test: sharedImages(test) };
}

/** The same for one set. */
export function sharedImages(set: ImageSet): ImageSet {
  const pixels = new Uint8Array(new SharedArrayBuffer(set.pixels.length));
  pixels.set(set.pixels);
  return { ...set, pixels };
}

/** The class with the most training images; the first of equals. */
export function mostFrequentClass({ classNames, train }: Dataset): number {
  const counts = new Array<number>(classNames.length).fill(0);
  for (const label of train.labels) counts[label]++;
  return counts.indexOf(Math.max(...counts));
}
