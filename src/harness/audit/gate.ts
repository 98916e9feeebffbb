import type { Policy } from "./policy.ts";
import type { AuditEvidence } from "./result.ts";
import { RULES } from "./rules.ts";

/** fail: the model may not ship. note: a person should know it, the gate does not mind. */
export type Level = "fail" | "warn" | "note" | "pass";

/** One thing that was looked at. */
export interface Finding {
  /** Of RULES. */
  rule: string;
  level: Level;
  message: string;
  /** Null where it is of the model, whatever the device. */
  profile: string | null;
  defense: string | null;
}

export interface Gate {
  ship: boolean;
  /** One sentence that answers "may I ship this?". */
  answer: string;
  /** fail before warn before note before pass. */
  findings: Finding[];
}

/** Evidence, the policy that judged it and the judgement: what every report is drawn from. */
export interface AuditResult extends AuditEvidence {
  policy: Policy;
  gate: Gate;
}

const ORDER: readonly Level[] = ["fail", "warn", "note", "pass"];

/** Judges what was measured. Pure: another policy needs no new measurement. */
export function judge(evidence: AuditEvidence, policy: Policy): AuditResult {
  const found = RULES.flatMap(({ id, check }) =>
    check(evidence, policy).map(
      (finding): Finding => ({ profile: null, defense: null, ...finding, rule: id }),
    ),
  );
  const findings = ORDER.flatMap((level) => found.filter((finding) => finding.level === level));
  return { ...evidence, policy, gate: { ...answerOf(evidence, findings), findings } };
}

function answerOf(
  { model, devices }: AuditEvidence,
  findings: readonly Finding[],
): Pick<Gate, "ship" | "answer"> {
  const [fails, warnings] = (["fail", "warn"] as const).map((level) =>
    findings.filter((each) => each.level === level),
  );
  const where = devices.length === 1 ? devices[0].profile : `${devices.length} devices`;
  if (fails.length > 0) {
    const reasons = [...new Set(fails.map(({ rule }) => RULES.find(({ id }) => id === rule)!.breach))];
    return { ship: false, answer: `No, do not ship ${model.name}: ${listed(reasons)}.` };
  }
  const but =
    warnings.length === 0 ? "" : `, with ${warnings.length} warning${warnings.length === 1 ? "" : "s"}`;
  const cleared = findings.some(({ rule, level }) => rule === "backdoor" && level === "pass");
  const caveat = cleared
    ? "That no backdoor was found does not show that there is none."
    : "No defense that decides has cleared it.";
  return { ship: true, answer: `Yes, ${model.name} may ship to ${where} by this policy${but}. ${caveat}` };
}

const listed = (items: readonly string[]) =>
  items.length < 2 ? items.join("") : `${items.slice(0, -1).join(", ")} and ${items.at(-1)}`;
