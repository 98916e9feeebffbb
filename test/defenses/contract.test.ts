import { describe, expect, test } from "vitest";
import {
  ACCESS_LEVELS,
  type AccessLevel,
  type Defense,
  type Outcome,
  type Subject,
} from "../../src/defenses/defense.ts";
import { DEFENSES } from "../../src/defenses/index.ts";
import type { NeuralCleanseOptions } from "../../src/defenses/neuralCleanse.ts";
import { seededRandom } from "../../src/random.ts";
import { planted, plantedMaterial } from "./planted.ts";

const MATERIAL = { backdoored: plantedMaterial(true), clean: plantedMaterial(false) };

/** The quick options, but for Neural Cleanse's step and image budget: at the quick one the clean twin's anomaly index
 * exceeds 2, as that of a third of clean 10-class models does. */
function optionsOf({ id, options }: Defense): object {
  if (id !== "neuralCleanse") return options;
  const { inversion } = options as NeuralCleanseOptions;
  return { ...options, inversion: { ...inversion, images: 32, batch: 32, steps: 60, lambda: 1e-3 } };
}

function run(defense: Defense, subject: Subject, backdoored: boolean): Promise<Outcome> {
  const material = backdoored ? MATERIAL.backdoored : MATERIAL.clean;
  return defense.run(subject, material, optionsOf(defense), seededRandom(5), () => {});
}

const known = new Map<string, Promise<Outcome>>();

/** The outcome for a planted model, run once. */
function outcomeAt(defense: Defense, access: AccessLevel, backdoored = true): Promise<Outcome> {
  const key = `${defense.id} ${access} ${backdoored}`;
  const outcome = known.get(key) ?? run(defense, planted(backdoored, access), backdoored);
  known.set(key, outcome);
  return outcome;
}

/** Every number anywhere in an outcome. */
function numbers(value: unknown): number[] {
  if (typeof value === "number") return [value];
  return typeof value === "object" && value !== null ? Object.values(value).flatMap(numbers) : [];
}

/** The lowest access level at which a defense still has what it needs. */
const LAST: Record<string, number> = {
  neuralCleanse: 4,
  strip: 4,
  activationClustering: 2,
  spectralSignatures: 2,
  finePruning: 2,
};

describe.each(DEFENSES.map((defense) => [defense.id, defense] as const))("%s", (id, defense) => {
  test("detects the planted backdoor at full access, and its signal is above 0.9", async () => {
    const outcome = await outcomeAt(defense, "A0");
    expect(outcome.verdict).toBe("detected");
    expect(outcome.score!).toBeGreaterThan(defense.threshold);
    expect(outcome.measures[defense.signal]).toBeGreaterThan(0.9);
  });

  test("clears the clean twin at full access", async () => {
    const outcome = await outcomeAt(defense, "A0", false);
    expect(outcome.verdict).toBe("not detected");
    expect(outcome.flagged).toEqual([]);
  });

  test("keeps its verdict on the uint8 grid with all tensors visible, or says on what it rests", async () => {
    const outcome = await outcomeAt(defense, "A1");
    // A saturating sum flattens this trigger against its bright surroundings; the blend keeps it.
    if (id === "strip") expect(outcome.measures["halfBlend.auroc"]).toBeGreaterThan(0.85);
    else expect(outcome.verdict).toBe("detected");
  });

  test.each(ACCESS_LEVELS)("runs at %s, or says in words why not", async (access) => {
    const outcome = await outcomeAt(defense, access);
    const runnable = Number(access[1]) <= LAST[id];
    expect(outcome.verdict === "not runnable").toBe(!runnable);
    expect(outcome.score === null).toBe(!runnable);
    expect(outcome.reason).toMatch(/.{15,}/);
    if (runnable) expect(outcome.passes.forward).toBeGreaterThan(0);
    else expect(outcome.flagged).toEqual([]);
  });

  test.each([true, false])("holds finite numbers only (backdoored: %s)", async (backdoored) => {
    for (const access of ACCESS_LEVELS) {
      const outcome = await outcomeAt(defense, access, backdoored);
      expect(numbers(outcome).filter((value) => !Number.isFinite(value))).toEqual([]);
    }
  });

  test("gives the same bytes for the same seed", async () => {
    const again = await run(defense, planted(true), true);
    expect(JSON.stringify(again)).toBe(JSON.stringify(await outcomeAt(defense, "A0")));
  });

  test("is the same from parts that were done before, in any order", async () => {
    const options = optionsOf(defense);
    for (const access of ACCESS_LEVELS) {
      const count = defense.parts?.count(planted(true).classes, access) ?? 0;
      const parts = Array.from({ length: count }, (_, part) => part)
        .reverse()
        .map((part) =>
          defense.parts!.run(
            planted(true, access),
            MATERIAL.backdoored,
            options,
            seededRandom(5),
            part,
            () => {},
          ),
        )
        .reverse();
      if (count === 0) continue;
      const outcome = await defense.run(
        planted(true, access),
        MATERIAL.backdoored,
        options,
        seededRandom(5),
        () => {},
        parts,
      );
      expect(JSON.stringify(outcome)).toBe(JSON.stringify(await outcomeAt(defense, access)));
    }
  });

  test("says the missing method's reason when it cannot run", async () => {
    const subject = planted(true, "A5");
    const { reason } = await run(defense, subject, true);
    if (id !== "strip") expect(reason).toContain(subject.missing.features);
  });

  test("judges the same where nobody knows the truth, and measures nothing against it", async () => {
    const outcome = await defense.run(
      planted(true),
      { ...MATERIAL.backdoored, truth: null },
      optionsOf(defense),
      seededRandom(5),
      () => {},
    );
    const informed = await outcomeAt(defense, "A0");
    if (id === "finePruning") expect(outcome.verdict).toBe("not runnable");
    else expect([outcome.score, outcome.flagged]).toEqual([informed.score, informed.flagged]);
    expect(Object.keys(outcome.measures).filter((name) => /target|maskIou/.test(name))).toEqual([]);
    if (outcome.perClass) {
      expect(outcome.perClass).toHaveLength(planted(true).classes);
      expect(outcome.perClass.indexOf(Math.max(...outcome.perClass))).toBe(informed.flagged[0]);
    }
  });

  test("reports progress up to its total and never beyond", async () => {
    const seen: [number, number][] = [];
    await defense.run(planted(true), MATERIAL.backdoored, defense.options, seededRandom(1), (done, total) =>
      seen.push([done, total]),
    );
    expect(seen.length).toBeGreaterThan(0);
    expect(seen.every(([done, total]) => done >= 0 && done <= total)).toBe(true);
  });

  test("its figures have the sizes that they announce", async () => {
    const { figures } = await outcomeAt(defense, "A0");
    expect(figures.length).toBeGreaterThan(0);
    for (const figure of figures) {
      if (figure.kind === "trigger") {
        expect(figure.mask).toHaveLength(figure.height * figure.width);
        expect(figure.pattern).toHaveLength(figure.height * figure.width * 3);
      }
      if (figure.kind === "histogram")
        for (const { counts } of figure.series) expect(counts).toHaveLength(figure.edges.length - 1);
    }
  });
});

test("every defense has one row with a source, a threshold's source and two presets", () => {
  expect(new Set(DEFENSES.map(({ id }) => id)).size).toBe(DEFENSES.length);
  for (const { source, thresholdSource, options, presets } of DEFENSES) {
    expect(source).toMatch(/\d{4}$/);
    expect(thresholdSource).not.toBe("");
    expect(options).toBe(presets.quick);
    expect(Object.keys(presets.study)).toEqual(Object.keys(presets.quick));
  }
});
