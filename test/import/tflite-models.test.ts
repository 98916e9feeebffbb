import { createHash } from "node:crypto";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { shippedProfiles } from "../../src/cli/profiles.ts";
import { BUILDS, loadKernelModule } from "../../src/cli/wasm.ts";
import { ModelFormatError, UnsupportedOpError } from "../../src/errors.ts";
import { type ModelVectors, parseModelVectors } from "../../src/import/modelVectors.ts";
import { importTflite } from "../../src/import/tflite/importTflite.ts";
import { verifyModel } from "../../src/import/verifyModel.ts";
import { bindKernels } from "../../src/kernels/module.ts";
import type { Graph } from "../../src/model/graph.ts";

/** Real models with what real runtimes computed from them; they do not come with the project. */
const MODELS = "../shared/models";

/** Models that run on integer profiles, byte for byte; the rest import, and compile() names what it lacks. */
const RUNS = [
  "cfu_magic_wand",
  "cfu_mnv2_160_035",
  "litert_single_add_default_a16w8_recipe_quantized",
  "litert_single_add_default_a8w8_recipe_quantized",
  "litert_single_mul_default_a8w8_recipe_quantized",
  "mlperf_ad01_int8",
  "mlperf_ad_fullint_floatio",
  "mlperf_kws_int8",
  "mlperf_resnet8_int8",
  "seanet_add0",
  "seanet_conv0",
  "seanet_leaky_relu0",
  "seanet_pad0",
  "seanet_quantize0",
  "tflm_hello_world_int8",
  "tflm_micro_speech",
  "tflm_person_detect",
];
/** Those of them with int16 activations. */
const INT16 = [
  "litert_single_add_default_a16w8_recipe_quantized",
  "seanet_add0",
  "seanet_conv0",
  "seanet_leaky_relu0",
  "seanet_pad0",
  "seanet_quantize0",
];
const REFUSED: Record<string, string> = {
  coral_mobilenet_v1_0_25_128_quant: "needs int8, is uint8",
  coral_split_concat: "no integer kernel",
  mlperf_resnet8_float: "needs int8, is float32",
  tinyengine_mnist_lenet300: "6 LOG_SOFTMAX 83: no integer kernel",
};
const PROFILES = ["stm32l4r5-cmsis-nn", "android-litert-xnnpack"];

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

  it("has no model that is neither run nor refused below", () =>
    expect(folders.filter((name) => !RUNS.includes(name) && !(name.replaceAll(".", "_") in REFUSED))).toEqual(
      [],
    ));

  for (const name of RUNS.filter((known) => folders.includes(known)))
    for (const id of PROFILES)
      for (const build of BUILDS)
        it(`${name} on ${id} (${build}) gives every byte of its runtimes`, async () => {
          const { graph, vectors } = read(name);
          const kernels = await bindKernels(await loadKernelModule(build));
          const profile = (await shippedProfiles()).get(id)!;
          const reports = await verifyModel({ vectors, graph, profile, kernels });
          expect(reports.length).toBe(2);
          for (const { samples, values, outputs, intermediates } of reports) {
            expect(samples).toBe(vectors.inputs.length);
            expect(values).toBeGreaterThan(0);
            expect([...outputs, ...intermediates]).toEqual([]);
          }
        });

  for (const name of INT16.filter((known) => folders.includes(known)))
    for (const build of BUILDS)
      it(`${name} rounded once (${build}) gives every byte of TFLM built so`, async () => {
        const { graph, vectors } = read(name);
        const kernels = await bindKernels(await loadKernelModule(build));
        const shipped = (await shippedProfiles()).get(PROFILES[0])!;
        const profile = structuredClone(shipped);
        Object.assign(profile.arithmetic.ops.int16!, {
          requantizer: "tflite-single",
          sum32: "tflite-single",
        });
        const runtimes = ["tflm_ref_single"];
        const [report] = await verifyModel({ vectors, graph, profile, kernels, runtimes });
        expect(report.samples).toBe(vectors.inputs.length);
        expect([...report.outputs, ...report.intermediates]).toEqual([]);
      });

  for (const name of folders.filter((known) => known.replaceAll(".", "_") in REFUSED))
    it(`${name} is refused by name`, async () => {
      const { graph, vectors } = read(name);
      const kernels = await bindKernels(await loadKernelModule());
      const profile = (await shippedProfiles()).get(PROFILES[0])!;
      const error = await verifyModel({ vectors, graph, profile, kernels }).catch((caught) => caught);
      expect(error).toBeInstanceOf(UnsupportedOpError);
      expect(error.message).toContain(REFUSED[name.replaceAll(".", "_")]);
    });

  for (const id of PROFILES)
    it.skipIf(!folders.includes("tinyengine_mnist_lenet300"))(
      `tinyengine_mnist_lenet300 before its LOG_SOFTMAX gives every byte of its runtimes on ${id}`,
      async () => {
        const { graph, vectors } = read("tinyengine_mnist_lenet300");
        const nodes = graph.nodes.slice(0, -1);
        const outputs = nodes.at(-1)!.outputs;
        const dumps = vectors.intermediates.map((dump) => ({
          ...dump,
          tensors: dump.tensors.filter(({ index }) => nodes.some((node) => node.outputs[0] === index)),
        }));
        const runtime = id === PROFILES[0] ? "tflm_ref_double" : "litert_xnnpack";
        const samples = dumps
          .filter((dump) => dump.runtime === runtime)
          .map(({ tensors }) => [tensors.find(({ index }) => index === outputs[0])!.base64!]);
        const cut = { ...vectors, intermediates: dumps, outputs: { [runtime]: { runtime, samples } } };
        const kernels = await bindKernels(await loadKernelModule());
        const profile = (await shippedProfiles()).get(id)!;
        const options = { vectors: cut, graph: { ...graph, nodes, outputs }, profile, kernels };
        const [report] = await verifyModel(options);
        expect(report.samples).toBe(samples.length);
        expect(report.intermediateTensors).toBe(6 * samples.length);
        expect([...report.outputs, ...report.intermediates]).toEqual([]);
      },
    );

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
      await expect(run({ stateful: true })).rejects.toThrow(ModelFormatError);
      await expect(run({ inputs: [] })).rejects.toThrow("sample 0: expected 1 inputs, got 0");
      await expect(
        run({ outputs: { tflm_ref_double: { runtime: "", sameAs: "tflm_ref_double" } } }),
      ).rejects.toThrow("outputs.tflm_ref_double: expected samples, got none");
    },
  );
});
