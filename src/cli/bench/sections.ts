/** What `blindspot bench` runs, each section in a process of its own: peers change what they are loaded into. */
import type { BenchRow } from "./row.ts";

export interface Section {
  /** The heading of its rows. */
  title: string;
  /** models: the directory of model files, which may be absent. */
  run(models: string): Promise<BenchRow[]>;
}

export const SECTIONS: Record<string, Section> = {
  models: {
    title: "integer models beside LiteRT.js, CPU time of one thread",
    run: async (models) => (await import("./models.ts")).benchModels(models),
  },
  onnx: {
    title: "QDQ models beside ONNX Runtime Web, CPU time of one thread",
    run: async (models) => (await import("./onnx.ts")).benchOnnx(models),
  },
  kernels: {
    title: "kernels beside the machine's bound, their int8 and their scalar build",
    run: async () => (await import("./kernels.ts")).benchKernels(),
  },
  workers: {
    title: "two threads beside one, one compiled module",
    run: async () => (await import("./workers.ts")).benchWorkers(),
  },
  training: {
    title: "float side, CPU time of one thread",
    run: async () => (await import("./training.ts")).benchTraining(),
  },
  memory: {
    title: "memory",
    run: async () => (await import("./footprint.ts")).benchMemory(),
  },
  start: {
    title: "start and size",
    run: async () => {
      const { benchSizes, benchStart } = await import("./footprint.ts");
      return [...(await benchStart()), ...(await benchSizes())];
    },
  },
};
