import type { Random } from "../random.ts";
import { byClass, type ClassFeatures, classFeatures, FEWEST } from "./classFeatures.ts";
import { type Components, principalComponents, whitened } from "./components.ts";
import type { Defense, Figure } from "./defense.ts";
import { decided, notRunnable, rounded } from "./outcome.ts";
import { metered } from "./passes.ts";
import { auroc } from "./statistics.ts";
import { silhouette, type TwoMeans, twoMeans } from "./twoMeans.ts";

export interface ActivationClusteringOptions {
  /** Training images of a label at most. */
  cap: number;
  /** Dimensions the features are reduced to. */
  dimensions: number;
  /** Starts of 2-means. */
  restarts: number;
  /** Images of a label on which the silhouette is taken. */
  silhouetteCap: number;
}

/** Poison is expected to be a smaller share of its label's images than this. */
const RELATIVE_SIZE = 0.35;
const THRESHOLD = 0.15;
const QUICK: ActivationClusteringOptions = { cap: 200, dimensions: 10, restarts: 5, silhouetteCap: 200 };
const BRIEF: ActivationClusteringOptions = { ...QUICK, cap: 60, restarts: 2, silhouetteCap: 60 };
const STUDY: ActivationClusteringOptions = { cap: 600, dimensions: 10, restarts: 5, silhouetteCap: 500 };

/** The clusters of one label in one space. */
interface Clustering {
  clusters: TwoMeans | null;
  silhouette: number;
  /** The silhouette where the smaller cluster passes the size rule, else 0. */
  score: number;
}

/** One label, clustered after PCA and, for the paper's ICA, in the whitened space. */
interface LabelResult {
  label: number;
  poisoned: Uint8Array;
  plain: Clustering;
  white: Clustering;
  /** The first two principal components, for the figure. */
  points: [number, number][];
}

function cluster(space: Components, options: ActivationClusteringOptions, random: Random): Clustering {
  const clusters = twoMeans(space.projections, space.kept, options.restarts, random);
  if (clusters === null) return { clusters, silhouette: 0, score: 0 };
  const value = silhouette(space.projections, space.kept, clusters.assignment, {
    cap: options.silhouetteCap,
    random,
  });
  return { clusters, silhouette: value, score: clusters.minorityShare < RELATIVE_SIZE ? value : 0 };
}

function analyse(features: ClassFeatures, options: ActivationClusteringOptions, random: Random): LabelResult {
  const { label, poisoned, values, count, depth } = features;
  const space = principalComponents(values, count, depth, options.dimensions);
  const at = (i: number, k: number) =>
    k < space.kept ? rounded(space.projections[i * space.kept + k], 3) : 0;
  return {
    label,
    poisoned,
    plain: cluster(space, options, random.fork(`plain ${label}`)),
    white: cluster(whitened(space), options, random.fork(`white ${label}`)),
    points: Array.from(poisoned, (_, i) => [at(i, 0), at(i, 1)]),
  };
}

/** How well the smaller cluster of a label is its poison; nothing where the label has no poison or only poison. */
function purity(clustering: Clustering, poisoned: Uint8Array, prefix: string): Record<string, number | null> {
  const { clusters } = clustering;
  const bad = poisoned.reduce((sum, value) => sum + value, 0);
  const measures: Record<string, number | null> = {
    [`${prefix}targetSilhouette`]: clustering.silhouette,
    [`${prefix}targetMinorityShare`]: clusters?.minorityShare ?? null,
  };
  if (clusters === null || bad === 0 || bad === poisoned.length) return measures;
  const caught = poisoned.reduce((sum, value, i) => sum + (value & clusters.assignment[i]), 0);
  const smaller = clusters.assignment.reduce((sum, value) => sum + value, 0);
  const lean = (kind: number) => clusters.lean.filter((_, i) => poisoned[i] === kind);
  measures[`${prefix}auroc`] = auroc(lean(1), lean(0));
  measures[`${prefix}poisonInMinority`] = caught / bad;
  measures[`${prefix}cleanInMinority`] = (smaller - caught) / (poisoned.length - bad);
  return measures;
}

