/** What the rarer families do in place of TFLite's and XNNPACK's forms, and what they refuse. */
import type {
  AddArgs,
  AveragePool2dArgs,
  Conv2dArgs,
  DepthwiseConv2dArgs,
  FixedPoint,
  FloatScale,
  FullyConnectedArgs,
  Output,
  Requantization,
  SoftmaxArgs,
  Step,
} from "../kernels/args.ts";
import {
  ARITHMETICS,
  type ArithmeticName,
  type Factor,
  hexagonFold,
  isPowerOfTwo,
  requantizationOf,
} from "../kernels/arithmetics.ts";
import type { Kernels } from "../kernels/module.ts";
import { OPS } from "../kernels/ops.ts";
import {
  depthwiseAsConv2d,
  fullyConnectedAsConv2d,
  type OrderedAccumulator,
  prepareOrdered,
} from "../kernels/ordered.ts";
import { ADD_FORMS, MUL_FORMS, multiplyRequantized, type Pair } from "../kernels/pairs.ts";
import { type QuirkArgs, quirkStep } from "../kernels/quirks.ts";
import { meanMultiplier, meanXnnpack, roundHalfAway } from "../kernels/requantize.ts";
import { AVERAGE_POOL_2D_ROUNDED, PAIRWISE, SOFTMAX_BY_TABLE } from "../kernels/tables.ts";
import type { Profile } from "../profile/schema.ts";
import { computedOn, onnxRuntimeForm } from "./computedOn.ts";
import { isFloat } from "./float/site.ts";
import { isUnfused } from "./float/unfused.ts";
import type { OpName, Tensor } from "./graph.ts";
import { first, only, type Site, scaleOf, sharesScale, zeroPointOf } from "./site.ts";

type Ops = Profile["arithmetic"]["ops"];
type Convolution = "CONV_2D" | "DEPTHWISE_CONV_2D" | "FULLY_CONNECTED";

const CONVOLUTIONS: ReadonlySet<OpName> = new Set(["CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED"]);
/** Ops that a profile may leave out. */
const OPTIONAL: Partial<Record<OpName, keyof Ops>> = {
  ADD: "ADD",
  SUB: "ADD",
  MUL: "MUL",
  MEAN: "MEAN",
  AVERAGE_POOL_2D: "AVERAGE_POOL_2D",
  SOFTMAX: "SOFTMAX",
};

/** The requantizer of an op with weights. */
export function requantizerOf(
  { arithmetic: { ops } }: Profile,
  op: Convolution | "TRANSPOSE_CONV",
): ArithmeticName {
  const own = op === "DEPTHWISE_CONV_2D" || op === "TRANSPOSE_CONV" ? ops[op] : undefined;
  return (own ?? ops.default).requantizer;
}

/** input scale * filter scale / output scale, once or one a channel. narrow: the product is formed in float32. */
export function convolutionFactors({ inputs: [x, filter], output }: Site, narrow: boolean): Factor[] {
  return Array.from(filter.quantization!.scale, (scale) => {
    const product = narrow ? Math.fround(scaleOf(x) * scale) : scaleOf(x) * scale;
    return {
      double: product / scaleOf(output),
      float: Math.fround(Math.fround(scaleOf(x) * scale) / scaleOf(output)),
    };
  });
}

/** Why a node cannot run on the family of this profile; empty if it can, by what is not common to all families. */
export function refuseFamily(op: OpName, site: Site): string {
  if (isFloat(site) || isUnfused(op, site)) return "";
  const { ops } = site.profile.arithmetic;
  const optional = OPTIONAL[op];
  if (optional && ops[optional] === undefined) return `the profile has no ${op}`;
  const { powerOfTwo } = ARITHMETICS[ops.default.requantizer];
  return first(
    refuseUnknown(op, site),
    powerOfTwo ? refuseScales(op, site) : "",
    CONVOLUTIONS.has(op) ? refuseConvolution(op as Convolution, site) : "",
    (op === "ADD" || op === "SUB") && ops.ADD!.form === "saturating" ? refuseSaturating(site) : "",
    op === "MEAN" && ops.MEAN!.form === "average-pool" ? refusePooledMean(site as Site<"MEAN">) : "",
  );
}

/** What runs in TFLite's form alone, on families that have another or none that is known. */
function refuseUnknown(op: OpName, site: Site): string {
  const { ops, accumulator } = site.profile.arithmetic;
  const filter = site.inputs[1];
  const form = onnxRuntimeForm(site);
  const wraps = accumulator.overflow === "wrap" || form !== undefined;
  const plain = wraps && ops.default.requantizer !== "hexagon-nn" && form === undefined;
  const sigmoid = ops.LOGISTIC?.form ?? "onnxruntime";
  return first(
    only("the profile has no TRANSPOSE_CONV", op !== "TRANSPOSE_CONV" || plain),
    only("the profile has no HARD_SWISH", op !== "HARD_SWISH" || sigmoid !== "onnxruntime"),
    only("filter: the family sums int8 weights", !CONVOLUTIONS.has(op) || wraps || filter?.dtype !== "uint8"),
  );
}

