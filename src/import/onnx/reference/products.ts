/** Matrix products and convolutions of integers, any number of dimensions, and what joins them in small tests. */
import { ModelFormatError } from "../../../errors.ts";
import { requantize } from "../../../kernels/requantize.ts";
import { elements } from "../../../model/graph.ts";
import { refuse } from "../refusal.ts";
import type { ReferenceNode, ReferenceOperator } from "./evaluate.ts";
import { checkedElements, indexOf, type ReferenceValue, range, stored, stridesOf } from "./value.ts";

const f32 = Math.fround;
const MAX_PRODUCTS = 1 << 27;

/** A zero point of each row or column, or one for all. count: rows or columns. */
function zeroOf(node: ReferenceNode, i: number, count: number): (at: number) => number {
  const zero = node.optional(i);
  if (!zero) return () => 0;
  if (zero.data.length !== 1 && zero.data.length !== count)
    node.malformed(`1 or ${count} zero points`, `${zero.data.length}`);
  return (at) => zero.data[zero.data.length === 1 ? 0 : at];
}

interface Matrices {
  /** Of the product, dimensions of 1 that a vector got dropped again. */
  shape: number[];
  rows: number;
  depth: number;
  columns: number;
  /** Places of the first elements of the two matrices, of each product. */
  starts: { a: number; b: number }[];
}

/** Numpy's matmul: the last two dimensions are multiplied, those before broadcast. */
function matrices(node: ReferenceNode, a: ReferenceValue, b: ReferenceValue): Matrices {
  const left = a.shape.length === 1 ? [1, ...a.shape] : a.shape;
  const right = b.shape.length === 1 ? [...b.shape, 1] : b.shape;
  const [rows, depth] = left.slice(-2);
  const [own, columns] = right.slice(-2);
  if (left.length < 2 || right.length < 2 || own !== depth)
    node.malformed("matrices that can be multiplied", `[${a.shape}] and [${b.shape}]`);
  const rank = Math.max(left.length, right.length) - 2;
  const outer = (shape: number[]) => [
    ...new Array<number>(rank - shape.length + 2).fill(1),
    ...shape.slice(0, -2),
  ];
  const [x, y] = [outer(left), outer(right)];
  if (x.some((size, d) => size !== y[d] && size !== 1 && y[d] !== 1))
    node.malformed("shapes that broadcast", `[${a.shape}] and [${b.shape}]`);
  const many = x.map((size, d) => (size === 1 ? y[d] : size));
  const start = (index: number[], shape: number[], size: number) =>
    index.reduce((at, i, d) => at + (shape[d] === 1 ? 0 : i) * stridesOf(shape)[d], 0) * size;
  const count = elements(many);
  if (count * rows * columns * depth > MAX_PRODUCTS)
    throw new ModelFormatError(node.place, `at most ${MAX_PRODUCTS} products`, "more");
  const starts = Array.from({ length: count }, (_, i) => {
    const index = indexOf(i, many);
    return { a: start(index, x, rows * depth), b: start(index, y, depth * columns) };
  });
  const kept = [...many, ...(a.shape.length === 1 ? [] : [rows]), ...(b.shape.length === 1 ? [] : [columns])];
  return { shape: kept, rows, depth, columns, starts };
}

type Dot = (a: number, b: number, row: number, column: number) => number;

/** Every output by its first elements, row and column. dot: of elements a + k and b + k * columns. */
function multiplied({ rows, columns, depth, starts }: Matrices, dot: Dot): Float64Array {
  const data = new Float64Array(starts.length * rows * columns);
  let to = 0;
  for (const { a, b } of starts)
    for (let row = 0; row < rows; row++)
      for (let column = 0; column < columns; column++)
        data[to++] = dot(a + row * depth, b + column, row, column);
  return data;
}

function integerDot(
  node: ReferenceNode,
  a: ReferenceValue,
  b: ReferenceValue,
  m: Matrices,
  zeros: [number, number],
) {
  if (!range(a.type) || !range(b.type)) refuse(`multiplies ${a.type} by ${b.type}`);
  const [az, bz] = [zeroOf(node, zeros[0], m.rows), zeroOf(node, zeros[1], m.columns)];
  const dot: Dot = (from, to, row, column) => {
    const [left, right] = [az(row), bz(column)];
    let sum = 0;
    for (let k = 0; k < m.depth; k++)
      sum = (sum + (a.data[from + k] - left) * (b.data[to + k * m.columns] - right)) | 0;
    return sum;
  };
  return dot;
}

