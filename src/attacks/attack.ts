import type { ImageSet } from "../data/dataset.ts";
import type { Random } from "../random.ts";

/** What is stamped on an image: where mask is 1 the image shows pattern. */
export interface Trigger {
  height: number;
  width: number;
  channels: number;
  /** height * width, 0 or 1. */
  mask: Uint8Array;
  /** height * width * channels pixel values. */
  pattern: Uint8Array;
}

/** A training set after the attacker: same order; `poisoned[i]` is 1 where image i was stamped and relabelled. */
export interface PoisonedSet extends ImageSet {
  poisoned: Uint8Array;
}

/** An attack prepared for one data set. Stamping is applied after augmentation, so that the trigger never moves. */
export interface PreparedAttack {
  target: number;
  trigger: Trigger;
  poison(train: ImageSet, random: Random): PoisonedSet;
  /** Stamps `count` images of `pixels` in place. Values are pixel units. */
  stamp(pixels: Uint8Array | Float32Array, count: number): void;
}

export interface ImageShape {
  height: number;
  width: number;
  channels: number;
}

/** One attack. A row of ATTACKS. */
export interface Attack<Options> {
  name: string;
  defaults: Options;
  /** Options left out take their default. Throws RangeError or TypeError naming the option. */
  prepare(options: Partial<Options>, shape: ImageShape, classes: number): PreparedAttack;
}
