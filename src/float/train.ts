import type { ImageSet } from "../data/dataset.ts";
import type { Graph } from "../model/graph.ts";
import type { Random } from "../random.ts";
import type { FloatBackend } from "./backend.ts";

export interface TrainOptions {
  epochs: number;
  batchSize: number;
  /** Peak learning rate. */
  learningRate: number;
  momentum: number;
  /** L2, on filters only. */
  weightDecay: number;
  schedule: "cosine" | "step";
  warmupEpochs: number;
  /** Random shift by at most `crop` pixels, and mirroring left to right (not for signs). */
  augmentation: { crop: number; flip: boolean };
  seed: number;
}

/** All that a resumed run needs. Float32Arrays by tensor name. */
export interface Checkpoint {
  format: "blindspot-checkpoint/1";
  epoch: number;
  options: TrainOptions;
  parameters: Record<string, Float32Array>;
  momentum: Record<string, Float32Array>;
}

export interface TrainProgress {
  epoch: number;
  epochs: number;
  step: number;
  steps: number;
  /** Mean cross-entropy and share of right answers of the epoch so far. */
  loss: number;
  accuracy: number;
}

export interface TrainHooks {
  /** Stamps poisoned images again after augmentation: PreparedAttack.stamp. */
  stamp?: (pixels: Uint8Array, count: number) => void;
  progress?: (progress: TrainProgress) => void;
  checkpoint?: (checkpoint: Checkpoint) => void | Promise<void>;
  resume?: Checkpoint;
}

/** Trains and returns a new graph. images.poisoned: 1 where hooks.stamp applies. */
export declare function train(
  backend: FloatBackend,
  graph: Graph,
  images: ImageSet & { poisoned?: Uint8Array },
  options: TrainOptions,
  hooks?: TrainHooks,
): Promise<Graph>;

/** Fine-tunes a graph without batch norm by plain SGD. pruned: output channels of the last CONV_2D held at zero. */
export declare function tune(
  backend: FloatBackend,
  graph: Graph,
  images: ImageSet,
  options: {
    epochs: number;
    learningRate: number;
    random: Random;
    pruned: readonly number[];
    batchSize?: number;
  },
): Promise<Graph>;
