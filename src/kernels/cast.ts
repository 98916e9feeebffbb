/** CAST: values as they are, the low bits of whole ones that do not fit; float32 toward zero. */
import type { Op, Values } from "./args.ts";
import type { FloatForm } from "./float/forms.ts";
import { makeStep } from "./step.ts";

/** int8 codes stand for uint8: 128 less. */
export type CastType = "int8" | "uint8" | "int16" | "int32" | "float32";

/** What float32 is limited to before its low 32 bits, then those of the type are taken, inclusive, and what NaN becomes. */
interface Limits {
  low: number;
  high: number;
  nan: number;
}

const INT32: Limits = { low: -(2 ** 31), high: 2 ** 31 - 1, nan: 0 };
const UINT32: Limits = { low: 0, high: 2 ** 32 - 1, nan: 0 };
/** A conversion to 32 bits, signed or not, whose low bits are kept: C++ says nothing of what does not fit. */
const CONVERTED = { int8: INT32, uint8: UINT32, int16: INT32, int32: INT32 };

/** x86's: what does not fit is the least. */
const CVTTSS2SI: Limits = { low: -(2 ** 31), high: 2 ** 31, nan: -(2 ** 31) };
const CONVERTED_BY_CVTTSS2SI = { int8: CVTTSS2SI, uint8: CVTTSS2SI, int16: CVTTSS2SI, int32: CVTTSS2SI };

/**
 * tflite: TFLM 90b983c, cast.cc, a C++ conversion; out of range what VCVT of ARMv7-M and ARM's run-time ABI give.
 * xnnpack: as LiteRT.js 2.5.3 does it, since XNNPACK takes no such node. onnxruntime: ONNX Runtime 1.30.0, cast_op.cc, a C++
 * conversion that WebAssembly saturates and x86 does by CVTTSS2SI.
 */
const LIMITS: Record<FloatForm, Record<Exclude<CastType, "float32">, Limits>> = {
  tflite: CONVERTED,
  onnxruntime: CONVERTED,
  "onnxruntime-avx2": CONVERTED_BY_CVTTSS2SI,
  "onnxruntime-avx512": CONVERTED_BY_CVTTSS2SI,
  xnnpack: {
    int8: INT32,
    uint8: { low: 0, high: 255, nan: 0 },
    int16: { low: -32768, high: 32767, nan: 0 },
    int32: { ...INT32, nan: 2 ** 31 - 1 },
  },
};

/** form: where it is from float32. */
export interface CastArgs {
  elements: number;
  from: CastType;
  to: CastType;
  form?: FloatForm;
}

const WIDTHS = { int8: 1, uint8: 1, int16: 2, int32: 4, float32: 4 };
/** The wasm module numbers them by their place. */
const HELD = ["int8", "int16", "int32", "float32"];
const numberOf = (type: CastType) => HELD.indexOf(type === "uint8" ? "int8" : type);
const offsetOf = (type: CastType) => (type === "uint8" ? 128 : 0);
const ARRAYS = {
  int8: Int8Array,
  uint8: Int8Array,
  int16: Int16Array,
  int32: Int32Array,
  float32: Float32Array,
};

const limitsOf = ({ from, to, form }: CastArgs): Limits | undefined =>
  from === "float32" && to !== "float32" ? LIMITS[form!][to] : undefined;

function whole(value: number, { low, high, nan }: Limits): number {
  return Number.isNaN(value) ? nan : Math.trunc(Math.min(Math.max(value, low), high));
}

export const CAST: Op<CastArgs> = {
  macs: () => 0,
  prepare(kernels, args) {
    const { elements, from, to } = args;
    const { low, high, nan } = limitsOf(args) ?? INT32;
    const values = { elements, from: numberOf(from), to: numberOf(to), low, high, nan };
    const offsets = { inputOffset: offsetOf(from), outputOffset: -offsetOf(to) };
    return makeStep(
      kernels,
      kernels.mark(),
      "cast",
      "Cast",
      { ...values, ...offsets },
      { inputBytes: elements * WIDTHS[from], outputBytes: elements * WIDTHS[to] },
    );
  },
  reference(args, [input]: readonly Values[]) {
    const { from, to } = args;
    const limits = limitsOf(args);
    const values = Float64Array.from(input, (held) => (limits ? whole(held, limits) : held + offsetOf(from)));
    return new ARRAYS[to](values.map((value) => value - offsetOf(to)));
  },
};
