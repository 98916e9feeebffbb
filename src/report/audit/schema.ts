import type { AuditResult } from "../../harness/audit/gate.ts";
import { policySchema } from "../../harness/audit/policy.ts";
import * as z from "../../zod.ts";
import { access, arm, figure, hashes, share, verdict } from "../schema.ts";

/** The version of the format that these reports read. */
export const AUDIT_FORMAT = "blindspot-audit/1";

const text = z.string();
const number = z.number();

const deployed = z.object({
  precision: text,
  scheme: text,
  accuracy: share,
  flipsFromFloat: share.nullable(),
  flipsFromFirst: share.nullable(),
  sha256: text,
});
const fit = z.object({ needsBytes: number, hasBytes: number.nullable(), fits: z.boolean().nullable() });

const device = z.object({
  profile: text,
  title: text,
  family: text,
  access,
  accessWhy: text,
  refused: z.array(text),
  flash: fit,
  ram: fit,
  latency: z.object({ milliseconds: number, confidence: text }).nullable(),
  deployed: deployed.nullable(),
});

const cell = z.object({
  defense: text,
  arm,
  profile: text.nullable(),
  access,
  verdict,
  reason: text,
  scoreName: text,
  score: number.nullable(),
  published: z.object({ value: number, source: text }),
  flagged: z.array(number),
  measures: z.record(text, number),
  figures: z.array(figure),
  perClass: z.array(number).nullable(),
  passes: z.object({ forward: number, backward: number }),
});

const loss = z.object({
  defense: text,
  profile: text,
  reference: arm,
  cause: z.enum(["kept", "mechanical", "statistical", "calibration", "interaction", "unknown"]),
  S: z.object({ FF: number.optional(), FR: number.optional(), QF: number.optional(), QR: number.optional() }),
  sentence: text,
});

const finding = z.object({
  rule: text,
  level: z.enum(["fail", "warn", "note", "pass"]),
  message: text,
  profile: text.nullable(),
  defense: text.nullable(),
});

export const auditResultSchema: z.ZodType<AuditResult> = z.object({
  format: z.literal(AUDIT_FORMAT),
  command: text,
  preset: text,
  versions: z.record(text, text),
  seed: number,
  options: z.record(text, z.unknown()),
  inputs: z.object({
    model: text,
    float: text.nullable(),
    data: hashes,
    training: hashes.nullable(),
    profiles: hashes,
    kernels: hashes,
  }),
  model: z.object({
    name: text,
    file: text,
    float: text.nullable(),
    kind: z.enum(["integer", "float"]),
    classes: number,
    input: text,
  }),
  dataset: z.object({
    name: text,
    classNames: z.array(text),
    height: number,
    width: number,
    channels: number,
    clean: number,
    test: number,
    training: number.nullable(),
    caveat: text,
  }),
  float: z.union([z.object({ refused: text }), z.object({ deployed })]).nullable(),
  devices: z.array(device).min(1),
  suspect: z
    .object({
      class: number,
      arm,
      profile: text.nullable(),
      score: number,
      mask: z.array(number),
      pattern: z.array(number),
    })
    .nullable(),
  cells: z.array(cell),
  losses: z.array(loss),
  policy: policySchema as z.ZodType<AuditResult["policy"]>,
  gate: z.object({ ship: z.boolean(), answer: text, findings: z.array(finding) }),
});
