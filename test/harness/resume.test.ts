import { describe, expect, it } from "vitest";
import type { Defense, Outcome, Subject } from "../../src/defenses/defense.ts";
import { neuralCleanse } from "../../src/defenses/neuralCleanse.ts";
import { strip } from "../../src/defenses/strip.ts";
import { resumable, Suspended } from "../../src/harness/resume.ts";
import { seededRandom } from "../../src/random.ts";
import { planted, plantedMaterial } from "../defenses/planted.ts";

const material = plantedMaterial(true);

const run = (defense: Defense, subject: Subject): Promise<Outcome> =>
  defense.run(subject, material, defense.presets.brief, seededRandom(1), () => {});

/** The outcome in runs of at most `images` images each, every one with the answers of those before it as bytes. */
async function inPieces(defense: Defense, observed: Subject, images: number) {
  let kept = new Float32Array(0);
  for (let runs = 1; ; runs++) {
    const { subject, begin, answers } = resumable(observed, kept, 1e6);
    begin(images);
    try {
      return { outcome: await run(defense, subject), runs, rows: answers().length / observed.classes };
    } catch (error) {
      if (!(error instanceof Suspended)) throw error;
      kept = answers().slice();
    }
  }
}

describe("a defense in pieces", () => {
  for (const defense of [strip, neuralCleanse] as Defense[])
    for (const level of ["A3", "A4"] as const)
      it(`gives ${defense.title}'s whole outcome at ${level}, with every image answered once`, async () => {
        const observed = planted(true, level);
        const whole = await run(defense, observed);
        let asked = 0;
        const counted: Subject = {
          ...observed,
          scores: (pixels, count) => {
            asked += count;
            return observed.scores(pixels, count);
          },
        };
        const { outcome, runs, rows } = await inPieces(defense, counted, 777);
        expect(outcome).toEqual(whole);
        expect(runs).toBe(Math.ceil(whole.passes.forward / 777));
        expect([rows, asked]).toEqual([whole.passes.forward, whole.passes.forward]);
      });

  it("refuses a run that needs more images than its limit", async () => {
    const { subject, begin } = resumable(planted(true, "A3"), new Float32Array(0), 100);
    begin(1e6);
    await expect(run(strip as Defense, subject)).rejects.toThrow("expected a run of at most 100 images");
  });
});
