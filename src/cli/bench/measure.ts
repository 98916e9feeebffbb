/** Times of works that are run in turn, so that what slows the machine slows them alike. */

export interface Work {
  /** One or more runs; see `runs` of Timing. */
  run(): unknown;
}

/** Milliseconds a run of CPU time of this thread. spread: between the quartiles; samples: in the order of the rounds. */
export interface Timing {
  median: number;
  spread: number;
  rounds: number;
  samples: readonly number[];
}

export interface RoundOptions {
  rounds?: number;
  /** Of one work in one round, and of the runs before them that are not counted: engines optimize what runs long. */
  roundMs?: number;
  warmMs?: number;
}

/** CPU time of this thread, of the process where the engine does not tell (before Node 23.9). Linux brings a thread's time up
 * to date at ticks of 4 ms, and when it is asked for the time of the whole process. */
export function cpuMilliseconds(): number {
  const ofProcess = process.cpuUsage();
  const { user, system } = process.threadCpuUsage?.() ?? ofProcess;
  return (user + system) / 1000;
}

const quantile = (sorted: readonly number[], q: number) => sorted[Math.floor(q * (sorted.length - 1))];

export function summarize(samples: readonly number[]): Timing {
  const sorted = samples.toSorted((a, b) => a - b);
  return {
    median: quantile(sorted, 0.5),
    spread: quantile(sorted, 0.75) - quantile(sorted, 0.25),
    rounds: samples.length,
    samples,
  };
}

/** Median over the rounds of a / b of the same round: what slows a round slows both. */
export function pairedRatio(a: Timing, b: Timing): number {
  return summarize(a.samples.map((sample, i) => sample / b.samples[i])).median;
}

async function repeat({ run }: Work, count: number): Promise<number> {
  const start = cpuMilliseconds();
  for (let i = 0; i < count; i++) await run();
  return (cpuMilliseconds() - start) / count;
}

/** Runs for at least `ms`; returns how many runs that are. */
async function warm(work: Work, ms: number): Promise<number> {
  let runs = 0;
  const start = cpuMilliseconds();
  for (; cpuMilliseconds() - start < ms; runs++) await work.run();
  return runs;
}

/** Every work in every round, in the order given. */
export async function compareWorks(
  works: readonly Work[],
  { rounds = 21, roundMs = 12, warmMs = 900 }: RoundOptions = {},
): Promise<Timing[]> {
  const counts: number[] = [];
  for (const work of works) {
    await warm(work, warmMs);
    counts.push(Math.max(1, Math.ceil((await warm(work, roundMs * 4)) / 4)));
  }
  const samples = works.map((): number[] => []);
  for (let round = 0; round < rounds; round++)
    for (const [i, work] of works.entries()) samples[i].push(await repeat(work, counts[i]));
  return samples.map(summarize);
}
