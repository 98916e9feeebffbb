/** BatchNormalization, and what ONNX Runtime computes into weights when it reads a model, beside ONNX Runtime, bit for bit. */
import { expect, it } from "vitest";
import { importOnnx } from "../../src/import/onnx/index.ts";
import { elements, type OpName } from "../../src/model/graph.ts";
import { seededRandom } from "../../src/random.ts";
import { float, model, type NodeDraft, node, tensor } from "../import/onnxModels.ts";
import { describeBesideOrt, expectEqual, expectEqualOrRefused } from "../import/onnxRuntime.ts";
import { between, pick } from "../kernels/cases.ts";
import { reals } from "./floatGraphs.ts";

interface Network {
  shape: number[];
  nodes: NodeDraft[];
  /** Shapes of float32 constants by name; v is not negative. */
  constants: Record<string, number[]>;
  outputs?: string[];
}

const bytesOf = ({ shape, nodes, constants, outputs = ["y"] }: Network) =>
  model({
    inputs: { x: ["float32", shape] },
    outputs: Object.fromEntries(outputs.map((name) => [name, ["float32", shape.map(() => "?")]])),
    nodes,
    constants: Object.entries(constants).map(([name, dims]) => {
      const values = reals(elements(dims));
      return tensor(name, "float32", dims, name === "v" ? values.map(Math.abs) : values);
    }),
    opset: 14,
  });

const normalized = (channels: number) => ({ g: [channels], o: [channels], m: [channels], v: [channels] });
const normalization = (input: string, output: string) =>
  node("BatchNormalization", `${input} g o m v`, output, { epsilon: float(1e-3) });

function standalone(seed: number): Network {
  const random = seededRandom(seed);
  const channels = between(random, 1, 9);
  const shape = [1, channels, ...Array.from({ length: random.below(4) }, () => between(random, 1, 6))];
  const epsilon = float(pick(random, 1e-5, 1e-3, 1e-12));
  const attributes: Record<string, typeof epsilon> = random.below(3) === 0 ? {} : { epsilon };
  const nodes = [node("BatchNormalization", "x g o m v", "n", attributes)];
  return {
    shape,
    nodes: [...nodes, node(pick(random, "Relu", "Identity"), "n", "y")],
    constants: normalized(channels),
  };
}

/** Conv of x into c by w and b, then the nodes. */
const after = (
  nodes: NodeDraft[],
  constants: Record<string, number[]>,
  { weights = [6, 4, 3, 3], bias = true, group = 1, outputs = ["y"] } = {},
): Network => ({
  shape: [1, 4, ...weights.slice(2).map(() => 7)],
  nodes: [node("Conv", bias ? "x w b" : "x w", "c", { kernel_shape: weights.slice(2), group }), ...nodes],
  constants: { w: weights, ...(bias && { b: [weights[0]] }), ...constants },
  outputs,
});
const factor = (dims: number[], constants: Record<string, number[]> = {}) => ({ f: dims, ...constants });

