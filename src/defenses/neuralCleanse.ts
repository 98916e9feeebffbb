import type { Trigger } from "../attacks/attack.ts";
import type { ImageSet } from "../data/dataset.ts";
import type { Random } from "../random.ts";
import type { Defense, Figure, Material, Outcome, Parts, Subject, Truth } from "./defense.ts";
import { firstOthers, slice } from "./images.ts";
import { decided, notRunnable, rounded } from "./outcome.ts";
import { add, metered, type Passes } from "./passes.ts";
import { type PatchOptions, searchPatches } from "./patchSearch.ts";
import { countTarget } from "./probabilities.ts";
import { maskIou, PLAIN_BLENDS, type SoftTrigger } from "./softTrigger.ts";
import { anomaly } from "./statistics.ts";
import { type Inversion, type InversionOptions, invertTriggers, randomStart } from "./triggerInversion.ts";

export interface NeuralCleanseOptions {
  inversion: InversionOptions;
  /** The search where no gradient can be had. */
  patches: PatchOptions;
  /** Held-out test images on which the found triggers are measured. */
  heldOut: number;
}

/** One class as its search left it. `value` is small for a suspicious class. */
interface ClassFinding extends SoftTrigger {
  value: number;
  /** Whether the trigger works well enough for the class to be accused. */
  solved: boolean;
  success: number;
}

/** How a form names and orders what it measured. */
interface Form {
  name: string;
  valueName: string;
  /** The value as a person reads it. */
  shown: (value: number) => number;
  gradientFree: boolean;
}

const BY_GRADIENT: Form = {
  name: "Neural Cleanse",
  valueName: "L1 norm of the mask, pixels",
  shown: (value) => value,
  gradientFree: false,
};

const BY_PATCHES: Form = {
  name: "Gradient-free variant of Neural Cleanse (annealed patches)",
  valueName: "continuous attack success of the best small patch",
  shown: (value) => -value,
  gradientFree: true,
};

/** A patch that sends fewer of the images to its class is no trigger, however unusual. */
const PATCH_SUCCESS = 0.5;

const THRESHOLD = 2;
const FEWEST_CLASSES = 3;

const QUICK: NeuralCleanseOptions = {
  inversion: {
    images: 16,
    batch: 16,
    steps: 40,
    learningRate: 0.1,
    lambda: 1e-2,
    lambdaFactor: 2,
    patience: 3,
    successThreshold: 0.99,
    earlyStop: 15,
  },
  patches: { images: 16, side: 5, grid: 7, proposals: 60 },
  heldOut: 64,
};

const BRIEF: NeuralCleanseOptions = {
  ...QUICK,
  inversion: { ...QUICK.inversion, images: 8, batch: 8 },
  patches: { ...QUICK.patches, images: 8, grid: 5, proposals: 8 },
  heldOut: 32,
};
const STUDY: NeuralCleanseOptions = {
  inversion: {
    images: 128,
    batch: 32,
    steps: 60,
    learningRate: 0.1,
    lambda: 1e-3,
    lambdaFactor: 1.5,
    patience: 5,
    successThreshold: 0.99,
    earlyStop: 25,
  },
  patches: { images: 32, side: 5, grid: 10, proposals: 200 },
  heldOut: 256,
};

type Progress = (done: number, total: number) => void;

/** Some classes, inverted; none where no gradient is visible. */
interface InvertedClasses {
  inversions: Inversion[];
  passes: Passes;
}

/** Parts of a run at most. */
const PARTS = 16;

const byClasses: Parts<NeuralCleanseOptions, InvertedClasses> = {
  count: (classes, access) => (access <= "A1" ? Math.ceil(classes / Math.ceil(classes / PARTS)) : 0),
  run(observed, { clean }, { inversion }, random, part, progress) {
    const { subject, passes } = metered(observed);
    const { classes } = subject;
    if (!subject.gradient || classes < FEWEST_CLASSES) return { inversions: [], passes };
    const images = slice(clean, 0, inversion.images);
    const start = randomStart(subject, random.fork("start"));
    const each = Math.ceil(classes / PARTS);
    const targets = Array.from({ length: Math.min(each, classes - part * each) }, (_, i) => part * each + i);
    const inversions = invertTriggers(subject, images, targets, inversion, start, progress);
    return { inversions, passes };
  },
};

function allParts(
  subject: Subject,
  material: Material,
  options: NeuralCleanseOptions,
  random: Random,
  progress: Progress,
): InvertedClasses[] {
  const count = byClasses.count(subject.classes, subject.access);
  return Array.from({ length: count }, (_, part) =>
    byClasses.run(subject, material, options, random, part, (done, total) =>
      progress(part + done / total, count),
    ),
  );
}

