import type { AuditInputs, AuditLab } from "../../../src/harness/audit/inputs.ts";
import { trainedModel } from "../../../src/harness/deploy.ts";
import { modelPair } from "../../../src/harness/experiment.ts";
import { attackOf, type Lab, trainingSet } from "../../../src/harness/lab.ts";
import { digest } from "../../../src/harness/store.ts";
import { writeModel } from "../../../src/model/file.ts";
import { memoryStore, TINY, tinyLab } from "../lab.ts";

/** What an audit is of, made from the tiny experiment. */
export interface TinyAudit {
  lab: Lab;
  /** Float, trained with and without the backdoor on class 0. */
  model(kind: "backdoored" | "clean"): Promise<AuditInputs["model"]>;
  /** Inputs for a model; `more` over the defaults. */
  inputs(model: AuditInputs["model"], more?: Partial<AuditLab>): AuditLab;
  /** The backdoored model's training set, as it was delivered. */
  poisoned: AuditInputs["images"]["training"];
}

export async function tinyAudit(): Promise<TinyAudit> {
  const lab = await tinyLab(memoryStore());
  const [backdoored, clean] = modelPair(TINY, 1, 1, 0, false);
  const { dataset } = lab;
  return {
    lab,
    poisoned: trainingSet(dataset, backdoored, attackOf(dataset, backdoored)),
    model: async (kind) => {
      const saved = await trainedModel(lab, kind === "clean" ? clean : backdoored, () => {});
      return { name: `${kind}.blindspot`, graph: saved.graph, sha256: await digest(writeModel(saved)) };
    },
    inputs: (model, more = {}) => ({
      kernels: lab.kernels,
      backend: lab.backend,
      store: memoryStore(),
      model,
      float: null,
      images: {
        name: dataset.name,
        classNames: dataset.classNames,
        clean: dataset.held,
        test: dataset.test,
        training: null,
        caveat: "",
      },
      profiles: lab.profiles,
      preset: { testImages: 90, cleanImages: 60, calibrationImages: 60, defenses: "quick" },
      seed: 1,
      taken: null,
      weightBits: 8,
      engine: "test",
      ...more,
    }),
  };
}

export const PROVENANCE = {
  file: "models/tiny.blindspot",
  command: "blindspot audit",
  preset: "tiny",
  versions: {},
  options: {},
  inputs: { model: "", float: null, data: {}, training: null, profiles: {}, kernels: {} },
};