/** SOFTMAX runs in float on these devices; its codes are only how we report the probabilities. */
function refuseScales(op: OpName, { inputs, output }: Site): string {
  const tensors: [string, Tensor | undefined][] = inputs.map((tensor, i) => [`input ${i}`, tensor]);
  if (op !== "SOFTMAX") tensors.push(["output", output]);
  for (const [name, tensor] of tensors) {
    if (!tensor?.quantization || tensor.dtype === "int32") continue;
    const { scale, zeroPoint } = tensor.quantization;
    if (zeroPoint.some((zero) => zero !== 0))
      return `${name}: the family needs zero point 0, is ${zeroPoint.find((z) => z !== 0)}`;
    const other = scale.find((s) => !isPowerOfTwo(s));
    if (other !== undefined) return `${name}: the family needs a scale that is a power of two, is ${other}`;
  }
  return "";
}

function refuseConvolution(op: Convolution, site: Site): string {
  const { arithmetic } = site.profile;
  const { scale } = site.inputs[1]?.quantization ?? {};
  if (!scale || !site.output.quantization || !site.inputs[0].quantization) return "";
  const { refuse, powerOfTwo } = ARITHMETICS[requantizerOf(site.profile, op)];
  const faults = refuse ? convolutionFactors(site, false).map(refuse) : [];
  const bias = site.inputs[2]?.data as Int32Array | undefined;
  return first(
    only(
      "filter: the profile has one scale a tensor",
      !powerOfTwo || arithmetic.weights.granularity === "per-channel" || scale.every((s) => s === scale[0]),
    ),
    ...faults,
    arithmetic.bias && bias ? refuseBias(bias, arithmetic.bias) : "",
  );
}

function refuseBias(bias: Int32Array, { bits, unit }: { bits: number; unit: number }): string {
  const top = 2 ** (bits - 1) * unit;
  const fault = bias.find((value) => value % unit !== 0 || value < -top || value >= top);
  return fault === undefined ? "" : `bias: needs ${bits} bits in units of ${unit}, is ${fault}`;
}

const refuseSaturating = ({ inputs: [a, b], output }: Site) =>
  only(
    "inputs, output: the family adds at one scale",
    a.quantization?.scale[0] === output.quantization?.scale[0] &&
      b.quantization?.scale[0] === output.quantization?.scale[0],
  );

/** ONNX Runtime's 16-bit pairs are of uint8 codes by int8 weights alone. Source: onnxruntime-node 1.30.0 on AVX2, executed. */
function orderedAccumulator(op: Convolution, site: Site): OrderedAccumulator | null {
  const { overflow } = site.profile.arithmetic.accumulator;
  if (overflow === "saturate") return "saturate-20";
  const isOfPairs = computedOn(op, site) !== "int8" && site.inputs[1].dtype !== "uint8";
  return overflow === "saturate-pairs" && (isOfPairs || !onnxRuntimeForm(site)) ? "saturate-pairs-16" : null;
}

/** Hexagon NN keeps the output's zero point in the bias, in units of the product. */
function folded<Args extends Requantization & { bias: ArrayLike<number> | null }>(
  args: Args,
  factors: readonly Factor[],
  output: Tensor,
  channels: number,
): Args {
  if (args.requantizer !== "wrap-sixteen") return args;
  const bias = Int32Array.from({ length: channels }, (_, c) => {
    const { double } = factors[factors.length === 1 ? 0 : c];
    return (args.bias?.[c] ?? 0) + hexagonFold(double, zeroPointOf(output));
  });
  return { ...args, bias, outputOffset: -128 };
}

/** The step, or that of a quirk which the profile has and the layer reaches. */
export const withQuirks = <Op extends keyof QuirkArgs>(
  { arithmetic: { quirks } }: Profile,
  op: Op,
  kernels: Kernels,
  args: Parameters<typeof quirkStep<Op>>[3],
  plain: Step,
) => (quirks ? (quirkStep(quirks, op, kernels, args, plain) ?? plain) : plain);

/** MLAS has an exact kernel for one channel to one, of as many groups as there are. */
const isChannelByChannel = (
  { groups, inputDepth, outputDepth }: Conv2dArgs,
  accumulator: OrderedAccumulator,
): boolean => accumulator === "saturate-pairs-16" && groups === inputDepth && groups === outputDepth;

