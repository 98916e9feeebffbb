import * as tf from "@tensorflow/tfjs-core";
import { describe, expect, test } from "vitest";
import { ARCHITECTURES } from "../../src/float/architectures.ts";
import {
  forward,
  INPUT_SCALE,
  type IntegerActivation,
  inputGradient,
  observe,
  prepare,
  shadowGradient,
} from "../../src/float/execute.ts";
import { foldBatchNorm } from "../../src/float/fold.ts";
import { classifierOf } from "../../src/model/classifier.ts";
import { elements, type Graph, type Node } from "../../src/model/graph.ts";
import { seededRandom } from "../../src/random.ts";
import { backend, colouredImages, normals, oneNode } from "./setup.ts";

const images = colouredImages(70, 5, 16, 1);
const pixelsOf = (count: number) => images.pixels.subarray(0, count * 16 * 16 * 3);

/** An architecture with moments and scales that are not trivial. */
function untrained(name: keyof typeof ARCHITECTURES): Graph {
  const random = seededRandom(8);
  const graph = ARCHITECTURES[name](5, { ...images, widthParam: 8, random });
  for (const node of graph.nodes) {
    if (node.op !== "BATCH_NORMALIZATION") continue;
    const [gamma, beta, mean, variance] = node.inputs.slice(1).map((index) => graph.tensors[index]);
    for (const tensor of [beta, mean])
      tensor.data = normals(random, elements(tensor.shape)).map((v) => 0.3 * v);
    for (const tensor of [gamma, variance])
      tensor.data = normals(random, elements(tensor.shape)).map((v) => v * v + 0.2);
  }
  return graph;
}