/** Each network, and the ops that it becomes. */
const FOLDED: Record<string, [Network, OpName[]]> = {
  "Conv, BatchNormalization": [after([normalization("c", "y")], normalized(6)), ["CONV_2D"]],
  "Conv without bias, BatchNormalization, Relu": [
    after([normalization("c", "n"), node("Relu", "n", "y")], normalized(6), { bias: false }),
    ["CONV_2D"],
  ],
  "Conv in groups, BatchNormalization": [
    after([normalization("c", "y")], normalized(6), { weights: [6, 2, 3, 3], group: 2 }),
    ["CONV_2D"],
  ],
  "depthwise Conv, BatchNormalization": [
    after([normalization("c", "y")], normalized(8), { weights: [8, 1, 3, 3], group: 4 }),
    ["DEPTHWISE_CONV_2D"],
  ],
  "Conv over rows, BatchNormalization": [
    after([normalization("c", "y")], normalized(6), { weights: [6, 4, 3] }),
    ["CONV_2D"],
  ],
  "Conv that two nodes read, BatchNormalization": [
    after([normalization("c", "n"), node("Add", "n c", "y")], normalized(6)),
    ["CONV_2D", "BATCH_NORMALIZATION", "ADD"],
  ],
  "Conv that the model gives out, BatchNormalization": [
    after([normalization("c", "y")], normalized(6), { outputs: ["y", "c"] }),
    ["CONV_2D", "BATCH_NORMALIZATION"],
  ],
  "Conv, Mul a channel": [after([node("Mul", "c f", "y")], factor([6, 1, 1])), ["CONV_2D"]],
  "Conv, Mul by a scalar": [after([node("Mul", "c f", "y")], factor([])), ["CONV_2D"]],
  "Conv, Mul by one value": [after([node("Mul", "c f", "y")], factor([1])), ["CONV_2D", "MUL"]],
  "Conv, Mul by one value of three dimensions": [
    after([node("Mul", "c f", "y")], factor([1, 1, 1])),
    ["CONV_2D", "MUL"],
  ],
  "Conv, Mul of four dimensions": [after([node("Mul", "c f", "y")], factor([1, 6, 1, 1])), ["CONV_2D"]],
  "Conv, Mul with the constant first": [
    after([node("Mul", "f c", "y")], factor([6, 1, 1])),
    ["CONV_2D", "MUL"],
  ],
  "Conv over rows, Mul a channel": [
    after([node("Mul", "c f", "y")], factor([6, 1]), { weights: [6, 4, 3] }),
    ["CONV_2D"],
  ],
  "Conv, Add a channel": [after([node("Add", "c f", "y")], factor([6, 1, 1])), ["CONV_2D"]],
  "Conv without bias, Add a channel": [
    after([node("Add", "c f", "y")], factor([6, 1, 1]), { bias: false }),
    ["CONV_2D"],
  ],
  "Conv, Add of four dimensions": [after([node("Add", "c f", "y")], factor([1, 6, 1, 1])), ["CONV_2D"]],
  "Conv, Add of a scalar": [after([node("Add", "c f", "y")], factor([])), ["CONV_2D", "ADD"]],
  "Conv over rows, Add a channel": [
    after([node("Add", "c f", "y")], factor([6, 1]), { weights: [6, 4, 3] }),
    ["CONV_2D"],
  ],
  "Conv, Add of one value": [after([node("Add", "c f", "y")], factor([1])), ["CONV_2D", "ADD"]],
  "Conv, Mul, Add, BatchNormalization, Relu": [
    after(
      [node("Mul", "c f", "p"), node("Add", "p h", "q"), normalization("q", "n"), node("Relu", "n", "y")],
      factor([6, 1, 1], { h: [6, 1, 1], ...normalized(6) }),
    ),
    ["CONV_2D"],
  ],
  "two Convs of the same weights, a BatchNormalization behind one": [
    after(
      [
        normalization("c", "n"),
        node("Relu", "x", "r"),
        node("Conv", "r w b", "d", { kernel_shape: [3, 3] }),
        node("Mul", "n d", "y"),
      ],
      normalized(6),
    ),
    ["CONV_2D", "RELU", "CONV_2D", "MUL"],
  ],
  "MatMul, BatchNormalization": [
    {
      shape: [1, 300],
      nodes: [node("MatMul", "x w", "c"), normalization("c", "y")],
      constants: { w: [300, 12], ...normalized(12) },
    },
    ["FULLY_CONNECTED"],
  ],
  "Gemm, BatchNormalization": [
    {
      shape: [1, 30],
      nodes: [node("Gemm", "x w b", "c"), normalization("c", "y")],
      constants: { w: [30, 12], b: [12], ...normalized(12) },
    },
    ["FULLY_CONNECTED", "BATCH_NORMALIZATION"],
  ],
  "ConvTranspose, BatchNormalization": [
    {
      shape: [1, 4, 5, 5],
      nodes: [
        node("ConvTranspose", "x w", "c", { kernel_shape: [3, 3], strides: [2, 2] }),
        normalization("c", "y"),
      ],
      constants: { w: [4, 6, 3, 3], ...normalized(6) },
    },
    ["TRANSPOSE_CONV", "BATCH_NORMALIZATION"],
  ],
};

const BEHIND = "makes a convolution of it behind others";
const OF_ONE_ROW = "sums rows in another order than images of one row";
/** What the x86 profiles refuse. */
const REFUSED: Record<string, string> = {
  "Conv that two nodes read, BatchNormalization": BEHIND,
  "Conv that the model gives out, BatchNormalization": BEHIND,
  "Conv over rows, BatchNormalization": OF_ONE_ROW,
  "Conv over rows, Mul a channel": OF_ONE_ROW,
  "Conv over rows, Add a channel": OF_ONE_ROW,
};

const opsOf = (bytes: Uint8Array): OpName[] =>
  importOnnx(bytes, "model.onnx")
    .nodes.map(({ op }) => op)
    .filter((op) => op !== "TRANSPOSE" && op !== "RESHAPE");

describeBesideOrt("normalization and folded weights", (beside) => {
  it.each(Array.from({ length: 40 }, (_, seed) => seed))("BatchNormalization of seed %i", async (seed) => {
    const network = standalone(seed);
    const x = reals(elements(network.shape));
    if (seed % 2 === 0) x.set([Infinity, Number.NaN, 3e38, -0, 1e-42].slice(0, x.length));
    const bytes = bytesOf(network);
    await expectEqual(beside, bytes, { x: ["float32", network.shape, x] });
    expect(opsOf(bytes)).toContain("BATCH_NORMALIZATION");
  });

  it.each(Object.entries(FOLDED))("%s", async (name, [network, ops]) => {
    const bytes = bytesOf(network);
    const x = reals(elements(network.shape));
    await expectEqualOrRefused(beside, REFUSED[name], bytes, { x: ["float32", network.shape, x] });
    expect(opsOf(bytes)).toEqual(ops);
  });
});
