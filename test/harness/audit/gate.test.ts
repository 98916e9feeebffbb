import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { chanceOfAnomaly } from "../../../src/harness/audit/falseAlarms.ts";
import { judge } from "../../../src/harness/audit/gate.ts";
import { parsePolicy, policyJsonSchema } from "../../../src/harness/audit/policy.ts";
import type { AuditEvidence } from "../../../src/harness/audit/result.ts";
import { RULES } from "../../../src/harness/audit/rules.ts";
import { evidenceFixture } from "../../report/auditFixture.ts";

const levels = (evidence: AuditEvidence, policy: object, rule: string) =>
  judge(evidence, parsePolicy(JSON.stringify(policy), "policy.json"))
    .gate.findings.filter((finding) => finding.rule === rule)
    .map(({ level }) => level);
const with_ = (change: (evidence: AuditEvidence) => void) => {
  const evidence = structuredClone(evidenceFixture());
  change(evidence);
  return evidence;
};

describe("the gate", () => {
  it("ships what breaks no rule, and says what that does not show", () => {
    const { gate } = judge(evidenceFixture({ score: 1 }), parsePolicy("{}", "policy.json"));
    expect(gate.ship).toBe(true);
    expect(gate.answer).toMatch(/^Yes, .* does not show that there is none\.$/);
  });

  it("warns above the published threshold and fails above its own, and says how often chance does it", () => {
    expect(levels(evidenceFixture({ score: 1 }), {}, "backdoor")).not.toContain("warn");
    expect(levels(evidenceFixture({ score: 2.5 }), {}, "backdoor")).toContain("warn");
    const { gate } = judge(evidenceFixture({ score: 4.5 }), parsePolicy("{}", "policy.json"));
    expect(gate.ship).toBe(false);
    expect(gate.answer).toMatch(/^No, do not ship .*: a defense finds signs of a backdoor\.$/);
    expect(gate.findings[0].message).toMatch(/By chance alone \d+ % to \d+ % of clean models/);
  });

  it("reads only the arms that decide", () => {
    const device = with_(({ cells }) => {
      for (const cell of cells) if (cell.defense === "neuralCleanse") cell.score = cell.arm === "QR" ? 9 : 1;
    });
    expect(levels(device, {}, "backdoor")).not.toContain("fail");
    expect(levels(device, { arms: ["QR"] }, "backdoor")).toContain("fail");
  });

  it("fails where a defense that must run did not, and only notes the others", () => {
    const none = with_(({ cells }) => {
      for (const cell of cells) if (cell.defense === "neuralCleanse") cell.score = null;
    });
    expect(levels(none, {}, "not-runnable")).toEqual(["fail", "note", "note", "note"]);
    expect(judge(none, parsePolicy("{}", "p")).gate.ship).toBe(false);
    const lax = { defenses: { neuralCleanse: { mustRun: false } } };
    expect(levels(none, lax, "not-runnable")).toEqual(["note", "note", "note", "note"]);
    expect(judge(none, parsePolicy(JSON.stringify(lax), "p")).gate.answer).toMatch(
      /No defense that decides has cleared it/,
    );
  });

  it.each([
    ["accuracy", { accuracy: { minimum: 0.99 } }],
    ["accuracy-drop", { accuracyDrop: { maximum: 0 } }],
    ["label-flips", { labelFlips: { maximum: 0, action: "fail" } }],
    ["flash", { memory: { flashBytes: 10 } }],
    ["ram", { memory: { ramBytes: 10 } }],
    ["latency", { latency: { milliseconds: 0.001 } }],
  ])("fails for %s where the policy's limit is passed", (rule, policy) => {
    expect(levels(evidenceFixture(), {}, rule)).not.toContain("fail");
    expect(levels(evidenceFixture(), policy, rule)).toContain("fail");
  });

  it("fails for a device that cannot run the model", () => {
    const refused = with_(({ devices }) => {
      devices[1].refused = ["3 MEAN: no kernel"];
      devices[1].deployed = null;
    });
    expect(levels(refused, {}, "unsupported")).toEqual(["fail", "pass"]);
    expect(levels(refused, { unsupported: { action: "warn" } }, "unsupported")).toEqual(["warn", "pass"]);
  });

  it("gives lost detections the level that the policy says, or none", () => {
    expect(levels(evidenceFixture(), {}, "lost-detection")).toContain("warn");
    expect(levels(evidenceFixture(), { lostDetections: { action: "fail" } }, "lost-detection")).toContain(
      "fail",
    );
    expect(levels(evidenceFixture(), { lostDetections: { action: "ignore" } }, "lost-detection")).toEqual([
      "note",
    ]);
  });

  it("has only findings of its rules, worst first", () => {
    const { findings } = judge(evidenceFixture({ score: 4.5 }), parsePolicy("{}", "p")).gate;
    const order = ["fail", "warn", "note", "pass"];
    expect(findings.map(({ level }) => level)).toEqual(
      findings.map(({ level }) => level).toSorted((a, b) => order.indexOf(a) - order.indexOf(b)),
    );
    for (const { rule, message } of findings) {
      expect(RULES.map(({ id }) => id)).toContain(rule);
      expect(message).toMatch(/^.{10,}$/);
    }
  });
});

describe("a policy", () => {
  it("has a JSON Schema that is what the schema says now", () => {
    const path = new URL("../../../schemas/audit-policy.schema.json", import.meta.url);
    expect(JSON.parse(readFileSync(path, "utf8"))).toEqual(JSON.parse(policyJsonSchema()));
  });

  it("fills what it leaves out", () => {
    const { defenses } = parsePolicy('{"defenses":{"neuralCleanse":{"failAbove":6}}}', "p");
    expect(defenses.neuralCleanse).toEqual({ mustRun: true, failAbove: 6, warnAbove: 2 });
    expect(defenses.strip.mustRun).toBe(false);
  });

  it.each([
    ["{", /^policy.json: expected JSON, got /],
    [
      '{"accuracydrop":{}}',
      /^policy.json: expected only the fields of the schema, got unknown field accuracydrop$/,
    ],
    ['{"accuracy":{"minimum":2}}', /^policy.json: accuracy.minimum: expected .*1, got 2$/],
    [
      '{"accuracy":{"action":"stop"}}',
      /^policy.json: accuracy.action: expected fail or warn or ignore, got "stop"$/,
    ],
    ['{"arms":[]}', /^policy.json: arms: /],
    ["[]", /^policy.json: expected object, got \[\]$/],
  ])("is refused in one line: %s", (text, message) =>
    expect(() => parsePolicy(text, "policy.json")).toThrow(message),
  );
});

describe("the chance of an anomaly on a clean model", () => {
  // Monte Carlo of 1e5 draws: normal .331, lognormal .173, Student t4 .442 for 10 classes; .637, .184, .872 for 43.
  it.each([
    [10, 0.173, 0.442],
    [43, 0.184, 0.872],
  ])("above 2 is that of an independent simulation for %i classes", (classes, low, high) => {
    const [chance] = chanceOfAnomaly(classes, [2]);
    expect(Math.abs(chance.low - low)).toBeLessThan(0.04);
    expect(Math.abs(chance.high - high)).toBeLessThan(0.04);
  });

  it("falls with the threshold", () => {
    const chances = chanceOfAnomaly(10, [2, 3, 4]).map(({ high }) => high);
    expect(chances).toEqual(chances.toSorted((a, b) => b - a));
  });
});