export function prepareConv2d(site: Site, plain: Conv2dArgs): Step {
  const { kernels, profile, output } = site;
  const args = folded(plain, convolutionFactors(site, false), output, plain.outputDepth);
  const accumulator = orderedAccumulator("CONV_2D", site);
  const own = () => OPS.CONV_2D.prepare(kernels, args);
  if (accumulator && !isChannelByChannel(args, accumulator))
    return prepareOrdered(kernels, { ...args, accumulator }, own);
  return withQuirks(profile, "CONV_2D", kernels, args, own());
}

export function prepareDepthwiseConv2d(site: Site, plain: DepthwiseConv2dArgs): Step {
  const { kernels, profile, output } = site;
  const args = folded(
    plain,
    convolutionFactors(site, false),
    output,
    plain.inputDepth * plain.depthMultiplier,
  );
  const accumulator = orderedAccumulator("DEPTHWISE_CONV_2D", site);
  const own = () => OPS.DEPTHWISE_CONV_2D.prepare(kernels, args);
  if (accumulator) {
    const dense = depthwiseAsConv2d(args);
    return isChannelByChannel(dense, accumulator)
      ? own()
      : prepareOrdered(kernels, { ...dense, accumulator }, own);
  }
  return withQuirks(profile, "DEPTHWISE_CONV_2D", kernels, args, own());
}

export function prepareFullyConnected(site: Site, plain: FullyConnectedArgs): Step {
  const { kernels, profile, output } = site;
  const args = folded(plain, convolutionFactors(site, false), output, plain.outputDepth);
  const accumulator = orderedAccumulator("FULLY_CONNECTED", site);
  const own = () => OPS.FULLY_CONNECTED.prepare(kernels, args);
  if (accumulator) return prepareOrdered(kernels, { ...fullyConnectedAsConv2d(args), accumulator }, own);
  return withQuirks(profile, "FULLY_CONNECTED", kernels, args, own());
}

type PairArgs = Pick<
  AddArgs,
  | "elements"
  | "input1Offset"
  | "input2Offset"
  | "input2Shared"
  | "outputOffset"
  | "activationMin"
  | "activationMax"
>;

/** ADD and SUB in a form of its own; null where it is TFLite's or XNNPACK's. */
export function preparePairedSum(site: Site, args: PairArgs, op: "ADD" | "SUB"): Step | null {
  const { form } = site.profile.arithmetic.ops.ADD!;
  if (form === "tflite" || form === "xnnpack") return null;
  return pairwise(site, args, ADD_FORMS[form](pairOf(site, args, op)));
}

/** MUL by a requantizer that the vectors have not, or with the zero point before rounding; null where it is neither. */
export function preparePairedProduct(site: Site, args: PairArgs): Step | null {
  const { form, requantizer } = site.profile.arithmetic.ops.MUL!;
  const pair = pairOf(site, args, "MUL");
  if (form !== "tflite" && form !== "xnnpack") return pairwise(site, args, MUL_FORMS[form](pair));
  if (["tflite-double", "tflite-single", "float-even"].includes(requantizer)) return null;
  return pairwise(site, args, multiplyRequantized(pair, requantizer));
}

function pairOf(site: Site, args: PairArgs, op: "ADD" | "SUB" | "MUL"): Pair {
  const { inputs, output, attributes } = site as Site<"ADD">;
  const [scale1, scale2] = inputs.map(scaleOf);
  const isReal = computedOn(op, site) === "float32";
  // QuantizeLinear rounds before it adds the zero point.
  const offset = isReal ? -zeroPointOf(output) : codeOffset(op, site);
  const sign = op === "SUB" ? -1 : 1;
  const isSwapped = attributes.isSwapped ?? false;
  const scales = { scale1, scale2, outputScale: scaleOf(output) };
  return { ...args, ...scales, sign, isSwapped, codeOffset: offset, isReal };
}

/** What ONNX Runtime's codes are above ours. */
const codeOffset = (op: OpName, site: Site): 0 | 128 => (computedOn(op, site) === "int8" ? 0 : 128);

function pairwise({ kernels }: Site, args: PairArgs, combine: (a: number, b: number) => number): Step {
  return PAIRWISE.prepare(kernels, {
    elements: args.elements,
    input2Shared: args.input2Shared ?? false,
    combine,
  });
}

