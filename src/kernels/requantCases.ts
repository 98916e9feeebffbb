/** Tables of one int32 accumulator requantized to int8 by many families of runtimes, run through the kernels and in TypeScript. */
import { ModelFormatError } from "../errors.ts";
import type { Output, Requantization, RequantizerName } from "./args.ts";
import { type ArithmeticName, hexagonFold, requantizationOf } from "./arithmetics.ts";
import type { Kernels } from "./module.ts";
import { writeParams } from "./params.ts";
import { clamp, quantizeMultiplier, requantize } from "./requantize.ts";
import { channelOf, exactForm, FORMS, packPanels, shiftRange } from "./requantizers.ts";
import { Fields, isRecord, type Json, shown } from "./vectorFile.ts";
import { INT32 } from "./vectorShapes.ts";
import { requantizeSum, requantizeSumNarrowed } from "./wide/requantize.ts";

/** What computes a family here: an arithmetic, a bare rounding of the file's multiplier and shift, or P7 of an int64 sum. */
type Family =
  | { arithmetic: ArithmeticName }
  | { rounding: "half-even" | "half-away" | "tflite-single" }
  | { sum64: "requantize_s64" | "requantize_narrowed_s64" };

const by = (arithmetic: ArithmeticName, ...families: string[]) =>
  families.map((family): [string, Family] => [family, { arithmetic }]);

export const FAMILIES: ReadonlyMap<string, Family> = new Map([
  ...by(
    "tflite-double",
    "tflite_ref_double",
    "cmsis_nn_double",
    "esp_nn_exact",
    "esp_nn_fast_c",
    "tosa_rescale_double",
    "ethos_u_tfl",
  ),
  ...by(
    "tflite-single",
    "tflite_single_rounding",
    "ruy",
    "cmsis_nn_single",
    "tosa_rescale_single",
    "ethos_u_natural_port",
    "fbgemm_fixed_point",
  ),
  ...by(
    "float-even",
    "xnnpack_fp32",
    "qnnpack_fp32",
    "onnxruntime_native_x86_executed",
    "onnxruntime_web_wasm_executed",
    "litertjs_compat_executed",
    "litertjs_relaxed_executed",
    "fbgemm_float",
  ),
  ...by("neon-double", "tflite_neon_4rows_double"),
  ...by("rndnu", "xnnpack_rndnu"),
  ...by("rndnu16", "xnnpack_rndnu16_qu8"),
  ...by("qnnpack-q31", "qnnpack_q31"),
  ...by("qnnpack-precise", "qnnpack_precise"),
  ...by("esp-nn-skip-nudge", "esp_nn_s3_asm_skip_nudge_port"),
  ...by("ethos-u-truncate", "ethos_u_truncate_port"),
  ...by("hexagon-nn", "hexagon_nn_port"),
  ...by("nvdla", "nvdla_sdp_port"),
  ...by("gap-sq8", "gap_nntool_u8scale"),
  ...by("power-of-two-half-up", "esp_dl_half_up_s3", "vitis_dpu_half_up"),
  ...by("power-of-two-half-even", "esp_dl_half_even_p4"),
  ...by("max78000", "max78000_sim_formula"),
  ...by("k210-simulator", "k210_simulator_act_stage"),
  ["exact_half_even", { rounding: "half-even" }],
  ["exact_half_away", { rounding: "half-away" }],
  ["exact_half_up", { rounding: "tflite-single" }],
  ["tflite_int64_16x8", { sum64: "requantize_s64" }],
  ["cmsis_nn_s64_16x8", { sum64: "requantize_narrowed_s64" }],
]);

export interface Row {
  id: number | string;
  acc: number;
  scale: number;
  multiplier: number;
  shift: number;
  zeroPoint: number;
  results: Record<string, number | null>;
}

/** What a family's rows say. */
export interface FamilyResult {
  family: string;
  passed: number;
  failed: number;
  /** Why none was run. */
  skipped?: string;
  /** The first row that differs. */
  detail: string;
}

/** Whether parsed JSON is such a table. */
export const isRequantTable = (json: unknown): json is Json =>
  isRecord(json) && Array.isArray(json.rows) && isRecord(json.families);

/** @throws ModelFormatError naming row and field. */
export function requantRows(json: Json, file: string): Row[] {
  return (json.rows as unknown[]).map((values, index) => {
    const where = `${file}: rows[${index}]`;
    if (!isRecord(values)) throw new ModelFormatError(where, "an object", shown(values));
    const fields: Fields = new Fields(where, values);
    const { id, scale, results } = values;
    if (typeof scale !== "number" || !(scale > 0 && Number.isFinite(scale)))
      fields.fail("scale", "a positive number");
    if (!isRecord(results)) fields.fail("results", "an object");
    const wrong = Object.values(results).find(
      (code) => code !== null && !(Number.isInteger(code) && Math.abs(Number(code)) <= 128),
    );
    if (wrong !== undefined) fields.fail("results", "int8 codes or null", wrong);
    return {
      id: typeof id === "number" || typeof id === "string" ? id : index,
      acc: fields.integer("acc", ...INT32),
      scale,
      multiplier: fields.integer("multiplier", 0, INT32[1]),
      shift: fields.integer("shift", -31, 30),
      zeroPoint: fields.integer("zero_point", -128, 127),
      results: results as Row["results"],
    };
  });
}

