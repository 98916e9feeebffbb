/** SOFTMAX: preparation, and the same in plain TypeScript. */
import { exp, log2 } from "../elementary.ts";
import type { Op, SoftmaxArgs, Step, Values } from "./args.ts";
import type { Kernels } from "./module.ts";
import { floatBits, writeParams } from "./params.ts";
import {
  clamp,
  expOnNegativeValues,
  oneOverOnePlus,
  roundHalfAway,
  roundingDivideByPowerOfTwo,
  saturatingDoublingHighMultiply,
} from "./requantize.ts";
import { makeStep } from "./step.ts";

type Fixed = Extract<SoftmaxArgs, { form: "fixed-point" }>;
type Table = Extract<SoftmaxArgs, { form: "float-table" }>;

const TABLE_BYTES = 256 * 4;

function prepareSoftmax(kernels: Kernels, args: SoftmaxArgs): Step {
  const mark = kernels.mark();
  const { rows, rowSize } = args;
  const bytes = { inputBytes: rows * rowSize, outputBytes: rows * rowSize };
  if (args.form === "fixed-point") {
    const { multiplier, shift, diffMin } = args;
    const values = { rows, rowSize, multiplier, shift, diffMin };
    return makeStep(kernels, mark, "softmax_s8", "Softmax", values, { ...bytes, scratchBytes: rowSize * 4 });
  }
  const table = kernels.allocate(TABLE_BYTES);
  const scale = floatBits(args.scale);
  const tableParams = kernels.mark();
  kernels.exports.softmax_table_f32(writeParams(kernels, "Softmax", { output: table, scale }));
  kernels.release(tableParams);
  const values = {
    rows,
    rowSize,
    table,
    scale,
    outputScale: floatBits(args.outputScale),
    outputOffset: args.outputOffset,
  };
  return makeStep(kernels, mark, "softmax_table_s8", "Softmax", values, bytes);
}

function fixedPointRow({ multiplier, shift, diffMin }: Fixed, row: number[]): number[] {
  const maximum = Math.max(...row);
  const exponentials = row.map((value) => {
    const difference = value - maximum;
    if (difference < diffMin) return null;
    const scaled = saturatingDoublingHighMultiply((difference * 2 ** shift) | 0, multiplier);
    return expOnNegativeValues(scaled);
  });
  let sum = 0;
  for (const value of exponentials) if (value !== null) sum += roundingDivideByPowerOfTwo(value, 12);
  const headroom = 31 - Math.floor(log2(sum));
  const reciprocal = oneOverOnePlus(Math.floor(sum * 2 ** headroom) - 2 ** 31);
  return exponentials.map((value) => {
    if (value === null) return -128;
    const product = saturatingDoublingHighMultiply(reciprocal, value);
    return Math.min(roundingDivideByPowerOfTwo(product, 35 - headroom) - 128, 127);
  });
}

/** The exponential is rounded to float32, which equals wasm's musl expf but for a rare last bit. */
function tableRow({ scale, outputScale, outputOffset }: Table, row: number[]): number[] {
  const maximum = Math.max(...row);
  const exponentials = row.map((value) =>
    Math.fround(exp(Math.fround(-Math.fround(scale) * (maximum - value)))),
  );
  const sum = exponentials.reduce((total, value) => Math.fround(total + value), 0);
  const inverse = Math.fround(1 / Math.fround(sum * Math.fround(outputScale)));
  return exponentials.map((value) =>
    clamp(roundHalfAway(Math.fround(value * inverse)) + outputOffset, -128, 127),
  );
}

function referenceSoftmax(args: SoftmaxArgs, [input]: readonly Values[], batches: number): Int8Array {
  const output = new Int8Array(batches * args.rows * args.rowSize);
  for (let start = 0; start < output.length; start += args.rowSize) {
    const row = Array.from(input.subarray(start, start + args.rowSize));
    output.set(args.form === "fixed-point" ? fixedPointRow(args, row) : tableRow(args, row), start);
  }
  return output;
}

export const SOFTMAX: Op<SoftmaxArgs> = {
  macs: () => 0,
  prepare: prepareSoftmax,
  reference: referenceSoftmax,
};
