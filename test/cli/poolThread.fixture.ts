// A thread of test/cli/pool.test.ts: says which thread did a step and in which order, and fails where it is told to.
import { threadId } from "node:worker_threads";
import { serveSteps, threadData } from "../../src/cli/stepThread.ts";

/** A step that takes no time. */
export interface Errand {
  name: string;
  affinity?: string;
  before?: Errand[];
  cost?: number;
  fails?: boolean;
}

const did = [await threadData<string>()];

serveSteps<Errand>(async ({ name, fails }) => {
  if (fails) throw new RangeError(`${name} failed`);
  did.push(name);
  return { thread: threadId, did: [...did] };
});
