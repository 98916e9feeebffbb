/** Two worker threads beside one, on one compiled module: data parallel. */
import { once } from "node:events";
import { Worker } from "node:worker_threads";
import { cliModule } from "../package.ts";
import { findProfile } from "../profiles.ts";
import { loadKernelModule } from "../wasm.ts";
import { pairedRatio, summarize } from "./measure.ts";
import { inputOf } from "./models.ts";
import { integerNetwork } from "./networks.ts";
import { PEAK_MACS } from "./peak.ts";
import { type BenchRow, round } from "./row.ts";
import type { WorksOrder, WorksThreadData } from "./worksThread.ts";

const IMAGES = 32;
const ROUNDS = 15;

/** What the threads do in a round, about a third of a second of it. each: what one run counts, in `unit`. */
interface ThreadWork extends WorksOrder {
  title: string;
  each: number;
  unit: string;
  target?: number;
}

/** The first needs no memory: what the machine's processors give two threads of any program. */
const WORKS: readonly ThreadWork[] = [
  {
    ...{ work: "peak", runs: 1200, title: "dot_i16x8_s in registers" },
    ...{ each: PEAK_MACS / 1e9, unit: "GMAC/s" },
  },
  { work: "images", runs: 40, title: "resnet8", each: IMAGES, unit: "images/s", target: 1.9 },
];

/** By the wall clock, and by the CPU time of the slowest thread, which other programs disturb less. */
async function speed(threads: readonly Worker[], { work, runs, each }: ThreadWork) {
  const start = performance.now();
  const replies = threads.map((thread) => once(thread, "message"));
  for (const thread of threads) thread.postMessage({ work, runs } satisfies WorksOrder);
  const times = (await Promise.all(replies)).map(([ms]) => ms as number);
  const all = 1000 * threads.length * runs * each;
  return { wall: all / (performance.now() - start), cpu: all / Math.max(...times) };
}

type Speed = Awaited<ReturnType<typeof speed>>;

export async function benchWorkers(): Promise<BenchRow[]> {
  const graph = integerNetwork("resnet8");
  const workerData: WorksThreadData = {
    module: await loadKernelModule(),
    graph,
    profile: await findProfile("litert-js"),
    input: inputOf(graph, IMAGES) as Int8Array,
    count: IMAGES,
  };
  const threads = [1, 2].map(() => new Worker(cliModule("bench/worksThread"), { workerData }));
  await Promise.all(threads.map((thread) => once(thread, "message")));
  for (const work of WORKS) for (let i = 0; i < 2; i++) await speed(threads, work);
  const samples = WORKS.map(() => ({ one: [] as Speed[], two: [] as Speed[] }));
  for (let i = 0; i < ROUNDS; i++)
    for (const [row, work] of WORKS.entries()) {
      samples[row].one.push(await speed(threads.slice(0, 1), work));
      samples[row].two.push(await speed(threads, work));
    }
  await Promise.all(threads.map((thread) => thread.terminate()));
  // Before Node 23.9 a thread knows the CPU time of the whole process only.
  const clocks = "threadCpuUsage" in process ? (["wall", "cpu"] as const) : (["wall"] as const);
  return WORKS.flatMap((work, row) => clocks.map((clock) => benchRow(work, samples[row], clock)));
}

function benchRow(
  { title, unit, target }: ThreadWork,
  samples: { one: readonly Speed[]; two: readonly Speed[] },
  clock: keyof Speed,
): BenchRow {
  const [one, two] = [samples.one, samples.two].map((all) => summarize(all.map((sample) => sample[clock])));
  return {
    section: "workers",
    work: `${title} on two threads, ${clock === "wall" ? "wall clock" : "CPU time of the slower"}`,
    value: round(two.median),
    spread: round(two.spread, 2),
    rounds: ROUNDS,
    unit,
    peer: { name: "one thread", value: round(one.median), spread: round(one.spread, 2) },
    ratio: round(pairedRatio(two, one), 3),
    ...(target !== undefined && { target }),
  };
}
