import { median } from "simple-statistics";
import type { ImageSet } from "../data/dataset.ts";
import { exp, sigmoid } from "../elementary.ts";
import type { Random } from "../random.ts";
import type { Subject } from "./defense.ts";
import type { SoftTrigger } from "./softTrigger.ts";

export interface PatchOptions {
  /** Clean images. */
  images: number;
  /** Largest side of a patch, pixels. */
  side: number;
  /** Positions along each axis tried for every class at once, in the corners of the colour cube. */
  grid: number;
  /** Annealing proposals of each class. */
  proposals: number;
}

/** A rectangle of one colour. */
interface Patch {
  x: number;
  y: number;
  width: number;
  height: number;
  /** One value a channel, 0..255. */
  color: number[];
}

/** The best patch of one class. */
export interface PatchResult extends SoftTrigger {
  /** Continuous attack success, (0, 1): mean of sigmoid(margin of the class / usual margin). */
  value: number;
  /** Share of images of other classes that the patch sends to the class. */
  success: number;
  /** Range of `value` over the shared proposals: 0 means that the scores did not move. */
  range: number;
}

/** What one patch does to each class: continuous and plain attack success. */
interface Effect {
  value: Float64Array;
  success: Float64Array;
}

/** The two best classes of a row and their scores. */
function topTwo(scores: Float32Array, offset: number, classes: number) {
  let [first, second] = [-1, -1];
  for (let c = 0; c < classes; c++) {
    const value = scores[offset + c];
    if (first < 0 || value > scores[offset + first]) [first, second] = [c, first];
    else if (second < 0 || value > scores[offset + second]) second = c;
  }
  return { first, best: scores[offset + first], next: scores[offset + second] };
}

/** Median gap between the two best scores of the images as they are: the unit of margins, so that logits in any scale
 * and softmax shares are treated alike; 1 where the scores are flat. */
function usualMargin(subject: Subject, images: ImageSet): number {
  const scores = subject.scores(images.pixels, images.count);
  const gaps = Array.from({ length: images.count }, (_, i) => {
    const { best, next } = topTwo(scores, i * subject.classes, subject.classes);
    return best - next;
  });
  return median(gaps) || 1;
}

/** Measures patches on images; images of a class do not count for that class. A tie in the scores has margin 0. */
function patchMeter(subject: Subject, images: ImageSet): (patch: Patch) => Effect {
  const { classes } = subject;
  const unit = usualMargin(subject, images);
  const stamped = images.pixels.slice();
  const others = new Float64Array(classes).fill(images.count);
  for (const label of images.labels) others[label]--;
  return (patch) => {
    paint(stamped, images, patch);
    // A new view each time: a subject may remember results by the array it was given.
    const scores = subject.scores(stamped.subarray(0), images.count);
    const value = new Float64Array(classes);
    const success = new Float64Array(classes);
    for (let i = 0; i < images.count; i++) {
      const { first, best, next } = topTwo(scores, i * classes, classes);
      for (let c = 0; c < classes; c++) {
        if (images.labels[i] === c) continue;
        const margin = scores[i * classes + c] - (c === first ? next : best);
        value[c] += sigmoid(margin / unit);
        if (c === first) success[c]++;
      }
    }
    restore(stamped, images, patch);
    for (let c = 0; c < classes; c++) {
      value[c] /= Math.max(1, others[c]);
      success[c] /= Math.max(1, others[c]);
    }
    return { value, success };
  };
}

function eachPixel(images: ImageSet, patch: Patch, visit: (at: number) => void): void {
  const { count, height, width, channels } = images;
  for (let i = 0; i < count; i++)
    for (let y = patch.y; y < patch.y + patch.height; y++)
      for (let x = patch.x; x < patch.x + patch.width; x++) visit(((i * height + y) * width + x) * channels);
}

function paint(pixels: Uint8Array, images: ImageSet, patch: Patch): void {
  eachPixel(images, patch, (at) => pixels.set(patch.color, at));
}

function restore(pixels: Uint8Array, images: ImageSet, patch: Patch): void {
  eachPixel(images, patch, (at) => {
    for (let c = 0; c < images.channels; c++) pixels[at + c] = images.pixels[at + c];
  });
}

