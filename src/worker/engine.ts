import { bindKernels, type Kernels } from "../kernels/module.ts";

const PAGE = 65536;

/** The kernels of one isolate: one memory for all requests, so that it cannot grow with their number, and one at a time. */
export class Engine {
  readonly #module: WebAssembly.Module;
  readonly #pages: number;
  #kernels: Promise<Kernels> | undefined;
  #last: Promise<unknown> = Promise.resolve();

  constructor(module: WebAssembly.Module, memoryBytes: number) {
    this.#module = module;
    this.#pages = Math.floor(memoryBytes / PAGE);
  }

  /** Runs `task` after those before it; what it allocates is free afterwards. */
  run<T>(task: (kernels: Kernels) => T | Promise<T>): Promise<T> {
    const turn = this.#last.then(async () => {
      this.#kernels ??= bindKernels(this.#module, { maximumPages: this.#pages });
      const kernels = await this.#kernels;
      const mark = kernels.mark();
      try {
        return await task(kernels);
      } finally {
        kernels.release(mark);
      }
    });
    this.#last = turn.catch(() => {});
    return turn;
  }
}
