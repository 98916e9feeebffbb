import { describe, expect, test } from "vitest";
import type { Subject } from "../../src/defenses/defense.ts";
import { finePruning } from "../../src/defenses/finePruning.ts";
import { seededRandom } from "../../src/random.ts";
import { planted, plantedMaterial } from "./planted.ts";

const MATERIAL = plantedMaterial(true);
const run = (subject: Subject, options = finePruning.options) =>
  finePruning.run(subject, MATERIAL, options, seededRandom(5), () => {});

describe("finePruning", () => {
  test("prunes the dormant units first, and the planted one with them", async () => {
    const { measures, score } = await run(planted(true));
    expect(measures["asrBefore"]).toBe(1);
    expect(measures["asrPruned"]).toBe(0);
    expect(measures["accuracyPruned"]).toBe(1);
    expect(score).toBe(1);
    // Three units never fire, the planted one hardly, and each of the rest carries a tenth of the accuracy.
    expect(measures["prunedAtDrop2"]).toBe(4);
  });

  test("does without tuning where the device forbids it, and says so", async () => {
    const outcome = await run(planted(true, "A2"));
    expect(outcome.verdict).toBe("detected");
    expect(outcome.reason).toContain("pruning alone, tuning not runnable: A2 does not show them");
    expect(outcome.measures).not.toHaveProperty("asrTuned");
    expect(outcome.passes.backward).toBe(0);
  });

  test("falls back on pruning alone when tuning costs too much accuracy", async () => {
    const broken: Subject = {
      ...planted(true),
      tune: async () => ({ ...planted(true), scores: (_, count) => new Float32Array(count * 10) }),
    };
    const outcome = await run(broken);
    expect(outcome.reason).toContain("tuning cost too much accuracy");
    expect(outcome.score).toBe(1);
    expect(outcome.measures["accuracyTuned"]).toBeLessThan(0.2);
  });

  test("its curve starts at the untouched model and rises in channels", async () => {
    const { figures, measures } = await run(planted(true));
    const figure = figures[0];
    if (figure.kind !== "curve") throw new TypeError(`expected a curve, got ${figure.kind}`);
    for (const { points } of figure.series) {
      const shares = points.map(([x]) => x);
      expect(shares[0]).toBe(0);
      expect(shares).toEqual([...new Set(shares)].sort((a, b) => a - b));
    }
    expect(figure.series[1].points[0][1]).toBe(measures["asrBefore"]);
  });

  test("bisection finds the same last pruning as every step would", async () => {
    const coarse = await run(planted(true), { ...finePruning.options, points: 3 });
    const fine = await run(planted(true), { ...finePruning.options, points: 14 });
    expect(coarse.measures["prunedAtDrop5"]).toBe(fine.measures["prunedAtDrop5"]);
  });
});
