import { DataError } from "../errors.ts";
import { permutation, type Random } from "../random.ts";
import { type ImageSet, select } from "./dataset.ts";

/** Images that tracks and class names belong to, and where they came from, for messages. */
export interface Source {
  set: ImageSet;
  classNames: string[];
  path: string;
}

/** Indices of the images of each class. Throws DataError naming the first class without one. */
export function indicesByClass({ set, classNames, path }: Source): number[][] {
  const byClass = classNames.map((): number[] => []);
  for (let i = 0; i < set.count; i++) byClass[set.labels[i]].push(i);
  const empty = byClass.findIndex((indices) => indices.length === 0);
  if (empty >= 0) {
    throw new DataError(
      path,
      `images of class ${empty} (${classNames[empty]})`,
      `none in ${set.count} images`,
    );
  }
  return byClass;
}

/**
 * Splits by track, stratified by class: of every class round(tracks * heldShare) tracks, at least one and never all, are
 * held out. heldShare: in (0, 1). Both parts come shuffled. Throws DataError where a class has fewer than two tracks, or a
 * track two classes.
 */
export function splitByTrack(
  source: Source,
  heldShare: number,
  random: Random,
): { train: ImageSet; held: ImageSet } {
  if (!(heldShare > 0 && heldShare < 1)) {
    throw new RangeError(`heldShare: expected a share between 0 and 1, got ${heldShare}`);
  }
  checkTracks(source);
  const { set, classNames, path } = source;
  const isHeld = new Set<number>();
  indicesByClass(source).forEach((indices, label) => {
    const tracks = [...new Set(indices.map((i) => set.tracks[i]))];
    if (tracks.length < 2) {
      throw new DataError(
        path,
        `two tracks or more of class ${label} (${classNames[label]}) to hold one out`,
        `${tracks.length}`,
      );
    }
    const wanted = Math.floor(tracks.length * heldShare + 0.5);
    const count = Math.min(Math.max(wanted, 1), tracks.length - 1);
    const order = permutation(random, tracks.length);
    for (let i = 0; i < count; i++) isHeld.add(tracks[order[i]]);
  });
  const train: number[] = [];
  const held: number[] = [];
  for (let i = 0; i < set.count; i++) (isHeld.has(set.tracks[i]) ? held : train).push(i);
  return {
    train: shuffled(select(set, train), random.fork("train")),
    held: shuffled(select(set, held), random.fork("held")),
  };
}

function checkTracks({ set, path }: Source): void {
  const classOf = new Map<number, number>();
  for (let i = 0; i < set.count; i++) {
    const label = classOf.get(set.tracks[i]) ?? set.labels[i];
    if (label !== set.labels[i]) {
      throw new DataError(
        `${path}: image ${i}`,
        `class ${label} like the rest of track ${set.tracks[i]}`,
        `${set.labels[i]}`,
      );
    }
    classOf.set(set.tracks[i], label);
  }
}

/** All images in random order, so that no slice of the result is sorted by class. */
export function shuffled(set: ImageSet, random: Random): ImageSet {
  return select(set, permutation(random, set.count));
}

/**
 * At most `maximum` images of an already shuffled set: the first of every class, then the first of all, still shuffled.
 * Throws RangeError if `maximum` is below the number of classes.
 */
export function limited(source: Source, maximum: number, random: Random): ImageSet {
  const { set, classNames } = source;
  if (!Number.isInteger(maximum) || maximum < classNames.length) {
    throw new RangeError(
      `images: expected an integer of at least ${classNames.length} classes, got ${maximum}`,
    );
  }
  if (maximum >= set.count) return set;
  const chosen = new Set(indicesByClass(source).map((indices) => indices[0]));
  for (let i = 0; chosen.size < maximum; i++) chosen.add(i);
  return shuffled(select(set, [...chosen]), random);
}
