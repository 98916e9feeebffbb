import { type Attributes, elements, type Node, type OpName, windowAxis } from "./graph.ts";

type Shape = readonly number[];
type Rule<Op extends OpName> = (attributes: Attributes[Op], inputs: Shape[]) => number[];

const same = (_: unknown, [x]: Shape[]) => [...x];
/** Dimensions aligned with the last ones; of each the one that is not 1. */
function broadcast(_: unknown, [a, b]: Shape[]): number[] {
  const rank = Math.max(a.length, b.length);
  const at = (shape: Shape, i: number) => shape[shape.length - rank + i] ?? 1;
  return Array.from({ length: rank }, (_, i) => (at(a, i) === 1 ? at(b, i) : at(a, i)));
}

function matmul({ adjX, adjY }: Attributes["BATCH_MATMUL"], [x, y]: Shape[]): number[] {
  const batches = broadcast(undefined, [x.slice(0, -2), y.slice(0, -2)]);
  return [...batches, x.at(adjX ? -1 : -2) ?? 0, y.at(adjY ? -2 : -1) ?? 0];
}

function spatial(
  attributes: Attributes["CONV_2D"] | Attributes["AVERAGE_POOL_2D"],
  x: Shape,
  filter: { height: number; width: number; dilationHeight: number; dilationWidth: number },
): [number, number] {
  const { padding, strideHeight, strideWidth } = attributes;
  const explicit = typeof padding === "string" ? undefined : padding;
  const vertical = explicit ? ([explicit[0], explicit[1]] as const) : (padding as "SAME" | "VALID");
  const horizontal = explicit ? ([explicit[2], explicit[3]] as const) : (padding as "SAME" | "VALID");
  return [
    windowAxis(x[1], filter.height, strideHeight, filter.dilationHeight, vertical).output,
    windowAxis(x[2], filter.width, strideWidth, filter.dilationWidth, horizontal).output,
  ];
}

const pool: Rule<"AVERAGE_POOL_2D" | "MAX_POOL_2D"> = (attributes, [x]) => {
  const filter = {
    height: attributes.filterHeight,
    width: attributes.filterWidth,
    dilationHeight: 1,
    dilationWidth: 1,
  };
  return [x[0], ...spatial(attributes, x, filter), x[3]];
};

const resize: Rule<"RESIZE_BILINEAR" | "RESIZE_NEAREST_NEIGHBOR"> = ({ height, width }, [x]) => [
  x[0],
  height,
  width,
  x[3],
];

/** The shape of each op's (first) output, batch included. Inputs are the shapes of all operands in order. */
export const SHAPES: { [Op in OpName]: Rule<Op> } = {
  CONV_2D: (attributes, [x, w]) => [
    x[0],
    ...spatial(attributes, x, { ...attributes, height: w[1], width: w[2] }),
    w[0],
  ],
  DEPTHWISE_CONV_2D: (attributes, [x, w]) => [
    x[0],
    ...spatial(attributes, x, { ...attributes, height: w[1], width: w[2] }),
    w[3],
  ],
  FULLY_CONNECTED: (_, [x, w]) => (elements(x.slice(1)) === w[1] ? [x[0], w[0]] : [...x.slice(0, -1), w[0]]),
  ADD: broadcast,
  MUL: broadcast,
  AVERAGE_POOL_2D: pool,
  MAX_POOL_2D: pool,
  MEAN: ({ axes, keepDims }, [x]) =>
    keepDims ? x.map((size, i) => (axes.includes(i) ? 1 : size)) : x.filter((_, i) => !axes.includes(i)),
  SOFTMAX: same,
  PAD: ({ before, after }, [x]) => x.map((size, i) => size + before[i] + after[i]),
  RESHAPE: ({ shape }, [x]) => [x[0], ...shape.slice(1)],
  QUANTIZE: same,
  DEQUANTIZE: same,
  RELU: same,
  RELU6: same,
  RELU_N1_TO_1: same,
  SUB: broadcast,
  TRANSPOSE_CONV: ({ outputShape }, [x]) => [x[0], ...outputShape.slice(1)],
  CONCATENATION: ({ axis }, inputs) =>
    inputs[0].map((size, i) => (i === axis ? inputs.reduce((sum, shape) => sum + shape[axis], 0) : size)),
  SPLIT: ({ axis, sizes }, [x]) => x.map((size, i) => (i === axis ? sizes[0] : size)),
  STRIDED_SLICE: ({ begin, end, strides, squeeze }) =>
    begin.map((from, i) => Math.ceil((end[i] - from) / strides[i])).filter((_, i) => !squeeze.includes(i)),
  TRANSPOSE: ({ permutation }, [x]) => permutation.map((axis) => x[axis]),
  RESIZE_NEAREST_NEIGHBOR: resize,
  RESIZE_BILINEAR: resize,
  LOGISTIC: same,
  TANH: same,
  HARD_SWISH: same,
  LOG_SOFTMAX: same,
  LEAKY_RELU: same,
  PRELU: same,
  CAST: same,
  BATCH_MATMUL: matmul,
  BATCH_NORMALIZATION: same,
};

/** The rule of the node's op applied to operand shapes. */
export function outputShape(node: Node, inputs: Shape[]): number[] {
  return (SHAPES[node.op] as Rule<OpName>)(node.attributes as never, inputs);
}
