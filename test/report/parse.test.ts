import { describe, expect, test } from "vitest";
import { REPORTS } from "../../src/report/index.ts";
import { parseResult, ResultError } from "../../src/report/parse.ts";
import { fixture } from "./fixture.ts";

describe("parseResult", () => {
  const text = JSON.stringify(fixture({ backdoored: 1, clean: 1, rejected: 1 }));
  const changed = (from: string | RegExp, to: string) => () => parseResult(text.replace(from, to), "r.json");

  test("gives back what was written", () => {
    expect(JSON.stringify(parseResult(text, "r.json"))).toBe(text);
  });

  test.each([
    ["an empty file", "", "r.json: expected a Result as JSON, got an empty file"],
    [
      "a file cut short",
      text.slice(0, 5000),
      "r.json: expected a Result as JSON, got text of 5000 characters that breaks off",
    ],
    ["another JSON", "[1]", 'r.json: format: expected "blindspot-result/1", got nothing'],
    ["null", "null", 'r.json: format: expected "blindspot-result/1", got nothing'],
  ])("names the fault of %s", (_name, input, message) => {
    expect(() => parseResult(input, "r.json")).toThrow(ResultError);
    expect(() => parseResult(input, "r.json")).toThrow(message);
  });

  test("names the version that it was given", () => {
    expect(changed("result/1", "result/2")).toThrow(
      'format: expected "blindspot-result/1", got "blindspot-result/2"',
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
