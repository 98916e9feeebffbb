/** The profiles of ONNX Runtime beside itself: one quantized operator at a time, byte for byte. */
import { expect, it } from "vitest";
import { compile } from "../../src/model/compile.ts";
import type { Graph, Node, Tensor } from "../../src/model/graph.ts";
import { seededRandom } from "../../src/random.ts";
import { float, model, node, tensor } from "../import/onnxModels.ts";
import { describeBesideOrt } from "../import/onnxRuntime.ts";

interface End {
  scale: number;
  zeroPoint: number;
}

const random = seededRandom(3);
const codes = (count: number) => Int8Array.from({ length: count }, () => random.below(256) - 128);
const end = (scale: number, zeroPoint: number): End => ({ scale: Math.fround(scale), zeroPoint });

const activation = (name: string, shape: number[], { scale, zeroPoint }: End): Tensor => ({
  name,
  shape,
  dtype: "int8",
  quantization: { scale: Float32Array.of(scale), zeroPoint: Int32Array.of(zeroPoint) },
});

/** One node from activations to y. */
function graphOf(inputs: Tensor[], output: Tensor, step: Pick<Node, "op" | "attributes">): Graph {
  const ids = inputs.map((_, i) => i);
  const own = { ...step, name: "node", inputs: ids, outputs: [ids.length] } as Node;
  return { name: step.op, tensors: [...inputs, output], nodes: [own], inputs: ids, outputs: [ids.length] };
}

const constants = (ends: Record<string, End>) =>
  Object.entries(ends).flatMap(([name, { scale, zeroPoint }]) => [
    tensor(`${name}_scale`, "float32", [], [scale]),
    tensor(`${name}_zero`, "int8", [], [zeroPoint]),
  ]);

/** [N, H, W, C] to [N, C, H, W] and back by their sizes. */
function transposed(values: Int8Array, [n, h, w, c]: number[], toChannelsFirst: boolean): Int8Array {
  const output = new Int8Array(values.length);
  for (let b = 0; b < n; b++)
    for (let p = 0; p < h * w; p++)
      for (let k = 0; k < c; k++) {
        const [last, first] = [(b * h * w + p) * c + k, (b * c + k) * h * w + p];
        output[toChannelsFirst ? first : last] = values[toChannelsFirst ? last : first];
      }
  return output;
}

