import { createHash } from "node:crypto";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { shippedProfiles } from "../../src/cli/profiles.ts";
import { BUILDS, loadKernelModule } from "../../src/cli/wasm.ts";
import { UnsupportedOpError } from "../../src/errors.ts";
import { type ModelVectors, parseModelVectors } from "../../src/import/modelVectors.ts";
import { importTflite } from "../../src/import/tflite/importTflite.ts";
import { RUNTIMES, verifyModel } from "../../src/import/verifyModel.ts";
import { bindKernels } from "../../src/kernels/module.ts";
import type { Graph } from "../../src/model/graph.ts";
import { parseProfile } from "../../src/profile/parse.ts";

/** Real models with what real runtimes computed from them; they do not come with the project. */
const MODELS = "../shared/models";

/** Models that run, byte for byte. */
const RUNS = [
  "cfu_magic_wand",
  "cfu_mnv2_160_035",
  "coral_mobilenet_v1_0.25_128_quant",
  "coral_split_concat",
  "litert_single_add_default_a16w8_recipe_quantized",
  "litert_single_add_default_a8w8_recipe_quantized",
  "litert_single_mul_default_a8w8_recipe_quantized",
  "mlperf_ad01_int8",
  "mlperf_ad_fullint_floatio",
  "mlperf_kws_int8",
  "mlperf_resnet8_float",
  "mlperf_resnet8_int8",
  "seanet_add0",
  "seanet_conv0",
  "seanet_leaky_relu0",
  "seanet_pad0",
  "seanet_quantize0",
  "tflm_hello_world_int8",
  "tflm_micro_speech",
  "tflm_person_detect",
  "tinyengine_mnist_lenet300",
];
/** uint8 models, which TFLM does not run. */
const ONLY_XNNPACK = ["coral_mobilenet_v1_0.25_128_quant", "coral_split_concat"];
const PROFILES = ["stm32l4r5-cmsis-nn", "litert-js"];

const folders = existsSync(MODELS)
  ? readdirSync(MODELS).filter((name) => existsSync(`${MODELS}/${name}/model.tflite`))
  : [];

function read(name: string): { graph: Graph; vectors: ModelVectors; bytes: Uint8Array } {
  const text = readFileSync(`${MODELS}/${name}/vectors.json`, "utf8");
  const bytes = readFileSync(`${MODELS}/${name}/model.tflite`);
  return { graph: importTflite(bytes, name), vectors: parseModelVectors(JSON.parse(text), name), bytes };
}

describe.skipIf(folders.length === 0)("the models of ../shared/models", () => {
  for (const name of folders)
    it(`${name} has the operators, tensors and quantization that its vectors name`, () => {
      const { graph, vectors, bytes } = read(name);
      expect(createHash("sha256").update(bytes).digest("hex")).toBe(vectors.model.sha256);
      const ops: Record<string, number> = {};
      for (const { op } of graph.nodes) ops[op] = (ops[op] ?? 0) + 1;
      expect(ops).toEqual(vectors.model.ops);
      const { inputs, outputs } = vectors.model;
      expect(graph.inputs).toEqual(inputs.map(({ index }) => index));
      expect(graph.outputs).toEqual(outputs.map(({ index }) => index));
      const dumped = vectors.intermediates.flatMap(({ tensors }) =>
        tensors.map(({ tensorName, ...tensor }) => ({ name: tensorName, ...tensor })),
      );
      for (const { name: tensorName, index, shape, dtype, scale, zeroPoint } of [
        ...inputs,
        ...outputs,
        ...dumped,
      ]) {
        const tensor = graph.tensors[index!];
        const { quantization } = tensor;
        expect({ name: tensor.name, shape: tensor.shape, dtype: tensor.dtype }).toEqual({
          name: tensorName,
          shape,
          dtype,
        });
        expect([quantization?.scale[0], quantization?.zeroPoint[0]]).toEqual([scale, zeroPoint]);
      }
    });

  it("has no model that is not run below", () =>
    expect(folders.filter((name) => !RUNS.includes(name))).toEqual([]));

  for (const name of RUNS.filter((known) => folders.includes(known)))
    for (const id of PROFILES)
      for (const build of BUILDS)
        it(`${name} on ${id} (${build}) gives every byte of its runtimes`, async () => {
          const { graph, vectors } = read(name);
          const kernels = await bindKernels(await loadKernelModule(build));
          const profile = (await shippedProfiles()).get(id)!;
          const reports = await verifyModel({ vectors, graph, profile, kernels });
          const runtimes = RUNTIMES[profile.arithmetic.ops.default.requantizer]!;
          expect(reports.map(({ runtime }) => runtime)).toEqual(
            runtimes.filter((runtime) => runtime in vectors.outputs),
          );
          for (const { samples, values, outputs, intermediates } of reports) {
            expect(samples).toBe(vectors.inputs.length);
            expect(values).toBeGreaterThan(0);
            expect([...outputs, ...intermediates]).toEqual([]);
          }
        });

  for (const name of RUNS.filter((known) => folders.includes(known) && !ONLY_XNNPACK.includes(known)))
    for (const build of BUILDS)
      it(`${name} rounded once (${build}) gives every byte of TFLM built so`, async () => {
        const { graph, vectors } = read(name);
        const kernels = await bindKernels(await loadKernelModule(build));
        const shipped = JSON.stringify((await shippedProfiles()).get(PROFILES[0]));
        const profile = parseProfile(shipped.replaceAll('"tflite-double"', '"tflite-single"'), "single");
        const runtimes = ["tflm_ref_single"];
        const [report] = await verifyModel({ vectors, graph, profile, kernels, runtimes });
        expect(report.samples).toBe(vectors.inputs.length);
        expect([...report.outputs, ...report.intermediates]).toEqual([]);
      });

  it.skipIf(!folders.includes("mlperf_kws_int8"))(
    "says which tensor differs first, where and by how much",
    async () => {
      const { graph, vectors } = read("mlperf_kws_int8");
      const [bias] = graph.nodes[8].inputs.slice(2);
      graph.tensors[bias].data = (graph.tensors[bias].data as Int32Array).map((value) => value + 4000);
      const kernels = await bindKernels(await loadKernelModule());
      const profile = (await shippedProfiles()).get(PROFILES[0])!;
      const [report] = await verifyModel({ vectors, graph, profile, kernels });
      expect(report.differing).toBeGreaterThan(0);
      expect(report.intermediates[0]).toMatchObject({ sample: "mlperf_kws_input0", index: 30, values: 8000 });
      expect(report.intermediates[0].largest).toBeGreaterThan(0);
    },
  );

  it.skipIf(!folders.includes("tflm_hello_world_int8"))(
    "rejects vectors that do not fit the graph",
    async () => {
      const { graph, vectors } = read("tflm_hello_world_int8");
      const kernels = await bindKernels(await loadKernelModule());
      const profile = (await shippedProfiles()).get(PROFILES[0])!;
      const run = (changed: Partial<ModelVectors>) =>
        verifyModel({ vectors: { ...vectors, ...changed }, graph, profile, kernels });
      await expect(run({ stateful: true })).rejects.toThrow(UnsupportedOpError);
      await expect(run({ inputs: [] })).rejects.toThrow(/tflm_ref_double: expected 0 samples, got \d+$/);
      await expect(
        run({ outputs: { tflm_ref_double: { runtime: "", sameAs: "tflm_ref_double" } } }),
      ).rejects.toThrow("outputs.tflm_ref_double: expected samples, got none");
    },
  );
});
