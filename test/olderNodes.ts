import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";

/** Other versions of Node on PATH than the one that runs the tests, by version; the package promises 20 and newer. */
export async function olderNodes(): Promise<[version: string, path: string][]> {
  const paths = (process.env.PATH ?? "").split(":").map((directory) => join(directory, "node"));
  const found = new Map<string, string>();
  for (const path of paths.filter(existsSync)) {
    const version = (await promisify(execFile)(path, ["--version"])).stdout.trim();
    const major = Number(/^v(\d+)/.exec(version)?.[1]);
    if (major >= 20 && version !== process.version && !found.has(version)) found.set(version, path);
  }
  return [...found];
}
