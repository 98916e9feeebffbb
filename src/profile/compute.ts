import * as z from "../zod.ts";
import { evidence, figure } from "./evidence.ts";

const byBits = z.strictObject({ int8: figure, int4: figure.optional() });

/** Coefficients of a convolution's instructions: a product, an output value, and a value gathered for one output pixel. */
const convolution = z.strictObject({
  perMac: z.number().positive(),
  perOutput: z.number().nonnegative(),
  perGathered: z.number().nonnegative(),
});

/** Cortex-M: instructions of whole kernels, counted, and the cycles that one takes. */
const instructions = z.strictObject({
  cyclesPerInstruction: figure,
  CONV_2D: z.strictObject({ int8: convolution, int4: convolution, ...evidence }),
  FULLY_CONNECTED: z.strictObject({ int8: convolution, int4: convolution, ...evidence }),
  DEPTHWISE_CONV_2D: z.strictObject({ int8: convolution, int4: convolution, ...evidence }),
  /** Of a pool, per value read; of the others, per value written. */
  AVERAGE_POOL_2D: figure,
  MAX_POOL_2D: figure,
  SOFTMAX: figure,
  ADD: figure,
  MUL: figure,
});

/** Ethos-U by Vela's formula: blocks of micro-blocks, each the dearer of products and outputs, within the bandwidth. */
const ethosU = z.strictObject({
  macsPerCycle: z.number().int().positive(),
  /** Width, height, depth. */
  microBlock: z.tuple([z.number().int(), z.number().int(), z.number().int()]),
  shramBytes: z.number().int().positive(),
  cyclesPerOutput: z.strictObject({
    CONV_2D: z.number().positive(),
    MAX_POOL_2D: z.number().positive(),
    ADD: z.number().positive(),
    MUL: z.number().positive(),
    table: z.number().positive(),
  }),
  bytesPerCycle: z.number().positive(),
  ...evidence,
});

/** Networks of MLPerf Tiny. */
export const NETWORKS = ["IC", "VWW", "KWS", "AD"] as const;

/** What an estimate needs and what was measured. Without instructions, ethosU or macsPerCycle there is no estimate. */
export const compute = z.strictObject({
  clockHz: figure.optional(),
  instructions: instructions.optional(),
  ethosU: ethosU.optional(),
  /** Whole-kernel rates, requantization and data movement included; of whole networks without cyclesPerElement. */
  macsPerCycle: z
    .strictObject({ CONV_2D: byBits, DEPTHWISE_CONV_2D: byBits.optional(), FULLY_CONNECTED: byBits })
    .optional(),
  /** Cycles for one output element of everything else. */
  cyclesPerElement: figure.optional(),
  /** Median inferences a second of MLPerf Tiny, by the engine that reached them. */
  measured: z
    .array(
      z.strictObject({
        engine: z.string().min(1),
        inferencesPerSecond: z.partialRecord(z.enum(NETWORKS), z.number().positive()),
        ...evidence,
      }),
    )
    .optional(),
});
