/** BatchNormalization, and what ONNX Runtime computes into weights when it reads a model, beside ONNX Runtime Web, bit for bit. */
import { beforeAll, describe, expect, it } from "vitest";
import { findProfile } from "../../src/cli/profiles.ts";
import { BUILDS, loadKernelModule } from "../../src/cli/wasm.ts";
import { importOnnx } from "../../src/import/onnx/index.ts";
import { bindKernels, type Kernels } from "../../src/kernels/module.ts";
import { compile } from "../../src/model/compile.ts";
import { elements, type OpName } from "../../src/model/graph.ts";
import type { Profile } from "../../src/profile/schema.ts";
import { seededRandom } from "../../src/random.ts";
import { float, model, type NodeDraft, node, tensor } from "../import/onnxModels.ts";
import { runOrt } from "../import/onnxRuntime.ts";
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

describe("as onnxruntime-web 1.30 computes it", () => {
  let profile: Profile;
  let kernels: Kernels[];
  beforeAll(async () => {
    profile = await findProfile("onnxruntime-web");
    kernels = await Promise.all(BUILDS.map(async (build) => bindKernels(await loadKernelModule(build))));
  });

  async function check(network: Network, x: Float32Array): Promise<OpName[]> {
    const bytes = bytesOf(network);
    const graph = importOnnx(bytes, "model.onnx");
    const outputs = await runOrt(bytes, { x: ["float32", network.shape, x] });
    for (const own of kernels)
      compile(graph, profile, own)
        .run([x], 1)
        .forEach((values, i) => {
          expect(values).toEqual(outputs[graph.tensors[graph.outputs[i]].name].data);
        });
    return graph.nodes.map(({ op }) => op).filter((op) => op !== "TRANSPOSE" && op !== "RESHAPE");
  }

  it.each(Array.from({ length: 40 }, (_, seed) => seed))("BatchNormalization of seed %i", async (seed) => {
    const network = standalone(seed);
    const x = reals(elements(network.shape));
    if (seed % 2 === 0) x.set([Infinity, Number.NaN, 3e38, -0, 1e-42].slice(0, x.length));
    expect(await check(network, x)).toContain("BATCH_NORMALIZATION");
  });

  it.each(Object.entries(FOLDED))("%s", async (_, [network, ops]) => {
    expect(await check(network, reals(elements(network.shape)))).toEqual(ops);
  });
});
