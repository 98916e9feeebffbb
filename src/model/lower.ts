import type { Requantization } from "../kernels/args.ts";
import { requantizationOf } from "../kernels/arithmetics.ts";
import type { Kernels } from "../kernels/module.ts";
import { OPS } from "../kernels/ops.ts";
import { softmaxMultiplier } from "../kernels/requantize.ts";
import type { Profile } from "../profile/schema.ts";
import { ACCUMULATED, isAccumulated } from "./accumulated.ts";
import { codeOfNaN } from "./computedOn.ts";
import { profileFor } from "./delegate.ts";
import {
  convolutionFactors,
  prepareConv2d,
  prepareDepthwiseConv2d,
  prepareFullyConnected,
  prepareSoftmax,
  requantizerOf,
} from "./families.ts";
import { FLOAT_LOWERINGS } from "./float/lower.ts";
import { isFloat } from "./float/site.ts";
import { isUnfused, UNFUSED } from "./float/unfused.ts";
import { elements, type Graph, type Node, type OpName } from "./graph.ts";
import { ELEMENTWISE } from "./lowerElementwise.ts";
import { LAYOUT } from "./lowerLayout.ts";
import { POOL } from "./lowerPool.ts";
import { UNARY } from "./lowerUnary.ts";
import { matMul } from "./matmul.ts";
import { rescale } from "./rescale.ts";
import {
  byteActivation,
  codesOf,
  first,
  type Lowering,
  only,
  outputArgs,
  type Site,
  sameType,
  scaleOf,
  sharesScale,
  unaryBytes,
  zeroPointOf,
} from "./site.ts";
import { refuseTransposed, transposedWindow } from "./transposed.ts";
import { WIDE_LOWERINGS } from "./wide/lower.ts";
import { isWide } from "./wide/site.ts";
import { windowArgs } from "./windows.ts";

export { activationRange, type Lowering, type Site } from "./site.ts";

/** input scale * filter scale / output scale, per channel or once. `narrow`: the product is formed in float32. */
function convolutionRequantization(
  site: Site,
  narrow: boolean,
  op: "CONV_2D" | "DEPTHWISE_CONV_2D" | "TRANSPOSE_CONV" = "CONV_2D",
): Requantization {
  return requantizationOf(requantizerOf(site.profile, op), convolutionFactors(site, narrow));
}

/** uint8 weights come less their zero point. */
function weights({ inputs: [, filter, bias] }: Site) {
  const [zeroPoint] = filter.quantization!.zeroPoint;
  return {
    weightBits: filter.dtype === "int4" ? (4 as const) : (8 as const),
    filter:
      filter.dtype === "uint8"
        ? Int16Array.from(filter.data as Uint8Array, (w) => w - zeroPoint)
        : (filter.data as Int8Array | Uint8Array),
    bias: (bias?.data as Int32Array | undefined) ?? null,
  };
}

function refuseWeights(site: Site, axis: number): string {
  const {
    inputs: [, filter, bias],
    profile,
  } = site;
  const bits = filter.dtype === "int4" ? 4 : 8;
  // ONNX Runtime multiplies uint8 activations by int8 weights.
  const types = site.inputs[0].dtype === "uint8" ? ["uint8", "int8"] : ["int8", "int4"];
  return first(
    unaryBytes(site),
    only(
      `filter: needs ${types.join(" or ")} constants, is ${filter.dtype}`,
      types.includes(filter.dtype) && filter.data !== undefined,
    ),
    only(
      `filter: ${bits}-bit weights, the profile has ${profile.arithmetic.weights.bits.join(" and ")}`,
      profile.arithmetic.weights.bits.includes(bits),
    ),
    only("filter: needs quantization", filter.quantization !== undefined),
    only(
      `filter: needs scales along axis ${axis}`,
      filter.quantization?.axis === undefined || filter.quantization.axis === axis,
    ),
    filter.dtype === "uint8"
      ? only("filter: needs one zero point", filter.quantization?.zeroPoint.length === 1)
      : only("filter: needs zero point 0", filter.quantization?.zeroPoint.every((z) => z === 0) ?? false),
    only(
      "bias: needs int32 constants, one an output channel",
      !bias || (bias.data instanceof Int32Array && bias.data.length === filter.shape[axis]),
    ),
  );
}