/** An unsolved class needs a larger mask than it was left with: it counts as the largest solved one at least. */
function censor(inversions: readonly Inversion[]): ClassFinding[] {
  const largest = inversions.reduce((a, b) => (b.solved ? Math.max(a, b.norm) : a), 0);
  return inversions.map((found) => ({
    ...found,
    value: found.solved ? found.norm : Math.max(found.norm, largest),
  }));
}

/** The found triggers, or why there are none that mean something. */
interface Found {
  findings: ClassFinding[];
  obstacle: string | null;
}

function foundByGradient(inversions: readonly Inversion[]): Found {
  const classes = inversions.length;
  const dead = inversions.filter((found) => found.gradientNorm === 0).length;
  const solved = inversions.filter((found) => found.solved).length;
  const findings = censor(inversions);
  if (inversions.some((found) => !Number.isFinite(found.gradientNorm)))
    return { findings, obstacle: "the gradient of the loss is not finite" };
  if (dead > classes / 2)
    return { findings, obstacle: `the loss gives no gradient for ${dead} of ${classes} classes` };
  if (solved < classes / 2)
    return {
      findings,
      obstacle: `a trigger was found for ${solved} of ${classes} classes: masks of the others mean nothing`,
    };
  return { findings, obstacle: null };
}

function foundByPatches(
  subject: Subject,
  clean: ImageSet,
  options: PatchOptions,
  random: Random,
  progress: Progress,
): Found {
  const patches = searchPatches(subject, slice(clean, 0, options.images), options, random, progress);
  const still = patches.filter((found) => found.range === 0).length;
  const findings = patches.map((found) => ({
    ...found,
    value: -found.value,
    solved: found.success >= PATCH_SUCCESS,
  }));
  const obstacle =
    still > subject.classes / 2
      ? `no patch moves the scores of ${still} of ${subject.classes} classes`
      : null;
  return { findings, obstacle };
}

/** Share of held-out images of other classes that the trigger sends to `target`. */
function heldOutSuccess(
  subject: Subject,
  trigger: SoftTrigger,
  target: number,
  test: ImageSet,
  count: number,
) {
  const images = firstOthers(test, target, count);
  if (images.count === 0) return null;
  const stamped = new Float32Array(images.pixels.length);
  (subject.blends ?? PLAIN_BLENDS).blend(trigger, images.pixels, images.count, stamped);
  const scores = subject.scores(stamped, images.count);
  return countTarget(scores, subject.classes, target) / images.count;
}

function triggerFigure(title: string, trigger: SoftTrigger, subject: Subject): Figure {
  return {
    kind: "trigger",
    title,
    height: subject.height,
    width: subject.width,
    mask: Array.from(trigger.mask, (value) => rounded(value, 2)),
    pattern: Array.from(trigger.pattern, (value) => Math.round(Math.min(255, Math.max(0, value)))),
    truth: false,
  };
}

function truthFigure(trigger: Trigger): Figure {
  const { height, width } = trigger;
  const title = "True trigger";
  return {
    kind: "trigger",
    title,
    height,
    width,
    mask: [...trigger.mask],
    pattern: [...trigger.pattern],
    truth: true,
  };
}

function figures(
  subject: Subject,
  material: Material,
  found: { findings: ClassFinding[]; form: Form; flagged: number[]; top: number; bound: number },
): Figure[] {
  const { findings, form, flagged, top } = found;
  const shown = findings.map(({ value }, c) => ({
    label: String(c),
    value: rounded(form.shown(value), 3),
    marked: flagged.includes(c),
  }));
  const list: Figure[] = [
    {
      kind: "bars",
      title: "What each class needs",
      xLabel: "class",
      yLabel: form.valueName,
      bars: shown,
      threshold: rounded(form.shown(found.bound), 3),
    },
    triggerFigure(`Found for class ${top}, the most suspicious`, findings[top], subject),
  ];
  if (!material.truth) return list;
  const { target, trigger } = material.truth;
  if (top !== target)
    list.push(triggerFigure(`Found for class ${target}, the true target`, findings[target], subject));
  return [...list, truthFigure(trigger)];
}

/** Share of the other classes with a larger (less suspicious) value, ties half: 1 when the target is the smallest. */
function rankOf(target: number, values: number[]): number {
  let larger = 0;
  values.forEach((value, c) => {
    if (c !== target) larger += value > values[target] ? 1 : value === values[target] ? 0.5 : 0;
  });
  return larger / Math.max(1, values.length - 1);
}

