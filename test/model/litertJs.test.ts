import { readFileSync } from "node:fs";
import { beforeAll, describe, expect, it } from "vitest";
import { findProfile } from "../../src/cli/profiles.ts";
import { BUILDS, loadKernelModule } from "../../src/cli/wasm.ts";
import { importTflite } from "../../src/import/tflite/importTflite.ts";
import { bindKernels, type Kernels } from "../../src/kernels/module.ts";
import { compile } from "../../src/model/compile.ts";
import type { Graph } from "../../src/model/graph.ts";
import type { Profile } from "../../src/profile/schema.ts";

/** One op a model, float32 at both ends; what LiteRT.js made of each is in the file, with its version and command. */
interface Golden {
  cases: { name: string; model: string; inputs: string[]; output: string }[];
}
const { cases } = JSON.parse(readFileSync(new URL("litertJs.json", import.meta.url), "utf8")) as Golden;

const bytesOf = (text: string) => new Uint8Array(Buffer.from(text, "base64"));

/** Real values of the codes of the quantized tensor that a QUANTIZE makes of graph input i. */
function realInput(graph: Graph, i: number, text: string): Float32Array {
  const node = graph.nodes.find(({ inputs }) => inputs[0] === graph.inputs[i])!;
  const { dtype, quantization } = graph.tensors[node.outputs[0]];
  const codes = dtype === "int8" ? new Int8Array(bytesOf(text).buffer) : bytesOf(text);
  return Float32Array.from(codes, (code) => quantization!.scale[0] * (code - quantization!.zeroPoint[0]));
}

describe.each(BUILDS)("ops as LiteRT.js 2.5.3 computes them, in the %s build", (build) => {
  let kernels: Kernels;
  let profile: Profile;
  beforeAll(async () => {
    kernels = await bindKernels(await loadKernelModule(build));
    profile = await findProfile("android-litert-xnnpack");
  });

  it.each(cases)("$name", ({ name, model, inputs, output }) => {
    const mark = kernels.mark();
    const graph = importTflite(bytesOf(model), name);
    const plan = compile(graph, profile, kernels, { keep: "all" });
    plan.run(
      inputs.map((text, i) => realInput(graph, i, text)),
      1,
    );
    const quantized = graph.nodes.at(-1)!.inputs[0];
    const codes = plan.view(quantized, 1);
    expect(new Uint8Array(codes.buffer, codes.byteOffset, codes.length)).toEqual(bytesOf(output));
    kernels.release(mark);
  });
});
