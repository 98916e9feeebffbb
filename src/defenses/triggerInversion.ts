import type { ImageSet } from "../data/dataset.ts";
import { exp } from "../elementary.ts";
import type { Random } from "../random.ts";
import { adam } from "./adam.ts";
import type { Subject } from "./defense.ts";
import { countTarget } from "./probabilities.ts";
import { type Answer, type Question, sharePasses } from "./sharedPasses.ts";
import { maskNorm, PLAIN_BLENDS, type SoftTrigger } from "./softTrigger.ts";

export interface InversionOptions {
  /** Clean images. */
  images: number;
  /** Images an update; an outer step is one pass over the images. */
  batch: number;
  /** Outer steps at most. */
  steps: number;
  learningRate: number;
  /** First weight of the mask's L1 norm; its factor up after `patience` successful outer steps in a row; after as
   * many failures it is divided by factor^1.5. */
  lambda: number;
  lambdaFactor: number;
  patience: number;
  /** Share of images that must reach the target for a mask to count. */
  successThreshold: number;
  /** Outer steps without a 1 % smaller mask, lambda having moved both ways, after which a class is done. */
  earlyStop: number;
}

/** What the search of one class found. */
export interface Inversion extends SoftTrigger {
  /** L1 norm of the mask. */
  norm: number;
  /** Whether some mask met the success threshold; if not, trigger and norm are the last ones. */
  solved: boolean;
  /** Success of the trigger on the images of the search. */
  success: number;
  /** Largest L2 norm of the cross-entropy's gradient in tanh space: 0 means that no gradient arrived, NaN
   * that it was not finite. */
  gradientNorm: number;
}

/** Starting point in tanh space; the same for every class, so that classes differ by the model and not by chance. */
export interface Start {
  mask: Float64Array;
  pattern: Float64Array;
}

export function randomStart(subject: Subject, random: Random): Start {
  const area = subject.height * subject.width;
  const uniform = () => 2 * random.uniform() - 1;
  return {
    mask: Float64Array.from({ length: area }, uniform),
    pattern: Float64Array.from({ length: area * subject.channels }, uniform),
  };
}

/** (tanh(theta) + 1) / 2 * scale of every parameter, into `output`. */
function squash(theta: Float64Array, scale: number, output: Float32Array): void {
  for (let i = 0; i < theta.length; i++) output[i] = scale / (1 + exp(-2 * theta[i]));
}

/** Turns d loss / d value into d loss / d theta, in place; value = (tanh(theta) + 1) / 2 * scale. */
function throughSquash(gradient: Float64Array, value: Float32Array, scale: number): void {
  for (let i = 0; i < gradient.length; i++) {
    const share = value[i] / scale;
    gradient[i] *= 2 * share * (1 - share) * scale;
  }
}

function squaredNorm(values: Float64Array): number {
  let sum = 0;
  for (const value of values) sum += value * value;
  return sum;
}

/** The optimiser of one class: `ask` stamps a batch, `move` takes one step by the answer and says how many of the batch's
 * images reached the target. */
function optimiser(subject: Subject, target: number, options: InversionOptions, start: Start) {
  const { classes, blends = PLAIN_BLENDS } = subject;
  const theta = { mask: start.mask.slice(), pattern: start.pattern.slice() };
  const rates = { learningRate: options.learningRate, beta1: 0.5, beta2: 0.9 };
  const step = { mask: adam(theta.mask.length, rates), pattern: adam(theta.pattern.length, rates) };
  const gradients = {
    mask: new Float64Array(theta.mask.length),
    pattern: new Float64Array(theta.pattern.length),
  };
  const trigger = {
    mask: new Float32Array(theta.mask.length),
    pattern: new Float32Array(theta.pattern.length),
  };
  const stamped = new Float32Array(options.batch * theta.pattern.length);
  const refresh = () => {
    squash(theta.mask, 1, trigger.mask);
    squash(theta.pattern, 255, trigger.pattern);
  };
  refresh();
  const ask = (pixels: Uint8Array, count: number): Question => {
    blends.blend(trigger, pixels, count, stamped);
    return { pixels: stamped.subarray(0, pixels.length), count };
  };
  const move = (pixels: Uint8Array, answer: Answer, lambda: number) => {
    blends.blendGradient(trigger, pixels, answer.gradient, gradients);
    throughSquash(gradients.mask, trigger.mask, 1);
    throughSquash(gradients.pattern, trigger.pattern, 255);
    const norm = Math.sqrt(squaredNorm(gradients.mask) + squaredNorm(gradients.pattern));
    for (let p = 0; p < trigger.mask.length; p++)
      gradients.mask[p] += lambda * 2 * trigger.mask[p] * (1 - trigger.mask[p]);
    step.mask(theta.mask, gradients.mask);
    step.pattern(theta.pattern, gradients.pattern);
    refresh();
    return { hits: countTarget(answer.logits, classes, target), norm };
  };
  return { trigger, ask, move };
}

