/** The four networks of MLPerf Tiny as shapes: enough for estimates, without weights.
 * Source: mlcommons/tiny, benchmark/training, the reference models. */
import type { Graph, Node, Tensor } from "./graph.ts";

interface Builder {
  graph: Graph;
  /** The tensor that the next layer reads. */
  at: number;
}

type Shape = readonly number[];

function start(name: string, image: Shape): Builder {
  const input: Tensor = { name: "input", shape: [1, ...image], dtype: "int8" };
  return { graph: { name, tensors: [input], nodes: [], inputs: [0], outputs: [] }, at: 0 };
}

function add(builder: Builder, shape: readonly number[], make: (output: number) => Omit<Node, "name">): void {
  const { tensors, nodes } = builder.graph;
  const output = tensors.push({ name: `t${tensors.length}`, shape: [1, ...shape], dtype: "int8" }) - 1;
  nodes.push({ ...make(output), name: `n${nodes.length}` } as Node);
  builder.at = output;
}

function constant({ graph: { tensors } }: Builder, shape: number[], dtype: "int8" | "int32"): number {
  return tensors.push({ name: `t${tensors.length}`, shape, dtype }) - 1;
}

const shapeOf = ({ graph, at }: Builder) => graph.tensors[at].shape.slice(1);
const window = (stride: number) => ({ strideHeight: stride, strideWidth: stride, padding: "SAME" as const });

function conv(b: Builder, depth: number, [height, width]: Shape, stride = 1, x = b.at): void {
  const [inputHeight, inputWidth, inputDepth] = b.graph.tensors[x].shape.slice(1);
  const inputs = [x, constant(b, [depth, height, width, inputDepth], "int8"), constant(b, [depth], "int32")];
  const attributes = { ...window(stride), activation: "RELU" as const, dilationHeight: 1, dilationWidth: 1 };
  add(b, [Math.ceil(inputHeight / stride), Math.ceil(inputWidth / stride), depth], (output) => ({
    op: "CONV_2D",
    inputs,
    outputs: [output],
    attributes,
  }));
}

function depthwise(b: Builder, stride: number): void {
  const [height, width, depth] = shapeOf(b);
  const inputs = [b.at, constant(b, [1, 3, 3, depth], "int8"), constant(b, [depth], "int32")];
  const dilation = { dilationHeight: 1, dilationWidth: 1, depthMultiplier: 1 };
  add(b, [Math.ceil(height / stride), Math.ceil(width / stride), depth], (output) => ({
    op: "DEPTHWISE_CONV_2D",
    inputs,
    outputs: [output],
    attributes: { ...window(stride), ...dilation, activation: "RELU" as const },
  }));
}

function dense(b: Builder, depth: number): void {
  const inputDepth = shapeOf(b).reduce((product, size) => product * size, 1);
  const inputs = [b.at, constant(b, [depth, inputDepth], "int8"), constant(b, [depth], "int32")];
  add(b, [depth], (output) => ({
    op: "FULLY_CONNECTED",
    inputs,
    outputs: [output],
    attributes: { activation: "RELU" as const },
  }));
}

/** Average over the whole plane, a dense layer, probabilities. */
function classify(b: Builder, classes: number): Graph {
  const [filterHeight, filterWidth, depth] = shapeOf(b);
  const x = b.at;
  add(b, [1, 1, depth], (output) => ({
    op: "AVERAGE_POOL_2D",
    inputs: [x],
    outputs: [output],
    attributes: { ...window(1), padding: "VALID", filterHeight, filterWidth, activation: "NONE" },
  }));
  dense(b, classes);
  const logits = b.at;
  add(b, [classes], (output) => ({
    op: "SOFTMAX",
    inputs: [logits],
    outputs: [output],
    attributes: { beta: 1 },
  }));
  b.graph.outputs = [b.at];
  return b.graph;
}

/** Two convolutions and a shortcut, which is one of 1 x 1 where the stride is 2. */
function residual(b: Builder, depth: number, stride: number): void {
  const x = b.at;
  conv(b, depth, [3, 3], stride);
  conv(b, depth, [3, 3]);
  const branch = b.at;
  let shortcut = x;
  if (stride !== 1) {
    conv(b, depth, [1, 1], stride, x);
    shortcut = b.at;
  }
  add(b, b.graph.tensors[branch].shape.slice(1), (output) => ({
    op: "ADD",
    inputs: [branch, shortcut],
    outputs: [output],
    attributes: { activation: "RELU" as const },
  }));
}

/** Image classification: ResNet-8 on 32 x 32 x 3. */
function imageClassification(): Graph {
  const b = start("IC", [32, 32, 3]);
  conv(b, 16, [3, 3]);
  residual(b, 16, 1);
  residual(b, 32, 2);
  residual(b, 64, 2);
  return classify(b, 10);
}

/** Visual wake words: MobileNetV1 of width 0.25 on 96 x 96 x 3. */
function visualWakeWords(): Graph {
  const b = start("VWW", [96, 96, 3]);
  conv(b, 8, [3, 3], 2);
  const blocks = [
    [1, 16],
    [2, 32],
    [1, 32],
    [2, 64],
    [1, 64],
    [2, 128],
    ...new Array<[number, number]>(5).fill([1, 128]),
    [2, 256],
    [1, 256],
  ];
  for (const [stride, depth] of blocks) {
    depthwise(b, stride);
    conv(b, depth, [1, 1]);
  }
  return classify(b, 2);
}

/** Keyword spotting: DS-CNN on 49 x 10. */
function keywordSpotting(): Graph {
  const b = start("KWS", [49, 10, 1]);
  conv(b, 64, [10, 4], 2);
  for (let block = 0; block < 4; block++) {
    depthwise(b, 1);
    conv(b, 64, [1, 1]);
  }
  return classify(b, 12);
}

/** Anomaly detection: an autoencoder of ten dense layers on 640 values. */
function anomalyDetection(): Graph {
  const b = start("AD", [640]);
  for (const depth of [128, 128, 128, 128, 8, 128, 128, 128, 128, 640]) dense(b, depth);
  b.graph.outputs = [b.at];
  return b.graph;
}

export const MLPERF_TINY = {
  IC: imageClassification,
  VWW: visualWakeWords,
  KWS: keywordSpotting,
  AD: anomalyDetection,
} as const;
