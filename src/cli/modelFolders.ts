import { readdir, stat } from "node:fs/promises";
import { basename, join } from "node:path";
import { DataError, ModelFormatError, UnsupportedOpError } from "../errors.ts";
import { type ModelVectors, parseModelVectors } from "../import/modelVectors.ts";
import { type OperatorTest, parseOperatorTests } from "../import/operatorTests.ts";
import { type RuntimeReport, sha256Of, verifyModel } from "../import/verifyModel.ts";
import { verifyCase } from "../import/verifyOperators.ts";
import { verifyWithin } from "../import/verifyWithin.ts";
import { bindKernels } from "../kernels/module.ts";
import type { Graph } from "../model/graph.ts";
import { parseProfile } from "../profile/parse.ts";
import type { Profile } from "../profile/schema.ts";
import { readInput } from "./io.ts";
import { parseAnyModel } from "./models.ts";
import { findProfile } from "./profiles.ts";
import type { Line } from "./verbs/verify.ts";
import { BUILDS, type Build, loadKernelModule } from "./wasm.ts";

const MODELS = ["model.tflite", "model.onnx"];
const VECTORS = "vectors.json";
const FORMAT = "tflite-oracle-vectors/1";
const OPERATOR_TESTS = "onnx-op-tests/1";
/** Whose arithmetic ONNX's own expectations are checked under. */
const ONNX = "ort_web_wasm";

/** The shipped profile that computes as a runtime of the vectors does; single: as its build with single rounding does. */
const PROFILES: Record<string, { id: string; single?: boolean }> = {
  tflm_ref_double: { id: "stm32l4r5-cmsis-nn" },
  tflm_cmsis_nn: { id: "stm32l4r5-cmsis-nn" },
  tflm_ref_single: { id: "stm32l4r5-cmsis-nn", single: true },
  litert_xnnpack: { id: "litert-js" },
  tfjs_tflite: { id: "litert-js" },
  ort_node_cpu: { id: "onnxruntime-x86-vnni" },
  ort_node_cpu_noopt: { id: "onnxruntime-x86-vnni" },
  ort_web_wasm: { id: "onnxruntime-web" },
  ort_web_wasm_noopt: { id: "onnxruntime-web" },
  ort_node_cpu_avx2_no_vnni: { id: "onnxruntime-x86-avx2" },
};

/** Whether a directory holds a model and what runtimes computed with it. */
export async function isModelFolder(path: string): Promise<boolean> {
  const names = await readdir(path);
  return names.includes(VECTORS);
}

/** The model folders of a directory, sorted. */
export async function modelFolders(path: string): Promise<string[]> {
  const names = (await readdir(path)).sort();
  const found = await Promise.all(
    names.map(async (name) => {
      const inside = join(path, name);
      return (await stat(inside)).isDirectory() && (await isModelFolder(inside)) ? [inside] : [];
    }),
  );
  return found.flat();
}

/** A line for each runtime and build, as they are done; one line for what cannot be read or run. */
export async function* verifyModelFolder(folder: string): AsyncGenerator<Line> {
  const name = basename(folder);
  try {
    const json = await readVectors(folder);
    if (json.format === OPERATOR_TESTS) {
      yield* verifyOperatorTests(folder, json);
      return;
    }
    const names = await readdir(folder);
    const file = MODELS.find((model) => names.includes(model));
    if (!file) throw new DataError(folder, MODELS.join(" or "), names.slice(0, 5).join(" "));
    const path = join(folder, file);
    const bytes = await readInput(path, "a model");
    const vectors = parseModelVectors(json, join(folder, VECTORS));
    const sha256 = await sha256Of(bytes);
    if (sha256 !== vectors.model.sha256.toLowerCase())
      throw new ModelFormatError(path, `sha256 ${vectors.model.sha256}`, sha256);
    const graph = await parseAnyModel(bytes, path);
    for (const runtime of Object.keys(vectors.outputs)) {
      const subject = { name: `${name} ${runtime}`, vectors, graph, runtime };
      if (Object.hasOwn(PROFILES, runtime)) {
        yield* verifyRuntime(subject);
        if (file.endsWith(".onnx")) yield* withinLines(subject, bytes);
      } else yield skippedLine(subject.name, `no shipped profile computes as ${runtime}`);
    }
  } catch (error) {
    yield refusedLine(name, error);
  }
}

const uncomputed = { build: "both", passed: 0, failed: 0, skipped: 0 } as const;
const skippedLine = (name: string, note: string): Line => ({ ...uncomputed, name, skipped: 1, note });

/** What cannot be run is skipped; a file that contradicts itself or is not there fails. @throws any other error. */
function refusedLine(name: string, error: unknown): Line {
  if (error instanceof UnsupportedOpError) return skippedLine(name, error.message);
  if (!(error instanceof ModelFormatError) && !(error instanceof DataError)) throw error;
  return { ...uncomputed, name, failed: 1, note: error.message };
}

