/** LOG_SOFTMAX of int8 and of float32: preparation, and the same in plain TypeScript. */
import { exp, log } from "../elementary.ts";
import type { Op, Step, Values } from "./args.ts";
import type { Kernels } from "./module.ts";
import { floatBits, writeParams } from "./params.ts";
import {
  clamp,
  expOnNegativeValues,
  oneOverOnePlus,
  quantizeMultiplier,
  requantizeDouble,
  requantizeSingle,
  roundHalfEven,
  roundingDivideByPowerOfTwo,
  saturatingDoublingHighMultiply,
  saturatingShiftLeft,
  softmaxMultiplier,
} from "./requantize.ts";
import { makeStep } from "./step.ts";

/** rows of rowSize values in one image. fixed-point: gemmlowp (TFLite reference, TFLM), output in 1/16 with zero point 127.
 * float-table: TFLite optimized (x86, WASM, XNNPACK builds). float32: both ends are float32. */
export type LogSoftmaxArgs = { rows: number; rowSize: number } & (
  | ({ form: "fixed-point"; requantizer: "tflite-double" | "tflite-single" } & LogSoftmaxMultipliers)
  | { form: "float-table"; scale: number; outputScale: number; outputOffset: number }
  | { form: "float32" }
);

export type LogSoftmaxMultipliers = ReturnType<typeof logSoftmaxMultipliers>;

/** Source: TFLite PreprocessLogSoftmaxScalingExp. */
export function logSoftmaxMultipliers(inputScale: number) {
  const forward = softmaxMultiplier(inputScale, 1);
  const reverse = quantizeMultiplier(2 ** (31 - forward.shift) / forward.multiplier);
  return { ...forward, reverseMultiplier: reverse.multiplier, reverseShift: reverse.shift };
}

const TABLE_BYTES = 256 * 4;

function prepareLogSoftmax(kernels: Kernels, args: LogSoftmaxArgs): Step {
  const mark = kernels.mark();
  const { rows, rowSize } = args;
  const bytes = { inputBytes: rows * rowSize, outputBytes: rows * rowSize };
  const make = (kernel: string, values: Parameters<typeof makeStep<"LogSoftmax">>[4], width = 1) =>
    makeStep(
      kernels,
      mark,
      kernel,
      "LogSoftmax",
      { rows, rowSize, ...values },
      {
        inputBytes: bytes.inputBytes * width,
        outputBytes: bytes.outputBytes * width,
      },
    );
  if (args.form === "float32") return make("log_softmax_f32", {}, 4);
  if (args.form === "fixed-point") {
    const { multiplier, shift, diffMin, reverseMultiplier, reverseShift } = args;
    const single = args.requantizer === "tflite-single" ? 1 : 0;
    return make("log_softmax_s8", { single, multiplier, shift, diffMin, reverseMultiplier, reverseShift });
  }
  const table = kernels.allocate(TABLE_BYTES);
  const scale = floatBits(args.scale);
  const tableParams = kernels.mark();
  kernels.exports.softmax_table_f32(writeParams(kernels, "Softmax", { output: table, scale }));
  kernels.release(tableParams);
  const outputScale = floatBits(args.outputScale);
  return make("log_softmax_table_s8", { table, scale, outputScale, outputOffset: args.outputOffset });
}

const multiply = saturatingDoublingHighMultiply;

/** ln(value), value >= 1 in Q12.19, result in Q5.26. Source: TFLite reference log_x_for_x_greater_than_or_equal_to_1. */
export function logOfPositive(value: number): number {
  const [sqrtHalf, fourthRootHalf, quarter] = [1518500250, 1805811301, 1 << 23];
  const headroomA = Math.clz32(value);
  const scaledA = saturatingShiftLeft(value, headroomA - 1);
  const remainderA = saturatingShiftLeft(multiply(scaledA, sqrtHalf), 1);
  const powerA = saturatingShiftLeft(12 - headroomA, 25) + quarter;
  const headroomB = Math.clz32(multiply(value, sqrtHalf)) - 1;
  const remainderB = saturatingShiftLeft(value, headroomB);
  const powerB = saturatingShiftLeft(12 - headroomB, 25) - quarter;
  const r = Math.min(remainderA, remainderB);
  const power = Math.max(powerA, powerB);
  const p = Math.floor((r + fourthRootHalf + 1) / 2);
  const q = ((r - fourthRootHalf) << 1) | 0;
  const square = multiply(q, q);
  const numerator = (multiply(q, r) + multiply(multiply(q, square), 117049297)) | 0;
  const factor = (1057819769 + q + multiply(127690142, square)) | 0;
  const denominator = (multiply(p, factor) + multiply(638450708, q)) | 0;
  const product = multiply(roundingDivideByPowerOfTwo(numerator, 6), oneOverOnePlus(denominator));
  return saturatingShiftLeft((multiply(power, 1488522236) + product) | 0, 1);
}

function fixedPointRow(args: Extract<LogSoftmaxArgs, { form: "fixed-point" }>, row: number[]): number[] {
  const round = args.requantizer === "tflite-double" ? requantizeDouble : requantizeSingle;
  const maximum = Math.max(...row);
  const scaled = (difference: number) => round(difference, args.multiplier, args.shift);
  const kept = row.map((value) => value - maximum).filter((difference) => difference >= args.diffMin);
  const sum = kept.reduce(
    (total, difference) => total + roundingDivideByPowerOfTwo(expOnNegativeValues(scaled(difference)), 12),
    0,
  );
  const logSum = logOfPositive(sum);
  const least = round((logSum - 2 ** 31) | 0, args.reverseMultiplier, args.reverseShift);
  const limit = Math.max(args.diffMin - 1, least);
  return row.map((value) =>
    value - maximum > limit
      ? clamp(roundingDivideByPowerOfTwo(scaled(value - maximum) - logSum, 22) + 127, -128, 127)
      : -128,
  );
}

const { fround } = Math;

function tableRow(args: Extract<LogSoftmaxArgs, { form: "float-table" }>, row: number[]): number[] {
  const [scale, outputScale] = [fround(args.scale), fround(args.outputScale)];
  const maximum = Math.max(...row);
  const sum = row.reduce(
    (total, value) => fround(total + fround(exp(fround(-scale * (maximum - value))))),
    0,
  );
  const offset = fround(fround(fround(scale * maximum) + fround(log(sum))) / outputScale);
  const ratio = fround(scale / outputScale);
  return row.map((value) =>
    clamp(roundHalfEven(fround(fround(ratio * value) - offset)) + args.outputOffset, -128, 127),
  );
}

function floatRow(row: number[]): number[] {
  const maximum = Math.max(...row);
  const sum = row.reduce((total, x) => fround(total + fround(exp(fround(x - maximum)))), 0);
  return row.map((x) => fround(fround(x - maximum) - fround(log(sum))));
}

function referenceLogSoftmax(args: LogSoftmaxArgs, [input]: readonly Values[], batches: number): Values {
  const count = batches * args.rows * args.rowSize;
  const output = args.form === "float32" ? new Float32Array(count) : new Int8Array(count);
  for (let start = 0; start < count; start += args.rowSize) {
    const row = Array.from(input.subarray(start, start + args.rowSize));
    if (args.form === "float32") output.set(floatRow(row), start);
    else output.set(args.form === "fixed-point" ? fixedPointRow(args, row) : tableRow(args, row), start);
  }
  return output;
}

export const LOG_SOFTMAX: Op<LogSoftmaxArgs> = {
  macs: () => 0,
  prepare: prepareLogSoftmax,
  reference: referenceLogSoftmax,
};
