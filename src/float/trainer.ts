import * as tf from "@tensorflow/tfjs-core";
import type { Graph, Node } from "../model/graph.ts";
import type { FloatBackend } from "./backend.ts";
import { constantsOf, floatData, toOHWI } from "./constants.ts";
import { INPUT_SCALE } from "./execute.ts";
import { backwardPass, ForwardPass, type PassOptions } from "./pass.ts";
import { run, runMany } from "./register.ts";

/** running = BATCH_NORM_MOMENTUM * running + (1 - BATCH_NORM_MOMENTUM) * batch, a step. */
export const BATCH_NORM_MOMENTUM = 0.9;

type Normalization = Extract<Node, { op: "BATCH_NORMALIZATION" }>;

export interface StepOptions {
  learningRate: number;
  momentum: number;
  /** L2, on filters only. */
  weightDecay: number;
}

/** A graph's constants in the backend's memory while they are trained. */
export class Trainer {
  readonly backend: FloatBackend;
  readonly graph: Graph;
  #constants: Map<number, tf.Tensor>;
  #filters = new Set<number>();
  #trained = new Set<number>();
  #momentum = new Map<number, tf.Tensor>();
  /** By index of the mean or variance tensor. */
  #running = new Map<number, Float32Array>();

  /** momentum: of an earlier trainer's momentum(). */
  constructor(backend: FloatBackend, graph: Graph, momentum: Record<string, Float32Array> = {}) {
    this.backend = backend;
    this.graph = graph;
    this.#constants = constantsOf(graph, true);
    for (const node of graph.nodes) this.#admit(node);
    for (const index of this.#trained) {
      const { shape } = this.#constants.get(index)!;
      const values = momentum[graph.tensors[index].name];
      this.#momentum.set(index, tf.keep(values ? tf.tensor(values, shape) : tf.zeros(shape)));
    }
  }

  #admit(node: Node): void {
    if (node.op === "BATCH_NORMALIZATION") {
      this.#trained.add(node.inputs[1]);
      for (const index of node.inputs.slice(3))
        this.#running.set(index, floatData(this.graph, index).slice());
    }
    if (node.op !== "CONV_2D" && node.op !== "DEPTHWISE_CONV_2D" && node.op !== "FULLY_CONNECTED") return;
    this.#trained.add(node.inputs[1]);
    this.#filters.add(node.inputs[1]);
    if (node.inputs[2] >= 0) this.#trained.add(node.inputs[2]);
  }

  /** One step of SGD on softmax cross-entropy. pixels: labels.length images. Returns summed loss and right answers. */
  step(pixels: Uint8Array, labels: Int32Array, options: StepOptions): { loss: number; right: number } {
    const batches = labels.length;
    let result = { loss: 0, right: 0 };
    tf.tidy(() => {
      const pass = new ForwardPass(this.#passOptions(batches));
      const shape = [batches, ...this.graph.tensors[this.graph.inputs[0]].shape.slice(1)];
      const logits = pass.run(run("PIXELS", {}, { pixels, shape, factor: INPUT_SCALE }));
      const [dLogits, sums] = runMany("SOFTMAX_CROSS_ENTROPY", { logits }, { labels });
      const [loss, right] = sums.dataSync();
      result = { loss, right };
      const { constants } = backwardPass(pass.options, pass, dLogits, (node) => {
        if (node.op === "BATCH_NORMALIZATION") this.#track(node, pass.saved(node)[0], batches);
        pass.releaseNode(node);
      });
      for (const [index, gradient] of constants) this.#update(index, gradient, options);
    });
    return result;
  }

  #passOptions(batches: number): PassOptions {
    return {
      graph: this.graph,
      batches,
      training: true,
      constants: this.#constants,
      trained: this.#trained,
      inputGradient: false,
    };
  }

  #update(index: number, gradient: tf.Tensor, { learningRate, momentum, weightDecay }: StepOptions): void {
    const inputs = { w: this.#constants.get(index)!, v: this.#momentum.get(index)!, g: gradient };
    const decay = this.#filters.has(index) ? weightDecay : 0;
    runMany("SGD", inputs, { rate: learningRate, momentum, decay });
  }

  /** Running moments; the variance with Bessel's correction, as PyTorch and TensorFlow's fused kernel keep it. */
  #track(node: Normalization, moments: tf.Tensor, batches: number): void {
    const values = moments.dataSync();
    const [, , , mean, variance] = node.inputs;
    const depth = values.length / 2;
    const { shape } = this.graph.tensors[node.outputs[0]];
    const samples = (batches * shape.reduce((product, size) => product * size, 1)) / (shape[0] * depth);
    const correction = samples / Math.max(1, samples - 1);
    const blend = (running: Float32Array, c: number, value: number) => {
      running[c] = BATCH_NORM_MOMENTUM * running[c] + (1 - BATCH_NORM_MOMENTUM) * value;
    };
    for (let c = 0; c < depth; c++) {
      blend(this.#running.get(mean)!, c, values[c]);
      blend(this.#running.get(variance)!, c, values[depth + c] * correction);
    }
  }

  /** Writes zeros to what a FULLY_CONNECTED reads these input channels with. */
  prune(node: Extract<Node, { op: "FULLY_CONNECTED" }>, channels: readonly number[]): void {
    const filter = this.#constants.get(node.inputs[1])!;
    const depth = filter.shape[1]!;
    const values = this.backend.floats(this.backend.pointer(filter), filter.size);
    for (const channel of channels) for (let i = channel; i < values.length; i += depth) values[i] = 0;
  }

  /** The graph with the constants as they are now. */
  export(): Graph {
    const tensors = this.graph.tensors.map((tensor, index) => {
      const running = this.#running.get(index);
      if (running) return { ...tensor, data: running.slice() };
      const constant = this.#constants.get(index);
      return constant && this.#trained.has(index) ? { ...tensor, data: this.#read(index) } : tensor;
    });
    for (const node of this.graph.nodes) {
      if (node.op !== "BATCH_NORMALIZATION") continue;
      const [, gamma, beta] = node.inputs;
      const both = this.#constants.get(gamma)!.dataSync() as Float32Array;
      tensors[gamma] = { ...tensors[gamma], data: both.slice(0, both.length / 2) };
      tensors[beta] = { ...tensors[beta], data: both.slice(both.length / 2) };
    }
    return { ...this.graph, tensors };
  }

  #read(index: number): Float32Array {
    const values = this.#constants.get(index)!.dataSync() as Float32Array;
    const { shape } = this.graph.tensors[index];
    const isConvolution = this.graph.nodes.some((node) => node.op === "CONV_2D" && node.inputs[1] === index);
    return isConvolution ? toOHWI(values, shape) : values.slice();
  }

  /** Velocities by tensor name, in the layouts of OPERATORS. */
  momentum(): Record<string, Float32Array> {
    const named = [...this.#momentum].map(([index, tensor]) => [
      this.graph.tensors[index].name,
      (tensor.dataSync() as Float32Array).slice(),
    ]);
    return Object.fromEntries(named);
  }

  dispose(): void {
    for (const tensor of [...this.#constants.values(), ...this.#momentum.values()]) tensor.dispose();
  }
}