const requantize = rescale("NONE");

/** From float to int8, by the form of the profile. */
const QUANTIZE_ROUNDINGS = {
  tflite: "half-away",
  xnnpack: "half-even",
  "product-half-even": "half-even",
  "quotient-half-even": "quotient-half-even",
} as const;

const transposeConv: Lowering<"TRANSPOSE_CONV"> = {
  refuse: (site) => {
    return first(
      refuseWeights(site, 0),
      only("filter: no runtime has int4 here", site.inputs[1].dtype !== "int4"),
      refuseTransposed(site),
    );
  },
  lower: (site) => {
    const { attributes, inputs, output, kernels } = site;
    const [x] = inputs;
    return OPS.TRANSPOSE_CONV.prepare(kernels, {
      ...transposedWindow(site),
      ...weights(site),
      ...outputArgs(attributes.activation, output),
      ...convolutionRequantization(site, x.dtype === "uint8", "TRANSPOSE_CONV"),
      inputOffset: -zeroPointOf(x),
    });
  },
};

/** Every op that an integer profile runs. */
export const LOWERINGS: { [Op in OpName]?: Lowering<Op> } = {
  CONV_2D: {
    refuse: (site) =>
      first(
        refuseWeights(site, 0),
        only("groups: input channels must divide", site.inputs[0].shape[3] % site.inputs[1].shape[3] === 0),
      ),
    lower: (site) => {
      const {
        attributes,
        inputs: [x, filter],
        output,
      } = site;
      return prepareConv2d(site, {
        ...windowArgs(attributes, site, filter.shape[1], filter.shape[2]),
        ...weights(site),
        ...outputArgs(attributes.activation, output),
        ...convolutionRequantization(site, x.dtype === "uint8"),
        inputOffset: -zeroPointOf(x),
        outputDepth: filter.shape[0],
        groups: x.shape[3] / filter.shape[3],
        dilationHeight: attributes.dilationHeight,
        dilationWidth: attributes.dilationWidth,
      });
    },
  },
  DEPTHWISE_CONV_2D: {
    refuse: (site) =>
      first(
        refuseWeights(site, 3),
        only(
          "filter: needs input channels * depthMultiplier",
          site.inputs[1].shape[3] === site.inputs[0].shape[3] * site.attributes.depthMultiplier,
        ),
      ),
    lower: (site) => {
      const {
        attributes,
        inputs: [x, filter],
        output,
      } = site;
      return prepareDepthwiseConv2d(site, {
        ...windowArgs(attributes, site, filter.shape[1], filter.shape[2]),
        ...weights(site),
        ...outputArgs(attributes.activation, output),
        ...convolutionRequantization(site, x.dtype === "uint8", "DEPTHWISE_CONV_2D"),
        inputOffset: -zeroPointOf(x),
        depthMultiplier: attributes.depthMultiplier,
        dilationHeight: attributes.dilationHeight,
        dilationWidth: attributes.dilationWidth,
      });
    },
  },
  FULLY_CONNECTED: {
    refuse: (site) =>
      first(
        refuseWeights(site, 0),
        only(
          "filter: needs the input's width",
          elements(site.inputs[0].shape.slice(1)) % site.inputs[1].shape[1] === 0,
        ),
      ),
    lower: (site) => {
      const {
        attributes,
        inputs: [x, filter],
        output,
        profile,
      } = site;
      const narrow =
        filter.quantization!.scale.length === 1 &&
        profile.arithmetic.ops.FULLY_CONNECTED.scaleProduct === "float32";
      const asymmetric = filter.dtype === "uint8";
      return prepareFullyConnected(site, {
        ...weights(site),
        ...(asymmetric && { filter: codesOf(filter) }),
        ...outputArgs(attributes.activation, output),
        ...convolutionRequantization(site, narrow || asymmetric),
        rows: elements(x.shape.slice(1)) / filter.shape[1],
        inputDepth: filter.shape[1],
        outputDepth: filter.shape[0],
        inputOffset: -zeroPointOf(x),
        filterOffset: asymmetric ? -zeroPointOf(filter) : 0,
      });
    },
  },
  ...ELEMENTWISE,
  ...POOL,
  SOFTMAX: {
    refuse: (site) =>
      first(
        unaryBytes(site),
        only(
          "output: needs scale 1/256 and zero point -128",
          site.output.quantization?.scale[0] === 1 / 256 && zeroPointOf(site.output) === -128,
        ),
      ),
    lower: (site) => {
      const {
        attributes,
        inputs: [x],
        output,
      } = site;
      const rowSize = x.shape.at(-1)!;
      const rows = elements(x.shape.slice(1)) / rowSize;
      return prepareSoftmax(
        site,
        { rows, rowSize },
        {
          fixedPoint: () => softmaxMultiplier(scaleOf(x), attributes.beta),
          scale: Math.fround(scaleOf(x) * attributes.beta),
          outputScale: scaleOf(output),
        },
      );
    },
  },
  PAD: {
    refuse: (site) =>
      first(
        unaryBytes(site),
        sharesScale(site),
        only(
          "before, after: the batch cannot be padded",
          site.attributes.before[0] === 0 && site.attributes.after[0] === 0,
        ),
      ),
    lower: ({ attributes, inputs: [x], kernels }) =>
      OPS.PAD.prepare(kernels, {
        shape: x.shape.slice(1),
        before: attributes.before.slice(1),
        after: attributes.after.slice(1),
        value:
          attributes.value === undefined
            ? zeroPointOf(x)
            : attributes.value - (x.dtype === "uint8" ? 128 : 0),
      }),
  },
  RESHAPE: {
    refuse: (site) => first(sameType(site.inputs[0], site.output), sharesScale(site)),
    lower: () => null,
  },
  QUANTIZE: {
    refuse: (site) =>
      site.inputs[0].dtype === "float32" ? byteActivation(site.output, "output") : requantize.refuse(site),
    lower: (site) => {
      const {
        inputs: [x],
        output,
        kernels,
        profile,
      } = site;
      if (x.dtype !== "float32") return requantize.lower(site);
      const rounding = QUANTIZE_ROUNDINGS[profile.arithmetic.ops.QUANTIZE.form];
      return OPS.QUANTIZE.prepare(kernels, {
        elements: elements(x.shape.slice(1)),
        scale: scaleOf(output),
        zeroPoint: zeroPointOf(output),
        rounding,
        nan: codeOfNaN(site),
      });
    },
  },
  DEQUANTIZE: {
    refuse: ({ inputs: [x], output }) =>
      first(byteActivation(x, "input"), only("output: needs float32", output.dtype === "float32")),
    lower: ({ inputs: [x], kernels }) =>
      OPS.DEQUANTIZE.prepare(kernels, {
        elements: elements(x.shape.slice(1)),
        scale: scaleOf(x),
        zeroPoint: zeroPointOf(x),
      }),
  },
  RELU: rescale("RELU"),
  RELU6: rescale("RELU6"),
  RELU_N1_TO_1: rescale("RELU_N1_TO_1"),
  TRANSPOSE_CONV: transposeConv,
  BATCH_MATMUL: matMul,
  ...LAYOUT,
  ...UNARY,
};

