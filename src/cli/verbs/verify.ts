import { readdir, stat } from "node:fs/promises";
import { basename, join } from "node:path";
import type { Command } from "commander";
import { DataError, ModelFormatError } from "../../errors.ts";
import { bindKernels } from "../../kernels/module.ts";
import { verifyVectorFile } from "../../kernels/vectors.ts";
import { print, readInput } from "../io.ts";
import { isModelFolder, modelFolders, verifyModelFolder } from "../modelFolders.ts";
import { BUILDS, type Build, loadKernelModule } from "../wasm.ts";

/** One line of the table: a kernel in one build, or a model under one runtime's profile. */
export interface Line {
  name: string;
  /** both: what does not depend on it, as a file that cannot be read. */
  build: Build | "both";
  passed: number;
  failed: number;
  skipped: number;
  /** The first difference or the reason of the skip. */
  note: string;
}

/** Lists of files beside the vectors. */
const NOT_VECTORS = new Set(["MANIFEST.json"]);

export function add(program: Command): void {
  program
    .command("verify")
    .description(
      "golden vectors made by others, in both builds of the kernels; exit code 1 when a value differs",
    )
    .argument("<paths...>", "vector files, model folders (model and vectors.json), or directories of either")
    .option("--json", "machine-readable, on stdout")
    .action(verify);
}

async function verify(paths: string[], { json }: { json?: boolean }): Promise<void> {
  const lines: Line[] = [];
  for (const path of paths)
    for await (const line of verifyPath(path)) {
      lines.push(line);
      if (!json) print(text(line));
    }
  if (json) print(JSON.stringify(lines, null, 2));
  else printEnd(lines);
  if (lines.some(({ failed }) => failed > 0)) process.exitCode = 1;
}

/** What was not equal or not run, with its cause, and the sums. */
function printEnd(lines: readonly Line[]): void {
  const total = (key: "passed" | "failed" | "skipped") => lines.reduce((sum, line) => sum + line[key], 0);
  const rest = lines.filter(({ failed, skipped }) => failed > 0 || skipped > 0);
  if (rest.length > 0) print("\nNot equal or not run:");
  for (const { name, build, note } of rest) print(`- ${name} (${build}): ${note}`);
  const skipped = total("skipped");
  print(`${total("passed")} passed, ${total("failed")} failed${skipped > 0 ? `, ${skipped} skipped` : ""}`);
}

/** @throws DataError for a path that is not there, or holds neither vectors nor models. */
async function* verifyPath(path: string): AsyncGenerator<Line> {
  const found = await stat(path).catch(() => undefined);
  if (!found)
    throw new DataError(path, "a vector file, a model folder or a directory of them", "nothing there");
  if (found.isDirectory()) {
    const folders = (await isModelFolder(path)) ? [path] : await modelFolders(path);
    for (const folder of folders) yield* verifyModelFolder(folder);
    if (folders.length > 0) return;
  }
  for (const file of found.isFile() ? [path] : await vectorFiles(path)) {
    const parsed = parse(new TextDecoder().decode(await readInput(file, "a vector file")), file);
    for (const build of BUILDS) yield await verifyFile(parsed, file, build);
  }
}

/** @throws DataError for a directory without vectors. */
async function vectorFiles(path: string): Promise<string[]> {
  const names = (await readdir(path)).sort();
  const files = names.filter((name) => name.endsWith(".json") && !NOT_VECTORS.has(name));
  if (files.length === 0)
    throw new DataError(
      path,
      "vector files (.json) or model folders",
      names.slice(0, 5).join(" ") || "an empty directory",
    );
  return files.map((name) => join(path, name));
}

function parse(text: string, file: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new ModelFormatError(file, "JSON", (error as Error).message);
  }
}

async function verifyFile(json: unknown, file: string, build: Build): Promise<Line> {
  const kernels = await bindKernels(await loadKernelModule(build));
  const { rounding, kernel } = json as { rounding?: string; kernel?: string };
  const subject = kernel === undefined || kernel === "*" ? basename(file) : kernel;
  const name = rounding ? `${subject} ${rounding}` : subject;
  const line: Line = { name, build, passed: 0, failed: 0, skipped: 0, note: "" };
  for (const result of verifyVectorFile(kernels, json, file)) {
    if (result.skipped !== undefined) line.skipped++;
    else if (result.passed) line.passed++;
    else line.failed++;
    if (!result.passed) line.note ||= result.skipped ?? `${result.case}: ${result.detail}`;
  }
  return line;
}

function text({ name, build, passed, failed, skipped, note }: Line): string {
  const verdict = failed > 0 ? "DIFFERS" : passed > 0 ? "equal" : "skipped";
  const counts = `${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ""}`;
  return `${verdict.padEnd(8)} ${name.padEnd(52)} ${build.padEnd(7)} ${counts}${note ? `  (${note})` : ""}`;
}
