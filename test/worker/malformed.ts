/** Requests that a Worker must refuse, each with the status that it must have. */
import { gzipSync } from "node:zlib";
import { formatNpy } from "../../src/data/npy.ts";
import { slice } from "../../src/defenses/images.ts";
import { writeModel } from "../../src/model/file.ts";
import type { Random } from "../../src/random.ts";
import type { Signs } from "../runtimes/signs.ts";
import { codesNpy, formOf, imagesNpy, labelsNpy } from "./client.ts";

export const PROFILE = "stm32l4r5-cmsis-nn";

/** What there is to spoil. */
export interface Material {
  model: Uint8Array;
  signs: Signs;
  token: string;
}

export interface Message {
  method: string;
  path: string;
  headers: Record<string, string>;
  body?: Uint8Array;
  /** The end of the body never comes. */
  slow?: boolean;
}

interface Row {
  name: string;
  status: number;
  message(material: Material, random: Random): Promise<Message>;
}

export type Fields = Record<string, string | Uint8Array>;
type Spoil<T> = (whole: T, random: Random) => T;

const cut: Spoil<Uint8Array> = (bytes, random) => bytes.slice(0, 1 + random.below(bytes.length - 1));

/** A form as bytes with its head. */
export async function encoded(fields: Fields): Promise<{ type: string; body: Uint8Array }> {
  const response = new Response(formOf(fields));
  return { type: response.headers.get("content-type")!, body: new Uint8Array(await response.arrayBuffer()) };
}

function runFields({ model, signs }: Material, random: Random): Fields {
  return { profile: PROFILE, model, input: codesNpy(slice(signs.clean, random.below(20), 24)) };
}

function defendFields({ model, signs }: Material): Fields {
  const images = slice(signs.clean, 0, 12);
  return { profile: PROFILE, model, defense: "strip", images: imagesNpy(images), labels: labelsNpy(images) };
}

/** A whole request of which `spoil` changes fields, or head and body. */
const spoilt =
  (
    path: "/run" | "/defend",
    spoil: Spoil<Fields>,
    whole: Spoil<Message> = (message) => message,
  ): Row["message"] =>
  async (material, random) => {
    const fields = path === "/run" ? runFields(material, random) : defendFields(material);
    const { type, body } = await encoded(spoil(fields, random));
    const headers = { "content-type": type, authorization: `Bearer ${material.token}` };
    return whole({ method: "POST", path, headers, body }, random);
  };
const asIs: Spoil<Fields> = (fields) => fields;
const head =
  (headers: Record<string, string>): Spoil<Message> =>
  (message) => ({ ...message, headers: { ...message.headers, ...headers } });
const bytes = (field: string) => (fields: Fields) => fields[field] as Uint8Array;

/** The text of a .npy's or .blindspot's head, replaced in place. */
function rewritten(file: Uint8Array, from: RegExp, to: string): Uint8Array {
  const text = Buffer.from(file)
    .toString("latin1")
    .replace(from, (old) => to.padEnd(old.length).slice(0, old.length));
  return Uint8Array.from(Buffer.from(text, "latin1"));
}

/** Up to 8000 x 8000 x 3 and down again: small as a file, and its outputs are small. */
function hugeInside(): Uint8Array {
  const quantization = { scale: Float32Array.of(1), zeroPoint: Int32Array.of(0) };
  const image = (side: number) => ({
    name: `${side}`,
    shape: [1, side, side, 3],
    dtype: "int8" as const,
    quantization,
  });
  const resize = (input: number, side: number) => ({
    op: "RESIZE_NEAREST_NEIGHBOR" as const,
    name: `to ${side}`,
    inputs: [input],
    outputs: [input + 1],
    attributes: { height: side, width: side, alignCorners: false, halfPixelCenters: false },
  });
  const nodes = [resize(0, 8000), resize(1, 1)];
  const tensors = [image(1), image(8000), image(1)];
  return writeModel({ graph: { name: "huge", tensors, nodes, inputs: [0], outputs: [2] }, meta: {} });
}

const ZEROS = gzipSync(new Uint8Array(64 << 20));

