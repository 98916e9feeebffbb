/** Dynamic quantization: the rules of each runtime, and whole nodes beside ONNX Runtime and LiteRT.js, bit for bit. */
import { beforeAll, describe, expect, it } from "vitest";
import { findProfile } from "../../src/cli/profiles.ts";
import { BUILDS, loadKernelModule } from "../../src/cli/wasm.ts";
import { exportTflite } from "../../src/export/tflite.ts";
import { importOnnx } from "../../src/import/onnx/index.ts";
import { type DynamicForm, rangeOf } from "../../src/kernels/float/dynamic.ts";
import { bindKernels, type Kernels } from "../../src/kernels/module.ts";
import { compile } from "../../src/model/compile.ts";
import { elements, type Graph } from "../../src/model/graph.ts";
import type { Profile } from "../../src/profile/schema.ts";
import { seededRandom } from "../../src/random.ts";
import { type LiteRt, runLiteRt, startLiteRt } from "../export/liteRt.ts";
import { model, node, tensor } from "../import/onnxModels.ts";
import { describeBesideOrt, expectEqual } from "../import/onnxRuntime.ts";
import { convolution, graphOf, reals } from "./floatGraphs.ts";

const random = seededRandom(11);
const codes = (count: number, low = -127) =>
  Int8Array.from({ length: count }, () => low + random.below(128 - low));
const scales = (count: number) => Float32Array.from({ length: count }, () => 0.001 + random.uniform() / 50);

describe("the range of a call", () => {
  /** As uint8; the int8 ones less 128. Source: ARITHMETIC.md I 29 and 30. */
  it.each<[DynamicForm, number, number]>([
    ["onnxruntime", 127, 0.00902],
    ["tflite", 127 - 128, 0.00902],
    ["xnnpack", 0, 0.00902],
    ["pytorch-qnnpack", 128, 0.00902],
    ["pytorch-fbgemm", 64, 0.01811],
  ])("%s puts zero of [-1, 1] at %i, and a step of [-0.3, 2] is %f", (form, zeroPoint, step) => {
    expect(rangeOf(form, [-1, 1]).zeroPoint).toBe(zeroPoint);
    expect(rangeOf(form, [-0.3, 2]).step).toBeCloseTo(step, 6);
  });

  it.each<DynamicForm>(["onnxruntime", "tflite", "xnnpack", "pytorch-qnnpack", "pytorch-fbgemm"])(
    "%s gives NaN the code of zero, and stays finite for a tensor of zeros",
    (form) => {
      expect(rangeOf(form, [Number.NaN, 1, -1]).code(Number.NaN)).toBe(0);
      const { step, code } = rangeOf(form, [0, 0]);
      expect(Number.isFinite(step) && code(0) === 0).toBe(true);
    },
  );
});

/** DynamicQuantizeLinear, the product, Cast and Mul, as ONNX Runtime's quantizer writes them. */
function onnxModel(
  op: "MatMulInteger" | "ConvInteger",
  shape: number[],
  dims: number[],
  perChannel: boolean,
) {
  const channels = op === "MatMulInteger" ? dims[1] : dims[0];
  const count = perChannel ? channels : 1;
  const scaleDims = !perChannel ? [] : op === "MatMulInteger" ? [channels] : [1, channels, 1, 1];
  return model({
    inputs: { x: ["float32", shape] },
    outputs: { y: ["float32", shape.map(() => "?")] },
    nodes: [
      node("DynamicQuantizeLinear", "x", "q s z"),
      node(
        op,
        "q w z wz",
        "a",
        op === "ConvInteger" ? { pads: [1, 1, 1, 1], kernel_shape: dims.slice(2) } : {},
      ),
      node("Cast", "a", "c", { to: 1 }),
      node("Mul", "s ws", "f"),
      node("Mul", "c f", "p"),
      node("Add", "p b", "r"),
      node("Relu", "r", "y"),
    ],
    constants: [
      tensor("w", "int8", dims, codes(elements(dims))),
      tensor("wz", "int8", [], [0]),
      tensor("ws", "float32", scaleDims, scales(count)),
      tensor("b", "float32", op === "MatMulInteger" ? [channels] : [1, channels, 1, 1], reals(channels)),
    ],
  });
}

describeBesideOrt("dynamic quantization", (beside) => {
  it.each([
    ["MatMulInteger", [1, 25], [25, 20], false],
    ["MatMulInteger", [1, 37], [37, 11], true],
    ["MatMulInteger", [1, 3, 16], [16, 5], true],
    ["ConvInteger", [1, 3, 7, 6], [5, 3, 3, 3], false],
  ] as const)("%s of %j by %j", async (op, shape, dims, perChannel) => {
    const bytes = onnxModel(op, [...shape], [...dims], perChannel);
    for (let i = 0; i < 5; i++)
      await expectEqual(beside, bytes, { x: ["float32", shape, reals(elements(shape))] });
  });
});

