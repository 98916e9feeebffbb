/** One self-contained module for a runtime without our packages beside it: a page, a web worker, a Workers runtime, a file. */
import { type BuildOptions, build } from "esbuild";

/** Each row: how a runtime picks among what a dependency exports. */
const RUNTIMES = {
  node: { platform: "node" },
  browser: { platform: "browser", conditions: ["browser"] },
  workerd: {
    platform: "neutral",
    conditions: ["workerd", "worker", "browser"],
    mainFields: ["module", "main"],
  },
} as const satisfies Record<string, BuildOptions>;

export interface Bundle {
  code: string;
  /** Names of the packages that are in it. */
  packages: string[];
}

/** entry: path of a file, or its text, whose imports are as from this directory. Imports of .wasm stay, for the runtime to give
 * as compiled modules. */
export async function bundle(
  entry: string | { contents: string },
  { runtime, minify = false }: { runtime: keyof typeof RUNTIMES; minify?: boolean },
): Promise<Bundle> {
  const from: BuildOptions =
    typeof entry === "string"
      ? { entryPoints: [entry] }
      : { stdin: { contents: entry.contents, loader: "ts", resolveDir: import.meta.dirname } };
  const { outputFiles, metafile } = await build({
    ...from,
    ...(RUNTIMES[runtime] as BuildOptions),
    bundle: true,
    write: false,
    metafile: true,
    minify,
    format: "esm",
    target: "es2022",
    external: ["*.wasm"],
    logLevel: "warning",
  });
  const names = Object.keys(metafile!.inputs).map(
    (path) => /.*node_modules\/((?:@[^/]+\/)?[^/]+)\//.exec(path)?.[1],
  );
  const packages = [...new Set(names.filter((name) => name !== undefined))].sort();
  return { code: outputFiles![0].text, packages };
}
