import { type BackendWasm, setWasmPaths } from "@tensorflow/tfjs-backend-wasm";
import * as tf from "@tensorflow/tfjs-core";
import { BLOCK_BYTES, type Block, type BlockName, PARAMETER_BLOCKS, type TrainKernels } from "./kernels.ts";
import { registerKernels } from "./register.ts";

/** tfjs's wasm backend with our kernels bound to its memory. One a thread: tfjs keeps its state in module globals. */
export class FloatBackend {
  readonly tfjs: BackendWasm;
  readonly kernels: TrainKernels;
  readonly memory: WebAssembly.Memory;
  #block: tf.TensorInfo;
  #scratch: tf.TensorInfo;
  #scratchBytes = 0;

  constructor(tfjs: BackendWasm, kernels: TrainKernels, memory: WebAssembly.Memory) {
    this.tfjs = tfjs;
    this.kernels = kernels;
    this.memory = memory;
    this.#block = tfjs.makeOutput([(2 * BLOCK_BYTES) / 4], "int32");
    this.#scratch = tfjs.makeOutput([1], "int32");
  }

  /** Where a tensor's values begin in the memory. Valid as long as the tensor. */
  pointer(tensor: { dataId: tf.DataId }): number {
    return this.tfjs.dataIdMap.get(tensor.dataId).memoryOffset;
  }

  /** Writes a parameter block and returns its address, valid until the next call. */
  params<Name extends BlockName>(name: Name, values: Block<Name>): number {
    const pointer = this.pointer(this.#block);
    const view = new Int32Array(this.memory.buffer, pointer, BLOCK_BYTES / 4);
    const fields: readonly (keyof Block<Name>)[] = PARAMETER_BLOCKS[name];
    for (let i = 0; i < fields.length; i++) view[i] = values[fields[i]];
    return pointer;
  }

  /** The address of at least `bytes` bytes that nobody else uses until the next call. */
  scratch(bytes: number): number {
    if (bytes > this.#scratchBytes) {
      this.tfjs.disposeData(this.#scratch.dataId);
      this.#scratchBytes = bytes + 4096;
      this.#scratch = this.tfjs.makeOutput([Math.ceil(this.#scratchBytes / 4)], "float32");
    }
    return this.pointer(this.#scratch);
  }

  bytes(pointer: number, length: number): Uint8Array {
    return new Uint8Array(this.memory.buffer, pointer, length);
  }

  floats(pointer: number, length: number): Float32Array {
    return new Float32Array(this.memory.buffer, pointer, length);
  }
}

/** Emscripten's exports, which hold tfjs's memory; not in tfjs's types. */
type WithExports = { wasm: { asm: { memory: WebAssembly.Memory } } };

let started: Promise<FloatBackend> | undefined;

async function start(trainModule: WebAssembly.Module): Promise<FloatBackend> {
  // Threads would make sums depend on their number, and their memory is of another type than ours.
  tf.env().set("WASM_HAS_MULTITHREAD_SUPPORT", false);
  if (!(await tf.setBackend("wasm"))) throw new Error("tfjs: expected its wasm backend to start, it did not");
  await tf.ready();
  const tfjs = tf.backend() as BackendWasm;
  const { memory } = (tfjs as unknown as WithExports).wasm.asm;
  const instance = await WebAssembly.instantiate(trainModule, { env: { memory } });
  const backend = new FloatBackend(tfjs, instance.exports as unknown as TrainKernels, memory);
  registerKernels(backend);
  return backend;
}

/**
 * Starts tfjs's wasm backend, single-threaded, and registers the kernels of `trainModule` (assembly/train.ts) on it.
 * wasmDirectory: where tfjs's own .wasm files lie, with the final slash; absent, tfjs finds them beside itself (Node).
 * Later calls in one thread return the first call's backend.
 */
export function startBackend(
  trainModule: WebAssembly.Module,
  options: { wasmDirectory?: string } = {},
): Promise<FloatBackend> {
  if (options.wasmDirectory !== undefined && !started) setWasmPaths(options.wasmDirectory);
  started ??= start(trainModule);
  return started;
}
