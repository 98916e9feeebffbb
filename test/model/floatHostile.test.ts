/** float32 nodes that no kernel may see: each is refused in one line. */
import { beforeAll, describe, expect, it } from "vitest";
import { findProfile } from "../../src/cli/profiles.ts";
import { loadKernelModule } from "../../src/cli/wasm.ts";
import { UnsupportedOpError } from "../../src/errors.ts";
import { bindKernels, type Kernels } from "../../src/kernels/module.ts";
import { compile } from "../../src/model/compile.ts";
import {
  type Attributes,
  type DType,
  elements,
  type Graph,
  type Node,
  type Tensor,
} from "../../src/model/graph.ts";
import { outputShape } from "../../src/model/shapes.ts";
import { graphOf } from "./floatGraphs.ts";

const transposed = (
  x: number[],
  filter: number[],
  attributes: Partial<Attributes["TRANSPOSE_CONV"]> = {},
): Graph =>
  graphOf(
    "TRANSPOSE_CONV",
    x,
    {
      ...{ strideHeight: 1, strideWidth: 1, padding: "VALID", activation: "NONE", outputShape: [1, 5, 5, 3] },
      ...attributes,
    },
    [filter],
  );

const normalized = (...constants: number[][]) =>
  graphOf("BATCH_NORMALIZATION", [1, 3, 3, 4], { activation: "NONE", epsilon: 1e-3 }, constants);

function cast(from: DType, to: DType): Graph {
  const tensors = [from, to].map((dtype, i) => ({ name: `${i}`, shape: [1, 4], dtype }));
  const nodes: Node[] = [{ op: "CAST", name: "cast", inputs: [0], outputs: [1], attributes: {} }];
  return { name: "cast", tensors, nodes, inputs: [0], outputs: [1] };
}

function multiplied(
  x: number[],
  y: number[],
  attributes: Partial<Attributes["BATCH_MATMUL"]> = {},
  constants: readonly number[] = [],
): Graph {
  const own = { adjX: false, adjY: false, ...attributes };
  const node: Node = { op: "BATCH_MATMUL", name: "m", inputs: [0, 1], outputs: [2], attributes: own };
  const shapes = [x, y, outputShape(node, [x, y])];
  const tensors = shapes.map((shape, i): Tensor => {
    const data = constants.includes(i) ? { data: new Float32Array(elements(shape)) } : {};
    return { name: `${i}`, shape, dtype: "float32", ...data };
  });
  const inputs = [0, 1].filter((i) => !constants.includes(i));
  return { name: "m", tensors, nodes: [node], inputs, outputs: [2] };
}

const quantized = (graph: Graph, dtype: DType = "int8"): Graph => ({
  ...graph,
  tensors: graph.tensors.map((tensor) => {
    const quantization = { scale: Float32Array.of(1), zeroPoint: Int32Array.of(0) };
    return { ...tensor, dtype, quantization };
  }),
});

