import { median, medianAbsoluteDeviation } from "simple-statistics";
import { normalQuantile } from "../elementary.ts";
import type { Random } from "../random.ts";

/** The MAD of a normal distribution is its standard deviation / 1.4826. */
const MAD_TO_DEVIATION = 1.4826;

/** A share with its confidence interval. */
export interface Interval {
  value: number;
  n: number;
  low: number;
  high: number;
}

/** The chance that a positive score exceeds a negative one, ties counting half; null where either side is empty. */
export function auroc(positive: ArrayLike<number>, negative: ArrayLike<number>): number | null {
  if (positive.length === 0 || negative.length === 0) return null;
  const below = Float64Array.from(negative).sort();
  let wins = 0;
  for (let i = 0; i < positive.length; i++) {
    wins += (countBelow(below, positive[i], false) + countBelow(below, positive[i], true)) / 2;
  }
  return wins / (positive.length * negative.length);
}

/** How many of `sorted` are below `value` (or equal to it, when `inclusive`). */
function countBelow(sorted: Float64Array, value: number, inclusive: boolean): number {
  let low = 0;
  let high = sorted.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (sorted[middle] < value || (inclusive && sorted[middle] === value)) low = middle + 1;
    else high = middle;
  }
  return low;
}

/**
 * The threshold above which at most rate * n of the scores lie: conservative on ties, where it flags fewer.
 * A sample is flagged when its score is greater than the threshold. rate in [0, 1).
 */
export function upperThreshold(scores: ArrayLike<number>, rate: number): number {
  const sorted = Float64Array.from(scores).sort();
  return sorted[sorted.length - 1 - Math.floor(rate * sorted.length)];
}

/** Share of scores greater than the threshold. */
export function shareAbove(scores: ArrayLike<number>, threshold: number): number {
  let above = 0;
  for (let i = 0; i < scores.length; i++) if (scores[i] > threshold) above++;
  return above / scores.length;
}

/** Wilson's score interval of successes / n; n = 0 gives [0, 1] with value 0.
 * Source: E. B. Wilson, JASA 22, 1927. */
export function wilson(successes: number, n: number, confidence = 0.95): Interval {
  if (n === 0) return { value: 0, n, low: 0, high: 1 };
  const z = normalQuantile(0.5 + confidence / 2);
  const p = successes / n;
  const centre = p + (z * z) / (2 * n);
  const spread = z * Math.sqrt((p * (1 - p)) / n + (z * z) / (4 * n * n));
  const scale = 1 + (z * z) / n;
  // At the ends the exact bound is 0 or 1, and rounding must not move it.
  const low = successes === 0 ? 0 : (centre - spread) / scale;
  const high = successes === n ? 1 : (centre + spread) / scale;
  return { value: p, n, low, high };
}

/** Neural Cleanse's outlier statistic over classes. */
export interface Anomaly {
  median: number;
  /** 1.4826 * median absolute deviation: comparable to a standard deviation. */
  deviation: number;
  /** (median - value) / deviation: positive for values below the median; all 0 where deviation is 0. */
  indices: Float64Array;
}

/** Source: Wang et al., IEEE S&P 2019, section V.A; signed here, so that only small values count as anomalous. */
export function anomaly(values: ArrayLike<number>): Anomaly {
  const list = Array.from(values);
  const centre = median(list);
  const deviation = MAD_TO_DEVIATION * medianAbsoluteDeviation(list);
  const indices = Float64Array.from(list, (value) => (deviation > 0 ? (centre - value) / deviation : 0));
  return { median: centre, deviation, indices };
}

/**
 * Percentile bootstrap: resamples whole items (models, say, when a model is the unit of inference) with replacement.
 * A resample for which the statistic is null is left out; null when none remains.
 */
export function bootstrap<Item>(
  items: readonly Item[],
  statistic: (sample: Item[]) => number | null,
  options: { random: Random; resamples: number; confidence: number },
): Interval | null {
  const value = statistic([...items]);
  if (value === null) return null;
  const values: number[] = [];
  for (let i = 0; i < options.resamples; i++) {
    const drawn = statistic(items.map(() => items[options.random.below(items.length)]));
    if (drawn !== null) values.push(drawn);
  }
  if (values.length === 0) return null;
  values.sort((a, b) => a - b);
  const tail = (1 - options.confidence) / 2;
  const at = (p: number) => values[Math.min(values.length - 1, Math.floor(p * values.length))];
  return { value, n: items.length, low: at(tail), high: at(1 - tail) };
}
