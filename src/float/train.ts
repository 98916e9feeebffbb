import { elements, type Graph } from "../model/graph.ts";
import { permutation, type Random, seededRandom } from "../random.ts";
import { type Augmentation, assembleBatch, type TrainingImages } from "./augment.ts";
import type { FloatBackend } from "./backend.ts";
import { Trainer } from "./trainer.ts";

export interface TrainOptions {
  epochs: number;
  /** Images a step; what is left over at the end of an epoch waits for the next shuffle. */
  batchSize: number;
  /** Peak learning rate. */
  learningRate: number;
  momentum: number;
  /** L2, on filters only. */
  weightDecay: number;
  /** cosine: to zero at the end. step: a tenth from half, a hundredth from three quarters of the epochs. */
  schedule: "cosine" | "step";
  /** Epochs over which the rate rises linearly to its peak. */
  warmupEpochs: number;
  augmentation: Augmentation;
  seed: number;
}

/** All that a resumed run needs, after `epoch` whole epochs. Values by tensor name. */
export interface Checkpoint {
  format: "blindspot-checkpoint/1";
  epoch: number;
  options: TrainOptions;
  /** Constants, running moments among them, laid out as in the graph. */
  parameters: Record<string, Float32Array>;
  /** Velocities, laid out as the kernels want them. */
  momentum: Record<string, Float32Array>;
}

export interface TrainProgress {
  /** From 1. */
  epoch: number;
  epochs: number;
  /** Steps done in this epoch. */
  step: number;
  steps: number;
  /** Mean cross-entropy and share of right answers of the epoch so far. */
  loss: number;
  accuracy: number;
}

export interface TrainHooks {
  /** Stamps poisoned images again after augmentation: PreparedAttack.stamp. */
  stamp?: (pixels: Uint8Array, count: number) => void;
  /** After every step. */
  progress?: (progress: TrainProgress) => void;
  /** After every epoch. */
  checkpoint?: (checkpoint: Checkpoint) => void | Promise<void>;
  resume?: Checkpoint;
}

/** cos(pi * t), t in [0, 1], by its series about 1/2: Math.cos differs between engines. */
function cosineOfPi(t: number): number {
  const x = Math.PI * (0.5 - t);
  let term = x;
  let sum = x;
  for (let i = 3; i <= 17; i += 2) {
    term *= (-x * x) / (i * (i - 1));
    sum += term;
  }
  return sum;
}

/** The learning rate of one step. progress: share of all steps done before it, in [0, 1). */
export function learningRateAt(options: TrainOptions, progress: number): number {
  const { epochs, learningRate, schedule, warmupEpochs } = options;
  const warmup = warmupEpochs / epochs;
  const rise = warmup > 0 ? Math.min(1, progress / warmup) : 1;
  if (schedule === "step") return learningRate * rise * (progress < 0.5 ? 1 : progress < 0.75 ? 0.1 : 0.01);
  const fall = progress <= warmup ? 0 : (progress - warmup) / (1 - warmup);
  return learningRate * rise * 0.5 * (1 + cosineOfPi(fall));
}

/** The graph with constants of these names replaced. Throws RangeError for a name or size that does not fit. */
function withParameters(graph: Graph, parameters: Record<string, Float32Array>): Graph {
  const tensors = graph.tensors.map((tensor) => {
    if (!tensor.data) return tensor;
    const data = parameters[tensor.name];
    if (data?.length !== tensor.data.length) {
      throw new RangeError(
        `checkpoint: ${tensor.name}: expected ${tensor.data.length} values, got ${data?.length ?? "none"}`,
      );
    }
    return { ...tensor, data: data.slice() };
  });
  return { ...graph, tensors };
}

function checkpointOf(trainer: Trainer, epoch: number, options: TrainOptions): Checkpoint {
  const constants = trainer
    .export()
    .tensors.filter(({ data }) => data)
    .map(({ name, data }) => [name, data as Float32Array]);
  return {
    format: "blindspot-checkpoint/1",
    epoch,
    options,
    parameters: Object.fromEntries(constants),
    momentum: trainer.momentum(),
  };
}

function checkResume(resume: Checkpoint, options: TrainOptions): void {
  const [expected, got] = [JSON.stringify(options), JSON.stringify(resume.options)];
  if (resume.format !== "blindspot-checkpoint/1") {
    throw new RangeError(`checkpoint: format: expected blindspot-checkpoint/1, got ${resume.format}`);
  }
  if (expected !== got) throw new RangeError(`checkpoint: options: expected ${expected}, got ${got}`);
}

/** Throws RangeError where images and graph do not fit each other. */
function checkImages(graph: Graph, images: TrainingImages): void {
  const [, ...expected] = graph.tensors[graph.inputs[0]].shape;
  const got = [images.height, images.width, images.channels];
  if (expected.join() !== got.join()) {
    throw new RangeError(`${graph.name}: expected images of ${expected.join(" x ")}, got ${got.join(" x ")}`);
  }
  const classes = elements(graph.tensors[graph.outputs[0]].shape.slice(1));
  const wrong = images.labels.findIndex((label) => label >= classes);
  if (wrong >= 0) {
    throw new RangeError(
      `${graph.name}: label of image ${wrong}: expected under ${classes}, got ${images.labels[wrong]}`,
    );
  }
}

