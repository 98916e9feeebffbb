/** Which nodes a delegate takes: the others run in the runtime's own kernels. */
import type { DelegateName, Profile } from "../profile/schema.ts";
import type { OpName, Tensor } from "./graph.ts";
import type { Site } from "./site.ts";

type Rule<Op extends OpName> = (site: Site<Op>) => boolean;
type Rules = { [Op in OpName]?: Rule<Op> };

const scaleOf = ({ quantization }: Tensor) => quantization?.scale[0] ?? Number.NaN;
const ratio = (from: Tensor, to: Tensor) => Math.fround(scaleOf(from) / scaleOf(to));
const isNormal = (scale: number) => Number.isFinite(scale) && scale >= 2 ** -126;

/** A filter of whole bytes whose scales are all normal numbers. */
const takesFilter = ({ inputs: [x, filter] }: Site) =>
  filter.dtype === x.dtype && (filter.quantization?.scale.every(isNormal) ?? false);
/** A bias with a scale. */
const takesBias = ({ inputs }: Site) => inputs[2]?.quantization !== undefined;
const takesConvolution = (site: Site) => takesFilter(site) && takesBias(site);

/** int4 filters need an even number of inputs. */
const takesFullyConnected: Rule<"FULLY_CONNECTED"> = ({ inputs: [, filter, bias] }) =>
  (filter.dtype !== "int4" || filter.shape[1] % 2 === 0) && (!bias || bias.quantization !== undefined);

/** SAME pads that could be negative stay behind, and outputs below the filter. */
export function hasDelegatedSize({ attributes, inputs, output }: Site<"TRANSPOSE_CONV">): boolean {
  const [, filterHeight, filterWidth] = inputs[1].shape;
  const [, height, width] = attributes.padding === "VALID" ? output.shape : inputs[1].shape;
  const { strideHeight, strideWidth } = attributes;
  const least = attributes.padding === "VALID" ? [filterHeight, filterWidth] : [strideHeight, strideWidth];
  return height >= least[0] && width >= least[1];
}

const takesTransposeConv: Rule<"TRANSPOSE_CONV"> = (site) =>
  takesFilter(site) && (!site.inputs[2] || takesBias(site)) && hasDelegatedSize(site);

const takesSum: Rule<"ADD" | "SUB"> = ({ inputs: [a, b], output }) =>
  [a, b].every((x) => ratio(x, output) >= 2 ** -10 && ratio(x, output) < 2 ** 8);

const takesProduct: Rule<"MUL"> = ({ inputs: [a, b], output }) => {
  const scale = Math.fround(Math.fround(scaleOf(a) * scaleOf(b)) / scaleOf(output));
  return scale >= 2 ** -16 && scale < 2 ** 8;
};

const takesConversion: Rule<"QUANTIZE"> = ({ inputs: [x], output }) =>
  x.dtype === "float32" ||
  (x.dtype === output.dtype && ratio(x, output) >= 2 ** -8 && ratio(x, output) <= 2 ** 7);

const takesLeakyRelu: Rule<"LEAKY_RELU"> = ({ attributes, inputs: [x], output }) => {
  const positive = ratio(x, output);
  const negative = Math.fround(positive * Math.fround(attributes.alpha));
  return (
    positive >= 2 ** -8 &&
    positive <= 2 ** 7 &&
    Math.abs(negative) >= 2 ** -8 &&
    negative >= 2 ** -8 - 128 &&
    negative <= 128
  );
};

const never = () => false;

/**
 * Ops without a row are taken, or computed alike. Source: google-ai-edge/LiteRT 038d2a2, delegates/xnnpack/xnnpack_delegate.cc,
 * Visit*Node; what LiteRT.js 2.5.3 computes agrees.
 */
const XNNPACK: Rules = {
  CONV_2D: takesConvolution,
  DEPTHWISE_CONV_2D: takesConvolution,
  FULLY_CONNECTED: takesFullyConnected,
  TRANSPOSE_CONV: takesTransposeConv,
  ADD: takesSum,
  SUB: takesSum,
  MUL: takesProduct,
  QUANTIZE: takesConversion,
  LEAKY_RELU: takesLeakyRelu,
  RELU: never,
  RELU6: never,
  RELU_N1_TO_1: never,
};

const DELEGATES: Record<DelegateName, Rules> = { xnnpack: XNNPACK };

/** The profile as a node sees it: with the rules of the runtime's own kernels where its delegate leaves the node to them. */
export function profileFor(op: OpName, site: Site): Profile {
  const { profile } = site;
  const { delegate, ops } = profile.arithmetic;
  if (!delegate) return profile;
  const takes = DELEGATES[delegate.name][op] as Rule<OpName> | undefined;
  if (!takes || takes(site)) return profile;
  return {
    ...profile,
    arithmetic: { ...profile.arithmetic, ops: { ...ops, ...delegate.builtin } },
  };
}
