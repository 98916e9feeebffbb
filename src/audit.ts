/** The audit as a library. It runs where tfjs's wasm backend runs: Node and browsers. */
import { startBackend } from "./float/backend.ts";
import { audit } from "./harness/audit/audit.ts";
import { type AuditResult, judge } from "./harness/audit/gate.ts";
import type { AuditImages, AuditLab } from "./harness/audit/inputs.ts";
import { DEFAULT_POLICY, type Policy } from "./harness/audit/policy.ts";
import { AUDIT_PRESETS } from "./harness/audit/presets.ts";
import { provenanceOf } from "./harness/audit/provenance.ts";
import { executeHere } from "./harness/audit/steps.ts";
import { digest, type Store } from "./harness/store.ts";
import { importModel } from "./import/index.ts";
import type { Profile } from "./profile/schema.ts";

export { halves, listImages, readImages } from "./data/labelled.ts";
export { type AuditResult, type Finding, type Gate, judge, type Level } from "./harness/audit/gate.ts";
export type { AuditImages } from "./harness/audit/inputs.ts";
export { DEFAULT_POLICY, type Policy, parsePolicy } from "./harness/audit/policy.ts";
export { AUDIT_PRESETS, type AuditPreset } from "./harness/audit/presets.ts";
export type { AuditEvidence } from "./harness/audit/result.ts";
export type { Store } from "./harness/store.ts";
export { auditMarkdown } from "./report/audit/markdown.ts";

/** A model file: its name, for messages and reports, and what it holds. */
export interface ModelBytes {
  name: string;
  bytes: Uint8Array;
}

export interface AuditOptions {
  /** As it will ship: integers, or a float model that is quantized for each profile. */
  model: ModelBytes;
  /** What an integer model was made of. */
  float?: ModelBytes;
  images: AuditImages;
  profiles: readonly Profile[];
  /** The package's kernels.simd.wasm and train.wasm. */
  wasm: { kernels: Uint8Array; train: Uint8Array };
  policy?: Policy;
  preset?: keyof typeof AUDIT_PRESETS;
  seed?: number;
  /** Where finished steps are kept, for one version of Blindspot; in memory without one. */
  store?: Store;
  /** done of total steps, and the name of the one at work. */
  progress?: (done: number, total: number, title: string) => void;
}

/**
 * Measures a model as it will ship and judges it, in the calling thread. The same inputs give the same bytes.
 * @throws DataError, ModelFormatError, UnsupportedOpError where models, images and profiles do not fit each other.
 */
export async function auditModel(options: AuditOptions): Promise<AuditResult> {
  const { images, wasm, policy = DEFAULT_POLICY, preset = "quick", seed = 1 } = options;
  const [model, float] = [await opened(options.model), options.float ? await opened(options.float) : null];
  const profiles = [...options.profiles];
  const asked = {
    ...{ file: model.name, float: float?.name ?? null, data: images.name, dataset: null, trainingData: null },
    ...{ resize: null, inputRange: null, profiles: profiles.map(({ id }) => id), policy: null },
    ...{ preset, weightBits: 8, seed },
  };
  const { clean, test, training } = images;
  const { engine, ...provenance } = await provenanceOf(asked, {
    ...{ model: model.sha256, float: float?.sha256 ?? null, profiles, versions: {} },
    data: { clean: await digestOf(clean), test: await digestOf(test) },
    training: training && { training: await digestOf(training) },
    kernels: { "kernels.simd.wasm": await digest(wasm.kernels), "train.wasm": await digest(wasm.train) },
  });
  const lab: AuditLab = {
    ...{ model, float, images, profiles, preset: AUDIT_PRESETS[preset], seed, engine },
    ...{ taken: null, weightBits: 8, store: options.store ?? memoryStore() },
    kernels: await compiled(wasm.kernels),
    backend: await startBackend(await compiled(wasm.train)),
  };
  return judge(await audit(lab, provenance, executeHere(lab, options.progress)), policy);
}

const opened = async ({ name, bytes }: ModelBytes) => ({
  name,
  graph: importModel(bytes, name),
  sha256: await digest(bytes),
});

const compiled = (bytes: Uint8Array) => WebAssembly.compile(bytes as Uint8Array<ArrayBuffer>);

/** Of pixels and labels. */
const digestOf = async ({ pixels, labels }: AuditImages["test"]) =>
  digest((await digest(pixels)) + (await digest(labels)));

function memoryStore(): Store {
  const kept = new Map<string, Uint8Array>();
  return {
    get: async (name) => kept.get(name),
    put: async (name, bytes) => {
      kept.set(name, bytes);
    },
  };
}
