import kernels from "blindspot/kernels.simd.wasm";
import { profiles } from "blindspot/profiles";
import { type Bucket, createHandler, modelsInBucket } from "blindspot/worker";

interface Env {
  /** The R2 bucket of wrangler.jsonc. */
  MODELS: Bucket;
  /** `npx wrangler secret put TOKEN`. */
  TOKEN?: string;
}

export default {
  fetch: createHandler<Env>({
    kernels,
    profiles,
    models: ({ MODELS }) => modelsInBucket(MODELS),
    token: ({ TOKEN }) => TOKEN,
  }),
};
