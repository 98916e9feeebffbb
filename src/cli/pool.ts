import { Worker } from "node:worker_threads";
import type { Lab } from "../harness/lab.ts";
import type { Execute } from "../harness/reproduce.ts";
import { type Step, stepAffinity, stepIdentity, stepTitle } from "../harness/steps.ts";
import type { Reply, ThreadData } from "./labThread.ts";
import { cliModule } from "./package.ts";
import type { Meter } from "./progress.ts";

/** Threads that do steps, each with its own float backend. */
export interface Pool {
  execute: Execute;
  close(): Promise<void>;
}

/** What a step costs beside others, for the order of work (dearest first) and the progress bar. */
function cost(step: Step): number {
  if (step.kind === "train") return 100;
  if (step.kind === "paper") return 60;
  if (step.kind === "deploy") return 3;
  return step.arm === "FF" || step.arm === "QF" ? 40 : 20;
}

/** Starts `threads` threads. */
export function startPool(data: ThreadData, threads: number, meter: Meter): Pool {
  const lab: Omit<Lab, "backend"> = {
    ...data.lab,
    store: { get: async () => undefined, put: async () => {} },
  };
  const idle: Thread[] = [];
  const all = Array.from({ length: threads }, () => startThread(data));
  const results = new Map<string, Promise<unknown>>();
  const waiting: ((thread: Thread) => void)[] = [];
  const give = (thread: Thread) => {
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
    return thread ? Promise.resolve(thread) : new Promise<Thread>((resolve) => waiting.push(resolve));
  };
  const broken = Promise.race(all.map(({ failed }) => failed));
  const run = async (thread: Thread, step: Step) => {
    const task = meter.begin(stepTitle(step), cost(step));
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
    execute: (async (steps: readonly Step[]) => {
      const identities = await Promise.all(steps.map((step) => stepIdentity(lab, step)));
      const affinities = await Promise.all(steps.map((step) => stepAffinity(lab, step)));
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
    }) as Execute,
    close: async () => {
      await Promise.all(all.map(({ worker }) => worker.terminate()));
    },
  };
}

interface Thread {
  worker: Worker;
  ready: Promise<void>;
  /** Rejects when the thread dies. */
  failed: Promise<never>;
  run(step: Step, progress: (share: number) => void): Promise<unknown>;
}

function startThread(data: ThreadData): Thread {
  const worker = new Worker(cliModule("labThread"), { workerData: data });
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
