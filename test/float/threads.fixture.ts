// Run by Node: trains and differentiates in this thread and in a worker at once, and prints the digest of each.
import { isMainThread, parentPort, Worker } from "node:worker_threads";
import { digestOfRun } from "./digest.ts";

if (isMainThread) {
  const worker = new Worker(new URL(import.meta.url));
  const theirs = new Promise<string>((resolve, reject) => {
    worker.once("message", resolve);
    worker.once("error", reject);
  });
  const [ours, other] = await Promise.all([digestOfRun(), theirs]);
  console.log(JSON.stringify([ours, other]));
  await worker.terminate();
} else {
  parentPort!.postMessage(await digestOfRun());
}