describe.each(["resnet8", "cnn"] as const)("%s", (name) => {
  const graph = untrained(name);
  const folded = foldBatchNorm(graph);

  test("folded and unfolded agree", () => {
    const [a, b] = [graph, folded].map((each) => prepare(backend, each));
    const [expected, got] = [a, b].map((each) => forward(each, pixelsOf(40), 40));
    const largest = expected.reduce((most, v) => Math.max(most, Math.abs(v)), 0);
    got.forEach((v, i) => {
      expect(Math.abs(v - expected[i]) / largest).toBeLessThan(1e-4);
    });
    expect(folded.nodes.some(({ op }) => op === "BATCH_NORMALIZATION")).toBe(false);
    a.dispose();
    b.dispose();
  });

  test("folding leaves the graph as it was", () => {
    const before = JSON.stringify(graph);
    foldBatchNorm(graph);
    expect(JSON.stringify(graph)).toBe(before);
  });

  test("one image alone gives the bytes it gives among others", () => {
    const prepared = prepare(backend, folded);
    const all = forward(prepared, pixelsOf(70), 70);
    const size = 16 * 16 * 3;
    for (const i of [0, 33, 69]) {
      const alone = forward(prepared, images.pixels.subarray(i * size, (i + 1) * size), 1);
      expect(alone).toEqual(all.slice(i * 5, (i + 1) * 5));
    }
    prepared.dispose();
  });

  test("bytes and floats of the same pixels give the same logits", () => {
    const prepared = prepare(backend, folded);
    expect(forward(prepared, Float32Array.from(pixelsOf(3)), 3)).toEqual(forward(prepared, pixelsOf(3), 3));
    prepared.dispose();
  });

  test("observing the penultimate tensor gives as many features as the dense layer reads", () => {
    const prepared = prepare(backend, folded);
    const { features: index } = classifierOf(folded, folded.name).head!;
    const counts: number[] = [];
    observe(prepared, pixelsOf(70), 70, [index], (values, first, count) => {
      expect(values.get(index)!.length).toBe(count * 32);
      counts.push(first);
    });
    expect(counts).toEqual([0, 32, 64]);
    prepared.dispose();
  });

  test("inputs that do not suit the graph are refused", () => {
    const prepared = prepare(backend, folded);
    expect(() => forward(prepared, pixelsOf(2), 3)).toThrow(
      "expected 2304 pixel values for 3 images, got 1536",
    );
    prepared.dispose();
  });

  test("the input gradient predicts the change of the loss, with batch norm and without", () => {
    for (const each of [graph, folded]) {
      const prepared = prepare(backend, each);
      const weights = normals(seededRandom(3), 15);
      const x = Float32Array.from(pixelsOf(3));
      const loss = (values: Float32Array) =>
        forward(prepared, values, 3).reduce((sum, z, i) => sum + z * weights[i], 0);
      const { gradient } = inputGradient(prepared, x, 3, () => weights);
      // Along the gradient itself, and a step so small that few maxima and clamps change sides.
      const norm = Math.sqrt(gradient.reduce((sum, g) => sum + g * g, 0));
      const step = 0.2;
      const moved = (sign: number) => loss(x.map((v, i) => v + (sign * step * gradient[i]) / norm));
      expect(Math.abs((moved(1) - moved(-1)) / (2 * step) / norm - 1)).toBeLessThan(0.02);
      prepared.dispose();
    }
  });

  test("the logits of inputGradient are those of forward, asked for once for all images", () => {
    const prepared = prepare(backend, folded);
    let calls = 0;
    const { logits, gradient } = inputGradient(prepared, pixelsOf(70), 70, (z) => {
      calls++;
      return z.map(() => 1);
    });
    expect(calls).toBe(1);
    expect(logits).toEqual(forward(prepared, pixelsOf(70), 70));
    const alone = inputGradient(prepared, images.pixels.subarray(69 * 768), 1, (z) => z.map(() => 1));
    expect(alone.gradient).toEqual(gradient.slice(69 * 768));
    prepared.dispose();
  });

  test("passes leave no tensor behind", () => {
    const prepared = prepare(backend, folded);
    const before = [tf.memory().numTensors, backend.tfjs.numDataIds()];
    for (let i = 0; i < 3; i++) {
      forward(prepared, pixelsOf(40), 40);
      inputGradient(prepared, pixelsOf(40), 40, (z) => z);
    }
    expect([tf.memory().numTensors, backend.tfjs.numDataIds()]).toEqual(before);
    prepared.dispose();
  });

  test("the shadow of an integer run that clamps where the float run does has the float gradient, to the byte", () => {
    const prepared = prepare(backend, folded);
    const { tensors, nodes } = folded;
    const outputs = nodes.map((node) => node.outputs[0]);
    const activations = new Map<number, IntegerActivation>();
    observe(prepared, pixelsOf(3), 3, outputs, (values) => {
      for (const node of nodes) {
        const index = node.outputs[0];
        const real = values.get(index)!;
        const isClamped = "activation" in node.attributes && node.attributes.activation === "RELU";
        // Scales so fine that the order of any two values is kept for the maxima.
        const scale = real.reduce((most, v) => Math.max(most, Math.abs(v)), 1e-6) / 32000;
        activations.set(index, {
          values: Int16Array.from(real, (v) => Math.ceil(v / scale)),
          minimum: isClamped ? 0 : -32768,
          maximum: 32767,
          scale,
          zeroPoint: 0,
        });
      }
    });
    const dLogits = normals(seededRandom(6), 15);
    const expected = inputGradient(prepared, pixelsOf(3), 3, () => dLogits).gradient;
    expect(shadowGradient(prepared, activations, dLogits, 3)).toEqual(expected);
    expect(tensors.length).toBeGreaterThan(0);
    prepared.dispose();
  });
});

