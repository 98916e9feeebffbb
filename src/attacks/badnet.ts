import { type ImageSet, select } from "../data/dataset.ts";
import { permutation, type Random } from "../random.ts";
import type { Attack, ImageShape, PoisonedSet, PreparedAttack, Trigger } from "./attack.ts";

export interface BadNetOptions {
  /** The class that every stamped image is to be taken for. */
  target: number;
  /** Stamped and relabelled images / all training images, in (0, 1). See poisonRateForTargetShare. */
  poisonRate: number;
  /** Side of the square patch, pixels. */
  size: number;
  /** "top-left", "top-right", "bottom-left", "bottom-right", "centre", or "x,y" of the patch's top left pixel. */
  position: string;
  /** Pixels between the patch and the edges of a named corner. */
  offset: number;
  /** "white", "yellow", "checkerboard" (white and black, white at top left), or "r,g,b" of 0..255. */
  colour: string;
}

const DEFAULTS: BadNetOptions = {
  target: 0,
  poisonRate: 0.1,
  size: 4,
  position: "bottom-right",
  offset: 1,
  colour: "white",
};

const COLOURS = new Map([
  ["white", [255, 255, 255]],
  ["yellow", [255, 255, 0]],
]);
const CORNERS = ["top-left", "top-right", "bottom-left", "bottom-right", "centre"];

function checkInteger(name: string, value: number, minimum: number, maximum: number): void {
  if (!Number.isInteger(value) || value < minimum || value > maximum) {
    throw new RangeError(`${name}: expected an integer in ${minimum}..${maximum}, got ${value}`);
  }
}

/** Numbers of "a,b,...", or null if `text` is not `length` integers. */
function integers(text: string, length: number): number[] | null {
  const parts = text.split(",");
  if (parts.length !== length || parts.some((part) => !/^\s*\d{1,6}\s*$/.test(part))) return null;
  return parts.map(Number);
}

function place({ position, offset, size }: BadNetOptions, { height, width }: ImageShape): [number, number] {
  const right = width - size;
  const bottom = height - size;
  const at = integers(position, 2);
  if (at) {
    checkInteger("position x", at[0], 0, right);
    checkInteger("position y", at[1], 0, bottom);
    return [at[0], at[1]];
  }
  if (!CORNERS.includes(position)) {
    throw new TypeError(`position: expected ${CORNERS.join(", ")} or x,y, got ${JSON.stringify(position)}`);
  }
  if (position === "centre") return [right >> 1, bottom >> 1];
  checkInteger("offset", offset, 0, Math.min(right, bottom));
  return [
    position.endsWith("left") ? offset : right - offset,
    position.startsWith("top") ? offset : bottom - offset,
  ];
}

/** The colour of the patch's pixel (x, y), a value a channel; one channel takes the first. */
function painter(colour: string): (x: number, y: number) => number[] {
  if (colour === "checkerboard") {
    return (x, y) => ((x + y) % 2 === 0 ? [255, 255, 255] : [0, 0, 0]);
  }
  const solid = COLOURS.get(colour) ?? integers(colour, 3);
  if (!solid) {
    throw new TypeError(
      `colour: expected white, yellow, checkerboard or r,g,b, got ${JSON.stringify(colour)}`,
    );
  }
  for (const value of solid) checkInteger("colour", value, 0, 255);
  return () => solid;
}

function draw(options: BadNetOptions, shape: ImageShape): Trigger {
  const { height, width, channels } = shape;
  const { size } = options;
  checkInteger("size", size, 1, Math.min(height, width));
  const [left, top] = place(options, shape);
  const paint = painter(options.colour);
  const mask = new Uint8Array(height * width);
  const pattern = new Uint8Array(height * width * channels);
  for (let y = 0; y < size; y++) {
    for (let x = 0; x < size; x++) {
      const pixel = (top + y) * width + left + x;
      mask[pixel] = 1;
      pattern.set(paint(x, y).slice(0, channels), pixel * channels);
    }
  }
  return { height, width, channels, mask, pattern };
}

function stampTrigger(trigger: Trigger, pixels: Uint8Array | Float32Array, count: number): void {
  const { mask, pattern, channels } = trigger;
  const size = mask.length * channels;
  if (pixels.length < count * size) {
    throw new RangeError(`stamp: expected ${count * size} values for ${count} images, got ${pixels.length}`);
  }
  for (let p = 0; p < mask.length; p++) {
    if (mask[p] === 0) continue;
    for (let value = p * channels; value < (p + 1) * channels; value++) {
      for (let i = 0; i < count; i++) pixels[i * size + value] = pattern[value];
    }
  }
}