/** Lambda and when it moves. */
function schedule(options: InversionOptions) {
  let lambda = options.lambda;
  let [successes, failures] = [0, 0];
  const moved = { up: false, down: false };
  const after = (success: boolean) => {
    successes = success ? successes + 1 : 0;
    failures = success ? 0 : failures + 1;
    if (successes === options.patience) {
      successes = 0;
      lambda *= options.lambdaFactor;
      moved.up = true;
    } else if (failures === options.patience) {
      failures = 0;
      lambda /= options.lambdaFactor * Math.sqrt(options.lambdaFactor);
      moved.down = true;
    }
  };
  return { lambda: () => lambda, after, settled: () => moved.up && moved.down };
}

/** The search of one class: yields what it asks, is sent the answer, returns what it found. */
function* search(
  subject: Subject,
  images: ImageSet,
  target: number,
  options: InversionOptions,
  start: Start,
): Generator<Question, Inversion, Answer> {
  const { trigger, ask, move } = optimiser(subject, target, options, start);
  const lambda = schedule(options);
  const size = images.pixels.length / images.count;
  const evaluated = copy(trigger);
  let best: Inversion | null = null;
  let [idle, gradientNorm, success] = [0, 0, 0];
  for (let step = 0; step < options.steps; step++) {
    let hits = 0;
    for (let from = 0; from < images.count; from += options.batch) {
      const to = Math.min(images.count, from + options.batch);
      const batch = images.pixels.subarray(from * size, to * size);
      evaluated.mask.set(trigger.mask);
      evaluated.pattern.set(trigger.pattern);
      const result = move(batch, yield ask(batch, to - from), lambda.lambda());
      hits += result.hits;
      gradientNorm = Math.max(gradientNorm, result.norm);
    }
    if (!Number.isFinite(gradientNorm) || (step === 2 && gradientNorm === 0)) break;
    success = hits / images.count;
    const solved = success >= options.successThreshold;
    const norm = maskNorm(evaluated);
    idle = best === null || (solved && norm < 0.99 * best.norm) ? 0 : idle + 1;
    if (solved && (best === null || norm < best.norm))
      best = { ...copy(evaluated), norm, solved, success, gradientNorm };
    if (best !== null && idle >= options.earlyStop && lambda.settled()) break;
    lambda.after(solved);
  }
  if (best !== null) return { ...best, gradientNorm };
  return { ...copy(trigger), norm: maskNorm(trigger), solved: false, success, gradientNorm };
}

/**
 * Searches for each target the smallest mask that sends every image to it: Adam in tanh space on cross-entropy +
 * lambda * L1. images: as many as options.images says; batches are taken in order. A class whose first three outer steps
 * bring no gradient at all, or one that is not finite, is given up. Small batches of several classes share a pass, which
 * changes no bit of what is found. Source: Wang et al., IEEE S&P 2019, section IV.
 */
export function invertTriggers(
  subject: Subject,
  images: ImageSet,
  targets: readonly number[],
  options: InversionOptions,
  start: Start,
  progress: (done: number, total: number) => void,
): Inversion[] {
  const searches = targets.map((target) => ({
    target,
    run: search(subject, images, target, options, start),
  }));
  return sharePasses(subject, searches, Math.min(options.batch, images.count), progress);
}

function copy(trigger: SoftTrigger): SoftTrigger {
  return { mask: trigger.mask.slice(), pattern: trigger.pattern.slice() };
}
