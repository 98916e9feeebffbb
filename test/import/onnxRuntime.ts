/** ONNX Runtime (onnxruntime-web, wasm, one thread) as a live oracle. */
import * as ort from "onnxruntime-web";
import type { TensorData } from "../../src/model/graph.ts";

ort.env.wasm.numThreads = 1;
ort.env.logLevel = "error";

type Feed = readonly [type: ort.Tensor.Type, dims: readonly number[], data: TensorData];

/** Every output of the model by name. optimize: with ORT's graph fusions, or node by node. */
export async function runOrt(
  bytes: Uint8Array,
  feeds: Record<string, Feed>,
  optimize = true,
): Promise<Record<string, { dims: readonly number[]; data: TensorData }>> {
  const session = await ort.InferenceSession.create(bytes, {
    executionProviders: ["wasm"],
    graphOptimizationLevel: optimize ? "all" : "disabled",
    logSeverityLevel: 3,
  });
  const tensors = Object.fromEntries(
    Object.entries(feeds).map(([name, [type, dims, data]]) => [
      name,
      new ort.Tensor(type, data as never, dims),
    ]),
  );
  const outputs = await session.run(tensors);
  await session.release();
  return Object.fromEntries(
    Object.entries(outputs).map(([name, { dims, data }]) => [name, { dims, data: data as TensorData }]),
  );
}
