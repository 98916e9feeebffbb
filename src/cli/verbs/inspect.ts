import { extname } from "node:path";
import type { Command } from "commander";
import { IMPORTERS } from "../../import/index.ts";
import { bindKernels } from "../../kernels/module.ts";
import { inspectModel, inspectTarget, runsOn } from "../../model/inspect.ts";
import { inspectText } from "../inspectText.ts";
import { print, readInput } from "../io.ts";
import { readAnyModel } from "../models.ts";
import { findProfile } from "../profiles.ts";
import { loadKernelModule } from "../wasm.ts";

interface Options {
  profile?: string;
  json?: boolean;
}

export function add(program: Command): void {
  program
    .command("inspect")
    .description("what a model is, and whether a device can run it; exit code 1 when it cannot")
    .argument("<model>", ".blindspot, .tflite or .onnx")
    .option("--profile <profile>", "a device, by id or file")
    .option("--json", "machine-readable")
    .action(inspect);
}

async function inspect(path: string, { profile: wanted, json }: Options): Promise<void> {
  const profile = wanted === undefined ? undefined : await findProfile(wanted);
  const graph = await readAnyModel(path);
  const inspection = inspectModel(graph);
  const target = profile && inspectTarget(graph, profile, await bindKernels(await loadKernelModule()));
  const format = await formatOf(path);
  print(
    json
      ? JSON.stringify({ format, ...inspection, target: target ?? null }, null, 2)
      : inspectText(inspection, path, format, target),
  );
  if (target && !runsOn(target)) process.exitCode = 1;
}

/** The format of a file that could be read. */
async function formatOf(path: string): Promise<string> {
  const extension = extname(path).toLowerCase();
  if (extension === ".blindspot") return "Blindspot";
  const bytes = await readInput(path, "a model");
  const importer =
    IMPORTERS.find(({ matches }) => matches(bytes)) ?? IMPORTERS.find((each) => each.extension === extension);
  return importer!.name;
}
