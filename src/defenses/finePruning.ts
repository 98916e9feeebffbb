import type { ImageSet } from "../data/dataset.ts";
import type { Random } from "../random.ts";
import type { Defense, Figure, Material, Subject } from "./defense.ts";
import { slice } from "./images.ts";
import { decided, notRunnable, rounded } from "./outcome.ts";
import { metered } from "./passes.ts";
import { countCorrect, countTarget } from "./probabilities.ts";

export interface FinePruningOptions {
  /** Clean images of the defender on which activations are ranked and the accuracy's fall is watched. */
  validation: number;
  /** Clean test and triggered images, of each at most, that measure the result. */
  evaluated: number;
  /** Points of the curve before refinement. */
  points: number;
  /** Fall of clean accuracy that is accepted. */
  tolerance: number;
  /** Clean images of the defender for fine-tuning, at most. */
  tuneImages: number;
  tuneEpochs: number;
  tuneLearningRate: number;
}

/** Falls of accuracy at which the attack success is reported. */
const DROPS = [0.02, 0.05, 0.1];
const THRESHOLD = 0.5;
const QUICK: FinePruningOptions = {
  validation: 150,
  evaluated: 150,
  points: 10,
  tolerance: 0.05,
  tuneImages: 400,
  tuneEpochs: 3,
  tuneLearningRate: 0.01,
};
const BRIEF: FinePruningOptions = { ...QUICK, validation: 100, evaluated: 100, points: 8, tuneEpochs: 2 };
const STUDY: FinePruningOptions = {
  ...QUICK,
  validation: 400,
  evaluated: 400,
  points: 16,
  tuneImages: 1600,
  tuneEpochs: 5,
};

/** The subject with `pruned` channels gone. Shares of 1. */
interface Point {
  pruned: number;
  validation: number;
  accuracy: number;
  attackSuccess: number;
}

interface Images {
  validation: ImageSet;
  test: ImageSet;
  triggered: ImageSet;
  target: number;
}

function accuracyOf(subject: Subject, set: ImageSet): number {
  const scores = subject.scores(set.pixels, set.count);
  return countCorrect(scores, subject.classes, set.labels) / set.count;
}

function measure(subject: Subject, pruned: number, images: Images): Point {
  const scores = subject.scores(images.triggered.pixels, images.triggered.count);
  return {
    pruned,
    validation: accuracyOf(subject, images.validation),
    accuracy: accuracyOf(subject, images.test),
    attackSuccess: countTarget(scores, subject.classes, images.target) / images.triggered.count,
  };
}

/** Channels from the most dormant on clean images to the most active. */
function dormantFirst(subject: Subject, images: ImageSet): number[] {
  const means = subject.pruning!.meanActivation(images.pixels, images.count);
  return Array.from(means, (_, c) => c).sort((a, b) => means[a] - means[b] || a - b);
}

/** The curve in strides until accuracy has fallen by more than the largest of DROPS, then bisection of the last
 * pruning that stays within the tolerance. Points by channels pruned. */
function pruningCurve(
  measureAt: (pruned: number) => Point,
  channels: number,
  options: FinePruningOptions,
): Point[] {
  const points = [measureAt(0)];
  const falls = (point: Point, drop: number) => points[0].validation - point.validation > drop + 1e-9;
  const stride = Math.max(1, Math.ceil(channels / options.points));
  for (let pruned = stride; pruned < channels; pruned += stride) {
    points.push(measureAt(pruned));
    if (falls(points.at(-1)!, Math.max(...DROPS))) break;
  }
  const failing = points.findIndex((point) => falls(point, options.tolerance));
  if (failing < 0) return points;
  let [low, high] = [points[failing - 1].pruned, points[failing].pruned];
  while (high - low > 1) {
    const point = measureAt((low + high) >> 1);
    points.push(point);
    if (falls(point, options.tolerance)) high = point.pruned;
    else low = point.pruned;
  }
  return points.toSorted((a, b) => a.pruned - b.pruned);
}

/** The last point before the validation accuracy first falls by more than `drop`. */
function within(points: Point[], drop: number): Point {
  const failing = points.findIndex((point) => points[0].validation - point.validation > drop + 1e-9);
  return points[failing < 0 ? points.length - 1 : failing - 1];
}

async function tuned(
  subject: Subject,
  pruned: number[],
  run: { material: Material; images: Images; options: FinePruningOptions; random: Random },
): Promise<Point> {
  const { options } = run;
  const better = await subject.tune!(slice(run.material.clean, 0, options.tuneImages), {
    epochs: options.tuneEpochs,
    learningRate: options.tuneLearningRate,
    random: run.random,
    pruned,
  });
  const point = measure(better, pruned.length, run.images);
  better.dispose?.();
  return point;
}

