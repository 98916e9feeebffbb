/** float32 on the profiles of ONNX Runtime beside itself: operators and a small network, bit for bit. */
import { it } from "vitest";
import { elements } from "../../src/model/graph.ts";
import { type Random, seededRandom } from "../../src/random.ts";
import { float, model, type NodeDraft, node, tensor } from "../import/onnxModels.ts";
import { describeBesideOrt, expectEqualOrRefused } from "../import/onnxRuntime.ts";
import { pick } from "../kernels/cases.ts";
import { reals } from "./floatGraphs.ts";

interface Network {
  shape: number[];
  nodes: NodeDraft[];
  /** Shapes of float32 constants by name. */
  constants?: Record<string, number[]>;
}

const one = (shape: number[], own: NodeDraft, constants: Record<string, number[]> = {}): Network => ({
  shape,
  nodes: [own],
  constants,
});

const conv = (height: number, channels: number, outputs: number, size: number, attributes = {}, group = 1) =>
  one(
    [1, channels, height, height],
    node("Conv", "x w b", "y", { kernel_shape: [size, size], group, ...attributes }),
    { w: [outputs, channels / group, size, size], b: [outputs] },
  );
const same = (size: number, stride = 1) => {
  const pad = (size - 1) / 2;
  return { pads: [pad, pad, pad, pad], strides: [stride, stride] };
};

/** Two residual blocks, pooled and classified. */
const residual: Network = {
  shape: [1, 3, 16, 16],
  nodes: [
    node("Conv", "x w0 b0", "c0", { kernel_shape: [3, 3], ...same(3) }),
    node("Relu", "c0", "r0"),
    node("Conv", "r0 w1 b1", "c1", { kernel_shape: [3, 3], ...same(3) }),
    node("Add", "r0 c1", "a1"),
    node("Relu", "a1", "r1"),
    node("Conv", "r1 w2 b2", "c2", { kernel_shape: [3, 3], ...same(3, 2) }),
    node("Conv", "r1 w3 b3", "c3", { kernel_shape: [1, 1], strides: [2, 2] }),
    node("Add", "c2 c3", "a2"),
    node("Relu", "a2", "r2"),
    node("GlobalAveragePool", "r2", "g"),
    node("Flatten", "g", "f"),
    node("Gemm", "f w4 b4", "l", { transB: 1 }),
    node("Softmax", "l", "y", { axis: -1 }),
  ],
  constants: {
    ...{ w0: [16, 3, 3, 3], b0: [16], w1: [16, 16, 3, 3], b1: [16], w2: [32, 16, 3, 3], b2: [32] },
    ...{ w3: [32, 16, 1, 1], b3: [32], w4: [10, 32], b4: [10] },
  },
};
/** Channels-first images, flattened into a matrix product. */
const flattened: Network = {
  shape: [1, 2, 7, 7],
  nodes: [
    node("Conv", "x w0 b0", "c0", { kernel_shape: [3, 3], ...same(3) }),
    node("MaxPool", "c0", "p", { kernel_shape: [2, 2], strides: [2, 2] }),
    node("Flatten", "p", "f"),
    node("Gemm", "f w1 b1", "y", { transB: 1 }),
  ],
  constants: { w0: [5, 2, 3, 3], b0: [5], w1: [12, 45], b1: [12] },
};

const image = [1, 5, 8, 8];
const NETWORKS: Record<string, Network> = {
  "Gemm of 37": one([1, 37], node("Gemm", "x w b", "y"), { w: [37, 20], b: [20] }),
  "Gemm of 700": one([1, 700], node("Gemm", "x w b", "y", { transB: 1 }), { w: [33, 700], b: [33] }),
  "MatMul of 3 rows": one([1, 3, 300], node("MatMul", "x w", "y"), { w: [300, 17] }),
  "Conv 3x3": conv(8, 3, 16, 3, same(3)),
  "Conv 3x3 of 576 products, 64 outputs": conv(8, 64, 24, 3, same(3)),
  "Conv 3x3 of 576 products, 256 outputs": conv(16, 64, 8, 3, same(3)),
  "Conv 1x1 of 300 channels": conv(8, 300, 10, 1),
  "Conv 5x5 with stride 2": conv(9, 3, 8, 5, same(5, 2)),
  "Conv in two groups": conv(9, 8, 12, 3, same(3), 2),
  "Conv with dilation": conv(9, 4, 6, 3, { dilations: [2, 2], pads: [2, 2, 2, 2] }),
  "depthwise Conv 3x3": conv(10, 16, 16, 3, same(3), 16),
  "depthwise Conv 5x5": conv(10, 16, 16, 5, same(5), 16),
  "AveragePool 3x3": one(image, node("AveragePool", "x", "y", { kernel_shape: [3, 3], ...same(3) })),
  "AveragePool 2x2 with stride 2": one(
    image,
    node("AveragePool", "x", "y", { kernel_shape: [2, 2], strides: [2, 2] }),
  ),
  "AveragePool 4x4 with stride 4": one(
    image,
    node("AveragePool", "x", "y", { kernel_shape: [4, 4], strides: [4, 4] }),
  ),
  MaxPool: one(image, node("MaxPool", "x", "y", { kernel_shape: [3, 3], ...same(3, 2) })),
  GlobalAveragePool: one([1, 8, 7, 7], node("GlobalAveragePool", "x", "y")),
  Softmax: one([1, 37], node("Softmax", "x", "y", { axis: -1 })),
  LogSoftmax: one([1, 37], node("LogSoftmax", "x", "y", { axis: -1 })),
  Sigmoid: one([1, 999], node("Sigmoid", "x", "y")),
  Tanh: one([1, 999], node("Tanh", "x", "y")),
  HardSwish: { ...one([1, 999], node("HardSwish", "x", "y")) },
  LeakyRelu: one([1, 99], node("LeakyRelu", "x", "y", { alpha: float(0.1) })),
  PRelu: one(image, node("PRelu", "x s", "y"), { s: [5, 1, 1] }),
  Relu: one([1, 99], node("Relu", "x", "y")),
  "Add of a channel": one(image, node("Add", "x c", "y"), { c: [5, 1, 1] }),
  "Sub from a constant": one(image, node("Sub", "c x", "y"), { c: [1] }),
  Mul: one(image, node("Mul", "x c", "y"), { c: [1, 8] }),
  "a residual network": residual,
  "a network that flattens images": flattened,
};

