import type { AuditResult } from "../harness/audit/gate.ts";
import type { Result } from "../harness/result.ts";
import { unpackedFigure } from "../harness/resultFile.ts";
import * as z from "../zod.ts";
import { AUDIT_FORMAT, auditResultSchema } from "./audit/schema.ts";
import {
  access,
  arm,
  checked,
  figure,
  hashes,
  parseJson,
  ResultError,
  share,
  show,
  verdict,
} from "./schema.ts";

export { ResultError };

/** The version of the format that a Result has; version 1, with the figures in the cells, is read too. */
export const RESULT_FORMAT = "blindspot-result/2";
const WITH_FIGURES_IN_CELLS = "blindspot-result/1";

const number = z.number();
const text = z.string();
const numbers = z.array(number);
const byArm = <T extends z.ZodType>(value: T) => z.object({ FF: value, FR: value, QF: value, QR: value });

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
  const json = unpacked(parseJson(text, where), where);
  const found = formatOf(json);
  if (found !== RESULT_FORMAT) throw new ResultError(`${where}: format`, `"${RESULT_FORMAT}"`, show(found));
  return checked(result, json, where);
}

/** A Result of either kind. Throws ResultError. */
export function parseAnyResult(
  text: string,
  where: string,
): { kind: "experiment"; result: Result } | { kind: "audit"; result: AuditResult } {
  const json = unpacked(parseJson(text, where), where);
  const found = formatOf(json);
  if (found === RESULT_FORMAT) return { kind: "experiment", result: checked(result, json, where) };
  if (found === AUDIT_FORMAT) return { kind: "audit", result: checked(auditResultSchema, json, where) };
  throw new ResultError(`${where}: format`, `"${RESULT_FORMAT}" or "${AUDIT_FORMAT}"`, show(found));
}

/** The JSON of a Result with the figures in its cells, whichever version it was; of anything else, as it is. */
function unpacked(json: unknown, where: string): unknown {
  const { format, figures: packed, ...rest } = (json ?? {}) as Record<string, unknown>;
  if (format === WITH_FIGURES_IN_CELLS) return { ...rest, format: RESULT_FORMAT };
  if (format !== RESULT_FORMAT || !Array.isArray(packed) || !Array.isArray(rest.cells)) return json;
  const figures = packed.map(unpackedFigure);
  const figureAt = (place: unknown, cell: number, i: number) => {
    if (typeof place === "number" && place in figures) return figures[place];
    const expected = `a place in figures, under ${figures.length}`;
    throw new ResultError(`${where}: cells[${cell}].figures[${i}]`, expected, show(place));
  };
  const cells = rest.cells.map((cell, c) =>
    Array.isArray(cell?.figures)
      ? { ...cell, figures: cell.figures.map((place: unknown, i: number) => figureAt(place, c, i)) }
      : cell,
  );
  return { ...rest, format, cells };
}

const formatOf = (json: unknown) => (json as { format?: unknown } | null)?.format;
