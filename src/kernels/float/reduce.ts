/** float32 means and softmax: preparation, and the same in plain TypeScript. */
import type { Op, Values } from "../args.ts";
import { floatBits } from "../params.ts";
import { meanBlocks } from "../pool.ts";
import { makeStep } from "../step.ts";
import { type FloatForm, f32, formNumber } from "./forms.ts";
import { expLibm, expMlas, expMlasFused, expMlasWide, expXnnpack, logLibm } from "./functions.ts";
import { vectorSum } from "./order.ts";

export const added = (values: readonly number[], start = 0) =>
  values.reduce((sum, value) => f32(sum + value), start);

/** Four lanes, then the rest one by one. */
export function sumByFours(values: readonly number[]): number {
  const fours = values.length & ~3;
  const lane = (at: number) => added(values.slice(0, fours).filter((_, i) => i % 4 === at));
  const whole = f32(f32(lane(0) + lane(2)) + f32(lane(1) + lane(3)));
  return added(values.slice(fours), fours === 0 ? 0 : whole);
}

/** Lanes of a vector, halved to eight of them, then neighbours. */
const sumOfLanes = (count: 8 | 16) => (values: readonly number[]) => {
  const lanes = Array.from({ length: count }, (_, at) => added(values.filter((_, i) => i % count === at)));
  const eight = count === 8 ? lanes : lanes.slice(0, 8).map((lane, i) => f32(lane + lanes[i + 8]));
  const [low, high] = [0, 4].map((i) => f32(f32(eight[i] + eight[i + 1]) + f32(eight[i + 2] + eight[i + 3])));
  return f32(low + high);
};

/** Source: mlas x86_64/SgemmKernelM1Avx.S, by ones. */
function sumOfFours(values: readonly number[]): number {
  let [sum, at] = [0, 0];
  while (at < values.length) {
    const left = values.length - at;
    const count = left >= 4 ? 4 : left & 2 || 1;
    sum = f32(added(values.slice(at + 1, at + count), values[at]) + sum);
    at += count;
  }
  return sum;
}

/** Two vectors of four in turn from `start` on, what is before and after them at the end.
 * Source: Eigen's linear vectorized redux, of SSE. */
function sumByVectors(values: readonly number[], start: number): number {
  const whole = (values.length - start) & ~3;
  if (whole === 0) return added(values.slice(1), values[0]);
  const vectors = values.slice(start, start + whole);
  const paired = vectors.slice(0, whole & ~7);
  const lanes = Array.from({ length: 4 }, (_, at) => {
    if (whole < 8) return vectors[at];
    const [first, second] = [at, at + 4].map((i) => {
      const own = paired.filter((_, k) => k % 8 === i);
      return added(own.slice(1), own[0]);
    });
    return added(vectors.slice(paired.length).slice(at, at + 1), f32(first + second));
  });
  const sum = f32(f32(lanes[0] + lanes[2]) + f32(lanes[1] + lanes[3]));
  return added([...values.slice(0, start), ...values.slice(start + whole)], sum);
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

/** In which order a mean is summed. The wasm module numbers them by their place. in-order: one after the other, row by row;
 * xnnpack: its sums of sixteen lanes, or times 1 / n; four-lanes: of values side by side or in a column; vectors: of values
 * side by side, of which the first lies at a place of its own among four; fours: four by themselves, then added, the last two
 * and one too; columns: one after the other, of the last means that four do not divide in fours after the first value. */
export const MEAN_ORDERS = ["in-order", "xnnpack", "four-lanes", "vectors", "fours", "columns"] as const;
export type MeanOrder = (typeof MEAN_ORDERS)[number];

/** shape: of one image; axes: indices into it. */
export interface FloatMeanArgs {
  order: MeanOrder;
  shape: readonly number[];
  axes: readonly number[];
}

/** What is reduced by the last axes alone lies side by side: [outer][1][1][reduced]. */
function blocksOf(args: Omit<FloatMeanArgs, "order">) {
  const [outer, reducedOuter, inner, reducedInner] = meanBlocks(args);
  return inner === 1
    ? [outer, 1, 1, reducedOuter * reducedInner]
    : [outer, reducedOuter, inner, reducedInner];
}

/** Room for four accumulators of four lanes. */
const LANES_BYTES = 64;

export const MEAN: Op<FloatMeanArgs> = {
  macs: () => 0,
  prepare(kernels, { order, ...args }) {
    const [outer, reducedOuter, inner, reducedInner] = blocksOf(args);
    const form = MEAN_ORDERS.indexOf(order);
    const values = { form, outer, reducedOuter, inner, reducedInner };
    return makeStep(kernels, kernels.mark(), "mean_f32", "FloatReduce", values, {
      inputBytes: outer * reducedOuter * inner * reducedInner * 4,
      outputBytes: outer * inner * 4,
      scratchBytes: LANES_BYTES,
    });
  },
  reference({ order, ...args }, [input], batches) {
    const [outer, reducedOuter, inner, reducedInner] = blocksOf(args);
    return Float32Array.from({ length: batches * outer * inner }, (_, index) => {
      const from = Math.floor(index / inner) * reducedOuter * inner + (index % inner);
      const rows = Array.from({ length: reducedOuter }, (_, row) =>
        Array.from({ length: reducedInner }, (_, i) =>
          Number(input[(from + row * inner) * reducedInner + i]),
        ),
      );
      return meanOfRows(order, rows, { index: index % (outer * inner), place: index % inner, of: inner });
    });
  },
};

/** index: of the mean among those of its image; place: among `of` that lie side by side. */
interface Place {
  index: number;
  place: number;
  of: number;
}

function meanOfRows(order: MeanOrder, rows: number[][], where: Place): number {
  const values = rows.flat();
  const inverse = f32(1 / values.length);
  if (order === "xnnpack")
    return rows[0].length > 1
      ? added(rows.map((row) => f32(sumBySixteens(row) * inverse)))
      : f32(added(values) * inverse);
  return f32(sumOfRows(order, rows, where) / values.length);
}

function sumOfRows(order: MeanOrder, rows: number[][], { index, place, of }: Place): number {
  const values = rows.flat();
  const isOneRun = rows.length === 1 || rows[0].length === 1;
  if (isOneRun && order === "four-lanes") return sumByFours(values);
  if (isOneRun && order === "vectors")
    return sumByVectors(values, Math.min(-(index * values.length) & 3, values.length));
  if (order === "columns" && place >= (of & ~3)) return vectorSum(values, values.length, true);
  return order === "fours" ? sumOfFours(values) : added(values);
}

/** rows of rowSize values in one image. */
export interface FloatSoftmaxArgs {
  form: FloatForm;
  rows: number;
  rowSize: number;
  beta: number;
}

type Exponential = { of(x: number): number; sum(values: readonly number[]): number };
const EXPONENTIALS: Record<FloatForm, Exponential> = {
  tflite: { of: expLibm, sum: added },
  xnnpack: { of: expXnnpack, sum: sumOfExponentials },
  onnxruntime: { of: expMlas, sum: sumByFours },
  "onnxruntime-avx2": { of: expMlasFused, sum: sumOfLanes(8) },
  "onnxruntime-avx512": { of: expMlasWide, sum: sumOfLanes(16) },
};

function exponentialsOf({ form, beta }: FloatSoftmaxArgs, row: number[]) {
  const most = Math.max(...row);
  const { of, sum } = EXPONENTIALS[form];
  const values = row.map((x) => of(f32(f32(x - most) * f32(beta))));
  return { most, values, sum: sum(values) };
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
