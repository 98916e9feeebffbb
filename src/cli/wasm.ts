import { readFile } from "node:fs/promises";
import { ROOT } from "./package.ts";

/** The two builds of assembly/kernels.ts: same exports, same results. */
export const BUILDS = ["simd", "scalar"] as const;
export type Build = (typeof BUILDS)[number];

/** Compiles build/kernels.BUILD.wasm as `npm run build` left it. */
export async function loadKernelModule(build: Build = "simd"): Promise<WebAssembly.Module> {
  return WebAssembly.compile(await readFile(new URL(`build/kernels.${build}.wasm`, ROOT)));
}

/** Compiles build/train.wasm, the training kernels that run on tfjs's memory. */
export async function loadTrainModule(): Promise<WebAssembly.Module> {
  return WebAssembly.compile(await readFile(new URL("build/train.wasm", ROOT)));
}

/** Compiles build/bench.wasm: what the machine can do at most. */
export async function loadBenchModule(): Promise<WebAssembly.Module> {
  return WebAssembly.compile(await readFile(new URL("build/bench.wasm", ROOT)));
}
