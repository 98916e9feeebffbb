import * as tf from "@tensorflow/tfjs-core";
import { describe, expect, test } from "vitest";
import { ARCHITECTURES } from "../../src/float/architectures.ts";
import { assembleBatch } from "../../src/float/augment.ts";
import { forward, prepare } from "../../src/float/execute.ts";
import { foldBatchNorm } from "../../src/float/fold.ts";
import { type Checkpoint, learningRateAt, type TrainOptions, train, tune } from "../../src/float/train.ts";
import type { Graph } from "../../src/model/graph.ts";
import { seededRandom } from "../../src/random.ts";
import { backend, colouredImages } from "./setup.ts";

const CLASSES = 4;
const images = colouredImages(160, CLASSES, 12, 3);
const OPTIONS: TrainOptions = {
  epochs: 3,
  batchSize: 32,
  learningRate: 0.05,
  momentum: 0.9,
  weightDecay: 1e-4,
  schedule: "cosine",
  warmupEpochs: 1,
  augmentation: { crop: 2, flip: true },
  seed: 7,
};

const untrained = (name: "resnet8" | "cnn" = "resnet8") =>
  ARCHITECTURES[name](CLASSES, { ...images, widthParam: 8, random: seededRandom(1) });

function bytesOf(graph: Graph): Buffer {
  const constants = graph.tensors.flatMap(({ data }) => (data ? [new Uint8Array(data.buffer.slice(0))] : []));
  return Buffer.concat(constants);
}

function accuracy(graph: Graph): number {
  const prepared = prepare(backend, graph);
  const logits = forward(prepared, images.pixels, images.count);
  prepared.dispose();
  let right = 0;
  for (let i = 0; i < images.count; i++) {
    const row = Array.from(logits.subarray(i * CLASSES, (i + 1) * CLASSES));
    if (row.indexOf(Math.max(...row)) === images.labels[i]) right++;
  }
  return right / images.count;
}

describe("training", () => {
  test.each(["resnet8", "cnn"] as const)("%s learns colours", async (name) => {
    const losses: number[] = [];
    const progress = ({ step, steps, loss }: { step: number; steps: number; loss: number }) => {
      if (step === steps) losses.push(loss);
    };
    const trained = await train(backend, untrained(name), images, { ...OPTIONS, epochs: 8 }, { progress });
    expect(losses.length).toBe(8);
    expect(losses[7]).toBeLessThan(losses[0] / 2);
    expect(accuracy(trained)).toBeGreaterThan(0.9);
  });

  test("the same seed gives the same bytes, another seed others", async () => {
    const once = bytesOf(await train(backend, untrained(), images, OPTIONS));
    expect(bytesOf(await train(backend, untrained(), images, OPTIONS)).equals(once)).toBe(true);
    expect(bytesOf(await train(backend, untrained(), images, { ...OPTIONS, seed: 8 })).equals(once)).toBe(
      false,
    );
  });

  test("every epoch shows every image once, in an order of its own", async () => {
    const shown: string[] = [];
    const all = { ...images, poisoned: new Uint8Array(images.count).fill(1) };
    const options = { ...OPTIONS, epochs: 2, augmentation: { crop: 0, flip: false } };
    const stamp = (pixels: Uint8Array) => void shown.push(pixels.join());
    await train(backend, untrained("cnn"), all, options, { stamp });
    const [first, second] = [shown.slice(0, images.count), shown.slice(images.count)];
    expect(new Set(first).size).toBe(images.count);
    expect(second.toSorted()).toEqual(first.toSorted());
    expect(second).not.toEqual(first);
  });

  test("resumed from any checkpoint it gives the bytes of the run that was not interrupted", async () => {
    const checkpoints: Checkpoint[] = [];
    const whole = bytesOf(
      await train(backend, untrained(), images, OPTIONS, {
        checkpoint: (checkpoint) => void checkpoints.push(structuredClone(checkpoint)),
      }),
    );
    expect(checkpoints.map(({ epoch }) => epoch)).toEqual([1, 2, 3]);
    for (const resume of checkpoints) {
      expect(bytesOf(await train(backend, untrained(), images, OPTIONS, { resume })).equals(whole)).toBe(
        true,
      );
    }
  });

  test("a checkpoint of other options or of another graph is refused", async () => {
    let resume: Checkpoint | undefined;
    const one = { ...OPTIONS, epochs: 1 };
    await train(backend, untrained(), images, one, {
      checkpoint: (checkpoint) => {
        resume = checkpoint;
      },
    });
    await expect(train(backend, untrained(), images, OPTIONS, { resume })).rejects.toThrow("options");
    await expect(train(backend, untrained("cnn"), images, one, { resume })).rejects.toThrow("got none");
  });

  test("images and labels that do not fit the graph are refused", async () => {
    const small = colouredImages(32, CLASSES, 8, 1);
    await expect(train(backend, untrained(), small, OPTIONS)).rejects.toThrow(
      "images of 12 x 12 x 3, got 8 x 8 x 3",
    );
    const many = colouredImages(32, CLASSES + 2, 12, 1);
    await expect(train(backend, untrained(), many, OPTIONS)).rejects.toThrow("expected under 4, got");
  });

  test("it leaves the graph it was given and no tensor behind", async () => {
    const graph = untrained();
    const bytes = bytesOf(graph);
    const before = [tf.memory().numTensors, backend.tfjs.numDataIds()];
    await train(backend, graph, images, { ...OPTIONS, epochs: 1 });
    expect([tf.memory().numTensors, backend.tfjs.numDataIds()]).toEqual(before);
    expect(bytesOf(graph).equals(bytes)).toBe(true);
  });

  test("weight decay shrinks filters and leaves gamma, beta and biases to the gradient", async () => {
    const still = { ...OPTIONS, epochs: 1, warmupEpochs: 0, momentum: 0 };
    const [plain, decayed] = await Promise.all(
      [0, 0.5].map((weightDecay) =>
        train(backend, untrained("cnn"), images, { ...still, weightDecay, batchSize: 160 }),
      ),
    );
    plain.tensors.forEach(({ name, data }, i) => {
      if (!data) return;
      const same = Buffer.from(data.buffer).equals(Buffer.from(decayed.tensors[i].data!.buffer));
      expect([name, same]).toEqual([name, !name.endsWith("/filter")]);
    });
  });
});

