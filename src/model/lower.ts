import type { AddFixedPoint, FixedPoint, FloatScale, Requantization, Step, Window } from "../kernels/args.ts";
import type { Kernels } from "../kernels/module.ts";
import { OPS } from "../kernels/ops.ts";
import {
  addMultipliers,
  addMultipliersXnnpack,
  meanMultiplier,
  requantizeMultiplierXnnpack,
  softmaxMultiplier,
} from "../kernels/requantize.ts";
import type { Profile } from "../profile/schema.ts";
import {
  type Activation,
  type Attributes,
  elements,
  type Graph,
  type Node,
  type OpName,
  windowAxis,
} from "./graph.ts";
import {
  first,
  int8,
  int8Activation,
  type Lowering,
  only,
  outputArgs,
  requantization,
  type Site,
  scaleOf,
  sharesScale,
  unary,
  zeroPointOf,
} from "./site.ts";
import { WIDE_LOWERINGS } from "./wide/lower.ts";
import { isWide } from "./wide/site.ts";

export { activationRange, type Lowering, type Site } from "./site.ts";

/** input scale * filter scale / output scale, per channel or once. `narrow`: the product is formed in float32. */
function convolutionRequantization(site: Site, narrow: boolean): Requantization {
  const [x, filter] = site.inputs;
  const scales = [...filter.quantization!.scale];
  const product = (s: number) => (narrow ? Math.fround(scaleOf(x) * s) : scaleOf(x) * s);
  return requantization(
    site.profile.arithmetic.ops.default.requantizer,
    scales.map((s) => product(s) / scaleOf(site.output)),
    scales.map((s) => Math.fround(Math.fround(scaleOf(x) * s) / scaleOf(site.output))),
  );
}

function windowArgs(
  attributes: Attributes["CONV_2D"] | Attributes["AVERAGE_POOL_2D"],
  site: Site,
  filterHeight: number,
  filterWidth: number,
): Window {
  const [, inputHeight, inputWidth, inputDepth] = site.inputs[0].shape;
  const [, outputHeight, outputWidth] = site.output.shape;
  const { padding, strideHeight, strideWidth } = attributes;
  const dilation = "dilationHeight" in attributes ? attributes : { dilationHeight: 1, dilationWidth: 1 };
  const explicit = typeof padding === "string" ? undefined : padding;
  const before = (input: number, filter: number, stride: number, step: number, at: 0 | 2) =>
    windowAxis(
      input,
      filter,
      stride,
      step,
      explicit ? [explicit[at], explicit[at + 1]] : (padding as "SAME" | "VALID"),
    ).before;
  return {
    inputHeight,
    inputWidth,
    inputDepth,
    outputHeight,
    outputWidth,
    filterHeight,
    filterWidth,
    strideHeight,
    strideWidth,
    padTop: before(inputHeight, filterHeight, strideHeight, dilation.dilationHeight, 0),
    padLeft: before(inputWidth, filterWidth, strideWidth, dilation.dilationWidth, 2),
  };
}

function weights({ inputs: [, filter, bias] }: Site) {
  return {
    weightBits: filter.dtype === "int4" ? (4 as const) : (8 as const),
    filter: filter.data as Int8Array | Uint8Array,
    bias: (bias?.data as Int32Array | undefined) ?? null,
  };
}

