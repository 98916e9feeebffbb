import { describe, expect, test } from "vitest";
import {
  anomaly,
  auroc,
  bootstrap,
  shareAbove,
  upperThreshold,
  wilson,
} from "../../src/defenses/statistics.ts";
import { seededRandom } from "../../src/random.ts";

describe("auroc", () => {
  test("is 1, 0 and one half for separated, reversed and equal scores", () => {
    expect(auroc([3, 4], [1, 2])).toBe(1);
    expect(auroc([1, 2], [3, 4])).toBe(0);
    expect(auroc([1, 1, 1], [1, 1])).toBe(0.5);
  });

  test("counts a tie as half a win", () => {
    // Pairs: 2>1, 2=2, 3>1, 3>2.
    expect(auroc([2, 3], [1, 2])).toBe(3.5 / 4);
  });

  test("equals the mean over all pairs", () => {
    const random = seededRandom(3);
    const positive = Array.from({ length: 40 }, () => random.below(10));
    const negative = Array.from({ length: 30 }, () => random.below(10) - 1);
    let wins = 0;
    for (const p of positive) for (const n of negative) wins += p > n ? 1 : p === n ? 0.5 : 0;
    expect(auroc(positive, negative)).toBeCloseTo(wins / 1200, 12);
  });

  test("is unknown without both kinds", () => {
    expect(auroc([], [1])).toBeNull();
    expect(auroc([1], [])).toBeNull();
  });
});

describe("thresholds at a false-positive rate", () => {
  test("let at most the rate pass", () => {
    const scores = Array.from({ length: 100 }, (_, i) => i);
    expect(shareAbove(scores, upperThreshold(scores, 0.05))).toBe(0.05);
    expect(shareAbove(scores, upperThreshold(scores, 0.001))).toBe(0);
  });

  test("flag fewer where the quantile falls on tied scores", () => {
    const scores = [...new Array(90).fill(0), ...new Array(10).fill(1)];
    expect(shareAbove(scores, upperThreshold(scores, 0.05))).toBe(0);
  });
});

describe("wilson", () => {
  // DEFENSES: 0/10, 0/20, 18/20, 0/1 at 95 %.
  test.each([
    [0, 10, 0, 0.2775],
    [0, 20, 0, 0.1611],
    [18, 20, 0.699, 0.9721],
    [0, 1, 0, 0.7935],
  ])("of %d in %d is [%f, %f]", (successes, n, low, high) => {
    const interval = wilson(successes, n);
    expect(interval.low).toBeCloseTo(low, 3);
    expect(interval.high).toBeCloseTo(high, 3);
    expect(interval.value).toBe(successes / n);
  });

  test("knows nothing from no trial", () => {
    expect(wilson(0, 0)).toEqual({ value: 0, n: 0, low: 0, high: 1 });
  });
});

describe("anomaly", () => {
  test("is positive below the median, in units of 1.4826 MAD", () => {
    const { median, deviation, indices } = anomaly([10, 20, 30, 40, 50]);
    expect(median).toBe(30);
    expect(deviation).toBeCloseTo(14.826, 12);
    expect(indices[0]).toBeCloseTo(20 / 14.826, 12);
    expect(indices[4]).toBeCloseTo(-20 / 14.826, 12);
  });

  test("is 0 everywhere when the MAD is 0", () => {
    const { deviation, indices } = anomaly([5, 5, 5, 1]);
    expect(deviation).toBe(0);
    expect([...indices]).toEqual([0, 0, 0, 0]);
  });

  /** Share of null models whose smallest norm lies more than `threshold` below the median. */
  function falsePositives(classes: number, threshold: number, models: number): number {
    const random = seededRandom(classes);
    let flagged = 0;
    for (let i = 0; i < models; i++) {
      const { indices } = anomaly(Array.from({ length: classes }, () => random.normal()));
      if (Math.max(...indices) > threshold) flagged++;
    }
    return flagged / models;
  }

  // The shares are those of a Monte Carlo of 1e5 draws: thresholds of 2 accuse many clean models.
  test.each([
    [10, 2, 0.331],
    [10, 3, 0.117],
    [43, 2, 0.637],
    [43, 3.5, 0.048],
  ])(
    "among %d normal norms one lies more than %f below in a share of about %f",
    (classes, threshold, share) => {
      expect(Math.abs(falsePositives(classes, threshold, 3000) - share)).toBeLessThan(0.04);
    },
  );
});

describe("bootstrap", () => {
  const mean = (values: number[]) => values.reduce((a, b) => a + b, 0) / values.length;

  test("covers the mean with about 1.96 standard errors on each side", () => {
    const random = seededRandom(5);
    const values = Array.from({ length: 200 }, () => random.normal());
    const interval = bootstrap(values, mean, { random, resamples: 2000, confidence: 0.95 })!;
    expect(interval.high - interval.low).toBeGreaterThan(0.22);
    expect(interval.high - interval.low).toBeLessThan(0.34);
    expect(interval.low).toBeLessThan(interval.value);
    expect(interval.high).toBeGreaterThan(interval.value);
  });

  test("gives the same interval for the same seed", () => {
    const once = () =>
      bootstrap([1, 2, 3, 9], mean, { random: seededRandom(1), resamples: 50, confidence: 0.9 });
    expect(once()).toEqual(once());
  });

  test("is unknown where the statistic is", () => {
    expect(bootstrap([1], () => null, { random: seededRandom(1), resamples: 5, confidence: 0.9 })).toBeNull();
  });
});
