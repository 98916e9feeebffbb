/** What a browser gives to the worker: modules, files of the page's own folder, a store in memory. */
import { type FloatBackend, startBackend } from "../float/backend.ts";
import { once } from "../harness/once.ts";
import { digest, type Store } from "../harness/store.ts";
import { parseProfile } from "../profile/parse.ts";
import type { Profile } from "../profile/schema.ts";
import { fetched, type Site } from "./site.ts";

export interface Platform {
  kernels(): Promise<WebAssembly.Module>;
  /** tfjs and its own wasm; loaded at the first use. */
  backend(): Promise<FloatBackend>;
  profiles(): Promise<Profile[]>;
  /** Of Blindspot and what it computes with. */
  versions(): Promise<Record<string, string>>;
  /** sha256 of the modules, by name. */
  digests(): Promise<Record<string, string>>;
  store: Store;
}

/** base: the page's folder, with the final slash. kept: what the store holds from the start. */
export function platformOf(base: string, kept: Map<string, Uint8Array>): Platform {
  const bytesOf = (name: string) =>
    once(async () => new Uint8Array(await (await fetched(base + name)).arrayBuffer()));
  const modules = { "kernels.simd.wasm": bytesOf("kernels.simd.wasm"), "train.wasm": bytesOf("train.wasm") };
  const compiled = async (name: keyof typeof modules) =>
    WebAssembly.compile((await modules[name]()) as Uint8Array<ArrayBuffer>);
  const site = once(async () => (await (await fetched(`${base}site.json`)).json()) as Site);
  return {
    kernels: once(() => compiled("kernels.simd.wasm")),
    backend: once(async () => startBackend(await compiled("train.wasm"), { wasmDirectory: base })),
    profiles: once(async () =>
      (await site()).profiles.map((each) => parseProfile(JSON.stringify(each), "site.json")),
    ),
    versions: async () => (await site()).versions,
    digests: once(async () => {
      const all = Object.entries(modules).map(async ([name, bytes]) => [name, await digest(await bytes())]);
      return Object.fromEntries(await Promise.all(all));
    }),
    store: {
      get: async (name) => kept.get(name),
      put: async (name, bytes) => {
        kept.set(name, bytes);
      },
    },
  };
}
