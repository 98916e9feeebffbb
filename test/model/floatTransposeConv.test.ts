/** float32 TRANSPOSE_CONV of seeded sizes, strides and pads beside LiteRT.js and ONNX Runtime, bit for bit. */
import { beforeAll, describe, expect, it } from "vitest";
import { findProfile } from "../../src/cli/profiles.ts";
import { BUILDS, loadKernelModule } from "../../src/cli/wasm.ts";
import { exportTflite } from "../../src/export/tflite.ts";
import { importTflite } from "../../src/import/tflite/importTflite.ts";
import { bindKernels, type Kernels } from "../../src/kernels/module.ts";
import { compile } from "../../src/model/compile.ts";
import { elements, type Graph } from "../../src/model/graph.ts";
import { seededRandom } from "../../src/random.ts";
import { type LiteRt, runLiteRt, startLiteRt } from "../export/liteRt.ts";
import { model, node, tensor } from "../import/onnxModels.ts";
import { describeBesideOrt, expectEqualOrRefused } from "../import/onnxRuntime.ts";
import { between, pick } from "../kernels/cases.ts";
import { graphOf, reals } from "./floatGraphs.ts";

const CASES = 60;
const SEEDS = Array.from({ length: CASES }, (_, seed) => seed);

const kernelsOfBuilds = () =>
  Promise.all(BUILDS.map(async (build) => bindKernels(await loadKernelModule(build))));

/** XNNPACK takes filters at least as large as their strides, VALID ones of any stride. */
function tfliteGraph(seed: number): Graph {
  const random = seededRandom(seed);
  const [filterHeight, filterWidth] = [between(random, 1, 5), between(random, 1, 4)];
  const padding = pick(random, "SAME" as const, "VALID" as const);
  const stride = (filter: number) => between(random, 1, padding === "SAME" ? Math.min(filter, 3) : 3);
  const [strideHeight, strideWidth] = [stride(filterHeight), stride(filterWidth)];
  const [height, width, depth] = [between(random, 1, 6), between(random, 1, 6), pick(random, 1, 3, 4, 8, 17)];
  const outputs = pick(random, 1, 2, 3, 7, 8, 9, 16, 20);
  const size = (input: number, filter: number, step: number) =>
    padding === "SAME" ? input * step - random.below(step) : (input - 1) * step + filter + random.below(step);
  const outputShape = [
    1,
    size(height, filterHeight, strideHeight),
    size(width, filterWidth, strideWidth),
    outputs,
  ];
  const attributes = { strideHeight, strideWidth, padding, outputShape };
  const activation = pick(random, "NONE" as const, "NONE" as const, "RELU" as const, "RELU6" as const);
  const filter = [outputs, filterHeight, filterWidth, depth];
  const constants = random.below(4) === 0 ? [filter] : [filter, [outputs]];
  return graphOf("TRANSPOSE_CONV", [1, height, width, depth], { ...attributes, activation }, constants);
}

/** As many channels as blocks of MLAS's sums tell apart. */
function onnxModel(seed: number): { bytes: Uint8Array; shape: number[] } {
  const random = seededRandom(seed);
  const shape = [
    1,
    pick(random, 1, 3, 8, 17, 130, 300, 600),
    pick(random, 1, 3, 7, 12),
    between(random, 1, 12),
  ];
  const kernel = [pick(random, 1, 2, 3, 4), between(random, 1, 3)];
  const strides = [pick(random, 1, 2, 2, 3), between(random, 1, 3)];
  const pads = [...kernel, ...kernel].map((filter) => random.below(filter));
  const attributes = {
    kernel_shape: kernel,
    strides,
    pads,
    output_padding: strides.map((s) => random.below(s)),
  };
  const filter = [shape[1], pick(random, 1, 1, 2, 9), ...kernel];
  const constants: Record<string, number[]> = { w: filter, ...(random.below(3) > 0 && { b: [filter[1]] }) };
  const isCut = [0, 1].some((a) => strides[a] * (shape[a + 2] - 1) + kernel[a] <= pads[a] + pads[a + 2]);
  if (isCut) attributes.pads = [0, 0, 0, 0];
  const bytes = model({
    inputs: { x: ["float32", shape] },
    outputs: { y: ["float32", ["?", "?", "?", "?"]] },
    nodes: [node("ConvTranspose", ["x", ...Object.keys(constants)].join(" "), "y", attributes)],
    constants: Object.entries(constants).map(([name, dims]) =>
      tensor(name, "float32", dims, reals(elements(dims))),
    ),
  });
  return { bytes, shape };
}

describe("float32 TRANSPOSE_CONV as LiteRT.js 2.5.3 computes it without relaxed SIMD", () => {
  let liteRt: LiteRt;
  let kernels: Kernels[];
  beforeAll(async () => {
    liteRt = await startLiteRt("compat");
    kernels = await kernelsOfBuilds();
  });

  it.each(SEEDS)("of seed %i", async (seed) => {
    const graph = tfliteGraph(seed);
    const file = exportTflite(graph);
    const { shape } = graph.tensors[0];
    const x = reals(elements(shape));
    const [expected] = await runLiteRt(liteRt, file, [x], [shape]);
    const profile = await findProfile("litert-js");
    for (const own of kernels)
      expect(compile(importTflite(file, "file"), profile, own).run([x], 1)[0]).toEqual(expected);
  });
});

describeBesideOrt("ConvTranspose", (beside) => {
  it.each(SEEDS)("of seed %i", async (seed) => {
    const { bytes, shape } = onnxModel(seed);
    const x = reals(elements(shape));
    // The products of a tap are summed before others come to them, so that an infinity reaches few outputs.
    if (seed % 3 === 0) x[0] = pick(seededRandom(seed), Number.NaN, Infinity, 3e38, 1e-42);
    const reason = shape[2] * shape[3] === 1 ? "sums an image of one pixel in eight parts" : undefined;
    await expectEqualOrRefused(beside, reason, bytes, { x: ["float32", shape, x] });
  });
});
