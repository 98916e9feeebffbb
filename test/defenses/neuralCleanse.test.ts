import { describe, expect, test } from "vitest";
import type { ImageSet } from "../../src/data/dataset.ts";
import type { Subject } from "../../src/defenses/defense.ts";
import { neuralCleanse } from "../../src/defenses/neuralCleanse.ts";
import { maskIou, maskNorm, PLAIN_BLENDS } from "../../src/defenses/softTrigger.ts";
import { invertTriggers, randomStart } from "../../src/defenses/triggerInversion.ts";
import { seededRandom } from "../../src/random.ts";
import { planted, plantedMaterial, TARGET, TRIGGER, withGradient } from "./planted.ts";

const MATERIAL = plantedMaterial(true);
const { blend, blendGradient } = PLAIN_BLENDS;
const { inversion } = neuralCleanse.options;

const run = (subject: Subject, options = neuralCleanse.options) =>
  neuralCleanse.run(subject, MATERIAL, options, seededRandom(5), () => {});

describe("neuralCleanse", () => {
  test("accuses the true target first and shows its trigger beside the truth", async () => {
    const { flagged, measures, figures } = await run(planted(true));
    expect(flagged[0]).toBe(TARGET);
    expect(measures["targetFirst"]).toBe(1);
    expect(measures["targetRank"]).toBe(1);
    expect(measures["targetToMedian"]).toBeLessThan(0.6);
    expect(measures["invertedAsr"]).toBeGreaterThan(0.95);
    expect(figures.filter((figure) => figure.kind === "trigger").map(({ truth }) => truth)).toEqual([
      false,
      true,
    ]);
  });

  test("is not runnable when no gradient arrives, and spends three steps a class on finding out", async () => {
    const outcome = await run(withGradient(planted(true), 0));
    expect(outcome.verdict).toBe("not runnable");
    expect(outcome.reason).toContain("no gradient");
    expect(outcome.passes.backward).toBe(10 * 3 * inversion.images);
  });

  test("is not runnable when the gradient is not finite", async () => {
    const outcome = await run(withGradient(planted(true), NaN));
    expect(outcome.verdict).toBe("not runnable");
    expect(outcome.reason).toContain("not finite");
  });

  test("is not runnable when under half of the classes have a trigger", async () => {
    // A gradient that points nowhere: masks shrink and nothing is solved.
    const outcome = await run(withGradient(planted(true), 1e-9), {
      ...neuralCleanse.options,
      inversion: { ...inversion, steps: 12, successThreshold: 1.01 },
    });
    expect(outcome.verdict).toBe("not runnable");
    expect(outcome.reason).toContain("0 of 10 classes");
  });

  test("is not runnable when the classes' norms have no spread", async () => {
    // Every class succeeds and sees the same gradient.
    const subject: Subject = {
      ...planted(true),
      gradient: (pixels, count, logitsGradient) => {
        const gradient = logitsGradient(new Float32Array(count * 10));
        const target = gradient.findIndex((value) => value < 0) % 10;
        const logits = new Float32Array(count * 10);
        for (let i = 0; i < count; i++) logits[i * 10 + target] = 1;
        return { logits, gradient: new Float32Array(pixels.length).fill(1e-6) };
      },
    };
    const outcome = await run(subject);
    expect(outcome.verdict).toBe("not runnable");
    expect(outcome.reason).toContain("MAD 0");
  });

  test("names its gradient-free variant and finds the patch by forward passes alone", async () => {
    for (const access of ["A2", "A3", "A4"] as const) {
      const outcome = await run(planted(true, access));
      expect(outcome.reason).toContain("Gradient-free variant");
      expect(outcome.flagged[0]).toBe(TARGET);
      expect(outcome.measures["gradientFree"]).toBe(1);
      expect(outcome.measures["maskIou"]).toBeGreaterThan(0.25);
      expect(outcome.passes.backward).toBe(0);
    }
  });

  test("is not runnable without gradient when no patch moves the scores", async () => {
    const still: Subject = {
      ...planted(true, "A3"),
      scores: (_, count) => Float32Array.from({ length: count * 10 }, (_, at) => (at % 10 === 4 ? 1 : 0)),
    };
    const outcome = await run(still);
    expect(outcome.verdict).toBe("not runnable");
    expect(outcome.reason).toContain("no patch moves the scores");
  });
});

