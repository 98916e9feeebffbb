import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { availableParallelism } from "node:os";
import { basename } from "node:path";
import type { Command } from "commander";
import manifest from "../../../package.json" with { type: "json" };
import { RESIZES, type Resize } from "../../data/fit.ts";
import { type AuditResult, judge } from "../../harness/audit/gate.ts";
import type { AuditModel } from "../../harness/audit/inputs.ts";
import { DEFAULT_POLICY, type Policy, parsePolicy } from "../../harness/audit/policy.ts";
import { AUDIT_PRESETS } from "../../harness/audit/presets.ts";
import { type AuditAsked, provenanceOf } from "../../harness/audit/provenance.ts";
import type { AuditEvidence } from "../../harness/audit/result.ts";
import { canonicalJson } from "../../harness/store.ts";
import { classifierOf } from "../../model/classifier.ts";
import { CONVENTIONS } from "../../model/imageInput.ts";
import type { Profile } from "../../profile/schema.ts";
import { auditText } from "../../report/audit/text.ts";
import { auditData } from "../auditData.ts";
import { directoryStore } from "../directoryStore.ts";
import { integerOption, print, readInput, tell, UsageError, writeOutput } from "../io.ts";
import { parseAnyModel } from "../models.ts";
import { ROOT } from "../package.ts";
import { findProfile } from "../profiles.ts";

interface Options {
  float?: string;
  data: string;
  dataset?: string;
  trainingData?: string;
  resize?: string;
  profile: string[];
  policy?: string;
  preset: string;
  inputRange?: string;
  weightBits: number;
  seed: number;
  jobs: number;
  work: string;
  output?: string;
  html?: string;
  markdown?: string;
  sarif?: string;
  junit?: string;
  json?: boolean;
}

const RANGES = CONVENTIONS.map(({ name }) => name);

export function add(program: Command): void {
  program
    .command("audit")
    .description(
      "may this model ship? the defenses and the device's limits, judged by a policy; exit code 1 when it may not",
    )
    .argument(
      "<model>",
      "as it will ship: .tflite, .onnx or .blindspot; a float one is quantized for each profile",
    )
    .requiredOption(
      "--data <images>",
      "a folder a class, a CSV of path and label, a folder with images.npy and labels.npy; or signs (built in)",
    )
    .requiredOption("--profile <profile...>", "the devices, by id or file")
    .option("--float <model>", "the float model that the integer one was made of")
    .option("--dataset <name>", "read --data as this data set: gtsrb, cifar10")
    .option(
      "--training-data <images>",
      "the training set as it was delivered, for the defenses that look for poison in it",
    )
    .option("--resize <how>", `of images of another size: ${RESIZES.join(" or ")}`)
    .option(
      "--input-range <range>",
      `what the model takes pixels for, where its scale does not tell: ${RANGES.join(", ")}`,
    )
    .option(
      "--policy <file>",
      "what fails the gate (JSON, see schemas/audit-policy.schema.json); by default the defaults",
    )
    .option("--preset <name>", Object.keys(AUDIT_PRESETS).join(", "), "quick")
    .option(
      "--weight-bits <bits>",
      "of a float model's weights on the devices: 8 or 4",
      integerOption("--weight-bits", 4, 8),
      8,
    )
    .option("--seed <number>", "of everything", integerOption("--seed", 0, 1_000_000), 1)
    .option("--jobs <number>", "threads", integerOption("--jobs", 1, 256), availableParallelism())
    .option("--work <directory>", "finished steps; a run that was stopped goes on from here", ".blindspot")
    .option("-o, --output <json>", "the Result")
    .option("--html <file>", "report for a person")
    .option("--markdown <file>", "report for a pull request")
    .option("--sarif <file>", "findings for code scanning")
    .option("--junit <file>", "findings as test cases")
    .option("--json", "print the Result on stdout")
    .action(run);
}

async function run(path: string, options: Options): Promise<void> {
  checkOptions(options);
  const policy = options.policy === undefined ? DEFAULT_POLICY : await readPolicy(options.policy);
  const result = judge(await evidenceOf(path, options), policy);
  await deliver(result, options);
  if (!result.gate.ship) process.exitCode = 1;
}

function checkOptions({ preset, resize, inputRange, weightBits }: Options): void {
  const oneOf = (name: string, value: string | undefined, values: readonly string[]) => {
    if (value !== undefined && !values.includes(value))
      throw new UsageError(`${name}: expected ${values.join(", ")}, got ${value}`);
  };
  oneOf("--preset", preset, Object.keys(AUDIT_PRESETS));
  oneOf("--resize", resize, RESIZES);
  oneOf("--input-range", inputRange, RANGES);
  if (weightBits !== 8 && weightBits !== 4)
    throw new UsageError(`--weight-bits: expected 8 or 4, got ${weightBits}`);
}

