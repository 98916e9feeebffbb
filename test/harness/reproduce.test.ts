import { beforeAll, describe, expect, it } from "vitest";
import { DEFENSES } from "../../src/defenses/index.ts";
import type { Lab } from "../../src/harness/lab.ts";
import { type Execute, reproduce } from "../../src/harness/reproduce.ts";
import type { Result } from "../../src/harness/result.ts";
import { resultText } from "../../src/harness/resultFile.ts";
import { runStep, stepsBefore } from "../../src/harness/steps.ts";
import { seededRandom } from "../../src/random.ts";
import { renderHtml } from "../../src/report/html.ts";
import { parseResult } from "../../src/report/parse.ts";
import { renderTable } from "../../src/report/table.ts";
import { memoryStore, tinyLab } from "./lab.ts";

const provenance = {
  command: "blindspot reproduce",
  preset: "tiny",
  versions: {},
  options: {},
  inputs: { data: {}, profiles: {}, kernels: {} },
};

/** One step after the other, in this thread. */
const inline = (lab: Lab): Execute =>
  (async (steps) => {
    const results = [];
    for (const step of steps) results.push(await runStep(lab, step, () => {}));
    return results;
  }) as Execute;

const experiment = (lab: Lab) => reproduce(lab, { seed: 1, target: 0, flip: false, provenance }, inline(lab));

describe("the experiment on a tiny network", () => {
  const store = memoryStore();
  let lab: Lab & { store: typeof store };
  let result: Result;
  beforeAll(async () => {
    lab = { ...(await tinyLab(store)), store };
    result = await experiment(lab);
  });

  it("trains a valid pair, or the rest of these tests would test nothing", () =>
    expect(result.models.map(({ kind, accepted }) => [kind, accepted])).toEqual([
      ["backdoored", true],
      ["clean", true],
    ]));

  it("goes on from any set of finished steps to the same bytes", async () => {
    const random = seededRandom(5);
    for (const name of [...store.entries.keys()]) if (random.uniform() < 0.15) store.entries.delete(name);
    expect(JSON.stringify(await experiment(lab))).toBe(JSON.stringify(result));
  });

  it("finds the parts of its cells that were done before, last first, and gives the same bytes", async () => {
    const store = memoryStore();
    const shipped = [...lab.store.entries].filter(([name]) => !/^(cell|part)-/.test(name));
    for (const [name, bytes] of shipped) store.entries.set(name, bytes);
    const own = { ...lab, store };
    let parts = 0;
    const partsFirst: Execute = (async (steps) => {
      const before = steps.flatMap((step) => stepsBefore(own, step));
      if (before.length === 0) return inline(own)(steps);
      await inline(own)(before.toReversed());
      const named = () => [...store.entries.keys()].filter((name) => name.startsWith("part-"));
      const done = named().length;
      parts += before.length;
      const results = await inline(own)(steps);
      expect(named()).toHaveLength(done);
      return results;
    }) as Execute;
    const again = await reproduce(own, { seed: 1, target: 0, flip: false, provenance }, partsFirst);
    expect(JSON.stringify(again)).toBe(JSON.stringify(result));
    expect(parts).toBeGreaterThan(0);
  });

  it("has a cell for every model, defense, arm, precision and profile", () => {
    const places = 1 + lab.profiles.length * (1 + 2 * 2);
    expect(result.cells.length).toBe(2 * DEFENSES.length * places);
  });

  it("never gives a verdict without a score, nor a score without a verdict", () => {
    for (const { verdict, score, reason, thresholds } of result.cells) {
      expect(verdict === "not runnable").toBe(score === null);
      expect(thresholds.published.verdict).toBe(verdict);
      expect(reason).toMatch(/[\w)]\.$/);
    }
  });

  it("needs activations for clustering, which a device at A4 does not show", () => {
    const at = (arm: string) =>
      result.cells.filter(
        (cell) =>
          cell.defense === "activationClustering" &&
          cell.arm === arm &&
          cell.profile === "stm32l4r5-cmsis-nn",
      );
    for (const cell of at("QR")) expect(cell.verdict).toBe("not runnable");
    for (const cell of at("QF")) expect(cell.verdict).not.toBe("not runnable");
  });

  it("runs the paper's rules in its precisions, with no gradient where there is none", () => {
    expect(new Set(result.paper.map(({ precision }) => precision)).size).toBe(5);
    const dead = result.paper.find(
      ({ defense, precision }) => defense === "neuralCleanse" && precision.startsWith("int8 dynamic"),
    )!;
    expect(dead.detected).toBe(false);
    expect(dead.because).toContain("MAD is 0");
  });

  it("is a Result that the reports can draw", () => {
    const read = parseResult(resultText(result), "x.json");
    expect(renderHtml(read)).toContain("</html>");
    expect(renderTable(read, { color: false })).toContain("stm32l4r5-cmsis-nn");
  });
});
