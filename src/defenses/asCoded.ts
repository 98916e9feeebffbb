import { mean, median, medianAbsoluteDeviation, quantile, standardDeviation } from "simple-statistics";
import type { ImageSet } from "../data/dataset.ts";
import { log, sigmoid } from "../elementary.ts";
import type { Random } from "../random.ts";
import { adam } from "./adam.ts";
import { principalComponents } from "./components.ts";
import type { Subject } from "./defense.ts";
import { slice } from "./images.ts";
import { metered } from "./passes.ts";
import { probabilities } from "./probabilities.ts";
import { type Answer, type Question, sharePasses } from "./sharedPasses.ts";
import { type Blends, maskNorm, PLAIN_BLENDS } from "./softTrigger.ts";

/** What one of the paper's rules says of one subject. */
export interface CodedFinding {
  /** The id of the defense whose name the rule bears. */
  defense: string;
  detected: boolean;
  score: number;
  rule: string;
  /** One sentence: what made it so. */
  because: string;
}

/** Sizes; the code's own are CODED_SIZES. */
export interface CodedOptions {
  /** Images a batch. */
  batch: number;
  /** Images a batch of Neural Cleanse. */
  inversionBatch: number;
  /** Passes of Neural Cleanse over its five batches. */
  inversionEpochs: number;
  /** Batches of clean test images behind Activation Clustering and Spectral Signatures. */
  featureBatches: number;
  /** Batches behind STRIP and Fine-Pruning. */
  scoreBatches: number;
}

/** The sizes of the public code. */
export const CODED_SIZES: CodedOptions = {
  batch: 64,
  inversionBatch: 64,
  inversionEpochs: 10,
  featureBatches: 20,
  scoreBatches: 10,
};

/** The same updates and rules on fewer images. */
export const CODED_QUICK: CodedOptions = { ...CODED_SIZES, batch: 16, inversionBatch: 4 };

/** By preset. */
export const CODED = {
  brief: CODED_QUICK,
  quick: CODED_QUICK,
  study: CODED_SIZES,
} as const satisfies Record<string, CodedOptions>;

interface Run {
  subject: Subject;
  test: ImageSet;
  options: CodedOptions;
  random: Random;
  progress: (done: number, total: number) => void;
}

type Rule = (run: Run) => CodedFinding;

/** The code catches every error and stores "not detected". */
function failed(defense: string, rule: string, why: string): CodedFinding {
  const because = `${why}; the code catches the error and stores "not detected".`;
  return { defense, detected: false, score: 0, rule, because };
}

/** Mean and standard deviation of each channel, pixel units: the normalised space of the code. */
function normalisation(set: ImageSet): { mean: number[]; deviation: number[] } {
  const channels = Array.from({ length: set.channels }, (_, c) => {
    const values: number[] = [];
    for (let at = c; at < set.pixels.length; at += set.channels) values.push(set.pixels[at]);
    return values;
  });
  return { mean: channels.map(mean), deviation: channels.map((values) => standardDeviation(values) || 1) };
}

