/** zod without code made from text: Workers runtimes and strict pages forbid it. Everything takes its schemas from here, as a
 * namespace; what is used of zod is named, so that a bundle holds no more of it. */
import { config } from "zod";

config({ jitless: true });

export type { core, infer, output, ZodRawShape, ZodType } from "zod";
export {
  array,
  boolean,
  discriminatedUnion,
  enum,
  instanceof,
  literal,
  number,
  object,
  partialRecord,
  record,
  strictObject,
  string,
  toJSONSchema,
  tuple,
  union,
  unknown,
} from "zod";
