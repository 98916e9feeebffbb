import { seededRandom } from "../random.ts";
import { ARCHITECTURES } from "./architectures.ts";
import type { TrainingImages } from "./augment.ts";
import type { FloatBackend } from "./backend.ts";
import {
  forward,
  type IntegerActivation,
  inputGradient,
  observe,
  type Prepared,
  prepare,
  shadowGradient,
} from "./execute.ts";
import { foldBatchNorm } from "./fold.ts";
import { Trainer } from "./trainer.ts";

export interface FloatBenchRow {
  name: string;
  batch: number;
  /** Median over the rounds. */
  imagesPerSecond: number;
  /** Median milliseconds an image. */
  msPerImage: number;
  rounds: number;
}

/** Random images with random labels: speed does not depend on what they show. */
function noise(count: number, classes: number): TrainingImages {
  const random = seededRandom(1);
  const size = 32 * 32 * 3;
  return {
    count,
    height: 32,
    width: 32,
    channels: 3,
    pixels: Uint8Array.from({ length: count * size }, () => random.below(256)),
    labels: Uint8Array.from({ length: count }, (_, i) => i % classes),
  };
}

/** What an int8 run with ranges of its own would have left, by tensor index. */
function integerRun(prepared: Prepared, { pixels, count }: TrainingImages): Map<number, IntegerActivation> {
  const outputs = prepared.graph.nodes.map((node) => node.outputs[0]);
  const activations = new Map<number, IntegerActivation>();
  observe(prepared, pixels, count, outputs, (values) => {
    for (const [index, real] of values) {
      const scale = real.reduce((most, v) => Math.max(most, Math.abs(v)), 0) / 127;
      const quantized = Int8Array.from(real, (v) => Math.round(v / scale));
      activations.set(index, { values: quantized, minimum: 0, maximum: 127, scale, zeroPoint: 0 });
    }
  });
  return activations;
}

const median = (values: number[]) => values.toSorted((a, b) => a - b)[values.length >> 1];

/**
 * Training, input gradients, straight-through gradients (without the integer run) and inference of ResNet-8 of width 16 on 32x32x3, one batch a round. clock: milliseconds of
 * CPU time (or wall time where there is no other). The first two rounds are not counted. batch: at most 32.
 */
export function benchFloat(
  backend: FloatBackend,
  clock: () => number,
  rounds = 9,
  batch = 32,
): FloatBenchRow[] {
  const classes = 10;
  const images = noise(batch, classes);
  const graph = ARCHITECTURES.resnet8(classes, { ...images, random: seededRandom(2) });
  const trainer = new Trainer(backend, graph);
  const prepared = prepare(backend, foldBatchNorm(graph));
  const labels = Int32Array.from(images.labels);
  const activations = integerRun(prepared, images);
  const ones = new Float32Array(batch * classes).fill(1 / batch);
  const towardsOne = (logits: Float32Array) => logits.map((_, i) => (i % classes === 0 ? -1 / batch : 0));
  const works: [string, () => void][] = [
    [
      "train",
      () => trainer.step(images.pixels, labels, { learningRate: 0.01, momentum: 0.9, weightDecay: 1e-4 }),
    ],
    ["input gradient", () => inputGradient(prepared, images.pixels, batch, towardsOne)],
    ["straight-through gradient", () => shadowGradient(prepared, activations, ones, batch)],
    ["inference", () => forward(prepared, images.pixels, batch)],
  ];
  const times = works.map((): number[] => []);
  for (let round = -2; round < rounds; round++) {
    works.forEach(([, work], row) => {
      const before = clock();
      work();
      if (round >= 0) times[row].push(clock() - before);
    });
  }
  trainer.dispose();
  prepared.dispose();
  return works.map(([name], row) => {
    const ms = median(times[row]);
    return { name, batch, imagesPerSecond: (1000 * batch) / ms, msPerImage: ms / batch, rounds };
  });
}
