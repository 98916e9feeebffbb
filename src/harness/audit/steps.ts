import type { AccessLevel, Defense, Material, Outcome, Subject } from "../../defenses/defense.ts";
import { defenseOf } from "../../defenses/index.ts";
import { notRunnable } from "../../defenses/outcome.ts";
import { UnsupportedOpError } from "../../errors.ts";
import { bindKernels } from "../../kernels/module.ts";
import { inspectTarget, type TargetInfo } from "../../model/inspect.ts";
import type { Profile } from "../../profile/schema.ts";
import { seededRandom } from "../../random.ts";
import { argmaxRows, behindDeviceInput, type OpenSubject, restrict } from "../access.ts";
import { floatSubject } from "../floatSubject.ts";
import { integerSubject } from "../integerSubject.ts";
import { firstImages, type Progress, rememberedJson, stepName } from "../lab.ts";
import { once } from "../once.ts";
import { countParts, type DefenseRun, runDefense, runPart } from "../parts.ts";
import type { Arm } from "../result.ts";
import { arithmeticFor } from "../subjects.ts";
import type { AuditInputs, AuditLab } from "./inputs.ts";
import { floatTwin, foldedTwin, shippedName, shippedTo, takenByFloat } from "./models.ts";
import type { Suspect } from "./result.ts";
import { suspectMaterial } from "./suspect.ts";

/** Where a model runs: FF and FR are the float twin, without a device and behind a device's input and access. */
export interface Place {
  arm: Arm;
  /** Null for FF. */
  profile: string | null;
}

/** A piece of work that one thread does; plain data. */
export type AuditStep =
  /** The model as it runs there, with everything visible: FF or QF. */
  | { kind: "deploy"; place: Place }
  /** Defenses by id; suspect: what those need that need triggered images. */
  | DefendStep
  /** A part of one of its defenses, by id, for the step to find in the store. */
  | { kind: "part"; place: Place; defend: DefendStep; defense: string; part: number };

type DefendStep = { kind: "defend"; place: Place; defenses: readonly string[]; suspect: Suspect | null };

export interface Answers {
  precision: string;
  scheme: string;
  sha256: string;
  /** Null for the float twin. */
  target: TargetInfo | null;
  /** Every reason why it cannot be run; empty where it can. */
  refused: string[];
  /** The class of each test image; null where it cannot be run. */
  top: number[] | null;
}

export interface AuditStepResults {
  deploy: Answers;
  /** In the order of `defenses`. */
  defend: Outcome[];
  part: null;
}

/** Does all of these steps, in any order and on any number of threads, and gives their results in the order given. */
export type AuditExecute = <S extends AuditStep>(
  steps: readonly S[],
) => Promise<AuditStepResults[S["kind"]][]>;

/** One line for a progress bar. */
export function auditStepTitle(step: AuditStep): string {
  const { arm, profile } = step.place;
  const where = `${arm}${profile ? ` ${profile}` : ""}`;
  if (step.kind === "deploy") return `measure ${where}`;
  const titles = (step.kind === "part" ? [step.defense] : step.defenses).map((id) => defenseOf(id).title);
  return `${titles.join(", ")} ${where}`;
}

export function profileAt({ profiles }: Pick<AuditInputs, "profiles">, { profile }: Place): Profile {
  const found = profiles.find(({ id }) => id === profile);
  if (!found)
    throw new RangeError(`profile: expected ${profiles.map(({ id }) => id).join(", ")}, got ${profile}`);
  return found;
}

const isFloatArm = ({ arm }: Place) => arm === "FF" || arm === "FR";

export function accessAt(inputs: Pick<AuditInputs, "profiles">, place: Place): AccessLevel {
  if (place.arm === "FF") return "A0";
  return place.arm === "QF" ? "A1" : profileAt(inputs, place).access.level;
}

