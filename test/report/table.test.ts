import { describe, expect, test } from "vitest";
import { renderMarkdown } from "../../src/report/markdown.ts";
import { renderTable } from "../../src/report/table.ts";
import { fixture } from "./fixture.ts";

const ESCAPE = "\u001b";

describe("renderTable", () => {
  const text = renderTable(fixture(), { color: false });

  test("is at most 100 columns wide, with names of any length", () => {
    expect(Math.max(...text.split("\n").map((line) => line.length))).toBeLessThanOrEqual(100);
    const long = fixture();
    for (const model of long.models) model.rejection = "because ".repeat(30);
    for (const profile of long.profiles) profile.id += "-with-a-very-long-name-indeed".repeat(3);
    for (const row of long.decomposition) row.profile += "-with-a-very-long-name-indeed".repeat(3);
    const wide = renderTable(long, { color: false });
    expect(Math.max(...wide.split("\n").map((line) => line.length))).toBeLessThanOrEqual(100);
  });

  test("says with colours what it says without", () => {
    const coloured = renderTable(fixture(), { color: true });
    expect(coloured).toContain(`${ESCAPE}[32mdetected${ESCAPE}[0m`);
    expect(coloured.replaceAll(new RegExp(`${ESCAPE}\\[\\d+m`, "g"), "")).toBe(text);
    expect(text).not.toContain(ESCAPE);
  });

  test("has a line for every model and deployment", () => {
    expect(text.match(/^ {4}int[48] /gm)?.length).toBe(5 * 6);
    expect(text.match(/^ {2}fp32, full access/gm)?.length).toBe(5);
  });

  test("keeps detected, missed, not runnable and alarms apart", () => {
    const [, badnet] = text.split("badnet-1:");
    const row = badnet.split("\n").find((line) => line.startsWith("    int8"))!;
    expect(row).toMatch(/n\/r {6}D-D missed {3}DDM n\/r/);
    expect(text).toMatch(/ALARM {4}qqA/);
  });

  test("prints n beside what it claims", () => {
    expect(text).toContain("accuracy of n=5000");
    expect(text).toMatch(/stm32l4r5-cmsis-nn, int8 .* 2 {2}mechanical/);
    expect(text).toMatch(/strip +FP32 0\/2 \[0, \d+%\]; +worst device 0\/2/);
  });

  test("never prints control characters that a Result holds", () => {
    const hostile = fixture();
    hostile.models[0].id = `bad${ESCAPE}[31m\nmodel`;
    expect(renderTable(hostile, { color: false })).not.toContain(ESCAPE);
  });
});

describe("renderMarkdown", () => {
  const text = renderMarkdown(fixture());

  test("gives every table row as many columns as its head", () => {
    const columns = (line: string) => line.replace(/\\\|/g, "").split("|").length;
    for (const table of text.split("\n\n").filter((part) => part.startsWith("|"))) {
      const lines = table.split("\n");
      expect(new Set(lines.map(columns)).size).toBe(1);
    }
  });

  test("escapes what would be a tag, a link or a column", () => {
    const hostile = fixture();
    for (const row of hostile.decomposition) row.sentence = "a | b <script> [c](javascript:d)\n# e";
    const written = renderMarkdown(hostile);
    expect(written).not.toContain("<script>");
    expect(written).toContain("a \\| b &lt;script\\> \\[c\\](javascript:d) # e");
  });

  test("keeps the command in its fence", () => {
    const hostile = { ...fixture(), command: "a ``` b" };
    expect(renderMarkdown(hostile)).toContain("````sh\na ``` b\n````");
  });
});
