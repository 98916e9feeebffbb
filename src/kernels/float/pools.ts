/** float32 pools: preparation, and the same in plain TypeScript. */
import type { Op, Window } from "../args.ts";
import { makeStep } from "../step.ts";
import {
  type Bounds,
  boundBits,
  bounded,
  type FloatForm,
  f32,
  formNumber,
  isBlocked,
  isFused,
  isOnnxRuntime,
} from "./forms.ts";
import { added, sumByFours } from "./reduce.ts";

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

export type FloatPoolArgs = Window & Bounds & { form: FloatForm };

/** In which order a pool takes its taps. The wasm module numbers them by their place. rows: row by row; nines: column by column,
 * nine as a tree, times 1 / n; columns: each by itself, then from left to right; four-lanes: of the plane, row by row; blocks: row
 * by row, channels in vectors. */
const POOL_ORDERS = ["rows", "nines", "columns", "four-lanes", "blocks"] as const;

/** Whether the window is the plane, as of a GlobalAveragePool. */
const isPlane = (args: FloatPoolArgs) =>
  args.filterHeight === args.inputHeight &&
  args.filterWidth === args.inputWidth &&
  args.outputHeight * args.outputWidth === 1 &&
  args.padTop + args.padLeft === 0 &&
  args.strideHeight * args.strideWidth === 1;

/** The largest window, and the widest image with its padding, that MLAS takes by columns. Source: mlas pooling.cpp. */
const MOST_TAPS = 32;
const MOST_COLUMNS = 2048 - 3;

function isByColumns(args: FloatPoolArgs): boolean {
  const right = (args.outputWidth - 1) * args.strideWidth + args.filterWidth - args.padLeft;
  return (
    args.strideWidth <= 2 &&
    Math.max(args.filterHeight, args.filterWidth) <= MOST_TAPS &&
    args.padLeft + Math.max(args.inputWidth, right) <= MOST_COLUMNS
  );
}

/** Source: XNNPACK f32-avgpool-9p; mlas pooling.cpp and snchwc.cpp. */
function poolOrder(args: FloatPoolArgs): (typeof POOL_ORDERS)[number] {
  const { form, inputDepth } = args;
  if (!isOnnxRuntime(form)) return form === "xnnpack" ? "nines" : "rows";
  if (isBlocked(form, inputDepth)) return "blocks";
  if (isPlane(args)) return "four-lanes";
  return isByColumns(args) ? "columns" : "rows";
}

/** A window row by row, undefined outside of the image; left: its first column in the image. */
interface Taps {
  values: (number | undefined)[];
  left: number;
}

const isInside = (value: number | undefined) => value !== undefined;
const folded = (values: readonly number[], combine: (a: number, b: number) => number) =>
  values.slice(1).reduce(combine, values[0]);

/** What `of` makes of the taps of each column inside of the image, `outside` of another. */
function columnsOf(
  { values, left }: Taps,
  { filterWidth, inputWidth }: FloatPoolArgs,
  outside: number,
  of: (taps: number[], x: number) => number,
): number[] {
  return Array.from({ length: filterWidth }, (_, i) => {
    const x = left + i;
    const taps = values.filter((_, k) => k % filterWidth === i).filter(isInside);
    return x >= 0 && x < inputWidth ? of(taps, x) : outside;
  });
}

const add = (a: number, b: number) => f32(a + b);

function average(args: FloatPoolArgs, taps: Taps) {
  const order = poolOrder(args);
  const { filterWidth } = args;
  const values = taps.values.map((value) => value ?? 0);
  const count = taps.values.filter(isInside).length;
  if (order === "nines") {
    const byColumns = Array.from({ length: filterWidth }, (_, x) =>
      values.filter((_, k) => k % filterWidth === x),
    );
    return f32(sumByNines(byColumns.flat()) * f32(1 / count));
  }
  if (order === "four-lanes") return f32(sumByFours(values) / count);
  if (order === "columns")
    return f32(
      folded(
        columnsOf(taps, args, 0, (own) => folded(own, add)),
        add,
      ) / count,
    );
  return f32(added(values) / count);
}

const LOWEST = -(2 - 2 ** -23) * 2 ** 127;
/** Of equals, 0 and -0 too, and beside NaN: what was there, or as MAXPS of x86 what comes. */
function former(most: number, value: number): number {
  if (value > most) return value;
  return most;
}
function latter(most: number, value: number): number {
  if (most > value) return most;
  return value;
}
/** NaN counts, and 0 is above -0: f32x4.max of WebAssembly. */
const greater = (most: number, value: number) => Math.max(most, value);

/** Vectors of four columns or taps, and what they leave over. Source: mlas pooling.cpp, snchwc.cpp. */
function maximumOfMlas(args: FloatPoolArgs, taps: Taps): number {
  const order = poolOrder(args);
  const inside = taps.values.filter(isInside);
  const ofVectors = isFused(args.form) ? latter : greater;
  if (order === "rows") return inside.reduce(former, LOWEST);
  if (order === "blocks") return inside.reduce(latter, LOWEST);
  if (order === "columns") {
    const whole = args.inputWidth & ~3;
    const columns = columnsOf(taps, args, LOWEST, (own, x) => folded(own, x < whole ? ofVectors : former));
    return folded(columns, ofVectors);
  }
  const whole = inside.length & ~3;
  const [l0, l1, l2, l3] = [0, 1, 2, 3].map((at) =>
    inside.slice(0, whole).reduce((most, value, i) => (i % 4 === at ? ofVectors(most, value) : most), LOWEST),
  );
  const most = ofVectors(ofVectors(l0, l2), ofVectors(l1, l3));
  return inside.slice(whole).reduce(former, most);
}

function maximum(args: FloatPoolArgs, taps: Taps): number {
  if (isOnnxRuntime(args.form)) return maximumOfMlas(args, taps);
  return taps.values.filter(isInside).reduce(args.form === "tflite" ? former : greater, LOWEST);
}

const pool = (kernel: "average_pool_2d_f32" | "max_pool_2d_f32"): Op<FloatPoolArgs> => ({
  macs: () => 0,
  prepare(kernels, args) {
    const { form, activationMin, activationMax, zero, ...window } = args;
    const values = {
      ...window,
      form: formNumber(form),
      order: POOL_ORDERS.indexOf(poolOrder(args)),
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
      const values = Array.from({ length: filterHeight * filterWidth }, (_, k) => {
        const [y, x] = [top + Math.floor(k / filterWidth), left + (k % filterWidth)];
        const inside = y >= 0 && x >= 0 && y < inputHeight && x < inputWidth;
        const at = ((image * inputHeight + y) * inputWidth + x) * inputDepth + (index % inputDepth);
        return inside ? Number(input[at]) : undefined;
      });
      const value =
        kernel === "max_pool_2d_f32" ? maximum(args, { values, left }) : average(args, { values, left });
      return bounded(args, value);
    });
  },
});

export const AVERAGE_POOL_2D = pool("average_pool_2d_f32");
export const MAX_POOL_2D = pool("max_pool_2d_f32");
