import { ProfileError } from "../errors.ts";
import type * as z from "../zod.ts";
import { type Profile, profileSchema } from "./schema.ts";

/** Reads a profile. where: the file's name for messages.
 * @throws ProfileError naming file and field, of the first fault. */
export function parseProfile(text: string, where: string): Profile {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (error) {
    throw new ProfileError(where, "JSON", (error as Error).message);
  }
  const parsed = profileSchema.safeParse(json);
  if (!parsed.success) throw fault(where, json, worst(parsed.error.issues));
  return parsed.data;
}

/** A misspelt field also leaves the right one missing: name the misspelling. */
function worst(issues: z.core.$ZodIssue[]): z.core.$ZodIssue {
  return issues.find(({ code }) => code === "unrecognized_keys") ?? issues[0];
}

function fault(where: string, json: unknown, issue: z.core.$ZodIssue): ProfileError {
  const path = issue.path.map(String);
  const at = path.length === 0 ? where : `${where}: ${path.join(".")}`;
  if (issue.code === "unrecognized_keys") {
    const names = issue.keys.map((key) => [...path, key].join(".")).join(", ");
    return new ProfileError(where, "only the fields of the schema", `unknown field ${names}`);
  }
  const value = path.reduce<unknown>((at, key) => (at as Record<string, unknown> | undefined)?.[key], json);
  if (value === undefined) return new ProfileError(at, "a value", "nothing");
  const expected =
    issue.code === "invalid_value"
      ? issue.values.map(String).join(" or ")
      : issue.message.replace(/^.*?expected /i, "").replace(/, received .*/, "");
  return new ProfileError(at, expected, JSON.stringify(value).slice(0, 80));
}
