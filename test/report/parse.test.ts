import { describe, expect, test } from "vitest";
import type { Result } from "../../src/harness/result.ts";
import { resultText } from "../../src/harness/resultFile.ts";
import { REPORTS } from "../../src/report/index.ts";
import { parseResult, ResultError } from "../../src/report/parse.ts";
import { fixture } from "./fixture.ts";

describe("parseResult", () => {
  // JSON has no -0.
  const written: Result = JSON.parse(JSON.stringify(fixture({ backdoored: 1, clean: 1, rejected: 1 })));
  const text = resultText(written);
  const changed = (from: string | RegExp, to: string) => () => parseResult(text.replace(from, to), "r.json");

  test("gives back what was written", () => {
    expect(parseResult(text, "r.json")).toEqual(written);
    expect(resultText(parseResult(text, "r.json"))).toBe(text);
  });

  test("reads version 1, whose cells hold their figures", () => {
    const old = JSON.stringify({ ...written, format: "blindspot-result/1" });
    expect(parseResult(old, "r.json")).toEqual(written);
    expect(text.length).toBeLessThan(old.length / 2);
  });

  test("keeps a trigger's every mask and pattern value, whatever they are", () => {
    for (const [mask, pattern] of [
      [
        [0, 0.07, 1],
        [0, 255, 17],
      ],
      [[0.123], [3]],
      [
        [-0.5, 2.56],
        [256, -1],
      ],
      [[0.29, 0.57], [0.5]],
      [[], []],
    ]) {
      const figure = {
        kind: "trigger" as const,
        title: "t",
        height: 1,
        width: 1,
        mask,
        pattern,
        truth: false,
      };
      const result = { ...written, cells: [{ ...written.cells[0], figures: [figure, figure] }] };
      expect(parseResult(resultText(result), "r.json")).toEqual(result);
    }
  });

  test("names the place of a figure that is not there", () => {
    expect(changed(/"figures":\[\d+/, '"figures":[4711')).toThrow(
      /r\.json: cells\[\d+\]\.figures\[0\]: expected a place in figures, under \d+, got 4711/,
    );
    expect(changed(/"mask":"/, '"mask":"!')).toThrow(/figures\[\d+\]\.mask: expected an array, got "!/);
  });

  test.each([
    ["an empty file", "", "r.json: expected a Result as JSON, got an empty file"],
    [
      "a file cut short",
      text.slice(0, 5000),
      "r.json: expected a Result as JSON, got text of 5000 characters that breaks off",
    ],
    ["another JSON", "[1]", 'r.json: format: expected "blindspot-result/2", got nothing'],
    ["null", "null", 'r.json: format: expected "blindspot-result/2", got nothing'],
  ])("names the fault of %s", (_name, input, message) => {
    expect(() => parseResult(input, "r.json")).toThrow(ResultError);
    expect(() => parseResult(input, "r.json")).toThrow(message);
  });

  test("names the version that it was given", () => {
    expect(changed("result/2", "result/3")).toThrow(
      'format: expected "blindspot-result/2", got "blindspot-result/3"',
    );
  });

  test("names the place of a missing field", () => {
    expect(changed('"scheme":', '"sceme":')).toThrow(
      "r.json: models[0].deployments[0].scheme: expected a string, got nothing",
    );
  });

  test("names the values that a field can have", () => {
    expect(changed('"arm":"QR"', '"arm":"QX"')).toThrow('expected "FF" or "FR" or "QF" or "QR", got "QX"');
    expect(changed('"kind":"curve"', '"kind":"cruve"')).toThrow(
      /cells\[\d+\]\.figures\[0\]\.kind: expected a known kind/,
    );
  });

  test("says it on one line", () => {
    for (const input of ["{\n\n}}", text.replace('"seed":', '"sd":'), "{\n"])
      expect(() => parseResult(input, "r.json")).toThrow(/^[^\n]+$/);
  });
});

test("a report is found by the ending of its file", () => {
  expect(Object.keys(REPORTS)).toEqual([".html", ".md", ".sarif", ".xml"]);
  expect(REPORTS[".html"].experiment!(fixture())).toMatch(/^<!doctype html>/);
});