/** All that decides what a model computes at a place, and what a defender sees of it. */
async function placeInputs(inputs: AuditInputs, place: Place): Promise<object> {
  const { preset, seed, engine } = inputs;
  const access = accessAt(inputs, place);
  if (place.arm === "FF")
    return { twin: floatTwin(inputs)?.sha256, taken: takenByFloat(inputs), access, preset, seed, engine };
  const profile = profileAt(inputs, place);
  const restricted = place.arm === "FR" || place.arm === "QR";
  const why = restricted ? profile.access.why : "";
  if (place.arm === "FR")
    return {
      twin: floatTwin(inputs)?.sha256,
      taken: takenByFloat(inputs),
      access,
      why,
      preset,
      seed,
      engine,
    };
  return {
    model: await shippedName(inputs, profile),
    arithmetic: arithmeticFor(
      profile,
      new Set([...inputs.model.graph.nodes.map(({ op }) => op), "SOFTMAX", "QUANTIZE", "int16"]),
    ),
    ...{ access, why, preset, seed, engine },
  };
}

/** Steps of equal identity give the same result: those of two profiles whose arithmetic is equal, for one. */
export async function auditStepIdentity(inputs: AuditInputs, step: AuditStep): Promise<string> {
  const { place: _, ...rest } = step;
  if (step.kind === "part") {
    const { defense, part } = step;
    return stepName("audit-part", "json", {
      defense,
      part,
      of: await auditStepIdentity(inputs, step.defend),
    });
  }
  return stepName(`audit-${step.kind}`, "json", { ...rest, at: await placeInputs(inputs, step.place) });
}

/** Steps that any threads can do before this one, which finds in the store what they did. */
export function auditStepsBefore(
  inputs: Pick<AuditInputs, "profiles" | "images">,
  step: AuditStep,
): AuditStep[] {
  if (step.kind !== "defend") return [];
  const [classes, access] = [inputs.images.classNames.length, accessAt(inputs, step.place)];
  return step.defenses.flatMap((id) =>
    Array.from({ length: countParts({ defense: defenseOf(id), classes, access }) }, (_, part) => ({
      ...{ kind: "part" as const, place: step.place, defend: step, defense: id, part },
    })),
  );
}

/** Does a step or recalls it from the store. Pure but for the store: the same lab and step give the same bytes. */
export async function runAuditStep<S extends AuditStep>(
  lab: AuditLab,
  step: S,
  progress: Progress,
): Promise<AuditStepResults[S["kind"]]> {
  const run = async (): Promise<AuditStepResults[AuditStep["kind"]]> => {
    switch (step.kind) {
      case "deploy":
        return rememberedJson(lab.store, await auditStepIdentity(lab, step), () => deploy(lab, step.place));
      case "defend":
        return defend(lab, step, progress);
      case "part":
        return part(lab, step, progress);
    }
  };
  return (await run()) as AuditStepResults[S["kind"]];
}

/** Everything in this thread, one step after the other. */
export function executeHere(
  lab: AuditLab,
  progress: (done: number, total: number, title: string) => void = () => {},
): AuditExecute {
  const known = new Map<string, unknown>();
  return (async (steps: readonly AuditStep[]) => {
    const results = [];
    for (const [i, step] of steps.entries()) {
      const identity = await auditStepIdentity(lab, step);
      const report: Progress = (done, total) =>
        progress(i + done / total, steps.length, auditStepTitle(step));
      report(0, 1);
      if (!known.has(identity)) known.set(identity, await runAuditStep(lab, step, report));
      results.push(known.get(identity));
    }
    return results;
  }) as AuditExecute;
}

/** The model that a lab opened last: the steps on it find what the ones before had it compute. */
const opened = new WeakMap<AuditLab, { name: string; subject: Promise<OpenSubject> }>();

/** The model at a place with everything visible. @throws UnsupportedOpError, ModelFormatError, RangeError. */
async function openAt(lab: AuditLab, place: Place): Promise<OpenSubject> {
  const name = isFloatArm(place) ? "float" : `integer ${place.profile}`;
  const last = opened.get(lab);
  if (last?.name === name) return last.subject;
  last?.subject.then(
    (subject) => subject.dispose?.(),
    () => {},
  );
  const subject = makeAt(lab, place);
  opened.set(lab, { name, subject });
  return subject;
}

async function makeAt(lab: AuditLab, place: Place): Promise<OpenSubject> {
  if (isFloatArm(place)) return floatSubject(lab.backend, foldedTwin(lab)!, "fp32", takenByFloat(lab));
  const profile = profileAt(lab, place);
  const { graph, scheme, precision, taken } = await shippedTo(lab, profile);
  const name = `${precision} on ${profile.id}`;
  return integerSubject(lab.kernels, lab.backend, { graph, scheme, profile, name, taken });
}