/** Profile, graph and what the line says. */
const REFUSED: Record<string, [profile: string, graph: Graph, reason: string]> = {
  "SOFTMAX on a device without float32": [
    "max78000",
    graphOf("SOFTMAX", [1, 5], { beta: 1 }),
    "float32: how the device computes it is not known",
  ],
  "TRANSPOSE_CONV on a device without float32": [
    "android-litert-xnnpack",
    transposed([1, 3, 3, 2], [3, 3, 3, 2]),
    "float32: how the device computes it is not known",
  ],
  "a filter of another depth": [
    "rp2040-tflm",
    transposed([1, 3, 3, 2], [3, 3, 3, 4]),
    "filter: needs [3, height, width, 2]",
  ],
  "three dimensions": [
    "rp2040-tflm",
    transposed([1, 3, 2], [3, 3, 3, 2], { outputShape: [1, 5, 3] }),
    "input, filter, output: needs four dimensions",
  ],
  "a stride above the filter, which XNNPACK leaves to another kernel": [
    "litert-js",
    transposed([1, 3, 3, 2], [3, 1, 1, 2], { strideHeight: 2, padding: "SAME" }),
    "XNNPACK leaves a filter below its stride",
  ],
  "more phases than a convolution each can be made for": [
    "rp2040-tflm",
    transposed([1, 2, 2, 1], [1, 100, 100, 1], {
      ...{ strideHeight: 100, strideWidth: 100 },
      outputShape: [1, 200, 200, 1],
    }),
    "strides: needs at most 4096 places",
  ],
  "CAST from float32 on a device without it": [
    "max78000",
    cast("float32", "int8"),
    "float32: how the device computes it is not known",
  ],
  "CAST to int64": ["onnxruntime-web", cast("int32", "int64"), "output: needs another of int8, uint8, int16"],
  "CAST to the same type": ["litert-js", cast("int32", "int32"), "output: needs another of"],
  "BATCH_MATMUL of other depths": [
    "rp2040-tflm",
    multiplied([1, 2, 3], [1, 4, 5]),
    "y: needs a depth of 3, has 4",
  ],
  "BATCH_MATMUL of an activation without a batch": [
    "rp2040-tflm",
    multiplied([3, 3], [3, 3]),
    "y: needs a dimension of images and two more",
  ],
  "BATCH_MATMUL with another matrix for each image": [
    "rp2040-tflm",
    multiplied([2, 3, 3], [2, 3, 3], {}, [1]),
    "y: needs one matrix for all images",
  ],
  "BATCH_MATMUL of a transposed batch": [
    "rp2040-tflm",
    multiplied([3, 1], [3, 3], { adjX: true }, [1]),
    "adjX: the batch cannot be transposed",
  ],
  "BATCH_MATMUL of dimensions that do not broadcast": [
    "onnxruntime-web",
    multiplied([1, 2, 3, 3], [1, 4, 3, 3]),
    "inputs: needs dimensions that broadcast",
  ],
  "BATCH_MATMUL that broadcasts by turns": [
    "onnxruntime-web",
    multiplied([1, 2, 1, 2, 1, 3, 3], [1, 1, 2, 1, 2, 3, 3]),
    "inputs: broadcast by turns too often",
  ],
  "BATCH_MATMUL with a factor on TFLite Micro": [
    "rp2040-tflm",
    multiplied([1, 2, 3], [1, 3, 5], { alpha: 0.5 }),
    "alpha: no runtime but ONNX Runtime has it",
  ],
  "BATCH_MATMUL of codes on a device of which no source tells it": [
    "esp32-s3-esp-nn",
    quantized(multiplied([1, 2, 3], [1, 3, 5])),
    "the profile has no form of BATCH_MATMUL",
  ],
  "BATCH_MATMUL of uint8 on TFLite Micro, which has none": [
    "rp2040-tflm",
    quantized(multiplied([1, 2, 3], [1, 3, 5]), "uint8"),
    "x: the profile has int8, is uint8",
  ],
  "BATCH_NORMALIZATION on TFLite Micro": [
    "rp2040-tflm",
    normalized([4], [4], [4], [4]),
    "TFLite has no such operator",
  ],
  "moments of another number of channels": [
    "onnxruntime-web",
    normalized([4], [4], [3], [4]),
    "gamma, beta, mean, variance: needs one value a channel",
  ],
};

describe("a float32 node is refused in one line", () => {
  let kernels: Kernels;
  beforeAll(async () => {
    kernels = await bindKernels(await loadKernelModule());
  });

  it.each(Object.entries(REFUSED))("%s", async (_, [id, graph, reason]) => {
    const profile = await findProfile(id);
    const held = kernels.mark();
    const run = () => compile(graph, profile, kernels);
    expect(run).toThrow(UnsupportedOpError);
    expect(run).toThrow(reason);
    expect(kernels.mark()).toBe(held);
  });
});