const matMulInteger: ReferenceOperator = (node) => {
  const [a, b] = [node.input(0), node.input(1)];
  const m = matrices(node, a, b);
  return [{ type: "int32", shape: m.shape, data: multiplied(m, integerDot(node, a, b, m, [2, 3])) }];
};

/** f32(f32(acc) * f32(f32(xs * ws) / ys)), half to even, and the output's zero point. */
function requantizer(
  node: ReferenceNode,
  output: ReferenceValue["type"],
  places: [number, number, number, number],
) {
  const [xs, ws, ys] = places.slice(0, 3).map((i) => node.input(i));
  const zero = node.optional(places[3])?.data[0] ?? 0;
  const [activationMin, activationMax] = range(output) ?? refuse(`quantizes to ${output}`);
  const at = (scale: ReferenceValue, i: number) => scale.data[scale.data.length === 1 ? 0 : i];
  return (acc: number, row: number, channel: number) => {
    const scale = f32(f32(at(xs, row) * at(ws, channel)) / ys.data[0]);
    const ends = { outputOffset: zero, activationMin, activationMax };
    return requantize("float-even", acc, { multiplier: 0, shift: 0, scale }, ends);
  };
}

const qLinearMatMul: ReferenceOperator = (node) => {
  const [a, b] = [node.input(0), node.input(3)];
  const type = node.optional(7)?.type ?? a.type;
  const m = matrices(node, a, b);
  const dot = integerDot(node, a, b, m, [2, 5]);
  const scaled = requantizer(node, type, [1, 4, 6, 7]);
  const data = multiplied(m, (from, to, row, column) => scaled(dot(from, to, row, column), row, column));
  return [{ type, shape: m.shape, data }];
};

/** In float32, from the first product to the last; float16 is rounded at the end. */
const matMul: ReferenceOperator = (node) => {
  const [a, b] = [node.input(0), node.input(1)];
  if (range(a.type)) refuse(`multiplies ${a.type}`);
  const m = matrices(node, a, b);
  const data = multiplied(m, (from, to) => {
    let sum = 0;
    for (let k = 0; k < m.depth; k++) sum = f32(sum + f32(a.data[from + k] * b.data[to + k * m.columns]));
    return stored(a.type, sum);
  });
  return [{ type: a.type, shape: m.shape, data }];
};

interface Window {
  groups: number;
  output: number[];
  strides: number[];
  dilations: number[];
  before: number[];
}

/** Of a convolution over all dimensions behind the second. */
function windowOf(node: ReferenceNode, x: ReferenceValue, w: ReferenceValue): Window {
  const [sizes, kernel] = [x.shape.slice(2), w.shape.slice(2)];
  const ones = sizes.map(() => 1);
  const groups = node.int("group", 1);
  const [strides, dilations] = [node.ints("strides") ?? ones, node.ints("dilations") ?? ones];
  const pads = node.ints("pads") ?? [...ones, ...ones].map(() => 0);
  const lists = [strides, dilations, kernel].every(({ length }) => length === sizes.length);
  const positive = [...strides, ...dilations, groups].every((n) => n >= 1);
  if (!lists || !positive || pads.length !== 2 * sizes.length || pads.some((n) => n < 0))
    node.malformed("a stride, dilation and two pads a dimension", "another number, or a negative one");
  if (x.shape[1] !== w.shape[1] * groups || w.shape[0] % groups !== 0)
    node.malformed(`a filter for ${x.shape[1]} channels in ${groups} groups`, `[${w.shape}]`);
  const auto = node.string("auto_pad", "NOTSET");
  const extents = kernel.map((size, d) => (size - 1) * dilations[d] + 1);
  const isSame = auto === "SAME_UPPER" || auto === "SAME_LOWER";
  const output = sizes.map((size, d) => {
    const padded = size + (auto === "NOTSET" ? pads[d] + pads[d + sizes.length] : 0);
    return isSame ? Math.ceil(size / strides[d]) : Math.floor((padded - extents[d]) / strides[d]) + 1;
  });
  if (output.some((size) => !(size >= 1))) node.malformed("a filter within the padded image", `[${w.shape}]`);
  const total = (d: number) => Math.max((output[d] - 1) * strides[d] + extents[d] - sizes[d], 0);
  const before = sizes.map((_, d) => {
    if (!isSame) return auto === "NOTSET" ? pads[d] : 0;
    return auto === "SAME_UPPER" ? total(d) >> 1 : (total(d) + 1) >> 1;
  });
  return { groups, output, strides, dilations, before };
}

