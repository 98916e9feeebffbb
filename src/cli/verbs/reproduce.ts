import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { availableParallelism } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import type { Command } from "commander";
import manifest from "../../../package.json" with { type: "json" };
import type { Preset } from "../../harness/experiment.ts";
import { PRESETS } from "../../harness/presets.ts";
import { type Execute, reproduce } from "../../harness/reproduce.ts";
import type { Result } from "../../harness/result.ts";
import { resultText } from "../../harness/resultFile.ts";
import { type Step, stepAffinity, stepIdentity, stepsBefore, stepTitle } from "../../harness/steps.ts";
import { canonicalJson } from "../../harness/store.ts";
import type { Profile } from "../../profile/schema.ts";
import { renderHtml } from "../../report/html.ts";
import { renderTable } from "../../report/table.ts";
import { loadDataset, mostFrequentClass, sharedDataset } from "../dataset.ts";
import { integerOption, print, tell, UsageError, writeOutput } from "../io.ts";
import type { ThreadData } from "../labThread.ts";
import { cliModule, ROOT } from "../package.ts";
import { startPool, startThreads, type Work } from "../pool.ts";
import { findProfile } from "../profiles.ts";
import { startMeter } from "../progress.ts";
import { TARGET } from "../triggerOptions.ts";
import { loadKernelModule, loadTrainModule } from "../wasm.ts";

interface Options {
  dataset: string;
  data?: string;
  preset: string;
  seed: number;
  target?: number;
  pairs?: number;
  width?: number;
  profile: string[];
  jobs: number;
  work: string;
  output: string;
  json?: boolean;
}

const MODELS = new URL("models/", ROOT);
const THREE = ["stm32l4r5-cmsis-nn", "ethos-u65", "android-litert-xnnpack"];

export function add(program: Command): void {
  program
    .command("reproduce")
    .description(
      "the paper's experiment and the four arms: which detections survive on which device, and why not",
    )
    .option("--dataset <name>", "signs (built in), gtsrb or cifar10", "signs")
    .option("--data <directory>", "where the images are; signs needs none")
    .option("--preset <name>", Object.keys(PRESETS).join(", "), "quick")
    .option("--seed <number>", "of everything", integerOption("--seed", 0, 1_000_000), 1)
    .option(...TARGET)
    .option(
      "--pairs <number>",
      "backdoored models, each with a clean twin",
      integerOption("--pairs", 1, 1000),
    )
    .option("--width <channels>", "of the networks' first stage", integerOption("--width", 4, 128))
    .option("--profile <profile...>", "devices, by id or file", THREE)
    .option("--jobs <number>", "threads", integerOption("--jobs", 1, 256), availableParallelism())
    .option("--work <directory>", "finished steps; a run that was stopped goes on from here", ".blindspot")
    .option("-o, --output <directory>", "for the Result and its report", "blindspot-results")
    .option("--json", "print the Result on stdout")
    .action(run);
}

async function run(options: Options): Promise<void> {
  const preset = presetOf(options);
  const profiles = await Promise.all(options.profile.map(findProfile));
  const { row, dataset } = await loadDataset(options.dataset, options.data);
  checkTarget(options.target, dataset.classNames.length, row.name);
  const [kernels, trainModule] = await Promise.all([loadKernelModule(), loadTrainModule()]);
  // They load while the images are drawn.
  const threads = startThreads(cliModule("labThread"), options.jobs);
  const target = options.target ?? mostFrequentClass(dataset);
  const inputs = await inputsOf(dataset.sha256, profiles);
  const engine = canonicalJson([manifest.version, inputs.kernels]);
  const meter = startMeter(process.stderr);
  const lab = { kernels, dataset: sharedDataset(dataset), preset, profiles, engine };
  const work = join(options.work, row.name);
  const data: ThreadData = { lab, trainModule, work, models: MODELS.href };
  const pool = startPool(labWork(data), threads, meter);
  let result: Result;
  try {
    const provenance = {
      command: commandOf(options),
      preset: options.preset,
      versions: { blindspot: manifest.version, tfjs: manifest.dependencies["@tensorflow/tfjs-core"] },
      options: {
        dataset: row.name,
        target,
        pairs: preset.pairs,
        profiles: profiles.map(({ id }) => id),
        preset: { ...preset },
      },
      inputs,
    };
    const store = { get: async () => undefined, put: async () => {} };
    result = await reproduce(
      { ...lab, store },
      { seed: options.seed, target, flip: row.flip, provenance },
      pool.execute as Execute,
    );
  } finally {
    meter.stop();
    await pool.close();
  }
  await deliver(result, options);
}

