/** float32 BATCH_MATMUL: the order of its sums, and the same in plain TypeScript. */
import type { Op, Values } from "../args.ts";
import { elementsOf, type MatMulShape, matMulMacs, products, shapeFields } from "../matmul.ts";
import { floatBits } from "../params.ts";
import { makeStep } from "../step.ts";
import { type FloatForm, f32 } from "./forms.ts";
import { mlasBlock, PACKED_BLOCK, STRIDE } from "./mlas.ts";

/** alpha: that sums are multiplied with. isPacked: y is a constant matrix, which ONNX Runtime packs beforehand. */
export type FloatMatMulArgs = MatMulShape & { form: FloatForm; alpha: number; isPacked: boolean };

/** The wasm module numbers them by their place. */
const ORDERS = ["blocks", "vector"] as const;

interface Order {
  order: (typeof ORDERS)[number];
  block: number;
}

/** Rows that ONNX Runtime multiplies together: with one matrix y, those of all matrices. Source: matmul_helper.h. */
const rowsTogether = ({ rows, dimensions, adjX }: FloatMatMulArgs) =>
  adjX || dimensions.some(({ y }) => y) ? rows : dimensions.reduce((count, { size }) => count * size, rows);

/** tflite, xnnpack: from 0 over the depth, in LiteRT.js too. onnxruntime: ONNX Runtime 1.30.0, mlas sgemm.cpp, where a packed
 * matrix has its own blocks, a transposed x leaves them as they are, and one row has a kernel of its own. */
function orderOf(args: FloatMatMulArgs): Order {
  const { form, alpha, adjX, adjY, isPacked, columns, depth } = args;
  if (form !== "onnxruntime") return { order: "blocks", block: depth };
  if (isPacked) return { order: "blocks", block: PACKED_BLOCK };
  if (rowsTogether(args) === 1 && alpha === 1 && !adjX && !adjY) return { order: "vector", block: depth };
  return { order: "blocks", block: adjX ? STRIDE : mlasBlock(columns, depth) };
}

/** Columns that the kernels take at a time. */
const PANEL = 4;

const added = (values: readonly number[], start = 0) =>
  values.reduce((sum, value) => f32(sum + value), start);

/** Source: ONNX Runtime 1.30.0, SgemvKernelWasmSimd.cpp. isLeft: a column that fours leave over. */
function vectorSum([start, ...rest]: number[], isLeft: boolean): number {
  const fours = isLeft ? rest.length & ~3 : 0;
  let sum = start;
  for (let k = 0; k < fours; k += PANEL) sum = f32(sum + added(rest.slice(k + 1, k + PANEL), rest[k]));
  return added(rest.slice(fours), sum);
}

function blockSum(values: readonly number[], block: number, alpha: number): number {
  let total = 0;
  for (let first = 0; first < values.length; first += block) {
    const sum = f32(added(values.slice(first, first + block)) * f32(alpha));
    total = first === 0 ? sum : f32(total + sum);
  }
  return total;
}

export const BATCH_MATMUL: Op<FloatMatMulArgs> = {
  macs: matMulMacs,
  prepare(kernels, args) {
    const { order, block } = orderOf(args);
    const own = { order: ORDERS.indexOf(order), block, alpha: floatBits(args.alpha) };
    const { x, y, output } = elementsOf(args);
    return makeStep(
      kernels,
      kernels.mark(),
      "batch_matmul_f32",
      "BatchMatMul",
      { ...shapeFields(args, 4), ...own },
      {
        ...{ inputBytes: x * 4, input2Bytes: y * 4, outputBytes: output * 4 },
        scratchBytes: Math.ceil(args.columns / PANEL) * PANEL * args.depth * 4,
      },
    );
  },
  reference(args, [x, y]: readonly Values[], batches) {
    const { order, block } = orderOf(args);
    const left = args.columns - (args.columns % PANEL);
    return Float32Array.from(products(args, batches), (at) => {
      const values = Array.from({ length: at.depth }, (_, k) =>
        f32(Number(x[at.x + k * at.xDepth]) * Number(y[at.y + k * at.yDepth])),
      );
      return order === "vector" ? vectorSum(values, at.column >= left) : blockSum(values, block, args.alpha);
    });
  },
};