/** SOFTMAX in the form of the profile. scale: of the input times beta; fixedPoint: its multiplier. */
export function prepareSoftmax(
  { kernels, profile }: Site,
  rows: { rows: number; rowSize: number },
  input: {
    scale: number;
    outputScale: number;
    fixedPoint(): { multiplier: number; shift: number; diffMin: number };
  },
): Step {
  const { form } = profile.arithmetic.ops.SOFTMAX!;
  const { scale, outputScale } = input;
  if (form === "fixed-point") {
    const args: SoftmaxArgs = { ...rows, form, ...input.fixedPoint() };
    return withQuirks(profile, "SOFTMAX", kernels, args, OPS.SOFTMAX.prepare(kernels, args));
  }
  const args = { ...rows, scale, outputScale, outputOffset: -128 };
  return form === "float-table"
    ? OPS.SOFTMAX.prepare(kernels, { ...args, form })
    : SOFTMAX_BY_TABLE.prepare(kernels, { ...args, form });
}

/** AVERAGE_POOL_2D with another rounding; null where it is TFLite's. */
export function prepareRoundedAverage(site: Site, args: AveragePool2dArgs): Step | null {
  const { form } = site.profile.arithmetic.ops.AVERAGE_POOL_2D!;
  if (form === "half-away") return null;
  const [x] = site.inputs;
  const offsets = { inputOffset: -zeroPointOf(x), outputOffset: zeroPointOf(site.output) };
  const scales = { inputScale: scaleOf(x), outputScale: scaleOf(site.output) };
  return AVERAGE_POOL_2D_ROUNDED.prepare(site.kernels, {
    ...{ ...args, ...offsets, ...scales },
    ...{ codeOffset: codeOffset("AVERAGE_POOL_2D", site), rounding: form },
  });
}

/** A family of powers of two shifts nothing after it. */
const refusePooledMean = (site: Site<"MEAN">) =>
  first(
    ARITHMETICS[site.profile.arithmetic.ops.default.requantizer].powerOfTwo ? sharesScale(site) : "",
    only(
      "axes: the device averages over height and width",
      String([...site.attributes.axes].sort()) === "1,2",
    ),
    only("input: needs four dimensions", site.inputs[0].shape.length === 4),
  );

/** MEAN as one window of AVERAGE_POOL_2D; null where it has a form of its own. */
export function preparePooledMean(site: Site): Step | null {
  if (site.profile.arithmetic.ops.MEAN!.form !== "average-pool") return null;
  const [, inputHeight, inputWidth, inputDepth] = site.inputs[0].shape;
  return prepareRoundedAverage(site, {
    ...{ inputHeight, inputWidth, inputDepth, outputHeight: 1, outputWidth: 1 },
    ...{ filterHeight: inputHeight, filterWidth: inputWidth, strideHeight: 1, strideWidth: 1 },
    ...{ padTop: 0, padLeft: 0, activationMin: -128, activationMax: 127 },
  });
}

/** Requantization and offsets of MEAN over count values. */
export function meanScaling(
  { inputs: [x], output, profile }: Site,
  count: number,
): (FixedPoint | FloatScale) & {
  inputOffset: number;
  outputOffset: number;
  bias?: number;
} & Partial<Output> {
  const { form, requantizer } = profile.arithmetic.ops.MEAN!;
  const offsets = { inputOffset: -zeroPointOf(x), outputOffset: zeroPointOf(output) };
  const ratio = scaleOf(x) / scaleOf(output);
  // Where codes are summed as they are, uint8 ones are.
  const raw = x.dtype === "uint8" ? 128 : 0;
  const zeroPoints = { input: zeroPointOf(x) + raw, output: zeroPointOf(output) + raw };
  if (form === "xnnpack") {
    const { scale, bias } = meanXnnpack(ratio, count, zeroPoints);
    const codes = { activationMin: raw - 128, activationMax: raw + 127 };
    return {
      requantizer: "float-even",
      scale: [scale],
      bias,
      inputOffset: raw,
      outputOffset: -raw,
      ...codes,
    };
  }
  if (form === "onnxruntime") {
    const float = Math.fround(scaleOf(x) / Math.fround(scaleOf(output) * count));
    return { ...requantizationOf(requantizer, [{ double: float, float }]), ...offsets };
  }
  if (form === "tflite-optimized") {
    const float = Math.fround(scaleOf(x) / (count * scaleOf(output)));
    const zero = roundHalfAway(Math.fround(Math.fround(zeroPoints.input * scaleOf(x)) / scaleOf(output)));
    const scaling = requantizationOf(requantizer, [{ double: float, float }]);
    return { ...scaling, inputOffset: raw, outputOffset: zeroPointOf(output) - zero };
  }
  const { rounding, channel } = ARITHMETICS[requantizer];
  if (!channel) {
    const float = Math.fround(Math.fround(ratio) * Math.fround(1 / count));
    return { requantizer: rounding as FloatScale["requantizer"], scale: [float], ...offsets };
  }
  const { multiplier, shift } = meanMultiplier(ratio, count);
  return {
    requantizer: rounding as FixedPoint["requantizer"],
    multiplier: [multiplier],
    shift: [shift],
    ...offsets,
  };
}