/** Lets timers, signals and messages through between epochs. */
const breathe = () => new Promise<void>((resolve) => setTimeout(resolve, 0));

interface Epoch {
  epoch: number;
  epochs: number;
  batchSize: number;
  augmentation: Augmentation;
  random: Random;
  stamp?: (pixels: Uint8Array, count: number) => void;
  progress?: (progress: TrainProgress) => void;
  /** One step on a batch; done: steps before it in this epoch. */
  step(pixels: Uint8Array, labels: Int32Array, done: number): { loss: number; right: number };
}

const stepsOf = (count: number, batchSize: number) => Math.max(1, Math.floor(count / batchSize));

function runEpoch(images: TrainingImages, options: Epoch): void {
  const { epoch, epochs, batchSize, random } = options;
  const order = permutation(random.fork("order"), images.count);
  const augmentRandom = random.fork("augmentation");
  const steps = stepsOf(images.count, batchSize);
  let [loss, right, seen] = [0, 0, 0];
  for (let step = 0; step < steps; step++) {
    const indices = order.subarray(step * batchSize, (step + 1) * batchSize);
    const batch = assembleBatch(images, indices, options.augmentation, augmentRandom, options.stamp);
    const result = options.step(batch.pixels, batch.labels, step);
    loss += result.loss;
    right += result.right;
    seen += indices.length;
    options.progress?.({ epoch, epochs, step: step + 1, steps, loss: loss / seen, accuracy: right / seen });
  }
}

/**
 * Trains by SGD with momentum on softmax cross-entropy and returns a new graph, running moments included. The graph
 * ends in logits. images.poisoned: 1 where hooks.stamp applies. The same arguments give the same bytes, resumed or not.
 * Throws RangeError for images or labels that do not fit the graph, and for a checkpoint of another graph or other options.
 */
export async function train(
  backend: FloatBackend,
  graph: Graph,
  images: TrainingImages,
  options: TrainOptions,
  hooks: TrainHooks = {},
): Promise<Graph> {
  const { resume, stamp, progress } = hooks;
  checkImages(graph, images);
  if (resume) checkResume(resume, options);
  const start = resume ? withParameters(graph, resume.parameters) : graph;
  const trainer = new Trainer(backend, start, resume?.momentum);
  const steps = stepsOf(images.count, options.batchSize);
  try {
    for (let epoch = resume?.epoch ?? 0; epoch < options.epochs; epoch++) {
      runEpoch(images, {
        ...options,
        epoch: epoch + 1,
        random: seededRandom(options.seed).fork(`epoch ${epoch}`),
        stamp,
        progress,
        step: (pixels, labels, done) => {
          const learningRate = learningRateAt(options, (epoch * steps + done) / (options.epochs * steps));
          return trainer.step(pixels, labels, { ...options, learningRate });
        },
      });
      await hooks.checkpoint?.(checkpointOf(trainer, epoch + 1, options));
      await breathe();
    }
    return trainer.export();
  } finally {
    trainer.dispose();
  }
}

export interface TuneOptions {
  epochs: number;
  learningRate: number;
  random: Random;
  /** Channels of the last feature map that the last FULLY_CONNECTED goes on ignoring. */
  pruned: readonly number[];
  /** Default 32. */
  batchSize?: number;
  progress?: (progress: TrainProgress) => void;
}

/**
 * Fine-tunes filters and biases by plain SGD at a constant rate, without augmentation, and returns a new graph.
 * Throws RangeError for images or labels that do not fit, for a graph with batch normalization (fold it first) and, when
 * channels are pruned, for one without CONV_2D.
 */
export async function tune(
  backend: FloatBackend,
  graph: Graph,
  images: TrainingImages,
  { epochs, learningRate, random, pruned, batchSize = 32, progress }: TuneOptions,
): Promise<Graph> {
  checkImages(graph, images);
  const norm = graph.nodes.find((node) => node.op === "BATCH_NORMALIZATION");
  if (norm) throw new RangeError(`${graph.name}: ${norm.name}: expected a graph with batch norm folded`);
  const last = graph.nodes.findLast((node) => node.op === "FULLY_CONNECTED");
  if (!last && pruned.length > 0)
    throw new RangeError(`${graph.name}: expected a FULLY_CONNECTED node to prune`);
  const trainer = new Trainer(backend, graph);
  const keepPruned = () => last && trainer.prune(last, pruned);
  try {
    keepPruned();
    for (let epoch = 0; epoch < epochs; epoch++) {
      runEpoch(images, {
        epoch: epoch + 1,
        epochs,
        batchSize,
        augmentation: { crop: 0, flip: false },
        random: random.fork(`epoch ${epoch}`),
        progress,
        step(pixels, labels) {
          const result = trainer.step(pixels, labels, { learningRate, momentum: 0, weightDecay: 0 });
          keepPruned();
          return result;
        },
      });
      await breathe();
    }
    return trainer.export();
  } finally {
    trainer.dispose();
  }
}
