/** Golden vectors of CMSIS-NN (kernel, rounding, cases) run through the kernels. */
import { ModelFormatError } from "../errors.ts";
import type { AddFixedPoint } from "./args.ts";
import { explainBuilds } from "./builds.ts";
import type { Kernels } from "./module.ts";
import { Fields, isRecord, type Json, shown } from "./vectorFile.ts";
import { PREPARE } from "./vectorKernels.ts";
import { INT32, type Run } from "./vectorShapes.ts";

export interface VectorResult {
  kernel: string;
  case: string;
  passed: boolean;
  /** Why the case was not run; then it neither passed nor failed. */
  skipped?: string;
  /** How many values there are, or how many differ and where the first one is. */
  detail: string;
  /** Named defects that give, to the last bit, what builds with them gave. */
  reproduced?: string[];
  /** Builds whose output nothing here gives, with the cause. */
  unequal?: string[];
}

const REQUANTIZERS: Record<string, AddFixedPoint["requantizer"]> = {
  double: "tflite-double",
  single: "tflite-single",
};

/** Runs one prepared case and returns its output bytes. */
function runCase(kernels: Kernels, { step, inputs, batches }: Run): Int8Array {
  const [input = 0, input2 = 0] = inputs.map((values) => kernels.place(values));
  const outputBytes = step.outputBytes * batches;
  const output = kernels.allocate(outputBytes);
  const scratch = kernels.allocate(step.scratchBytes);
  step.bind(inputs.length > 1 ? { input, input2, output, scratch } : { input, output, scratch });
  step.run(batches);
  return new Int8Array(kernels.memory.buffer, output, outputBytes).slice();
}

/** The values that the file says are right: a table's `result`, or those of `output`. */
function expectedValues(fields: Fields, bytes: number): Int8Array | Int16Array | Int32Array {
  if (fields.has("result")) return Int32Array.from(fields.integers("result", ...INT32, bytes / 4));
  const output = fields.has("output_by_definition") ? "output_by_definition" : "output";
  const isWide = fields.has("output_dtype") && fields.text("output_dtype") === "int16";
  return isWide ? fields.int16(output, bytes / 2) : fields.int8(output, bytes);
}

function compare(actual: Codes, expected: Codes) {
  let differing = 0;
  let first = -1;
  for (let i = 0; i < expected.length; i++) {
    if (actual[i] === expected[i]) continue;
    if (first < 0) first = i;
    differing++;
  }
  if (differing === 0) return { passed: true, detail: `${expected.length} values` };
  const place = `first at ${first}: expected ${expected[first]}, got ${actual[first]}`;
  return { passed: false, detail: `${differing} of ${expected.length} values differ, ${place}` };
}

/** Why a case is not run; undefined if it is. */
function skipReason(kernel: string, params: unknown): string | undefined {
  if (!Object.hasOwn(PREPARE, kernel)) return `no kernel here computes ${shown(kernel)}`;
  const isEmpty = (value: unknown) => Array.isArray(value) && value.includes(0);
  const empty =
    isRecord(params) &&
    Object.entries(params).find(([name, value]) => name.includes("shape") && isEmpty(value));
  return empty ? `${empty[0]} is empty: nothing is computed` : undefined;
}

type Codes = Int8Array | Int16Array | Int32Array;

/** The bytes of an output as the values that the file has. */
function typed(fields: Fields, bytes: Int8Array): Codes {
  if (fields.has("acc") || fields.has("result")) return new Int32Array(bytes.buffer as ArrayBuffer);
  const isWide = fields.has("output_dtype") && fields.text("output_dtype") === "int16";
  return isWide ? new Int16Array(bytes.buffer as ArrayBuffer) : bytes;
}

/** A build's values: numbers, or base64 of the type of `like`. */
function readOutput(build: Fields, like: Codes): Codes {
  if (build.isArray("output"))
    return (like.constructor as Int32ArrayConstructor).from(build.integers("output", ...INT32));
  return like instanceof Int16Array ? build.int16("output", like.length) : build.int8("output", like.length);
}

/** Against the right output of the file (null: it has only those of builds), and each named defect against builds with it. */
function check(
  fields: Fields,
  actual: Codes,
  right: Codes | null,
  { quirks = () => [], stray }: Run,
): Omit<VectorResult, "kernel" | "case"> {
  if (right === null) {
    const read = (build: Fields) => readOutput(build, actual);
    return explainBuilds(fields, actual, [...quirks()], stray, read);
  }
  const result = compare(actual, right);
  if (!fields.has("output_on_all_cores") || !result.passed) return result;
  const defective = fields.int8("output_on_all_cores", actual.length);
  const quirk = [...quirks()].find(([, values]) => compare(values as Codes, defective).passed);
  return quirk
    ? { ...result, reproduced: [quirk[0]] }
    : { ...result, unequal: ["all cores: differ from the operator, for no cause known here"] };
}

/** kernel and rounding: of the case if it has them, else of the file. */
function verifyCase(kernels: Kernels, file: Json, values: Json, where: string): VectorResult {
  const fields = new Fields(where, { ...file, ...values });
  const name = typeof values.name === "string" ? values.name : where;
  const kernel = fields.text("kernel");
  const skipped = skipReason(kernel, values.params);
  if (skipped) return { kernel, case: name, passed: false, skipped, detail: skipped };
  const rounding = fields.text("rounding");
  if (!Object.hasOwn(REQUANTIZERS, rounding)) fields.fail("rounding", '"double" or "single"');
  const mark = kernels.mark();
  try {
    const run = PREPARE[kernel](kernels, fields, REQUANTIZERS[rounding]);
    const bytes = run.step.outputBytes * run.batches;
    const right = fields.has("outputs_by_build") ? null : expectedValues(fields, bytes);
    const actual = typed(fields, runCase(kernels, run));
    return { kernel, case: name, ...check(fields, actual, right, run) };
  } finally {
    kernels.release(mark);
  }
}

/**
 * Runs every case of one parsed file, in order, as the results are asked for.
 * file: its name, for errors. Fields above `cases` (kernel, rounding) hold for every case that has none of its own.
 * goOn: a malformed case is a failed one.
 * @throws ModelFormatError on a file of another form or a malformed case, naming file, case and field.
 */
export function* verifyVectorFile(
  kernels: Kernels,
  json: unknown,
  file: string,
  { goOn = false } = {},
): Generator<VectorResult> {
  if (!isRecord(json)) throw new ModelFormatError(file, "an object with kernel and cases", shown(json));
  const { cases, ...shared } = json;
  if (!Array.isArray(cases)) throw new ModelFormatError(`${file}: cases`, "an array of cases", shown(cases));
  if (json.format_version !== undefined && json.format_version !== 1) {
    throw new ModelFormatError(`${file}: format_version`, "1", shown(json.format_version));
  }
  for (const [index, values] of cases.entries()) {
    const place = `${file}: cases[${index}]`;
    if (!isRecord(values)) throw new ModelFormatError(place, "an object", shown(values));
    const where = typeof values.name === "string" ? `${place} ${shown(values.name)}` : place;
    try {
      yield verifyCase(kernels, shared, values, where);
    } catch (error) {
      if (!goOn || !(error instanceof ModelFormatError)) throw error;
      yield { kernel: String(json.kernel), case: where, passed: false, detail: error.message };
    }
  }
}
