import { elements } from "../../model/graph.ts";
import type { Table } from "./flatbuffer.ts";
import type { Row } from "./operators.ts";
import type { Converted, Site } from "./site.ts";

/** The value that PADV2 writes where it is not the zero of x. */
function padValue(site: Site): { value?: number } {
  if (!site.has(2)) return {};
  const { data } = site.tensor(2);
  const { dtype, quantization } = site.tensor(0);
  if (data === undefined) site.refuse("pad value known only at run time");
  if (data.length !== 1 || site.tensor(2).dtype !== dtype)
    site.malformed(`one pad value of ${dtype}`, "another");
  const value = Number(data[0]);
  if (value === (quantization?.zeroPoint[0] ?? 0)) return {};
  return dtype === "float32" ? site.refuse(`pad value ${value}`) : { value };
}

function pad(site: Site): Converted {
  const x = site.shape(0);
  const pads = site.indices(1, "paddings", 2 * x.length);
  if (pads.some((p) => p < 0)) site.malformed("paddings from 0", `[${pads}]`);
  const before = x.map((_, i) => pads[2 * i]);
  const after = x.map((_, i) => pads[2 * i + 1]);
  if (before[0] !== 0 || after[0] !== 0) site.refuse("padding of the batch");
  return { op: "PAD", inputs: site.operands(0), attributes: { before, after, ...padValue(site) } };
}

/** The shape that RESHAPE names, or undefined where only the output tensor has it. */
function namedShape(site: Site): number[] | undefined {
  if (site.op !== "RESHAPE") return undefined;
  if (site.has(1)) return site.tensor(1).data && site.indices(1, "shape");
  return site.options("ReshapeOptions")?.numbers(0, "new_shape", "int32");
}

/**
 * RESHAPE, SQUEEZE and EXPAND_DIMS. A shape computed at run time is taken from the output tensor: such arithmetic
 * (SHAPE, PACK) only carries the batch.
 */
function reshape(site: Site): Converted {
  const x = site.shape(0);
  const named = namedShape(site);
  const shape = named ? fillShape(site, named, elements(x)) : [...site.output().tensor.shape];
  const image = elements(x.slice(1));
  if (elements(shape) % image !== 0) site.malformed(`a shape of ${elements(x)} elements`, `[${shape}]`);
  if (x.length === 0 || elements(shape.slice(1)) !== image)
    site.refuse(`shape [${x}] to [${shape}] moves values between images`);
  return { op: "RESHAPE", inputs: site.operands(0), attributes: { shape: [x[0], ...shape.slice(1)] } };
}

function fillShape(site: Site, named: number[], count: number): number[] {
  const known = named.reduce((product, size) => (size === -1 ? product : product * size), 1);
  const open = named.filter((size) => size === -1).length;
  const shape = named.map((size) => (size === -1 ? count / known : size));
  if (open > 1 || named.length > 6 || !shape.every((size) => Number.isSafeInteger(size) && size > 0))
    site.malformed(`a shape of ${count} elements`, `[${named}]`);
  return shape;
}

function transpose(site: Site): Converted {
  const x = site.shape(0);
  const permutation = site.indices(1, "permutation", x.length).map((axis) => site.axis(axis, x.length));
  if (new Set(permutation).size !== x.length) site.malformed("a permutation", `[${permutation}]`);
  if (permutation[0] !== 0) site.refuse("transposition of the batch");
  return { op: "TRANSPOSE", inputs: site.operands(0), attributes: { permutation } };
}

function concatenation(site: Site): Converted {
  const options = site.options("ConcatenationOptions");
  const shape = site.shape(0);
  const axis = site.axis(options?.int32(0, "axis") ?? 0, shape.length);
  if (axis === 0) site.refuse("concatenation along the batch");
  site.inputs.forEach((_, i) => {
    const other = site.shape(i, shape.length);
    if (other.some((size, d) => d !== axis && size !== shape[d]))
      site.malformed(`inputs that differ along axis ${axis} only`, `[${shape}] and [${other}]`);
  });
  return {
    op: "CONCATENATION",
    inputs: [...site.inputs],
    attributes: { axis, activation: site.activation(options, 1) },
  };
}

