/** A module in workerd, by miniflare, with our kernels beside it. */
import { readFileSync } from "node:fs";
import { Miniflare } from "miniflare";
import { bundle } from "../../bundle.ts";

const KERNELS = new URL("../../build/kernels.simd.wasm", import.meta.url);

/** What is used of miniflare's R2Bucket. */
interface Bucket {
  put(name: string, bytes: Uint8Array): Promise<unknown>;
}

export interface Workerd {
  url: URL;
  /** Puts a file in the bucket that the module has as MODELS. */
  store(name: string, bytes: Uint8Array): Promise<void>;
  stop(): Promise<void>;
}

/** entry: as bundle.ts takes it; it imports the kernels as "./kernels.simd.wasm", or from the package. bindings: a value a name
 * of env. */
export async function startWorkerd(
  entry: string | { contents: string },
  bindings: Record<string, string> = {},
): Promise<Workerd> {
  const bundled = await bundle(entry, { runtime: "workerd" });
  const code = bundled.code.replace('"blindspot/kernels.simd.wasm"', '"./kernels.simd.wasm"');
  const miniflare = new Miniflare({
    modules: [
      { type: "ESModule", path: "worker.mjs", contents: code },
      { type: "CompiledWasm", path: "kernels.simd.wasm", contents: readFileSync(KERNELS) },
    ],
    compatibilityDate: "2026-04-01",
    bindings,
    r2Buckets: ["MODELS"],
  });
  return {
    url: await miniflare.ready,
    store: async (name, bytes) => {
      const bucket = (await miniflare.getR2Bucket("MODELS")) as unknown as Bucket;
      await bucket.put(name, Uint8Array.from(bytes));
    },
    stop: () => miniflare.dispose(),
  };
}
