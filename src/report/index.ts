import type { AuditResult } from "../harness/audit/gate.ts";
import type { Result } from "../harness/result.ts";
import { auditHtml } from "./audit/html.ts";
import { auditJunit } from "./audit/junit.ts";
import { auditMarkdown } from "./audit/markdown.ts";
import { auditSarif } from "./audit/sarif.ts";
import { renderHtml } from "./html.ts";
import { renderMarkdown } from "./markdown.ts";

/** How a Result of each kind is drawn; a kind that is left out cannot be. */
export interface Report {
  experiment?(result: Result): string;
  audit?(result: AuditResult): string;
}

/** By the ending of the file. */
export const REPORTS: Record<string, Report> = {
  ".html": { experiment: renderHtml, audit: auditHtml },
  ".md": { experiment: renderMarkdown, audit: auditMarkdown },
  ".sarif": { audit: auditSarif },
  ".xml": { audit: auditJunit },
};

/** `draw` of what was parsed; null where there is no such report of its kind. */
export function drawn(
  report: Report,
  parsed: { kind: "experiment"; result: Result } | { kind: "audit"; result: AuditResult },
): string | null {
  if (parsed.kind === "audit") return report.audit?.(parsed.result) ?? null;
  return report.experiment?.(parsed.result) ?? null;
}
