import { mean, standardDeviation } from "simple-statistics";
import { normalQuantile } from "../elementary.ts";
import type { Random } from "../random.ts";
import type { Defense, Figure, Material, Subject } from "./defense.ts";
import { slice } from "./images.ts";
import { decided, notRunnable, rounded } from "./outcome.ts";
import { metered } from "./passes.ts";
import { auroc, shareAbove, upperThreshold, wilson } from "./statistics.ts";
import { MODES, type Mode, superpositionEntropies } from "./superposition.ts";

export interface StripOptions {
  /** N: overlays an image. */
  overlays: number;
  /** Clean images to draw overlays from; fewer when the defender holds fewer, but never those of the fit. */
  pool: number;
  /** Clean images on which the boundary is fitted. */
  fit: number;
  /** Clean test and triggered images, of each at most, that are judged. */
  evaluated: number;
}

/** What one mode of superposition gives. Entropies in bits. */
interface ModeResult {
  mode: Mode;
  clean: Float64Array;
  triggered: Float64Array;
  /** By false rejection rate, in RATES' order: flagged when H is below the boundary. */
  gaussian: number[];
  empirical: number[];
}

const RATES = [0.01, 0.05];
const THRESHOLD = 0.5;
const QUICK: StripOptions = { overlays: 10, pool: 100, fit: 200, evaluated: 150 };
const BRIEF: StripOptions = { ...QUICK, overlays: 8, fit: 80, evaluated: 60 };
const STUDY: StripOptions = { overlays: 32, pool: 250, fit: 500, evaluated: 400 };

/** The entropy below which a share `rate` of clean images falls: the quantile of a normal fitted to them (published),
 * and the empirical one, which flags fewer where several images share its value. */
function boundaries(fitted: Float64Array, rate: number) {
  const list = [...fitted];
  const gaussian = mean(list) + standardDeviation(list) * normalQuantile(rate);
  const empirical = -upperThreshold(
    fitted.map((value) => -value),
    rate,
  );
  return { gaussian, empirical };
}

const shareBelow = (values: Float64Array, boundary: number) =>
  shareAbove(
    values.map((value) => -value),
    -boundary,
  );

/** At least two images of fit must remain when the defender holds few. */
function splitClean(material: Material, options: StripOptions) {
  const pool = Math.min(options.pool, Math.floor(material.clean.count / 2));
  return {
    pool: slice(material.clean, 0, pool),
    fit: slice(material.clean, pool, pool + options.fit),
    clean: slice(material.test, 0, options.evaluated),
    triggered: slice(material.triggered, 0, options.evaluated),
  };
}

function runMode(
  subject: Subject,
  images: ReturnType<typeof splitClean>,
  mode: Mode,
  run: { options: StripOptions; random: Random; progress: (done: number) => void },
): ModeResult {
  const overlays = Math.min(run.options.overlays, images.pool.count);
  const drawn = (label: string) => ({ mode, pool: images.pool, overlays, random: run.random.fork(label) });
  const fitted = superpositionEntropies(subject, images.fit, drawn("fit"), run.progress);
  const after = images.fit.count;
  const clean = superpositionEntropies(subject, images.clean, drawn("clean"), (done) =>
    run.progress(after + done),
  );
  const triggered = superpositionEntropies(subject, images.triggered, drawn("triggered"), (done) =>
    run.progress(after + images.clean.count + done),
  );
  const bounds = RATES.map((rate) => boundaries(fitted, rate));
  return {
    mode,
    clean,
    triggered,
    gaussian: bounds.map((bound) => bound.gaussian),
    empirical: bounds.map((bound) => bound.empirical),
  };
}

function measuresOf(result: ModeResult, prefix: string): Record<string, number | null> {
  const measures: Record<string, number | null> = {
    [`${prefix}auroc`]: auroc(
      result.triggered.map((value) => -value),
      result.clean.map((value) => -value),
    ),
  };
  RATES.forEach((rate, i) => {
    const at = `At${rate * 100}`;
    measures[`${prefix}tpr${at}`] = shareBelow(result.triggered, result.gaussian[i]);
    measures[`${prefix}frr${at}`] = shareBelow(result.clean, result.gaussian[i]);
    measures[`${prefix}boundary${at}`] = result.gaussian[i];
    measures[`${prefix}empiricalTpr${at}`] = shareBelow(result.triggered, result.empirical[i]);
    measures[`${prefix}empiricalFrr${at}`] = shareBelow(result.clean, result.empirical[i]);
    measures[`${prefix}empiricalBoundary${at}`] = result.empirical[i];
  });
  return measures;
}

/** "saturating uint8 add 0.79, uint8 half blend 0.95". */
function aurocs(results: ModeResult[]): string {
  return results
    .map((result) => `${result.mode.title} ${(measuresOf(result, "").auroc ?? 0).toFixed(2)}`)
    .join(", ");
}

