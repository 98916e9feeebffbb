/** Files that were chosen or dropped, as the loaders of src/data take them. */
import type { Files } from "../data/files.ts";
import type { ImageSource, NamedFile } from "./protocol.ts";

/** More is no set of images, but somebody's home directory. */
export const MAXIMUM_FILES = 200_000;

type FileSource = Extract<ImageSource, { kind: "files" }>;

/** The source with the folder that holds all: the only one that was dropped, or one that nobody sees, named `images`. */
export function fileSource(files: readonly NamedFile[]): FileSource {
  const tops = new Set(files.map(({ path }) => path.split("/")[0]));
  const [csv, ...more] = files.filter(({ path }) => path.toLowerCase().endsWith(".csv"));
  const inside = tops.size === 1 && files.every(({ path }) => path.includes("/"));
  const prefix = inside ? "" : "images/";
  const folder = inside ? [...tops][0] : "images";
  const root = csv && more.length === 0 ? `${prefix}${csv.path}` : folder;
  return { kind: "files", root, files: files.map(({ path, file }) => ({ path: `${prefix}${path}`, file })) };
}

export function droppedFiles({ files }: FileSource): Files {
  const byPath = new Map(files.map(({ path, file }) => [path, file]));
  const directories = new Map<string, Set<string>>();
  for (const { path } of files) {
    const parts = path.split("/");
    for (let i = 1; i < parts.length; i++) {
      const folder = parts.slice(0, i).join("/");
      directories.set(folder, (directories.get(folder) ?? new Set()).add(parts[i]));
    }
  }
  return {
    entry: async (path) => {
      const file = byPath.get(path);
      if (file) return { kind: "file", bytes: file.size };
      return { kind: directories.has(path) ? "directory" : "missing", bytes: 0 };
    },
    list: async (path) => [...(directories.get(path) ?? [])],
    read: async (path) => new Uint8Array(await byPath.get(path)!.arrayBuffer()),
  };
}

/** Every file of a drop, folders walked through. @throws RangeError for too many. */
export async function filesOf(dropped: DataTransfer): Promise<NamedFile[]> {
  const entries = [...dropped.items]
    .map((item) => item.webkitGetAsEntry())
    .filter((entry): entry is FileSystemEntry => entry !== null);
  const found: NamedFile[] = [];
  for (const entry of entries) await walk(entry, found);
  return found;
}

async function walk(entry: FileSystemEntry, found: NamedFile[]): Promise<void> {
  if (found.length > MAXIMUM_FILES)
    throw new RangeError(`What was dropped: expected at most ${MAXIMUM_FILES} files, got more`);
  if (entry.isFile) {
    const file = await new Promise<File>((resolve, reject) =>
      (entry as FileSystemFileEntry).file(resolve, reject),
    );
    found.push({ path: entry.fullPath.replace(/^\//, ""), file });
    return;
  }
  const reader = (entry as FileSystemDirectoryEntry).createReader();
  // A reader gives about a hundred at a time, and none when there are no more.
  for (let some = await read(reader); some.length > 0; some = await read(reader))
    for (const child of some) await walk(child, found);
}

const read = (reader: FileSystemDirectoryReader) =>
  new Promise<FileSystemEntry[]>((resolve, reject) => reader.readEntries(resolve, reject));

/** What an <input type="file"> holds; of a folder with the paths below it. */
export function chosenFiles({ files }: HTMLInputElement): NamedFile[] {
  return [...(files ?? [])].map((file) => ({ path: file.webkitRelativePath || file.name, file }));
}

const MODEL = /\.(tflite|onnx|blindspot)$/i;

/** Files by their names; all else is taken for images. */
export const isModelName = (name: string): boolean => MODEL.test(name);
export const isPolicyName = (name: string): boolean => /^[^/]+\.json$/i.test(name);
