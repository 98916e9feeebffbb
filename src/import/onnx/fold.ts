import { elements } from "../../model/graph.ts";
import {
  allocate,
  type Constant,
  type ConstantType,
  constantOf,
  gather,
  numbersOf,
  reshapeConstant,
} from "./constants.ts";
import { checkRank, reshapedTo, sliceBounds, squeezed, unsqueezed } from "./movement.ts";
import { refuse } from "./refusal.ts";
import { dataTypeName } from "./schema.ts";
import type { Site } from "./site.ts";
import { HELD_AS } from "./tensor.ts";

/** What a node whose operands are all known gives. Arithmetic is for shapes: at most 65,536 elements. */
type Fold = (site: Site) => Constant;

const MAX_FOLDED = 1 << 22;

/** This many operands, or all that there are, at least one. */
const operands = (site: Site, count = Math.max(1, site.values.length)) =>
  Array.from({ length: count }, (_, i) => site.constant(i, `input ${i}`));
const label = (site: Site) => site.node.outputs[0];

/** dims of a and b broadcast together. */
function broadcast(a: readonly number[], b: readonly number[]): number[] {
  const rank = Math.max(a.length, b.length);
  return Array.from({ length: rank }, (_, i) => {
    const [x, y] = [a[i - rank + a.length] ?? 1, b[i - rank + b.length] ?? 1];
    if (x !== y && x !== 1 && y !== 1) refuse(`[${a}] and [${b}] do not broadcast`);
    return x === 1 ? y : x;
  });
}

/** The elements of a constant repeated to a larger shape. */
function expanded(constant: Constant, dims: number[], { budget }: Site["builder"]): number[] {
  if (elements(dims) > MAX_FOLDED) refuse(`[${dims}] is too large to compute with`);
  budget.spend(elements(dims) * 8);
  const values = numbersOf(constant, budget);
  const lead = dims.length - constant.dims.length;
  const strides = dims.map((_, i) =>
    i < lead || constant.dims[i - lead] === 1 ? 0 : elements(constant.dims.slice(i - lead + 1)),
  );
  const result = new Float64Array(elements(dims));
  gather(Float64Array.from(values) as never, result as never, dims, strides, 0);
  return [...result];
}

const arithmetic =
  (apply: (a: number, b: number, isFloat: boolean) => number, type?: ConstantType): Fold =>
  (site) => {
    const [a, b] = operands(site, 2);
    const dims = broadcast(a.dims, b.dims);
    const [x, y] = [expanded(a, dims, site.builder), expanded(b, dims, site.builder)];
    const isFloat = a.type === "float32";
    return constantOf(
      label(site),
      dims,
      type ?? a.type,
      x.map((value, i) => apply(value, y[i], isFloat)),
    );
  };

const each =
  (apply: (value: number) => number): Fold =>
  (site) => {
    const x = site.constant(0, "input 0");
    return constantOf(label(site), x.dims, x.type, numbersOf(x, site.builder.budget).map(apply));
  };

function cast(site: Site): Constant {
  const x = site.constant(0, "input 0");
  const name = dataTypeName(site.int("to", 0));
  const type = (name && HELD_AS[name]) ?? refuse(`casts to ${name}`);
  if (type === x.type) return x;
  const data = allocate(type, x.data.length, site.builder.budget);
  const whole = type !== "float32";
  for (let i = 0; i < data.length; i++) {
    const value = Number(x.data[i]);
    const kept = type === "bool" ? Number(value !== 0) : whole ? Math.trunc(value) : value;
    data[i] = data instanceof BigInt64Array ? BigInt(Number.isFinite(kept) ? kept : 0) : kept;
  }
  return { kind: "constant", name: label(site), dims: x.dims, type, data };
}

function shapeOf(site: Site): Constant {
  const value = site.value(0);
  const dims =
    value.kind === "activation" ? site.builder.logicalShape(value) : site.constant(0, "input 0").dims;
  const part = dims.slice(site.int("start", 0), site.node.attributes.get("end")?.i);
  return constantOf(label(site), [part.length], "int64", part);
}

