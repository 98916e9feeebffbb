import { DataError } from "../errors.ts";

/** What the loaders need of a file system. Paths are joined with "/". */
export interface Files {
  /** What is at `path`, and its size in bytes (0 for a directory). Never throws for a missing path. */
  entry(path: string): Promise<{ kind: "file" | "directory" | "missing"; bytes: number }>;
  /** The names in a directory. */
  list(path: string): Promise<string[]>;
  read(path: string): Promise<Uint8Array>;
}

const ARCHIVE = /\.(tar|tgz|tar\.gz|gz|zip|7z|bz2|xz)$/i;
const GIB = 1024 ** 3;

/** The bytes of a file. Throws DataError if it is missing, a directory, empty or over `maximumBytes`. */
export async function readFile(files: Files, path: string, maximumBytes = GIB): Promise<Uint8Array> {
  const { kind, bytes } = await files.entry(path);
  if (kind !== "file") throw new DataError(path, "a file", kind === "missing" ? "none" : "a directory");
  if (bytes === 0) throw new DataError(path, "data", "an empty file");
  if (bytes > maximumBytes) throw new DataError(path, `at most ${maximumBytes} bytes`, `${bytes}`);
  return files.read(path);
}

/** The names in the directory `path`, sorted by code unit. Throws DataError if it is no directory, and says what to do with
 * an archive. */
export async function listDirectory(files: Files, path: string): Promise<string[]> {
  const { kind } = await files.entry(path);
  if (kind === "directory") return (await files.list(path)).sort();
  const expected = "a directory with the data set";
  if (kind === "missing") throw new DataError(path, expected, "nothing there");
  const archive = ARCHIVE.test(path);
  throw new DataError(path, expected, archive ? "an archive (unpack it and name the directory)" : "a file");
}

/** The first few of `names`, for a message. */
export function listed(names: string[]): string {
  if (names.length === 0) return "an empty directory";
  return names.slice(0, 6).join(" ") + (names.length > 6 ? ` and ${names.length - 6} more` : "");
}

/** The first of `candidates` that is there, or null. */
export async function firstExisting(
  files: Files,
  candidates: string[],
  kind: "file" | "directory",
): Promise<string | null> {
  for (const path of candidates) if ((await files.entry(path)).kind === kind) return path;
  return null;
}

/** sha256 in lower-case hexadecimal, by WebCrypto. */
export async function sha256(bytes: Uint8Array): Promise<string> {
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes as Uint8Array<ArrayBuffer>));
  return Array.from(digest, (byte) => byte.toString(16).padStart(2, "0")).join("");
}
