import { z } from "zod";

/** How a figure is known: run on the real library or ISA, read in primary code, told by the vendor, or inferred. */
export const CONFIDENCE = ["executed", "source", "vendor", "inferred"] as const;

const evidence = {
  source: z.string().min(1),
  confidence: z.enum(CONFIDENCE),
};
const figure = z.strictObject({ value: z.number().positive().finite(), ...evidence });
const bytes = z.strictObject({ value: z.number().int().positive(), ...evidence });

/** Requantizers are P4, P5 and P8 of the arithmetic notes: TFLite double rounding, single rounding, float32 half to even. */
export const REQUANTIZERS = ["tflite-double", "tflite-single", "float-even"] as const;

const requantized = z.strictObject({ requantizer: z.enum(REQUANTIZERS), ...evidence });
const form = <const T extends readonly [string, ...string[]]>(forms: T) =>
  z.strictObject({ form: z.enum(forms), ...evidence });
const requantizedForm = z.strictObject({
  form: z.enum(["tflite", "xnnpack"]),
  requantizer: z.enum(REQUANTIZERS),
  ...evidence,
});

/** TFLite's MultiplyByQuantizedMultiplier in its two builds. */
const FIXED = ["tflite-double", "tflite-single"] as const;
/** requantizer: of the fixed-point or TFLite form. */
const tableOrFixed = <const T extends readonly [string, ...string[]]>(forms: T) =>
  z.strictObject({ form: z.enum(forms), requantizer: z.enum(FIXED), ...evidence });
/** ratios: whether quotients of scales are rounded to float32 before they become multipliers. */
const ratios = <T extends z.ZodRawShape>(more: T) =>
  z.strictObject({ ratios: z.enum(["float32", "double"]), ...more, ...evidence });

/** Ops on int16 activations (symmetric, zero point 0), with int8 weights. */
const int16 = z.strictObject({
  /** Of one value or of two: everything but sums of products. */
  requantizer: z.enum(["tflite-double", "tflite-single"]),
  /** Of sums with an int32 bias, which are int32. */
  sum32: z.enum(["tflite-double", "tflite-single"]),
  /** Of sums with an int64 bias: P7, the second with 32 bits before its last shift. */
  sum64: z.enum(["tflite", "cmsis-nn"]),
  /** The sum of a CONV_2D without bias. */
  withoutBias: z.enum(["int32", "int64"]),
  /** What the 513 entries of a table are computed in. */
  tables: z.enum(["float32", "float64"]),
  /** ADD and SUB where the model asks for it and all scales are powers of two: one operand is shifted, or no difference. */
  powerOfTwoScales: z.enum(["shift", "general"]),
  ...evidence,
});

/** edge-profiles/*.json: everything that Blindspot knows of a device. Unknown fields are errors. */
export const profileSchema = z.strictObject({
  $schema: z.string().optional(),
  id: z.string().regex(/^[a-z0-9][a-z0-9.-]*$/, "lower case letters, digits, dots and dashes"),
  title: z.string().min(1),
  family: z.enum(["microcontroller", "npu", "phone", "wasm-runtime"]),
  arithmetic: z.strictObject({
    accumulator: z.strictObject({ bits: z.literal(32), overflow: z.literal("wrap"), ...evidence }),
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
    ops: z.strictObject({
      /** CONV_2D, DEPTHWISE_CONV_2D, FULLY_CONNECTED, RELU and RELU6. */
      default: requantized,
      /** Whether a per-tensor FULLY_CONNECTED forms its scale from a float32 or a double product. */
      FULLY_CONNECTED: z.strictObject({ scaleProduct: z.enum(["float32", "double"]), ...evidence }),
      ADD: requantizedForm,
      MUL: requantizedForm,
      MEAN: requantizedForm,
      AVERAGE_POOL_2D: form(["half-away"]),
      SOFTMAX: form(["fixed-point", "float-table"]),
      QUANTIZE: requantizedForm,
      /** What SUB forms the ratios of its scales in, where its form is ADD's tflite. */
      SUB: ratios({}).optional(),
      /** TANH too. fixed-point: Q4.27. table-half-even: the zero point is added before rounding. */
      LOGISTIC: tableOrFixed(["fixed-point", "table-half-away", "table-half-even"]).optional(),
      LEAKY_RELU: tableOrFixed(["tflite", "xnnpack"]).optional(),
      PRELU: ratios({ requantizer: z.enum(FIXED) }).optional(),
      LOG_SOFTMAX: tableOrFixed(["fixed-point", "float-table"]).optional(),
      /** tflite: weights of 10 bits, ties away from zero; tflite-up: ties up. xnnpack: 11 bits, ties up. */
      RESIZE_BILINEAR: form(["tflite", "tflite-up", "xnnpack"]).optional(),
      /** Needed where activations.bits has 16. */
      int16: int16.optional(),
    }),
  }),
  memory: z.strictObject({ flashBytes: bytes, ramBytes: bytes }),
  compute: z.strictObject({
    clockHz: figure,
    /** Whole-kernel rates, requantization and data movement included. */
    macsPerCycle: z.strictObject({
      CONV_2D: z.strictObject({ int8: figure, int4: figure }),
      DEPTHWISE_CONV_2D: z.strictObject({ int8: figure, int4: figure }),
      FULLY_CONNECTED: z.strictObject({ int8: figure, int4: figure }),
    }),
    /** Cycles for one output element of everything else. */
    cyclesPerElement: figure,
  }),
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
export type Requantizer = (typeof REQUANTIZERS)[number];