const signedZeros = (length: number) => Float32Array.from({ length }, (_, i) => (i % 3 === 0 ? 0 : -0));

const seeds = Array.from({ length: 120 }, (_, seed) => seed);

/** Mostly one output a group: a vector times a matrix. Some windows are as high or as wide as the image. */
function fewOutputs(random: Random): Network {
  const isDepthwise = random.below(3) === 0;
  const group = isDepthwise ? pick(random, 1, 3, 8, 17) : pick(random, 1, 1, 2, 3);
  const depth = isDepthwise ? 1 : pick(random, 1, 2, 3, 16, 40, 150);
  const outputs = group * pick(random, 1, 1, 1, 2, 3);
  const [height, width] = [pick(random, 1, 3, 5, 8, 12, 30), pick(random, 1, 3, 5, 7, 12, 37)];
  const [tall, wide] = [
    Math.min(height, pick(random, 1, 2, 3, 5, height)),
    Math.min(width, pick(random, 1, 2, 3, 5, width)),
  ];
  const pads = pick(random, [0, 0, 0, 0], [0, 0, 0, 0], [1, 1, 1, 1], [0, 1, 1, 0]).map((pad, i) =>
    Math.min(pad, (i % 2 === 0 ? tall : wide) - 1),
  );
  const strides = pick(random, [1, 1], [1, 1], [2, 2], [1, 2]);
  const hasBias = random.below(2) === 0;
  const isBounded = random.below(2) === 0;
  const attributes = { kernel_shape: [tall, wide], group, pads, strides };
  return {
    shape: [pick(random, 1, 2), group * depth, height, width],
    nodes: [
      node("Conv", hasBias ? "x w b" : "x w", isBounded ? "c" : "y", attributes),
      ...(isBounded ? [node("Relu", "c", "y")] : []),
    ],
    constants: { w: [outputs, depth, tall, wide], ...(hasBias && { b: [outputs] }) },
  };
}

const bytesOf = ({ shape, nodes, constants = {} }: Network, rank: number) =>
  model({
    inputs: { x: ["float32", shape] },
    outputs: { y: ["float32", new Array(rank).fill("?")] },
    nodes,
    constants: Object.entries(constants).map(([name, dims]) =>
      tensor(name, "float32", dims, reals(elements(dims))),
    ),
    opset: 14,
  });

/** What the x86 build sums in an order that is not had here. */
const REFUSED: Record<string, string> = {
  "a residual network": "adds it to the products of a convolution before it",
};

describeBesideOrt("float32", (beside) => {
  const check = ({ shape }: Network, bytes: Uint8Array, x: Float32Array, reason?: string) =>
    expectEqualOrRefused(beside, reason, bytes, { x: ["float32", shape, x] });

  it.each(Object.entries(NETWORKS))("%s", async (name, network) => {
    const isFlat = network === residual || network === flattened;
    const bytes = bytesOf(network, isFlat ? 2 : network.shape.length);
    await check(network, bytes, reals(elements(network.shape)), REFUSED[name]);
    await check(network, bytes, signedZeros(elements(network.shape)), REFUSED[name]);
  });

  it.each(seeds)("a Conv of few outputs a group, of seed %i", async (seed) => {
    const random = seededRandom(seed);
    const network = fewOutputs(random);
    const real = random.below(2) === 0;
    const x = (length: number) => (real ? reals(length, random) : signedZeros(length));
    const [, , height] = network.shape;
    const isOfOneRow = height === 1 && network.constants!.w[2] === 1;
    const reason = isOfOneRow ? "sums rows in another order than images of one row" : undefined;
    await check(network, bytesOf(network, 4), x(elements(network.shape)), reason);
  });
});