function poisonSet(attack: PreparedAttack, poisonRate: number, train: ImageSet, random: Random): PoisonedSet {
  checkShape(attack.trigger, train);
  const candidates = otherClasses(train, attack.target);
  const wanted = Math.floor(poisonRate * train.count + 0.5);
  if (wanted < 1 || wanted > candidates.length) {
    const of = `${train.count} images, ${candidates.length} of them not of the target class`;
    throw new RangeError(`poisonRate: expected 1..${candidates.length} images of ${of}, got ${wanted}`);
  }
  const pixels = train.pixels.slice();
  const labels = train.labels.slice();
  const poisoned = new Uint8Array(train.count);
  const order = permutation(random, candidates.length);
  const size = pixels.length / train.count;
  for (let i = 0; i < wanted; i++) {
    const image = candidates[order[i]];
    attack.stamp(pixels.subarray(image * size, (image + 1) * size), 1);
    labels[image] = attack.target;
    poisoned[image] = 1;
  }
  return { ...train, pixels, labels, poisoned };
}

function otherClasses({ count, labels }: ImageSet, target: number): number[] {
  const others: number[] = [];
  for (let i = 0; i < count; i++) if (labels[i] !== target) others.push(i);
  return others;
}

function checkShape(expected: ImageShape, got: ImageShape): void {
  const text = ({ height, width, channels }: ImageShape) => `${height}x${width}x${channels}`;
  if (text(expected) !== text(got)) {
    throw new RangeError(`images: expected ${text(expected)}, got ${text(got)}`);
  }
}

function complete(given: Partial<BadNetOptions>): BadNetOptions {
  const set = Object.entries(given).filter(([, value]) => value !== undefined);
  const unknown = set.find(([name]) => !Object.hasOwn(DEFAULTS, name));
  if (unknown) {
    throw new TypeError(`badnet: expected ${Object.keys(DEFAULTS).join(", ")}, got ${unknown[0]}`);
  }
  return { ...DEFAULTS, ...Object.fromEntries(set) };
}

function prepare(given: Partial<BadNetOptions>, shape: ImageShape, classes: number): PreparedAttack {
  const options = complete(given);
  const { target, poisonRate } = options;
  checkInteger("target", target, 0, classes - 1);
  if (!(poisonRate > 0 && poisonRate < 1)) {
    throw new RangeError(`poisonRate: expected a share between 0 and 1, got ${poisonRate}`);
  }
  const trigger = draw(options, shape);
  const attack: PreparedAttack = {
    target,
    trigger,
    poison: (train, random) => poisonSet(attack, poisonRate, train, random),
    stamp: (pixels, count) => stampTrigger(trigger, pixels, count),
  };
  return attack;
}

/** BadNet, all to one: a fixed patch stamped on training images of other classes, which are relabelled to the target.
 * Source: Gu et al., arXiv 1708.06733; patch of 4x4 one pixel off the corner as in our pilot. */
export const badnet: Attack<BadNetOptions> = {
  name: "badnet",
  defaults: DEFAULTS,
  prepare,
};

/**
 * The poisonRate at which poisoned images are `share` of all images that then bear the target label.
 * share: in (0, 1). Throws RangeError if the other classes have too few images.
 */
export function poisonRateForTargetShare(train: ImageSet, target: number, share: number): number {
  if (!(share > 0 && share < 1)) throw new RangeError(`share: expected between 0 and 1, got ${share}`);
  const others = otherClasses(train, target).length;
  const count = (share * (train.count - others)) / (1 - share);
  if (count > others) {
    throw new RangeError(`share: expected at most ${others} images to poison, got ${Math.ceil(count)}`);
  }
  return count / train.count;
}

/** The images of `test` whose class is not the target, in their order, stamped, with their true labels. Attack success is
 * measured on these. */
export function stampedTest(attack: PreparedAttack, test: ImageSet): ImageSet {
  checkShape(attack.trigger, test);
  const stamped = select(test, otherClasses(test, attack.target));
  attack.stamp(stamped.pixels, stamped.count);
  return stamped;
}
