import { ARITHMETICS, type ArithmeticName } from "../kernels/arithmetics.ts";
import { DYNAMIC_FORMS } from "../kernels/float/dynamic.ts";
import { FLOAT_FORMS } from "../kernels/float/forms.ts";
import { ADD_FORMS, MUL_FORMS } from "../kernels/pairs.ts";
import { QUIRKS, type QuirkName } from "../kernels/quirks.ts";
import { AVERAGE_ROUNDINGS } from "../kernels/tables.ts";
import * as z from "../zod.ts";
import { compute } from "./compute.ts";
import { bytes, evidence } from "./evidence.ts";

/** Requantizers by name; kernels/arithmetics.ts has the code and the source of each. */
export const REQUANTIZERS = Object.keys(ARITHMETICS) as [ArithmeticName, ...ArithmeticName[]];

const requantizer = z.enum(REQUANTIZERS).meta({ id: "requantizer" });
const requantized = z.strictObject({ requantizer, ...evidence });
const form = <const T extends readonly [string, ...string[]]>(forms: T) =>
  z.strictObject({ form: z.enum(forms), ...evidence });
const requantizedForm = <const T extends readonly [string, ...string[]]>(forms: T) =>
  z.strictObject({ form: z.enum(forms), requantizer, ...evidence });
const addForms = Object.keys(ADD_FORMS) as (keyof typeof ADD_FORMS)[];
const mulForms = Object.keys(MUL_FORMS) as (keyof typeof MUL_FORMS)[];

/** TFLite's MultiplyByQuantizedMultiplier in its two builds. */
const fixed = z.enum(["tflite-double", "tflite-single"]).meta({ id: "fixedPoint" });
/** requantizer: of the fixed-point or TFLite form. */
const tableOrFixed = <const T extends readonly [string, ...string[]]>(forms: T) =>
  z.strictObject({ form: z.enum(forms), requantizer: fixed, ...evidence });
/** ratios: whether quotients of scales are rounded to float32 before they become multipliers. */
const ratios = <T extends z.ZodRawShape>(more: T) =>
  z.strictObject({ ratios: z.enum(["float32", "double"]), ...more, ...evidence });

/** Ops on int16 activations (symmetric, zero point 0), with int8 weights. */
const int16 = z.strictObject({
  /** Of one value or of two: everything but sums of products. */
  requantizer: fixed,
  /** Of sums with an int32 bias, which are int32; those of TRANSPOSE_CONV are rounded as single values. */
  sum32: fixed,
  /** Of sums with an int64 bias: P7, the second with 32 bits before its last shift. */
  sum64: z.enum(["tflite", "cmsis-nn"]),
  /** FULLY_CONNECTED: as the others, or the sum times the exact quotient of the scales, half away from zero. */
  fullyConnected: z.enum(["fixed-point", "double"]),
  /** The sum of a CONV_2D without bias. */
  withoutBias: z.enum(["int32", "int64"]),
  /** What the 513 entries of a table are computed in. */
  tables: z.enum(["float32", "float64"]),
  /** ADD and SUB where the model asks for it and all scales are powers of two: one operand is shifted, or no difference. */
  powerOfTwoScales: z.enum(["shift", "general"]),
  ...evidence,
});