function checkTarget(target: number | undefined, classes: number, name: string): void {
  if (target !== undefined && target >= classes)
    throw new UsageError(`--target: expected a class of ${name} from 0 to ${classes - 1}, got ${target}`);
}

/** In tenths of a second of preset brief, about. */
const COSTS: Record<Step["kind"], number> = { train: 600, paper: 40, deploy: 10, cells: 20, part: 5 };

function labWork(data: ThreadData): Work<Step> {
  const lab = { ...data.lab, store: { get: async () => undefined, put: async () => {} } };
  return {
    data,
    identity: (step) => stepIdentity(lab, step),
    affinity: (step) => stepAffinity(lab, step),
    before: (step) => stepsBefore(lab, step),
    title: stepTitle,
    cost: ({ kind }) => COSTS[kind],
  };
}

function presetOf({ preset: name, pairs, width }: Options): Preset {
  const preset = (PRESETS as Record<string, Preset>)[name];
  if (!preset) throw new UsageError(`--preset: expected ${Object.keys(PRESETS).join(", ")}, got ${name}`);
  return {
    ...preset,
    ...(pairs !== undefined && { pairs, attempts: 2 * pairs }),
    ...(width !== undefined && { width }),
  };
}

/** As a reader can repeat it: without the options that do not change the Result. */
function commandOf({ dataset, preset, seed, target, pairs, width, profile }: Options): string {
  const given = [
    `blindspot reproduce --dataset ${dataset}`,
    ...(dataset === "signs" ? [] : ["--data DIRECTORY"]),
    `--preset ${preset} --seed ${seed}`,
    ...(target === undefined ? [] : [`--target ${target}`]),
    ...(pairs === undefined ? [] : [`--pairs ${pairs}`]),
    ...(width === undefined ? [] : [`--width ${width}`]),
    ...(profile === THREE ? [] : [`--profile ${profile.join(" ")}`]),
  ];
  return given.join(" ");
}

async function inputsOf(data: Record<string, string>, profiles: Profile[]): Promise<Result["inputs"]> {
  const hash = (bytes: string | Uint8Array) => createHash("sha256").update(bytes).digest("hex");
  const modules = ["kernels.simd.wasm", "train.wasm"];
  const kernels = await Promise.all(
    modules.map(async (name) => [name, hash(await readFile(new URL(`build/${name}`, ROOT)))]),
  );
  return {
    data,
    profiles: Object.fromEntries(profiles.map((profile) => [profile.id, hash(canonicalJson(profile))])),
    kernels: Object.fromEntries(kernels),
  };
}

async function deliver(result: Result, { dataset, preset, output, json }: Options): Promise<void> {
  const base = join(output, `${dataset}-${preset}`);
  const text = `${resultText(result)}\n`;
  await writeOutput(`${base}.json`, text);
  await writeOutput(`${base}.html`, renderHtml(result));
  const table = renderTable(result, { color: process.stdout.isTTY === true && !json });
  if (json) {
    print(text);
    tell(table);
  } else print(table);
  tell(`\nResult: ${base}.json\nReport: ${base}.html (${pathToFileURL(`${base}.html`)})`);
}
