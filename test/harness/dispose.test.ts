import * as tf from "@tensorflow/tfjs-core";
import { expect, it } from "vitest";
import { finePruning } from "../../src/defenses/finePruning.ts";
import { ARCHITECTURES } from "../../src/float/architectures.ts";
import { foldBatchNorm } from "../../src/float/fold.ts";
import { modelPair } from "../../src/harness/experiment.ts";
import { floatSubject } from "../../src/harness/floatSubject.ts";
import { materialOf } from "../../src/harness/lab.ts";
import { seededRandom } from "../../src/random.ts";
import { CLASSES, memoryStore, TINY, tinyLab } from "./lab.ts";

it("leaves no tensor of a tuned copy behind, and none of its own once it is disposed of", async () => {
  const lab = await tinyLab(memoryStore());
  const shape = { height: 16, width: 16, channels: 3, widthParam: 4, random: seededRandom(1) };
  const graph = foldBatchNorm(ARCHITECTURES.cnn(CLASSES, shape));
  const material = materialOf(lab, modelPair(TINY, 1, 1, 0, false)[0]);
  const none = tf.memory().numTensors;
  const subject = floatSubject(lab.backend, graph, "fp32");
  const own = tf.memory().numTensors;
  expect(own).toBeGreaterThan(none);
  const outcome = await finePruning.run(subject, material, finePruning.options, seededRandom(1), () => {});
  expect(outcome.passes.backward).toBeGreaterThan(0);
  expect(tf.memory().numTensors).toBe(own);
  subject.dispose();
  expect(tf.memory().numTensors).toBe(none);
});
