import { describe, expect, test } from "vitest";
import { CODED_QUICK, type CodedOptions, runAsCoded } from "../../src/defenses/asCoded.ts";
import type { Subject } from "../../src/defenses/defense.ts";
import { seededRandom } from "../../src/random.ts";
import { planted, plantedMaterial, withGradient } from "./planted.ts";

const { test: IMAGES } = plantedMaterial(true);

function run(subject: Subject, options: CodedOptions = CODED_QUICK) {
  const findings = runAsCoded(subject, IMAGES, options, seededRandom(3), () => {});
  return Object.fromEntries(findings.map((finding) => [finding.defense, finding]));
}

describe("the paper's rules as coded", () => {
  test("are five, with the rule and the reason in words", () => {
    const findings = Object.values(run(planted(true)));
    expect(findings).toHaveLength(5);
    for (const { rule, because, score } of findings) {
      expect(rule).not.toBe("");
      expect(because).toMatch(/.{20,}\.$/);
      expect(Number.isFinite(score)).toBe(true);
    }
  });

  test("Neural Cleanse without a gradient ends with equal norms, and its guard keeps it silent", () => {
    const { detected, because } = run(withGradient(planted(true), 0))["neuralCleanse"];
    expect(detected).toBe(false);
    expect(because).toContain("MAD is 0");
  });

  test("Neural Cleanse without a gradient moves the mask by the regulariser alone", () => {
    // 144 pixels at sigmoid(0) = 0.5 and one Adam step of 0.1 down: 144 * sigmoid(-0.1).
    const once = { ...CODED_QUICK, inversionEpochs: 1, inversionBatch: 200 };
    const { because } = run(withGradient(planted(true), 0), once)["neuralCleanse"];
    expect(because).toContain((144 / (1 + Math.exp(0.1))).toFixed(3));
  });

  test("STRIP's ratio is 0.05 by construction, backdoor or not", () => {
    for (const subject of [planted(true), planted(false)]) {
      const { score, detected } = run(subject)["strip"];
      expect(score).toBeLessThanOrEqual(0.05);
      expect(detected).toBe(false);
    }
  });

  test("the feature rules read clean images and so say the same of a model and its clean twin", () => {
    const [infected, clean] = [run(planted(true)), run(planted(false))];
    for (const id of ["activationClustering", "spectralSignatures", "finePruning"])
      expect(infected[id].score).toBeCloseTo(clean[id].score, 6);
  });

  test("what cannot be had is stored as not detected", () => {
    const findings = run(planted(true, "A3"));
    for (const id of ["neuralCleanse", "activationClustering", "spectralSignatures", "finePruning"]) {
      expect(findings[id].detected).toBe(false);
      expect(findings[id].because).toContain('stores "not detected"');
    }
  });

  test("give the same findings for the same seed", () => {
    expect(run(planted(true))).toEqual(run(planted(true)));
  });
});
