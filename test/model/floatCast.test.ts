/** CAST between every two types that a Graph's activations have, beside LiteRT.js and ONNX Runtime, bit for bit. */
import { beforeAll, describe, expect, it } from "vitest";
import { findProfile } from "../../src/cli/profiles.ts";
import { BUILDS, loadKernelModule } from "../../src/cli/wasm.ts";
import { exportTflite } from "../../src/export/tflite.ts";
import { DATA_TYPES } from "../../src/import/onnx/schema.ts";
import { importTflite } from "../../src/import/tflite/importTflite.ts";
import type { CastType } from "../../src/kernels/cast.ts";
import { bindKernels, type Kernels } from "../../src/kernels/module.ts";
import { compile, type Values } from "../../src/model/compile.ts";
import { elements, type Graph, type Node } from "../../src/model/graph.ts";
import { seededRandom } from "../../src/random.ts";
import { type LiteRt, runLiteRt, startLiteRt } from "../export/liteRt.ts";
import { model, node } from "../import/onnxModels.ts";
import { describeBesideOrt, expectEqual } from "../import/onnxRuntime.ts";
import { convolution } from "./floatGraphs.ts";

const ARRAYS = {
  int8: Int8Array,
  uint8: Uint8Array,
  int16: Int16Array,
  int32: Int32Array,
  float32: Float32Array,
};
const TYPES = Object.keys(ARRAYS) as CastType[];
const WHOLE = TYPES.filter((type) => type !== "float32");

/** Each end of each type and its neighbours, halves, and what no type holds; then random ones of every size. */
const ENDS = [0, 127, 128, 255, 256, 32767, 32768, 65535, 65536, 2 ** 24, 2 ** 31, 2 ** 32, 2 ** 33]
  .flatMap((end) => [end - 1, end - 0.5, end, end + 0.5, end + 1])
  .flatMap((value) => [value, -value]);
const random = seededRandom(23);
const REALS = Float32Array.from([
  ...[...ENDS, Number.NaN, Infinity, -Infinity, -0, 0.999, -0.999, 1e-42, 3e38, -3e38],
  ...Array.from({ length: 800 }, () => (random.uniform() * 2 - 1) * 2 ** (random.uniform() * 40 - 4)),
]);

/** The same numbers in a type, as a runtime's own conversion would not be needed for. */
const valuesOf = (type: CastType): Values =>
  type === "float32"
    ? REALS
    : new ARRAYS[type](REALS.map((value) => (Number.isFinite(value) ? Math.trunc(value) : 0)));

const kernelsOfBuilds = () =>
  Promise.all(BUILDS.map(async (build) => bindKernels(await loadKernelModule(build))));

describeBesideOrt("Cast", (beside) => {
  const pairs = TYPES.flatMap((from) => TYPES.filter((to) => to !== from).map((to) => [from, to] as const));

  it.each(pairs)("from %s to %s", async (from, to) => {
    const x = valuesOf(from);
    const bytes = model({
      inputs: { x: [from, [1, x.length]] },
      outputs: { y: [to, [1, x.length]] },
      nodes: [node("Cast", "x", "y", { to: DATA_TYPES[to] })],
    });
    await expectEqual(beside, bytes, { x: [from, [1, x.length], x] });
  });
});

/** CASTs from float32 through some types and back, as LiteRT.js has no others at a model's ends. */
function through(types: readonly CastType[]): Graph {
  const dtypes: CastType[] = ["float32", ...types, "float32"];
  const shape = [1, REALS.length];
  const nodes = dtypes.slice(1).map((to, i): Node => {
    return { op: "CAST", name: `${i} to ${to}`, inputs: [i], outputs: [i + 1], attributes: {} };
  });
  const tensors = dtypes.map((dtype, i) => ({ name: `${i}`, shape, dtype }));
  return { name: types.join(), tensors, nodes, inputs: [0], outputs: [nodes.length] };
}

describe("CAST as LiteRT.js 2.5.3 computes it", () => {
  let liteRt: LiteRt;
  let kernels: Kernels[];
  beforeAll(async () => {
    liteRt = await startLiteRt("compat");
    kernels = await kernelsOfBuilds();
  });

  const chains = WHOLE.flatMap((first) => [
    [first],
    ...WHOLE.filter((second) => second !== first).map((second) => [first, second]),
  ]);
  it.each(chains)("from float32 to %s, %s and back", async (...types) => {
    const graph = through(types);
    const file = exportTflite(graph);
    const [expected] = await runLiteRt(liteRt, file, [REALS], [graph.tensors[0].shape]);
    const profile = await findProfile("litert-js");
    for (const own of kernels)
      expect(compile(importTflite(file, "file"), profile, own).run([REALS], 1)[0]).toEqual(expected);
  });

  it("a uint8 image into a float32 network", async () => {
    const { tensors, nodes } = convolution(8, 3, 10, 3);
    const shape = tensors[0].shape;
    const cast: Node = { op: "CAST", name: "cast", inputs: [tensors.length], outputs: [0], attributes: {} };
    const image = { name: "image", shape, dtype: "uint8" as const };
    const graph: Graph = {
      name: "image",
      tensors: [...tensors, image],
      nodes: [cast, ...nodes],
      inputs: [tensors.length],
      outputs: [tensors.length - 1],
    };
    const x = Uint8Array.from({ length: elements(shape) }, () => random.below(256));
    const file = exportTflite(graph);
    const [expected] = await runLiteRt(liteRt, file, [x], [shape]);
    const profile = await findProfile("litert-js");
    for (const own of kernels)
      expect(compile(importTflite(file, "file"), profile, own).run([x], 1)[0]).toEqual(expected);
  });
});