/** SPLIT: axis, x. */
function split(site: Site): Converted {
  const x = site.shape(1);
  const axis = site.axis(site.indices(0, "axis", 1)[0], x.length);
  const parts = site.options("SplitOptions")?.int32(0, "num_splits") ?? 0;
  if (parts !== site.outputs.length || x[axis] % parts !== 0)
    site.malformed(`num_splits ${site.outputs.length} that divides ${x[axis]}`, `${parts}`);
  if (axis === 0) site.refuse("split of the batch");
  const sizes = site.outputs.map(() => x[axis] / parts);
  return { op: "SPLIT", inputs: site.operands(1), attributes: { axis, sizes } };
}

/** SPLIT_V: x, sizes, axis. One size may be -1: the rest. */
function splitV(site: Site): Converted {
  const x = site.shape(0);
  const axis = site.axis(site.indices(2, "axis", 1)[0], x.length);
  const named = site.indices(1, "size_splits", site.outputs.length);
  const known = named.reduce((sum, size) => (size === -1 ? sum : sum + size), 0);
  const sizes = named.map((size) => (size === -1 ? x[axis] - known : size));
  if (sizes.some((size) => size < 1) || sizes.reduce((sum, size) => sum + size, 0) !== x[axis])
    site.malformed(`sizes that add up to ${x[axis]}`, `[${named}]`);
  if (axis === 0) site.refuse("split of the batch");
  return { op: "SPLIT", inputs: site.operands(0), attributes: { axis, sizes } };
}

interface Masks {
  begin: number;
  end: number;
  shrink: number;
}

function readMasks(site: Site, options: Table | undefined): Masks {
  if (options?.int32(2, "ellipsis_mask")) site.refuse("ellipsis_mask");
  if (options?.int32(3, "new_axis_mask")) site.refuse("new_axis_mask");
  return {
    begin: options?.int32(0, "begin_mask") ?? 0,
    end: options?.int32(1, "end_mask") ?? 0,
    shrink: options?.int32(4, "shrink_axis_mask") ?? 0,
  };
}

/** [begin, end) of one dimension, clamped. Source: StridedSliceStartForAxis, StridedSliceEndForAxis, LiteRT f674577. */
function sliceAxis(
  size: number,
  range: { begin: number; end: number; stride: number },
  masked: { begin: boolean; end: boolean; shrink: boolean },
): [number, number] {
  const forward = range.stride > 0;
  const clamp = (value: number) => {
    const index = value < 0 ? value + size : value;
    return forward ? Math.min(Math.max(index, 0), size) : Math.min(Math.max(index, -1), size - 1);
  };
  const begin = masked.begin ? (forward ? 0 : size - 1) : clamp(range.begin);
  if (masked.shrink) return [begin, begin + 1];
  return [begin, masked.end ? (forward ? size : -1) : clamp(range.end)];
}

function stridedSlice(site: Site): Converted {
  const x = site.shape(0);
  const begins = site.indices(1, "begin");
  const ends = site.indices(2, "end", begins.length);
  const strides = site.indices(3, "strides", begins.length);
  if (begins.length > x.length || strides.includes(0))
    site.malformed(`at most ${x.length} ranges with strides`, `${begins.length} of strides [${strides}]`);
  const options = site.options("StridedSliceOptions");
  const masks = readMasks(site, options);
  const offset = options?.bool(5, "offset") ?? false;
  const ranges = x.map((size, i) => {
    if (i >= begins.length) return [0, size];
    const end = offset ? begins[i] + ends[i] : ends[i];
    const bit = (mask: number) => ((mask >> i) & 1) === 1;
    const range = { begin: begins[i], end, stride: strides[i] };
    return sliceAxis(size, range, {
      begin: bit(masks.begin),
      end: bit(masks.end),
      shrink: bit(masks.shrink),
    });
  });
  const squeeze = x.flatMap((_, i) => (i < begins.length && (masks.shrink >> i) & 1 ? [i] : []));
  if (squeeze.some((i) => ranges[i][0] < 0 || ranges[i][0] >= x[i]))
    site.malformed(`an index within [${x}]`, `[${begins}]`);
  return sliced(
    site,
    ranges,
    x.map((_, i) => (squeeze.includes(i) ? 1 : (strides[i] ?? 1))),
    squeeze,
  );
}