describe("shadow gradient", () => {
  const dense = { activation: "NONE" } as const;
  const random = seededRandom(12);

  /** input [1, 1, 4, 1] to 3 logits. */
  const linear = oneNode("FULLY_CONNECTED", dense, [1, 1, 4, 1], [[3, 4], [3]], [1, 3], random);

  test("stops what a saturated logit would pass", () => {
    const prepared = prepare(backend, linear);
    const filter = linear.tensors[2].data as Float32Array;
    const values = Int8Array.of(127, 5, -128);
    const activations = new Map([[1, { values, minimum: -128, maximum: 127, scale: 0.1, zeroPoint: 0 }]]);
    const gradient = shadowGradient(prepared, activations, Float32Array.of(1, 2, 3), 1);
    const expected = Float32Array.from({ length: 4 }, (_, i) => Math.fround(2 * filter[4 + i]) * INPUT_SCALE);
    expect(gradient).toEqual(expected);
    prepared.dispose();
  });

  test("passes everything through a tensor without an entry", () => {
    const prepared = prepare(backend, linear);
    const dLogits = Float32Array.of(1, 2, 3);
    const { gradient } = inputGradient(prepared, new Uint8Array(4), 1, () => dLogits);
    expect(shadowGradient(prepared, new Map(), dLogits, 1)).toEqual(gradient);
    prepared.dispose();
  });

  test("sends the gradient of a maximum to the first of the largest integers", () => {
    const pool = {
      filterHeight: 2,
      filterWidth: 2,
      strideHeight: 2,
      strideWidth: 2,
      padding: "VALID" as const,
      activation: "NONE" as const,
    };
    const graph = oneNode("MAX_POOL_2D", pool, [1, 2, 2, 1], [], [1, 1, 1, 1], random);
    const prepared = prepare(backend, graph);
    const entry = (values: Int8Array) => ({ values, minimum: -128, maximum: 127, scale: 0.5, zeroPoint: -3 });
    const activations = new Map([[0, entry(Int8Array.of(1, 7, 7, 0))]]);
    const gradient = shadowGradient(prepared, activations, Float32Array.of(2), 1);
    expect(gradient).toEqual(Float32Array.of(0, 2 * INPUT_SCALE, 0, 0));
    expect(() => shadowGradient(prepared, new Map(), Float32Array.of(2), 1)).toThrow(
      "expected integer values",
    );
    prepared.dispose();
  });
});

/** A graph of one node, and that node's output normalized. */
function normalized(graph: Graph): Graph {
  const random = seededRandom(31);
  const { shape } = graph.tensors[1];
  const depth = shape[shape.length - 1];
  const tensors = [...graph.tensors];
  const constants = ["gamma", "beta", "mean", "variance"].map((name) => {
    const data = normals(random, depth).map((v) => (name === "variance" ? v * v + 0.2 : v));
    return tensors.push({ name, shape: [depth], dtype: "float32", data }) - 1;
  });
  const output = tensors.push({ name: "normalized", shape, dtype: "float32" }) - 1;
  const attributes = { activation: "RELU", epsilon: 1e-3 } as const;
  const norm: Node = {
    op: "BATCH_NORMALIZATION",
    name: "norm",
    inputs: [1, ...constants],
    outputs: [output],
    attributes,
  };
  return { ...graph, tensors, nodes: [...graph.nodes, norm], outputs: [output] };
}

describe("folding", () => {
  const random = seededRandom(30);
  const window = {
    strideHeight: 1,
    strideWidth: 1,
    dilationHeight: 1,
    dilationWidth: 1,
    padding: "SAME" as const,
  };
  const none = { ...window, activation: "NONE" as const };
  const one = [1, 4, 5, 3];

  test.each([
    ["a convolution with bias", oneNode("CONV_2D", none, one, [[8, 3, 3, 3], [8]], [1, 4, 5, 8], random)],
    [
      "a depthwise convolution with bias",
      oneNode(
        "DEPTHWISE_CONV_2D",
        { ...none, depthMultiplier: 2 },
        one,
        [[1, 3, 3, 6], [6]],
        [1, 4, 5, 6],
        random,
      ),
    ],
    [
      "a dense layer with bias",
      oneNode("FULLY_CONNECTED", { activation: "NONE" }, one, [[7, 60], [7]], [1, 7], random),
    ],
  ])("into %s gives the same function", (_, graph) => {
    const before = normalized(graph);
    const after = foldBatchNorm(before);
    expect(after.nodes.map(({ op }) => op)).toEqual([graph.nodes[0].op]);
    const pixels = Uint8Array.from({ length: 120 }, () => random.below(256));
    const [expected, got] = [before, after].map((each) => {
      const prepared = prepare(backend, each);
      const output = forward(prepared, pixels, 2);
      prepared.dispose();
      return output;
    });
    expect(expected.some((v) => v > 0)).toBe(true);
    got.forEach((v, i) => {
      expect(Math.abs(v - expected[i])).toBeLessThan(1e-4 * (1 + Math.abs(expected[i])));
    });
  });

  test("a normalization with nothing to fold into is refused", () => {
    const shape = [1, 2, 2, 3];
    const attributes = { activation: "NONE", epsilon: 1e-3 } as const;
    const constants = [[3], [3], [3], [3]];
    const graph = oneNode("BATCH_NORMALIZATION", attributes, shape, constants, shape, seededRandom(1));
    expect(() => foldBatchNorm(graph)).toThrow(RangeError);
  });
});
