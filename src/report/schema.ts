import { ACCESS_LEVELS } from "../defenses/defense.ts";
import * as z from "../zod.ts";

/** A file that should hold a Result does not. */
export class ResultError extends Error {
  override name = "ResultError";
  /** where: file and place in it; expected and got complete the sentence. */
  constructor(where: string, expected: string, got: string) {
    super(`${where}: expected ${expected}, got ${got}`);
  }
}

const number = z.number();
const text = z.string();
const numbers = z.array(number);
export const hashes = z.record(text, text);

export const share = z.object({ value: number, n: number, low: number, high: number });
export const access = z.enum(ACCESS_LEVELS);
export const arm = z.enum(["FF", "FR", "QF", "QR"]);
export const verdict = z.enum(["detected", "not detected", "not runnable"]);
const points = z.array(z.object({ name: text, points: z.array(z.tuple([number, number])) }));

export const figure = z.discriminatedUnion("kind", [
  z.object({
    kind: z.literal("trigger"),
    title: text,
    height: number,
    width: number,
    mask: numbers,
    pattern: numbers,
    truth: z.boolean(),
  }),
  z.object({
    kind: z.literal("histogram"),
    title: text,
    xLabel: text,
    edges: numbers,
    series: z.array(z.object({ name: text, counts: numbers })),
    threshold: number.optional(),
  }),
  z.object({ kind: z.literal("scatter"), title: text, xLabel: text, yLabel: text, series: points }),
  z.object({ kind: z.literal("curve"), title: text, xLabel: text, yLabel: text, series: points }),
  z.object({
    kind: z.literal("bars"),
    title: text,
    xLabel: text,
    yLabel: text,
    bars: z.array(z.object({ label: text, value: number, marked: z.boolean() })),
    threshold: number.optional(),
  }),
]);

/** The JSON of `text`. Throws ResultError for what is none. where: names the file in messages. */
export function parseJson(text: string, where: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    const end = text.trimEnd().slice(-1);
    const got =
      text.trim() === ""
        ? "an empty file"
        : end === "}"
          ? (error as Error).message.replace(/\s+/g, " ")
          : `text of ${text.length} characters that breaks off (the run that wrote it may have been cut short)`;
    throw new ResultError(where, "a Result as JSON", got);
  }
}

/** `json` as the schema has it; only the first fault is told, on one line. Throws ResultError. */
export function checked<T>(schema: z.ZodType<T>, json: unknown, where: string): T {
  const parsed = schema.safeParse(json, { reportInput: true });
  if (parsed.success) return parsed.data;
  const issue = parsed.error.issues[0]!;
  throw new ResultError(`${where}: ${placeOf(issue.path)}`, expectationOf(issue), show(issue.input));
}

function placeOf(path: readonly PropertyKey[]): string {
  return path
    .map((key, i) => (typeof key === "number" ? `[${key}]` : `${i ? "." : ""}${String(key)}`))
    .join("");
}

type Issue = z.core.$ZodIssue;

function expectationOf(issue: Issue): string {
  if (issue.code === "invalid_type")
    return `${/^[aeiou]/.test(issue.expected) ? "an" : "a"} ${issue.expected}`;
  if (issue.code === "invalid_value") return issue.values.map((value) => show(value)).join(" or ");
  if (issue.code === "invalid_union" && "discriminator" in issue) return `a known ${issue.discriminator}`;
  return issue.message;
}

export function show(value: unknown): string {
  if (value === undefined) return "nothing";
  const json = JSON.stringify(value);
  return json.length > 60 ? `${json.slice(0, 57)}…` : json;
}
