import { parseNpy } from "../data/npy.ts";
import type { NamedArray } from "../harness/inputs.ts";
import { digest } from "../harness/store.ts";
import { importModel } from "../import/index.ts";
import type { Graph } from "../model/graph.ts";
import type { Profile } from "../profile/schema.ts";
import { HttpError } from "./answer.ts";
import type { Engine } from "./engine.ts";
import type { Limits } from "./limits.ts";
import type { ModelStore } from "./models.ts";

/** What an endpoint works with: a form, and what this Worker has. */
export interface Site {
  form: FormData;
  limits: Limits;
  engine: Engine;
  profiles: readonly Profile[];
  models: ModelStore | undefined;
  /** To be called when the form's bytes are needed no more. */
  done(): void;
}

export interface Model {
  name: string;
  sha256: string;
  graph: Graph;
}

/** @throws HttpError 404. */
export function findProfile({ profiles }: Site, id: string): Profile {
  const profile = profiles.find((candidate) => candidate.id === id);
  if (!profile) throw new HttpError(404, "profile: expected an id that GET /profiles lists");
  return profile;
}

const bytesOf = async (file: Blob) => new Uint8Array(await file.arrayBuffer());

/** A file's own name where it is harmless: its end tells the format. */
const nameOf = (file: Blob, otherwise: string) => {
  const name = (file as Blob & { name?: string }).name ?? "";
  return /^[\w.-]{1,80}$/.test(name) ? name : otherwise;
};

/** asked: a file, or the name of a stored one. @throws HttpError 404; ModelFormatError, UnsupportedOpError. */
export async function readModelOf({ models, limits }: Site, asked: string | Blob): Promise<Model> {
  const name = typeof asked === "string" ? asked : nameOf(asked, "model");
  const bytes = typeof asked === "string" ? await stored(models, asked, limits) : await bytesOf(asked);
  return { name, sha256: await digest(bytes), graph: importModel(bytes, name) };
}

async function stored(models: ModelStore | undefined, name: string, limits: Limits): Promise<Uint8Array> {
  const bytes = await models?.get(name, limits.bodyBytes);
  if (!bytes) throw new HttpError(404, "model: expected the name of a stored one, or a file");
  return bytes;
}

/** A .npy file of at most `limits.images` rows. field: for messages. @throws DataError; HttpError 413. */
export async function readArray({ limits }: Site, file: Blob, field: string): Promise<NamedArray> {
  const array = parseNpy(await bytesOf(file), field);
  if ((array.shape[0] ?? 0) > limits.images)
    throw new HttpError(413, `${field}: expected at most ${limits.images} images`);
  return { name: field, array };
}
