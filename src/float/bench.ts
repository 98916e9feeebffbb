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
  /** Milliseconds of one batch, by round: ours, and the peer's where it has the work. */
  ms: number[];
  peerMs: number[];
}

export interface FloatBenchOptions {
  /** Milliseconds of CPU time, or wall time where there is no other. */
  clock(): number;
  /** Does one batch of a work elsewhere and says in how many milliseconds; null where it does not know the work. */
  peer(work: string): Promise<number | null>;
  rounds?: number;
  /** At most 32. */
  batch?: number;
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

/**
 * Training, input gradients, straight-through gradients (without the integer run) and inference of ResNet-8 of width 16 on
 * 32x32x3, one batch of each a round, the peer's beside ours. The first two rounds are not counted.
 */
export async function benchFloat(
  backend: FloatBackend,
  { clock, peer, rounds = 15, batch = 32 }: FloatBenchOptions,
): Promise<FloatBenchRow[]> {
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
  const rows = works.map(([name]): FloatBenchRow => ({ name, batch, ms: [], peerMs: [] }));
  for (let round = -2; round < rounds; round++) {
    for (const [i, [name, work]] of works.entries()) {
      const before = clock();
      work();
      const ms = clock() - before;
      const peerMs = await peer(name);
      if (round < 0) continue;
      rows[i].ms.push(ms);
      if (peerMs !== null) rows[i].peerMs.push(peerMs);
    }
  }
  trainer.dispose();
  prepared.dispose();
  return rows;
}
