/** SOFTMAX to int16: preparation, and the same in plain TypeScript. */
import { exp, log2 } from "../../elementary.ts";
import type { Op, Values } from "../args.ts";
import type { Kernels } from "../module.ts";
import { writeParams } from "../params.ts";
import {
  clamp,
  expOnNegativeValues,
  oneOverOnePlus,
  quantizeMultiplier,
  roundHalfAway,
  roundingDivideByPowerOfTwo,
  saturatingDoublingHighMultiply,
} from "../requantize.ts";
import { makeStep } from "../step.ts";
import type { WideSoftmaxArgs } from "./args.ts";
import { rescale, SUM_FORMS } from "./requantize.ts";

type Fixed = Extract<WideSoftmaxArgs, { form: "fixed-point" }>;
type Tables = Extract<WideSoftmaxArgs, { form: "tables" }>;

const TABLE_ENTRIES = 513;

/** Differences of logits on the table's scale, 65535 steps over [-10, 0]. Source: TFLite activations.cc, int16. */
export function softmaxTableMultiplier(inputScale: number, beta: number) {
  return quantizeMultiplier((inputScale * beta) / (10 / 65535));
}

/** Both tables in wasm memory, of what `tables` says. */
export function placeSoftmaxTables(kernels: Kernels, tables: Tables["tables"]) {
  const [exponentials, reciprocals] = [0, 1].map(() => kernels.allocate(TABLE_ENTRIES * 2));
  const mark = kernels.mark();
  const c = tables === "float32" ? 0 : 1;
  kernels.exports.softmax_tables_s16(
    writeParams(kernels, "Primitive", { a: exponentials, b: reciprocals, c }),
  );
  kernels.release(mark);
  return { exponentials, reciprocals };
}

/** The same by our own exp, which may differ from wasm's in its last bit. */
export function softmaxTable(tables: Tables["tables"], which: "exponentials" | "reciprocals"): Int16Array {
  const narrow = tables === "float32" ? Math.fround : (x: number) => x;
  const isExponential = which === "exponentials";
  const transform = (x: number) => narrow(isExponential ? exp(x) : 1 / narrow(1 + x));
  const scale = narrow((isExponential ? 10 : 1) / 65535);
  const first = narrow(scale * (isExponential ? -65535 : 0));
  const last = narrow(scale * (isExponential ? 0 : 65535));
  const outputScale = narrow(2 / 65535);
  const inverse = narrow(65536 / narrow(narrow(outputScale * 32767) - narrow(outputScale * -32768)));
  const step = narrow(narrow(last - first) / 512);
  const half = narrow(step / 2);
  const scaled = (x: number) => narrow(transform(x) * inverse);
  return Int16Array.from({ length: TABLE_ENTRIES }, (_, i) => {
    if (i === 512) return clamp(roundHalfAway(scaled(last)), -32768, 32767);
    const x = narrow(first + narrow(i * step));
    const sample = roundHalfAway(scaled(x));
    const next = scaled(narrow(first + narrow((i + 1) * step)));
    const middle = roundHalfAway(scaled(narrow(x + half)));
    const error = narrow(roundHalfAway(narrow(narrow(next + sample) / 2)) - middle);
    return clamp(sample - roundHalfAway(error / 2), -32768, 32767);
  });
}

function lookup(value: number, table: Int16Array): number {
  const index = 256 + (value >> 7);
  return table[index] + (((table[index + 1] - table[index]) * (value & 127) + 64) >> 7);
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
    if (value === null) return -32768;
    const product = saturatingDoublingHighMultiply(reciprocal, value);
    return Math.min(roundingDivideByPowerOfTwo(product, 27 - headroom) - 32768, 32767);
  });
}

function tableRow(args: Tables, tables: Record<"exponentials" | "reciprocals", Int16Array>, row: number[]) {
  const maximum = Math.max(...row);
  const exponentials = row.map((value) => {
    const scaled = rescale(args.requantizer, value - maximum, args.multiplier, args.shift);
    return lookup(clamp(scaled + 32767, -32768, 32767), tables.exponentials);
  });
  const sum = exponentials.reduce((total, value) => total + value, 0);
  const headroom = Math.clz32(sum) - 1;
  const mantissa = Math.floor((sum * 2 ** headroom + 2 ** 13) / 2 ** 14);
  const reciprocal = lookup(clamp(mantissa - 2 ** 15 - 2 ** 16, -32768, 32767), tables.reciprocals);
  const right = 30 - headroom;
  return exponentials.map((value) =>
    clamp(Math.floor((value * reciprocal + 2 ** (right - 1)) / 2 ** right), 0, 32767),
  );
}

function referenceSoftmax(args: WideSoftmaxArgs, [input]: readonly Values[], batches: number): Int16Array {
  const output = new Int16Array(batches * args.rows * args.rowSize);
  const rowOf =
    args.form === "fixed-point"
      ? (row: number[]) => fixedPointRow(args, row)
      : (row: number[]) =>
          tableRow(
            args,
            {
              exponentials: softmaxTable(args.tables, "exponentials"),
              reciprocals: softmaxTable(args.tables, "reciprocals"),
            },
            row,
          );
  for (let start = 0; start < output.length; start += args.rowSize)
    output.set(rowOf(Array.from(input.subarray(start, start + args.rowSize))), start);
  return output;
}

export const SOFTMAX: Op<WideSoftmaxArgs> = {
  macs: () => 0,
  prepare(kernels, args) {
    const mark = kernels.mark();
    const { rows, rowSize, multiplier, shift } = args;
    const elements = rows * rowSize;
    if (args.form === "fixed-point") {
      const values = { rows, rowSize, multiplier, shift, diffMin: args.diffMin };
      return makeStep(kernels, mark, "softmax_s8_s16", "Softmax", values, {
        inputBytes: elements,
        outputBytes: elements * 2,
        scratchBytes: rowSize * 4,
      });
    }
    const { exponentials, reciprocals } = placeSoftmaxTables(kernels, args.tables);
    const values = {
      rows,
      rowSize,
      requantizer: SUM_FORMS[args.requantizer],
      multiplier,
      shift,
      expTable: exponentials,
      reciprocalTable: reciprocals,
    };
    const bytes = { inputBytes: elements * 2, outputBytes: elements * 2 };
    return makeStep(kernels, mark, "softmax_s16", "WideSoftmax", values, bytes);
  },
  reference: referenceSoftmax,
};
