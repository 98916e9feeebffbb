import { Worker } from "node:worker_threads";
import type { Meter } from "./progress.ts";
import type { Reply } from "./stepThread.ts";

/** Work in steps of plain data. */
export interface Work<Step> {
  /** What a thread begins with. */
  data: unknown;
  /** Steps of equal identity give the same result and are done once. */
  identity(step: Step): Promise<string>;
  /** Steps of equal affinity are done fastest by one thread, one after the other. */
  affinity(step: Step): Promise<string>;
  /** Steps that any threads do before this one. */
  before(step: Step): readonly Step[];
  title(step: Step): string;
  /** What a step costs beside others, for the order of work (dearest first) and the progress bar. */
  cost(step: Step): number;
}

/** Threads that do steps, each with its own float backend. */
export interface Pool<Step> {
  execute(steps: readonly Step[]): Promise<unknown[]>;
  close(): Promise<void>;
}

/** Starts threads that load the module and wait for a pool; alone they keep no process alive. */
export function startThreads(entry: URL, count: number): Worker[] {
  return Array.from({ length: count }, () => {
    const worker = new Worker(entry);
    worker.unref();
    return worker;
  });
}

/** Gives the threads their data, and steps from now on. */
export function startPool<Step>(work: Work<Step>, threads: readonly Worker[], meter: Meter): Pool<Step> {
  const all = threads.map((worker) => openThread<Step>(worker, work.data));
  const broken = Promise.race(all.map(({ failed }) => failed));
  const { take, give } = queue<Thread<Step>>();
  for (const thread of all)
    thread.ready.then(
      () => give(thread),
      () => {},
    );
  const results = new Map<string, Promise<unknown>>();
  const totalCost = (steps: readonly Step[]) => steps.reduce((sum, step) => sum + work.cost(step), 0);
  const run = async (thread: Thread<Step>, step: Step) => {
    const task = meter.begin(work.title(step), work.cost(step));
    try {
      return await Promise.race([thread.run(step, task.advance), broken]);
    } finally {
      task.end();
    }
  };
  /** One step after the other on one thread, once `ready`; a promise each. A step that fails fails those after it. */
  const runGroup = (steps: readonly Step[], ready: Promise<unknown>, urgency: number) => {
    const thread = ready.then(() => Promise.race([take(urgency), broken]));
    let last: Promise<unknown> = thread;
    const promises = steps.map((step) => {
      last = Promise.all([thread, last]).then(([own]) => run(own, step));
      return last;
    });
    Promise.all([thread, last.catch(() => {})]).then(
      ([own]) => give(own),
      () => {},
    );
    return promises;
  };
  /** waiting: what the steps that wait for these cost. Of a chain of steps the first is as urgent as all of it is long. */
  const execute = async (steps: readonly Step[], waiting: number): Promise<unknown[]> => {
    const identities = await Promise.all(steps.map((step) => work.identity(step)));
    const affinities = await Promise.all(steps.map((step) => work.affinity(step)));
    const fresh = steps
      .map((step, i) => ({ step, identity: identities[i], affinity: affinities[i] }))
      .filter(({ identity }, i) => !results.has(identity) && identities.indexOf(identity) === i);
    meter.expect(totalCost(fresh.map(({ step }) => step)));
    for (const group of Map.groupBy(fresh, ({ affinity }) => affinity).values()) {
      const members = group.map(({ step }) => step);
      const before = members.flatMap((step) => work.before(step));
      const urgency = totalCost(members) + waiting;
      const ready = before.length > 0 ? execute(before, urgency) : Promise.resolve();
      const promises = runGroup(members, ready, urgency);
      group.forEach(({ identity }, i) => {
        results.set(identity, promises[i]);
      });
    }
    return Promise.all(identities.map((identity) => results.get(identity)));
  };
  return {
    execute: (steps) => execute(steps, 0),
    close: async () => {
      await Promise.all(all.map(({ worker }) => worker.terminate()));
    },
  };
}

/** Hands out what is given to those who wait for it, the most urgent first and of equals the first. */
function queue<T>(): { take(urgency: number): Promise<T>; give(thing: T): void } {
  const idle: T[] = [];
  const waiting: { urgency: number; resolve: (thing: T) => void }[] = [];
  return {
    take: (urgency) => {
      const thing = idle.pop();
      if (thing !== undefined) return Promise.resolve(thing);
      return new Promise<T>((resolve) => {
        const place = waiting.findIndex((other) => other.urgency < urgency);
        waiting.splice(place < 0 ? waiting.length : place, 0, { urgency, resolve });
      });
    },
    give: (thing) => {
      const next = waiting.shift();
      if (next) next.resolve(thing);
      else idle.push(thing);
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

function openThread<Step>(worker: Worker, data: unknown): Thread<Step> {
  worker.ref();
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
  worker.postMessage(data);
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