/** Patches of the largest side on a grid of positions, in every corner of the colour cube. */
function gridOfPatches(images: ImageSet, options: PatchOptions): Patch[] {
  const { height, width, channels } = images;
  const side = Math.min(options.side, height, width);
  const at = (i: number, extent: number) => Math.round((i * (extent - side)) / Math.max(1, options.grid - 1));
  const patches: Patch[] = [];
  for (let i = 0; i < options.grid; i++)
    for (let j = 0; j < options.grid; j++)
      for (let corner = 0; corner < 1 << channels; corner++) {
        const color = Array.from({ length: channels }, (_, c) => ((corner >> c) & 1) * 255);
        patches.push({ x: at(j, width), y: at(i, height), width: side, height: side, color });
      }
  return patches;
}

const clamp = (value: number, low: number, high: number) => Math.min(high, Math.max(low, value));

/** One random change: place, size or one channel of the colour. */
function neighbour(patch: Patch, images: ImageSet, options: PatchOptions, random: Random): Patch {
  const next = { ...patch, color: [...patch.color] };
  const kind = random.below(4);
  if (kind <= 1) {
    next.x += random.below(7) - 3;
    next.y += random.below(7) - 3;
  } else if (kind === 2) {
    next.width = clamp(next.width + random.below(3) - 1, 1, Math.min(options.side, images.width));
    next.height = clamp(next.height + random.below(3) - 1, 1, Math.min(options.side, images.height));
  } else {
    next.color[random.below(images.channels)] = random.below(256);
  }
  next.x = clamp(next.x, 0, images.width - next.width);
  next.y = clamp(next.y, 0, images.height - next.height);
  return next;
}

/** Simulated annealing of one class from `start`; the temperature falls from 0.05 to 0.002 of a success rate. */
function anneal(
  start: { patch: Patch; value: number; success: number },
  target: number,
  propose: (patch: Patch) => Patch,
  options: { measure: (patch: Patch) => Effect; proposals: number; random: Random },
) {
  let [current, best] = [start, start];
  for (let i = 0; i < options.proposals; i++) {
    const temperature = 0.05 * exp((-3.2 * i) / options.proposals);
    const patch = propose(current.patch);
    const effect = options.measure(patch);
    const next = { patch, value: effect.value[target], success: effect.success[target] };
    if (options.random.uniform() < exp((next.value - current.value) / temperature)) current = next;
    if (current.value > best.value) best = current;
  }
  return best;
}

function asTrigger(patch: Patch, images: ImageSet): SoftTrigger {
  const { height, width, channels } = images;
  const mask = new Float32Array(height * width);
  const pattern = new Float32Array(mask.length * channels);
  eachPixel({ ...images, count: 1 }, patch, (at) => {
    mask[at / channels] = 1;
    pattern.set(patch.color, at);
  });
  return { mask, pattern };
}

/**
 * For every class the opaque one-colour patch of at most side x side pixels with the largest continuous attack success,
 * from forward passes alone: a grid measured for all classes at once, then simulated annealing class by class.
 * images: with labels. After DeBackdoor (Popovic et al., arXiv 2503.21305), reduced to opaque patches.
 */
export function searchPatches(
  subject: Subject,
  images: ImageSet,
  options: PatchOptions,
  random: Random,
  progress: (done: number, total: number) => void,
): PatchResult[] {
  const measure = patchMeter(subject, images);
  const patches = gridOfPatches(images, options);
  const total = patches.length + options.proposals * subject.classes;
  const effects = patches.map((patch, i) => {
    progress(i, total);
    return measure(patch);
  });
  return Array.from({ length: subject.classes }, (_, target) => {
    progress(patches.length + options.proposals * target, total);
    const values = effects.map((effect) => effect.value[target]);
    const top = values.indexOf(Math.max(...values));
    const start = { patch: patches[top], value: values[top], success: effects[top].success[target] };
    const source = random.fork(`class ${target}`);
    const propose = (patch: Patch) => neighbour(patch, images, options, source);
    const best = anneal(start, target, propose, { measure, proposals: options.proposals, random: source });
    const { value, success } = best;
    return { ...asTrigger(best.patch, images), value, success, range: values[top] - Math.min(...values) };
  });
}
