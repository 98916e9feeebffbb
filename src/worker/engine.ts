import { bindKernels, type Kernels } from "../kernels/module.ts";

const PAGE = 65536;

/** Lets the runtime see to its connections. */
export const tick = () => new Promise<void>((resolve) => setTimeout(resolve, 0));

/** The kernels of one isolate: one memory for all requests, so that it cannot grow with their number, and one at a time.
 * No request waits for a promise of another: where that one is broken off, a Workers runtime would never keep it. */
export class Engine {
  readonly #module: WebAssembly.Module;
  readonly #pages: number;
  #kernels: Kernels | undefined;
  #busy = false;

  constructor(module: WebAssembly.Module, memoryBytes: number) {
    this.#module = module;
    this.#pages = Math.floor(memoryBytes / PAGE);
  }

  /** Runs `task` when no other runs, after a turn for the connections; what it allocates is free afterwards. */
  async run<T>(task: (kernels: Kernels) => T | Promise<T>): Promise<T> {
    const bound = this.#kernels ?? (await bindKernels(this.#module, { maximumPages: this.#pages }));
    this.#kernels ??= bound;
    const kernels = this.#kernels;
    do await tick();
    while (this.#busy);
    this.#busy = true;
    const mark = kernels.mark();
    try {
      return await task(kernels);
    } finally {
      kernels.release(mark);
      this.#busy = false;
    }
  }
}