/** Rates over all images seen when the smaller clusters of the accused labels are thrown out. */
function filtering(results: LabelResult[]): { tpr: number | null; fpr: number | null } {
  let [caught, bad, lost, good] = [0, 0, 0, 0];
  for (const { plain, poisoned } of results)
    poisoned.forEach((value, i) => {
      const out = plain.score > THRESHOLD && plain.clusters!.assignment[i] === 1;
      if (value) {
        bad++;
        if (out) caught++;
      } else {
        good++;
        if (out) lost++;
      }
    });
  return { tpr: bad === 0 ? null : caught / bad, fpr: good === 0 ? null : lost / good };
}

function scatter(result: LabelResult): Figure {
  const series = ["clean", "poison"].map((name, kind) => ({
    name,
    points: result.points.filter((_, i) => result.poisoned[i] === kind).slice(0, 300),
  }));
  return {
    kind: "scatter",
    title: `Features of label ${result.label}`,
    xLabel: "principal component 1",
    yLabel: "principal component 2",
    series: series.filter(({ points }) => points.length > 0),
  };
}

function bars(results: LabelResult[]): Figure {
  return {
    kind: "bars",
    title: "Silhouette of each label's two clusters (marked: smaller cluster under 35 %)",
    xLabel: "label",
    yLabel: "silhouette",
    bars: results.map(({ label, plain }) => ({
      label: String(label),
      value: rounded(plain.silhouette, 4),
      marked: plain.clusters !== null && plain.clusters.minorityShare < RELATIVE_SIZE,
    })),
    threshold: THRESHOLD,
  };
}

/**
 * Splits the features of each label's training images in two and asks whether the smaller cluster is a group of its own:
 * under 35 % of the label's images and a high silhouette. Score: the largest silhouette among labels that pass the size
 * rule, 0 where none does. Poison at half of its label's images cannot pass it: see targetMinorityShare.
 * Main space: 10 principal components. The paper reduces by FastICA, whose output is the whitened components rotated;
 * 2-means and silhouettes do not see rotations, so the whitened components stand for it (measures `ica.…`).
 * Exclusionary reclassification, which retrains, is not run.
 */
export const activationClustering: Defense<ActivationClusteringOptions> = {
  id: "activationClustering",
  title: "Activation Clustering",
  source: "Chen et al., Detecting Backdoor Attacks by Activation Clustering, SafeAI@AAAI 2019",
  scoreName: "largest silhouette with the smaller cluster under 35 %",
  threshold: THRESHOLD,
  thresholdSource: "Chen et al. 2019: a silhouette of about 0.10 to 0.15; 0.15 taken",
  signal: "auroc",
  needs: ["training"],
  options: QUICK,
  presets: { brief: BRIEF, quick: QUICK, study: STUDY },
  async run(observed, material, options, random, progress) {
    const { subject, passes } = metered(observed);
    if (!subject.features)
      return notRunnable(
        `No activations to cluster: ${subject.missing.features ?? "features are not visible"}.`,
        passes,
      );
    const results: LabelResult[] = [];
    for (const features of classFeatures(subject, material.training, options.cap)) {
      progress(features.label, subject.classes);
      results.push(analyse(features, options, random));
    }
    if (results.length === 0) return notRunnable(`No label has ${FEWEST} training images.`, passes);
    const order = results.toSorted((a, b) => b.plain.score - a.plain.score || a.label - b.label);
    const score = Math.max(0, order[0].plain.score);
    const target = results.find(({ label }) => label === material.truth?.target);
    const white = Math.max(0, ...results.map((result) => result.white.score));
    return decided(
      {
        reason:
          score === 0
            ? "In no label is the smaller cluster under 35 % and apart from the other; exclusionary reclassification not run."
            : `Label ${order[0].label} splits best: silhouette ${score.toFixed(3)}; exclusionary reclassification not run.`,
        score,
        flagged: order.filter(({ plain }) => plain.score > THRESHOLD).map(({ label }) => label),
        measures: {
          ...(target ? purity(target.plain, target.poisoned, "") : {}),
          ...(target ? purity(target.white, target.poisoned, "ica.") : {}),
          ...filtering(results),
          targetScore: target?.plain.score,
          targetFlagged: target && (target.plain.score > THRESHOLD ? 1 : 0),
          "ica.score": white,
          poisonShare: target && target.poisoned.reduce((a, b) => a + b, 0) / target.poisoned.length,
        },
        figures: [bars(results), scatter(target ?? order[0])],
        perClass: byClass(subject.classes, results, ({ plain }) => plain.score),
      },
      THRESHOLD,
      passes,
    );
  },
};
