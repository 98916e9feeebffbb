/** LiteRT.js (XNNPACK in WebAssembly, SIMD, one thread) as a peer. */
import { readFileSync } from "node:fs";
import * as nodeModule from "node:module";
import { dirname, join } from "node:path";
import { runInThisContext } from "node:vm";
import type { Work } from "./measure.ts";

interface Tensor {
  delete(): void;
}
interface Model {
  run(input: Tensor): Promise<Tensor[]>;
}
/** What is used of @litertjs/core, whose own types declare a Window. */
interface LiteRt {
  loadLiteRt(path: string): Promise<unknown>;
  loadAndCompile(file: Uint8Array, options: { accelerator: "wasm" }): Promise<Model>;
  Tensor: new (data: Int8Array | Float32Array, shape: readonly number[]) => Tensor;
}

const CORE: string = "@litertjs/core";
/** Its table of element types lacks int8, which its runtime has. */
const TABLE = "var DATATYPES = Object.freeze([";
const INT8 = '{ dtype: "int8", typedArrayConstructor: Int8Array, elementType: ElementType.INT8 },';

/** Makes a browser's worker of this process, and lets the package take int8 tensors. */
function prepareProcess(wasm: string): void {
  nodeModule.registerHooks({
    load(url, context, next) {
      const loaded = next(url, context);
      const source = String(loaded.source);
      return url.includes(CORE) && source.includes(TABLE)
        ? { ...loaded, source: source.replace(TABLE, TABLE + INT8) }
        : loaded;
    },
  });
  const read = (name: string) => readFileSync(join(wasm, name));
  Object.assign(globalThis, {
    self: globalThis,
    require: nodeModule.createRequire(join(wasm, "index.js")),
    __dirname: wasm,
    importScripts: (name: string) => runInThisContext(read(name).toString(), { filename: name }),
    Module: { wasmBinary: read("litert_wasm_internal.wasm"), printErr: () => {} },
  });
}

export interface LiteRtPeer {
  version: string;
  /** One image of the model, whose single input is given. */
  work(file: Uint8Array, input: Int8Array | Float32Array, shape: readonly number[]): Promise<Work>;
}

/** The peer, or why there is none. */
export async function startLiteRt(): Promise<LiteRtPeer | string> {
  let root: string;
  try {
    root = dirname(nodeModule.createRequire(import.meta.url).resolve(`${CORE}/package.json`));
  } catch {
    return `${CORE} is not installed`;
  }
  if (!("registerHooks" in nodeModule)) return "needs Node 22.15";
  prepareProcess(join(root, "wasm/"));
  const warn = console.warn;
  console.warn = () => {};
  const liteRt: LiteRt = await import(CORE);
  await liteRt.loadLiteRt("litert_wasm_internal.js");
  console.warn = warn;
  const { version } = JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as { version: string };
  return {
    version,
    async work(file, input, shape) {
      const model = await liteRt.loadAndCompile(file, { accelerator: "wasm" });
      const x = new liteRt.Tensor(input, shape);
      return {
        async run() {
          for (const y of await model.run(x)) y.delete();
        },
      };
    },
  };
}