/** SLICE: x, begin, size; a size of -1 is the rest. */
function slice(site: Site): Converted {
  const x = site.shape(0);
  const begin = site.indices(1, "begin", x.length);
  const size = site.indices(2, "size", x.length);
  const ranges = x.map((length, i) => [begin[i], size[i] === -1 ? length : begin[i] + size[i]]);
  if (ranges.some(([from, to], i) => from < 0 || to > x[i]))
    site.malformed(`a slice within [${x}]`, `[${begin}] of [${size}]`);
  return sliced(
    site,
    ranges,
    x.map(() => 1),
    [],
  );
}

function sliced(site: Site, ranges: number[][], strides: number[], squeeze: number[]): Converted {
  const x = site.shape(0);
  if (ranges.length === 0) site.refuse("slice of a scalar");
  const [from, to] = ranges[0];
  if (from !== 0 || to !== x[0] || strides[0] !== 1 || squeeze.includes(0)) site.refuse("slice of the batch");
  if (ranges.some(([begin, end], i) => (end - begin) / strides[i] <= 0)) site.refuse("an empty slice");
  return {
    op: "STRIDED_SLICE",
    inputs: site.operands(0),
    attributes: { begin: ranges.map((r) => r[0]), end: ranges.map((r) => r[1]), strides, squeeze },
  };
}

/** firstFlag: id of align_corners, after which half_pixel_centers follows. */
const resize = (
  op: "RESIZE_BILINEAR" | "RESIZE_NEAREST_NEIGHBOR",
  type: "ResizeBilinearOptions" | "ResizeNearestNeighborOptions",
  firstFlag: number,
): Row => ({
  inputs: [2, 2],
  read: (site) => {
    site.shape(0, 4);
    const [height, width] = site.indices(1, "size", 2);
    if (Math.min(height, width) < 1) site.malformed("a size from 1", `[${height}, ${width}]`);
    const options = site.options(type);
    const alignCorners = options?.bool(firstFlag, "align_corners") ?? false;
    const halfPixelCenters = options?.bool(firstFlag + 1, "half_pixel_centers") ?? false;
    if (alignCorners && halfPixelCenters) site.malformed("align_corners or half_pixel_centers", "both");
    return { op, inputs: site.operands(0), attributes: { height, width, alignCorners, halfPixelCenters } };
  },
});

/** The operators that move values and compute none. */
export const LAYOUT_OPERATORS: readonly [string, Row][] = [
  ["PAD", { inputs: [2, 2], read: pad }],
  ["PADV2", { inputs: [3, 3], read: pad }],
  ["RESHAPE", { inputs: [1, 2], read: reshape }],
  ["SQUEEZE", { inputs: [1, 1], read: reshape }],
  ["EXPAND_DIMS", { inputs: [2, 2], read: reshape }],
  ["TRANSPOSE", { inputs: [2, 2], read: transpose }],
  ["CONCATENATION", { inputs: [1, 1024], read: concatenation }],
  ["SPLIT", { inputs: [2, 2], outputs: [1, 1024], read: split }],
  ["SPLIT_V", { inputs: [3, 3], outputs: [1, 1024], read: splitV }],
  ["STRIDED_SLICE", { inputs: [4, 4], read: stridedSlice }],
  ["SLICE", { inputs: [3, 3], read: slice }],
  ["RESIZE_BILINEAR", resize("RESIZE_BILINEAR", "ResizeBilinearOptions", 2)],
  ["RESIZE_NEAREST_NEIGHBOR", resize("RESIZE_NEAREST_NEIGHBOR", "ResizeNearestNeighborOptions", 0)],
];
