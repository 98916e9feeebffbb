import { byClass, type ClassFeatures, classFeatures, FEWEST } from "./classFeatures.ts";
import { principalComponents } from "./components.ts";
import type { Defense, Figure } from "./defense.ts";
import { decided, notRunnable, rounded } from "./outcome.ts";
import { metered } from "./passes.ts";
import { auroc } from "./statistics.ts";

export interface SpectralSignaturesOptions {
  /** Training images of a label at most. */
  cap: number;
  /** Upper bound of the poison's share of a label's images; 1.5 times as many are removed. */
  epsilon: number;
}

const THRESHOLD = 2;
const QUICK: SpectralSignaturesOptions = { cap: 200, epsilon: 0.1 };
const BRIEF: SpectralSignaturesOptions = { ...QUICK, cap: 60 };
const STUDY: SpectralSignaturesOptions = { cap: 600, epsilon: 0.1 };

/** The spectrum of one label. */
interface Spectrum {
  label: number;
  poisoned: Uint8Array;
  /** v . (h - mean) of each image, v the top right singular vector. */
  along: Float64Array;
  /** First over second singular value. */
  ratio: number;
  /** Fourth standardised moment of `along`: 3 for a normal, larger for a far minority, 1 for two equal groups. */
  kurtosis: number;
}

function spectrum(features: ClassFeatures): Spectrum {
  const { label, poisoned, values, count, depth } = features;
  const { variances, projections, kept } = principalComponents(values, count, depth, 1);
  const along = kept === 1 ? projections : new Float64Array(count);
  let [square, fourth] = [0, 0];
  for (const value of along) {
    square += (value * value) / count;
    fourth += (value * value * value * value) / count;
  }
  // One dimension, or none that varies: nothing to compare with.
  const ratio = variances.length > 1 && variances[1] > 0 ? Math.sqrt(variances[0] / variances[1]) : 1;
  return { label, poisoned, along, ratio, kurtosis: square === 0 ? 0 : fourth / (square * square) };
}

/** Which images have the 1.5 epsilon count largest tau = along². Ties go to the earlier image. */
function removal(along: Float64Array, epsilon: number): Uint8Array {
  const order = Array.from(along, (_, i) => i).sort(
    (a, b) => along[b] * along[b] - along[a] * along[a] || a - b,
  );
  const out = new Uint8Array(along.length);
  for (const i of order.slice(0, Math.round(1.5 * epsilon * along.length))) out[i] = 1;
  return out;
}

function filterMeasures(found: Spectrum, epsilon: number): Record<string, number | null> {
  const { along, poisoned } = found;
  const tau = (kind: number) => along.filter((_, i) => poisoned[i] === kind).map((value) => value * value);
  const [clean, poison] = [tau(0), tau(1)];
  const out = removal(along, epsilon);
  const removed = (kind: number, all: number) =>
    all === 0 ? null : out.reduce((sum, value, i) => sum + (value && poisoned[i] === kind ? 1 : 0), 0) / all;
  return {
    auroc: auroc(poison, clean),
    tpr: removed(1, poison.length),
    fpr: removed(0, clean.length),
    poisonShare: poison.length / along.length,
    targetRatio: found.ratio,
    targetKurtosis: found.kurtosis,
  };
}

function histogram(found: Spectrum): Figure {
  const bins = 30;
  const [low, high] = [Math.min(...found.along), Math.max(...found.along)];
  const width = (high - low) / bins || 1;
  const counts = (kind: number) => {
    const list = new Array<number>(bins).fill(0);
    found.along.forEach((value, i) => {
      if (found.poisoned[i] === kind) list[Math.min(bins - 1, Math.floor((value - low) / width))]++;
    });
    return list;
  };
  const series = ["clean", "poison"].map((name, kind) => ({ name, counts: counts(kind) }));
  return {
    kind: "histogram",
    title: `Label ${found.label} along its top singular vector`,
    xLabel: "centred features along v",
    edges: Array.from({ length: bins + 1 }, (_, i) => rounded(low + i * width, 4)),
    series: series.filter(({ counts: list }) => list.some((value) => value > 0)),
  };
}

function bars(spectra: Spectrum[], flagged: number[]): Figure {
  return {
    kind: "bars",
    title: "First over second singular value of each label",
    xLabel: "label",
    yLabel: "ratio",
    bars: spectra.map(({ label, ratio }) => ({
      label: String(label),
      value: rounded(ratio, 4),
      marked: flagged.includes(label),
    })),
    threshold: THRESHOLD,
  };
}

/**
 * Features centred within each label, tau = (v . (h - mean))² along the top right singular vector v, and the
 * 1.5 epsilon n images with the largest tau removed. That is a filter and the paper gives no verdict on a model; ours:
 * score = largest ratio of first to second singular value over labels, which a second group raises whatever its share
 * (kurtosis, also measured, falls again when poison nears half of a label). To be calibrated on clean models.
 */
export const spectralSignatures: Defense<SpectralSignaturesOptions> = {
  id: "spectralSignatures",
  title: "Spectral Signatures",
  source: "Tran, Li and Madry, Spectral Signatures in Backdoor Attacks, NeurIPS 2018",
  scoreName: "largest ratio of first to second singular value",
  threshold: THRESHOLD,
  thresholdSource: "ours, provisional: the paper filters images and does not judge models",
  signal: "auroc",
  needs: ["training"],
  options: QUICK,
  presets: { brief: BRIEF, quick: QUICK, study: STUDY },
  async run(observed, material, options, _, progress) {
    const { subject, passes } = metered(observed);
    if (!subject.features)
      return notRunnable(
        `No activations to decompose: ${subject.missing.features ?? "features are not visible"}.`,
        passes,
      );
    const spectra: Spectrum[] = [];
    for (const features of classFeatures(subject, material.training, options.cap)) {
      progress(features.label, subject.classes);
      spectra.push(spectrum(features));
    }
    if (spectra.length === 0) return notRunnable(`No label has ${FEWEST} training images.`, passes);
    const order = spectra.toSorted((a, b) => b.ratio - a.ratio || a.label - b.label);
    const flagged = order.filter(({ ratio }) => ratio > THRESHOLD).map(({ label }) => label);
    const target = spectra.find(({ label }) => label === material.truth?.target);
    return decided(
      {
        reason: `Label ${order[0].label} is the most one-dimensional: its first singular value is ${order[0].ratio.toFixed(2)} times its second.`,
        score: order[0].ratio,
        flagged,
        measures: {
          ...(target ? filterMeasures(target, options.epsilon) : {}),
          targetFlagged: target && (target.ratio > THRESHOLD ? 1 : 0),
          kurtosisScore: Math.max(...spectra.map(({ kurtosis }) => kurtosis)),
        },
        figures: [bars(spectra, flagged), histogram(target ?? order[0])],
        perClass: byClass(subject.classes, spectra, ({ ratio }) => ratio),
      },
      THRESHOLD,
      passes,
    );
  },
};