function judge(
  subject: Subject,
  material: Material,
  options: NeuralCleanseOptions,
  findings: ClassFinding[],
  passes: Passes,
): Outcome {
  const form = subject.gradient ? BY_GRADIENT : BY_PATCHES;
  const values = findings.map((found) => found.value);
  const { median, deviation, indices } = anomaly(values);
  if (deviation === 0)
    return notRunnable(`${form.name}: the classes' values have no spread (MAD 0).`, passes);
  const order = values.map((_, c) => c).sort((a, b) => indices[b] - indices[a] || a - b);
  const suspects = order.filter((c) => findings[c].solved && indices[c] > 0);
  const score = suspects.length > 0 ? indices[suspects[0]] : 0;
  const flagged = suspects.filter((c) => indices[c] > THRESHOLD);
  const top = suspects[0] ?? order[0];
  const success = (c: number) => heldOutSuccess(subject, findings[c], c, material.test, options.heldOut);
  const topSuccess = success(top);
  const againstTruth = ({ target, trigger }: Truth) => ({
    targetValue: form.shown(values[target]),
    targetToMedian: median === 0 ? null : values[target] / median,
    targetAnomalyIndex: indices[target],
    targetRank: rankOf(target, values),
    targetFirst: flagged[0] === target ? 1 : 0,
    maskIou: maskIou(findings[target], trigger.mask),
    invertedAsr: top === target ? topSuccess : success(target),
  });
  return decided(
    {
      reason:
        score > 0
          ? `${form.name}: class ${top} stands out most, with anomaly index ${score.toFixed(2)}.`
          : `${form.name}: no class with a trigger that works needs less than the median.`,
      score,
      flagged,
      measures: {
        gradientFree: form.gradientFree ? 1 : 0,
        solvedShare: findings.filter((found) => found.solved).length / findings.length,
        meanSuccess: findings.reduce((sum, found) => sum + found.success, 0) / findings.length,
        median: form.shown(median),
        deviation,
        ...(material.truth && againstTruth(material.truth)),
        topInvertedAsr: topSuccess,
      },
      perClass: findings.map(({ solved }, c) => (solved ? rounded(Math.max(0, indices[c]), 4) : 0)),
      figures: figures(subject, material, {
        findings,
        form,
        flagged,
        top,
        bound: median - THRESHOLD * deviation,
      }),
    },
    THRESHOLD,
    passes,
  );
}

/**
 * Searches for every class the smallest blend that sends all images to it, and asks whether one class needs unusually
 * little. A(x) = (1 - mask) x + mask pattern in pixel units, rounded by an integer subject inside the loop.
 * Score: the largest anomaly index among the classes below the median whose trigger works; the published index looks
 * at the smallest norm, which is the same class. Every class starts from the same random mask and pattern.
 * Not runnable, rather than clean, when the loss has no gradient for most classes, when under half of the classes were
 * solved, or when the MAD is 0.
 * Where the subject has no gradient but scores, opaque one-colour patches are annealed by forward passes instead and
 * the statistic is their continuous attack success: our variant, named so in `reason` (measure gradientFree = 1).
 */
export const neuralCleanse: Defense<NeuralCleanseOptions, InvertedClasses> = {
  id: "neuralCleanse",
  title: "Neural Cleanse",
  source: "Wang et al., Neural Cleanse, IEEE S&P 2019",
  scoreName: "largest anomaly index",
  threshold: THRESHOLD,
  thresholdSource: "Wang et al. 2019 (a third of clean 10-class models exceeds it if norms are normal)",
  signal: "targetRank",
  needs: [],
  options: QUICK,
  presets: { brief: BRIEF, quick: QUICK, study: STUDY },
  parts: byClasses,
  async run(observed, material, options, random, progress, done) {
    const { subject, passes } = metered(observed);
    if (!subject.gradient && subject.scoreKind === "label")
      return notRunnable(
        `Neither gradients nor scores are visible: ${subject.missing.gradient ?? "only the label is given"}.`,
        passes,
      );
    if (subject.classes < FEWEST_CLASSES)
      return notRunnable(
        `Of ${subject.classes} classes none can stand out: the anomaly index needs three or more.`,
        passes,
      );
    const parts = subject.gradient && (done ?? allParts(observed, material, options, random, progress));
    for (const part of parts ?? []) add(passes, part.passes);
    const { findings, obstacle } = parts
      ? foundByGradient(parts.flatMap(({ inversions }) => inversions))
      : foundByPatches(subject, material.clean, options.patches, random, progress);
    progress(1, 1);
    if (obstacle !== null) {
      const name = subject.gradient ? BY_GRADIENT.name : BY_PATCHES.name;
      return notRunnable(`${name}: ${obstacle}.`, passes);
    }
    return judge(subject, material, options, findings, passes);
  },
};
