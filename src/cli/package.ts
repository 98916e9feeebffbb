/** Where package.json lies, with the final slash: two up from src/cli, and from dist/cli and dist/chunks. */
export const ROOT = new URL("../../", import.meta.url);

/** A module of src/cli as it runs here: from source, or bundled by build.mjs. */
export function cliModule(name: string): URL {
  return new URL(import.meta.url.endsWith(".ts") ? `src/cli/${name}.ts` : `dist/cli/${name}.js`, ROOT);
}