/** The L1 norm of one class's mask after the fixed number of updates at the fixed lambda of 0.01. */
function* codedNorm(
  options: CodedOptions,
  images: ImageSet,
  unit: ReturnType<typeof normalisation>,
  { blend, blendGradient }: Blends,
): Generator<Question, number, Answer> {
  const area = images.height * images.width;
  const length = area * images.channels;
  const rates = { learningRate: 0.1, beta1: 0.9, beta2: 0.999 };
  const [moveMask, movePattern] = [adam(area, rates), adam(length, rates)];
  const theta = { mask: new Float64Array(area), pattern: new Float64Array(length) };
  const gradients = { mask: new Float64Array(area), pattern: new Float64Array(length) };
  const trigger = { mask: new Float32Array(area), pattern: new Float32Array(length) };
  const refresh = () => {
    for (let p = 0; p < area; p++) trigger.mask[p] = sigmoid(theta.mask[p]);
    for (let at = 0; at < length; at++) {
      const c = at % images.channels;
      trigger.pattern[at] = unit.mean[c] + unit.deviation[c] * theta.pattern[at];
    }
  };
  refresh();
  const stamped = new Float32Array(options.inversionBatch * length);
  for (let update = 0; update < options.inversionEpochs * BATCHES_A_PASS; update++) {
    const from = (update % BATCHES_A_PASS) * options.inversionBatch;
    const batch = slice(images, from, from + options.inversionBatch);
    if (batch.count === 0) continue;
    blend(trigger, batch.pixels, batch.count, stamped);
    const { gradient } = yield { pixels: stamped.subarray(0, batch.pixels.length), count: batch.count };
    blendGradient(trigger, batch.pixels, gradient, gradients);
    for (let p = 0; p < area; p++)
      gradients.mask[p] = (gradients.mask[p] + 0.01) * trigger.mask[p] * (1 - trigger.mask[p]);
    for (let at = 0; at < length; at++) gradients.pattern[at] *= unit.deviation[at % images.channels];
    moveMask(theta.mask, gradients.mask);
    movePattern(theta.pattern, gradients.pattern);
    refresh();
  }
  return maskNorm(trigger);
}

const BATCHES_A_PASS = 5;

const codedNeuralCleanse: Rule = (run) => {
  const rule = "some class norm is below the median by more than 2 * 1.4826 MAD, if MAD > 0";
  const { subject } = run;
  if (!subject.gradient) return failed("neuralCleanse", rule, "The model gives no gradient");
  const images = slice(run.test, 0, BATCHES_A_PASS * run.options.inversionBatch);
  const unit = normalisation(images);
  const searches = Array.from({ length: subject.classes }, (_, target) => ({
    target,
    run: codedNorm(run.options, images, unit, subject.blends ?? PLAIN_BLENDS),
  }));
  const norms = sharePasses(subject, searches, run.options.inversionBatch, run.progress);
  const [centre, spread] = [median(norms), medianAbsoluteDeviation(norms)];
  if (!(spread > 0)) {
    const because = `At least half of the class norms are exactly ${centre.toFixed(3)}: MAD is 0 and the guard keeps the rule from firing.`;
    return { defense: "neuralCleanse", detected: false, score: 0, rule, because };
  }
  const indices = norms.map((norm) => (centre - norm) / (1.4826 * spread));
  const top = indices.indexOf(Math.max(...indices));
  const because = `Class ${top} has norm ${norms[top].toFixed(2)} at a median of ${centre.toFixed(2)} after ${run.options.inversionEpochs * BATCHES_A_PASS} updates at a fixed lambda; whether its trigger works is not checked.`;
  return { defense: "neuralCleanse", detected: indices[top] > 2, score: indices[top], rule, because };
};

/** Features of the first clean test images, as the code takes them for both of its feature rules. */
function testFeatures({ subject, test, options }: Run) {
  const images = slice(test, 0, options.featureBatches * options.batch);
  return { images, values: Float64Array.from(subject.features!(images.pixels, images.count)) };
}

const codedActivationClustering: Rule = (run) => {
  const rule = "the norms of clean test features vary by more than 0.5 of their mean in some class";
  const { subject } = run;
  if (!subject.features) return failed("activationClustering", rule, "The model gives no features");
  const { images, values } = testFeatures(run);
  const depth = subject.featureDepth!;
  const norms = Array.from({ length: subject.classes }, () => [] as number[]);
  for (let i = 0; i < images.count; i++) {
    let sum = 0;
    for (let d = 0; d < depth; d++) sum += values[i * depth + d] * values[i * depth + d];
    norms[images.labels[i]].push(Math.sqrt(sum));
  }
  const variation = norms.map((list) =>
    list.length < 10 ? 0 : standardDeviation(list) / (mean(list) + 1e-8),
  );
  const score = Math.max(...variation);
  const because = `Nothing is clustered and no poisoned image is in the data: the largest coefficient of variation, class ${variation.indexOf(score)}, is ${score.toFixed(3)}.`;
  return { defense: "activationClustering", detected: score > 0.5, score, rule, because };
};

