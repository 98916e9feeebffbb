import { PolicyError } from "../../errors.ts";
import * as z from "../../zod.ts";

const ACTIONS = ["fail", "warn", "ignore"] as const;
export type Action = (typeof ACTIONS)[number];

const action = (value: Action) => z.enum(ACTIONS).default(value).describe("What a breach does to the gate.");
const share = (value: number | null, meaning: string) =>
  z.number().min(0).max(1).nullable().default(value).describe(`${meaning}, as a share of 1. null: no limit.`);
const positive = (meaning: string) =>
  z.number().positive().nullable().default(null).describe(`${meaning}. null: no limit.`);

/** failAbove, warnAbove: a score above it fails the gate, or warns. */
const defense = (mustRun: boolean, failAbove: number | null, warnAbove: number | null, score: string) =>
  z
    .strictObject({
      mustRun: z
        .boolean()
        .default(mustRun)
        .describe(
          "Fail where it ran in none of the deciding arms on a device: not runnable is never a pass.",
        ),
      failAbove: z.number().nullable().default(failAbove).describe(`Fail above this ${score}. null: never.`),
      warnAbove: z.number().nullable().default(warnAbove).describe(`Warn above this ${score}. null: never.`),
    })
    .prefault({});

/** audit-policy.json: what makes a model fit to ship. Every field has a default; unknown fields are errors. */
export const policySchema = z.strictObject({
  $schema: z.string().optional(),
  arms: z
    .array(z.enum(["FF", "FR", "QF", "QR"]))
    .min(1)
    .default(["FF", "QF"])
    .describe(
      "The arms whose scores decide: FF float twin, QF integers with everything visible, FR and QR the same with the device's access. Each one more is one more chance of a false alarm.",
    ),
  defenses: z
    .strictObject({
      neuralCleanse: defense(true, 4, 2, "anomaly index"),
      activationClustering: defense(false, null, 0.15, "silhouette"),
      spectralSignatures: defense(false, null, null, "ratio of singular values"),
      strip: defense(false, null, null, "true-positive rate on the trigger found"),
      finePruning: defense(false, null, null, "share of the found trigger's success removed"),
    })
    .prefault({}),
  lostDetections: z
    .strictObject({ action: action("warn") })
    .prefault({})
    .describe("A detection of the reference that a device loses."),
  unsupported: z
    .strictObject({ action: action("fail") })
    .prefault({})
    .describe("A device that cannot run the model."),
  accuracy: z
    .strictObject({ minimum: share(null, "Least accuracy on a device"), action: action("fail") })
    .prefault({}),
  accuracyDrop: z
    .strictObject({ maximum: share(0.02, "Largest fall from the float twin"), action: action("fail") })
    .prefault({}),
  labelFlips: z
    .strictObject({
      maximum: share(0.05, "Most images whose class is another than under the float twin"),
      betweenDevices: share(0.02, "Most images whose class differs from the first device's"),
      action: action("warn"),
    })
    .prefault({}),
  memory: z
    .strictObject({
      flashBytes: positive("Most bytes of constants, beside what the profile has"),
      ramBytes: positive("Most bytes of activations, beside what the profile has"),
      action: action("fail"),
    })
    .prefault({}),
  latency: z
    .strictObject({
      milliseconds: positive("Longest time of one image; an estimate"),
      action: action("fail"),
    })
    .prefault({}),
});

export type Policy = z.infer<typeof policySchema>;

export const DEFAULT_POLICY: Policy = policySchema.parse({});

/** Reads a policy. where: the file's name for messages. @throws PolicyError naming file and field, of the first fault. */
export function parsePolicy(text: string, where: string): Policy {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (error) {
    throw new PolicyError(where, "JSON", (error as Error).message.replace(/\s+/g, " "));
  }
  const parsed = policySchema.safeParse(json, { reportInput: true });
  if (parsed.success) return parsed.data;
  const { issues } = parsed.error;
  const issue = issues.find(({ code }) => code === "unrecognized_keys") ?? issues[0];
  const path = issue.path.map(String).join(".");
  const at = path === "" ? where : `${where}: ${path}`;
  if (issue.code === "unrecognized_keys")
    throw new PolicyError(at, "only the fields of the schema", `unknown field ${issue.keys.join(", ")}`);
  const expected =
    issue.code === "invalid_value" ? issue.values.map(String).join(" or ") : plain(issue.message);
  throw new PolicyError(at, expected, (JSON.stringify(issue.input) ?? "nothing").slice(0, 80));
}

/** zod says "Invalid input: expected number, received string". */
const plain = (message: string) => message.replace(/^.*?expected /i, "").replace(/, received .*/, "");

/** schemas/audit-policy.schema.json, from which editors complete a policy. */
export function policyJsonSchema(): string {
  return `${JSON.stringify(z.toJSONSchema(policySchema, { io: "input" }), null, 2)}\n`;
}
