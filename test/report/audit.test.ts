import { parseHTML } from "linkedom";
import type { Log } from "sarif";
import { describe, expect, it } from "vitest";
import { type AuditResult, judge } from "../../src/harness/audit/gate.ts";
import { DEFAULT_POLICY } from "../../src/harness/audit/policy.ts";
import { RULES } from "../../src/harness/audit/rules.ts";
import { auditText } from "../../src/report/audit/text.ts";
import { drawn, REPORTS } from "../../src/report/index.ts";
import { parseAnyResult, ResultError } from "../../src/report/parse.ts";
import { evidenceFixture } from "./auditFixture.ts";

const shipping = judge(evidenceFixture({ score: 1 }), DEFAULT_POLICY);
const failing = judge(evidenceFixture({ score: 4.5 }), DEFAULT_POLICY);
const draw = (ending: string, result: AuditResult) => drawn(REPORTS[ending], { kind: "audit", result })!;

describe("an audit's JSON", () => {
  it("comes back as it was", () => {
    for (const result of [shipping, failing])
      expect(parseAnyResult(JSON.stringify(result), "a.json")).toEqual({ kind: "audit", result });
  });

  it("is refused in one line that names the place", () => {
    const broken = (change: (result: AuditResult) => void) => {
      const copy = structuredClone(failing);
      change(copy);
      return () => parseAnyResult(JSON.stringify(copy), "a.json");
    };
    expect(broken((r) => Object.assign(r, { format: "blindspot-audit/9" }))).toThrow(
      /^a.json: format: expected "blindspot-result\/2" or "blindspot-audit\/1", got "blindspot-audit\/9"$/,
    );
    expect(broken((r) => Object.assign(r.gate, { ship: "yes" }))).toThrow(
      /^a.json: gate.ship: expected a boolean, got "yes"$/,
    );
    expect(broken((r) => Object.assign(r.cells[3], { arm: "XX" }))).toThrow(/^a.json: cells\[3\].arm: /);
    expect(broken((r) => Object.assign(r, { devices: [] }))).toThrow(ResultError);
  });
});

describe("SARIF", () => {
  const log = JSON.parse(draw(".sarif", failing)) as Log;
  const [run] = log.runs;
  const results = run.results!;

  it("is version 2.1.0 with one run, its rules and the model as artifact", () => {
    expect(log.version).toBe("2.1.0");
    expect(log.$schema).toMatch(/sarif-2.1.0/);
    expect(log.runs).toHaveLength(1);
    expect(run.tool.driver.rules!.map(({ id }) => id)).toEqual(RULES.map(({ id }) => id));
    for (const { shortDescription, fullDescription, help } of run.tool.driver.rules!)
      for (const each of [shortDescription, fullDescription, help]) expect(each!.text).toMatch(/.{10,}/);
    expect(run.artifacts![0].hashes).toEqual({ "sha-256": failing.inputs.model });
    expect(run.invocations![0]).toMatchObject({ executionSuccessful: true, exitCode: 1 });
  });

  it("has a result for every finding that did not pass, at the model file", () => {
    const open = failing.gate.findings.filter(({ level }) => level !== "pass");
    expect(results.map(({ message }) => message.text)).toEqual(open.map(({ message }) => message));
    for (const { ruleId, ruleIndex, level, locations } of results) {
      expect(run.tool.driver.rules![ruleIndex!].id).toBe(ruleId);
      expect(["error", "warning", "note"]).toContain(level);
      const { artifactLocation, region } = locations![0].physicalLocation!;
      expect(artifactLocation).toEqual({
        uri: "build/model%20%3Cb%3Ex%3C%2Fb%3E.tflite".replace("%2F", "/"),
        index: 0,
      });
      expect(region!.startLine).toBe(1);
    }
    expect(results.filter(({ level }) => level === "error").length).toBeGreaterThan(0);
  });

  it("gives the same finding the same fingerprint in the next run", () => {
    const again = JSON.parse(draw(".sarif", judge(evidenceFixture({ score: 5 }), DEFAULT_POLICY))) as Log;
    const prints = (each: Log) =>
      each.runs[0].results!.map(({ partialFingerprints }) => partialFingerprints!["blindspotFinding/v1"]);
    expect(prints(again)).toEqual(prints(log));
  });
});