async function readPolicy(path: string): Promise<Policy> {
  return parsePolicy(new TextDecoder().decode(await readInput(path, "a policy")), path);
}

const sha256 = (bytes: string | Uint8Array) => createHash("sha256").update(bytes).digest("hex");

async function readAuditModel(path: string): Promise<AuditModel> {
  const bytes = await readInput(path, "a model");
  return { name: basename(path), graph: await parseAnyModel(bytes, path), sha256: sha256(bytes) };
}

/** What was measured, from the store where the same was measured before. */
async function evidenceOf(path: string, options: Options): Promise<AuditEvidence> {
  const profiles = await readProfiles(options.profile);
  const model = await readAuditModel(path);
  const float = options.float === undefined ? null : await readAuditModel(options.float);
  const taken = CONVENTIONS.find(({ name }) => name === options.inputRange) ?? null;
  const classifier = classifierOf(model.graph, path, taken ?? undefined);
  const { height, width, channels, classes } = classifier;
  const resize = (options.resize ?? null) as Resize | null;
  const data = await auditData({ ...options, resize }, { height, width, channels }, classes);
  const asked: AuditAsked = {
    ...{ file: path, float: options.float ?? null, data: options.data, dataset: options.dataset ?? null },
    ...{ trainingData: options.trainingData ?? null, resize, inputRange: options.inputRange ?? null },
    ...{ profiles: options.profile, policy: options.policy ?? null },
    preset: options.preset as keyof typeof AUDIT_PRESETS,
    ...{ weightBits: options.weightBits, seed: options.seed },
  };
  const versions = { blindspot: manifest.version, tfjs: manifest.dependencies["@tensorflow/tfjs-core"] };
  const { engine, ...told } = await provenanceOf(asked, {
    ...{ model: model.sha256, float: float?.sha256 ?? null },
    ...{
      data: data.sha256,
      training: data.trainingSha256,
      profiles,
      kernels: await kernelDigests(),
      versions,
    },
  });
  const name = `audit-${sha256(canonicalJson([told.inputs, told.options, options.seed, versions])).slice(0, 20)}.json`;
  const store = directoryStore(options.work);
  const known = await store.get(name);
  if (known) {
    const evidence = JSON.parse(new TextDecoder().decode(known)) as AuditEvidence;
    return { ...evidence, command: told.command, model: { ...evidence.model, name: model.name, file: path } };
  }
  const { measure } = await import("../auditRun.ts");
  const evidence = await measure({
    ...{ model, float, data, profiles, taken, engine, told },
    preset: AUDIT_PRESETS[asked.preset],
    ...{
      seed: options.seed,
      weightBits: options.weightBits as 8 | 4,
      jobs: options.jobs,
      work: options.work,
    },
  });
  await store.put(name, new TextEncoder().encode(JSON.stringify(evidence)));
  return evidence;
}

/** @throws UsageError for one given twice. */
async function readProfiles(names: readonly string[]): Promise<Profile[]> {
  const profiles = await Promise.all(names.map(findProfile));
  const twice = profiles.find(({ id }, i) => profiles.findIndex((other) => other.id === id) !== i);
  if (twice) throw new UsageError(`--profile: expected each device once, got ${twice.id} twice`);
  return profiles;
}

async function kernelDigests(): Promise<Record<string, string>> {
  const modules = ["kernels.simd.wasm", "train.wasm"];
  const digests = await Promise.all(
    modules.map(async (name) => [name, sha256(await readFile(new URL(`build/${name}`, ROOT)))]),
  );
  return Object.fromEntries(digests);
}

async function deliver(result: AuditResult, options: Options): Promise<void> {
  const text = `${JSON.stringify(result)}\n`;
  if (options.output !== undefined) await writeOutput(options.output, text);
  await writeReports(result, options);
  const shown = auditText(result, { color: process.stdout.isTTY === true && !options.json });
  if (options.json) {
    print(text);
    tell(shown);
  } else print(shown);
}

/** Loaded only where one is asked for. */
async function writeReports(result: AuditResult, { html, markdown, sarif, junit }: Options): Promise<void> {
  const asked = { ".html": html, ".md": markdown, ".sarif": sarif, ".xml": junit };
  for (const [ending, path] of Object.entries(asked)) {
    if (path === undefined) continue;
    const { REPORTS } = await import("../../report/index.ts");
    await writeOutput(path, REPORTS[ending].audit!(result));
    tell(`wrote ${path}`);
  }
}
