/** BATCH_MATMUL of int8, and what it shares with that of float32: which matrices are multiplied, and where they lie. */
import type { FixedPoint, FloatScale, Op, Output, Values } from "./args.ts";
import { type Field, floatBits } from "./params.ts";
import { requantize } from "./requantize.ts";
import { channelOf, exactForm } from "./requantizers.ts";
import { makeStep } from "./step.ts";

/** A dimension of matrices: which operands have one for each index, and which only one. */
export interface MatrixDimension {
  size: number;
  x: boolean;
  y: boolean;
}

/** Of one image: x [dimensions..., rows, depth] by y [dimensions..., depth, columns], at most three dimensions. adjX, adjY: whose
 * last two are the other way round; xShared, yShared: all images have the same. */
export interface MatMulShape {
  rows: number;
  depth: number;
  columns: number;
  dimensions: readonly MatrixDimension[];
  adjX: boolean;
  adjY: boolean;
  xShared: boolean;
  yShared: boolean;
}

/** Neighbouring dimensions that the same operands have are one. */
export function mergedDimensions(dimensions: readonly MatrixDimension[]): MatrixDimension[] {
  const merged: MatrixDimension[] = [];
  for (const { size, x, y } of dimensions) {
    const last = merged.at(-1);
    if (size === 1) continue;
    if (last?.x === x && last.y === y) last.size *= size;
    else merged.push({ size, x, y });
  }
  return merged;
}

const matrices = ({ dimensions }: MatMulShape, operand?: "x" | "y") =>
  dimensions.reduce((count, each) => (operand === undefined || each[operand] ? count * each.size : count), 1);

const NAMES = { x: ["x0", "x1", "x2"], y: ["y0", "y1", "y2"] } as const;
const SIZES = ["size0", "size1", "size2"] as const;
type Fields = Partial<Record<Field<"BatchMatMul">, number>>;

/** Elements of one image of each operand. */
export const elementsOf = (shape: MatMulShape) => ({
  x: matrices(shape, "x") * shape.rows * shape.depth,
  y: matrices(shape, "y") * shape.depth * shape.columns,
  output: matrices(shape) * shape.rows * shape.columns,
});

/** width: bytes of an element. */
export function shapeFields(shape: MatMulShape, width: number): Fields {
  const { rows, depth, columns, dimensions, adjX, adjY, xShared, yShared } = shape;
  const fields: Fields = { rows, depth, columns, size0: 1, size1: 1, size2: 1 };
  const next = { x: rows * depth * width, y: depth * columns * width };
  dimensions.toReversed().forEach((dimension, i) => {
    const at = dimensions.length - 1 - i;
    fields[SIZES[at]] = dimension.size;
    for (const operand of ["x", "y"] as const) {
      fields[NAMES[operand][at]] = dimension[operand] ? next[operand] : 0;
      if (dimension[operand]) next[operand] *= dimension.size;
    }
  });
  return {
    ...fields,
    ...{ xImage: xShared ? 0 : next.x, yImage: yShared ? 0 : next.y },
    ...{ xRow: width * (adjX ? 1 : depth), xDepth: width * (adjX ? rows : 1) },
    ...{ yDepth: width * (adjY ? 1 : columns), yColumn: width * (adjY ? depth : 1) },
  };
}

/** Every output in order: the places of its first factors, and how far apart the next ones are. */
export function* products(shape: MatMulShape, batches: number) {
  const { rows, depth, columns, dimensions } = shape;
  const counts = elementsOf(shape);
  const fields = shapeFields(shape, 1) as Record<string, number>;
  for (let index = 0; index < batches * counts.output; index++) {
    let rest = Math.floor(index / columns / rows);
    let [x, y] = [0, 0];
    for (let at = dimensions.length - 1; at >= 0; at--) {
      const i = rest % dimensions[at].size;
      rest = Math.floor(rest / dimensions[at].size);
      x += i * fields[NAMES.x[at]];
      y += i * fields[NAMES.y[at]];
    }
    const [row, column] = [Math.floor(index / columns) % rows, index % columns];
    yield {
      ...{ column, depth, xDepth: fields.xDepth, yDepth: fields.yDepth },
      x: rest * fields.xImage + x + row * fields.xRow,
      y: rest * fields.yImage + y + column * fields.yColumn,
    };
  }
}

export const matMulMacs = (shape: MatMulShape) => elementsOf(shape).output * shape.depth;

/** Offsets: less the zero points. */
export type BatchMatMulArgs = MatMulShape &
  Output &
  (FixedPoint | FloatScale) & { xOffset: number; yOffset: number };

/** Products of int16 that the kernel takes at a time. */
const AT_A_TIME = 8;

/** Source of the arithmetic: TFLite reference/batch_matmul.h; ONNX Runtime QLinearMatMul, the same sums. */
export const BATCH_MATMUL: Op<BatchMatMulArgs> = {
  macs: matMulMacs,
  prepare(kernels, args) {
    const { xOffset, yOffset, outputOffset, activationMin, activationMax, depth, columns } = args;
    const { multiplier, shift, scale } = channelOf(args, 0);
    const values = {
      ...shapeFields(args, 1),
      ...{ xOffset, yOffset, outputOffset, activationMin, activationMax, multiplier, shift },
      requantizer: exactForm(args.requantizer),
      scale: floatBits(scale),
    };
    const { x, y, output } = elementsOf(args);
    const row = Math.ceil(depth / AT_A_TIME) * AT_A_TIME * 2;
    return makeStep(kernels, kernels.mark(), "batch_matmul_s8", "BatchMatMul", values, {
      inputBytes: x,
      input2Bytes: y,
      outputBytes: output,
      scratchBytes: (columns + 1) * row,
    });
  },
  reference(args, [x, y]: readonly Values[], batches) {
    const channel = channelOf(args, 0);
    return Int8Array.from(products(args, batches), (at) => {
      let acc = 0;
      for (let k = 0; k < at.depth; k++)
        acc +=
          (Number(x[at.x + k * at.xDepth]) + args.xOffset) * (Number(y[at.y + k * at.yDepth]) + args.yOffset);
      return requantize(args.requantizer, acc, channel, args);
    });
  },
};
