import { elements, isGlobalPool } from "../../model/graph.ts";
import { type Activation, identityOrder, type Value } from "./builder.ts";
import { permuteConstant, reshapeConstant } from "./constants.ts";
import { refuse } from "./refusal.ts";
import type { Rows, Site } from "./site.ts";

/** @throws ModelFormatError for a shape of more than 8 dimensions. */
export function checkRank(site: Site, dims: readonly number[]): void {
  if (dims.length > 8) site.malformed("at most 8 dimensions", `${dims.length}`);
}

/** The shape that a Reshape to `target` gives. */
export function reshapedTo(site: Site, shape: readonly number[], target: readonly number[]): number[] {
  checkRank(site, target);
  const allowsZero = site.int("allowzero", 0) !== 0;
  const dims = target.map((size, i) => (size === 0 && !allowsZero ? (shape[i] ?? 0) : size));
  const open = dims.indexOf(-1);
  const rest = dims.reduce((product, size, i) => (i === open ? product : product * size), 1);
  if (open >= 0) dims[open] = elements(shape) / rest;
  const fits =
    dims.every((size) => Number.isSafeInteger(size) && size >= 0) && elements(dims) === elements(shape);
  if (!fits) site.malformed(`a shape of ${elements(shape)} elements`, `[${target}]`);
  return dims;
}

/** The operand under another shape, given its own. */
function reshape(site: Site, to: (shape: number[]) => number[]): Value[] {
  const value = site.value(0);
  if (value.kind === "constant") return [reshapeConstant(value, to(value.dims))];
  const tensor = site.plain(0);
  return [site.asIs(site.builder.reshape(tensor, to(site.builder.shape(tensor))))];
}

const flattened = (site: Site) => (shape: number[]) => {
  const axis = site.int("axis", 1);
  const at = axis === shape.length ? axis : site.axis(axis, shape.length);
  return [elements(shape.slice(0, at)), elements(shape.slice(at))];
};

export const squeezed = (site: Site) => (shape: number[]) => {
  const given = site.intsOrOperand("axes", 1);
  const axes = given
    ? site.axes(given, shape.length)
    : shape.flatMap((size, i) => (size === 1 && i > 0 ? [i] : []));
  if (axes.some((axis) => shape[axis] !== 1)) site.malformed("axes of size 1", `[${axes}] of [${shape}]`);
  return shape.filter((_, i) => !axes.includes(i));
};

export const unsqueezed = (site: Site) => (shape: number[]) => {
  const given = site.intsOrOperand("axes", 1) ?? site.malformed("axes", "none");
  checkRank(site, [...shape, ...given]);
  const axes = site.axes(given, shape.length + given.length);
  const rest = [...shape];
  return Array.from({ length: shape.length + axes.length }, (_, i) => (axes.includes(i) ? 1 : rest.shift()!));
};

function transpose(site: Site): Value[] {
  const value = site.value(0);
  const rank = value.kind === "constant" ? value.dims.length : site.rank(0);
  const permutation = site.ints("perm") ?? identityOrder(rank).reverse();
  if (permutation.length !== rank) site.malformed(`a permutation of ${rank} axes`, `[${permutation}]`);
  const axes = site.axes(permutation, rank);
  if (value.kind === "constant") return [permuteConstant(value, axes, site.builder.budget)];
  const { tensor, order } = site.activation(0);
  return [{ kind: "activation", tensor, order: order.map((axis) => axes.indexOf(axis)) }];
}

function concat(site: Site): Value[] {
  const { builder } = site;
  const values = Array.from({ length: Math.max(1, site.values.length) }, (_, i) => site.activation(i));
  const { order } = values.find((value) => value.order.some((axis, i) => axis !== i)) ?? values[0];
  if (values.some((value) => value.order.length !== order.length))
    site.malformed("operands of one rank", "others");
  const axis = site.axis(site.int("axis", 0), order.length);
  if (axis === 0) refuse("concatenates along the batch");
  const inputs = values.map((value) => builder.inOrder(value, order));
  const [shape, ...others] = inputs.map((id) => builder.shape(id));
  const at = order.indexOf(axis);
  for (const other of others)
    if (other.some((size, i) => i !== at && size !== shape[i]))
      site.malformed(`[${shape}] but for one axis`, `[${other}]`);
  const tensor = builder.emit("CONCATENATION", inputs, { axis: at, activation: "NONE" });
  return [{ kind: "activation", tensor, order }];
}

function split(site: Site): Value[] {
  const { builder } = site;
  const { tensor, order } = site.activation(0);
  const axis = site.axis(site.int("axis", 0), order.length);
  if (axis === 0) refuse("splits the batch");
  const at = order.indexOf(axis);
  const size = builder.shape(tensor)[at];
  const parts = site.node.outputs.length;
  const each = Math.ceil(size / parts);
  const sizes =
    site.intsOrOperand("split", 1) ??
    Array.from({ length: parts }, (_, i) => Math.min(each, size - i * each));
  if (sizes.length !== parts || sizes.some((n) => !(n > 0)) || sizes.reduce((a, b) => a + b, 0) !== size)
    site.malformed(`${parts} sizes that add up to ${size}`, `[${sizes}]`);
  return builder
    .emitSplit(tensor, at, sizes, site.node.outputs)
    .map((id) => ({ kind: "activation", tensor: id, order }));
}

