import * as tf from "@tensorflow/tfjs-core";
import type { Graph, Node } from "../model/graph.ts";

/** [O, H, W, I] to [H, W, I, O]. */
export function toHWIO(data: Float32Array, [o, h, w, i]: readonly number[]): Float32Array {
  const out = new Float32Array(data.length);
  const window = h * w * i;
  for (let channel = 0; channel < o; channel++) {
    for (let k = 0; k < window; k++) out[k * o + channel] = data[channel * window + k];
  }
  return out;
}

/** [H, W, I, O] to [O, H, W, I]; shape is the result's. */
export function toOHWI(data: Float32Array, [o, h, w, i]: readonly number[]): Float32Array {
  const out = new Float32Array(data.length);
  const window = h * w * i;
  for (let channel = 0; channel < o; channel++) {
    for (let k = 0; k < window; k++) out[channel * window + k] = data[k * o + channel];
  }
  return out;
}

/** The float values of a constant. Throws TypeError where it is none. */
export function floatData(graph: Graph, index: number): Float32Array {
  const { data, name } = graph.tensors[index];
  if (!(data instanceof Float32Array))
    throw new TypeError(`${graph.name}: ${name}: expected float32 constants`);
  return data;
}

/** scale and shift of a normalization by its running moments. */
export function affineOf(graph: Graph, node: Extract<Node, { op: "BATCH_NORMALIZATION" }>) {
  const [gamma, beta, mean, variance] = node.inputs.slice(1).map((index) => floatData(graph, index));
  const scale = gamma.map((g, c) => g / Math.sqrt(variance[c] + node.attributes.epsilon));
  const shift = beta.map((b, c) => b - mean[c] * scale[c]);
  return { scale, shift };
}

/**
 * The float constants of a graph as tensors in the layouts of OPERATORS, by tensor index; others, such as the shape
 * operand of a RESHAPE, no row reads. Batch normalization has, for training, [2, depth] gamma and beta at gamma's index; else scale at gamma's and shift at beta's index.
 */
export function constantsOf(graph: Graph, training: boolean): Map<number, tf.Tensor> {
  const constants = new Map<number, tf.Tensor>();
  const add = (index: number, data: Float32Array, shape: number[]) =>
    constants.set(index, tf.keep(tf.tensor(data, shape)));
  const normalized = new Set<number>();
  for (const node of graph.nodes) {
    if (node.op === "CONV_2D") {
      const { shape } = graph.tensors[node.inputs[1]];
      const [o, h, w, i] = shape;
      add(node.inputs[1], toHWIO(floatData(graph, node.inputs[1]), shape), [h, w, i, o]);
    }
    if (node.op !== "BATCH_NORMALIZATION") continue;
    const [, gamma, beta, mean, variance] = node.inputs;
    for (const index of [gamma, beta, mean, variance]) normalized.add(index);
    const depth = floatData(graph, gamma).length;
    if (training) {
      add(gamma, Float32Array.of(...floatData(graph, gamma), ...floatData(graph, beta)), [2, depth]);
      continue;
    }
    const { scale, shift } = affineOf(graph, node);
    add(gamma, scale, [depth]);
    add(beta, shift, [depth]);
  }
  graph.tensors.forEach(({ data, shape }, index) => {
    if (data instanceof Float32Array && !constants.has(index) && !normalized.has(index))
      add(index, data, shape);
  });
  return constants;
}