async function seenAt(lab: AuditLab, place: Place): Promise<Subject> {
  const open = await openAt(lab, place);
  if (place.arm === "FF") return restrict(open, "A0", "");
  const { why } = profileAt(lab, place).access;
  return restrict(open.integer ? open : behindDeviceInput(open), accessAt(lab, place), why);
}

async function deploy(lab: AuditLab, place: Place): Promise<Answers> {
  const { precision, scheme, sha256, target } = await describe(lab, place);
  const about = { precision, scheme, sha256, target };
  if (target && target.refused.length > 0) return { ...about, refused: target.refused, top: null };
  try {
    const subject = await openAt(lab, place);
    const test = firstImages(lab.images.test, lab.preset.testImages);
    const top = [...argmaxRows(subject.scores(test.pixels, test.count), subject.classes)];
    return { ...about, refused: [], top };
  } catch (error) {
    if (error instanceof UnsupportedOpError) return { ...about, refused: error.nodes, top: null };
    throw error;
  }
}

async function describe(
  lab: AuditLab,
  place: Place,
): Promise<Pick<Answers, "precision" | "scheme" | "sha256" | "target">> {
  if (isFloatArm(place))
    return {
      precision: "fp32",
      scheme: "float32, batch norm folded",
      sha256: floatTwin(lab)!.sha256,
      target: null,
    };
  const profile = profileAt(lab, place);
  const { graph, precision, text, sha256 } = await shippedTo(lab, profile);
  const target = inspectTarget(graph, profile, await bindKernels(lab.kernels));
  return { precision, scheme: text, sha256, target };
}

/** The runs of the defenses, by id, of a step. */
function runsOf(lab: AuditLab, step: DefendStep): (id: string) => Promise<DefenseRun> {
  const subject = once(() => seenAt(lab, step.place));
  const material = once(() => suspectMaterial(lab, step.suspect));
  const shown = { classes: lab.images.classNames.length, access: accessAt(lab, step.place) };
  return async (id) => {
    const name = await auditStepIdentity(lab, { ...step, defenses: [id] });
    const defense = defenseOf(id);
    const options = defense.presets[lab.preset.defenses];
    const random = seededRandom(lab.seed).fork(id);
    return { store: lab.store, name, defense, options, random, ...shown, subject, material };
  };
}

async function defend(lab: AuditLab, step: DefendStep, progress: Progress): Promise<Outcome[]> {
  const runOf = runsOf(lab, step);
  const outcomes: Outcome[] = [];
  for (const [i, id] of step.defenses.entries()) {
    const run = await runOf(id);
    const report: Progress = (done, total) => progress(i + done / total, step.defenses.length);
    outcomes.push(await rememberedJson(lab.store, run.name, () => outcomeOf(lab, run, report)));
  }
  return outcomes;
}

async function part(lab: AuditLab, step: AuditStep & { kind: "part" }, progress: Progress): Promise<null> {
  const run = await runsOf(lab, step.defend)(step.defense);
  const lacking = lackingOf(lab, run);
  if (!lacking && !(await lab.store.get(run.name))) await runPart(run, step.part, progress);
  return null;
}

const lackingOf = (lab: AuditLab, { defense, material }: DefenseRun) =>
  defense.needs.map((need) => LACKS[need](lab, material())).find((reason) => reason !== null);

async function outcomeOf(lab: AuditLab, run: DefenseRun, progress: Progress): Promise<Outcome> {
  const lacking = lackingOf(lab, run);
  if (lacking) return notRunnable(lacking, { forward: 0, backward: 0 });
  const outcome = await runDefense(run, progress);
  const instead = outcome.measures.gradientFree === 1 && (await run.subject()).missing.gradient;
  return instead ? { ...outcome, reason: `${outcome.reason} There are no gradients: ${instead}.` } : outcome;
}

/** Why an audit lacks what a defense needs; null where it does not. */
const LACKS: Record<Defense["needs"][number], (lab: AuditLab, material: Material) => string | null> = {
  training: ({ images }) =>
    images.training
      ? null
      : "It looks for poison in the training set, which was not given: held-out images hold none, so that it could only be silent.",
  triggered: (_, { truth }) =>
    truth
      ? null
      : "It judges inputs that bear a trigger, and none is known: Neural Cleanse accuses no class.",
};
