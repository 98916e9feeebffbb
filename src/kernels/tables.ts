/** Operations of rare families by table: every pair of int8, averages with other roundings, softmax by other tables. */
import { exp } from "../elementary.ts";
import type { AveragePool2dArgs, Op, Values } from "./args.ts";
import { floatBits, writeParams } from "./params.ts";
import { clamp, quantizeMultiplier, requantizeDouble, roundHalfEven } from "./requantize.ts";
import { ROUNDINGS, requantizeNeon } from "./rounding.ts";
import { makeStep } from "./step.ts";

/** combine: two int8 codes to one. elements: of one image. */
export interface PairwiseArgs {
  elements: number;
  input2Shared: boolean;
  combine(a: number, b: number): number;
}

/** ADD, SUB and MUL of the families whose form is not that of TFLite or XNNPACK: 65,536 results, computed once. */
export const PAIRWISE: Op<PairwiseArgs> = {
  macs: () => 0,
  prepare(kernels, { elements, input2Shared, combine }) {
    const mark = kernels.mark();
    const code = (byte: number) => (byte << 24) >> 24;
    const entries = Int8Array.from({ length: 65536 }, (_, i) => combine(code(i >> 8), code(i & 255)));
    const values = { elements, input2Stride: input2Shared ? 0 : elements, table: kernels.place(entries) };
    const bytes = { inputBytes: elements, input2Bytes: elements, outputBytes: elements };
    return makeStep(kernels, mark, "lookup_pair_s8", "PairLookup", values, bytes);
  },
  reference: ({ elements, input2Shared, combine }, [a, b], batches) =>
    Int8Array.from({ length: batches * elements }, (_, i) =>
      combine(Number(a[i]), Number(b[input2Shared ? i % elements : i])),
    ),
};

/** real: of the value of a code, in float32; rounded to even, then the zero point.
 * Source: ONNX Runtime 1.30.0 QLinearSigmoid and QLinearLeakyRelu, executed. */
export interface RealTableArgs {
  elements: number;
  inputScale: number;
  inputZeroPoint: number;
  outputScale: number;
  outputZeroPoint: number;
  real(x: number): number;
}

const realCode = (args: RealTableArgs) => (q: number) => {
  const x = Math.fround(Math.fround(args.inputScale) * (q - args.inputZeroPoint));
  const steps = Math.fround(Math.fround(args.real(x)) / Math.fround(args.outputScale));
  return clamp(roundHalfEven(steps) + args.outputZeroPoint, -128, 127);
};

export const REAL_TABLE: Op<RealTableArgs> = {
  macs: () => 0,
  prepare(kernels, args) {
    const mark = kernels.mark();
    const { elements } = args;
    const code = realCode(args);
    const table = kernels.place(Int8Array.from({ length: 256 }, (_, byte) => code((byte << 24) >> 24)));
    const bytes = { inputBytes: elements, outputBytes: elements };
    return makeStep(kernels, mark, "lookup_s8", "Lookup", { elements, table }, bytes);
  },
  reference: (args, [input]) => Int8Array.from(input as Int8Array, realCode(args)),
};

/** The wasm module knows them by their place. truncate: C's division. half-up, half-even: of the float32 product with
 * 1 / count. reciprocal: TOSA's, half away from zero for up to 256 values. dequantized: float32 sum of the real values, the output's zero point added before rounding half to even. */
export const AVERAGE_ROUNDINGS = ["truncate", "half-up", "half-even", "reciprocal", "dequantized"] as const;

/** The zero point of the input is taken off before the sum, that of the output added to the average. */
export type RoundedAverageArgs = AveragePool2dArgs & {
  rounding: (typeof AVERAGE_ROUNDINGS)[number];
  inputOffset: number;
  outputOffset: number;
  inputScale: number;
  outputScale: number;
  /** 128 for uint8 codes, which are 128 less here: a float sum with the zero point rounds as theirs does. */
  codeOffset?: number;
};

/** Source: TOSA cd5acdd, AVG_POOL2D: reciprocal_scale and apply_scale_32 with one rounding. */
function averageByReciprocal(sum: number, count: number): number {
  const k = BigInt(32 - Math.clz32(count - 1));
  const multiplier = (((1n << 30n) + 1n) << k) / BigInt(count);
  return Number((BigInt(sum) * multiplier + (1n << (29n + k))) >> (30n + k));
}

function averageOf(args: RoundedAverageArgs, values: number[]): number {
  const sum = values.reduce((total, value) => total + value, 0);
  const inverse = Math.fround(1 / values.length);
  if (args.rounding === "reciprocal") return averageByReciprocal(sum, values.length) + args.outputOffset;
  if (args.rounding === "truncate") return Math.trunc(sum / values.length) + args.outputOffset;
  if (args.rounding === "half-even") return roundHalfEven(Math.fround(sum * inverse)) + args.outputOffset;
  if (args.rounding === "half-up") {
    const channel = { multiplier: 0, shift: 0, scale: inverse };
    return ROUNDINGS["float-up"](sum, channel, -512, 512) + args.outputOffset;
  }
  const scale = Math.fround(args.inputScale);
  const total = values.reduce((t, value) => Math.fround(t + Math.fround(value * scale)), 0);
  const average = Math.fround(total / values.length);
  const code = Math.fround(average / Math.fround(args.outputScale));
  const { outputOffset, codeOffset = 0 } = args;
  return roundHalfEven(clamp(Math.fround(code + outputOffset + codeOffset), -512, 512)) - codeOffset;
}

