import type { AccessLevel, Outcome } from "../defenses/defense.ts";
import { DEFENSES } from "../defenses/index.ts";
import { seededRandom } from "../random.ts";
import { modelName, trainedModel } from "./deploy.ts";
import { deployment } from "./evaluate.ts";
import type { ModelSpec } from "./experiment.ts";
import { type Lab, materialOf, type Progress, rememberedJson, stepName } from "./lab.ts";
import { once } from "./once.ts";
import { paperRows } from "./paper.ts";
import type { Arm, Deployment, PaperRow } from "./result.ts";
import { arithmeticOf, openSubject, profileOf, seenBy, type Target, targetName } from "./subjects.ts";

/** A piece of work that one thread does; plain data. */
export type Step =
  | { kind: "train"; model: ModelSpec }
  | ({ kind: "deploy" } & Target)
  /** All defenses on one target in one arm: they share the subject, its features and the material. */
  | ({ kind: "cells"; arm: Arm } & Target)
  | { kind: "paper"; model: ModelSpec };

/** What each kind of step gives. */
export interface StepResults {
  train: { name: string };
  deploy: Deployment;
  /** In the order of DEFENSES. */
  cells: Outcome[];
  paper: PaperRow[];
}

/** One line for a progress bar. */
export function stepTitle(step: Step): string {
  if (step.kind === "train") return `train ${step.model.id}`;
  if (step.kind === "paper") return `paper's rules on ${step.model.id}`;
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
      case "paper":
        return paperRows(lab, step.model, progress);
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

type CellsStep = Step & { kind: "cells" };

/** Steps of equal identity give the same result: cells of two profiles whose arithmetic is equal, for one. */
export async function stepIdentity(lab: Omit<Lab, "backend">, step: Step): Promise<string> {
  return step.kind === "cells"
    ? stepName("cells", "json", { ...(await cellInputs(lab, step)), why: whyOf(lab, step) })
    : stepName(step.kind, "json", step);
}

/** Steps of equal affinity are done fastest by one thread, one after the other: what one computes the next one finds. */
export async function stepAffinity(lab: Omit<Lab, "backend">, step: Step): Promise<string> {
  return step.kind === "cells" ? targetName(lab, step) : stepName(step.kind, "json", step);
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

async function cells(lab: Lab, step: CellsStep, progress: Progress): Promise<Outcome[]> {
  const inputs = await cellInputs(lab, step);
  const access = accessOf(lab, step.arm, step.profile);
  const seen = once(async () => seenBy(await openSubject(lab, step), access, step.profile !== null, WHY));
  const material = once(() => materialOf(lab, step.model));
  const outcomes: Outcome[] = [];
  for (const [i, defense] of DEFENSES.entries()) {
    const options = defense.presets[lab.preset.defenses];
    const name = await stepName("cell", "json", { ...inputs, defense: defense.id, options });
    const outcome = await rememberedJson(lab.store, name, async () => {
      const random = seededRandom(step.model.seed).fork(defense.id);
      const report = (done: number, total: number) => progress(i + done / total, DEFENSES.length);
      return defense.run(await seen(), material(), options, random, report);
    });
    outcomes.push({ ...outcome, reason: outcome.reason.replaceAll(WHY, whyOf(lab, step)) });
  }
  return outcomes;
}
