/** float32 pools, means and softmax: preparation, and the same in plain TypeScript. */
import type { Op, Values, Window } from "../args.ts";
import { floatBits } from "../params.ts";
import { meanBlocks } from "../pool.ts";
import { makeStep } from "../step.ts";
import { type Bounds, boundBits, bounded, type FloatForm, f32, formNumber } from "./forms.ts";
import { expLibm, expMlas, expXnnpack, logLibm } from "./functions.ts";

const added = (values: readonly number[], start = 0) =>
  values.reduce((sum, value) => f32(sum + value), start);

/** Four lanes, then the rest one by one. */
function sumByFours(values: readonly number[]): number {
  const fours = values.length & ~3;
  const lane = (at: number) => added(values.slice(0, fours).filter((_, i) => i % 4 === at));
  const whole = f32(f32(lane(0) + lane(2)) + f32(lane(1) + lane(3)));
  return added(values.slice(fours), fours === 0 ? 0 : whole);
}

function sumOfExponentials(values: readonly number[]): number {
  const rest = values.slice(values.length & ~3);
  let sum = sumByFours(values.slice(0, values.length & ~3));
  if (rest.length & 2) sum = f32(sum + f32(rest[0] + rest[1]));
  return rest.length & 1 ? f32(sum + rest.at(-1)!) : sum;
}

function sumBySixteens(values: readonly number[]): number {
  const fours = values.slice(0, values.length & ~3);
  const rest = values.slice(fours.length);
  const lanes = Array.from({ length: 16 }, (_, at) => added(fours.filter((_, i) => i % 16 === at)));
  const four = [0, 1, 2, 3].map((i) => f32(f32(lanes[i] + lanes[i + 8]) + f32(lanes[i + 4] + lanes[i + 12])));
  let [even, odd] = [f32(four[0] + four[2]), f32(four[1] + four[3])];
  if (rest.length & 2) [even, odd] = [f32(even + rest[0]), f32(odd + rest[1])];
  const sum = f32(even + odd);
  return rest.length & 1 ? f32(sum + rest.at(-1)!) : sum;
}

function sumByNines(values: readonly number[]): number {
  let sum = 0;
  for (let k = 0; k < values.length; k += 9) {
    const t = Array.from({ length: 9 }, (_, i) => values[k + i] ?? 0);
    const [sum01, sum23, sum45, sum67] = [0, 2, 4, 6].map((i) => f32(t[i] + t[i + 1]));
    const nine = f32(f32(sum23 + sum45) + f32(f32(sum01 + t[8]) + sum67));
    sum = k === 0 ? nine : f32(sum + nine);
  }
  return sum;
}

/** tflite: the first of equals, of 0 and -0 too. */
function greatest(form: FloatForm, values: readonly number[]): number {
  if (form !== "tflite") return Math.max(...values);
  let most = -Infinity;
  for (const value of values) if (value > most) most = value;
  return most;
}

export type FloatPoolArgs = Window & Bounds & { form: FloatForm };

function average(
  { form, strideWidth, filterHeight, filterWidth }: FloatPoolArgs,
  taps: number[],
  count: number,
) {
  const column = (x: number) => taps.filter((_, i) => i % filterWidth === x);
  const columns = Array.from({ length: filterWidth }, (_, x) => column(x));
  if (form === "xnnpack") return f32(sumByNines(columns.flat()) * f32(1 / count));
  const byColumns = form === "onnxruntime" && strideWidth <= 2 && filterHeight > 0;
  return f32((byColumns ? added(columns.map((values) => added(values))) : added(taps)) / count);
}

const pool = (kernel: "average_pool_2d_f32" | "max_pool_2d_f32"): Op<FloatPoolArgs> => ({
  macs: () => 0,
  prepare(kernels, { form, activationMin, activationMax, zero, ...window }) {
    const values = {
      ...window,
      form: formNumber(form),
      ...boundBits({ activationMin, activationMax, zero }),
    };
    return makeStep(kernels, kernels.mark(), kernel, "FloatPool", values, {
      inputBytes: window.inputHeight * window.inputWidth * window.inputDepth * 4,
      outputBytes: window.outputHeight * window.outputWidth * window.inputDepth * 4,
    });
  },
  reference(args, [input], batches) {
    const { outputHeight, outputWidth, inputHeight, inputWidth, inputDepth, filterWidth, filterHeight } =
      args;
    return Float32Array.from({ length: batches * outputHeight * outputWidth * inputDepth }, (_, index) => {
      const pixel = Math.floor(index / inputDepth);
      const image = Math.floor(pixel / (outputHeight * outputWidth));
      const top = (Math.floor(pixel / outputWidth) % outputHeight) * args.strideHeight - args.padTop;
      const left = (pixel % outputWidth) * args.strideWidth - args.padLeft;
      const taps = Array.from({ length: filterHeight * filterWidth }, (_, k) => {
        const [y, x] = [top + Math.floor(k / filterWidth), left + (k % filterWidth)];
        const inside = y >= 0 && x >= 0 && y < inputHeight && x < inputWidth;
        const at = ((image * inputHeight + y) * inputWidth + x) * inputDepth + (index % inputDepth);
        return inside ? Number(input[at]) : undefined;
      });
      const inside = taps.filter((value) => value !== undefined);
      const value =
        kernel === "max_pool_2d_f32"
          ? greatest(args.form, inside)
          : average(
              args,
              taps.map((tap) => tap ?? 0),
              inside.length,
            );
      return bounded(args, value);
    });
  },
});