describeBesideOrt("one operator", ({ run: runOrt, own: { profile, kernels } }) => {
  const run = (graph: Graph, inputs: Int8Array[], images: number) =>
    compile(graph, profile, kernels[0]).run(inputs, images)[0];

  for (const [op, name] of [
    ["ADD", "QLinearAdd"],
    ["MUL", "QLinearMul"],
  ] as const)
    it(`${name} of every pair of codes, on three sets of scales`, async () => {
      const a = Int8Array.from({ length: 65536 }, (_, i) => (i >> 8) - 128);
      const b = Int8Array.from({ length: 65536 }, (_, i) => (i & 255) - 128);
      for (const [x, y, z] of [
        [end(0.013, -128), end(0.4, 0), end(0.31, 10)],
        [end(0.05, 3), end(0.04, -7), end(0.07, 5)],
        [end(0.5, 0), end(0.25, 0), end(1, -3)],
      ]) {
        const bytes = model({
          inputs: { a: ["int8", [65536]], b: ["int8", [65536]] },
          outputs: { y: ["int8", [65536]] },
          nodes: [node(`com.microsoft:${name}`, "a x_scale x_zero b w_scale w_zero y_scale y_zero", "y")],
          constants: constants({ x, w: y, y: z }),
        });
        const { y: expected } = await runOrt(bytes, { a: ["int8", [65536], a], b: ["int8", [65536], b] });
        const shape = [1, 65536];
        const graph = graphOf(
          [activation("a", shape, x), activation("b", shape, y)],
          activation("y", shape, z),
          {
            op,
            attributes: { activation: "NONE", computedOn: "codes" },
          },
        );
        expect(run(graph, [a, b], 1)).toEqual(expected.data);
      }
    });

  for (const [op, name, attributes, own] of [
    ["LOGISTIC", "QLinearSigmoid", {}, {}],
    ["LEAKY_RELU", "QLinearLeakyRelu", { alpha: float(0.1) }, { alpha: Math.fround(0.1) }],
  ] as const)
    it(`${name} of every code`, async () => {
      const x = Int8Array.from({ length: 256 }, (_, i) => i - 128);
      for (const [from, to] of [
        [end(0.05, 3), end(0.04, -20)],
        [end(0.021, -11), end(1 / 256, -128)],
      ]) {
        const bytes = model({
          inputs: { x: ["int8", [256]] },
          outputs: { y: ["int8", [256]] },
          nodes: [node(`com.microsoft:${name}`, "x x_scale x_zero y_scale y_zero", "y", attributes)],
          constants: constants({ x: from, y: to }),
        });
        const { y } = await runOrt(bytes, { x: ["int8", [256], x] });
        const graph = graphOf([activation("x", [1, 256], from)], activation("y", [1, 256], to), {
          op,
          attributes: own as never,
        });
        expect(run(graph, [x], 1)).toEqual(y.data);
      }
    });

  it("QLinearSoftmax of rows of 10 and 37", async () => {
    const to = end(1 / 256, -128);
    for (const [size, from] of [
      [10, end(0.1, 5)],
      [37, end(0.03, -20)],
    ] as const) {
      const x = codes(20 * size);
      const bytes = model({
        inputs: { x: ["int8", [20, size]] },
        outputs: { y: ["int8", [20, size]] },
        nodes: [
          node("com.microsoft:QLinearSoftmax", "x x_scale x_zero y_scale y_zero", "y", {
            axis: 1,
            opset: 13,
          }),
        ],
        constants: constants({ x: from, y: to }),
      });
      const { y } = await runOrt(bytes, { x: ["int8", [20, size], x] });
      const graph = graphOf([activation("x", [1, size], from)], activation("y", [1, size], to), {
        op: "SOFTMAX",
        attributes: { beta: 1 },
      });
      expect(run(graph, [x], 20)).toEqual(y.data);
    }
  });

  it("QLinearAveragePool of 2 x 2 windows and QLinearGlobalAveragePool", async () => {
    const shape = [4, 6, 6, 5];
    const x = codes(4 * 6 * 6 * 5);
    const from = end(0.037, 9);
    for (const [name, to, size, attributes] of [
      ["QLinearAveragePool", from, 3, { kernel_shape: [2, 2], strides: [2, 2] }],
      ["QLinearGlobalAveragePool", end(0.021, -4), 1, {}],
    ] as [string, End, number, Record<string, number[]>][]) {
      const bytes = model({
        inputs: { x: ["int8", [4, 5, 6, 6]] },
        outputs: { y: ["int8", [4, 5, size, size]] },
        nodes: [node(`com.microsoft:${name}`, "x x_scale x_zero y_scale y_zero", "y", attributes)],
        constants: constants({ x: from, y: to }),
      });
      const { y } = await runOrt(bytes, { x: ["int8", [4, 5, 6, 6], transposed(x, shape, true)] });
      const window = { filterHeight: 2, filterWidth: 2, strideHeight: 2, strideWidth: 2, padding: "VALID" };
      const step =
        size === 3
          ? { op: "AVERAGE_POOL_2D", attributes: { ...window, activation: "NONE", computedOn: "codes" } }
          : { op: "MEAN", attributes: { axes: [1, 2], keepDims: true } };
      const graph = graphOf(
        [activation("x", [1, 6, 6, 5], from)],
        activation("y", [1, size, size, 5], to),
        step as never,
      );
      expect(run(graph, [x], 4)).toEqual(transposed(y.data as Int8Array, [4, size, size, 5], false));
    }
  });
});
