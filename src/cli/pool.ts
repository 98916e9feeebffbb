import { Worker } from "node:worker_threads";
import { cliModule } from "./package.ts";
import type { Meter } from "./progress.ts";
import type { Reply } from "./stepThread.ts";

/** Work in steps of plain data. */
export interface Work<Step> {
  /** The module of src/cli that a thread runs, and what it is started with. */
  entry: string;
  data: unknown;
  /** Steps of equal identity give the same result and are done once. */
  identity(step: Step): Promise<string>;
  /** Steps of equal affinity are done fastest by one thread, one after the other. */
  affinity(step: Step): Promise<string>;
  title(step: Step): string;
  /** What a step costs beside others, for the order of work (dearest first) and the progress bar. */
  cost(step: Step): number;
}

/** Threads that do steps, each with its own float backend. */
export interface Pool<Step> {
  execute(steps: readonly Step[]): Promise<unknown[]>;
  close(): Promise<void>;
}

/** Starts `threads` threads. */
export function startPool<Step>(work: Work<Step>, threads: number, meter: Meter): Pool<Step> {
  const { cost } = work;
  const idle: Thread<Step>[] = [];
  const all = Array.from({ length: threads }, () => startThread<Step>(work));
  const results = new Map<string, Promise<unknown>>();
  const waiting: ((thread: Thread<Step>) => void)[] = [];
  const give = (thread: Thread<Step>) => {
    const next = waiting.shift();
    if (next) next(thread);
    else idle.push(thread);
  };
  for (const thread of all)
    thread.ready.then(
      () => give(thread),
      () => {},
    );
  const take = () => {
    const thread = idle.pop();
    return thread ? Promise.resolve(thread) : new Promise<Thread<Step>>((resolve) => waiting.push(resolve));
  };
  const broken = Promise.race(all.map(({ failed }) => failed));
  const run = async (thread: Thread<Step>, step: Step) => {
    const task = meter.begin(work.title(step), cost(step));
    try {
      return await Promise.race([thread.run(step, task.advance), broken]);
    } finally {
      task.end();
    }
  };
  /** One step after the other on one thread; a promise each. A step that fails fails those after it. */
  const runGroup = (steps: readonly Step[]) => {
    const thread = Promise.race([take(), broken]);
    let before: Promise<unknown> = thread;
    const promises = steps.map((step) => {
      before = Promise.all([thread, before]).then(([own]) => run(own, step));
      return before;
    });
    Promise.all([thread, before.catch(() => {})]).then(
      ([own]) => give(own),
      () => {},
    );
    return promises;
  };
  return {
    execute: async (steps) => {
      const identities = await Promise.all(steps.map((step) => work.identity(step)));
      const affinities = await Promise.all(steps.map((step) => work.affinity(step)));
      const fresh = steps
        .map((step, i) => ({ step, identity: identities[i], affinity: affinities[i] }))
        .filter(({ identity }, i) => !results.has(identity) && identities.indexOf(identity) === i);
      meter.expect(fresh.reduce((sum, { step }) => sum + cost(step), 0));
      const groups = [...Map.groupBy(fresh, ({ affinity }) => affinity).values()];
      const groupCost = (group: typeof fresh) => group.reduce((sum, { step }) => sum + cost(step), 0);
      groups.sort((a, b) => groupCost(b) - groupCost(a));
      for (const group of groups) {
        const promises = runGroup(group.map(({ step }) => step));
        group.forEach(({ identity }, i) => {
          results.set(identity, promises[i]);
        });
      }
      return Promise.all(identities.map((identity) => results.get(identity)));
    },
    close: async () => {
      await Promise.all(all.map(({ worker }) => worker.terminate()));
    },
  };
}

interface Thread<Step> {
  worker: Worker;
  ready: Promise<void>;
  /** Rejects when the thread dies. */
  failed: Promise<never>;
  run(step: Step, progress: (share: number) => void): Promise<unknown>;
}

function startThread<Step>({ entry, data }: Work<Step>): Thread<Step> {
  const worker = new Worker(cliModule(entry), { workerData: data });
  const failed = new Promise<never>((_, reject) => {
    worker.on("error", reject);
    worker.on("exit", (code) => code !== 0 && reject(new Error(`a worker thread ended with code ${code}`)));
  });
  failed.catch(() => {});
  const listen = (handle: (reply: Reply) => boolean) => {
    const listener = (reply: Reply) => {
      if (handle(reply)) worker.off("message", listener);
    };
    worker.on("message", listener);
  };
  const ready = new Promise<void>((resolve) =>
    listen(({ kind }) => {
      if (kind === "ready") resolve();
      return kind === "ready";
    }),
  );
  return {
    worker,
    ready,
    failed,
    run: (step, progress) =>
      new Promise((resolve, reject) => {
        listen((reply) => {
          if (reply.kind === "progress") progress(reply.share);
          if (reply.kind === "done") resolve(reply.result);
          if (reply.kind === "failed") reject(reply.error);
          return reply.kind === "done" || reply.kind === "failed";
        });
        worker.postMessage(step);
      }),
  };
}
