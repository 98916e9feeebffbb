/** An audit as the page asks for it. What the Result says of where it came from is what the command line says. */
import { audit } from "../harness/audit/audit.ts";
import { judge } from "../harness/audit/gate.ts";
import type { AuditLab, AuditModel } from "../harness/audit/inputs.ts";
import { DEFAULT_POLICY, parsePolicy } from "../harness/audit/policy.ts";
import { AUDIT_PRESETS } from "../harness/audit/presets.ts";
import { type AuditAsked, provenanceOf } from "../harness/audit/provenance.ts";
import { digest } from "../harness/store.ts";
import { importModel } from "../import/index.ts";
import { classifierOf } from "../model/classifier.ts";
import type { Profile } from "../profile/schema.ts";
import { comparisonsOf } from "./comparisons.ts";
import { trackedExecute } from "./execute.ts";
import { auditImages } from "./images.ts";
import type { Platform } from "./platform.ts";
import type { AuditDone, AuditEvent, AuditRequest, ModelFile } from "./protocol.ts";

/** Of the weights of a float model on the devices. */
const WEIGHT_BITS = 8;

/** @throws DataError, ModelFormatError, UnsupportedOpError, RangeError. */
export async function auditRequest(
  request: AuditRequest,
  platform: Platform,
  tell: (event: AuditEvent) => void,
): Promise<AuditDone> {
  const profiles = profilesOf(await platform.profiles(), request.profiles);
  const [model, float] = [
    await auditModel(request.model),
    request.float && (await auditModel(request.float)),
  ];
  const { height, width, channels, classes } = classifierOf(model.graph, model.name);
  tell({ kind: "progress", title: "Reading the images", share: 0 });
  const data = await auditImages(request.images, { height, width, channels }, classes);
  const asked: AuditAsked = {
    ...{ file: model.name, float: float?.name ?? null, data: data.path, resize: data.resize },
    ...{ dataset: null, trainingData: null, inputRange: null, weightBits: WEIGHT_BITS },
    ...{ profiles: request.profiles, policy: request.policy?.name ?? null },
    ...{ preset: request.preset, seed: request.seed },
  };
  const { engine, ...told } = await provenanceOf(asked, {
    ...{ model: model.sha256, float: float?.sha256 ?? null, data: data.cheap, training: null, profiles },
    ...{ versions: await platform.versions(), kernels: await platform.digests() },
  });
  const lab: AuditLab = {
    ...{ kernels: await platform.kernels(), backend: await platform.backend() },
    ...{ model, float, images: data.images, profiles, preset: AUDIT_PRESETS[request.preset], engine },
    ...{ seed: request.seed, taken: null, weightBits: WEIGHT_BITS },
    store: {
      get: platform.store.get,
      put: async (name, bytes) => {
        await platform.store.put(name, bytes);
        tell({ kind: "kept", name, bytes });
      },
    },
  };
  const provenance = { ...told, inputs: { ...told.inputs, data: data.sha256 } };
  const policy = request.policy ? parsePolicy(request.policy.text, request.policy.name) : DEFAULT_POLICY;
  const result = judge(await audit(lab, provenance, trackedExecute(lab, tell)), policy);
  tell({ kind: "progress", title: "Comparing the devices layer by layer", share: 0.97 });
  const { drawn } = await import("./drawn.ts");
  return drawn(result, await comparisonsOf(lab, result), lab.images.test);
}

async function auditModel({ name, bytes }: ModelFile): Promise<AuditModel> {
  return { name, graph: importModel(bytes, name), sha256: await digest(bytes) };
}

function profilesOf(all: readonly Profile[], ids: readonly string[]): Profile[] {
  return ids.map((id) => {
    const found = all.find((profile) => profile.id === id);
    if (!found) throw new RangeError(`profile: expected one of ${all.length}, got ${id}`);
    return found;
  });
}