function filled(site: Site): Constant {
  const dims = site.numbers(0, "the shape");
  checkRank(site, dims);
  if (dims.some((size) => !(size >= 0)) || elements(dims) > MAX_FOLDED)
    site.malformed(`a shape of at most ${MAX_FOLDED} elements`, `[${dims}]`);
  const value = site.tensor("value");
  const data = allocate(value?.type ?? "float32", elements(dims), site.builder.budget);
  data.fill((value?.data[0] ?? 0) as never);
  return { kind: "constant", name: label(site), dims, type: value?.type ?? "float32", data };
}

function constant(site: Site): Constant {
  const { attributes } = site.node;
  const name = label(site);
  const value = site.tensor("value");
  if (value) return value;
  const ints = attributes.get("value_int") ?? attributes.get("value_ints");
  if (ints) return list(name, "int64", attributes.has("value_int"), ints.i, ints.ints);
  const floats = attributes.get("value_float") ?? attributes.get("value_floats");
  if (floats) return list(name, "float32", attributes.has("value_float"), floats.f, floats.floats);
  return refuse(`a constant of ${[...attributes.keys()].join(", ") || "nothing"}`);
}

const list = (name: string, type: ConstantType, isOne: boolean, one: number, many: number[]) =>
  isOne ? constantOf(name, [], type, [one]) : constantOf(name, [many.length], type, many);

/** Slices of `data` along an axis, as indices say. */
function gathered(site: Site): Constant {
  const [x, indices] = operands(site, 2);
  const axis = site.axis(site.int("axis", 0), x.dims.length);
  const size = x.dims[axis];
  const picks = numbersOf(indices, site.builder.budget).map((i) => (i < 0 ? i + size : i));
  if (!picks.every((i) => Number.isSafeInteger(i) && i >= 0 && i < size))
    site.malformed(`indices below ${size}`, `${picks.slice(0, 8)}`);
  const outer = elements(x.dims.slice(0, axis));
  const inner = elements(x.dims.slice(axis + 1));
  if (outer * inner * picks.length > MAX_FOLDED) refuse("a Gather that is too large to compute");
  const data = allocate(x.type, outer * picks.length * inner, site.builder.budget);
  let to = 0;
  for (let o = 0; o < outer; o++)
    for (const pick of picks)
      for (let i = 0; i < inner; i++) data[to++] = x.data[(o * size + pick) * inner + i];
  return {
    ...x,
    name: label(site),
    dims: [...x.dims.slice(0, axis), ...indices.dims, ...x.dims.slice(axis + 1)],
    data,
  };
}

function concatenated(site: Site): Constant {
  const parts = operands(site);
  const [first] = parts;
  const axis = site.axis(site.int("axis", 0), first.dims.length);
  for (const { dims, type } of parts)
    if (
      type !== first.type ||
      dims.length !== first.dims.length ||
      dims.some((n, i) => i !== axis && n !== first.dims[i])
    )
      site.malformed(`[${first.dims}] but for one axis`, `[${dims}]`);
  const dims = first.dims.with(
    axis,
    parts.reduce((sum, part) => sum + part.dims[axis], 0),
  );
  const data = allocate(first.type, elements(dims), site.builder.budget);
  const outer = elements(dims.slice(0, axis));
  let to = 0;
  for (let o = 0; o < outer; o++)
    for (const part of parts) {
      const run = part.data.length / outer;
      data.set(part.data.subarray(o * run, (o + 1) * run) as never, to);
      to += run;
    }
  return { ...first, name: label(site), dims, data };
}

