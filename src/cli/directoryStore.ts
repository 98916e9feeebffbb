import { mkdir, readFile, rename, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { Store } from "../harness/store.ts";

/** Files in a directory, each written beside its place and moved there whole, so that a kill leaves none half done. */
export function directoryStore(directory: string): Store {
  return {
    get: (name) => optional(readFile(join(directory, name))),
    put: async (name, bytes) => {
      await mkdir(directory, { recursive: true });
      const beside = join(directory, `.${name}.${process.pid}.${Math.floor(performance.now() * 1e6)}`);
      await writeFile(beside, bytes);
      await rename(beside, join(directory, name));
    },
  };
}

/** `first`, and where it has nothing the shipped models: models/index.json gives the file of each store name. */
export function withShippedModels(first: Store, models: URL): Store {
  const index = optional(readFile(new URL("index.json", models), "utf8")).then(
    (text) => JSON.parse(text ?? "{}") as Record<string, string>,
  );
  return {
    get: async (name) => {
      const known = await first.get(name);
      const file = known ? undefined : (await index)[name];
      return known ?? (file === undefined ? undefined : optional(readFile(new URL(file, models))));
    },
    put: (name, bytes) => first.put(name, bytes),
  };
}

async function optional<T>(reading: Promise<T>): Promise<T | undefined> {
  return reading.catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT") return undefined;
    throw error;
  });
}