export const MALFORMED: readonly Row[] = [
  {
    name: "an unknown path",
    status: 404,
    message: spoilt("/run", asIs, (m) => ({ ...m, path: "/etc/passwd" })),
  },
  { name: "a wrong method", status: 405, message: spoilt("/run", asIs, (m) => ({ ...m, method: "PUT" })) },
  { name: "JSON", status: 415, message: spoilt("/run", asIs, head({ "content-type": "application/json" })) },
  { name: "no type", status: 415, message: spoilt("/run", asIs, head({ "content-type": "" })) },
  {
    name: "a compressed body that unpacks to 64 MiB",
    status: 415,
    message: spoilt("/run", asIs, (m) => ({
      ...head({ "content-encoding": "gzip" })(m, undefined!),
      body: ZEROS,
    })),
  },
  {
    name: "a body that is cut",
    status: 400,
    message: spoilt("/run", asIs, (m, random) => ({ ...m, body: cut(m.body!, random) })),
  },
  {
    name: "a body of another boundary",
    status: 400,
    message: spoilt("/run", asIs, head({ "content-type": "multipart/form-data; boundary=none" })),
  },
  {
    name: "a body said to be of 1 GB",
    status: 413,
    message: spoilt("/run", asIs, (m) => ({
      ...head({ "content-length": "1000000000" })(m, undefined!),
      slow: true,
    })),
  },
  {
    name: "a body of 9 MiB of unknown length",
    status: 413,
    message: spoilt("/run", asIs, (m) => ({
      ...head({ "transfer-encoding": "chunked" })(m, undefined!),
      body: new Uint8Array(9 << 20),
    })),
  },
  {
    name: "a body whose end never comes",
    status: 408,
    message: spoilt("/run", asIs, (m) => ({ ...m, body: m.body!.slice(0, 1000), slow: true })),
  },
  {
    name: "a wrong token",
    status: 401,
    message: spoilt("/run", asIs, (m, random) =>
      head({ authorization: `Bearer ${random.below(1e9)}` })(m, random),
    ),
  },
  { name: "no token", status: 401, message: spoilt("/run", asIs, head({ authorization: "" })) },
  { name: "an unknown profile", status: 404, message: spoilt("/run", (f) => ({ ...f, profile: "toaster" })) },
  { name: "no profile", status: 400, message: spoilt("/run", ({ profile: _, ...rest }) => rest) },
  {
    name: "an unknown model",
    status: 404,
    message: spoilt("/run", (f) => ({ ...f, model: "nothing.tflite" })),
  },
  {
    name: "a model's name that is a path",
    status: 400,
    message: spoilt("/run", (f) => ({ ...f, model: "../x" })),
  },
  {
    name: "a model that is cut",
    status: 422,
    message: spoilt("/run", (f, random) => ({ ...f, model: cut(bytes("model")(f), random) })),
  },
  {
    name: "a model that is noise",
    status: 422,
    message: spoilt("/run", (f, random) => ({
      ...f,
      model: Uint8Array.from({ length: 5000 }, () => random.below(256)),
    })),
  },
  {
    name: "a small model of a huge activation",
    status: 413,
    message: spoilt("/run", (f) => ({
      ...f,
      model: hugeInside(),
      input: formatNpy({ shape: [1, 1, 1, 3], data: new Int8Array(3) }),
    })),
  },
  {
    name: "an input of huge dimensions",
    status: 422,
    message: spoilt("/run", (f) => ({
      ...f,
      input: rewritten(bytes("input")(f), /'shape': \(.*?\)/, "'shape':(99999,9999,9)"),
    })),
  },
  {
    name: "an input that is cut",
    status: 422,
    message: spoilt("/run", (f, random) => ({ ...f, input: cut(bytes("input")(f), random) })),
  },
  {
    name: "an input of another type",
    status: 422,
    message: spoilt("/run", (f) => ({ ...f, input: rewritten(bytes("input")(f), /\|i1/, "|u1") })),
  },
  { name: "an input that is text", status: 400, message: spoilt("/run", (f) => ({ ...f, input: "1,2,3" })) },
  {
    name: "a field that nobody knows",
    status: 400,
    message: spoilt("/run", (f) => ({ ...f, __proto: "x" })),
  },
  {
    name: "an unknown defense",
    status: 400,
    message: spoilt("/defend", (f) => ({ ...f, defense: "prayer" })),
  },
  { name: "a negative seed", status: 400, message: spoilt("/defend", (f) => ({ ...f, seed: "-1" })) },
  {
    name: "a label of no class",
    status: 422,
    message: spoilt("/defend", (f) => ({
      ...f,
      labels: bytes("labels")(f).map((b, i, all) => (i === all.length - 1 ? 200 : b)),
    })),
  },
  {
    name: "fewer labels than images",
    status: 422,
    message: spoilt("/defend", (f) => ({
      ...f,
      labels: rewritten(bytes("labels")(f).slice(0, -1), /\(12,\)/, "(11,)"),
    })),
  },
  {
    name: "a cursor that is none",
    status: 400,
    message: spoilt("/defend", (f) => ({ ...f, cursor: "AAAA" })),
  },
  {
    name: "a cursor of strange letters",
    status: 400,
    message: spoilt("/defend", (f) => ({ ...f, cursor: "<>" })),
  },
  {
    name: "a cursor that unpacks to 64 MiB",
    status: 400,
    message: spoilt("/defend", (f) => ({
      ...f,
      cursor: Buffer.concat([new Uint8Array(16), ZEROS]).toString("base64url"),
    })),
  },
];
