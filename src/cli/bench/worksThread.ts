/** A thread that does works: for the rows of two workers beside one. */
import { parentPort, workerData } from "node:worker_threads";
import { bindKernels } from "../../kernels/module.ts";
import { compile } from "../../model/compile.ts";
import type { Graph } from "../../model/graph.ts";
import type { Profile } from "../../profile/schema.ts";
import { cpuMilliseconds, type Work } from "./measure.ts";
import { peakWork } from "./peak.ts";

/** module: compiled once, shared by all. */
export interface WorksThreadData {
  module: WebAssembly.Module;
  graph: Graph;
  profile: Profile;
  input: Int8Array;
  count: number;
}

/** images: the network on all of the input. peak: see peakWork. */
export interface WorksOrder {
  work: "images" | "peak";
  runs: number;
}

const { module, graph, profile, input, count } = workerData as WorksThreadData;
const plan = compile(graph, profile, await bindKernels(module));
const works: Record<WorksOrder["work"], Work> = {
  images: { run: () => plan.run([input], count) },
  peak: await peakWork(),
};
const port = parentPort!;

/** Replies with the CPU time of the runs, in milliseconds. */
port.on("message", ({ work, runs }: WorksOrder) => {
  const start = cpuMilliseconds();
  for (let i = 0; i < runs; i++) works[work].run();
  port.postMessage(cpuMilliseconds() - start);
});
port.postMessage(0);