/** Values of the taps of one output that are inside the image, less the zero point, in row order. */
function tapsOf(args: RoundedAverageArgs, input: Values, index: number): number[] {
  const { inputHeight, inputWidth, inputDepth, outputHeight, outputWidth } = args;
  const pixel = Math.floor(index / inputDepth);
  const top = (Math.floor(pixel / outputWidth) % outputHeight) * args.strideHeight - args.padTop;
  const left = (pixel % outputWidth) * args.strideWidth - args.padLeft;
  const image = Math.floor(pixel / (outputHeight * outputWidth)) * inputHeight;
  const taps: number[] = [];
  for (let y = Math.max(top, 0); y < Math.min(top + args.filterHeight, inputHeight); y++)
    for (let x = Math.max(left, 0); x < Math.min(left + args.filterWidth, inputWidth); x++) {
      const at = ((image + y) * inputWidth + x) * inputDepth + (index % inputDepth);
      taps.push(Number(input[at]) + args.inputOffset);
    }
  return taps;
}

export const AVERAGE_POOL_2D_ROUNDED: Op<RoundedAverageArgs> = {
  macs: () => 0,
  prepare(kernels, args) {
    const { rounding, inputScale, outputScale, codeOffset = 0, ...own } = args;
    const values = {
      ...own,
      codeOffset,
      rounding: AVERAGE_ROUNDINGS.indexOf(rounding),
      inputScale: floatBits(inputScale),
      outputScale: floatBits(outputScale),
    };
    return makeStep(kernels, kernels.mark(), "average_pool_2d_rounded_s8", "RoundedPool", values, {
      inputBytes: args.inputHeight * args.inputWidth * args.inputDepth,
      outputBytes: args.outputHeight * args.outputWidth * args.inputDepth,
    });
  },
  reference: (args, [input], batches) =>
    Int8Array.from({ length: batches * args.outputHeight * args.outputWidth * args.inputDepth }, (_, index) =>
      clamp(averageOf(args, tapsOf(args, input, index)), args.activationMin, args.activationMax),
    ),
};

/** scale: of the input times beta. onnxruntime: float32 table. uint16: LiteRT on aarch64. */
export interface TableSoftmaxArgs {
  form: "onnxruntime" | "uint16-table";
  rows: number;
  rowSize: number;
  scale: number;
  outputScale: number;
  outputOffset: number;
}

const SOFTMAX_KERNELS = {
  onnxruntime: { table: "softmax_double_table_f32", run: "softmax_onnxruntime_s8" },
  "uint16-table": { table: "softmax_short_table_s32", run: "softmax_short_table_s8" },
} as const;

/** exp may differ from wasm's in its last bit, which float32 hides but for a rare value. */
function onnxRuntimeRow({ scale, outputScale, outputOffset }: TableSoftmaxArgs, row: number[]): number[] {
  const maximum = Math.max(...row);
  const exponentials = row.map((value) => Math.fround(exp((value - maximum) * Math.fround(scale))));
  const sum = exponentials.reduce((total, value) => Math.fround(total + value), 0);
  const steps = Math.floor(Math.fround(1 / Math.fround(outputScale)));
  return exponentials.map((value) => {
    const scaled = Math.fround(Math.fround(value * steps) / sum);
    return clamp(roundHalfEven(Math.fround(scaled + outputOffset)), -128, 127);
  });
}

function shortTableRow({ scale, outputScale, outputOffset }: TableSoftmaxArgs, row: number[]): number[] {
  const maximum = Math.max(...row);
  const entries = row.map((value) => {
    const exponential = Math.fround(exp(Math.fround(Math.fround(scale) * (value - maximum))));
    return Math.min(65535, Math.trunc(Math.fround(Math.fround(exponential * 65535) + 0.5)));
  });
  const sum = entries.reduce((total, entry) => total + entry, 0);
  const { multiplier, shift } = quantizeMultiplier(
    Math.fround(1 / Math.fround(Math.fround(sum) * Math.fround(outputScale))),
  );
  const blocks = row.length - (row.length % 16);
  return entries.map((entry, i) => {
    const round = i < blocks ? requantizeNeon : requantizeDouble;
    return clamp(round(entry, multiplier, shift) + outputOffset, -128, 127);
  });
}

export const SOFTMAX_BY_TABLE: Op<TableSoftmaxArgs> = {
  macs: () => 0,
  prepare(kernels, { form, rows, rowSize, scale, outputScale, outputOffset }) {
    const mark = kernels.mark();
    const { table: fill, run } = SOFTMAX_KERNELS[form];
    const table = kernels.allocate(256 * 4);
    const params = kernels.mark();
    kernels.exports[fill](writeParams(kernels, "SoftmaxTable", { output: table, scale: floatBits(scale) }));
    kernels.release(params);
    const values = { rows, rowSize, table, outputScale: floatBits(outputScale), outputOffset };
    const bytes = { inputBytes: rows * rowSize, outputBytes: rows * rowSize };
    return makeStep(kernels, mark, run, "SoftmaxTable", values, bytes);
  },
  reference(args, [input], batches) {
    const output = new Int8Array(batches * args.rows * args.rowSize);
    const rowOf = args.form === "onnxruntime" ? onnxRuntimeRow : shortTableRow;
    for (let start = 0; start < output.length; start += args.rowSize)
      output.set(rowOf(args, Array.from(input.subarray(start, start + args.rowSize), Number)), start);
    return output;
  },
};
