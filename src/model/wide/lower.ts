/** One lowering an op on int16 activations, by the rules of a profile's ops.int16. */
import type { Step } from "../../kernels/args.ts";
import { OPS } from "../../kernels/ops.ts";
import { meanRuns } from "../../kernels/pool.ts";
import { meanMultiplier, quantizeMultiplier, softmaxMultiplier } from "../../kernels/requantize.ts";
import type { RescaledType } from "../../kernels/wide/args.ts";
import { RESCALED } from "../../kernels/wide/elementwise.ts";
import { logisticMultiplier, powerOfTwo } from "../../kernels/wide/logistic.ts";
import { WIDE_OPS } from "../../kernels/wide/ops.ts";
import { signedMultiplier } from "../../kernels/wide/requantize.ts";
import { softmaxTableMultiplier } from "../../kernels/wide/softmax.ts";
import { type Activation, elements, type OpName, type Tensor } from "../graph.ts";
import {
  first,
  type Lowering,
  only,
  type Site,
  sameScale,
  scaleOf,
  sharesScale,
  zeroPointOf,
} from "../site.ts";
import { MUL, sum } from "./elementwise.ts";
import { CONV_2D, DEPTHWISE_CONV_2D, FULLY_CONNECTED, TRANSPOSE_CONV } from "./products.ts";
import { has16Bits, outputArgs, quantized, rulesOf, symmetric, typed, unary, windowArgs } from "./site.ts";

/** A row's sum of exponentials must fit an int32. */
const MAX_SOFTMAX_ROW = 65536;

const imageElements = ({ shape }: Tensor) => elements(shape.slice(1));

const pool = (op: "AVERAGE_POOL_2D" | "MAX_POOL_2D"): Lowering<"AVERAGE_POOL_2D" | "MAX_POOL_2D"> => ({
  refuse: (site) => first(unary(site), sharesScale(site)),
  lower: (site) => {
    const { attributes, kernels, output } = site;
    const window = windowArgs(attributes, site, [attributes.filterHeight, attributes.filterWidth]);
    const { activationMin, activationMax } = outputArgs(attributes.activation, output);
    return WIDE_OPS[op].prepare(kernels, { ...window, activationMin, activationMax });
  },
});

const MEAN: Lowering<"MEAN"> = {
  refuse: (site) => {
    const { axes } = site.attributes;
    const shape = site.inputs[0].shape.slice(1);
    const runs = () => meanRuns({ shape, axes: axes.map((axis) => axis - 1) });
    return first(
      unary(site),
      only(
        "axes: the batch cannot be reduced",
        axes.every((axis) => axis > 0),
      ),
      only("axes: alternate too often with others", runs().length <= 4),
    );
  },
  lower: (site) => {
    const { attributes, inputs, output, kernels } = site;
    const [x] = inputs;
    const count = elements(attributes.axes.map((axis) => x.shape[axis]));
    return WIDE_OPS.MEAN.prepare(kernels, {
      ...outputArgs("NONE", output),
      requantizer: rulesOf(site).requantizer,
      ...meanMultiplier(scaleOf(x) / scaleOf(output), count),
      shape: x.shape.slice(1),
      axes: attributes.axes.map((axis) => axis - 1),
    });
  },
};

/** int8 logits to 1/65536 with zero point -32768, int16 ones to 1/32768. */
const SOFTMAX: Lowering<"SOFTMAX"> = {
  refuse: (site) => {
    const {
      inputs: [x],
      output,
      profile,
    } = site;
    const scaled = (scale: number, zeroPoint: number) =>
      only(
        `output: needs scale 1/${1 / scale} and zero point ${zeroPoint}`,
        Math.abs(scaleOf(output) / scale - 1) < 1e-3 && zeroPointOf(output) === zeroPoint,
      );
    const general = first(
      has16Bits(site),
      typed(x, x.dtype === "int8" ? "int8" : "int16", "input"),
      quantized(x, "input"),
      typed(output, "int16", "output"),
      quantized(output, "output"),
    );
    if (general !== "") return general;
    return x.dtype === "int8"
      ? first(
          scaled(2 ** -16, -32768),
          only(
            "the profile's softmax of int8 has int8 outputs",
            profile.arithmetic.ops.SOFTMAX?.form === "fixed-point",
          ),
        )
      : first(
          symmetric(x, "input"),
          scaled(2 ** -15, 0),
          only(`input: needs rows of at most ${MAX_SOFTMAX_ROW}`, x.shape.at(-1)! <= MAX_SOFTMAX_ROW),
        );
  },
  lower: (site) => {
    const { attributes, inputs, kernels } = site;
    const [x] = inputs;
    const rowSize = x.shape.at(-1)!;
    const rows = imageElements(x) / rowSize;
    const { tables, requantizer } = rulesOf(site);
    return WIDE_OPS.SOFTMAX.prepare(kernels, {
      rows,
      rowSize,
      ...(x.dtype === "int8"
        ? { form: "fixed-point", ...softmaxMultiplier(scaleOf(x), attributes.beta) }
        : {
            form: "tables",
            tables,
            requantizer,
            ...softmaxTableMultiplier(scaleOf(x), attributes.beta),
          }),
    });
  },
};

const PAD: Lowering<"PAD"> = {
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
    WIDE_OPS.PAD.prepare(kernels, {
      shape: x.shape.slice(1),
      before: attributes.before.slice(1),
      after: attributes.after.slice(1),
      value: attributes.value ?? 0,
    }),
};

