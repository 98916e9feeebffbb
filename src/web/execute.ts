/** The steps of an audit one after another, told as they go. */
import { DEFENSES } from "../defenses/index.ts";
import type { AuditLab } from "../harness/audit/inputs.ts";
import { floatTwin } from "../harness/audit/models.ts";
import { type Answers, type AuditExecute, type AuditStep, executeHere } from "../harness/audit/steps.ts";
import { firstImages, share } from "../harness/lab.ts";
import { ARM_WORDS } from "../report/words.ts";
import type { AuditEvent, DeviceAnswer } from "./protocol.ts";

/** What remains when every step is done: comparing and drawing, of 1. */
const REST = 0.05;

/** The defense of a step that is one; the page asks for one at a time. */
const defenseIn = (step: Exclude<AuditStep, { kind: "deploy" }>) =>
  step.kind === "part" ? step.defense : step.defenses[0];

/** What a step costs beside others. */
function costOf(step: AuditStep): number {
  if (step.kind === "deploy") return 3;
  if (defenseIn(step) !== "neuralCleanse") return 4;
  return step.place.arm === "FF" || step.place.arm === "QF" ? 40 : 20;
}

/** Of all steps that an audit of this model may ask for. */
function expectedCost(lab: AuditLab): number {
  const devices = lab.profiles.length;
  const twin = floatTwin(lab) ? 1 : 0;
  const places = twin + devices * (2 + twin);
  const deploys = 3 * (devices + twin);
  return deploys + 4 * (DEFENSES.length - 1) * places + 40 * (twin + devices) + 20 * devices * (1 + twin);
}

export function trackedExecute(lab: AuditLab, tell: (event: AuditEvent) => void): AuditExecute {
  const total = expectedCost(lab);
  let done = 0;
  let step: AuditStep;
  const here = executeHere(lab, (part) => {
    const reached = Math.min(1, (done + part * costOf(step)) / total);
    tell({ kind: "progress", title: titleOf(step), share: reached * (1 - REST) });
  });
  return (async (steps: readonly AuditStep[]) => {
    const results: unknown[] = [];
    for (step of steps) {
      const [result] = await here([step]);
      if (step.kind === "deploy") tell({ kind: "device", answer: answerOf(lab, step, result as Answers) });
      done += costOf(step);
      results.push(result);
    }
    return results;
  }) as AuditExecute;
}

/** A line for a person. */
function titleOf(step: AuditStep): string {
  const { place } = step;
  const where = place.profile ? `${place.profile} (${ARM_WORDS[place.arm]})` : "the float model";
  if (step.kind === "deploy") return `Measuring ${place.profile ?? where}`;
  const title = DEFENSES.find(({ id }) => id === defenseIn(step))!.title;
  return `${title} on ${where}`;
}

function answerOf(lab: AuditLab, { place }: AuditStep, answers: Answers): DeviceAnswer {
  const { top, refused, precision, target } = answers;
  const { labels, count } = firstImages(lab.images.test, lab.preset.testImages);
  const right = top?.filter((label, i) => label === labels[i]).length;
  return {
    ...{ profile: place.profile, title: target?.title ?? "Float model", precision, refused },
    accuracy: right === undefined ? null : share(right, count),
  };
}
