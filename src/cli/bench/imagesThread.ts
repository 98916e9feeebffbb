/** A thread that runs images: for the row of two workers beside one. */
import { parentPort, workerData } from "node:worker_threads";
import { bindKernels } from "../../kernels/module.ts";
import { compile } from "../../model/compile.ts";
import type { Graph } from "../../model/graph.ts";
import type { Profile } from "../../profile/schema.ts";
import { cpuMilliseconds } from "./measure.ts";

/** module: compiled once, shared by all. */
export interface ImagesThreadData {
  module: WebAssembly.Module;
  graph: Graph;
  profile: Profile;
  input: Int8Array;
  count: number;
}

const { module, graph, profile, input, count } = workerData as ImagesThreadData;
const plan = compile(graph, profile, await bindKernels(module));
const port = parentPort!;

/** So many runs; replies with their CPU time. */
port.on("message", (runs: number) => {
  const start = cpuMilliseconds();
  for (let i = 0; i < runs; i++) plan.run([input], count);
  port.postMessage(cpuMilliseconds() - start);
});
port.postMessage(0);
