/** Two worker threads beside one, on one compiled module: data parallel. */
import { once } from "node:events";
import { Worker } from "node:worker_threads";
import { cliModule } from "../package.ts";
import { findProfile } from "../profiles.ts";
import { loadKernelModule } from "../wasm.ts";
import type { ImagesThreadData } from "./imagesThread.ts";
import { summarize } from "./measure.ts";
import { inputOf } from "./models.ts";
import { integerNetwork } from "./networks.ts";
import { type BenchRow, round } from "./row.ts";

const IMAGES = 32;
const RUNS = 40;
const ROUNDS = 11;

/** images/s of all threads by the wall clock, and by the CPU time of the slowest, which other programs disturb less. */
async function speed(threads: readonly Worker[]): Promise<{ wall: number; cpu: number }> {
  const start = performance.now();
  const replies = threads.map((thread) => once(thread, "message"));
  for (const thread of threads) thread.postMessage(RUNS);
  const times = (await Promise.all(replies)).map(([ms]) => ms as number);
  const images = 1000 * threads.length * RUNS * IMAGES;
  return { wall: images / (performance.now() - start), cpu: images / Math.max(...times) };
}

export async function benchWorkers(): Promise<BenchRow[]> {
  const graph = integerNetwork("resnet8");
  const workerData: ImagesThreadData = {
    module: await loadKernelModule(),
    graph,
    profile: await findProfile("litert-js"),
    input: inputOf(graph, IMAGES) as Int8Array,
    count: IMAGES,
  };
  const threads = [1, 2].map(() => new Worker(cliModule("bench/imagesThread"), { workerData }));
  await Promise.all(threads.map((thread) => once(thread, "message")));
  const works = { one: threads.slice(0, 1), two: threads };
  for (let i = 0; i < 2; i++) await speed(works.two);
  const samples = { one: [] as { wall: number; cpu: number }[], two: [] as { wall: number; cpu: number }[] };
  for (let i = 0; i < ROUNDS; i++)
    for (const name of ["one", "two"] as const) samples[name].push(await speed(works[name]));
  await Promise.all(threads.map((thread) => thread.terminate()));
  // Before Node 23.9 a thread knows the CPU time of the whole process only.
  const clocks = "threadCpuUsage" in process ? (["wall", "cpu"] as const) : (["wall"] as const);
  return clocks.map((clock): BenchRow => {
    const [one, two] = [samples.one, samples.two].map((all) => summarize(all.map((sample) => sample[clock])));
    return {
      section: "workers",
      work: `resnet8 on two threads, ${clock === "wall" ? "wall clock" : "CPU time of the slower"}`,
      value: round(two.median),
      spread: round(two.spread, 2),
      rounds: ROUNDS,
      unit: "images/s",
      peer: { name: "one thread", value: round(one.median), spread: round(one.spread, 2) },
      ratio: round(two.median / one.median, 3),
      target: 1.9,
    };
  });
}