describe("dynamic quantization", () => {
  let kernels: Kernels[];
  let js: Profile;
  let liteRt: LiteRt;
  beforeAll(async () => {
    js = await findProfile("litert-js");
    kernels = await Promise.all(BUILDS.map(async (build) => bindKernels(await loadKernelModule(build))));
    liteRt = await startLiteRt("compat");
  });

  /** FULLY_CONNECTED with one scale an output. */
  function hybrid(inputs: number, outputs: number, bits: 8 | 4, rows = 1): Graph {
    const shape = rows === 1 ? [1, inputs] : [1, rows, inputs];
    const graph = graphOf("FULLY_CONNECTED", shape, { activation: "NONE" }, [[outputs, inputs], [outputs]]);
    const quantization = { scale: scales(outputs), zeroPoint: new Int32Array(outputs), axis: 0 };
    const filter = { ...graph.tensors[1], quantization };
    graph.tensors[1] =
      bits === 8
        ? { ...filter, dtype: "int8", data: codes(inputs * outputs) }
        : { ...filter, dtype: "int4", data: new Uint8Array(codes((inputs * outputs) / 2, -128).buffer) };
    return graph;
  }

  it.each([
    [6, 5, 8, 3, 1],
    [6, 8, 16, 3, 2],
    [5, 9, 10, 1, 1],
    [6, 4, 8, 1, 2],
  ])(
    "a hybrid CONV_2D on %i rows of %i channels to %i, %i wide, stride %i, is LiteRT.js's",
    async (...sizes) => {
      const graph = convolution(...sizes);
      const [, , outputs] = sizes;
      const filter = graph.tensors[1];
      graph.tensors[1] = {
        ...filter,
        dtype: "int8",
        data: codes(elements(filter.shape)),
        quantization: { scale: scales(outputs), zeroPoint: new Int32Array(outputs), axis: 0 },
      };
      const { shape } = graph.tensors[0];
      const x = reals(elements(shape));
      const [expected] = await runLiteRt(liteRt, exportTflite(graph), [x], [shape]);
      for (const own of kernels) expect(compile(graph, js, own).run([x], 1)[0]).toEqual(expected);
    },
  );

  /** By hand: codes of [-0.3, 2] have a step of 2.3 / 255 or 2.3 / 127, and zero lies at 33 or 17. */
  it.each([
    ["pytorch-mobile-qnnpack", 255, 33],
    ["pytorch-x86-fbgemm", 127, 17],
  ])("%s quantizes a Linear to %i codes around %i", async (id, most, zero) => {
    const graph = hybrid(2, 1, 8);
    graph.tensors[1].data = Int8Array.of(100, -50);
    const { scale } = graph.tensors[1].quantization!;
    const bias = (graph.tensors[2].data as Float32Array)[0];
    const step = Math.fround((2 - Math.fround(-0.3)) / most);
    const acc = 100 * (most - zero) - 50 * (0 - zero);
    const real = Math.fround(acc * Math.fround(step * scale[0]));
    const plan = compile(graph, await findProfile(id), kernels[0]);
    expect(plan.run([Float32Array.of(2, -0.3)], 1)[0]).toEqual(Float32Array.of(Math.fround(real + bias)));
  });

  it("is refused where the profile has none, and of convolutions at PyTorch", async () => {
    const graph = importOnnx(onnxModel("ConvInteger", [1, 3, 7, 6], [5, 3, 3, 3], false), "conv.onnx");
    const run = async (id: string) => compile(graph, await findProfile(id), kernels[0]);
    await expect(run("rp2040-tflm")).rejects.toThrow("the profile has no dynamic quantization");
    await expect(run("pytorch-x86-fbgemm")).rejects.toThrow("pytorch-fbgemm has no dynamic CONV_2D");
  });

  it.each([
    [16, 8, 8, 1],
    [37, 13, 8, 1],
    [64, 10, 8, 5],
    [32, 16, 4, 1],
    [64, 7, 4, 3],
  ] as const)(
    "a hybrid FULLY_CONNECTED of %i to %i with int%i weights and %i rows is LiteRT.js's",
    async (inputs, outputs, bits, rows) => {
      const graph = hybrid(inputs, outputs, bits, rows);
      const { shape } = graph.tensors[0];
      for (let i = 0; i < 5; i++) {
        const x = reals(elements(shape));
        const [expected] = await runLiteRt(liteRt, exportTflite(graph), [x], [shape]);
        for (const own of kernels) expect(compile(graph, js, own).run([x], 1)[0]).toEqual(expected);
      }
    },
  );
});