/** Int32 sums of a convolution; taps outside of the image add nothing. zeros: the places of the zero points. */
function convolved(node: ReferenceNode, x: ReferenceValue, w: ReferenceValue, zeros: [number, number]) {
  if (x.shape.length < 3 || w.shape.length !== x.shape.length)
    node.malformed("an image and a filter of its dimensions", `[${x.shape}] and [${w.shape}]`);
  if (!range(x.type) || !range(w.type)) refuse(`convolves ${x.type} with ${w.type}`);
  const { groups, output, strides, dilations, before } = windowOf(node, x, w);
  const shape = [x.shape[0], w.shape[0], ...output];
  const taps = elements(w.shape.slice(2));
  if (checkedElements(shape, node.place) * w.shape[1] * taps > MAX_PRODUCTS)
    throw new ModelFormatError(node.place, `at most ${MAX_PRODUCTS} products`, "more");
  const [xz, wz] = [zeroOf(node, zeros[0], 1)(0), zeroOf(node, zeros[1], w.shape[0])];
  const steps = stridesOf(x.shape);
  const tapIndices = Array.from({ length: taps }, (_, t) => indexOf(t, w.shape.slice(2)));
  const data = Float64Array.from({ length: elements(shape) }, (_, at) => {
    const [image, channel, ...place] = indexOf(at, shape);
    const first = Math.floor(channel / (w.shape[0] / groups)) * w.shape[1];
    let acc = 0;
    tapIndices.forEach((tap, t) => {
      const spots = place.map((p, d) => p * strides[d] + tap[d] * dilations[d] - before[d]);
      if (spots.some((spot, d) => spot < 0 || spot >= x.shape[d + 2])) return;
      const from = spots.reduce((sum, spot, d) => sum + spot * steps[d + 2], image * steps[0]);
      for (let c = 0; c < w.shape[1]; c++) {
        const weight = w.data[(channel * w.shape[1] + c) * taps + t] - wz(channel);
        acc = (acc + (x.data[from + (first + c) * steps[1]] - xz) * weight) | 0;
      }
    });
    return acc;
  });
  return { shape, data };
}

const convInteger: ReferenceOperator = (node) => [
  { type: "int32", ...convolved(node, node.input(0), node.input(1), [2, 3]) },
];

const qLinearConv: ReferenceOperator = (node) => {
  const [x, w] = [node.input(0), node.input(3)];
  const { shape, data } = convolved(node, x, w, [2, 5]);
  const type = node.optional(7)?.type ?? x.type;
  const bias = node.optional(8);
  const scaled = requantizer(node, type, [1, 4, 6, 7]);
  return [
    {
      type,
      shape,
      data: data.map((acc, at) => {
        const channel = indexOf(at, shape)[1];
        return scaled((acc + (bias?.data[channel] ?? 0)) | 0, 0, channel);
      }),
    },
  ];
};

const transpose: ReferenceOperator = (node) => {
  const x = node.input(0);
  const order = node.ints("perm") ?? x.shape.map((_, d) => x.shape.length - 1 - d);
  if (`${[...order].sort((a, b) => a - b)}` !== `${x.shape.map((_, d) => d)}`)
    node.malformed(`a permutation of ${x.shape.length} axes`, `[${order}]`);
  const shape = order.map((axis) => x.shape[axis]);
  const strides = order.map((axis) => stridesOf(x.shape)[axis]);
  const data = x.data.map(
    (_, at) => x.data[indexOf(at, shape).reduce((from, i, d) => from + i * strides[d], 0)],
  );
  return [{ ...x, shape, data }];
};

export const PRODUCTS: Record<string, ReferenceOperator> = {
  MatMulInteger: matMulInteger,
  QLinearMatMul: qLinearMatMul,
  MatMul: matMul,
  ConvInteger: convInteger,
  QLinearConv: qLinearConv,
  Transpose: transpose,
  Identity: (node) => [node.input(0)],
};
