import { describe, expect, it } from "vitest";
import { exportOnnx } from "../../src/export/onnx.ts";
import { importOnnx } from "../../src/import/onnx/index.ts";
import { elements, type OpName } from "../../src/model/graph.ts";
import { seededRandom } from "../../src/random.ts";
import { outputsOf } from "./onnxEvaluate.ts";
import { float, model, type NodeDraft, node, tensor } from "./onnxModels.ts";
import { runOrt } from "./onnxRuntime.ts";

const random = seededRandom(5);
const values = (count: number) => Float32Array.from({ length: count }, () => random.uniform() * 4 - 2);
const weights = (name: string, ...dims: number[]) => tensor(name, "float32", dims, values(elements(dims)));
const ints = (name: string, ...list: number[]) => tensor(name, "int64", [list.length], list);

interface Case {
  /** Shape of x; y has the rank of `rank`, or x's. */
  x: number[];
  nodes: NodeDraft[];
  constants?: ReturnType<typeof tensor>[];
  rank?: number;
  opset?: number;
  /** The ops that the Graph should have. */
  ops: OpName[];
}

const IMAGE = [1, 3, 7, 6];
/** The Graph's own layout, so that no TRANSPOSE is left. */
const nhwc = (...nodes: NodeDraft[]): NodeDraft[] => [
  node("Transpose", "x", "x0", { perm: [0, 3, 1, 2] }),
  ...nodes,
  node("Transpose", "y0", "y", { perm: [0, 2, 3, 1] }),
];
const bn = ["gamma", "beta", "mean"].map((name) => weights(name, 3));
const variance = tensor("variance", "float32", [3], [0.5, 1, 2]);

