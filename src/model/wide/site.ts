/** What the lowerings of ops on int16 activations share. */
import type { Output, Window } from "../../kernels/args.ts";
import { roundHalfAway } from "../../kernels/requantize.ts";
import type { RescaledType } from "../../kernels/wide/args.ts";
import { type Activation, type Attributes, type Tensor, windowAxis } from "../graph.ts";
import { first, only, type Site, scaleOf, zeroPointOf } from "../site.ts";

/** Whether a node reads or makes more than bytes: int16, or int32 as an audio front end gives it, if not to move it only. */
export function isWide({ inputs: [x], output }: Site): boolean {
  if (x.dtype === "int32" && output.dtype === "int32") return false;
  return [x, output].some(({ dtype }) => dtype === "int16" || dtype === "int32");
}

/** The profile's own, once has16Bits has seen that they are there. */
export const rulesOf = ({ profile }: Site) => profile.arithmetic.ops.int16!;

export const has16Bits = ({ profile: { arithmetic } }: Site) =>
  only(
    "int16 activations: the profile has none",
    arithmetic.activations.bits.includes(16) && arithmetic.ops.int16 !== undefined,
  );

export function typed(tensor: Tensor, dtype: string, name: string): string {
  return first(
    only(`${name}: needs an activation, is a constant`, tensor.data === undefined),
    only(`${name}: needs ${dtype}, is ${tensor.dtype}`, tensor.dtype === dtype),
  );
}

export const quantized = (tensor: Tensor, name: string) =>
  only(`${name}: needs one scale and zero point`, tensor.quantization?.scale.length === 1);

/** int16 with zero point 0. */
export const symmetric = (tensor: Tensor, name: string) =>
  first(
    typed(tensor, "int16", name),
    quantized(tensor, name),
    only(`${name}: needs zero point 0`, tensor.quantization?.zeroPoint[0] === 0),
  );

export const unary = (site: Site) =>
  first(has16Bits(site), symmetric(site.inputs[0], "input"), symmetric(site.output, "output"));

const BITS = { int8: 8, int16: 16, int32: 32 } as const;

/** [low, high] of a fused activation in the codes of the output's type. Source: CalculateActivationRangeQuantized, LiteRT. */
function range(activation: Activation, output: Tensor): [number, number] {
  const high = 2 ** (BITS[output.dtype as RescaledType] - 1) - 1;
  const code = (real: number) => zeroPointOf(output) + roundHalfAway(Math.fround(real / scaleOf(output)));
  const [least, most] = { NONE: [], RELU: [0], RELU6: [0, 6], RELU_N1_TO_1: [-1, 1] }[activation];
  return [
    least === undefined ? -high - 1 : Math.max(-high - 1, code(least)),
    most === undefined ? high : Math.min(high, code(most)),
  ];
}

export function outputArgs(activation: Activation, output: Tensor): Output {
  const [activationMin, activationMax] = range(activation, output);
  return { outputOffset: zeroPointOf(output), activationMin, activationMax };
}

/** filter: height and width. */
export function windowArgs(
  attributes: Attributes["CONV_2D"] | Attributes["AVERAGE_POOL_2D"],
  { inputs: [x], output }: Site,
  [filterHeight, filterWidth]: readonly [number, number],
): Window {
  const { padding, strideHeight, strideWidth } = attributes;
  const { dilationHeight, dilationWidth } = {
    dilationHeight: 1,
    dilationWidth: 1,
    ...(attributes as Partial<Attributes["CONV_2D"]>),
  };
  const [vertical, horizontal] =
    typeof padding === "string"
      ? [padding, padding]
      : [[padding[0], padding[1]] as const, [padding[2], padding[3]] as const];
  return {
    inputHeight: x.shape[1],
    inputWidth: x.shape[2],
    inputDepth: x.shape[3],
    outputHeight: output.shape[1],
    outputWidth: output.shape[2],
    filterHeight,
    filterWidth,
    strideHeight,
    strideWidth,
    padTop: windowAxis(x.shape[1], filterHeight, strideHeight, dilationHeight, vertical).before,
    padLeft: windowAxis(x.shape[2], filterWidth, strideWidth, dilationWidth, horizontal).before,
  };
}
