import { ModelFormatError } from "../errors.ts";
import * as z from "../zod.ts";

/** "tflite-oracle-vectors/1": a model's inputs and what several runtimes computed from them. Other fields are ignored. */
const base64 = z.string().regex(/^[A-Za-z0-9+/]*={0,2}$/, "base64");
const place = z.object({
  shape: z.array(z.number().int().nonnegative()),
  dtype: z.string(),
  scale: z.number().optional(),
  zeroPoint: z.number().optional(),
});
/** Outputs of unknown shape have none. */
const end = place
  .partial({ shape: true })
  .extend({ name: z.string(), index: z.number().int().nonnegative().optional() });

const schema = z.object({
  format: z.literal("tflite-oracle-vectors/1"),
  model: z.object({
    id: z.string(),
    file: z.string(),
    sha256: z.string(),
    ops: z.record(z.string(), z.number().int()),
    inputs: z.array(end).min(1),
    outputs: z.array(end).min(1),
  }),
  stateful: z.boolean().default(false),
  inputs: z.array(
    z.object({
      name: z.string(),
      tensors: z.array(
        z.object({
          tensor: z.string(),
          encoding: z.enum(["raw_le", "u8_affine"]),
          base64,
          scale: z.number().optional(),
          zero: z.number().optional(),
        }),
      ),
    }),
  ),
  outputs: z.record(
    z.string(),
    z.object({
      runtime: z.string(),
      sameAs: z.string().optional(),
      samples: z.array(z.array(base64)).optional(),
    }),
  ),
  intermediates: z
    .array(
      z.object({
        /** Its name, and in brackets how it was made to show them. */
        runtime: z.string().transform((text) => text.split(" ")[0]),
        /** The sample, by its place or its name. */
        inputIndex: z.number().int().nonnegative().optional(),
        input: z.string().optional(),
        tensors: z.array(
          place.extend({
            index: z.number().int().nonnegative().optional(),
            tensorName: z.string(),
            sha256: z.string().optional(),
            base64: base64.optional(),
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
  const { encoding, base64: text, scale = 1, zero = 0 } = vectors.inputs[index].tensors[tensor];
  const bytes = decodeBase64(text);
  if (encoding === "raw_le") return bytes;
  return new Uint8Array(Float32Array.from(bytes, (code) => (code - zero) * scale).buffer);
}

/** The bytes of every output of every sample, sameAs followed. @throws ModelFormatError where it leads nowhere. */
export function outputBytes(vectors: ModelVectors, runtime: string, where: string): Uint8Array[][] {
  const seen = new Set<string>();
  for (let name: string | undefined = runtime; name !== undefined && !seen.has(name); ) {
    seen.add(name);
    const entry: ModelVectors["outputs"][string] | undefined = vectors.outputs[name];
    if (entry?.samples) return entry.samples.map((sample) => sample.map(decodeBase64));
    name = entry?.sameAs;
  }
  throw new ModelFormatError(`${where}: outputs.${runtime}`, "samples", "none");
}

/** The sample that a dump shows: the first of its name, where it has no place. */
export function sampleOf({ inputs }: ModelVectors, dump: ModelVectors["intermediates"][number]): number {
  return dump.inputIndex ?? inputs.findIndex(({ name }) => name === dump.input);
}

export function decodeBase64(text: string): Uint8Array<ArrayBuffer> {
  return Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
}
