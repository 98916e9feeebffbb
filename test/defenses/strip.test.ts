import { describe, expect, test } from "vitest";
import type { ImageSet } from "../../src/data/dataset.ts";
import type { Subject } from "../../src/defenses/defense.ts";
import { entropy } from "../../src/defenses/probabilities.ts";
import { strip } from "../../src/defenses/strip.ts";
import { MODES, superpositionEntropies } from "../../src/defenses/superposition.ts";
import { seededRandom } from "../../src/random.ts";
import { planted, plantedMaterial } from "./planted.ts";

const MATERIAL = plantedMaterial(true);
const run = (subject: Subject) => strip.run(subject, MATERIAL, strip.options, seededRandom(5), () => {});

describe("entropy", () => {
  test("is log2 of the number of equal shares, and 0 for certainty", () => {
    expect(entropy([0.25, 0.25, 0.25, 0.25], 0, 4)).toBe(2);
    expect(entropy([0, 1, 0], 0, 3)).toBe(0);
  });
});

describe("superposition", () => {
  const mixed = (id: string, pixel: number, overlay: number) => {
    const output = new Float32Array(1);
    MODES.find((mode) => mode.id === id)!.mix(Uint8Array.of(pixel), Uint8Array.of(overlay), output);
    return output[0];
  };

  test.each([
    ["unclippedSum", 200, 100, 300],
    ["saturatingAdd", 200, 100, 255],
    ["saturatingAdd", 100, 100, 200],
    ["halfBlend", 255, 100, 178],
    ["halfBlend", 1, 0, 1],
    ["halfBlend", 255, 255, 255],
  ])("%s of %d and %d is %d", (id, pixel, overlay, value) => {
    expect(mixed(id, pixel, overlay)).toBe(value);
  });

  test("averages the entropy over every overlay of an image", () => {
    // One pixel; scores say "certain" for an even pixel and "even chances" for an odd one.
    const subject: Subject = {
      ...planted(true, "A4"),
      classes: 2,
      scores: (pixels, count) =>
        Float32Array.from({ length: 2 * count }, (_, at) =>
          pixels[at >> 1] % 2 === 0 ? (at % 2 === 0 ? 1 : 0) : 0.5,
        ),
    };
    const shape = { height: 1, width: 1, channels: 1 };
    const set = (...values: number[]): ImageSet => ({
      ...shape,
      count: values.length,
      pixels: Uint8Array.from(values),
      labels: new Uint8Array(values.length),
      tracks: new Int32Array(values.length),
    });
    const options = { mode: MODES[1], pool: set(0, 1, 2, 4), overlays: 4, random: seededRandom(1) };
    const values = superpositionEntropies(subject, set(10, 11), options, () => {});
    expect([...values]).toEqual([0.25, 0.75]);
  });
});

describe("strip", () => {
  test("adds without clipping only where the model takes floats", async () => {
    const float = await run(planted(true, "A0"));
    const device = await run(planted(true, "A1"));
    expect(float.measures).toHaveProperty("unclippedSum.auroc");
    expect(device.measures).not.toHaveProperty("unclippedSum.auroc");
    expect(device.measures["auroc"]).toBe(device.measures["saturatingAdd.auroc"]);
    expect(float.measures["auroc"]).toBe(float.measures["unclippedSum.auroc"]);
  });

  test("labels what it reads off a softmax", async () => {
    const outcome = await run(planted(true, "A4"));
    expect(outcome.measures["softmaxOnly"]).toBe(1);
    expect(outcome.figures[0].title).toContain("softmax-only");
    const logits = await run(planted(true, "A3"));
    expect(logits.measures["softmaxOnly"]).toBe(0);
  });

  test("its empirical boundary rejects no more clean images than allowed where entropies tie", async () => {
    // Certain of everything: every entropy is 0 and nothing may be flagged.
    const certain: Subject = {
      ...planted(true, "A4"),
      scores: (_, count) =>
        Float32Array.from({ length: 10 * count }, (_unused, at) => (at % 10 === 0 ? 1 : 0)),
    };
    const outcome = await run(certain);
    expect(outcome.verdict).toBe("not detected");
    expect(outcome.measures["empiricalFrrAt5"]).toBe(0);
    expect(outcome.measures["auroc"]).toBe(0.5);
  });

  test("is not runnable without images to fit and to judge", async () => {
    const few = { ...MATERIAL, clean: { ...MATERIAL.clean, count: 2 } };
    const outcome = await strip.run(planted(true), few, strip.options, seededRandom(1), () => {});
    expect(outcome.verdict).toBe("not runnable");
  });
});