/** Every lane of a panel of eight channels holds the same values: as many rows of int8 (int32 where nothing is requantized). */
export function runPanel(
  kernels: Kernels,
  form: (typeof FORMS)[number],
  args: Requantization,
  values: readonly number[],
  output: Output,
): Int8Array | Int32Array {
  const mark = kernels.mark();
  const rightShift = Math.max(-shiftRange(args).min, 0);
  const panels = kernels.place(packPanels(form, args, rightShift, null, { groups: 1, groupDepth: 8 }));
  const rows = Int32Array.from({ length: values.length * 8 }, (_, i) => values[i >> 3]);
  const address = kernels.allocate(rows.length * 4);
  const fields = { requantizer: form.id, rightShift, panels, batches: values.length, output: address };
  const input = kernels.place(rows);
  kernels.exports.requantize_panel_s8(writeParams(kernels, "Requantized", { ...fields, ...output, input }));
  const bytes = args.requantizer === "none" ? rows.length * 4 : rows.length;
  const result = kernels.memory.buffer.slice(address, address + bytes);
  kernels.release(mark);
  return args.requantizer === "none" ? new Int32Array(result) : new Int8Array(result);
}

/** In the kernels and in TypeScript; both, or undefined and where they differ. */
type Compute = (row: Row) => { kernel: number; reference: number };

/** One accumulator as a convolution on that runtime has it. */
function byArithmetic(kernels: Kernels, name: ArithmeticName): Compute {
  return ({ acc, scale, zeroPoint }) => {
    const requantization = requantizationOf(name, [{ double: scale, float: Math.fround(scale) }]);
    const isFolded = name === "hexagon-nn";
    const sum = isFolded ? (acc + hexagonFold(scale, zeroPoint)) | 0 : acc;
    return requantizedBoth(kernels, requantization, sum, isFolded ? -128 : zeroPoint);
  };
}

function byRounding(kernels: Kernels, requantizer: RequantizerName): Compute {
  return ({ acc, multiplier, shift, zeroPoint }) => {
    const args = { requantizer, multiplier: [multiplier], shift: [shift] } as Requantization;
    return requantizedBoth(kernels, args, acc, zeroPoint);
  };
}

function requantizedBoth(kernels: Kernels, args: Requantization, acc: number, outputOffset: number) {
  const output = { outputOffset, activationMin: -128, activationMax: 127 };
  const requantizer = args.requantizer as RequantizerName;
  const form = FORMS.find(({ id }) => id === exactForm(requantizer))!;
  return {
    kernel: runPanel(kernels, form, args, [acc], output)[0],
    reference: requantize(requantizer, acc, channelOf(args, 0), output),
  };
}

/** Left shifts of int64 sums end at 7; the kernels know no others. */
const MAX_SHIFT64 = 7;

function bySum64(kernels: Kernels, kernel: "requantize_s64" | "requantize_narrowed_s64"): Compute {
  const primitive = kernel === "requantize_s64" ? requantizeSum : requantizeSumNarrowed;
  return ({ acc, multiplier, shift, zeroPoint }) => {
    const mark = kernels.mark();
    const result = kernels.allocate(4);
    const values = {
      count: 1,
      a: kernels.place(BigInt64Array.of(BigInt(acc))),
      b: kernels.place(Int32Array.of(multiplier)),
      c: kernels.place(Int32Array.of(shift)),
      result,
    };
    kernels.exports[kernel](writeParams(kernels, "Primitive", values));
    const [value] = new Int32Array(kernels.memory.buffer, result, 1);
    kernels.release(mark);
    const code = (sum: number) => clamp(sum + zeroPoint, -128, 127);
    return { kernel: code(value), reference: code(primitive(BigInt(acc), multiplier, shift)) };
  };
}

function computeOf(kernels: Kernels, family: Family): Compute {
  if ("arithmetic" in family) return byArithmetic(kernels, family.arithmetic);
  if ("rounding" in family) return byRounding(kernels, family.rounding);
  return bySum64(kernels, family.sum64);
}

function verifyFamily(kernels: Kernels, family: string, rows: readonly Row[]): FamilyResult {
  const known = FAMILIES.get(family);
  const none = { family, passed: 0, failed: 0, detail: "" };
  if (!known) return { ...none, skipped: "no arithmetic here computes this family" };
  const defined = rows.filter(
    ({ results, shift }) => typeof results[family] === "number" && !("sum64" in known && shift > MAX_SHIFT64),
  );
  if (defined.length === 0) return { ...none, skipped: "no row defines it" };
  const compute = computeOf(kernels, known);
  const wrong = defined.flatMap((row) => {
    const { kernel, reference } = compute(row);
    const expected = row.results[family];
    if (kernel === expected && reference === expected) return [];
    return [`row ${row.id}: expected ${expected}, got ${kernel} (kernel), ${reference} (TypeScript)`];
  });
  return { family, passed: defined.length - wrong.length, failed: wrong.length, detail: wrong[0] ?? "" };
}

/**
 * A result for each family of the file, and first for the multiplier and shift of every scale.
 * @throws ModelFormatError on malformed rows.
 */
export function* verifyRequantTable(kernels: Kernels, json: Json, file: string): Generator<FamilyResult> {
  const rows = requantRows(json, file);
  const wrong = rows.filter(({ scale, multiplier, shift }) => {
    const own = quantizeMultiplier(scale);
    return own.multiplier !== multiplier || own.shift !== shift;
  });
  yield {
    family: "multiplier and shift",
    passed: rows.length - wrong.length,
    failed: wrong.length,
    detail: wrong.length > 0 ? `row ${wrong[0].id}: scale ${wrong[0].scale}` : "",
  };
  const named = new Set([
    ...Object.keys(json.families as Json),
    ...rows.flatMap((row) => Object.keys(row.results)),
  ]);
  for (const family of named) yield verifyFamily(kernels, family, rows);
}
