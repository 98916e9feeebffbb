/** What a form must hold. */
import { DEFENSES } from "../defenses/index.ts";
import * as z from "../zod.ts";
import { HttpError } from "./answer.ts";

const file = z.instanceof(Blob, { error: "expected a file" });
const name = z.string().regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$/, "expected a name or a file");
const profile = z.string({ error: "expected a profile's id" }).max(64, "expected a profile's id");
const whole = (least: number, most: number) =>
  z
    .string()
    .regex(/^\d{1,10}$/, "expected a whole number")
    .transform(Number)
    .pipe(z.number().min(least, `expected at least ${least}`).max(most, `expected at most ${most}`));
const model = z.union([name, file], { error: "expected a name or a file" });

const ids = DEFENSES.map(({ id }) => id) as [string, ...string[]];
const PRESETS = ["brief", "quick", "study"] as const;

export const runRequest = z.strictObject({
  profile,
  model,
  /** .npy, one a model input, in its own type, the first dimension the images. */
  input: z.array(file).min(1, "expected a .npy file").max(16, "expected at most 16 files"),
});

export const defendRequest = z.strictObject({
  profile,
  model,
  defense: z.enum(ids, { error: `expected ${ids.join(", ")}` }),
  /** .npy of uint8, (images, height, width, channels), pixels 0..255. */
  images: file,
  /** .npy of the images' classes. */
  labels: file,
  /** Images that may bear a trigger, as `images`: what STRIP judges. */
  suspects: file.optional(),
  preset: z.enum(PRESETS, { error: `expected ${PRESETS.join(", ")}` }).default("brief"),
  seed: whole(0, 4294967295).default(1),
  cursor: z
    .string()
    .regex(/^[A-Za-z0-9_-]+$/, "expected one that was given here")
    .optional(),
});

/** lists: fields that may come more than once. @throws HttpError 400 naming the first field that is wrong. */
export function parseForm<Schema extends z.ZodType>(
  form: FormData,
  schema: Schema,
  lists: readonly string[] = [],
): z.output<Schema> {
  const fields = Object.fromEntries(
    [...new Set(form.keys())].map((key) => {
      const values = form.getAll(key);
      if (values.length > 1 && !lists.includes(key))
        throw new HttpError(400, `${shown(key)}: expected it once, got ${values.length}`);
      return [key, lists.includes(key) ? values : values[0]];
    }),
  );
  const parsed = schema.safeParse(fields);
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  if (issue.code === "unrecognized_keys")
    throw new HttpError(400, `${shown(issue.keys[0])}: expected no such field`);
  throw new HttpError(400, `${issue.path.map(String).join(".")}: ${issue.message}`);
}

/** A field's name as it may stand in a message. */
const shown = (key: string) => JSON.stringify(key.slice(0, 40));
