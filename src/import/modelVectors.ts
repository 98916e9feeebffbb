import { ModelFormatError } from "../errors.ts";
import * as z from "../zod.ts";

/** "tflite-oracle-vectors/1": a model's inputs and what several runtimes computed from them. Other fields are ignored. */
export const base64 = z
  .string()
  .refine((text) => text.length % 4 === 0 && /^[A-Za-z0-9+/]*={0,2}$/.test(text), "base64");
const place = z.object({
  index: z.number().int().nonnegative().nullish(),
  shape: z.array(z.number().int().nonnegative()).nullish(),
  dtype: z.string().nullish(),
  scale: z.number().nullish(),
  zeroPoint: z.number().nullish(),
});
const end = place.extend({ name: z.string().nullish() });

const schema = z.object({
  format: z.literal("tflite-oracle-vectors/1"),
  model: z.object({
    sha256: z.string(),
    ops: z.record(z.string(), z.number().int()).nullish(),
    inputs: z.array(end).default([]),
    outputs: z.array(end).default([]),
  }),
  stateful: z.boolean().nullish(),
  inputs: z.array(
    z.object({
      name: z.string(),
      tensors: z.array(
        z.object({
          tensor: z.string(),
          encoding: z.enum(["raw_le", "u8_affine"]),
          base64,
          scale: z.number().nullish(),
          zero: z.number().nullish(),
        }),
      ),
    }),
  ),
  outputs: z.record(
    z.string(),
    z.object({
      runtime: z.string(),
      sameAs: z.string().nullish(),
      samples: z.array(z.array(base64)).nullish(),
    }),
  ),
  intermediates: z
    .array(
      z.object({
        /** Its name, and in brackets how it was made to show them. */
        runtime: z.string().transform((text) => text.split(" ")[0]),
        /** The sample, by its place or its name. */
        inputIndex: z.number().int().nonnegative().nullish(),
        input: z.string().nullish(),
        tensors: z.array(
          place.extend({
            tensorName: z.string(),
            producedBy: z.string().nullish(),
            sha256: z.string().nullish(),
            base64: base64.nullish(),
          }),
        ),
      }),
    )
    .default([]),
});

export type ModelVectors = z.infer<typeof schema>;

/** Checks parsed JSON. where: the file's name. @throws ModelFormatError naming the first field that is wrong. */
export function parseModelVectors(json: unknown, where: string): ModelVectors {
  const parsed = schema.safeParse(json);
  if (parsed.success) return parsed.data;
  const issue = parsed.error.issues[0];
  throw new ModelFormatError(`${where}: ${issue.path.map(String).join(".")}`, "model vectors", issue.message);
}

/** The bytes of one tensor of sample `index` as the model takes it. */
export function inputBytes(vectors: ModelVectors, index: number, tensor: number): Uint8Array {
  const { encoding, base64: text, scale, zero } = vectors.inputs[index].tensors[tensor];
  const bytes = decodeBase64(text);
  if (encoding === "raw_le") return bytes;
  return new Uint8Array(Float32Array.from(bytes, (code) => (code - (zero ?? 0)) * (scale ?? 1)).buffer);
}

/** The bytes of every output of every sample, sameAs followed. @throws ModelFormatError where it leads nowhere. */
export function outputBytes(vectors: ModelVectors, runtime: string, where: string): Uint8Array[][] {
  const seen = new Set<string>();
  for (let name: string | null | undefined = runtime; typeof name === "string" && !seen.has(name); ) {
    seen.add(name);
    const entry: ModelVectors["outputs"][string] | undefined = vectors.outputs[name];
    if (entry?.samples) return entry.samples.map((sample) => sample.map(decodeBase64));
    name = entry?.sameAs;
  }
  throw new ModelFormatError(`${where}: outputs.${runtime}`, "samples", "none");
}

/** The sample that a dump shows: the first of its name, where it has no place. @throws ModelFormatError where there is none. */
export function sampleOf(
  { inputs }: ModelVectors,
  dump: ModelVectors["intermediates"][number],
  where: string,
): number {
  const index = dump.inputIndex ?? inputs.findIndex(({ name }) => name === dump.input);
  if (inputs[index]) return index;
  const got = dump.inputIndex ?? dump.input ?? "nothing";
  throw new ModelFormatError(`${where}: intermediates`, `one of the ${inputs.length} samples`, `${got}`);
}

export function decodeBase64(text: string): Uint8Array<ArrayBuffer> {
  return Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
}
