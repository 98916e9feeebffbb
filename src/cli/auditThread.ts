import { workerData } from "node:worker_threads";
import { startBackend } from "../float/backend.ts";
import type { AuditInputs } from "../harness/audit/inputs.ts";
import { type AuditStep, runAuditStep } from "../harness/audit/steps.ts";
import { directoryStore } from "./directoryStore.ts";
import { serveSteps } from "./stepThread.ts";

/** What a thread is started with. Everything is shared or copied once. */
export interface AuditThreadData {
  inputs: AuditInputs;
  trainModule: WebAssembly.Module;
  work: string;
}

const { inputs, trainModule, work } = workerData as AuditThreadData;
const lab = { ...inputs, backend: await startBackend(trainModule), store: directoryStore(work) };

serveSteps<AuditStep>((step, progress) => runAuditStep(lab, step, progress));
