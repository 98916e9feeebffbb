import { mkdir, readFile, rename, writeFile } from "node:fs/promises";
import { dirname } from "node:path";
import { DataError } from "../errors.ts";

/** Wrong use of the command line: one line, exit code 2. */
export class UsageError extends Error {
  override name = "UsageError";
}

/** A file's bytes. @throws DataError when there is none. */
export async function readInput(path: string, expected: string): Promise<Uint8Array> {
  try {
    return await readFile(path);
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    const got = { ENOENT: "nothing there", EISDIR: "a directory", EACCES: "no permission to read it" }[
      code ?? ""
    ];
    throw new DataError(path, expected, got ?? message);
  }
}

/** Writes a file whole or not at all. */
export async function writeOutput(path: string, bytes: Uint8Array | string): Promise<void> {
  await mkdir(dirname(path), { recursive: true });
  const beside = `${path}.part-${process.pid}`;
  await writeFile(beside, bytes);
  await rename(beside, path);
}

/** Machine output on stdout. */
export function print(text: string): void {
  process.stdout.write(text.endsWith("\n") ? text : `${text}\n`);
}

/** For the person at the terminal, on stderr. */
export function tell(text: string): void {
  process.stderr.write(text.endsWith("\n") ? text : `${text}\n`);
}

/** A whole number option. @throws UsageError outside [minimum, maximum]. */
export function integerOption(name: string, minimum: number, maximum: number): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (!Number.isInteger(value) || value < minimum || value > maximum)
      throw new UsageError(
        `${name}: expected a whole number from ${minimum} to ${maximum}, got ${JSON.stringify(text)}`,
      );
    return value;
  };
}
