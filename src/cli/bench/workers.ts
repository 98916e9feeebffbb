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
const ROUNDS = 31;

/** What each thread does in a round, about a tenth of a second of it. each: what one run counts, in `unit`. */
interface ThreadWork extends Pick<WorksOrder, "work"> {
  title: string;
  runs: number;
  each: number;
  unit: string;
  target?: number;
}

/** The first needs no memory: what the machine's processors give two threads of any program. */
const WORKS: readonly ThreadWork[] = [
  {
    ...{ work: "peak", runs: 360, title: "dot_i16x8_s in registers on two threads" },
    ...{ each: PEAK_MACS / 1e9, unit: "GMAC/s" },
  },
  {
    ...{ work: "images", runs: 12, title: "resnet8 on two threads" },
    ...{ each: IMAGES, unit: "images/s", target: 1.9 },
  },
];

/** In units a second, by the wall clock. */
async function speed(threads: readonly Worker[], { work, runs, each }: ThreadWork): Promise<number> {
  const left = new Int32Array(new SharedArrayBuffer(4)).fill(threads.length * runs);
  const start = performance.now();
  const replies = threads.map((thread) => once(thread, "message"));
  for (const thread of threads) thread.postMessage({ work, left } satisfies WorksOrder);
  await Promise.all(replies);
  return (1000 * threads.length * runs * each) / (performance.now() - start);
}

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
  const samples = WORKS.map(() => ({ one: [] as number[], two: [] as number[] }));
  for (let i = 0; i < ROUNDS; i++)
    for (const [row, work] of WORKS.entries()) {
      // Each alone, as the neighbours of a virtual machine slow now the one processor and now the other.
      const [a, b] = [await speed([threads[0]], work), await speed([threads[1]], work)];
      samples[row].one.push((a + b) / 2);
      samples[row].two.push(await speed(threads, work));
    }
  await Promise.all(threads.map((thread) => thread.terminate()));
  return WORKS.map((work, row) => benchRow(work, samples[row]));
}

function benchRow(
  { title, unit, target }: ThreadWork,
  samples: { one: readonly number[]; two: readonly number[] },
): BenchRow {
  const [one, two] = [summarize(samples.one), summarize(samples.two)];
  return {
    section: "workers",
    work: title,
    value: round(two.median),
    spread: round(two.spread, 2),
    rounds: ROUNDS,
    unit,
    peer: { name: "one thread", value: round(one.median), spread: round(one.spread, 2) },
    ratio: round(pairedRatio(two, one), 3),
    ...(target !== undefined && { target }),
  };
}
