/** The Worker in workerd, and forms to ask it with. */
import { shippedProfiles } from "../../src/cli/profiles.ts";
import type { ImageSet } from "../../src/data/dataset.ts";
import { formatNpy } from "../../src/data/npy.ts";
import type { Limits } from "../../src/worker/index.ts";
import { startWorkerd } from "../runtimes/workerd.ts";

const OWN = new URL("../../src/worker/index.ts", import.meta.url);

/** All shipped profiles, models in the bucket MODELS, the token of binding TOKEN where there is one. */
export async function startWorker({
  limits = {},
  token,
  origin,
}: {
  limits?: Partial<Limits>;
  token?: string;
  origin?: string;
} = {}) {
  const profiles = [...(await shippedProfiles()).values()];
  const contents = `
    import kernels from "./kernels.simd.wasm";
    import { createHandler, modelsInBucket } from ${JSON.stringify(OWN.pathname)};
    const profiles = ${JSON.stringify(profiles)};
    const limits = ${JSON.stringify(limits)};
    const token = ${token === undefined ? "undefined" : "({ TOKEN }) => TOKEN"};
    const models = ({ MODELS }) => modelsInBucket(MODELS);
    const origin = ${JSON.stringify(origin)};
    export default { fetch: createHandler({ kernels, profiles, models, limits, token, origin }) };
  `;
  return startWorkerd({ contents }, token === undefined ? {} : { TOKEN: token });
}

const copied = (bytes: Uint8Array) => new Blob([Uint8Array.from(bytes)]);

/** Blobs for bytes, texts as they are. */
export function formOf(fields: Record<string, string | Uint8Array>): FormData {
  const form = new FormData();
  for (const [name, value] of Object.entries(fields))
    if (typeof value === "string") form.append(name, value);
    else form.append(name, copied(value), name);
  return form;
}

/** uint8 images, (count, height, width, channels). */
export const imagesNpy = ({ count, height, width, channels, pixels }: ImageSet) =>
  formatNpy({ shape: [count, height, width, channels], data: pixels });

/** The same as codes of an int8 input: less 128. */
export const codesNpy = ({ count, height, width, channels, pixels }: ImageSet) =>
  formatNpy({ shape: [count, height, width, channels], data: Int8Array.from(pixels, (p) => p - 128) });

export const labelsNpy = ({ count, labels }: ImageSet) => formatNpy({ shape: [count], data: labels });

export interface Line {
  progress?: { answered: number };
  result?: { outcome: unknown };
  cursor?: string;
  error?: string;
}

export async function linesOf(response: Response): Promise<Line[]> {
  return (await response.text())
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line));
}
