/** An audit as the page asks for it. What the Result says of where it came from is what the command line says. */
import { audit } from "../harness/audit/audit.ts";
import { judge } from "../harness/audit/gate.ts";
import type { AuditLab, AuditModel } from "../harness/audit/inputs.ts";
import { DEFAULT_POLICY } from "../harness/audit/policy.ts";
import { AUDIT_PRESETS } from "../harness/audit/presets.ts";
import { canonicalJson, digest } from "../harness/store.ts";
import { importModel } from "../import/index.ts";
import { classifierOf } from "../model/classifier.ts";
import type { Profile } from "../profile/schema.ts";
import { comparisonsOf } from "./comparisons.ts";
import { trackedExecute } from "./execute.ts";
import { auditImages } from "./images.ts";
import type { Platform } from "./platform.ts";
import type { AuditDone, AuditEvent, AuditRequest, ModelFile } from "./protocol.ts";

/** @throws DataError, ModelFormatError, UnsupportedOpError, RangeError. */
export async function auditRequest(
  request: AuditRequest,
  platform: Platform,
  tell: (event: AuditEvent) => void,
): Promise<AuditDone> {
  const { file, preset: presetName, seed } = { file: request.model.name, ...request };
  const profiles = profilesOf(await platform.profiles(), request.profiles);
  const [model, float] = [
    await auditModel(request.model),
    request.float && (await auditModel(request.float)),
  ];
  const { height, width, channels, classes } = classifierOf(model.graph, model.name);
  tell({ kind: "progress", title: "Reading the images", share: 0 });
  const data = await auditImages(request.images, { height, width, channels }, classes);
  const [versions, kernels] = [await platform.versions(), await platform.digests()];
  const preset = AUDIT_PRESETS[presetName as keyof typeof AUDIT_PRESETS];
  const engine = await digest(canonicalJson([versions, kernels, data.cheap, null]));
  const lab: AuditLab = {
    ...{ kernels: await platform.kernels(), backend: await platform.backend() },
    ...{ model, float, images: data.images, profiles, preset, seed, engine },
    ...{ taken: null, weightBits: 8 },
    store: {
      get: platform.store.get,
      put: async (name, bytes) => {
        await platform.store.put(name, bytes);
        tell({ kind: "kept", name, bytes });
      },
    },
  };
  const told = {
    command: [
      `blindspot audit ${file}`,
      float && `--float ${float.name}`,
      `--data ${data.path}`,
      data.resize && `--resize ${data.resize}`,
      `--profile ${request.profiles.join(" ")}`,
      `--preset ${presetName}`,
      seed !== 1 && `--seed ${seed}`,
    ]
      .filter(Boolean)
      .join(" "),
    ...{ file, preset: presetName, versions },
    options: { preset, resize: data.resize, inputRange: null, weightBits: 8 },
    inputs: {
      ...{ model: model.sha256, float: float?.sha256 ?? null, data: data.sha256, training: null },
      ...{ profiles: await profileDigests(profiles), kernels },
    },
  };
  const result = judge(await audit(lab, told, trackedExecute(lab, tell)), DEFAULT_POLICY);
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

async function profileDigests(profiles: readonly Profile[]): Promise<Record<string, string>> {
  const all = profiles.map(async (profile) => [profile.id, await digest(canonicalJson(profile))]);
  return Object.fromEntries(await Promise.all(all));
}
