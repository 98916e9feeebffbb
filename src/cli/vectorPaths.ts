/** Walks what `verify` is given: vector files, tables of requantizations, model folders, and directories of any of them. */
import { readdir, stat } from "node:fs/promises";
import { basename, join } from "node:path";
import { DataError, ModelFormatError } from "../errors.ts";
import { bindKernels, type Kernels } from "../kernels/module.ts";
import { isRequantTable, verifyRequantTable } from "../kernels/requantCases.ts";
import { isRecord } from "../kernels/vectorFile.ts";
import { verifyVectorFile } from "../kernels/vectors.ts";
import { readInput } from "./io.ts";
import { isModelFolder, verifyModelFolder } from "./modelFolders.ts";
import type { Line } from "./verbs/verify.ts";
import { BUILDS, type Build, loadKernelModule } from "./wasm.ts";

/** Directories inside of one another; links could lead round. */
const MAX_DEPTH = 6;

/** @throws DataError for a path that is not there, or holds neither vectors nor models. */
export async function* verifyPath(path: string): AsyncGenerator<Line> {
  const found = await stat(path).catch(() => undefined);
  if (!found)
    throw new DataError(path, "a vector file, a model folder or a directory of them", "nothing there");
  if (!found.isDirectory()) {
    yield* verifyFile(path, "refuse");
    return;
  }
  let lines = 0;
  for await (const line of verifyDirectory(path, 0)) {
    lines++;
    yield line;
  }
  if (lines > 0) return;
  const names = await readdir(path);
  throw new DataError(
    path,
    "vector files (.json), model folders or directories of them",
    names.slice(0, 5).join(" ") || "an empty directory",
  );
}

async function* verifyDirectory(path: string, depth: number): AsyncGenerator<Line> {
  if (await isModelFolder(path)) {
    yield* verifyModelFolder(path);
    return;
  }
  const entries = await readdir(path, { withFileTypes: true });
  for (const entry of entries.sort((a, b) => (a.name < b.name ? -1 : 1))) {
    const inside = join(path, entry.name);
    const isDirectory = entry.isDirectory() || (entry.isSymbolicLink() && (await stat(inside)).isDirectory());
    if (isDirectory && depth < MAX_DEPTH) yield* verifyDirectory(inside, depth + 1);
    else if (!isDirectory && entry.name.endsWith(".json")) yield* verifyOneOfMany(inside);
  }
}

/** A file that is malformed fails, and the others go on. */
async function* verifyOneOfMany(path: string): AsyncGenerator<Line> {
  try {
    yield* verifyFile(path, "pass over");
  } catch (error) {
    if (!(error instanceof ModelFormatError)) throw error;
    yield { ...skippedLine(basename(path), error.message), failed: 1, skipped: 0 };
  }
}

const skippedLine = (name: string, note: string): Line => ({
  name,
  build: "both",
  passed: 0,
  failed: 0,
  skipped: 1,
  note,
});

/** other: what to do with a file of another form, which a directory may well have. @throws ModelFormatError */
async function* verifyFile(path: string, other: "refuse" | "pass over"): AsyncGenerator<Line> {
  const json = parse(new TextDecoder().decode(await readInput(path, "a vector file")), path);
  const isVectors = isRecord(json) && "cases" in json;
  if (!isVectors && !isRequantTable(json) && other === "pass over") return;
  for (const build of BUILDS) {
    const kernels = await bindKernels(await loadKernelModule(build));
    if (isRequantTable(json)) yield* tableLines(kernels, json, path, build);
    else yield vectorLine(kernels, json, path, build);
  }
}

function parse(text: string, file: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new ModelFormatError(file, "JSON", (error as Error).message);
  }
}

function* tableLines(
  kernels: Kernels,
  json: Record<string, unknown>,
  path: string,
  build: Build,
): Generator<Line> {
  for (const result of verifyRequantTable(kernels, json, path)) {
    const name = `${basename(path, ".json")} ${result.family}`;
    if (result.skipped === undefined) {
      const { passed, failed, detail } = result;
      yield { name, build, passed, failed, skipped: 0, note: detail };
    } else if (build === BUILDS[0]) yield skippedLine(name, result.skipped);
  }
}

/** A case that is malformed fails, and the others go on. @throws ModelFormatError for a file of another form. */
function vectorLine(kernels: Kernels, json: unknown, path: string, build: Build): Line {
  const { rounding, kernel } = json as { rounding?: string; kernel?: string };
  const subject = typeof kernel !== "string" || kernel === "*" ? basename(path) : kernel;
  const name = rounding ? `${subject} ${rounding}` : subject;
  const line: Line = { name, build, passed: 0, failed: 0, skipped: 0, note: "" };
  const reasons = new Map<string, number>();
  const reproduced = new Map<string, number>();
  const count = (of: Map<string, number>, key: string) => of.set(key, (of.get(key) ?? 0) + 1);
  let fault = "";
  for (const result of verifyVectorFile(kernels, json, path, { goOn: true })) {
    if (result.skipped !== undefined) {
      line.skipped++;
      count(reasons, result.skipped);
    } else if (result.passed) line.passed++;
    else {
      line.failed++;
      fault ||= `${result.case}: ${result.detail}`;
    }
    for (const defect of result.reproduced ?? []) count(reproduced, defect);
    for (const cause of result.unequal ?? []) count(reasons, cause);
  }
  const shown = (of: Map<string, number>) => [...of].map(([key, n]) => (n > 1 ? `${key} (${n} cases)` : key));
  const defects = shown(reproduced);
  line.unequal = shown(reasons);
  line.note = [
    ...(fault ? [fault] : []),
    ...(defects.length > 0 ? [`defects given to the last bit: ${defects.join(", ")}`] : []),
    ...line.unequal,
  ].join("; ");
  return line;
}