const ops = z.strictObject({
  /** CONV_2D, DEPTHWISE_CONV_2D, TRANSPOSE_CONV, FULLY_CONNECTED, RELU and RELU6. */
  default: requantized,
  /** Where they are not the default. */
  DEPTHWISE_CONV_2D: requantized.optional(),
  TRANSPOSE_CONV: requantized.optional(),
  /** types: of operands and output. symmetric: where the second operand's zero point is 0 and it differs. */
  BATCH_MATMUL: requantized
    .extend({ symmetric: requantizer.optional(), types: z.array(z.enum(["int8", "uint8"])).min(1) })
    .optional(),
  /** Whether a per-tensor FULLY_CONNECTED forms its scale from a float32 or a double product. */
  FULLY_CONNECTED: z.strictObject({ scaleProduct: z.enum(["float32", "double"]), ...evidence }),
  /** What is left out, the device has not, or no source tells how it rounds: models that need it are refused. */
  ADD: requantizedForm(["tflite", "xnnpack", ...addForms]).optional(),
  /** ratios: of the tflite form; doubles where left out. */
  MUL: requantizedForm(["tflite", "xnnpack", ...mulForms])
    .extend({ ratios: z.enum(["float32", "double"]).optional() })
    .optional(),
  /** float: sum times the float32 ratio of the scales over the count. average-pool: AVERAGE_POOL_2D over the plane. */
  MEAN: requantizedForm([
    "tflite",
    "tflite-optimized",
    "xnnpack",
    "onnxruntime",
    "float",
    "average-pool",
  ]).optional(),
  AVERAGE_POOL_2D: form(["half-away", ...AVERAGE_ROUNDINGS]).optional(),
  SOFTMAX: form(["fixed-point", "float-table", "uint16-table", "onnxruntime"]).optional(),
  /** quotient-half-even, product-half-even: of x / scale, or x * (1 / scale). Between integers by the requantizer, of
   * quotient-half-even by the real value in float32. */
  QUANTIZE: requantizedForm(["tflite", "xnnpack", "quotient-half-even", "product-half-even"]).extend({
    /** What NaN becomes: the lowest code, or code 0 of the type that ONNX Runtime has; the zero point where left out. */
    nan: z.enum(["lowest", "zero"]).optional(),
  }),
  /** What SUB forms the ratios of its scales in, where its form is ADD's tflite. */
  SUB: ratios({}).optional(),
  /** TANH too. fixed-point: Q4.27. table-half-even: the zero point is added before rounding;
   * onnxruntime: after it, TANH as float32 between two conversions. */
  LOGISTIC: tableOrFixed(["fixed-point", "table-half-away", "table-half-even", "onnxruntime"]).optional(),
  LEAKY_RELU: tableOrFixed(["tflite", "xnnpack", "onnxruntime"]).optional(),
  PRELU: ratios({ requantizer: fixed }).optional(),
  LOG_SOFTMAX: tableOrFixed(["fixed-point", "float-table"]).optional(),
  /** tflite: weights of 10 bits, ties away from zero; tflite-up: ties up. xnnpack: 11 bits, ties up. */
  RESIZE_BILINEAR: form(["tflite", "tflite-up", "xnnpack"]).optional(),
  /** float32 activations and weights: the order of every sum, and how functions are computed. Left out where no source
   * tells it to the last bit: FLOAT_FORMS has those that are known. */
  float: form(FLOAT_FORMS).optional(),
  /** float32 activations by integer weights: how activations are quantized in each call. DYNAMIC_FORMS has the rules. */
  dynamic: form(DYNAMIC_FORMS).optional(),
  /** Needed where activations.bits has 16. */
  int16: int16.optional(),
});

/** Delegates by name; model/delegate.ts has which nodes each takes. */
const DELEGATES = ["xnnpack"] as const;
export type DelegateName = (typeof DELEGATES)[number];

/** edge-profiles/*.json: everything that Blindspot knows of a device. Unknown fields are errors. */
export const profileSchema = z.strictObject({
  $schema: z.string().optional(),
  id: z.string().regex(/^[a-z0-9][a-z0-9.-]*$/, "lower case letters, digits, dots and dashes"),
  title: z.string().min(1),
  family: z.enum(["microcontroller", "npu", "phone", "computer", "wasm-runtime"]),
  arithmetic: z.strictObject({
    /** wrap: 32 bits. saturate: 20 bits, at every product. saturate-pairs: 16 bits, two products at a time, then 32. */
    accumulator: z.discriminatedUnion("overflow", [
      z.strictObject({ bits: z.literal(32), overflow: z.literal("wrap"), ...evidence }),
      z.strictObject({ bits: z.literal(20), overflow: z.literal("saturate"), ...evidence }),
      z.strictObject({ bits: z.literal(16), overflow: z.literal("saturate-pairs"), ...evidence }),
    ]),
    /** Where a bias has fewer bits than 32, or is stored in units of more than one. */
    bias: z
      .strictObject({
        bits: z.union([z.literal(8), z.literal(20)]),
        unit: z.number().int().positive(),
        ...evidence,
      })
      .optional(),
    weights: z.strictObject({
      bits: z.array(z.union([z.literal(8), z.literal(4)])).min(1),
      granularity: z.enum(["per-channel", "per-tensor"]),
      symmetric: z.literal(true),
      ...evidence,
    }),
    activations: z.strictObject({
      /** 16: int16 activations with int8 weights, by the rules of ops.int16. */
      bits: z.array(z.union([z.literal(8), z.literal(16)])).min(1),
      symmetric: z.boolean(),
      ranges: z.literal("static"),
      ...evidence,
    }),
    ops,
    /** A delegate that takes the nodes it can; `builtin`: what differs in those that it leaves to the runtime's own kernels. */
    delegate: z.strictObject({ name: z.enum(DELEGATES), builtin: ops.partial(), ...evidence }).optional(),
    /** Defects of the real library that this build of it has: off unless named. */
    quirks: z.array(z.enum(Object.keys(QUIRKS) as [QuirkName, ...QuirkName[]])).optional(),
  }),
  /** flashBytes: where weights are stored; left out where that is outside of the device or not known. */
  memory: z.strictObject({ flashBytes: bytes.optional(), ramBytes: bytes.optional() }),
  compute,
  access: z.strictObject({
    level: z.enum(["A1", "A2", "A3", "A4", "A5"]),
    /** Where logits are read: the int8 output tensor or the accumulators of the last layer. */
    logits: z.enum(["int8", "int32"]),
    /** One sentence for the report: why this device shows this much. */
    why: z.string().min(1),
    ...evidence,
  }),
});

export type Profile = z.infer<typeof profileSchema>;
export type Requantizer = ArithmeticName;
