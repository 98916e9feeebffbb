// One self-contained module for a runtime that resolves no imports: a page, a web worker, a Workers runtime.
import { build } from "esbuild";

/** Each row: how a runtime picks among what a dependency exports. */
const RUNTIMES = {
  browser: { platform: "browser", conditions: ["browser"] },
  workerd: {
    platform: "neutral",
    conditions: ["workerd", "worker", "browser"],
    mainFields: ["module", "main"],
  },
};

/**
 * entry: path of a .ts or .js file. Imports of .wasm stay, for the runtime to give as compiled modules.
 * Returns the code and the names of the packages that are in it.
 * @param {string} entry
 * @param {{ runtime: "browser" | "workerd", minify?: boolean }} options
 * @returns {Promise<{ code: string, packages: string[] }>}
 */
export async function bundle(entry, { runtime, minify = false }) {
  const { outputFiles, metafile } = await build({
    entryPoints: [entry],
    bundle: true,
    write: false,
    metafile: true,
    minify,
    format: "esm",
    target: "es2022",
    external: ["*.wasm"],
    logLevel: "warning",
    ...RUNTIMES[runtime],
  });
  const names = Object.keys(metafile.inputs).map(
    (path) => /.*node_modules\/((?:@[^/]+\/)?[^/]+)\//.exec(path)?.[1],
  );
  const packages = [...new Set(names.filter((name) => name !== undefined))].sort();
  return { code: outputFiles[0].text, packages };
}
