import { startBackend } from "../float/backend.ts";
import type { AuditInputs } from "../harness/audit/inputs.ts";
import { type AuditStep, runAuditStep } from "../harness/audit/steps.ts";
import { directoryStore } from "./directoryStore.ts";
import { serveSteps, threadData } from "./stepThread.ts";

/** What a thread begins with. Everything is shared or copied once. */
export interface AuditThreadData {
  inputs: AuditInputs;
  trainModule: WebAssembly.Module;
  work: string;
}

const { inputs, trainModule, work } = await threadData<AuditThreadData>();
const lab = { ...inputs, backend: await startBackend(trainModule), store: directoryStore(work) };

serveSteps<AuditStep>((step, progress) => runAuditStep(lab, step, progress));
