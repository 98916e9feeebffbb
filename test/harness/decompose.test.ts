import { describe, expect, it } from "vitest";
import { DEFENSES } from "../../src/defenses/index.ts";
import { decompose, falsePositives, type RawCell, withThresholds } from "../../src/harness/decompose.ts";
import type { Arm, ModelRecord, Result } from "../../src/harness/result.ts";

const PROFILE: Result["profiles"][number] = {
  id: "device",
  title: "",
  family: "",
  access: "A3",
  accessWhy: "",
  arithmetic: "",
};
const STRIP = DEFENSES.find(({ id }) => id === "strip")!;

const model = (id: string, kind: ModelRecord["kind"]): ModelRecord => ({
  id,
  kind,
  twin: "",
  architecture: "",
  seed: 1,
  attack: {
    name: "badnet",
    target: 0,
    triggerSize: 1,
    triggerPosition: "",
    triggerColor: "",
    poisonRate: 0.1,
  },
  accepted: true,
  rejection: "",
  deployments: [],
});
const MODELS = [
  model("b1", "backdoored"),
  model("b2", "backdoored"),
  model("c1", "clean"),
  model("c2", "clean"),
];

/** STRIP cells of all models in one arm. auroc, score: of the backdoored; clean: the scores of the clean models. */
function cells(arm: Arm, auroc: number | null, score: number, clean: [number, number] = [0, 0.1]): RawCell[] {
  const scores = [score, score, ...clean];
  return MODELS.map(({ id }, i) => ({
    model: id,
    defense: "strip",
    precision: arm === "FF" || arm === "FR" ? "fp32" : "int8",
    profile: arm === "FF" ? null : PROFILE.id,
    access: "A0",
    arm,
    verdict: auroc === null ? "not runnable" : scores[i] > STRIP.threshold ? "detected" : "not detected",
    reason: "Nothing to see.",
    scoreName: "",
    score: auroc === null ? null : scores[i],
    flagged: [],
    measures: (auroc === null ? {} : { auroc }) as Record<string, number>,
    figures: [],
    passes: { forward: 0, backward: 0 },
  }));
}

function loss(raw: RawCell[]) {
  const rows = decompose(withThresholds(raw, MODELS), MODELS, [PROFILE], ["int8"]);
  return rows.find(({ defense }) => defense === "strip")!;
}

describe("the cause of a loss", () => {
  it("is none where the signal stays", () =>
    expect(
      loss([
        ...cells("FF", 0.99, 0.9),
        ...cells("FR", 0.99, 0.9),
        ...cells("QF", 0.98, 0.9),
        ...cells("QR", 0.97, 0.9),
      ]).cause,
    ).toBe("kept"));

  it("is mechanical where the device's access alone costs it", () =>
    expect(
      loss([
        ...cells("FF", 0.99, 0.9),
        ...cells("FR", 0.6, 0),
        ...cells("QF", 0.98, 0.9),
        ...cells("QR", 0.6, 0),
      ]).cause,
    ).toBe("mechanical"));

  it("is mechanical where it cannot run, and says why", () => {
    const row = loss([
      ...cells("FF", 0.99, 0.9),
      ...cells("FR", null, 0),
      ...cells("QF", 0.98, 0.9),
      ...cells("QR", null, 0),
    ]);
    expect(row.cause).toBe("mechanical");
    expect(row.sentence).toContain("Nothing to see.");
    expect(row.total).toBeNull();
    expect(row.runnable).toEqual({ FF: 2, FR: 0, QF: 2, QR: 0 });
  });

  it("is statistical where the integer model alone costs it", () =>
    expect(
      loss([
        ...cells("FF", 0.99, 0.9),
        ...cells("FR", 0.99, 0.9),
        ...cells("QF", 0.6, 0),
        ...cells("QR", 0.6, 0),
      ]).cause,
    ).toBe("statistical"));

  it("is calibration where the signal stays and a threshold fitted here finds it", () =>
    expect(
      loss([
        ...cells("FF", 0.99, 0.9),
        ...cells("FR", 0.99, 0.9),
        ...cells("QF", 0.98, 0.4),
        ...cells("QR", 0.98, 0.4),
      ]).cause,
    ).toBe("calibration"));

  it("is an interaction where only both together cost it", () =>
    expect(
      loss([
        ...cells("FF", 0.99, 0.9),
        ...cells("FR", 0.98, 0.9),
        ...cells("QF", 0.98, 0.9),
        ...cells("QR", 0.6, 0),
      ]).cause,
    ).toBe("interaction"));

  it("does not exist where FP32 has no signal", () => {
    const row = loss([
      ...cells("FF", 0.7, 0.9),
      ...cells("FR", 0.7, 0.9),
      ...cells("QF", 0.5, 0),
      ...cells("QR", 0.5, 0),
    ]);
    expect(row.signal).toBe(false);
    expect(row.cause).toBe("no signal at FP32");
  });
});

describe("calibrated thresholds", () => {
  it("are the largest score of the clean models, and for a clean model of the others", () => {
    const judged = withThresholds(cells("FF", 0.9, 0.3, [0.1, 0.4]), MODELS);
    expect(judged.map(({ thresholds }) => thresholds.recalibrated!.value)).toEqual([0.4, 0.4, 0.4, 0.1]);
    expect(judged.map(({ thresholds }) => thresholds.recalibrated!.verdict)).toEqual([
      "not detected",
      "not detected",
      "not detected",
      "detected",
    ]);
  });

  it("do not exist with fewer than two clean models", () => {
    const one = MODELS.filter(({ id }) => id !== "c2");
    const judged = withThresholds(
      cells("FF", 0.9, 0.3).filter(({ model }) => model !== "c2"),
      one,
    );
    for (const { thresholds } of judged) expect(thresholds.recalibrated).toBeNull();
  });

  it("give false-positive rates with n, and none where nothing ran", () => {
    const rates = (auroc: number | null) =>
      falsePositives(withThresholds(cells("FF", auroc, 0.9, [0.9, 0]), MODELS), MODELS)[0];
    expect(rates(0.9).published).toMatchObject({ value: 0.5, n: 2 });
    expect(rates(null).published).toBeNull();
  });
});
