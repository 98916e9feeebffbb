import { expect, test } from "vitest";
import { trainedModel } from "../../src/harness/deploy.ts";
import { modelPair } from "../../src/harness/experiment.ts";
import { memoryStore, TINY, tinyLab } from "./lab.ts";

test("training says how far it is: more at every step, and all of it at the last", async () => {
  const lab = await tinyLab(memoryStore());
  const [spec] = modelPair(TINY, 1, 1, 0, false);
  const shares: number[] = [];
  await trainedModel(lab, spec, (done, total) => shares.push(done / total));
  expect(spec.training.epochs).toBeGreaterThan(1);
  expect(shares[0]).toBeLessThan(1 / spec.training.epochs);
  expect(shares).toEqual(shares.toSorted((a, b) => a - b));
  expect(new Set(shares).size).toBe(shares.length);
  expect(shares.at(-1)).toBe(1);
});
