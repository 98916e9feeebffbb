import { beforeAll, describe, expect, it } from "vitest";
import { DEFENSES } from "../../../src/defenses/index.ts";
import { audit } from "../../../src/harness/audit/audit.ts";
import type { AuditInputs, AuditLab } from "../../../src/harness/audit/inputs.ts";
import { shippedTo } from "../../../src/harness/audit/models.ts";
import type { AuditEvidence } from "../../../src/harness/audit/result.ts";
import { type AuditExecute, executeHere } from "../../../src/harness/audit/steps.ts";
import { seededRandom } from "../../../src/random.ts";
import { memoryStore } from "../lab.ts";
import { PROVENANCE, type TinyAudit, tinyAudit } from "./lab.ts";

const run = (lab: AuditLab, execute: AuditExecute = executeHere(lab)) => audit(lab, PROVENANCE, execute);
const cell = ({ cells }: AuditEvidence, defense: string, arm: string) =>
  cells.find((each) => each.defense === defense && each.arm === arm)!;

describe("an audit", () => {
  let tiny: TinyAudit;
  let model: AuditInputs["model"];
  let evidence: AuditEvidence;
  const store = memoryStore();
  beforeAll(async () => {
    tiny = await tinyAudit();
    model = await tiny.model("backdoored");
    evidence = await run(tiny.inputs(model, { store }));
  });

  it("accuses the class that the attack aims at", () => {
    expect(evidence.suspect?.class).toBe(0);
    expect(evidence.suspect?.arm).toBe("FF");
    expect(cell(evidence, "neuralCleanse", "FF").verdict).toBe("detected");
  });

  it("has a cell for every defense and arm that can be", () => {
    expect(evidence.cells).toHaveLength(DEFENSES.length * (1 + 3 * evidence.devices.length));
    for (const { verdict, score } of evidence.cells) expect(verdict === "not runnable").toBe(score === null);
  });

  it("says why Neural Cleanse went without gradients where it did", () => {
    const free = evidence.cells.filter(({ measures }) => measures.gradientFree === 1);
    expect(free.length).toBeGreaterThan(0);
    for (const { reason } of free)
      expect(reason).toMatch(/There are no gradients: A[2-4] gives no gradients: .*[^.]\.$/);
  });

  it("runs STRIP and Fine-Pruning with the trigger that was found", () => {
    expect(cell(evidence, "strip", "QF").score).not.toBeNull();
    expect(cell(evidence, "finePruning", "QF").measures.asrBefore).toBeGreaterThan(0.1);
  });

  it("does not pretend that held-out images could show poison", () => {
    for (const id of ["activationClustering", "spectralSignatures"])
      expect(cell(evidence, id, "QF")).toMatchObject({
        verdict: "not runnable",
        reason: expect.stringContaining("training set"),
      });
  });

  it("looks for poison in a training set that is given, and calls none of it clean", async () => {
    const lab = tiny.inputs(model, { store, profiles: tiny.lab.profiles.slice(0, 1) });
    const poisoned = await run({
      ...lab,
      images: { ...lab.images, training: tiny.poisoned },
      engine: "poison",
    });
    for (const id of ["activationClustering", "spectralSignatures"]) {
      const { score, figures, perClass } = cell(poisoned, id, "QF");
      expect(score).not.toBeNull();
      expect(perClass).toHaveLength(evidence.model.classes);
      expect(JSON.stringify(figures)).not.toContain('"clean"');
    }
  });

  it("measures every device: accuracy, flips, memory, time", () => {
    for (const { deployed, flash, ram, latency, refused } of evidence.devices) {
      expect(refused).toEqual([]);
      expect(deployed!.accuracy.value).toBeGreaterThan(0.9);
      expect(deployed!.flipsFromFloat!.value).toBeLessThan(0.1);
      expect([flash.needsBytes > 0, ram.needsBytes > 0, latency!.milliseconds > 0]).toEqual([
        true,
        true,
        true,
      ]);
    }
    expect(evidence.devices.map(({ deployed }) => deployed!.flipsFromFirst === null)).toEqual([true, false]);
  });

  it("says of each detection of the float twin what became of it on each device", () => {
    const detected = DEFENSES.filter(({ id }) => cell(evidence, id, "FF").verdict === "detected");
    expect(detected.length).toBeGreaterThan(0);
    expect(evidence.losses).toHaveLength(detected.length * evidence.devices.length);
    for (const { S, reference, sentence } of evidence.losses) {
      expect(reference).toBe("FF");
      expect(S.FF).toBeGreaterThan(0);
      expect(sentence).toMatch(/\.$/);
    }
  });

  it("goes on from any set of finished steps, in any order, to the same bytes", async () => {
    const random = seededRandom(5);
    for (const name of [...store.entries.keys()]) if (random.uniform() < 0.2) store.entries.delete(name);
    const lab = tiny.inputs(model, { store });
    const here = executeHere(lab);
    const backwards = (async (steps: Parameters<AuditExecute>[0]) =>
      (await here(steps.toReversed())).toReversed()) as AuditExecute;
    expect(JSON.stringify(await run(lab, backwards))).toBe(JSON.stringify(evidence));
  });

  it("clears the clean twin's classes at the thresholds where it accuses the other", async () => {
    const clean = await run(
      tiny.inputs(await tiny.model("clean"), { profiles: tiny.lab.profiles.slice(0, 1) }),
    );
    expect(cell(clean, "neuralCleanse", "FF").score!).toBeLessThan(
      cell(evidence, "neuralCleanse", "FF").score!,
    );
  });

  it("takes an integer model alone: straight-through gradients, no float arm, no fall to measure", async () => {
    const lab = tiny.inputs(model, { store });
    const shipped = await shippedTo(lab, lab.profiles[0]);
    const integers = { name: "integers.tflite", graph: shipped.graph, sha256: shipped.sha256 };
    const alone = await run(tiny.inputs(integers, { profiles: lab.profiles.slice(0, 1) }));
    expect(alone.float).toBeNull();
    expect(new Set(alone.cells.map(({ arm }) => arm))).toEqual(new Set(["QF", "QR"]));
    expect(alone.devices[0].deployed!.flipsFromFloat).toBeNull();
    expect(cell(alone, "neuralCleanse", "QF").measures.gradientFree).toBe(0);
    expect(cell(alone, "neuralCleanse", "QF").score).toBeCloseTo(
      cell(evidence, "neuralCleanse", "QF").score!,
      6,
    );
    const twins = await run(tiny.inputs(integers, { float: model, profiles: lab.profiles.slice(0, 1) }));
    expect(twins.devices[0].deployed).toEqual({
      ...evidence.devices[0].deployed,
      scheme: expect.any(String),
    });
  });

  it("names a device that cannot run the model, and goes on with the others", async () => {
    const [first, second] = tiny.lab.profiles;
    const { MEAN: _, ...ops } = second.arithmetic.ops;
    const poor = { ...second, id: "poor", arithmetic: { ...second.arithmetic, ops } };
    const { devices, cells } = await run(tiny.inputs(model, { profiles: [poor, first], store }));
    expect(devices[0].refused.join()).toMatch(/MEAN/);
    expect(devices[0].deployed).toBeNull();
    expect(devices[1].deployed!.flipsFromFirst).toBeNull();
    expect(cells.filter(({ profile }) => profile === "poor")).toEqual([]);
  });

  it("refuses images of another size or number of classes, and twins that are none", async () => {
    const { images } = tiny.inputs(model);
    const fewer = { images: { ...images, classNames: images.classNames.slice(1) } };
    await expect(run(tiny.inputs(model, fewer))).rejects.toThrow(
      /5 classes, as backdoored.blindspot has outputs, got 4/,
    );
    const wide = { images: { ...images, test: { ...images.test, width: 8 } } };
    await expect(run(tiny.inputs(model, wide))).rejects.toThrow(/images of 16x16x3 .* got 16x8x3/);
    await expect(run(tiny.inputs(model, { float: model }))).rejects.toThrow(/expected an integer model/);
  });
});