function refuseWeights(site: Site, axis: number): string {
  const {
    inputs: [, filter, bias],
    profile,
  } = site;
  const bits = filter.dtype === "int4" ? 4 : 8;
  return first(
    unary(site),
    only(
      `filter: needs int8 or int4 constants, is ${filter.dtype}`,
      ["int8", "int4"].includes(filter.dtype) && filter.data !== undefined,
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
    only("filter: needs zero point 0", filter.quantization?.zeroPoint.every((z) => z === 0) ?? false),
    only(
      "bias: needs int32 constants, one an output channel",
      !bias || (bias.data instanceof Int32Array && bias.data.length === filter.shape[axis]),
    ),
  );
}

const pool = (op: "AVERAGE_POOL_2D" | "MAX_POOL_2D"): Lowering<"AVERAGE_POOL_2D" | "MAX_POOL_2D"> => ({
  refuse: (site) => first(unary(site), sharesScale(site)),
  lower: (site) => {
    const { attributes, kernels, output } = site;
    const { activationMin, activationMax } = outputArgs(attributes.activation, output);
    const window = windowArgs(attributes, site, attributes.filterHeight, attributes.filterWidth);
    return OPS[op].prepare(kernels, { ...window, activationMin, activationMax });
  },
});

const elementwise = (site: Site<"ADD" | "SUB" | "MUL">) => {
  const [a, b] = site.inputs;
  return {
    ...outputArgs(site.attributes.activation, site.output),
    elements: elements(site.output.shape.slice(1)),
    input1Offset: -zeroPointOf(a),
    input2Offset: -zeroPointOf(b),
    input2Shared: b.data !== undefined,
  };
};
const refuseBinary = ({ inputs: [a, b], output }: Site) =>
  first(
    int8Activation(a, "input 0"),
    int8(b, "input 1"),
    int8Activation(output, "output"),
    b.data
      ? only("input 1: needs to broadcast to one image of input 0", broadcasts(b.shape, a.shape))
      : only("inputs: need one shape (no broadcasting)", String(a.shape) === String(b.shape)),
  );

/** Whether a constant's shape, aligned to the last dimension, is the image's or 1 everywhere. */
const broadcasts = (constant: readonly number[], [, ...image]: readonly number[]) =>
  constant.every((size, i) => {
    const other = image[image.length - constant.length + i];
    return size === 1 || size === other;
  });

/** A constant second operand is spread over one image, which all images share. */
function bindConstant({ inputs: [a, b], kernels }: Site, prepare: () => Step): Step {
  if (!b.data) return prepare();
  const address = kernels.place(spread(b.data as Int8Array, b.shape, a.shape.slice(1)));
  const { input2Bytes: _, ...step } = prepare();
  return { ...step, bind: (operands) => step.bind({ ...operands, input2: address }) };
}

function spread(values: Int8Array, shape: readonly number[], image: readonly number[]): Int8Array {
  const padded = image.map((_, i) => shape[shape.length - image.length + i] ?? 1);
  const strides = padded.map((size, i) => (size === 1 ? 0 : elements(padded.slice(i + 1))));
  return Int8Array.from({ length: elements(image) }, (_, index) => {
    let rest = index;
    let at = 0;
    for (let axis = image.length - 1; axis >= 0; axis--) {
      at += (rest % image[axis]) * strides[axis];
      rest = Math.floor(rest / image[axis]);
    }
    return values[at];
  });
}

const sum = (input2Sign: 1 | -1): Lowering<"ADD" | "SUB"> => ({
  refuse: refuseBinary,
  lower: (site) => {
    const {
      inputs: [a, b],
      output,
      kernels,
      profile,
    } = site;
    const { form, requantizer } = profile.arithmetic.ops.ADD;
    const scales = [scaleOf(a), scaleOf(b), scaleOf(output)] as const;
    const common = { ...elementwise(site), input2Sign };
    return bindConstant(site, () =>
      form === "xnnpack"
        ? OPS.ADD.prepare(kernels, {
            ...common,
            requantizer: "float-even",
            ...addMultipliersXnnpack(...scales),
          })
        : OPS.ADD.prepare(kernels, {
            ...common,
            requantizer: requantizer as AddFixedPoint["requantizer"],
            ...addMultipliers(...scales),
          }),
    );
  },
});

/** int8 to int8 on another scale, clamped to the op's own range. */
const rescale = (activation: Activation): Lowering<"QUANTIZE" | "RELU" | "RELU6"> => ({
  refuse: unary,
  lower: ({ inputs: [x], output, kernels, profile }) => {
    const ratio = Math.fround(scaleOf(x) / scaleOf(output));
    const { form, requantizer } = profile.arithmetic.ops.QUANTIZE;
    const scaling =
      form === "xnnpack"
        ? { requantizer: "xnnpack-8-bit" as const, multiplier: requantizeMultiplierXnnpack(ratio) }
        : requantization(
            requantizer,
            [activation === "NONE" ? scaleOf(x) / scaleOf(output) : ratio],
            [ratio],
          );
    const args = {
      ...outputArgs(activation, output),
      elements: elements(output.shape.slice(1)),
      inputOffset: -zeroPointOf(x),
    };
    return OPS.REQUANTIZE.prepare(kernels, { ...args, ...scaling });
  },
});

const requantize = rescale("NONE");

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
        kernels,
      } = site;
      return OPS.CONV_2D.prepare(kernels, {
        ...windowArgs(attributes, site, filter.shape[1], filter.shape[2]),
        ...weights(site),
        ...outputArgs(attributes.activation, output),
        ...convolutionRequantization(site, false),
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
        kernels,
      } = site;
      return OPS.DEPTHWISE_CONV_2D.prepare(kernels, {
        ...windowArgs(attributes, site, filter.shape[1], filter.shape[2]),
        ...weights(site),
        ...outputArgs(attributes.activation, output),
        ...convolutionRequantization(site, false),
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
          elements(site.inputs[0].shape.slice(1)) === site.inputs[1].shape[1],
        ),
      ),
    lower: (site) => {
      const {
        attributes,
        inputs: [x, filter],
        output,
        kernels,
        profile,
      } = site;
      const narrow =
        filter.quantization!.scale.length === 1 &&
        profile.arithmetic.ops.FULLY_CONNECTED.scaleProduct === "float32";
      return OPS.FULLY_CONNECTED.prepare(kernels, {
        ...weights(site),
        ...outputArgs(attributes.activation, output),
        ...convolutionRequantization(site, narrow),
        inputDepth: filter.shape[1],
        outputDepth: filter.shape[0],
        inputOffset: -zeroPointOf(x),
        filterOffset: 0,
      });
    },
  },
  ADD: sum(1),
  SUB: sum(-1),
  MUL: {
    refuse: refuseBinary,
    lower: (site) => {
      const {
        inputs: [a, b],
        output,
        kernels,
        profile,
      } = site;
      const double = (scaleOf(a) * scaleOf(b)) / scaleOf(output);
      const float = Math.fround(Math.fround(scaleOf(a) * scaleOf(b)) / scaleOf(output));
      return bindConstant(site, () =>
        OPS.MUL.prepare(kernels, {
          ...elementwise(site),
          ...requantization(profile.arithmetic.ops.MUL.requantizer, [double], [float]),
        }),
      );
    },
  },
  AVERAGE_POOL_2D: pool("AVERAGE_POOL_2D"),
  MAX_POOL_2D: pool("MAX_POOL_2D"),
  MEAN: {
    refuse: (site) =>
      first(
        unary(site),
        only(
          "axes: the batch cannot be reduced",
          site.attributes.axes.every((axis) => axis > 0),
        ),
      ),
    lower: ({ attributes, inputs: [x], output, kernels, profile }) => {
      const { requantizer } = profile.arithmetic.ops.MEAN;
      const count = attributes.axes.reduce((product, axis) => product * x.shape[axis], 1);
      const float = Math.fround(Math.fround(scaleOf(x) / scaleOf(output)) * Math.fround(1 / count));
      const pair = meanMultiplier(scaleOf(x) / scaleOf(output), count);
      const scaling: FixedPoint | FloatScale =
        requantizer === "float-even"
          ? { requantizer, scale: [float] }
          : { requantizer, multiplier: [pair.multiplier], shift: [pair.shift] };
      return OPS.MEAN.prepare(kernels, {
        ...outputArgs("NONE", output),
        ...scaling,
        shape: x.shape.slice(1),
        axes: attributes.axes.map((axis) => axis - 1),
        inputOffset: -zeroPointOf(x),
      });
    },
  },
  SOFTMAX: {
    refuse: (site) =>
      first(
        unary(site),
        only(
          "output: needs scale 1/256 and zero point -128",
          site.output.quantization?.scale[0] === 1 / 256 && zeroPointOf(site.output) === -128,
        ),
      ),
    lower: ({ attributes, inputs: [x], output, kernels, profile }) => {
      const rowSize = x.shape.at(-1)!;
      const rows = elements(x.shape.slice(1)) / rowSize;
      return profile.arithmetic.ops.SOFTMAX.form === "fixed-point"
        ? OPS.SOFTMAX.prepare(kernels, {
            rows,
            rowSize,
            form: "fixed-point",
            ...softmaxMultiplier(scaleOf(x), attributes.beta),
          })
        : OPS.SOFTMAX.prepare(kernels, {
            rows,
            rowSize,
            form: "float-table",
            scale: Math.fround(scaleOf(x) * attributes.beta),
            outputScale: scaleOf(output),
            outputOffset: -128,
          });
    },
  },
  PAD: {
    refuse: (site) =>
      first(
        unary(site),
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
        value: attributes.value ?? zeroPointOf(x),
      }),
  },
  RESHAPE: {
    refuse: (site) => first(unary(site), sharesScale(site)),
    lower: () => null,
  },
  QUANTIZE: {
    refuse: (site) =>
      site.inputs[0].dtype === "float32" ? int8Activation(site.output, "output") : requantize.refuse(site),
    lower: (site) => {
      const {
        inputs: [x],
        output,
        kernels,
        profile,
      } = site;
      if (x.dtype !== "float32") return requantize.lower(site);
      const rounding = profile.arithmetic.ops.QUANTIZE.form === "xnnpack" ? "half-even" : "half-away";
      return OPS.QUANTIZE.prepare(kernels, {
        elements: elements(x.shape.slice(1)),
        scale: scaleOf(output),
        zeroPoint: zeroPointOf(output),
        rounding,
      });
    },
  },
  DEQUANTIZE: {
    refuse: ({ inputs: [x], output }) =>
      first(int8Activation(x, "input"), only("output: needs float32", output.dtype === "float32")),
    lower: ({ inputs: [x], kernels }) =>
      OPS.DEQUANTIZE.prepare(kernels, {
        elements: elements(x.shape.slice(1)),
        scale: scaleOf(x),
        zeroPoint: zeroPointOf(x),
      }),
  },
  RELU: rescale("RELU"),
  RELU6: rescale("RELU6"),
};

/** The row of a node, with its operands; undefined where no integer kernel exists. */
export function siteOf(
  graph: Graph,
  node: Node,
  kernels: Kernels,
  profile: Profile,
): { row: Lowering<OpName> | undefined; site: Site } {
  const inputs = node.inputs.map((id) => graph.tensors[id]);
  const output = graph.tensors[node.outputs[0]];
  const site = { attributes: node.attributes, inputs, output, kernels, profile } as Site;
  const wide = isWide(site) ? WIDE_LOWERINGS[node.op] : undefined;
  const row = (wide ?? (LOWERINGS as Record<string, Lowering<OpName>>)[node.op]) as
    | Lowering<OpName>
    | undefined;
  return { row, site };
}
