/** Golden files that lie beside the checkout and are not part of it. */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { describe } from "vitest";

const ROOT = new URL("../../../shared/", import.meta.url);

export function sharedPath(path: string): string {
  return fileURLToPath(new URL(path, ROOT));
}

export function sharedJson(path: string): unknown {
  return JSON.parse(readFileSync(sharedPath(path), "utf8"));
}

/** The JSON files of a directory, sorted; none where it is absent. */
export function sharedFiles(directory: string): string[] {
  if (!existsSync(sharedPath(directory))) return [];
  return readdirSync(sharedPath(directory))
    .filter((name) => name.endsWith(".json"))
    .sort();
}

/** A suite on ../shared/PATH, skipped by name where that is absent. */
export function describeShared(name: string, path: string, suite: () => void): void {
  if (existsSync(sharedPath(path))) describe(name, suite);
  else describe.skip(`${name} (../shared/${path} is absent)`, suite);
}
