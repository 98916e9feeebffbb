import { readdir, readFile, stat } from "node:fs/promises";
import type { Files } from "../data/files.ts";

/** The file system of Node. Only the CLI imports this. */
export const nodeFiles: Files = {
  async entry(path) {
    const found = await stat(path).catch((error: NodeJS.ErrnoException) => {
      if (error.code === "ENOENT" || error.code === "ENOTDIR") return null;
      throw error;
    });
    if (!found) return { kind: "missing", bytes: 0 };
    return found.isDirectory() ? { kind: "directory", bytes: 0 } : { kind: "file", bytes: found.size };
  },
  list: (path) => readdir(path),
  read: (path) => readFile(path),
};
