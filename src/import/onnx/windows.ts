import { type Padding, windowAxis } from "../../model/graph.ts";
import { type Activation, identityOrder } from "./builder.ts";
import { refuse } from "./refusal.ts";
import type { Site } from "./site.ts";

/** A value as an NHWC tensor, and the way back for what an image op makes of it. */
export interface Image {
  tensor: number;
  height: number;
  width: number;
  channels: number;
  /** The operator's own spatial rank: 1 or 2. */
  spatial: 1 | 2;
  value(made: number): Activation;
}

const NHWC = [0, 2, 3, 1];
const NWC = [0, 2, 1];

/** Operand i, [N, C, H, W] or [N, C, W], as NHWC. A row of values is an image of height 1. */
export function imageOf(site: Site, i: number): Image {
  const { builder } = site;
  const rank = site.rank(i);
  if (rank === 4) {
    const tensor = builder.inOrder(site.activation(i), NHWC);
    const [, height, width, channels] = builder.shape(tensor);
    return {
      tensor,
      height,
      width,
      channels,
      spatial: 2,
      value: (made) => ({ kind: "activation", tensor: made, order: NHWC }),
    };
  }
  if (rank !== 3) refuse(`${rank - 2} spatial dimensions`);
  const row = builder.inOrder(site.activation(i), NWC);
  const [batches, width, channels] = builder.shape(row);
  return {
    tensor: builder.reshape(row, [batches, 1, width, channels], `${builder.tensors[row].name}/image`),
    height: 1,
    width,
    channels,
    spatial: 1,
    value: (made) => {
      const [n, , w, c] = builder.shape(made);
      return { kind: "activation", tensor: builder.reshape(made, [n, w, c]), order: NWC };
    },
  };
}

/** A spatial attribute as [height, width]; a row's own is its width. */
export function pairOf(site: Site, name: string, spatial: 1 | 2, otherwise: number): [number, number] {
  const values = site.ints(name) ?? [];
  if (values.length === 0) return [otherwise, otherwise];
  if (values.length !== spatial) site.malformed(`${spatial} ${name}`, `[${values}]`);
  if (!values.every((value) => Number.isSafeInteger(value) && value >= 1 && value <= 1 << 20))
    site.malformed(`${name} of at least 1`, `[${values}]`);
  return spatial === 2 ? [values[0], values[1]] : [1, values[0]];
}

/** ONNX's pads as [top, bottom, left, right]. */
export function padsOf(site: Site, spatial: 1 | 2): [number, number, number, number] {
  const pads = site.ints("pads") ?? [];
  if (pads.length === 0) return [0, 0, 0, 0];
  if (pads.length !== 2 * spatial) site.malformed(`${2 * spatial} pads`, `[${pads}]`);
  if (pads.some((pad) => pad < 0)) refuse(`negative pads [${pads}]`);
  if (pads.some((pad) => pad > 1 << 20)) site.malformed("pads of at most 2^20", `[${pads}]`);
  return spatial === 2 ? [pads[0], pads[2], pads[1], pads[3]] : [0, 0, pads[0], pads[1]];
}

export interface WindowOf {
  strideHeight: number;
  strideWidth: number;
  dilationHeight: number;
  dilationWidth: number;
  padding: Padding;
}

/** Strides, dilations and padding of an image op with this filter size. */
export function windowOf(site: Site, image: Image, filter: readonly [number, number]): WindowOf {
  const { spatial } = image;
  const [strideHeight, strideWidth] = pairOf(site, "strides", spatial, 1);
  const [dilationHeight, dilationWidth] = pairOf(site, "dilations", spatial, 1);
  const strides = [spatial === 1 ? 1 : strideHeight, strideWidth] as const;
  const dilations = [spatial === 1 ? 1 : dilationHeight, dilationWidth] as const;
  const sizes = [image.height, image.width] as const;
  const axes = ([0, 1] as const).map((a) => ({
    size: sizes[a],
    filter: filter[a],
    stride: strides[a],
    dilation: dilations[a],
  }));
  return {
    strideHeight: strides[0],
    strideWidth: strides[1],
    dilationHeight: dilations[0],
    dilationWidth: dilations[1],
    padding: paddingOf(site, spatial, axes),
  };
}

interface Axis {
  size: number;
  filter: number;
  stride: number;
  dilation: number;
}

function paddingOf(site: Site, spatial: 1 | 2, axes: Axis[]): Padding {
  const auto = site.string("auto_pad", "NOTSET");
  if (auto === "VALID") {
    const isCeiled = site.int("ceil_mode", 0) !== 0;
    if (isCeiled && axes.some((axis, a) => ceiled(axis, [0, 0, 0, 0], a)[1] !== 0))
      refuse("ceil_mode with auto_pad VALID");
    return "VALID";
  }
  if (auto === "SAME_UPPER") return "SAME";
  if (auto === "SAME_LOWER") return named(axes.flatMap(sameLower), axes);
  if (auto !== "NOTSET" && auto !== "") site.malformed("an auto_pad of ONNX", JSON.stringify(auto));
  const pads = padsOf(site, spatial);
  return named(
    site.int("ceil_mode", 0) === 0 ? pads : axes.flatMap((axis, a) => ceiled(axis, pads, a)),
    axes,
  );
}

/** SAME, with an odd row of padding before instead of after. */
function sameLower({ size, filter, stride, dilation }: Axis): [number, number] {
  const output = Math.ceil(size / stride);
  const total = Math.max((output - 1) * stride + (filter - 1) * dilation + 1 - size, 0);
  return [total - (total >> 1), total >> 1];
}

/** As much padding after as makes the last, partial window whole; none where it would start in it. */
function ceiled(axis: Axis, pads: readonly number[], a: number): [number, number] {
  const { size, filter, stride, dilation } = axis;
  const [before, after] = [pads[2 * a], pads[2 * a + 1]];
  const extent = (filter - 1) * dilation + 1;
  const room = size + before + after - extent;
  let output = Math.ceil(room / stride) + 1;
  if ((output - 1) * stride >= size + before) output--;
  return [before, Math.max(after, (output - 1) * stride + extent - size - before)];
}

/** VALID or SAME where the amounts are theirs, so that a Graph says what a TFLite model would. */
function named(amounts: readonly number[], axes: Axis[]): Padding {
  const [top, bottom, left, right] = amounts;
  if (amounts.every((amount) => amount === 0)) return "VALID";
  const isSame = axes.every(({ size, filter, stride, dilation }, a) => {
    const same = windowAxis(size, filter, stride, dilation, "SAME");
    const own = windowAxis(size, filter, stride, dilation, [amounts[2 * a], amounts[2 * a + 1]]);
    return same.output === own.output && same.before === own.before;
  });
  return isSame ? "SAME" : [top, bottom, left, right];
}

/** Axes in order with `last` moved to the end. */
export function withLast(order: readonly number[], last: number): number[] {
  return [...order.filter((axis) => axis !== last), last];
}

/** The order in which a value of this rank has its channels last. */
export function channelsLast(rank: number): number[] {
  return rank < 3 ? identityOrder(rank) : withLast(identityOrder(rank), 1);
}