describe("learning rate", () => {
  const options = { ...OPTIONS, epochs: 10, warmupEpochs: 1, learningRate: 2 };

  test("cosine rises over the warm-up, peaks at its end and falls to zero", () => {
    const at = (progress: number) => learningRateAt(options, progress);
    expect(at(0)).toBe(0);
    expect(at(0.05)).toBeCloseTo(1, 9);
    expect(at(0.1)).toBeCloseTo(2, 9);
    expect(at(0.55)).toBeCloseTo(1, 9);
    expect(at(1)).toBeCloseTo(0, 9);
    expect(at(0.3)).toBeCloseTo(1 + Math.cos((Math.PI * 0.2) / 0.9), 9);
  });

  test("step falls to a tenth at half and a hundredth at three quarters", () => {
    const at = (progress: number) =>
      learningRateAt({ ...options, schedule: "step", warmupEpochs: 0 }, progress);
    expect([0, 0.49, 0.5, 0.75].map(at)).toEqual([2, 2, 0.2, 0.02]);
  });
});

describe("augmentation", () => {
  const one = {
    ...images,
    count: 1,
    height: 2,
    width: 3,
    channels: 1,
    pixels: Uint8Array.of(1, 2, 3, 4, 5, 6),
  };

  test("every placement is the image shifted over black, mirrored or not", () => {
    const random = seededRandom(2);
    const seen = new Set<string>();
    for (let i = 0; i < 400; i++) {
      const { pixels } = assembleBatch(one, Uint32Array.of(0), { crop: 1, flip: true }, random);
      seen.add(pixels.join());
    }
    expect(seen.size).toBe(18);
    for (const each of ["1,2,3,4,5,6", "3,2,1,6,5,4", "0,1,2,0,4,5", "0,0,0,2,3,0"])
      expect(seen).toContain(each);
  });

  test("without crop and flip an image stays as it is", () => {
    const { pixels } = assembleBatch(one, Uint32Array.of(0), { crop: 0, flip: false }, seededRandom(1));
    expect(Array.from(pixels)).toEqual([1, 2, 3, 4, 5, 6]);
  });

  test("only poisoned images are stamped, after they were moved", () => {
    const two = {
      ...one,
      count: 2,
      pixels: Uint8Array.of(1, 2, 3, 4, 5, 6, 1, 2, 3, 4, 5, 6),
      labels: Uint8Array.of(0, 1),
      poisoned: Uint8Array.of(0, 1),
    };
    const stamp = (pixels: Uint8Array) => {
      pixels[5] = 99;
    };
    const random = seededRandom(3);
    for (let i = 0; i < 20; i++) {
      const { pixels, labels } = assembleBatch(
        two,
        Uint32Array.of(1, 0),
        { crop: 1, flip: false },
        random,
        stamp,
      );
      expect(pixels[5]).toBe(99);
      expect(pixels[11]).not.toBe(99);
      expect(Array.from(labels)).toEqual([1, 0]);
    }
  });
});

describe("fine-tuning", () => {
  test("keeps what the dense layer reads pruned channels with at zero, and moves the rest", async () => {
    const graph = foldBatchNorm(untrained());
    const pruned = [0, 5, 31];
    const options = { epochs: 1, learningRate: 0.01, random: seededRandom(4), pruned };
    const tuned = await tune(backend, graph, images, options);
    const { inputs } = graph.nodes.findLast((node) => node.op === "FULLY_CONNECTED")!;
    const depth = graph.tensors[inputs[1]].shape[1];
    const filter = tuned.tensors[inputs[1]].data as Float32Array;
    for (let channel = 0; channel < depth; channel++) {
      const isZero = filter.every((w, i) => i % depth !== channel || w === 0);
      expect(isZero).toBe(pruned.includes(channel));
    }
    expect(filter).not.toEqual(graph.tensors[inputs[1]].data);
  });

  test("a graph with batch norm is refused", async () => {
    const options = { epochs: 1, learningRate: 0.01, random: seededRandom(4), pruned: [] };
    await expect(tune(backend, untrained(), images, options)).rejects.toThrow(
      "expected a graph with batch norm folded",
    );
  });
});
