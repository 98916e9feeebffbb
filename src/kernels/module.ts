/** The wasm kernels on one memory of their own, with a bump allocator. */

export type KernelExports = Record<string, (params: number) => void>;

export interface Kernels {
  readonly memory: WebAssembly.Memory;
  readonly exports: KernelExports;
  /** Address of `bytes` fresh bytes, 16-aligned, not cleared. Grows the memory, so views taken before may be detached. */
  allocate(bytes: number): number;
  /** Allocates and copies. */
  place(data: ArrayBufferView): number;
  /** What is allocated now; `release(mark)` frees everything allocated since. */
  mark(): number;
  release(mark: number): void;
}

export interface KernelOptions {
  /** Pages of 64 KiB. The maximum is a cap as a device or a Worker has one (128 MB: 2048). */
  initialPages?: number;
  maximumPages?: number;
}

const PAGE = 65536;
const ALIGNMENT = 16;

/**
 * Instantiates a compiled kernel module (build/kernels.simd.wasm or build/kernels.scalar.wasm).
 * @throws RangeError by `allocate`, where the memory cannot grow to hold what is asked.
 */
export async function bindKernels(module: WebAssembly.Module, options: KernelOptions = {}): Promise<Kernels> {
  const { initialPages = 16, maximumPages = 16384 } = options;
  const memory = new WebAssembly.Memory({ initial: initialPages, maximum: maximumPages });
  const instance = await WebAssembly.instantiate(module, { env: { memory, abort } });
  const { heap_base, ...exports } = instance.exports as unknown as KernelExports & { heap_base(): number };
  let top = align(heap_base());
  const allocate = (bytes: number) => {
    const address = top;
    const end = align(address + bytes);
    const missing = Math.ceil((end - memory.buffer.byteLength) / PAGE);
    if (missing > 0) grow(memory, missing, maximumPages, bytes);
    top = end;
    return address;
  };
  return {
    memory,
    exports,
    allocate,
    place: (data) => {
      const address = allocate(data.byteLength);
      const bytes = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
      new Uint8Array(memory.buffer, address, data.byteLength).set(bytes);
      return address;
    },
    mark: () => top,
    release: (mark) => {
      top = mark;
    },
  };
}

function align(address: number): number {
  return Math.ceil(address / ALIGNMENT) * ALIGNMENT;
}

function grow(memory: WebAssembly.Memory, pages: number, maximumPages: number, bytes: number): void {
  const held = memory.buffer.byteLength / PAGE;
  const refuse = (cause?: unknown) => {
    const message = `kernel memory: ${bytes} more bytes do not fit in ${maximumPages} pages of 64 KiB (${held} held)`;
    throw new RangeError(message, { cause });
  };
  if (held + pages > maximumPages) refuse();
  try {
    memory.grow(pages);
  } catch (error) {
    refuse(error);
  }
}

function abort(): never {
  throw new Error("wasm kernel aborted");
}
