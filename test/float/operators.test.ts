import * as tf from "@tensorflow/tfjs-core";
import "@tensorflow/tfjs"; // registers the gradients of its own ops, for the tape below
import { beforeAll, describe, expect, test } from "vitest";
import { constantsOf, toOHWI } from "../../src/float/constants.ts";
import { OPERATORS } from "../../src/float/operators.ts";
import { backwardPass, ForwardPass, type PassOptions } from "../../src/float/pass.ts";
import { elements, type Graph } from "../../src/model/graph.ts";
import { seededRandom } from "../../src/random.ts";
import { type Case, cases } from "./cases.ts";
import { reference, type Values } from "./reference.ts";
import { backend, normals } from "./setup.ts";

const CASES = cases();

interface Run {
  output: Float32Array;
  /** By operand position, laid out as in the graph. */
  gradients: Map<number, Float32Array>;
}

function options(
  graph: Graph,
  batches: number,
  training: boolean,
  constants: Map<number, tf.Tensor>,
): PassOptions {
  const trained = new Set(training ? constants.keys() : []);
  return { graph, batches, training, constants, trained, inputGradient: true };
}

/** Gradients of sum(weights * output). */
function runOurs({ graph, batches }: Case, x: Float32Array, weights: Float32Array, training: boolean): Run {
  const [node] = graph.nodes;
  const constants = constantsOf(graph, training);
  const run: Run = { output: new Float32Array(), gradients: new Map() };
  tf.tidy(() => {
    const pass = new ForwardPass(options(graph, batches, training, constants));
    const shapeOf = (index: number) => [batches, ...graph.tensors[index].shape.slice(1)];
    run.output = pass.run(tf.tensor(x, shapeOf(0))).dataSync() as Float32Array;
    const backward = backwardPass(pass.options, pass, tf.tensor(weights, shapeOf(1)));
    run.gradients.set(0, backward.input!.dataSync() as Float32Array);
    node.inputs.forEach((index, position) => {
      const gradient = backward.constants.get(index)?.dataSync() as Float32Array | undefined;
      if (!gradient) return;
      if (node.op === "BATCH_NORMALIZATION") {
        run.gradients.set(1, gradient.slice(0, gradient.length / 2));
        run.gradients.set(2, gradient.slice(gradient.length / 2));
        return;
      }
      const { shape } = graph.tensors[index];
      run.gradients.set(
        position,
        node.op === "CONV_2D" && position === 1 ? toOHWI(gradient, shape) : gradient,
      );
    });
  });
  for (const tensor of constants.values()) tensor.dispose();
  return run;
}

function operandsOf({ graph, batches }: Case, x: Float32Array): (Values | undefined)[] {
  return graph.nodes[0].inputs.map((index) => {
    if (index < 0) return undefined;
    const { shape, data } = graph.tensors[index];
    if (!data) return { shape: [batches, ...shape.slice(1)], data: Float64Array.from(x) };
    return { shape, data: Float64Array.from(data as Float32Array) };
  });
}

/** Central differences at some elements of one operand, and ours there. */
function compareGradient(
  c: Case,
  run: Run,
  x: Float32Array,
  weights: Float32Array,
  position: number,
  training: boolean,
) {
  const operands = operandsOf(c, x);
  const shape = [c.batches, ...c.graph.tensors[1].shape.slice(1)];
  const loss = () =>
    reference(c.graph.nodes[0], operands, shape, training).data.reduce(
      (sum, y, i) => sum + y * weights[i],
      0,
    );
  const { data } = operands[position]!;
  const ours = run.gradients.get(position)!;
  expect(ours.length).toBe(data.length);
  const random = seededRandom(position + 77);
  // Small beside the distance of any output from its clamp; float64 leaves seven digits.
  const step = 1e-7;
  for (let n = 0; n < 40; n++) {
    const i = random.below(data.length);
    const at = data[i];
    data[i] = at + step;
    const above = loss();
    data[i] = at - step;
    const expected = (above - loss()) / (2 * step);
    data[i] = at;
    expect(
      Math.abs(ours[i] - expected),
      `operand ${position}, element ${i}: ${ours[i]} ${expected}`,
    ).toBeLessThan(1e-4 * (1 + Math.abs(expected)));
  }
}

test("every op of a float graph has a case", () => {
  expect(new Set(CASES.map(({ graph }) => graph.nodes[0].op))).toEqual(new Set(Object.keys(OPERATORS)));
});

describe.each(CASES)("$name", (c) => {
  const random = seededRandom(5);
  const x = normals(random, c.batches * elements(c.graph.tensors[0].shape));
  const weights = normals(random, c.batches * elements(c.graph.tensors[1].shape));
  const modes = c.graph.nodes[0].op === "BATCH_NORMALIZATION" ? [false, true] : [true];

  test.each(modes)("computes its definition, training %s", (training) => {
    const { output } = runOurs(c, x, weights, training);
    const shape = [c.batches, ...c.graph.tensors[1].shape.slice(1)];
    const expected = reference(c.graph.nodes[0], operandsOf(c, x), shape, training).data;
    expect(output.length).toBe(expected.length);
    output.forEach((y, i) => {
      expect(Math.abs(y - expected[i])).toBeLessThan(2e-5 * (1 + Math.abs(expected[i])));
    });
  });

  test.each(modes)("has the gradients of finite differences, training %s", (training) => {
    const run = runOurs(c, x, weights, training);
    for (const position of run.gradients.keys()) compareGradient(c, run, x, weights, position, training);
  });

  test("leaves no tensor behind", () => {
    const before = tf.memory().numTensors;
    runOurs(c, x, weights, true);
    expect(tf.memory().numTensors).toBe(before);
  });
});

