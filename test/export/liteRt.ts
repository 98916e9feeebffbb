import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { fileURLToPath } from "node:url";
import { runInThisContext } from "node:vm";

const WASM = new URL("../../node_modules/@litertjs/core/wasm/", import.meta.url);

/** The types that LiteRT.js has at a model's ends. */
type LiteRtValues = Float32Array | Int32Array | Uint8Array;
interface LiteRtTensor {
  data(): Promise<Float32Array>;
  delete(): void;
}
interface LiteRtModel {
  run(inputs: LiteRtTensor[]): Promise<LiteRtTensor[]>;
  delete(): void;
}
/** What we use of @litertjs/core. Its own types declare a Window, which would be that of our every file. */
export interface LiteRt {
  loadLiteRt(path: string): Promise<unknown>;
  loadAndCompile(file: Uint8Array, options: { accelerator: "wasm" }): Promise<LiteRtModel>;
  Tensor: new (data: LiteRtValues, shape: number[]) => LiteRtTensor;
}

/** A string to the compiler, so that it does not look for the types. */
const CORE: string = "@litertjs/core";

/**
 * LiteRT.js 2.5.3 (XNNPACK, SIMD), which is made for a browser's worker: `self` and importScripts stand in for one, and
 * the wasm is given as bytes, since Node fetches no files. build: "compat" is without relaxed SIMD, which on some machines
 * fuses multiply-adds of float32.
 */
export async function startLiteRt(build: "compat" | "relaxed" = "relaxed"): Promise<LiteRt> {
  const name = build === "compat" ? "litert_wasm_compat_internal" : "litert_wasm_internal";
  const read = (file: string) => readFileSync(new URL(file, WASM));
  Object.assign(globalThis, {
    self: globalThis,
    require: createRequire(import.meta.url),
    __dirname: fileURLToPath(WASM),
    importScripts: (file: string) => runInThisContext(read(file).toString(), { filename: file }),
    Module: { wasmBinary: read(`${name}.wasm`), printErr: () => {} },
  });
  const liteRt: LiteRt = await import(CORE);
  await liteRt.loadLiteRt(`${name}.js`);
  return liteRt;
}

/** float32 outputs of one run of a .tflite file. shapes: the inputs'. */
export async function runLiteRt(
  liteRt: LiteRt,
  file: Uint8Array,
  inputs: readonly LiteRtValues[],
  shapes: readonly number[][],
): Promise<Float32Array[]> {
  const model = await liteRt.loadAndCompile(file, { accelerator: "wasm" });
  const xs = inputs.map((input, i) => new liteRt.Tensor(input, shapes[i]));
  const outputs = await model.run(xs);
  const values: Float32Array[] = [];
  for (const y of outputs) values.push(Float32Array.from(await y.data()));
  for (const made of [...xs, ...outputs, model]) made.delete();
  return values;
}
