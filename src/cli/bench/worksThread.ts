/** A thread that does works: for the rows of two workers beside one. */
import { parentPort, workerData } from "node:worker_threads";
import { bindKernels } from "../../kernels/module.ts";
import { compile } from "../../model/compile.ts";
import type { Graph } from "../../model/graph.ts";
import type { Profile } from "../../profile/schema.ts";
import type { Work } from "./measure.ts";
import { peakWork } from "./peak.ts";

/** module: compiled once, shared by all. */
export interface WorksThreadData {
  module: WebAssembly.Module;
  graph: Graph;
  profile: Profile;
  input: Int8Array;
  count: number;
}

/** images: the network on all of the input. peak: see peakWork. left: runs to do, shared by the threads that are asked. */
export interface WorksOrder {
  work: "images" | "peak";
  left: Int32Array<SharedArrayBuffer>;
}

const { module, graph, profile, input, count } = workerData as WorksThreadData;
const plan = compile(graph, profile, await bindKernels(module));
const works: Record<WorksOrder["work"], Work> = {
  images: { run: () => plan.run([input], count) },
  peak: await peakWork(),
};
const port = parentPort!;

/** Takes one run after the other and replies when none is left. */
port.on("message", ({ work, left }: WorksOrder) => {
  while (Atomics.sub(left, 0, 1) > 0) works[work].run();
  port.postMessage(0);
});
port.postMessage(0);
