import { parentPort, workerData } from "node:worker_threads";
import "./oldNode.ts";
import { startBackend } from "../float/backend.ts";
import type { Lab } from "../harness/lab.ts";
import { runStep, type Step } from "../harness/steps.ts";
import { directoryStore, withShippedModels } from "./directoryStore.ts";

/** What a thread is started with. Everything is shared or copied once. */
export interface ThreadData {
  lab: Omit<Lab, "backend" | "store">;
  trainModule: WebAssembly.Module;
  work: string;
  models: string;
}

/** Replies of a thread: first that it is up, then about the step it was given. */
export type Reply =
  | { kind: "ready" }
  | { kind: "progress"; share: number }
  | { kind: "done"; result: unknown }
  | { kind: "failed"; error: Error };

const { lab: shared, trainModule, work, models } = workerData as ThreadData;
const port = parentPort!;
const reply = (message: Reply) => port.postMessage(message);

const backend = await startBackend(trainModule);
const store = withShippedModels(directoryStore(work), new URL(models));
const lab: Lab = { ...shared, backend, store };

port.on("message", async (step: Step) => {
  try {
    const progress = (done: number, total: number) => reply({ kind: "progress", share: done / total });
    reply({ kind: "done", result: await runStep(lab, step, progress) });
  } catch (error) {
    reply({ kind: "failed", error: error as Error });
  }
});
reply({ kind: "ready" });
