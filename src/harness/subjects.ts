import type { AccessLevel, Subject } from "../defenses/defense.ts";
import { ARCHITECTURES } from "../float/architectures.ts";
import type { Profile } from "../profile/schema.ts";
import { seededRandom } from "../random.ts";
import { behindDeviceInput, type OpenSubject, restrict } from "./access.ts";
import { foldedModel, modelName, quantizedModel, SCHEMES } from "./deploy.ts";
import type { ModelSpec, Precision } from "./experiment.ts";
import { floatSubject } from "./floatSubject.ts";
import { integerSubject } from "./integerSubject.ts";
import { type Lab, stepName } from "./lab.ts";

/** A network in one precision on one profile; profile null is FP32 on a workstation. */
export interface Target {
  model: ModelSpec;
  precision: Precision | "fp32";
  profile: string | null;
}

export function profileOf({ profiles }: Pick<Lab, "profiles">, id: string): Profile {
  const profile = profiles.find((candidate) => candidate.id === id);
  if (!profile) throw new RangeError(`profile: expected ${profiles.map((p) => p.id).join(", ")}, got ${id}`);
  return profile;
}

/** The target that a lab opened last: the steps on one target find what the ones before had it compute. */
const opened = new WeakMap<Lab, { name: string; subject: Promise<OpenSubject> }>();

/** The network with everything visible. FP32 ignores the profile. */
export async function openSubject(lab: Lab, target: Target): Promise<OpenSubject> {
  const name = await targetName(lab, target);
  const last = opened.get(lab);
  if (last?.name === name) return last.subject;
  last?.subject.then(
    (subject) => subject.dispose?.(),
    () => {},
  );
  const subject = makeSubject(lab, target);
  opened.set(lab, { name, subject });
  return subject;
}

/** Equal for targets that compute the same. */
export async function targetName(lab: Pick<Lab, "profiles" | "dataset">, target: Target): Promise<string> {
  const { model, precision } = target;
  const own = { model: await modelName(lab, model), attack: model.attack, precision };
  return stepName("target", "json", { ...own, arithmetic: arithmeticOf(lab, target) });
}

async function makeSubject(lab: Lab, { model, precision, profile }: Target): Promise<OpenSubject> {
  if (precision === "fp32") return floatSubject(lab.backend, await foldedModel(lab, model, () => {}), "fp32");
  const { graph } = await quantizedModel(lab, model, precision);
  const target = {
    graph,
    scheme: SCHEMES[precision],
    profile: profileOf(lab, profile!),
    name: `${precision} on ${profile}`,
  };
  return integerSubject(lab.kernels, lab.backend, target);
}

/** What a defender sees who has `level`; on a device a float model too is fed bytes. why: of what is missing. */
export function seenBy(subject: OpenSubject, level: AccessLevel, onDevice: boolean, why: string): Subject {
  return restrict(subject.integer || !onDevice ? subject : behindDeviceInput(subject), level, why);
}

/** All that decides what an integer network of this experiment computes on a profile, without sources and confidences:
 * equal for profiles that differ only in ops that the network does not have. */
export function arithmeticOf(lab: Pick<Lab, "profiles">, { model, precision, profile }: Target): unknown {
  return precision === "fp32" ? "fp32" : arithmeticFor(profileOf(lab, profile!), opsOf(model.architecture));
}

/** All of a profile that decides what a graph of these ops computes, without sources and confidences. */
export function arithmeticFor({ arithmetic, access }: Profile, used: ReadonlySet<string>): unknown {
  const { weights: _, activations: __, ops, ...whole } = arithmetic;
  const own = Object.entries(ops).filter(([op]) => op === "default" || used.has(op));
  return {
    ...(withoutEvidence(whole) as object),
    ops: withoutEvidence(Object.fromEntries(own)),
    logits: access.logits,
  };
}

/** The ops of a network as deployed, and the default that most of them go by. */
function opsOf(architecture: ModelSpec["architecture"]): Set<string> {
  const shape = { height: 32, width: 32, channels: 3, widthParam: 4, random: seededRandom(0) };
  const { nodes } = ARCHITECTURES[architecture](2, shape);
  return new Set(["SOFTMAX", ...nodes.map(({ op }) => op)]);
}

function withoutEvidence(value: unknown): unknown {
  if (value === null || typeof value !== "object" || Array.isArray(value)) return value;
  const kept = Object.entries(value).filter(([key]) => key !== "source" && key !== "confidence");
  return Object.fromEntries(kept.map(([key, inner]) => [key, withoutEvidence(inner)]));
}
