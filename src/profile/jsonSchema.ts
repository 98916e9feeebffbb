import * as z from "../zod.ts";
import { profileSchema } from "./schema.ts";

/** edge-profiles/profile.schema.json, from which editors complete a profile. */
export function profileJsonSchema(): string {
  return `${JSON.stringify(z.toJSONSchema(profileSchema), null, 2)}\n`;
}
