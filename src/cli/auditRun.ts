/** Apart from the verb: what is recalled from the store needs none of this. */
import { type AuditProvenance, audit } from "../harness/audit/audit.ts";
import type { AuditInputs } from "../harness/audit/inputs.ts";
import type { AuditEvidence } from "../harness/audit/result.ts";
import {
  type AuditExecute,
  type AuditStep,
  auditStepIdentity,
  auditStepsBefore,
  auditStepTitle,
} from "../harness/audit/steps.ts";
import type { AuditData } from "./auditData.ts";
import type { AuditThreadData } from "./auditThread.ts";
import { sharedImages } from "./dataset.ts";
import { cliModule } from "./package.ts";
import { startPool, startThreads, type Work } from "./pool.ts";
import { startMeter } from "./progress.ts";
import { loadKernelModule, loadTrainModule } from "./wasm.ts";

export interface MeasureOptions extends Omit<AuditInputs, "kernels" | "images"> {
  data: AuditData;
  told: AuditProvenance;
  jobs: number;
  work: string;
}

/** Loads the images and measures, on threads, with a progress bar. */
export async function measure({ data, told, jobs, work, ...rest }: MeasureOptions): Promise<AuditEvidence> {
  const meter = startMeter(process.stderr);
  const [kernels, trainModule] = await Promise.all([loadKernelModule(), loadTrainModule()]);
  meter.expect(READING);
  const reading = meter.begin(`read ${data.name}`, READING);
  const { images, sha256 } = await data.load((done, total) => reading.advance(done / total));
  reading.end();
  const { clean, test, training } = images;
  const shared = {
    ...images,
    clean: sharedImages(clean),
    test: sharedImages(test),
    training: training && sharedImages(training),
  };
  const all: AuditInputs = { ...rest, kernels, images: shared };
  const threads = startThreads(cliModule("auditThread"), jobs);
  const pool = startPool(workOf({ inputs: all, trainModule, work }), threads, meter);
  try {
    return await audit(
      all,
      { ...told, inputs: { ...told.inputs, data: sha256 } },
      pool.execute as AuditExecute,
    );
  } finally {
    meter.stop();
    await pool.close();
  }
}

const READING = 5;

/** In tenths of a second of preset brief, about. */
const COSTS: Record<AuditStep["kind"], number> = { deploy: 10, defend: 10, part: 5 };

function workOf(data: AuditThreadData): Work<AuditStep> {
  return {
    data,
    identity: (step) => auditStepIdentity(data.inputs, step),
    affinity: (step) => auditStepIdentity(data.inputs, step),
    before: (step) => auditStepsBefore(data.inputs, step),
    title: auditStepTitle,
    cost: ({ kind }) => COSTS[kind],
  };
}