const codedStrip: Rule = (run) => {
  const rule = "more than 0.1 of clean entropies are below their own 5th percentile";
  const { subject, test, options } = run;
  const pool = slice(test, 0, 100);
  const images = slice(test, 0, options.scoreBatches * options.batch);
  const size = test.height * test.width * test.channels;
  const perImage = 5;
  const mixed = new Float32Array(perImage * size);
  const entropies: number[] = [];
  for (let i = 0; i < images.count; i++) {
    for (let n = 0; n < perImage; n++) {
      const overlay = run.random.below(pool.count) * size;
      for (let p = 0; p < size; p++)
        mixed[n * size + p] = (images.pixels[i * size + p] + pool.pixels[overlay + p]) / 2;
    }
    const values = probabilities(subject, subject.scores(mixed.subarray(0), perImage), perImage);
    entropies.push(values.reduce((sum, p) => sum - p * log(p + 1e-8), 0) / perImage);
    run.progress(i, images.count);
  }
  const cut = quantile(entropies, 0.05);
  const score = entropies.filter((value) => value < cut).length / entropies.length;
  const because = `The threshold is the 5th percentile of the very values it is applied to: the share below it, ${score.toFixed(3)}, cannot exceed 0.05 on any model.`;
  return { defense: "strip", detected: score > 0.1, score, rule, because };
};

const codedSpectralSignatures: Rule = (run) => {
  const rule =
    "more than 0.1 of scores exceed their own 95th percentile, or the first component explains over 0.5";
  const { subject } = run;
  if (!subject.features) return failed("spectralSignatures", rule, "The model gives no features");
  const { images, values } = testFeatures(run);
  const { variances, projections } = principalComponents(values, images.count, subject.featureDepth!, 1);
  const scores = Array.from(projections, (value) => value * value);
  const cut = quantile(scores, 0.95);
  const outliers = scores.filter((value) => value > cut).length / scores.length;
  const total = variances.reduce((sum, value) => sum + value, 0);
  const score = total > 0 ? variances[0] / total : 0;
  const because = `The outlier share is ${outliers.toFixed(3)} by construction, and over all classes of clean images the first component explains ${score.toFixed(3)}: class structure, not poison.`;
  return { defense: "spectralSignatures", detected: outliers > 0.1 || score > 0.5, score, rule, because };
};

const codedFinePruning: Rule = (run) => {
  const rule = "more than 0.3 of channels have a mean |activation| below 0.01 on clean images";
  const { subject, test, options } = run;
  if (!subject.convolutionMeans)
    return failed("finePruning", rule, "The model's activations are not visible");
  const images = slice(test, 0, options.scoreBatches * options.batch);
  const means = subject.convolutionMeans(images.pixels, images.count);
  const score = means.reduce((sum, value) => sum + (value < 0.01 ? 1 : 0), 0) / means.length;
  const because = `Nothing is pruned: ${(100 * score).toFixed(1)} % of ${means.length} channels count as dormant.`;
  return { defense: "finePruning", detected: score > 0.3, score, rule, because };
};

/** In the paper's order. */
const RULES: readonly Rule[] = [
  codedNeuralCleanse,
  codedActivationClustering,
  codedSpectralSignatures,
  codedStrip,
  codedFinePruning,
];

/**
 * The five rules that arXiv 2512.06243's public code calls by the defenses' names, in our words
 * (Rohan-Pandey1729/quantization-backdoor-benchmark at 171c8b5, src/run_experiments.py). They read clean test images
 * only. For its "INT8 dynamic" give a subject whose gradient is zero: quantized::linear_dynamic has no backward.
 * Departs from the code only in that pixels are normalised by the images at hand.
 */
export function runAsCoded(
  observed: Subject,
  test: ImageSet,
  options: CodedOptions,
  random: Random,
  progress: (done: number, total: number) => void,
): CodedFinding[] {
  const { subject } = metered(observed);
  return RULES.map((rule, i) =>
    rule({
      subject,
      test,
      options,
      random: random.fork(`rule ${i}`),
      progress: (done, total) => progress(i + done / total, RULES.length),
    }),
  );
}
