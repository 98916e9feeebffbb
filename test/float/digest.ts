import { createHash } from "node:crypto";
import { ARCHITECTURES } from "../../src/float/architectures.ts";
import { inputGradient, prepare } from "../../src/float/execute.ts";
import { foldBatchNorm } from "../../src/float/fold.ts";
import { train } from "../../src/float/train.ts";
import { seededRandom } from "../../src/random.ts";
import { backend, colouredImages } from "./setup.ts";

/** sha256 of a trained graph's constants, logits and input gradients. */
export async function digestOfRun(): Promise<string> {
  const images = colouredImages(96, 3, 16, 5);
  const graph = ARCHITECTURES.resnet8(3, { ...images, widthParam: 8, random: seededRandom(1) });
  const trained = await train(backend, graph, images, {
    epochs: 2,
    batchSize: 32,
    learningRate: 0.05,
    momentum: 0.9,
    weightDecay: 1e-4,
    schedule: "cosine",
    warmupEpochs: 1,
    augmentation: { crop: 2, flip: true },
    seed: 7,
  });
  const prepared = prepare(backend, foldBatchNorm(trained));
  const { logits, gradient } = inputGradient(prepared, images.pixels, images.count, (z) => z);
  prepared.dispose();
  const hash = createHash("sha256");
  for (const { data } of trained.tensors) {
    if (data) hash.update(new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
  }
  return hash.update(new Uint8Array(logits.buffer)).update(new Uint8Array(gradient.buffer)).digest("hex");
}
