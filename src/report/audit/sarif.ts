import type { Log, ReportingDescriptor, Result as SarifResult } from "sarif";
import type { AuditResult, Finding, Level } from "../../harness/audit/gate.ts";
import { RULES } from "../../harness/audit/rules.ts";

/** What code scanning shows: a check that passed is no result. */
const LEVELS = { fail: "error", warn: "warning", note: "note" } as const satisfies Partial<
  Record<Level, SarifResult.level>
>;

/** SARIF 2.1.0: one result a finding, each at the model file. Source: OASIS, sarif-v2.1.0. */
export function auditSarif(result: AuditResult): string {
  const { model, inputs, versions, command, gate } = result;
  const uri = uriOf(model.file);
  const log: Log = {
    $schema: "https://json.schemastore.org/sarif-2.1.0.json",
    version: "2.1.0",
    runs: [
      {
        tool: {
          driver: {
            name: "Blindspot",
            semanticVersion: versions.blindspot ?? "0.0.0",
            rules: RULES.map(descriptor),
          },
        },
        automationDetails: { id: `blindspot-audit/${model.name}/` },
        invocations: [{ executionSuccessful: true, commandLine: command, exitCode: gate.ship ? 0 : 1 }],
        artifacts: [{ location: { uri }, hashes: { "sha-256": inputs.model } }],
        results: gate.findings.flatMap((finding) => resultOf(finding, uri)),
        columnKind: "utf16CodeUnits",
        properties: { ship: gate.ship, answer: gate.answer },
      },
    ],
  };
  return `${JSON.stringify(log, null, 2)}\n`;
}

function descriptor({ id, title, help }: (typeof RULES)[number]): ReportingDescriptor {
  return {
    id,
    name: id.replace(/(^|-)([a-z])/g, (_, __, letter: string) => letter.toUpperCase()),
    shortDescription: { text: title },
    fullDescription: { text: help },
    help: { text: help },
  };
}

function resultOf({ rule, level, message, profile, defense }: Finding, uri: string): SarifResult[] {
  if (level === "pass") return [];
  return [
    {
      ruleId: rule,
      ruleIndex: RULES.findIndex(({ id }) => id === rule),
      level: LEVELS[level],
      message: { text: message },
      locations: [{ physicalLocation: { artifactLocation: { uri, index: 0 }, region: { startLine: 1 } } }],
      partialFingerprints: { "blindspotFinding/v1": [rule, profile ?? "model", defense ?? "-"].join("/") },
      properties: { profile, defense },
    },
  ];
}

/** A relative path as it is, an absolute one as a file URI. */
function uriOf(file: string): string {
  const path = file.replaceAll("\\", "/").split("/").map(encodeURIComponent).join("/");
  return path.startsWith("/") ? `file://${path}` : path.replace(/^\.\//, "");
}