function histogram(result: ModeResult, boundary: number, labels: string): Figure {
  const bins = 24;
  const top = Math.max(...result.clean, ...result.triggered, boundary, 1e-3);
  const edges = Array.from({ length: bins + 1 }, (_, i) => rounded((top * i) / bins, 4));
  const counts = (values: Float64Array) => {
    const list = new Array<number>(bins).fill(0);
    for (const value of values) list[Math.min(bins - 1, Math.max(0, Math.floor((value / top) * bins)))]++;
    return list;
  };
  return {
    kind: "histogram",
    title: `Entropy under overlays (${result.mode.title}${labels})`,
    xLabel: "mean entropy, bits",
    edges,
    series: [
      { name: "clean", counts: counts(result.clean) },
      { name: "triggered", counts: counts(result.triggered) },
    ],
    threshold: rounded(boundary, 4),
  };
}

/**
 * Blends an input with clean images and asks whether the prediction stays: a trigger keeps it, and the entropy is low.
 * A float subject gets the published unclipped sum as its main mode; a device cannot form it, and its main mode is the
 * saturating uint8 add. All realisable modes are measured (`saturatingAdd.auroc`, …); entries without a prefix are the
 * main mode's. Boundaries: a normal fitted to clean images (published) at a false rejection rate of 1 % and 5 %; where that
 * lies below zero the empirical quantile decides (BackdoorBench, backdoor-toolbox; measure normalFits = 0). Where
 * only a softmax is visible (A4) its entropy is taken as the device gives it: an int8 softmax has a floor at 0 and
 * plateaus, a normal does not fit, and the conservative empirical boundary decides (measure softmaxOnly = 1).
 * Score: the true-positive rate on triggered inputs at 1 %; 0 when the lower end of its 95 % Wilson interval does not
 * exceed both 1 % and the rate at which clean test inputs are rejected. This audits with triggered traffic: ours, as
 * the paper judges inputs and not models.
 */
export const strip: Defense<StripOptions> = {
  id: "strip",
  title: "STRIP",
  source: "Gao et al., STRIP, ACSAC 2019",
  scoreName: "true-positive rate at 1 % false rejections",
  threshold: THRESHOLD,
  thresholdSource: "ours: half of the triggered inputs; the paper decides per input",
  signal: "auroc",
  needs: ["triggered"],
  options: QUICK,
  presets: { brief: BRIEF, quick: QUICK, study: STUDY },
  async run(observed, material, options, random, progress) {
    const { subject, passes } = metered(observed);
    if (subject.scoreKind === "label")
      return notRunnable("The entropy needs scores, and only the top-1 label is visible.", passes);
    const images = splitClean(material, options);
    if (images.fit.count < 2 || images.clean.count === 0 || images.triggered.count === 0)
      return notRunnable("Too few clean or triggered images to fit and to judge.", passes);
    const modes = MODES.filter((mode) => !(mode.unbounded && subject.integer));
    const each = images.fit.count + images.clean.count + images.triggered.count;
    const results = modes.map((mode, i) =>
      runMode(subject, images, mode, {
        options,
        random,
        progress: (done) => progress(i * each + done, modes.length * each),
      }),
    );
    const main = results[0];
    const softmaxOnly = subject.scoreKind === "softmax";
    // Where the fitted normal reaches below zero no entropy can be under its boundary: it does not fit.
    const normalFits = !softmaxOnly && main.gaussian[0] > 0;
    const boundary = (normalFits ? main.gaussian : main.empirical)[0];
    const count = Math.round(shareBelow(main.triggered, boundary) * main.triggered.length);
    const share = wilson(count, main.triggered.length);
    const rejected = shareBelow(main.clean, boundary);
    const percent = (value: number) => `${(100 * value).toFixed(0)} %`;
    return decided(
      {
        reason: `${percent(share.value)} of triggered and ${percent(rejected)} of clean inputs have a low entropy (${main.mode.title}${softmaxOnly ? ", softmax-only" : ""}; ${normalFits ? "boundary of a fitted normal" : "empirical boundary"}). AUROC by way of superposition: ${aurocs(results)}.`,
        score: share.low > Math.max(RATES[0], rejected) ? share.value : 0,
        flagged: [],
        measures: {
          ...measuresOf(main, ""),
          softmaxOnly: softmaxOnly ? 1 : 0,
          normalFits: normalFits ? 1 : 0,
          tprLow: share.low,
          tprHigh: share.high,
          ...Object.assign({}, ...results.map((result) => measuresOf(result, `${result.mode.id}.`))),
        },
        figures: [histogram(main, boundary, softmaxOnly ? ", softmax-only" : "")],
      },
      THRESHOLD,
      passes,
    );
  },
};