/** mean(weights * y) + mean(others * x), the second part after the node itself, so that it leaves its gradient first. */
function readTwice(graph: Graph, weights: Float32Array, others: Float32Array): Graph {
  const tensors = [...graph.tensors];
  const nodes = [...graph.nodes];
  const tensor = (name: string, shape: number[], data?: Float32Array) =>
    tensors.push({ name, shape, dtype: "float32", data }) - 1;
  const weightedMean = (name: string, index: number, values: Float32Array) => {
    const { shape } = tensors[index];
    const product = tensor(`${name} product`, shape);
    const factor = tensor(`${name} factor`, [1, ...shape.slice(1)], values);
    const attributes = { activation: "NONE" as const };
    nodes.push({ op: "MUL", name, inputs: [index, factor], outputs: [product], attributes });
    const mean = tensor(`${name} mean`, [1]);
    const axes = shape.slice(1).map((_, axis) => axis + 1);
    nodes.push({
      op: "MEAN",
      name,
      inputs: [product],
      outputs: [mean],
      attributes: { axes, keepDims: false },
    });
    return mean;
  };
  const parts = [weightedMean("y", 1, weights), weightedMean("x", 0, others)];
  const sum = tensor("sum", [1]);
  nodes.push({ op: "ADD", name: "sum", inputs: parts, outputs: [sum], attributes: { activation: "NONE" } });
  return { ...graph, tensors, nodes, outputs: [sum] };
}

describe.each(CASES)("$name, its input read by another node too", ({ graph, batches }) => {
  test("adds both gradients", () => {
    const random = seededRandom(15);
    const [inputs, outputs] = graph.tensors.slice(0, 2).map(({ shape }) => elements(shape));
    const x = normals(random, batches * inputs);
    const weights = normals(random, outputs);
    const others = normals(random, inputs);
    const twice = readTwice(graph, weights, others);
    const constants = constantsOf(twice, false);
    const both = tf.tidy(() => {
      const pass = new ForwardPass(options(twice, batches, false, constants));
      pass.run(tf.tensor(x, [batches, ...graph.tensors[0].shape.slice(1)]));
      const { input } = backwardPass(pass.options, pass, tf.ones([batches]));
      return input!.clone();
    });
    const gradient = both.dataSync() as Float32Array;
    for (const tensor of [both, ...constants.values()]) tensor.dispose();
    const alone = Float32Array.from({ length: batches * outputs }, (_, i) => weights[i % outputs] / outputs);
    const one = runOurs({ name: "", graph, batches }, x, alone, false).gradients.get(0)!;
    gradient.forEach((g, i) => {
      expect(Math.abs(g - one[i] - others[i % inputs] / inputs)).toBeLessThan(1e-6);
    });
  });
});

describe("gradients through tfjs's own tape", () => {
  beforeAll(() => expect(backend).toBeDefined());

  test.each([
    ["same", 1],
    ["same", 2],
    ["valid", 2],
  ] as const)("of tf.conv2d, %s, stride %i, are those of central differences", (pad, stride) => {
    tf.tidy(() => {
      const random = seededRandom(9);
      const x = tf.tensor4d(normals(random, 2 * 6 * 7 * 3), [2, 6, 7, 3]);
      const w = tf.tensor4d(normals(random, 3 * 3 * 3 * 5), [3, 3, 3, 5]);
      const f = (x: tf.Tensor, w: tf.Tensor) =>
        tf.sum(tf.square(tf.conv2d(x as tf.Tensor4D, w as tf.Tensor4D, stride, pad)));
      const [dx, dw] = tf.grads(f)([x, w]);
      const directions = [normals(random, x.size), normals(random, w.size)];
      const along = (tensor: tf.Tensor, direction: Float32Array, h: number) =>
        tf.add(
          tensor,
          tf.tensor(
            direction.map((d) => d * h),
            tensor.shape,
          ),
        );
      const difference = (h: number) =>
        f(along(x, directions[0], h), along(w, directions[1], h)).dataSync()[0];
      const expected = (difference(0.01) - difference(-0.01)) / 0.02;
      const dot = (g: tf.Tensor, direction: Float32Array) =>
        (g.dataSync() as Float32Array).reduce((sum, v, i) => sum + v * direction[i], 0);
      const ours = dot(dx, directions[0]) + dot(dw, directions[1]);
      expect(Math.abs(ours - expected) / Math.abs(expected)).toBeLessThan(1e-2);
    });
  });

  test("of tf.depthwiseConv2d are those of central differences", () => {
    tf.tidy(() => {
      const random = seededRandom(10);
      const x = tf.tensor4d(normals(random, 2 * 6 * 7 * 4), [2, 6, 7, 4]);
      const w = tf.tensor4d(normals(random, 3 * 3 * 4), [3, 3, 4, 1]);
      const f = (w: tf.Tensor) => tf.sum(tf.square(tf.depthwiseConv2d(x, w as tf.Tensor4D, 1, "same")));
      const direction = normals(random, w.size);
      const step = (h: number) =>
        f(
          tf.add(
            w,
            tf.tensor(
              direction.map((d) => d * h),
              w.shape,
            ),
          ),
        ).dataSync()[0];
      const expected = (step(0.01) - step(-0.01)) / 0.02;
      const gradient = tf.grad(f)(w).dataSync() as Float32Array;
      const ours = gradient.reduce((sum, v, i) => sum + v * direction[i], 0);
      expect(Math.abs(ours - expected) / Math.abs(expected)).toBeLessThan(1e-2);
    });
  });
});
