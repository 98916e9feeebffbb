// One or more small graphs of one node for every op: odd sizes, every padding, every activation.
import { type Attributes, type Graph, type OpName, type Padding, windowAxis } from "../../src/model/graph.ts";
import { type Random, seededRandom } from "../../src/random.ts";
import { oneNode } from "./setup.ts";

export interface Case {
  name: string;
  graph: Graph;
  batches: number;
}

const window = (stride: number, padding: Padding, dilation = 1) => ({
  strideHeight: stride,
  strideWidth: stride,
  dilationHeight: dilation,
  dilationWidth: dilation,
  padding,
});

function outputSize(
  input: number,
  filter: number,
  stride: number,
  dilation: number,
  padding: Padding,
  axis: 0 | 1,
) {
  const pad =
    typeof padding === "string" ? padding : ([padding[2 * axis], padding[2 * axis + 1]] as [number, number]);
  return windowAxis(input, filter, stride, dilation, pad).output;
}

interface Convolution {
  name: string;
  input: [number, number, number];
  filter: [number, number];
  depth: number;
  stride?: number;
  dilation?: number;
  padding?: Padding;
  activation?: Attributes["CONV_2D"]["activation"];
  bias?: boolean;
}

const CONVOLUTIONS: Convolution[] = [
  { name: "3x3, RGB to 5 channels, ReLU", input: [7, 6, 3], filter: [3, 3], depth: 5, activation: "RELU" },
  { name: "3x3, whole vectors, no bias", input: [6, 8, 8], filter: [3, 3], depth: 16, bias: false },
  { name: "3x3 stride 2 on even sizes", input: [8, 6, 4], filter: [3, 3], depth: 8, stride: 2 },
  {
    name: "3x3 stride 2 on odd sizes, ReLU6",
    input: [7, 5, 3],
    filter: [3, 3],
    depth: 9,
    stride: 2,
    activation: "RELU6",
  },
  { name: "1x1 stride 2", input: [6, 7, 8], filter: [1, 1], depth: 12, stride: 2 },
  { name: "1x1, no frame", input: [5, 9, 6], filter: [1, 1], depth: 3 },
  {
    name: "VALID with rows left over",
    input: [8, 9, 5],
    filter: [3, 2],
    depth: 8,
    stride: 3,
    padding: "VALID",
  },
  { name: "explicit padding", input: [5, 6, 4], filter: [3, 4], depth: 4, padding: [2, 0, 1, 3] },
  {
    name: "padding larger than the stride",
    input: [5, 5, 2],
    filter: [5, 5],
    depth: 2,
    stride: 2,
    padding: [4, 3, 4, 3],
  },
  { name: "dilation 2", input: [8, 7, 4], filter: [3, 3], depth: 8, dilation: 2 },
  { name: "dilation 2, stride 2", input: [9, 8, 3], filter: [3, 3], depth: 5, dilation: 2, stride: 2 },
  { name: "clamped to [-1, 1]", input: [4, 4, 4], filter: [3, 3], depth: 8, activation: "RELU_N1_TO_1" },
  { name: "8x8 tiles of whole vectors", input: [8, 8, 16], filter: [3, 3], depth: 16, bias: false },
  { name: "tiles with three rows over", input: [7, 5, 8], filter: [3, 3], depth: 8 },
  { name: "tiles in two strips of a row", input: [4, 70, 8], filter: [3, 3], depth: 8, activation: "RELU" },
  { name: "tiles in three strips of a row", input: [5, 42, 24], filter: [3, 3], depth: 8 },
  { name: "tiles with a rest, ReLU", input: [6, 10, 8], filter: [3, 3], depth: 16, activation: "RELU" },
  {
    name: "tiles with one row and three columns over, VALID",
    input: [7, 9, 16],
    filter: [3, 3],
    depth: 8,
    padding: "VALID",
  },
];

function convolution(c: Convolution, random: Random): Case {
  const { input, filter, depth, stride = 1, dilation = 1, padding = "SAME", activation = "NONE" } = c;
  const output = [
    1,
    outputSize(input[0], filter[0], stride, dilation, padding, 0),
    outputSize(input[1], filter[1], stride, dilation, padding, 1),
    depth,
  ];
  const attributes = { ...window(stride, padding, dilation), activation };
  const constants = [[depth, ...filter, input[2]], c.bias === false ? undefined : [depth]];
  return {
    name: `CONV_2D: ${c.name}`,
    graph: oneNode("CONV_2D", attributes, [1, ...input], constants, output, random),
    batches: 2,
  };
}

function depthwise(c: Convolution & { multiplier: number }, random: Random): Case {
  const { input, filter, stride = 1, dilation = 1, padding = "SAME", activation = "NONE", multiplier } = c;
  const depth = input[2] * multiplier;
  const output = [
    1,
    outputSize(input[0], filter[0], stride, dilation, padding, 0),
    outputSize(input[1], filter[1], stride, dilation, padding, 1),
    depth,
  ];
  const attributes = { ...window(stride, padding, dilation), activation, depthMultiplier: multiplier };
  return {
    name: `DEPTHWISE_CONV_2D: ${c.name}`,
    graph: oneNode(
      "DEPTHWISE_CONV_2D",
      attributes,
      [1, ...input],
      [[1, ...filter, depth], [depth]],
      output,
      random,
    ),
    batches: 2,
  };
}