describe("invertTriggers", () => {
  const invert = (targets: number[], images: ImageSet) => {
    const subject = planted(true);
    const start = randomStart(subject, seededRandom(2));
    return invertTriggers(subject, images, targets, inversion, start, () => {});
  };

  test("keeps a mask that met the success threshold on all images", () => {
    const subject = planted(true);
    const count = inversion.batch;
    const images = { ...MATERIAL.clean, count, pixels: MATERIAL.clean.pixels.slice(0, count * 432) };
    const [found] = invert([TARGET], images);
    expect(found.solved).toBe(true);
    const stamped = new Float32Array(images.pixels.length);
    blend(found, images.pixels, count, stamped);
    const scores = subject.scores(stamped, count);
    const hits = Array.from({ length: count }, (_, i) => {
      const row = [...scores.subarray(i * 10, i * 10 + 10)];
      return row.indexOf(Math.max(...row)) === TARGET;
    });
    expect(hits.every(Boolean)).toBe(true);
    expect(found.norm).toBeCloseTo(maskNorm(found), 9);
  });

  test("stays within [0, 1] for the mask and 0..255 for the pattern", () => {
    const images = { ...MATERIAL.clean, count: 8, pixels: MATERIAL.clean.pixels.slice(0, 8 * 432) };
    const [found] = invert([0], images);
    expect(found.mask.every((value) => value >= 0 && value <= 1)).toBe(true);
    expect(found.pattern.every((value) => value >= 0 && value <= 255)).toBe(true);
  });

  test("finds for classes that share a pass what each finds alone", () => {
    const images = { ...MATERIAL.clean, count: 5, pixels: MATERIAL.clean.pixels.slice(0, 5 * 432) };
    const targets = [4, TARGET, 0, 9, 1, 2, 5, 8];
    expect(invert(targets, images)).toEqual(targets.flatMap((target) => invert([target], images)));
  });
});

describe("blend", () => {
  test("shows the image where the mask is 0 and the pattern where it is 1", () => {
    const output = new Float32Array(4);
    const trigger = { mask: Float32Array.of(0, 1), pattern: Float32Array.of(9, 7) };
    blend(trigger, Uint8Array.of(10, 20, 30, 40), 2, output);
    expect([...output]).toEqual([10, 7, 30, 7]);
  });

  test("its gradients are the finite differences of the blended images", () => {
    const random = seededRandom(4);
    const pixels = Uint8Array.from({ length: 12 }, () => random.below(256));
    const weights = Float32Array.from({ length: 12 }, () => random.normal());
    const trigger = {
      mask: Float32Array.from({ length: 2 }, () => random.uniform()),
      pattern: Float32Array.from({ length: 6 }, () => 255 * random.uniform()),
    };
    const loss = () => {
      const output = new Float32Array(12);
      blend(trigger, pixels, 2, output);
      return output.reduce((sum, value, i) => sum + value * weights[i], 0);
    };
    const gradients = { mask: new Float64Array(2), pattern: new Float64Array(6) };
    blendGradient(trigger, pixels, weights, gradients);
    for (const key of ["mask", "pattern"] as const)
      for (let i = 0; i < trigger[key].length; i++) {
        const [kept, step] = [trigger[key][i], key === "mask" ? 0.25 : 8];
        trigger[key][i] = kept + step;
        const up = loss();
        trigger[key][i] = kept - step;
        const down = loss();
        trigger[key][i] = kept;
        expect(gradients[key][i]).toBeCloseTo((up - down) / (2 * step), 2);
      }
  });

  test("a mask at the trigger's place has intersection over union 1", () => {
    const mask = Float32Array.from(TRIGGER.mask, (value) => 0.4 * value);
    expect(maskIou({ mask, pattern: new Float32Array(432) }, TRIGGER.mask)).toBe(1);
    expect(maskIou({ mask: new Float32Array(144), pattern: new Float32Array(432) }, TRIGGER.mask)).toBe(0);
  });
});

test("says of two classes that none can stand out, rather than that none does", async () => {
  const two = { ...planted(true), classes: 2 };
  const { options } = neuralCleanse;
  const outcome = await neuralCleanse.run(two, plantedMaterial(true), options, seededRandom(1), () => {});
  expect(outcome).toMatchObject({ verdict: "not runnable", score: null });
  expect(outcome.reason).toMatch(/three or more/);
});
