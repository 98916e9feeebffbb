/** ONNX Runtime Web (wasm, SIMD, one thread) as a peer. */
import type { TensorData } from "../../model/graph.ts";
import type { Work } from "./measure.ts";

export interface OnnxRuntimePeer {
  version: string;
  /** keepInt8: int8 activations stay what they are; else it makes uint8 of them when it loads a model. */
  work(
    file: Uint8Array,
    input: { name: string; type: "int8" | "uint8"; data: TensorData; shape: readonly number[] },
    keepInt8: boolean,
  ): Promise<Work>;
}

/** The peer, or why there is none. */
export async function startOnnxRuntime(): Promise<OnnxRuntimePeer | string> {
  const ort = await import("onnxruntime-web").catch(() => undefined);
  if (!ort) return "onnxruntime-web is not installed";
  ort.env.wasm.numThreads = 1;
  ort.env.logLevel = "error";
  return {
    version: ort.env.versions.web ?? "",
    async work(file, { name, type, data, shape }, keepInt8) {
      const session = await ort.InferenceSession.create(file, {
        executionProviders: ["wasm"],
        extra: { session: { qdqisint8allowed: keepInt8 ? "1" : "0" } },
      });
      const feeds = { [name]: new ort.Tensor(type, data as never, shape) };
      return { run: () => session.run(feeds) };
    },
  };
}