export const AVERAGE_POOL_2D = pool("average_pool_2d_f32");
export const MAX_POOL_2D = pool("max_pool_2d_f32");

/** shape: of one image; axes: indices into it. */
export interface FloatMeanArgs {
  form: FloatForm;
  shape: readonly number[];
  axes: readonly number[];
}

/** What is reduced by the last axes alone lies side by side: [outer][1][1][reduced]. */
function blocksOf(args: Omit<FloatMeanArgs, "form">) {
  const [outer, reducedOuter, inner, reducedInner] = meanBlocks(args);
  return inner === 1
    ? [outer, 1, 1, reducedOuter * reducedInner]
    : [outer, reducedOuter, inner, reducedInner];
}

/** Room for four accumulators of four lanes. */
const LANES_BYTES = 64;

export const MEAN: Op<FloatMeanArgs> = {
  macs: () => 0,
  prepare(kernels, { form, ...args }) {
    const [outer, reducedOuter, inner, reducedInner] = blocksOf(args);
    const values = { form: formNumber(form), outer, reducedOuter, inner, reducedInner };
    return makeStep(kernels, kernels.mark(), "mean_f32", "FloatReduce", values, {
      inputBytes: outer * reducedOuter * inner * reducedInner * 4,
      outputBytes: outer * inner * 4,
      scratchBytes: LANES_BYTES,
    });
  },
  reference({ form, ...args }, [input], batches) {
    const [outer, reducedOuter, inner, reducedInner] = blocksOf(args);
    return Float32Array.from({ length: batches * outer * inner }, (_, index) => {
      const from = Math.floor(index / inner) * reducedOuter * inner + (index % inner);
      const rows = Array.from({ length: reducedOuter }, (_, row) =>
        Array.from({ length: reducedInner }, (_, i) =>
          Number(input[(from + row * inner) * reducedInner + i]),
        ),
      );
      return meanOfRows(form, rows);
    });
  },
};

function meanOfRows(form: FloatForm, rows: number[][]): number {
  const values = rows.flat();
  const inverse = f32(1 / values.length);
  if (form === "xnnpack")
    return rows[0].length > 1
      ? added(rows.map((row) => f32(sumBySixteens(row) * inverse)))
      : f32(added(values) * inverse);
  const byFours = form === "onnxruntime" && (rows.length === 1 || rows[0].length === 1);
  return f32((byFours ? sumByFours(values) : added(values)) / values.length);
}

/** rows of rowSize values in one image. */
export interface FloatSoftmaxArgs {
  form: FloatForm;
  rows: number;
  rowSize: number;
  beta: number;
}

const EXPONENTIALS = { tflite: expLibm, xnnpack: expXnnpack, onnxruntime: expMlas };
const SUMS = { tflite: added, xnnpack: sumOfExponentials, onnxruntime: sumByFours };

function exponentialsOf({ form, beta }: FloatSoftmaxArgs, row: number[]) {
  const most = Math.max(...row);
  const values = row.map((x) => EXPONENTIALS[form](f32(f32(x - most) * f32(beta))));
  return { most, values, sum: SUMS[form](values) };
}

const softmax = (
  kernel: "softmax_f32" | "log_softmax_ordered_f32",
  rowOf: (args: FloatSoftmaxArgs, row: number[]) => number[],
): Op<FloatSoftmaxArgs> => ({
  macs: () => 0,
  prepare(kernels, { form, rows, rowSize, beta }) {
    const values = { form: formNumber(form), outer: rows, reducedInner: rowSize, beta: floatBits(beta) };
    const bytes = {
      inputBytes: rows * rowSize * 4,
      outputBytes: rows * rowSize * 4,
      scratchBytes: LANES_BYTES,
    };
    return makeStep(kernels, kernels.mark(), kernel, "FloatReduce", values, bytes);
  },
  reference(args, [input]: readonly Values[]) {
    const output = new Float32Array(input.length);
    for (let at = 0; at < output.length; at += args.rowSize)
      output.set(rowOf(args, Array.from(input.subarray(at, at + args.rowSize) as Float32Array)), at);
    return output;
  },
});

export const SOFTMAX = softmax("softmax_f32", (args, row) => {
  const { values, sum } = exponentialsOf(args, row);
  return values.map((value) => f32(args.form === "tflite" ? value / sum : value * f32(1 / sum)));
});

export const LOG_SOFTMAX = softmax("log_softmax_ordered_f32", (args, row) => {
  const { most, sum } = exponentialsOf(args, row);
  return row.map((x) => f32(f32(x - most) - logLibm(sum)));
});
