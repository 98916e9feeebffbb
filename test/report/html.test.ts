import { parseHTML } from "linkedom";
import { beforeAll, describe, expect, test } from "vitest";
import type { Result } from "../../src/harness/result.ts";
import { bitmap } from "../../src/report/html/pictures.ts";
import { renderHtml } from "../../src/report/html.ts";
import { fixture } from "./fixture.ts";

type Document = ReturnType<typeof parseHTML>["document"];

const all = (document: Document, selector: string) => [...document.querySelectorAll(selector)] as Element[];
interface Element {
  textContent: string;
  id: string;
  innerHTML: string;
  getAttribute(name: string): string | null;
  querySelector(selector: string): Element | null;
}

const EMPTY = new Set(["meta", "img", "br", "hr", "link", "input"]);

/** The tags of a text, checked to be closed in the order in which they were opened. */
function unbalanced(text: string): string[] {
  const open: string[] = [];
  const faults: string[] = [];
  const body = text.replace(/<style>[\s\S]*?<\/style>/g, "").replace(/<!doctype html>/i, "");
  for (const [, close, name, self] of body.matchAll(/<(\/?)([a-zA-Z][\w-]*)(?:[^>"]|"[^"]*")*?(\/?)>/g)) {
    if (close) {
      const last = open.pop();
      if (last !== name) faults.push(`</${name}> closes <${last}>`);
    } else if (!self && !EMPTY.has(name)) open.push(name);
  }
  return [...faults, ...open.map((name) => `<${name}> stays open`)];
}

describe("renderHtml", () => {
  const result = fixture();
  let text: string;
  let document: Document;
  beforeAll(() => {
    text = renderHtml(result);
    document = parseHTML(text).document;
  });

  test("closes every element that it opens", () => {
    expect(unbalanced(text)).toEqual([]);
    expect(unbalanced("<p><b></p>")).not.toEqual([]);
  });

  test("holds no script, no handler and no address outside the file", () => {
    expect(text).not.toMatch(/<script|<link|<iframe|\son[a-z]+=|javascript:|@import/i);
    const addresses = all(document, "[href], [src]").map(
      (e) => e.getAttribute("href") ?? e.getAttribute("src") ?? "",
    );
    expect(addresses.filter((address) => !/^(#|data:image\/bmp;)/.test(address))).toEqual([]);
    expect(text.match(/https?:\/\/[^"\s<]*/g) ?? []).toEqual([]);
    expect(text).not.toMatch(/url\(/);
  });

  test("gives each id once, and each internal link has its target", () => {
    const ids = all(document, "[id]").map((element) => element.id);
    expect(ids.length).toBe(new Set(ids).size);
    const targets = all(document, 'a[href^="#"]').map((link) => link.getAttribute("href")!.slice(1));
    expect(targets.filter((target) => !ids.includes(target))).toEqual([]);
  });

  test("names every table, chart and picture", () => {
    for (const table of all(document, "table"))
      expect(table.querySelector("caption")?.textContent).toBeTruthy();
    for (const svg of all(document, "svg.plot")) {
      expect(svg.querySelector("title")?.textContent).toBeTruthy();
      expect(svg.querySelector("desc")?.textContent).toBeTruthy();
    }
    for (const image of all(document, "img")) expect(image.getAttribute("alt")).toBeTruthy();
    for (const head of all(document, "th")) expect(head.getAttribute("scope")).toBeTruthy();
  });

  test("gives every reason why something could not run, and links to each", () => {
    const reasons = new Set(result.cells.filter((c) => c.verdict === "not runnable").map((c) => c.reason));
    const listed = all(document, ".reasons li").map((item) => item.textContent);
    expect(new Set(listed)).toEqual(reasons);
    for (const item of all(document, ".reasons li"))
      expect(document.querySelector(`.matrix a[href="#${item.id}"]`)).toBeTruthy();
  });

  test("never shows what could not run as missed", () => {
    const rows = all(document, ".cells tr").filter((row) => row.textContent.includes("not run"));
    expect(rows.length).toBeGreaterThan(0);
    for (const row of rows) expect(row.textContent).not.toContain("not detected");
  });

  test("calls a detection on a clean model a false alarm", () => {
    const at = (id: string) =>
      all(document, "details.model").find((d) => d.textContent.startsWith(id))!.textContent;
    expect(at("clean-1")).toContain("false alarm");
    expect(at("clean-1")).not.toContain("detected in");
  });

  test("draws every kind of figure", () => {
    const kinds = [
      "Inverted trigger of class 14",
      "Entropy of 500",
      "first two principal",
      "Pruning the most",
      "L1 norm of",
    ];
    const captions = all(document, "figcaption").map((caption) => caption.textContent);
    for (const kind of kinds) expect(captions.some((caption) => caption.includes(kind))).toBe(true);
  });

  test("draws the same figure once", () => {
    const pictures = all(document, "img").map((image) => image.getAttribute("src"));
    expect(pictures.length).toBe(new Set(pictures).size);
  });

  test("is the same bytes for the same Result", () => {
    expect(renderHtml(fixture())).toBe(text);
  });

  test("stays under 2 MB with 42 models, and says what it left out", () => {
    const big = renderHtml(fixture({ backdoored: 20, clean: 20, rejected: 2 }));
    expect(new TextEncoder().encode(big).length).toBeLessThan(2_000_000);
    expect(big).toMatch(/To keep this file small, [\d,]+ figures/);
    expect(unbalanced(big)).toEqual([]);
  });
});

describe("renderHtml of odd Results", () => {
  test("escapes hostile strings wherever they stand", () => {
    const hostile = `"><script>alert('x')</script>&amp;<!--`;
    const text = renderHtml(poison(fixture({ backdoored: 1, clean: 1, rejected: 1 }), hostile));
    expect(text).not.toMatch(/<script|<!--/);
    expect(unbalanced(text)).toEqual([]);
    const { document } = parseHTML(text);
    expect(all(document, "th").some((head) => head.textContent.includes(hostile))).toBe(true);
    expect(all(document, "script").length).toBe(0);
  });

  test("draws a Result without models, cells or rows", () => {
    const result: Result = {
      ...fixture(),
      models: [],
      cells: [],
      falsePositives: [],
      decomposition: [],
      paper: [],
    };
    const text = renderHtml(result);
    expect(unbalanced(text)).toEqual([]);
    expect(text).toContain("no backdoored model was accepted");
    expect(text).not.toMatch(/NaN|undefined|Infinity/);
  });

  test("draws figures without points, bars or bins", () => {
    const result = fixture({ backdoored: 1, clean: 1, rejected: 0 });
    for (const cell of result.cells)
      for (const figure of cell.figures) {
        if ("series" in figure) figure.series = [];
        if (figure.kind === "bars") figure.bars = [];
        if (figure.kind === "histogram") figure.edges = [];
        if (figure.kind === "trigger") Object.assign(figure, { mask: [], pattern: [], height: 0, width: 0 });
      }
    expect(unbalanced(renderHtml(result))).toEqual([]);
  });
});

/** The Result with every free string of it followed by the given one. Ids change alike wherever they stand. */
function poison(result: Result, hostile: string): Result {
  const fixed =
    /^(FF|FR|QF|QR|A[0-5]|detected|not detected|not runnable|backdoored|clean|trigger|histogram|scatter|curve|bars|blindspot-result\/1)$/;
  const walk = (value: unknown): unknown => {
    if (typeof value === "string") return fixed.test(value) ? value : value + hostile;
    if (Array.isArray(value)) return value.map(walk);
    if (value === null || typeof value !== "object") return value;
    return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, walk(inner)]));
  };
  return walk(result) as Result;
}

test("a bitmap holds rows from the bottom up, blue first, padded to 4 bytes", () => {
  const bytes = Buffer.from(bitmap(Uint8Array.of(1, 2, 3, 4, 5, 6), 1, 2).split(",")[1], "base64");
  expect(bytes.subarray(0, 2).toString()).toBe("BM");
  expect([...bytes.subarray(54)]).toEqual([6, 5, 4, 0, 3, 2, 1, 0]);
  expect(bytes.readUInt32LE(2)).toBe(bytes.length);
});
