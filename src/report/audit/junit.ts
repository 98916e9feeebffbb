import type { AuditResult, Finding } from "../../harness/audit/gate.ts";
import { RULES } from "../../harness/audit/rules.ts";
import { defenseTitle } from "../words.ts";

/** JUnit XML as CI services read it: one case a finding; a defense that did not run and need not is skipped, not passed. */
export function auditJunit({ gate, model, versions }: AuditResult): string {
  const { findings } = gate;
  const names = namesOf(findings);
  const failures = findings.filter(({ level }) => level === "fail").length;
  const skipped = findings.filter(isSkipped).length;
  const counts = `tests="${findings.length}" failures="${failures}" errors="0" skipped="${skipped}"`;
  return `<?xml version="1.0" encoding="UTF-8"?>
<testsuites name="blindspot audit" ${counts}>
  <testsuite name="${xml(model.name)}" ${counts}>
    <properties>
      <property name="answer" value="${xml(gate.answer)}"/>
      <property name="blindspot" value="${xml(versions.blindspot ?? "")}"/>
    </properties>
${findings.map((finding, i) => testCase(finding, names[i])).join("\n")}
  </testsuite>
</testsuites>
`;
}

const isSkipped = ({ rule, level }: Finding) => rule === "not-runnable" && level === "note";

/** What was looked at and where; CI services follow a case over time by it. */
function namesOf(findings: readonly Finding[]): string[] {
  const seen = new Map<string, number>();
  return findings.map(({ rule, profile, defense }) => {
    const title = RULES.find(({ id }) => id === rule)!.title;
    const about = [defense && defenseTitle(defense), profile].filter(Boolean).join(" on ");
    const name = about ? `${title}: ${about}` : title;
    const times = (seen.get(name) ?? 0) + 1;
    seen.set(name, times);
    return times === 1 ? name : `${name} (${times})`;
  });
}

function testCase(finding: Finding, name: string): string {
  const { rule, level, message } = finding;
  const open = `    <testcase classname="blindspot.${rule}" name="${xml(name)}" time="0">`;
  const inner =
    level === "fail"
      ? `<failure type="${rule}" message="${xml(message)}"/>`
      : isSkipped(finding)
        ? `<skipped message="${xml(message)}"/>`
        : `<system-out>${xml(level === "pass" ? message : `${level}: ${message}`)}</system-out>`;
  return `${open}${inner}</testcase>`;
}

/** Safe in text and in quoted attributes; what XML 1.0 cannot hold becomes U+FFFD. */
function xml(text: string): string {
  return text
    .replace(/[^\t\n\r -\ud7ff\ue000-\ufffd\u{10000}-\u{10ffff}]/gu, "\ufffd")
    .replace(/&/g, "&amp;")
    .replace(/</g, "&lt;")
    .replace(/>/g, "&gt;")
    .replace(/"/g, "&quot;")
    .replace(/\s+/g, " ");
}