/** Nodes that are not of bytes alone, or not computed on them; the first that a node is of. */
const KINDS: { is(site: Site, op: OpName): boolean; rows: { [Op in OpName]?: Lowering<Op> } }[] = [
  { is: isAccumulated, rows: ACCUMULATED },
  { is: isWide, rows: WIDE_LOWERINGS },
  { is: isFloat, rows: FLOAT_LOWERINGS },
  { is: (site, op) => isUnfused(op, site), rows: UNFUSED },
];

/** The row of a node, with its operands; undefined where no integer kernel exists. */
export function siteOf(
  graph: Graph,
  node: Node,
  kernels: Kernels,
  profile: Profile,
): { row: Lowering<OpName> | undefined; site: Site } {
  const inputs = node.inputs.map((id) => graph.tensors[id]);
  const outputs = node.outputs.map((id) => graph.tensors[id]);
  const { attributes } = node;
  const given = { attributes, inputs, output: outputs[0], outputs, kernels, profile } as Site;
  const site = { ...given, profile: profileFor(node.op, given) };
  const own = KINDS.find(({ is }) => is(site, node.op))?.rows ?? LOWERINGS;
  const row = (own[node.op] ?? (LOWERINGS as Record<string, Lowering<OpName>>)[node.op]) as
    | Lowering<OpName>
    | undefined;
  return { row, site };
}
