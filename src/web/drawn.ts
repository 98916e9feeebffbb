/** What the page shows of a Result: the report's own drawing. */
import type { ImageSet } from "../data/dataset.ts";
import type { AuditResult } from "../harness/audit/gate.ts";
import type { Comparison } from "../harness/compare.ts";
import { auditHtml, auditReasons, auditSections, verdictLine } from "../report/audit/html.ts";
import { html } from "../report/html/markup.ts";
import { Figures } from "../report/html/page.ts";
import { layersSection } from "./layers.ts";
import type { AuditDone } from "./protocol.ts";

export function drawn(result: AuditResult, comparisons: readonly Comparison[], test: ImageSet): AuditDone {
  const { ship, answer } = result.gate;
  const { classNames } = result.dataset;
  return {
    ...{ ship, answer, json: `${JSON.stringify(result)}\n`, report: auditHtml(result) },
    verdict: verdictLine(result).text,
    reasons: auditReasons(result).text,
    body: html`${comparisons.map((each) => layersSection(each, test, classNames))}${auditSections(result, new Figures())}`
      .text,
  };
}