function sliced(site: Site): Constant {
  const x = site.constant(0, "input 0");
  const { begin, end, strides } = sliceBounds(site, x.dims);
  const dims = begin.map((from, i) => Math.max(0, Math.ceil((end[i] - from) / strides[i])));
  const steps = x.dims.map((_, i) => elements(x.dims.slice(i + 1)));
  const data = allocate(x.type, elements(dims), site.builder.budget);
  const start = begin.reduce((sum, from, i) => sum + from * steps[i], 0);
  gather(
    x.data,
    data,
    dims,
    steps.map((step, i) => step * strides[i]),
    start,
  );
  return { ...x, name: label(site), dims, data };
}

function range(site: Site): Constant {
  const [start, limit, delta] = operands(site, 3);
  const [from, to, step] = [start, limit, delta].map((one) => Number(one.data[0]));
  const count = Math.max(0, Math.ceil((to - from) / step));
  if (!(count <= 65536)) site.malformed("a range of at most 65536", `${count}`);
  return constantOf(
    label(site),
    [count],
    start.type,
    Array.from({ length: count }, (_, i) => from + i * step),
  );
}

function where(site: Site): Constant {
  const [condition, x, y] = operands(site, 3);
  const dims = broadcast(broadcast(condition.dims, x.dims), y.dims);
  const [c, a, b] = [condition, x, y].map((part) => expanded(part, dims, site.builder));
  return constantOf(
    label(site),
    dims,
    x.type,
    c.map((is, i) => (is ? a[i] : b[i])),
  );
}

function expand(site: Site): Constant {
  const [x, shape] = operands(site, 2);
  const wanted = numbersOf(shape, site.builder.budget);
  checkRank(site, wanted);
  const dims = broadcast(x.dims, wanted);
  return constantOf(label(site), dims, x.type, expanded(x, dims, site.builder));
}

function product(site: Site): Constant {
  const x = site.constant(0, "input 0");
  if (x.dims.length > 1) refuse("a product over part of a constant");
  const kept = site.int("keepdims", 1) !== 0 ? [1] : [];
  return constantOf(label(site), kept, x.type, [
    numbersOf(x, site.builder.budget).reduce((a, b) => a * b, 1),
  ]);
}

/** Reads shapes of operands that are not known themselves. */
export const SHAPE_FOLDS: Record<string, Fold> = {
  Shape: shapeOf,
  Size: (site) => {
    const { data } = shapeOf(site);
    return constantOf(label(site), [], "int64", [Array.from(data, Number).reduce((a, b) => a * b, 1)]);
  },
};

/** Operators that are computed here when all their operands are constants. */
export const FOLDS: Record<string, Fold> = {
  Constant: constant,
  ConstantOfShape: filled,
  Cast: cast,
  Gather: gathered,
  Concat: concatenated,
  Slice: sliced,
  Range: range,
  Where: where,
  Expand: expand,
  ReduceProd: product,
  Reshape: (site) => {
    const x = site.constant(0, "input 0");
    return reshapeConstant(x, reshapedTo(site, x.dims, site.numbers(1, "the shape")));
  },
  Squeeze: (site) => {
    const x = site.constant(0, "input 0");
    return reshapeConstant(x, squeezed(site)(x.dims));
  },
  Unsqueeze: (site) => {
    const x = site.constant(0, "input 0");
    return reshapeConstant(x, unsqueezed(site)(x.dims));
  },
  Add: arithmetic((a, b) => a + b),
  Sub: arithmetic((a, b) => a - b),
  Mul: arithmetic((a, b) => a * b),
  Div: arithmetic((a, b, isFloat) => (isFloat ? a / b : Math.trunc(a / b))),
  Mod: arithmetic((a, b) => a - b * Math.floor(a / b)),
  Min: arithmetic((a, b) => Math.min(a, b)),
  Max: arithmetic((a, b) => Math.max(a, b)),
  Equal: arithmetic((a, b) => Number(a === b), "bool"),
  Less: arithmetic((a, b) => Number(a < b), "bool"),
  Greater: arithmetic((a, b) => Number(a > b), "bool"),
  Neg: each((value) => -value),
  Abs: each(Math.abs),
  Floor: each(Math.floor),
  Ceil: each(Math.ceil),
  Sqrt: each(Math.sqrt),
};