/** Inputs on the output's scale, as TFLite requires, and no constants. */
const CONCATENATION: Lowering<"CONCATENATION"> = {
  refuse: (site) =>
    first(
      has16Bits(site),
      symmetric(site.output, "output"),
      only("axis: the batch cannot be concatenated", site.attributes.axis !== 0),
      only("activation: needs NONE", site.attributes.activation === "NONE"),
      ...site.inputs.map((x, i) =>
        first(symmetric(x, `input ${i}`), sameScale(x, site.output, `input ${i}`)),
      ),
    ),
  lower: ({ attributes: { axis }, inputs, output, kernels }) =>
    OPS.CONCATENATION.prepare(kernels, {
      outer: elements(output.shape.slice(1, axis)),
      sizes: inputs.map((x) => elements(x.shape.slice(axis)) * Int16Array.BYTES_PER_ELEMENT),
    }),
};

const isRescaled = (dtype: string): dtype is RescaledType => dtype in RESCALED;

/** ratio: of the scales, and below the zero point. */
function rescale(site: Site, activation: Activation, ratio: number, negativeRatio = ratio): Step {
  const {
    inputs: [x],
    output,
    kernels,
  } = site;
  return WIDE_OPS.REQUANTIZE.prepare(kernels, {
    ...outputArgs(activation, output),
    from: x.dtype as RescaledType,
    to: output.dtype as RescaledType,
    elements: imageElements(x),
    inputOffset: -zeroPointOf(x),
    requantizer: rulesOf(site).requantizer,
    ...quantizeMultiplier(ratio),
    negative: signedMultiplier(negativeRatio),
  });
}

/** From float32, or between integer types. */
const QUANTIZE: Lowering<"QUANTIZE"> = {
  refuse: (site) => {
    const {
      inputs: [x],
      output,
    } = site;
    if (x.dtype === "float32") return first(has16Bits(site), symmetric(output, "output"));
    const known = isRescaled(x.dtype) && (RESCALED[x.dtype] as readonly string[]).includes(output.dtype);
    return first(
      has16Bits(site),
      only("input: needs an activation, is a constant", x.data === undefined),
      only(`no requantization from ${x.dtype} to ${output.dtype}`, known),
      quantized(x, "input"),
      quantized(output, "output"),
    );
  },
  lower: (site) => {
    const {
      inputs: [x],
      output,
      kernels,
    } = site;
    if (x.dtype !== "float32") return rescale(site, "NONE", scaleOf(x) / scaleOf(output));
    const fields = { elements: imageElements(x), scale: scaleOf(output), zeroPoint: 0 };
    return WIDE_OPS.QUANTIZE.prepare(kernels, fields);
  },
};

const DEQUANTIZE: Lowering<"DEQUANTIZE"> = {
  refuse: (site) =>
    first(
      has16Bits(site),
      symmetric(site.inputs[0], "input"),
      only("output: needs float32", site.output.dtype === "float32"),
    ),
  lower: ({ inputs: [x], kernels }) =>
    WIDE_OPS.DEQUANTIZE.prepare(kernels, { elements: imageElements(x), scale: scaleOf(x), zeroPoint: 0 }),
};

/** Scales are divided in float32. Source: TFLite activations.cc, ReluPrepare. */
const relu = (activation: Activation): Lowering<"RELU" | "RELU6"> => ({
  refuse: unary,
  lower: (site) => rescale(site, activation, Math.fround(scaleOf(site.inputs[0]) / scaleOf(site.output))),
});

/** Source: TFLite activations.cc and tflite-micro leaky_relu_common.cc, which divide in float32. */
const LEAKY_RELU: Lowering<"LEAKY_RELU"> = {
  refuse: unary,
  lower: (site) => {
    const {
      attributes,
      inputs: [x],
      output,
    } = site;
    const slope = Math.fround(scaleOf(x) * Math.fround(attributes.alpha));
    const [ratio, negativeRatio] = [scaleOf(x), slope].map((scale) => Math.fround(scale / scaleOf(output)));
    return rescale(site, "NONE", ratio, negativeRatio);
  },
};

const table = (op: "LOGISTIC" | "TANH"): Lowering<"LOGISTIC" | "TANH"> => ({
  refuse: (site) =>
    first(
      unary(site),
      only("output: needs scale 1/32768", powerOfTwo(site.output.quantization?.scale[0] ?? 0) === -15),
    ) ||
    only(
      "input: needs a scale below 8/3",
      logisticMultiplier(scaleOf(site.inputs[0]), op).multiplier <= 32767,
    ),
  lower: ({ inputs: [x], kernels }) =>
    WIDE_OPS[op].prepare(kernels, { elements: imageElements(x), ...logisticMultiplier(scaleOf(x), op) }),
});

export const WIDE_LOWERINGS: { [Op in OpName]?: Lowering<Op> } = {
  CONV_2D,
  DEPTHWISE_CONV_2D,
  FULLY_CONNECTED,
  TRANSPOSE_CONV,
  ADD: sum(1),
  SUB: sum(-1),
  MUL,
  AVERAGE_POOL_2D: pool("AVERAGE_POOL_2D"),
  MAX_POOL_2D: pool("MAX_POOL_2D"),
  MEAN,
  SOFTMAX,
  PAD,
  CONCATENATION,
  RESHAPE: {
    refuse: (site) => first(unary(site), sharesScale(site)),
    lower: () => null,
  },
  QUANTIZE,
  DEQUANTIZE,
  RELU: relu("RELU"),
  RELU6: relu("RELU6"),
  LEAKY_RELU,
  LOGISTIC: table("LOGISTIC"),
  TANH: table("TANH"),
};
