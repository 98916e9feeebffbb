import type { AccessLevel, Outcome } from "../defenses/defense.ts";
import { DEFENSES } from "../defenses/index.ts";
import { seededRandom } from "../random.ts";
import { modelName, trainedModel } from "./deploy.ts";
import { deployment } from "./evaluate.ts";
import type { ModelSpec } from "./experiment.ts";
import { type Lab, materialOf, type Progress, rememberedJson, stepName } from "./lab.ts";
import { paperRows } from "./paper.ts";
import type { Arm, Deployment, PaperRow } from "./result.ts";
import { arithmeticOf, openSubject, profileOf, seenBy, type Target } from "./subjects.ts";

/** A piece of work that one thread does; plain data. */
export type Step =
  | { kind: "train"; model: ModelSpec }
  | ({ kind: "deploy" } & Target)
  | ({ kind: "cell"; arm: Arm; defense: string } & Target)
  | { kind: "paper"; model: ModelSpec };

/** What each kind of step gives. */
export interface StepResults {
  train: { name: string };
  deploy: Deployment;
  cell: Outcome;
  paper: PaperRow[];
}

/** One line for a progress bar. */
export function stepTitle(step: Step): string {
  if (step.kind === "train") return `train ${step.model.id}`;
  if (step.kind === "paper") return `paper's rules on ${step.model.id}`;
  const where = step.profile ? `${step.precision} ${step.profile}` : step.precision;
  if (step.kind === "deploy") return `measure ${step.model.id} ${where}`;
  return `${step.defense} ${step.model.id} ${step.arm} ${where}`;
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
      case "cell":
        return cell(lab, step, progress);
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

type CellStep = Step & { kind: "cell" };

/** Steps of equal identity give the same result: cells of two profiles whose arithmetic is equal, for one. */
export async function stepIdentity(lab: Omit<Lab, "backend">, step: Step): Promise<string> {
  return step.kind === "cell" ? cellName(lab, step) : stepName(step.kind, "json", step);
}

async function cellName(lab: Omit<Lab, "backend">, step: CellStep): Promise<string> {
  const defense = DEFENSES.find(({ id }) => id === step.defense)!;
  const { testImages, calibrationImages, cleanImages, defenses } = lab.preset;
  return stepName("cell", "json", {
    model: await modelName(lab, step.model),
    attack: step.model.attack,
    defense: defense.id,
    options: defense.presets[defenses],
    precision: step.precision,
    arithmetic: arithmeticOf(lab, step),
    access: accessOf(lab, step.arm, step.profile),
    why: step.arm === "FR" || step.arm === "QR" ? profileOf(lab, step.profile!).access.why : "",
    sizes: { testImages, calibrationImages, cleanImages },
    engine: lab.engine,
  });
}

async function cell(lab: Lab, step: CellStep, progress: Progress): Promise<Outcome> {
  return rememberedJson(lab.store, await cellName(lab, step), async () => {
    const defense = DEFENSES.find(({ id }) => id === step.defense)!;
    const open = await openSubject(lab, step);
    const subject = seenBy(lab, open, accessOf(lab, step.arm, step.profile), step.profile);
    const random = seededRandom(step.model.seed).fork(defense.id);
    const options = defense.presets[lab.preset.defenses];
    return defense.run(subject, materialOf(lab, step.model), options, random, progress);
  });
}
