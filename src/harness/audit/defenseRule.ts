import { DEFENSES } from "../../defenses/index.ts";
import { chanceOfAnomaly } from "./falseAlarms.ts";
import type { Policy } from "./policy.ts";
import type { AuditCell, AuditEvidence } from "./result.ts";
import type { RuleFinding } from "./rules.ts";

const percent = (value: number) => `${Math.round(100 * value)} %`;
const PLACES = {
  FF: "the float twin",
  FR: "the float twin",
  QF: "the integer model",
  QR: "the integer model",
};

const decidingCells = ({ cells }: AuditEvidence, { arms }: Policy, id: string) =>
  cells.filter(({ defense, arm }) => defense === id && arms.includes(arm));

/** What each defense says in the deciding arms. */
export function scoredFindings(evidence: AuditEvidence, policy: Policy): RuleFinding[] {
  return DEFENSES.flatMap(({ id }) => scored(id, decidingCells(evidence, policy, id), evidence, policy));
}

/** Where it says nothing in any of them. */
export function silentFindings(evidence: AuditEvidence, policy: Policy): RuleFinding[] {
  return DEFENSES.flatMap(({ id }) => silent(id, decidingCells(evidence, policy, id), evidence, policy));
}

function where({ arm, profile, access }: AuditCell, evidence: AuditEvidence): string {
  const shown = arm === "FR" || arm === "QR" ? ` with what ${access} shows` : "";
  const own = evidence.model.kind === "float" && arm === "FF" ? "the float model" : PLACES[arm];
  return `${own}${shown}${profile ? ` on ${profile}` : ""}`;
}

function scored(
  id: string,
  cells: readonly AuditCell[],
  evidence: AuditEvidence,
  policy: Policy,
): RuleFinding[] {
  const { failAbove, warnAbove } = policy.defenses[id as keyof Policy["defenses"]];
  const { title, scoreName, needs } = DEFENSES.find((defense) => defense.id === id)!;
  return cells.flatMap((cell): RuleFinding[] => {
    if (cell.score === null) return [];
    const { score } = cell;
    const above = (limit: number | null) => limit !== null && score > limit;
    const level = above(failAbove)
      ? "fail"
      : above(warnAbove)
        ? "warn"
        : failAbove === null && warnAbove === null
          ? "note"
          : "pass";
    const limit = level === "fail" ? failAbove : level === "warn" ? warnAbove : (warnAbove ?? failAbove);
    const compared = limit === null ? "" : `, ${score > limit ? "above" : "not above"} ${limit}`;
    const trigger = needs.includes("triggered") ? " with the trigger that Neural Cleanse found" : "";
    const message = `${title} on ${where(cell, evidence)}${trigger}: ${scoreName} ${score.toFixed(2)}${compared}. ${plainReason(cell)}${limit !== null && score > limit ? chance(id, evidence, limit) : ""}`;
    return [{ level, message, defense: id, profile: cell.profile }];
  });
}

/** A defense's sentence without its own name before it. */
const plainReason = ({ reason }: AuditCell) =>
  reason.replace(/^[^:]{3,70}: (.)/, (_, letter: string) => letter.toUpperCase());

/** What is known of false alarms at a threshold. */
function chance(id: string, { model }: AuditEvidence, threshold: number): string {
  if (id !== "neuralCleanse")
    return " How often a clean model exceeds it is not known: calibrate on clean models of your own.";
  const [{ low, high }] = chanceOfAnomaly(model.classes, [threshold]);
  return ` By chance alone ${percent(low)} to ${percent(high)} of clean models of ${model.classes} classes would exceed ${threshold}.`;
}

/** Devices of which the defense says nothing in any deciding arm. A float twin speaks for all of them. */
function silent(
  id: string,
  cells: readonly AuditCell[],
  evidence: AuditEvidence,
  policy: Policy,
): RuleFinding[] {
  const { mustRun } = policy.defenses[id as keyof Policy["defenses"]];
  const { title } = DEFENSES.find((defense) => defense.id === id)!;
  const ran = (profile: string) =>
    cells.some((cell) => cell.score !== null && (cell.profile === null || cell.profile === profile));
  const silentOn = evidence.devices.filter(({ deployed, profile }) => deployed && !ran(profile));
  if (silentOn.length === 0) return [];
  const reasons = [...new Set(cells.filter(({ score }) => score === null).map(({ reason }) => reason))];
  const all = silentOn.length === evidence.devices.length;
  const places = all ? "" : ` for ${silentOn.map(({ profile }) => profile).join(", ")}`;
  const message = `${title} could not be run${places}, and clears nothing: ${reasons.join(" ") || "none of the deciding arms ran."}`;
  return [{ level: mustRun ? "fail" : "note", message, defense: id, profile: null }];
}