/** begin, end and stride of each axis of a Slice, clamped; strides are positive. */
export function sliceBounds(
  site: Site,
  shape: readonly number[],
): { begin: number[]; end: number[]; strides: number[] } {
  const starts = site.intsOrOperand("starts", 1) ?? site.malformed("starts", "none");
  const ends = site.intsOrOperand("ends", 2) ?? site.malformed("ends", "none");
  const axes = site.axes(site.intsOrOperand("axes", 3) ?? identityOrder(starts.length), shape.length);
  const steps = site.has(4) ? site.numbers(4, "the steps") : axes.map(() => 1);
  if ([ends, axes, steps].some((list) => list.length !== starts.length))
    site.malformed(`${starts.length} ends, axes and steps`, "another number");
  const bounds = { begin: shape.map(() => 0), end: [...shape], strides: shape.map(() => 1) };
  axes.forEach((axis, i) => {
    const size = shape[axis];
    const clamped = (at: number) => Math.min(size, Math.max(0, at < 0 ? at + size : at));
    if (!(steps[i] > 0)) refuse(`slices with step ${steps[i]}`);
    bounds.begin[axis] = clamped(starts[i]);
    bounds.end[axis] = clamped(ends[i]);
    bounds.strides[axis] = Math.min(steps[i], size + 1);
  });
  return bounds;
}

function slice(site: Site): Value[] {
  const { builder } = site;
  const value = site.activation(0);
  const shape = builder.logicalShape(value);
  const { begin, end, strides } = sliceBounds(site, shape);
  if (begin.some((from, i) => end[i] <= from)) refuse("an empty slice");
  if (begin[0] !== 0 || end[0] !== shape[0] || strides[0] !== 1) refuse("slices the batch");
  const laid = (list: number[]) => value.order.map((axis) => list[axis]);
  const attributes = { begin: laid(begin), end: laid(end), strides: laid(strides), squeeze: [] };
  return [{ ...value, tensor: builder.emit("STRIDED_SLICE", [value.tensor], attributes) }];
}

function pad(site: Site): Value[] {
  const { builder } = site;
  const { tensor, order } = site.activation(0);
  const rank = order.length;
  const mode = site.string("mode", "constant");
  if (mode !== "constant") refuse(`pads by ${mode}`);
  const value = site.has(2) ? site.numbers(2, "the padding value")[0] : site.float("value", 0);
  if (value !== 0) refuse(`pads with ${value}`);
  const pads = site.intsOrOperand("pads", 1) ?? site.malformed("pads", "none");
  const axes = site.has(3) ? site.axes(site.numbers(3, "the axes"), rank) : identityOrder(rank);
  if (pads.length !== 2 * axes.length) site.malformed(`${2 * axes.length} pads`, `${pads.length}`);
  if (pads.some((n) => n < 0)) refuse(`negative pads [${pads}]`);
  const amount = (offset: number) =>
    order.map((axis) => (axes.includes(axis) ? pads[offset + axes.indexOf(axis)] : 0));
  const attributes = { before: amount(0), after: amount(axes.length) };
  if (attributes.before[0] + attributes.after[0] > 0) refuse("pads the batch");
  return [{ kind: "activation", tensor: builder.emit("PAD", [tensor], attributes), order }];
}

const others = (rank: number, axes: readonly number[]) =>
  identityOrder(rank).filter((axis) => !axes.includes(axis));

/** Whether these axes lie in a layout as they do in the file. */
function ascends(order: readonly number[], axes: readonly number[]): boolean {
  const places = [...axes].sort((a, b) => a - b).map((axis) => order.indexOf(axis));
  return places.every((place, i) => i === 0 || place > places[i - 1]);
}

/** Where the one run of reduced dimensions lies, those of size 1 left out; undefined where there are several, or it is first. */
function runOf(shape: readonly number[], axes: readonly number[]): "last" | "between" | undefined {
  const flags = shape.flatMap((size, axis) => (size === 1 ? [] : [axes.includes(axis)]));
  const runs = flags.filter((flag, i) => flag !== flags[i - 1]);
  if (runs.join() === "true" || runs.join() === "false,true") return "last";
  return runs.join() === "false,true,false" ? "between" : undefined;
}

/** The sum is in the order of the file's dimensions. */
function mean(site: Site): Value[] {
  const { builder } = site;
  const x = site.activation(0);
  const rank = x.order.length;
  const given = site.intsOrOperand("axes", 1);
  if (!given?.length && site.int("noop_with_empty_axes", 0) !== 0) return [site.value(0)];
  const axes = given?.length ? site.axes(given, rank) : identityOrder(rank);
  if (axes.includes(0)) refuse("reduces the batch");
  const keepDims = site.int("keepdims", 1) !== 0;
  const reduced = runOf(builder.logicalShape(x), axes);
  const isInOrder = ascends(x.order, axes) && (!reduced || ascends(x.order, others(rank, axes)));
  const order = isInOrder ? x.order : identityOrder(rank);
  const own = axes.map((axis) => order.indexOf(axis)).sort((a, b) => a - b);
  const attributes = { axes: own, keepDims };
  const made = builder.emit("MEAN", [builder.inOrder(x, order)], {
    ...attributes,
    ...(isGlobalPool(attributes, rank) && { inOrder: true as const }),
    ...(reduced && { reduced }),
  });
  const left = order.filter((axis) => !axes.includes(axis));
  const ranked = [...left].sort((a, b) => a - b);
  const after = keepDims ? order : left.map((axis) => ranked.indexOf(axis));
  return [{ kind: "activation", tensor: made, order: after } satisfies Activation];
}

/** Operators that move, cut or join values. */
export const MOVEMENT: Rows = {
  Reshape: (site) => reshape(site, (shape) => reshapedTo(site, shape, site.numbers(1, "the shape"))),
  Flatten: (site) => reshape(site, flattened(site)),
  Squeeze: (site) => reshape(site, squeezed(site)),
  Unsqueeze: (site) => reshape(site, unsqueezed(site)),
  Transpose: transpose,
  Concat: concat,
  Split: split,
  Slice: slice,
  Pad: pad,
  ReduceMean: mean,
};