function curve(points: Point[], channels: number): Figure {
  const share = (point: Point) => rounded(point.pruned / channels, 4);
  const line = (name: string, value: (point: Point) => number) => ({
    name,
    points: points.map((point): [number, number] => [share(point), rounded(value(point), 4)]),
  });
  return {
    kind: "curve",
    title: "Pruning from the most dormant channel up",
    xLabel: "share of channels pruned",
    yLabel: "share of images",
    series: [line("clean accuracy", (p) => p.accuracy), line("attack success", (p) => p.attackSuccess)],
  };
}

function atDrops(points: Point[]): Record<string, number> {
  const measures: Record<string, number> = {};
  for (const drop of DROPS) {
    const point = within(points, drop);
    measures[`asrAtDrop${drop * 100}`] = point.attackSuccess;
    measures[`prunedAtDrop${drop * 100}`] = point.pruned;
  }
  return measures;
}

/**
 * Prunes the last convolution's channels from the most dormant on clean images while the defender's clean accuracy falls
 * by no more than the tolerance, then fine-tunes on clean images where the subject can be tuned. It repairs and does not
 * detect; "detected" here (ours) means repaired: score = attack success before less after, after = pruning and tuning
 * when tuning ran and test accuracy stayed within the tolerance, else pruning alone.
 * Measures: curve points at falls of 2, 5 and 10 points (pruning alone), `repair` = share of the attack removed.
 */
export const finePruning: Defense<FinePruningOptions> = {
  id: "finePruning",
  title: "Fine-Pruning",
  source: "Liu, Dolan-Gavitt and Garg, Fine-Pruning, RAID 2018",
  scoreName: "attack success removed at a clean accuracy fall of at most 5 points",
  threshold: THRESHOLD,
  thresholdSource: "ours: repaired when half of all triggered images no longer reach the target",
  signal: "repair",
  needs: ["triggered"],
  options: QUICK,
  presets: { brief: BRIEF, quick: QUICK, study: STUDY },
  async run(observed, material, options, random, progress) {
    const { subject, passes } = metered(observed);
    if (!subject.pruning)
      return notRunnable(
        `Channels cannot be pruned: ${subject.missing.pruning ?? "weights and activations are not visible"}.`,
        passes,
      );
    if (!material.truth) return notRunnable("The class that the attack aims at is not known.", passes);
    const { pruning } = subject;
    const images: Images = {
      validation: slice(material.clean, 0, options.validation),
      test: slice(material.test, 0, options.evaluated),
      triggered: slice(material.triggered, 0, options.evaluated),
      target: material.truth.target,
    };
    const order = dormantFirst(subject, images.validation);
    const expected = options.points + 6;
    let done = 0;
    const measureAt = (pruned: number) => {
      progress(Math.min(done++, expected), expected);
      return measure(pruned === 0 ? subject : pruning.without(order.slice(0, pruned)), pruned, images);
    };
    const points = pruningCurve(measureAt, pruning.channels, options);
    const [before, pruned] = [points[0], within(points, options.tolerance)];
    const channels = order.slice(0, pruned.pruned);
    const after = subject.tune ? await tuned(subject, channels, { material, images, options, random }) : null;
    const kept = after !== null && before.accuracy - after.accuracy <= options.tolerance + 1e-9;
    const final = kept ? after : pruned;
    const removed = before.attackSuccess - final.attackSuccess;
    const percent = (value: number) => `${(100 * value).toFixed(0)} %`;
    const how = after
      ? kept
        ? "pruning and tuning"
        : "pruning alone, as tuning cost too much accuracy"
      : `pruning alone, tuning not runnable: ${subject.missing.tune ?? "no gradients"}`;
    return decided(
      {
        reason: `Attack success ${percent(before.attackSuccess)} before and ${percent(final.attackSuccess)} after ${pruned.pruned} of ${pruning.channels} channels (${how}).`,
        score: removed,
        flagged: [],
        measures: {
          ...atDrops(points),
          channels: pruning.channels,
          accuracyBefore: before.accuracy,
          asrBefore: before.attackSuccess,
          accuracyPruned: pruned.accuracy,
          asrPruned: pruned.attackSuccess,
          accuracyTuned: after?.accuracy,
          asrTuned: after?.attackSuccess,
          repair: before.attackSuccess > 0 ? Math.max(0, removed / before.attackSuccess) : null,
        },
        figures: [curve(points, pruning.channels)],
      },
      THRESHOLD,
      passes,
    );
  },
};
