import type { PoisonedSet } from "../attacks/attack.ts";
import { permutation, seededRandom } from "../random.ts";
import type { Subject } from "./defense.ts";
import { rounded } from "./outcome.ts";

/** Penultimate features of the training images that carry one label. */
export interface ClassFeatures {
  label: number;
  count: number;
  depth: number;
  /** count * depth. */
  values: Float64Array;
  /** 1 where the image was poisoned; for evaluation only. */
  poisoned: Uint8Array;
}

/** Classes with fewer images than this are left out: their clusters and spectra mean nothing. */
export const FEWEST = 20;

/** A random choice of at most `cap` images of each label with at least FEWEST, by label: the same whoever asks, so that a
 * subject which remembers images runs them once for all defenses. */
function choose(training: PoisonedSet, classes: number, cap: number): number[][] {
  const chosen = Array.from({ length: classes }, () => [] as number[]);
  const present = new Array<number>(classes).fill(0);
  for (const index of permutation(seededRandom(1).fork("training"), training.count)) {
    const label = training.labels[index];
    present[label]++;
    if (chosen[label].length < cap) chosen[label].push(index);
  }
  return chosen.map((list, label) => (present[label] < FEWEST ? [] : list));
}

/** One class at a time, poison included. cap: images of a class at most. Needs subject.features. */
export function* classFeatures(
  subject: Subject,
  training: PoisonedSet,
  cap: number,
): Generator<ClassFeatures> {
  const size = training.height * training.width * training.channels;
  for (const [label, indices] of choose(training, subject.classes, cap).entries()) {
    if (indices.length === 0) continue;
    const pixels = new Uint8Array(indices.length * size);
    indices.forEach((index, i) =>
      pixels.set(training.pixels.subarray(index * size, (index + 1) * size), i * size),
    );
    yield {
      label,
      count: indices.length,
      depth: subject.featureDepth!,
      values: Float64Array.from(subject.features!(pixels, indices.length)),
      poisoned: Uint8Array.from(indices, (index) => training.poisoned[index]),
    };
  }
}

/** A value of every class, 0 for those that were left out; four decimals. */
export function byClass<Found extends { label: number }>(
  classes: number,
  found: readonly Found[],
  value: (found: Found) => number,
): number[] {
  const values = new Array<number>(classes).fill(0);
  for (const each of found) values[each.label] = rounded(value(each), 4);
  return values;
}
