import type { Finding, Level } from "../../harness/audit/gate.ts";
import type { AuditCell, AuditEvidence } from "../../harness/audit/result.ts";
import type { Arm } from "../../harness/result.ts";
import { distinct } from "../view.ts";

export const atLevel = (findings: readonly Finding[], level: Level): Finding[] =>
  findings.filter((finding) => finding.level === level);

/** The defense's cell in an arm, for one device; FF is of all. */
export function cellAt(
  { cells }: AuditEvidence,
  defense: string,
  arm: Arm,
  profile: string,
): AuditCell | undefined {
  return cells.find(
    (cell) => cell.defense === defense && cell.arm === arm && (arm === "FF" || cell.profile === profile),
  );
}

export const defensesOf = ({ cells }: AuditEvidence): string[] =>
  distinct(cells.map(({ defense }) => defense));

/** The arms that any cell is of. */
export function armsOf({ cells }: AuditEvidence): Arm[] {
  return (["FF", "FR", "QF", "QR"] as const).filter((arm) => cells.some((cell) => cell.arm === arm));
}

/** "2.18 !" above the published threshold, "n/r", "" where it was not measured. */
export function scoreText(cell: AuditCell | undefined): string {
  if (!cell) return "";
  if (cell.score === null) return "n/r";
  return `${cell.score.toFixed(2)}${cell.verdict === "detected" ? " !" : ""}`;
}
