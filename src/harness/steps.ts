import type { AccessLevel, Defense, Outcome } from "../defenses/defense.ts";
import { DEFENSES, defenseOf } from "../defenses/index.ts";
import { seededRandom } from "../random.ts";
import { modelName, trainedModel } from "./deploy.ts";
import { deployment } from "./evaluate.ts";
import type { ModelSpec } from "./experiment.ts";
import { type Lab, materialOf, type Progress, rememberedJson, stepName } from "./lab.ts";
import { once } from "./once.ts";
import { paperRows } from "./paper.ts";
import { countParts, type DefenseRun, runDefense, runPart } from "./parts.ts";
import type { Arm, Deployment, PaperRow } from "./result.ts";
import { arithmeticOf, openSubject, profileOf, seenBy, type Target, targetName } from "./subjects.ts";

type CellsStep = { kind: "cells"; arm: Arm } & Target;

/** A piece of work that one thread does; plain data. */
export type Step =
  | { kind: "train"; model: ModelSpec }
  | ({ kind: "deploy" } & Target)
  /** All defenses on one target in one arm: they share the subject, its features and the material. */
  | CellsStep
  /** A part of one of its defenses, by id, for the cells to find in the store. */
  | { kind: "part"; cells: CellsStep; defense: string; part: number }
  | { kind: "paper"; model: ModelSpec; precision: string };

/** What each kind of step gives. */
export interface StepResults {
  train: { name: string };
  deploy: Deployment;
  /** In the order of DEFENSES. */
  cells: Outcome[];
  part: null;
  paper: PaperRow[];
}

/** One line for a progress bar. */
export function stepTitle(step: Step): string {
  if (step.kind === "train") return `train ${step.model.id}`;
  if (step.kind === "paper") return `paper's rules on ${step.model.id} ${step.precision}`;
  if (step.kind === "part") return `${defenseOf(step.defense).title} ${stepTitle(step.cells)}`;
  const where = step.profile ? `${step.precision} ${step.profile}` : step.precision;
  if (step.kind === "deploy") return `measure ${step.model.id} ${where}`;
  return `${step.model.id} ${step.arm} ${where}`;
}

/** Does a step or recalls it from the store. Pure but for the store: the same lab and step give the same bytes. */
export async function runStep<S extends Step>(
  lab: Lab,
  step: S,
  progress: Progress,
): Promise<StepResults[S["kind"]]> {
  const run = async (): Promise<StepResults[Step["kind"]]> => {
    switch (step.kind) {
      case "train":
        await trainedModel(lab, step.model, progress);
        return { name: await modelName(lab, step.model) };
      case "deploy":
        return deployment(lab, step, progress);
      case "cells":
        return cells(lab, step, progress);
      case "part":
        return part(lab, step, progress);
      case "paper":
        return paperRows(lab, step.model, step.precision, progress);
    }
  };
  return (await run()) as StepResults[S["kind"]];
}

/** The access level of an arm: full for FF and QF, the device's for FR and QR. */
export function accessOf(lab: Pick<Lab, "profiles">, arm: Arm, profile: string | null): AccessLevel {
  if (arm === "FF") return "A0";
  if (arm === "QF") return "A1";
  return profileOf(lab, profile!).access.level;
}

/** Steps of equal identity give the same result: cells of two profiles whose arithmetic is equal, for one. */
export async function stepIdentity(lab: Omit<Lab, "backend">, step: Step): Promise<string> {
  if (step.kind === "part")
    return stepName("part", "json", { ...step, cells: await cellInputs(lab, step.cells) });
  return step.kind === "cells"
    ? stepName("cells", "json", { ...(await cellInputs(lab, step)), why: whyOf(lab, step) })
    : stepName(step.kind, "json", step);
}

/** Steps of equal affinity are done fastest by one thread, one after the other: what one computes the next one finds. */
export async function stepAffinity(lab: Omit<Lab, "backend">, step: Step): Promise<string> {
  if (step.kind === "cells") return targetName(lab, step);
  return step.kind === "deploy" ? stepName("deploy", "json", step.model) : stepIdentity(lab, step);
}

/** Steps that any threads can do before this one, which finds in the store what they did. */
export function stepsBefore({ profiles, dataset }: Pick<Lab, "profiles" | "dataset">, step: Step): Step[] {
  if (step.kind !== "cells") return [];
  const [classes, access] = [dataset.classNames.length, accessOf({ profiles }, step.arm, step.profile)];
  return DEFENSES.flatMap((defense) =>
    Array.from({ length: countParts({ defense, classes, access }) }, (_, part) => ({
      ...{ kind: "part" as const, cells: step, defense: defense.id, part },
    })),
  );
}

/** Stands in a kept outcome for the profile's reason, so that profiles that differ in it alone share the outcome. */
const WHY = "{why}";

/** Why the profile shows no more than it does; empty where the arm has full access. */
function whyOf(lab: Pick<Lab, "profiles">, { arm, profile }: CellsStep): string {
  return arm === "FR" || arm === "QR" ? profileOf(lab, profile!).access.why.replace(/\.$/, "") : "";
}

/** All that decides the outcomes of a target in an arm, beside the defense and the profile's reason. */
async function cellInputs(lab: Omit<Lab, "backend">, step: CellsStep): Promise<object> {
  const { testImages, calibrationImages, cleanImages, defenses } = lab.preset;
  return {
    model: await modelName(lab, step.model),
    attack: step.model.attack,
    sizes: { testImages, calibrationImages, cleanImages, defenses },
    precision: step.precision,
    arithmetic: arithmeticOf(lab, step),
    access: accessOf(lab, step.arm, step.profile),
    onDevice: step.profile !== null,
    engine: lab.engine,
  };
}

/** The runs of the defenses on a target in an arm. */
function runsOf(lab: Lab, step: CellsStep): (defense: Defense) => Promise<DefenseRun> {
  const access = accessOf(lab, step.arm, step.profile);
  const subject = once(async () => seenBy(await openSubject(lab, step), access, step.profile !== null, WHY));
  const material = once(() => materialOf(lab, step.model));
  return async (defense) => {
    const options = defense.presets[lab.preset.defenses];
    const inputs = { ...(await cellInputs(lab, step)), defense: defense.id, options };
    const name = await stepName("cell", "json", inputs);
    const random = seededRandom(step.model.seed).fork(defense.id);
    const classes = lab.dataset.classNames.length;
    return { store: lab.store, name, defense, options, random, classes, access, subject, material };
  };
}

async function cells(lab: Lab, step: CellsStep, progress: Progress): Promise<Outcome[]> {
  const runOf = runsOf(lab, step);
  const outcomes: Outcome[] = [];
  for (const [i, defense] of DEFENSES.entries()) {
    const run = await runOf(defense);
    const report = (done: number, total: number) => progress(i + done / total, DEFENSES.length);
    const outcome = await rememberedJson(lab.store, run.name, () => runDefense(run, report));
    outcomes.push({ ...outcome, reason: outcome.reason.replaceAll(WHY, whyOf(lab, step)) });
  }
  return outcomes;
}

async function part(lab: Lab, step: Step & { kind: "part" }, progress: Progress): Promise<null> {
  const run = await runsOf(lab, step.cells)(defenseOf(step.defense));
  if (!(await lab.store.get(run.name))) await runPart(run, step.part, progress);
  return null;
}