describe("JUnit", () => {
  const xml = draw(".xml", failing);
  const { document } = parseHTML(xml.replace(/<\?xml.*\?>/, ""));
  const cases = [...document.querySelectorAll("testcase")];

  it("is well-formed: every tag closed, nothing unescaped", () => {
    const stack: string[] = [];
    for (const [, close, name, , empty] of xml.matchAll(/<(\/?)([a-z-]+)((?: [a-z]+="[^"<>]*")*)(\/?)>/g)) {
      if (close) expect(stack.pop()).toBe(name);
      else if (!empty) stack.push(name);
    }
    expect(stack).toEqual([]);
    expect(xml.replace(/<\?xml[^>]*\?>|<\/?[a-z-]+(?: [a-z]+="[^"<>]*")*\/?>/g, "")).not.toMatch(/[<>]/);
    expect(xml).not.toMatch(/&(?!amp;|lt;|gt;|quot;)/);
  });

  it("has a case for every finding, each with its own name, and counts them", () => {
    const { findings } = failing.gate;
    expect(cases).toHaveLength(findings.length);
    expect(new Set(cases.map((each) => each.getAttribute("name"))).size).toBe(findings.length);
    const suite = document.querySelector("testsuite")!;
    const count = (level: string) => findings.filter((each) => each.level === level).length;
    expect(suite.getAttribute("tests")).toBe(`${findings.length}`);
    expect(suite.getAttribute("failures")).toBe(`${count("fail")}`);
    expect(document.querySelectorAll("failure")).toHaveLength(count("fail"));
    expect(suite.getAttribute("skipped")).toBe(`${document.querySelectorAll("skipped").length}`);
  });

  it("never calls a defense passed that did not run", () => {
    const silent = failing.gate.findings.filter(
      ({ rule, level }) => rule === "not-runnable" && level === "note",
    );
    expect(silent.length).toBeGreaterThan(0);
    expect(document.querySelectorAll("skipped")).toHaveLength(silent.length);
  });
});

describe("Markdown", () => {
  const text = draw(".md", failing);

  it("begins with the answer and fits a comment", () => {
    expect(text.split("\n")[0]).toMatch(
      /^## ❌ No, do not ship model &lt;b\\>x&lt;\/b\\>.tflite: a defense finds signs of a backdoor\.$/,
    );
    expect(draw(".md", shipping).split("\n")[0]).toMatch(/^## ✅ Yes, /);
    expect(text.length).toBeLessThan(65_536);
  });

  it("lets nothing of a model's name become a tag, and closes what it folds", () => {
    expect(text.replaceAll(/<\/?(details|summary)>/g, "").replaceAll("&lt;", "")).not.toMatch(/<[a-z/]/);
    expect(text.match(/<details>/g)).toHaveLength(text.match(/<\/details>/g)!.length);
  });

  it("has a row for every device, with as many cells as the head", () => {
    const rows = text.split("\n").filter((line) => line.startsWith("| "));
    const cells = (line: string) => line.match(/(?<!\\)\|/g)!.length;
    for (const { profile } of failing.devices) expect(rows.some((row) => row.includes(profile))).toBe(true);
    const table = rows.slice(0, 2 + failing.devices.length - 1);
    expect(new Set(table.map(cells)).size).toBe(1);
  });
});

describe("the page", () => {
  const page = draw(".html", failing);
  const { document } = parseHTML(page);

  it("answers the question before anything else", () => {
    const header = document.querySelector("header")!;
    expect(header.querySelector("h1")!.textContent).toBe("May I ship model <b>x</b>.tflite?");
    expect(header.querySelector(".stamp")!.textContent).toBe("No");
    expect(header.textContent).toContain("Why not");
    expect(parseHTML(draw(".html", shipping)).document.querySelector(".stamp")!.textContent).toBe("Yes");
  });

  it("needs no script and loads nothing, and is under 2 MB", () => {
    expect(document.querySelectorAll("script, link, iframe, img:not([src^='data:'])")).toHaveLength(0);
    expect(page).not.toMatch(/url\(|@import|https?:\/\//);
    expect(new TextEncoder().encode(page).length).toBeLessThan(2_000_000);
  });

  it("escapes what a Result brings: no element of the model's name", () =>
    expect(document.querySelectorAll("b").length).toBe(
      parseHTML(
        draw(".html", { ...failing, model: { ...failing.model, name: "plain.tflite" } }),
      ).document.querySelectorAll("b").length,
    ));

  it("links each thing that did not run to its reason, and has every id once", () => {
    const ids = [...document.querySelectorAll("[id]")].map(({ id }) => id);
    expect(new Set(ids).size).toBe(ids.length);
    const links = [...document.querySelectorAll("a[href^='#']")].map((link) =>
      link.getAttribute("href")!.slice(1),
    );
    expect(links.length).toBeGreaterThan(2);
    for (const link of links) expect(ids).toContain(link);
  });

  it("shows every finding", () => {
    const checks = document.querySelector("#checks")!.textContent;
    for (const { message } of failing.gate.findings) expect(checks).toContain(message);
  });

  it("draws the same bytes again", () => expect(draw(".html", failing)).toBe(page));
});

describe("the terminal", () => {
  it("answers in its first line, within 100 columns, the same without colours", () => {
    for (const result of [shipping, failing]) {
      const plain = auditText(result, { color: false });
      expect(plain.startsWith(result.gate.ship ? "Yes, " : "No, ")).toBe(true);
      expect(Math.max(...plain.split("\n").map((line) => line.length))).toBeLessThanOrEqual(100);
      // biome-ignore lint/suspicious/noControlCharactersInRegex: escape sequences are what is looked for
      expect(auditText(result, { color: true }).replace(/\u001b\[\d+m/g, "")).toBe(plain);
    }
  });
});

it("an experiment has no SARIF, and an audit has all four", () => {
  expect(REPORTS[".sarif"].experiment).toBeUndefined();
  for (const report of Object.values(REPORTS)) expect(report.audit).toBeDefined();
});
