/** float32 on the profile litert-js beside LiteRT.js itself, one op at a time, bit for bit. */
import { beforeAll, describe, expect, it } from "vitest";
import { findProfile } from "../../src/cli/profiles.ts";
import { BUILDS, loadKernelModule } from "../../src/cli/wasm.ts";
import { exportTflite } from "../../src/export/tflite.ts";
import { bindKernels, type Kernels } from "../../src/kernels/module.ts";
import { compile } from "../../src/model/compile.ts";
import { elements, type Graph } from "../../src/model/graph.ts";
import type { Profile } from "../../src/profile/schema.ts";
import { type LiteRt, runLiteRt, startLiteRt } from "../export/liteRt.ts";
import { average, convolution, dense, depthwise, graphOf, maximum, reals } from "./floatGraphs.ts";

const image = [1, 6, 5, 7];
const resize = { height: 9, width: 4 };
const GRAPHS: Record<string, Graph> = {
  ...Object.fromEntries(
    [1, 2, 3, 7, 8, 10, 12, 16].map((n) => [`CONV_2D 3x3 to ${n} channels`, convolution(6, 5, n, 3)]),
  ),
  ...Object.fromEntries(
    [1, 7, 8, 10, 16].map((n) => [`CONV_2D 1x1 to ${n} channels`, convolution(5, 9, n, 1)]),
  ),
  "CONV_2D 1x1 with stride 2": convolution(6, 9, 10, 1, 2),
  "CONV_2D 5x5 with stride 2": convolution(9, 3, 24, 5, 2),
  ...Object.fromEntries([1, 2, 3, 5, 7].map((n) => [`DEPTHWISE_CONV_2D ${n}x${n}`, depthwise(9, 13, n)])),
  "DEPTHWISE_CONV_2D with stride 2": depthwise(9, 8, 3, 2),
  "DEPTHWISE_CONV_2D with 2 outputs a channel": depthwise(7, 5, 3, 1, 2),
  ...Object.fromEntries(
    [1, 2, 3, 8, 10, 24, 33, 100, 250, 500, 801].map((n) => [`FULLY_CONNECTED to ${n}`, dense(37, n)]),
  ),
  ADD: graphOf("ADD", image, { activation: "RELU" }, [[7]]),
  SUB: graphOf("SUB", image, { activation: "NONE" }, [[1]]),
  MUL: graphOf("MUL", image, { activation: "RELU6" }, [[5, 7]]),
  PRELU: graphOf("PRELU", image, {}, [[1, 1, 7]]),
  RELU: graphOf("RELU", image, {}),
  RELU6: graphOf("RELU6", image, {}),
  RELU_N1_TO_1: graphOf("RELU_N1_TO_1", image, {}),
  LEAKY_RELU: graphOf("LEAKY_RELU", image, { alpha: 0.1 }),
  LOGISTIC: graphOf("LOGISTIC", [1, 2000], {}),
  TANH: graphOf("TANH", [1, 2000], {}),
  HARD_SWISH: graphOf("HARD_SWISH", [1, 2000], {}),
  "AVERAGE_POOL_2D 2x2": average(8, 5, "VALID", 2, 2),
  "AVERAGE_POOL_2D 3x3": average(9, 5, "SAME", 3, 2),
  "AVERAGE_POOL_2D 5x5": average(9, 13, "VALID", 5, 1),
  "AVERAGE_POOL_2D 8x8": average(8, 64, "VALID", 8, 8),
  MAX_POOL_2D: maximum(9, 5, "SAME", 3, 2),
  ...Object.fromEntries(
    [[1, 2], [1], [2], [3], [2, 3], [1, 2, 3]].map((axes) => [
      `MEAN over ${axes}`,
      graphOf("MEAN", [1, 6, 5, 33], { axes, keepDims: true }),
    ]),
  ),
  ...Object.fromEntries(
    [1, 2, 3, 4, 10, 16, 37, 100].map((n) => [`SOFTMAX of ${n}`, graphOf("SOFTMAX", [1, n], { beta: 1 })]),
  ),
  PAD: graphOf("PAD", image, { before: [0, 1, 2, 0], after: [0, 1, 0, 0] }),
  TRANSPOSE: graphOf("TRANSPOSE", image, { permutation: [0, 3, 1, 2] }),
  RESIZE_BILINEAR: graphOf("RESIZE_BILINEAR", image, {
    ...resize,
    alignCorners: false,
    halfPixelCenters: false,
  }),
  "RESIZE_BILINEAR with half pixels": graphOf("RESIZE_BILINEAR", image, {
    ...resize,
    alignCorners: false,
    halfPixelCenters: true,
  }),
  "RESIZE_BILINEAR with aligned corners": graphOf("RESIZE_BILINEAR", image, {
    ...resize,
    alignCorners: true,
    halfPixelCenters: false,
  }),
  RESIZE_NEAREST_NEIGHBOR: graphOf("RESIZE_NEAREST_NEIGHBOR", image, {
    ...resize,
    alignCorners: false,
    halfPixelCenters: true,
  }),
};

describe("float32 as LiteRT.js 2.5.3 computes it without relaxed SIMD", () => {
  let liteRt: LiteRt;
  let profile: Profile;
  let kernels: Kernels[];
  beforeAll(async () => {
    liteRt = await startLiteRt("compat");
    profile = await findProfile("litert-js");
    kernels = await Promise.all(BUILDS.map(async (build) => bindKernels(await loadKernelModule(build))));
  });

  it.each(Object.entries(GRAPHS))("%s", async (_, graph) => {
    const { shape } = graph.tensors[0];
    const x = reals(elements(shape));
    const [expected] = await runLiteRt(liteRt, exportTflite(graph), [x], [shape]);
    for (const own of kernels) expect(compile(graph, profile, own).run([x], 1)[0]).toEqual(expected);
  });

  it.each(Object.entries(GRAPHS))("%s, of 0 and -0", async (_, graph) => {
    const { shape } = graph.tensors[0];
    const x = Float32Array.from({ length: elements(shape) }, (_, i) => (i % 3 === 0 ? 0 : -0));
    const [expected] = await runLiteRt(liteRt, exportTflite(graph), [x], [shape]);
    for (const own of kernels) expect(compile(graph, profile, own).run([x], 1)[0]).toEqual(expected);
  });
});
