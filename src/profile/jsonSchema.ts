import * as z from "../zod.ts";
import { profileSchema } from "./schema.ts";

/** edge-profiles/profile.schema.json, from which editors complete a profile. What is said twice is under $defs. */
export function profileJsonSchema(): string {
  return `${JSON.stringify(z.toJSONSchema(profileSchema, { reused: "ref" }), null, 2)}\n`;
}