/** Parsed, its format known. */
async function readVectors(folder: string): Promise<{ format: string }> {
  const path = join(folder, VECTORS);
  const text = new TextDecoder().decode(await readInput(path, "model vectors"));
  let json: { format: string };
  try {
    json = JSON.parse(text);
  } catch (error) {
    throw new ModelFormatError(path, "JSON", (error as Error).message);
  }
  if (json?.format !== FORMAT && json?.format !== OPERATOR_TESTS)
    throw new ModelFormatError(`${path}: format`, `${FORMAT} or ${OPERATOR_TESTS}`, String(json?.format));
  return json;
}

interface Subject {
  name: string;
  vectors: ModelVectors;
  graph: Graph;
  runtime: string;
}

async function* verifyRuntime({ name, vectors, graph, runtime }: Subject): AsyncGenerator<Line> {
  const profile = await profileOf(runtime);
  try {
    for (const build of BUILDS) {
      const kernels = await bindKernels(await loadKernelModule(build));
      const [report] = await verifyModel({ vectors, graph, profile, kernels, runtimes: [runtime] });
      yield { name, build, skipped: 0, ...counts(report, graph.outputs.length) };
    }
  } catch (error) {
    yield refusedLine(name, error);
  }
}

/** A line for what the runtime shows of the inside of nodes, if it shows any. */
function* withinLines({ name, vectors, graph, runtime }: Subject, bytes: Uint8Array): Generator<Line> {
  const { compared, differing, left } = verifyWithin(bytes, vectors, graph, runtime);
  if (compared + left.length === 0) return;
  const [first] = differing;
  const note = first
    ? `${first.tensor}: first at ${first.at}: expected ${first.expected}, got ${first.got}`
    : "inside of nodes, by the operators' reference";
  const unequal =
    left.length > 0
      ? [`not compared: ${left.join(", ")}, whose sums and functions are the host's`]
      : undefined;
  yield {
    ...uncomputed,
    ...{ name: `${name}, within`, passed: compared - differing.length, failed: differing.length },
    ...{ skipped: left.length, note, unequal },
  };
}

/** @throws ProfileError where it is not shipped any more. */
async function profileOf(runtime: string): Promise<Profile> {
  const { id, single } = PROFILES[runtime];
  const profile = await findProfile(id);
  if (!single) return profile;
  return parseProfile(JSON.stringify(profile).replaceAll('"tflite-double"', '"tflite-single"'), id);
}

/** A check is one output of one sample, or one intermediate tensor. */
function counts(report: RuntimeReport, outputs: number): Pick<Line, "passed" | "failed" | "note"> {
  const differences = [...report.intermediates, ...report.outputs];
  const checks = report.samples * outputs + report.intermediateTensors;
  const [first] = differences;
  const place = first?.first;
  const note = first
    ? `${first.sample}: ${first.tensor}: ${first.differing ?? "some"} of ${first.values} values differ` +
      (place ? `, first at ${place.at}: expected ${place.expected}, got ${place.got}` : "")
    : "";
  return { passed: checks - differences.length, failed: differences.length, note };
}

/** A line for each test and build; what no kernel has is checked by the operators' reference alone. */
async function* verifyOperatorTests(folder: string, json: unknown): AsyncGenerator<Line> {
  for (const test of parseOperatorTests(json, join(folder, VECTORS))) {
    const name = `${basename(folder)} ${test.name}`;
    try {
      const bytes = await readInput(join(folder, test.file), "a model");
      for (const build of BUILDS) yield await verifyOperator({ name, test, bytes, build });
    } catch (error) {
      yield refusedLine(name, error);
    }
  }
}

async function verifyOperator(subject: {
  name: string;
  test: OperatorTest;
  bytes: Uint8Array;
  build: Build;
}): Promise<Line> {
  const { name, test, bytes, build } = subject;
  const kernels = await bindKernels(await loadKernelModule(build));
  const line: Line = { name, build, passed: 0, failed: 0, skipped: 0, note: "" };
  const known = test.cases.filter(({ runtime = ONNX }) => Object.hasOwn(PROFILES, runtime));
  if (known.length === 0) return { ...line, skipped: 1, note: "no case of a runtime that is known here" };
  for (const one of known) {
    const profile = await profileOf(one.runtime ?? ONNX);
    const { outputs, differing, notCompiled } = verifyCase(bytes, one, { profile, kernels }, test.file);
    line.failed += differing.length;
    line.passed += outputs - differing.length;
    if (notCompiled) line.note ||= `by the operator's reference alone: ${notCompiled}`;
    const [first] = differing;
    if (first && line.failed === differing.length)
      line.note = `${first.output} by ${first.by}: at ${first.at} expected ${first.expected}, got ${first.got}`;
  }
  return line;
}
