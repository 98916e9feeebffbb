import { ACCESS_LEVELS } from "../defenses/defense.ts";
import type { Result } from "../harness/result.ts";
import { z } from "../zod.ts";

/** The version of the format that these reports read. */
export const RESULT_FORMAT = "blindspot-result/1";

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
const hashes = z.record(text, text);

const share = z.object({ value: number, n: number, low: number, high: number });
const access = z.enum(ACCESS_LEVELS);
const arm = z.enum(["FF", "FR", "QF", "QR"]);
const verdict = z.enum(["detected", "not detected", "not runnable"]);
const byArm = <T extends z.ZodType>(value: T) => z.object({ FF: value, FR: value, QF: value, QR: value });
const points = z.array(z.object({ name: text, points: z.array(z.tuple([number, number])) }));

const figure = z.discriminatedUnion("kind", [
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

const layer = z.object({
  name: text,
  minimum: number,
  maximum: number,
  scale: number,
  zeroPoint: number,
  cleanClipRate: number,
  triggeredClipRate: number,
});

const memory = z.object({
  weightBytes: number,
  arenaBytes: number,
  flashBytes: number.nullable(),
  ramBytes: number.nullable(),
  fits: z.boolean(),
});

const deployment = z.object({
  precision: text,
  scheme: text,
  profile: text.nullable(),
  accuracy: share,
  attackSuccess: share,
  flips: share.nullable(),
  calibration: z.object({ images: number, perClass: numbers, layers: z.array(layer) }).nullable(),
  memory: memory.nullable(),
  latency: z.object({ milliseconds: number, confidence: text }).nullable(),
  sha256: text,
});

const attack = z.object({
  name: text,
  target: number,
  triggerSize: number,
  triggerPosition: text,
  triggerColor: text,
  poisonRate: number,
});

const model = z.object({
  id: text,
  kind: z.enum(["backdoored", "clean"]),
  twin: text,
  architecture: text,
  seed: number,
  attack,
  accepted: z.boolean(),
  rejection: text,
  deployments: z.array(deployment),
});

const calibrated = z.object({ value: number, verdict }).nullable();

const cell = z.object({
  model: text,
  defense: text,
  precision: text,
  profile: text.nullable(),
  access,
  arm,
  verdict,
  reason: text,
  scoreName: text,
  score: number.nullable(),
  thresholds: z.object({
    published: z.object({ value: number, source: text, verdict }),
    fp32Calibrated: calibrated,
    recalibrated: calibrated,
  }),
  flagged: numbers,
  measures: z.record(text, number),
  figures: z.array(figure),
  passes: z.object({ forward: number, backward: number }),
});

const falsePositive = z.object({
  defense: text,
  precision: text,
  profile: text.nullable(),
  arm,
  published: share.nullable(),
  fp32Calibrated: share.nullable(),
  recalibrated: share.nullable(),
});

const decomposition = z.object({
  defense: text,
  precision: text,
  profile: text,
  measure: text,
  models: number,
  runnable: byArm(number),
  S: byArm(number.nullable()),
  mechanical: number.nullable(),
  statistical: number.nullable(),
  total: number.nullable(),
  signal: z.boolean(),
  cause: text,
  sentence: text,
});

const dataset = z.object({
  name: text,
  classNames: z.array(text),
  height: number,
  width: number,
  channels: number,
  train: number,
  held: number,
  test: number,
  caveat: text,
});

const profile = z.object({
  id: text,
  title: text,
  family: text,
  access,
  accessWhy: text,
  arithmetic: text,
});

const paperRow = z.object({
  model: text,
  defense: text,
  precision: text,
  detected: z.boolean(),
  score: number,
  rule: text,
  because: text,
});

const result: z.ZodType<Result> = z.object({
  format: z.literal(RESULT_FORMAT),
  command: text,
  preset: text,
  versions: z.record(text, text),
  seed: number,
  options: z.record(text, z.unknown()),
  inputs: z.object({ data: hashes, profiles: hashes, kernels: hashes }),
  dataset,
  profiles: z.array(profile),
  models: z.array(model),
  cells: z.array(cell),
  falsePositives: z.array(falsePositive),
  decomposition: z.array(decomposition),
  paper: z.array(paperRow),
});

/**
 * A Result from its JSON text. `where` names the file in messages; only the first fault is told, on one line.
 * Throws ResultError for text that is not JSON, another version, or a field that is missing or of a wrong kind.
 */
export function parseResult(text: string, where: string): Result {
  const json = parseJson(text, where);
  const found = (json as { format?: unknown } | null)?.format;
  if (found !== RESULT_FORMAT) throw new ResultError(`${where}: format`, `"${RESULT_FORMAT}"`, show(found));
  const parsed = result.safeParse(json, { jitless: true, reportInput: true });
  if (parsed.success) return parsed.data;
  const issue = parsed.error.issues[0]!;
  throw new ResultError(`${where}: ${placeOf(issue.path)}`, expectationOf(issue), show(issue.input));
}

function parseJson(text: string, where: string): unknown {
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

function show(value: unknown): string {
  if (value === undefined) return "nothing";
  const json = JSON.stringify(value);
  return json.length > 60 ? `${json.slice(0, 57)}…` : json;
}