function simple<Op extends OpName>(
  name: string,
  op: Op,
  attributes: Attributes[Op],
  input: number[],
  constants: number[][],
  output: number[],
  random: Random,
): Case {
  return {
    name: `${op}: ${name}`,
    graph: oneNode(op, attributes, input, constants, output, random),
    batches: 3,
  };
}

const pool = (filter: number, stride: number, padding: Padding, activation: "NONE" | "RELU" = "NONE") => ({
  filterHeight: filter,
  filterWidth: filter,
  strideHeight: stride,
  strideWidth: stride,
  padding,
  activation,
});

function normalization(activation: "NONE" | "RELU", depth: number, random: Random): Case {
  const shape = [1, 5, 4, depth];
  const constants = [[depth], [depth], [depth], [depth]];
  const attributes = { activation, epsilon: 1e-3 };
  const made = simple(
    `${activation}, depth ${depth}`,
    "BATCH_NORMALIZATION",
    attributes,
    shape,
    constants,
    shape,
    random,
  );
  const variance = made.graph.tensors[made.graph.nodes[0].inputs[4]];
  variance.data = (variance.data as Float32Array).map((v) => v * v + 0.1);
  return made;
}

/** Every op of the graph has a case; a test says so. */
export function cases(): Case[] {
  const random = seededRandom(20);
  return [
    ...CONVOLUTIONS.map((c) => convolution(c, random)),
    depthwise(
      { name: "3x3, ReLU", input: [6, 5, 6], filter: [3, 3], depth: 0, multiplier: 1, activation: "RELU" },
      random,
    ),
    depthwise(
      {
        name: "stride 2, multiplier 2",
        input: [7, 6, 3],
        filter: [3, 3],
        depth: 0,
        multiplier: 2,
        stride: 2,
      },
      random,
    ),
    depthwise(
      {
        name: "dilation 2, VALID",
        input: [8, 8, 4],
        filter: [3, 2],
        depth: 0,
        multiplier: 1,
        dilation: 2,
        padding: "VALID",
      },
      random,
    ),
    simple(
      "10 of 13, ReLU",
      "FULLY_CONNECTED",
      { activation: "RELU" },
      [1, 13],
      [[10, 13], [10]],
      [1, 10],
      random,
    ),
    simple(
      "of a feature map",
      "FULLY_CONNECTED",
      { activation: "NONE" },
      [1, 2, 3, 4],
      [[3, 24], [3]],
      [1, 3],
      random,
    ),
    simple(
      "a constant of one shape, ReLU",
      "ADD",
      { activation: "RELU" },
      [1, 3, 4, 5],
      [[1, 3, 4, 5]],
      [1, 3, 4, 5],
      random,
    ),
    simple("a channel constant", "ADD", { activation: "NONE" }, [1, 3, 4, 5], [[5]], [1, 3, 4, 5], random),
    simple(
      "a channel constant, ReLU6",
      "MUL",
      { activation: "RELU6" },
      [1, 3, 4, 5],
      [[5]],
      [1, 3, 4, 5],
      random,
    ),
    simple("3x3 SAME", "AVERAGE_POOL_2D", pool(3, 2, "SAME"), [1, 7, 6, 5], [], [1, 4, 3, 5], random),
    simple(
      "2x2 VALID, ReLU",
      "AVERAGE_POOL_2D",
      pool(2, 2, "VALID", "RELU"),
      [1, 5, 6, 4],
      [],
      [1, 2, 3, 4],
      random,
    ),
    simple("2x2 VALID", "MAX_POOL_2D", pool(2, 2, "VALID"), [1, 6, 5, 3], [], [1, 3, 2, 3], random),
    simple(
      "3x3 SAME with overlap, ReLU",
      "MAX_POOL_2D",
      pool(3, 1, "SAME", "RELU"),
      [1, 4, 5, 3],
      [],
      [1, 4, 5, 3],
      random,
    ),
    simple("global", "MEAN", { axes: [1, 2], keepDims: false }, [1, 5, 3, 6], [], [1, 6], random),
    simple(
      "global, dimensions kept",
      "MEAN",
      { axes: [1, 2], keepDims: true },
      [1, 4, 4, 8],
      [],
      [1, 1, 1, 8],
      random,
    ),
    simple("over channels", "MEAN", { axes: [3], keepDims: false }, [1, 3, 4, 5], [], [1, 3, 4], random),
    simple("beta 0.7", "SOFTMAX", { beta: 0.7 }, [1, 9], [], [1, 9], random),
    simple(
      "rows and columns",
      "PAD",
      { before: [0, 1, 0, 0], after: [0, 2, 3, 0] },
      [1, 4, 3, 5],
      [],
      [1, 7, 6, 5],
      random,
    ),
    simple("to a vector", "RESHAPE", { shape: [1, 30] }, [1, 2, 3, 5], [], [1, 30], random),
    simple("a float", "QUANTIZE", {}, [1, 7], [], [1, 7], random),
    simple("a float", "DEQUANTIZE", {}, [1, 7], [], [1, 7], random),
    simple("odd length", "RELU", {}, [1, 7], [], [1, 7], random),
    simple("odd length", "RELU6", {}, [1, 3, 3, 3], [], [1, 3, 3, 3], random),
    normalization("NONE", 6, random),
    normalization("RELU", 8, random),
  ];
}