const CASES: Record<string, Case> = {
  "Conv with pads, strides and bias": {
    x: IMAGE,
    nodes: [node("Conv", "x w b", "y", { pads: [1, 0, 2, 1], strides: [2, 1] })],
    constants: [weights("w", 4, 3, 3, 2), weights("b", 4)],
    ops: ["TRANSPOSE", "CONV_2D", "TRANSPOSE"],
  },
  "Conv between Transposes": {
    x: [1, 7, 6, 3],
    nodes: nhwc(node("Conv", "x0 w", "y0", { auto_pad: "SAME_UPPER", strides: [2, 2] })),
    constants: [weights("w", 4, 3, 3, 3)],
    ops: ["CONV_2D"],
  },
  "Conv with auto_pad SAME_LOWER": {
    x: [1, 6, 6, 3],
    nodes: nhwc(node("Conv", "x0 w", "y0", { auto_pad: "SAME_LOWER", strides: [2, 2] })),
    constants: [weights("w", 4, 3, 3, 3)],
    ops: ["CONV_2D"],
  },
  "Conv with dilation": {
    x: [1, 9, 9, 2],
    nodes: nhwc(node("Conv", "x0 w", "y0", { dilations: [2, 3], pads: [2, 3, 2, 3] })),
    constants: [weights("w", 3, 2, 3, 3)],
    ops: ["CONV_2D"],
  },
  "Conv in two groups": {
    x: [1, 5, 5, 4],
    nodes: nhwc(node("Conv", "x0 w", "y0", { group: 2 })),
    constants: [weights("w", 6, 2, 3, 3)],
    ops: ["CONV_2D"],
  },
  "depthwise Conv with two outputs a channel": {
    x: [1, 5, 5, 3],
    nodes: nhwc(node("Conv", "x0 w b", "y0", { group: 3, pads: [1, 1, 1, 1] })),
    constants: [weights("w", 6, 1, 3, 3), weights("b", 6)],
    ops: ["DEPTHWISE_CONV_2D"],
  },
  "Conv of rows": {
    x: [1, 3, 8],
    nodes: [node("Conv", "x w", "y", { pads: [1, 1] })],
    constants: [weights("w", 4, 3, 3)],
    ops: ["TRANSPOSE", "RESHAPE", "CONV_2D", "RESHAPE", "TRANSPOSE"],
  },
  "Conv, BatchNormalization, Relu": {
    x: [1, 5, 5, 3],
    nodes: nhwc(
      node("Conv", "x0 w", "c"),
      node("BatchNormalization", "c gamma beta mean variance", "n", { epsilon: float(0.01) }),
      node("Relu", "n", "y0"),
    ),
    constants: [weights("w", 3, 3, 1, 1), ...bn, variance],
    ops: ["CONV_2D"],
  },
  "BatchNormalization, Relu": {
    x: [1, 5, 5, 3],
    nodes: nhwc(
      node("BatchNormalization", "x0 gamma beta mean variance", "n", { epsilon: float(0.01) }),
      node("Relu", "n", "y0"),
    ),
    constants: [...bn, variance],
    ops: ["BATCH_NORMALIZATION"],
  },
  "ConvTranspose with output_padding": {
    x: [1, 4, 5, 3],
    nodes: nhwc(
      node("ConvTranspose", "x0 w b", "y0", { strides: [2, 2], pads: [1, 1, 1, 1], output_padding: [1, 0] }),
    ),
    constants: [weights("w", 3, 2, 3, 3), weights("b", 2)],
    ops: ["TRANSPOSE_CONV"],
  },
  "Gemm with alpha, beta and a transposed right side": {
    x: [1, 5],
    nodes: [node("Gemm", "x w b", "y", { transB: 1, alpha: float(0.5), beta: float(2) })],
    constants: [weights("w", 4, 5), weights("b", 4)],
    ops: ["FULLY_CONNECTED"],
  },
  "MatMul and a bias": {
    x: [1, 5],
    nodes: [node("MatMul", "x w", "m"), node("Add", "b m", "a"), node("Relu", "a", "y")],
    constants: [weights("w", 5, 4), weights("b", 4)],
    ops: ["FULLY_CONNECTED"],
  },
  "MatMul of three dimensions": {
    x: [1, 3, 5],
    nodes: [node("MatMul", "x w", "y")],
    constants: [weights("w", 5, 4)],
    ops: ["FULLY_CONNECTED"],
  },
  "Flatten of an image and Gemm": {
    x: [1, 4, 5, 3],
    nodes: [
      node("Transpose", "x", "x0", { perm: [0, 3, 1, 2] }),
      node("Relu", "x0", "r"),
      node("Flatten", "r", "f"),
      node("Gemm", "f w", "y"),
    ],
    constants: [weights("w", 60, 4)],
    rank: 2,
    ops: ["RELU", "TRANSPOSE", "RESHAPE", "FULLY_CONNECTED"],
  },
  "shape computed from the input": {
    x: IMAGE,
    nodes: [
      node("Shape", "x", "s"),
      node("Gather", "s zero", "n", { axis: 0 }),
      node("Unsqueeze", "n axes", "n1"),
      node("Concat", "n1 rest", "shape", { axis: 0 }),
      node("Reshape", "x shape", "y"),
    ],
    constants: [tensor("zero", "int64", [], [0]), ints("axes", 0), ints("rest", -1, 6)],
    rank: 3,
    ops: ["RESHAPE"],
  },
  "AveragePool that does not count padding": {
    x: [1, 6, 6, 2],
    nodes: nhwc(
      node("AveragePool", "x0", "y0", { kernel_shape: [3, 3], pads: [1, 1, 1, 1], strides: [2, 2] }),
    ),
    ops: ["AVERAGE_POOL_2D"],
  },
  "AveragePool that counts padding": {
    x: [1, 6, 6, 2],
    nodes: nhwc(
      node("AveragePool", "x0", "y0", { kernel_shape: [3, 3], pads: [1, 1, 1, 1], count_include_pad: 1 }),
    ),
    ops: ["PAD", "AVERAGE_POOL_2D"],
  },
  "MaxPool with ceil_mode": {
    x: [1, 7, 6, 2],
    nodes: nhwc(node("MaxPool", "x0", "y0", { kernel_shape: [2, 3], strides: [2, 2], ceil_mode: 1 })),
    ops: ["MAX_POOL_2D"],
  },
  "global pools": {
    x: [1, 4, 4, 3],
    nodes: nhwc(
      node("GlobalAveragePool", "x0", "a"),
      node("GlobalMaxPool", "x0", "m"),
      node("Add", "a m", "y0"),
    ),
    ops: ["MEAN", "MAX_POOL_2D", "ADD"],
  },
  "squeeze and excite": {
    x: [1, 4, 4, 3],
    nodes: nhwc(
      node("GlobalAveragePool", "x0", "g"),
      node("Conv", "g w b", "c"),
      node("HardSigmoid", "c", "s", { alpha: float(1 / 6), beta: float(0.5) }),
      node("Mul", "s x0", "y0"),
    ),
    constants: [weights("w", 3, 3, 1, 1), weights("b", 3)],
    ops: ["MEAN", "CONV_2D", "ADD", "MUL", "MUL"],
  },
  "elementwise operators": {
    x: IMAGE,
    nodes: [
      node("Sigmoid", "x", "a"),
      node("Tanh", "x", "b"),
      node("HardSwish", "x", "c"),
      node("LeakyRelu", "x", "d", { alpha: float(0.25) }),
      node("Clip", "x lo hi", "e"),
      node("Sub", "a b", "f"),
      node("Mul", "f c", "g"),
      node("Add", "g d", "h"),
      node("Add", "h e", "y"),
    ],
    constants: [tensor("lo", "float32", [], [-1]), tensor("hi", "float32", [], [1])],
    opset: 14,
    ops: ["LOGISTIC", "TANH", "HARD_SWISH", "LEAKY_RELU", "RELU_N1_TO_1", "SUB", "MUL", "ADD", "ADD"],
  },
  "constants for each channel": {
    x: [1, 4, 5, 3],
    nodes: nhwc(
      node("Mul", "x0 scale", "a"),
      node("Sub", "one a", "b"),
      node("PRelu", "b slope", "c"),
      node("Div", "c two", "y0"),
    ),
    constants: [
      weights("scale", 1, 3, 1, 1),
      tensor("one", "float32", [], [1]),
      weights("slope", 3, 1, 1),
      tensor("two", "float32", [1], [2]),
    ],
    ops: ["MUL", "SUB", "PRELU", "MUL"],
  },
  "Softmax over the channels of an image": {
    x: [1, 4, 5, 3],
    nodes: nhwc(node("Softmax", "x0", "y0", { axis: 1 })),
    ops: ["SOFTMAX"],
  },
  "LogSoftmax over rows": {
    x: IMAGE,
    nodes: [node("LogSoftmax", "x", "y", { axis: 2 })],
    ops: ["TRANSPOSE", "LOG_SOFTMAX", "TRANSPOSE"],
  },
  "Concat, Split and Slice along channels": {
    x: [1, 4, 5, 6],
    nodes: nhwc(
      node("Split", "x0 sizes", "a b", { axis: 1 }),
      node("Concat", "b a", "c", { axis: 1 }),
      node("Slice", "c starts ends axes steps", "y0"),
    ),
    constants: [
      ints("sizes", 2, 4),
      ints("starts", 1, -4),
      ints("ends", 5, 2 ** 62),
      ints("axes", 1, 3),
      ints("steps", 1, 2),
    ],
    ops: ["SPLIT", "CONCATENATION", "STRIDED_SLICE"],
  },
  "Pad and ReduceMean": {
    x: [1, 4, 5, 3],
    nodes: [
      node("Transpose", "x", "x0", { perm: [0, 3, 1, 2] }),
      node("Pad", "x0 pads", "p"),
      node("ReduceMean", "p", "m", { axes: [2], keepdims: 0 }),
      node("ReduceMean", "m", "y", { axes: [-1], keepdims: 0 }),
    ],
    constants: [ints("pads", 0, 0, 1, 2, 0, 1, 0, 1)],
    rank: 2,
    ops: ["PAD", "TRANSPOSE", "MEAN", "MEAN"],
  },
  "nearest Resize": {
    x: [1, 4, 5, 3],
    nodes: nhwc(
      node("Resize", "x0 _ scales", "y0", {
        mode: "nearest",
        coordinate_transformation_mode: "asymmetric",
        nearest_mode: "floor",
      }),
    ),
    constants: [tensor("scales", "float32", [4], [1, 1, 2, 2])],
    ops: ["RESIZE_NEAREST_NEIGHBOR"],
  },
  "nearest Resize at pixel centres": {
    x: [1, 4, 5, 3],
    nodes: nhwc(node("Resize", "x0 _ _ sizes", "y0", { mode: "nearest" })),
    constants: [ints("sizes", 1, 3, 8, 15)],
    ops: ["RESIZE_NEAREST_NEIGHBOR"],
  },
  "linear Resize at pixel centres": {
    x: [1, 4, 5, 3],
    nodes: nhwc(node("Resize", "x0 _ _ sizes", "y0", { mode: "linear" })),
    constants: [ints("sizes", 1, 3, 9, 11)],
    ops: ["RESIZE_BILINEAR"],
  },
  "linear Resize with aligned corners": {
    x: [1, 4, 5, 3],
    nodes: nhwc(
      node("Resize", "x0 _ _ sizes", "y0", {
        mode: "linear",
        coordinate_transformation_mode: "align_corners",
      }),
    ),
    constants: [ints("sizes", 1, 3, 9, 11)],
    ops: ["RESIZE_BILINEAR"],
  },
  "Squeeze, Unsqueeze, Identity, Dropout and Cast": {
    x: [1, 4, 1, 3],
    nodes: [
      node("Squeeze", "x axes", "a"),
      node("Unsqueeze", "a back", "b"),
      node("Identity", "b", "c"),
      node("Dropout", "c", "d"),
      node("Cast", "d", "e", { to: 1 }),
      node("Relu", "e", "y"),
    ],
    constants: [ints("axes", 2), ints("back", 1, 3)],
    rank: 5,
    ops: ["RESHAPE", "RELU"],
  },
  "operators as operator set 10 has them": {
    x: [1, 4, 5, 3],
    nodes: nhwc(
      node("Clip", "x0", "a", { min: float(0), max: float(6) }),
      node("Pad", "a", "b", { pads: [0, 0, 1, 0, 0, 0, 0, 1] }),
      node("Split", "b", "c d", { axis: 1, split: [1, 2] }),
      node("Concat", "d c", "e", { axis: 1 }),
      node("Resize", "e scales", "y0", { mode: "nearest" }),
    ),
    constants: [tensor("scales", "float32", [4], [1, 1, 2, 3])],
    opset: 10,
    ops: ["RELU6", "PAD", "SPLIT", "CONCATENATION", "RESIZE_NEAREST_NEIGHBOR"],
  },
  "Upsample and Slice of operator set 9": {
    x: [1, 4, 5, 3],
    nodes: nhwc(
      node("Slice", "x0", "a", { starts: [0, 1], ends: [-1, 3], axes: [2, 3] }),
      node("Upsample", "a scales", "y0", { mode: "nearest" }),
    ),
    constants: [tensor("scales", "float32", [4], [1, 1, 2, 2])],
    opset: 9,
    ops: ["STRIDED_SLICE", "RESIZE_NEAREST_NEIGHBOR"],
  },
  "Softmax of operator set 11, which flattens": {
    x: [1, 1, 1, 6],
    nodes: [node("Softmax", "x", "y", { axis: 1 })],
    opset: 11,
    ops: ["SOFTMAX"],
  },
  "ReduceMean and Split of operator set 18": {
    x: [1, 4, 5, 3],
    nodes: [
      node("Split", "x", "a b", { axis: 1, num_outputs: 2 }),
      node("Sub", "a b", "c"),
      node("ReduceMean", "c axes", "y", { keepdims: 0 }),
    ],
    constants: [ints("axes", 2, 1)],
    rank: 2,
    opset: 18,
    ops: ["SPLIT", "SUB", "MEAN"],
  },
  "shuffled channels": {
    x: [1, 4, 5, 6],
    nodes: nhwc(
      node("Reshape", "x0 split", "a"),
      node("Transpose", "a", "b", { perm: [0, 2, 1, 3, 4] }),
      node("Reshape", "b join", "y0"),
    ),
    constants: [ints("split", 1, 2, 3, 4, 5), ints("join", 1, 6, 4, 5)],
    ops: ["TRANSPOSE", "RESHAPE", "TRANSPOSE", "RESHAPE", "TRANSPOSE"],
  },
};

describe("an imported float operator, and its export, give what ONNX Runtime gives", () => {
  for (const [name, { x, nodes, constants, rank, opset, ops }] of Object.entries(CASES))
    it(name, async () => {
      const bytes = model({
        inputs: { x: ["float32", x] },
        outputs: { y: ["float32", Array.from({ length: rank ?? x.length }, (_, i) => `d${i}`)] },
        nodes,
        ...(constants && { constants }),
        ...(opset && { opset }),
      });
      const graph = importOnnx(bytes, "test.onnx");
      expect(graph.nodes.map(({ op }) => op)).toEqual(ops);
      const input = values(elements(x));
      const { y } = await runOrt(bytes, { x: ["float32", x, input] });
      expect(graph.tensors[graph.outputs[0]].shape).toEqual([...y.dims]);
      const [own] = outputsOf(graph, [input]);
      expect(own.length).toBe(y.data.length);
      for (let i = 0; i < own.length; i++) expect(own[i]).toBeCloseTo(Number(y.data[i]), 4);
      const again = await runOrt(exportOnnx(graph), { x: ["float32", x, input] });
      for (let i = 0; i < own.length; i++)
        expect(Number(again.y.data[i]), "exported again").toBeCloseTo(Number(y.data[i]), 4);
    });
});
