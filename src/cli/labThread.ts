import { startBackend } from "../float/backend.ts";
import type { Lab } from "../harness/lab.ts";
import { runStep, type Step } from "../harness/steps.ts";
import { directoryStore, withShippedModels } from "./directoryStore.ts";
import { serveSteps, threadData } from "./stepThread.ts";

/** What a thread begins with. Everything is shared or copied once. */
export interface ThreadData {
  lab: Omit<Lab, "backend" | "store">;
  trainModule: WebAssembly.Module;
  work: string;
  models: string;
}

const { lab: shared, trainModule, work, models } = await threadData<ThreadData>();
const backend = await startBackend(trainModule);
const store = withShippedModels(directoryStore(work), new URL(models));
const lab: Lab = { ...shared, backend, store };

serveSteps<Step>((step, progress) => runStep(lab, step, progress));
