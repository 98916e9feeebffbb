import { seededRandom } from "../random.ts";
import { type Records, SIDE } from "./binary.ts";
import type { Dataset, ImageSet } from "./dataset.ts";
import type { Files } from "./files.ts";
import { indicesByClass, limited, shuffled, splitByTrack } from "./split.ts";

export interface LoadOptions {
  /** The directory with the data set; the built-in set needs none. */
  path?: string;
  /** Of the split and the order, and of the drawing of the built-in set. Default 1. */
  seed?: number;
  /** Share of the training tracks held out, in (0, 1). Default 0.15. */
  heldShare?: number;
  /** At most so many images of a split, at least one a class. The built-in set draws exactly so many. */
  images?: { train?: number; held?: number; test?: number };
}

/** One data set. A row of DATASETS. */
export interface DatasetRow {
  name: string;
  classNames: string[];
  /** Whether a mirrored image keeps its class. */
  flip: boolean;
  needsPath: boolean;
  load(options: LoadOptions, files: Files): Promise<Dataset>;
}

/** What a loader of files found. */
export interface Loaded {
  path: string;
  train: Records & { tracks: Int32Array };
  test: Records;
  sha256: Record<string, string>;
  caveat: string;
}

/** The directory that `options` names, without a closing slash. Throws TypeError if they name none. */
export function directoryOf({ name }: DatasetRow, { path }: LoadOptions): string {
  if (!path) throw new TypeError(`${name}: expected the path of a directory, got none`);
  return path.replace(/(.)\/+$/, "$1");
}

/** Gives every record its own track, from `first` on. */
export function ownTracks(records: Records, first: number): Int32Array {
  return Int32Array.from({ length: records.count }, (_, i) => first + i);
}

function imageSet(records: Records, tracks: Int32Array): ImageSet {
  const { count, pixels, labels } = records;
  return { count, height: SIDE, width: SIDE, channels: 3, pixels, labels, tracks };
}

/**
 * Splits, shuffles and limits what was loaded. The test images have no known tracks: each gets its own, above those of
 * training. Throws DataError naming a class without images in any of the splits.
 */
export function assemble(row: DatasetRow, loaded: Loaded, options: LoadOptions): Dataset {
  const { classNames, name } = row;
  const { path, sha256, caveat } = loaded;
  const random = seededRandom(options.seed ?? 1).fork("split");
  const all = imageSet(loaded.train, loaded.train.tracks);
  const parts = splitByTrack(
    { set: all, classNames, path: `${path} (train)` },
    options.heldShare ?? 0.15,
    random,
  );
  const firstTestTrack = loaded.train.tracks.reduce((top, track) => Math.max(top, track), -1) + 1;
  const test = shuffled(imageSet(loaded.test, ownTracks(loaded.test, firstTestTrack)), random.fork("test"));
  indicesByClass({ set: test, classNames, path: `${path} (test)` });
  const cut = (set: ImageSet, split: "train" | "held" | "test"): ImageSet => {
    const maximum = options.images?.[split];
    if (maximum === undefined) return set;
    return limited({ set, classNames, path: `${path} (${split})` }, maximum, random.fork(`limit ${split}`));
  };
  const train = cut(parts.train, "train");
  return { name, classNames, train, held: cut(parts.held, "held"), test: cut(test, "test"), sha256, caveat };
}
