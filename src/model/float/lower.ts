/** One lowering an op on float32 activations, in the order of the profile's ops.float. */
import type { Step } from "../../kernels/args.ts";
import type { FloatUnary } from "../../kernels/float/elementwise.ts";
import { type Bounds, type FloatForm, isBlocked, isFused, isOnnxRuntime } from "../../kernels/float/forms.ts";
import { FLOAT_OPS } from "../../kernels/float/ops.ts";
import type { MeanOrder } from "../../kernels/float/reduce.ts";
import type { FloatConv2dArgs } from "../../kernels/float/sums.ts";
import { phaseCount } from "../../kernels/float/transposeConv.ts";
import { OPS } from "../../kernels/ops.ts";
import { meanRuns } from "../../kernels/pool.ts";
import { hasDelegatedSize } from "../delegate.ts";
import { type Attributes, elements, isGlobalPool, type OpName, type Tensor } from "../graph.ts";
import { floatMatMul } from "../matmul.ts";
import { bindConstant } from "../operands.ts";
import { first, type Lowering, only, type Site } from "../site.ts";
import { transposedWindow } from "../transposed.ts";
import { windowArgs } from "../wide/site.ts";
import { isDynamic, prepareDynamic, refuseDynamic, rowsOf as rowsOfDynamic } from "./dynamic.ts";
import { ELEMENTWISE } from "./elementwise.ts";
import { activation, boundsFor, boundsOf, constant, formOf, hasForm, NO_BOUNDS, unary } from "./site.ts";
import { refuseOnX86, type Summed } from "./x86.ts";

const imageElements = ({ shape }: Tensor) => elements(shape.slice(1));
const rowsOf = ({ inputs: [x] }: Site) => {
  const rowSize = x.shape.at(-1)!;
  return { rows: imageElements(x) / rowSize, rowSize };
};

/** Operands of a sum of products. axis: of the output channels in the filter. */
const weighted = (site: Site<Summed>, op: Summed, axis: number) => {
  const [, filter, bias] = site.inputs;
  return first(
    unary(site as Site),
    refuseOnX86(site, op),
    constant(filter, "filter"),
    bias ? constant(bias, "bias") : "",
    only("bias: needs one an output channel", !bias || bias.data?.length === filter.shape[axis]),
  );
};

const weightsOf = ({ inputs: [, filter, bias] }: Site) => ({
  filter: filter.data as Float32Array,
  bias: (bias?.data as Float32Array | undefined) ?? null,
});

/** ONNX Runtime computes the activation with the convolution. */
const convolutionBounds = (site: Site) => boundsOf(site, ["xnnpack", "onnxruntime"]);

/** prepare: of sums that start from the image that ./residual.ts put behind the operands, if it did. */
function withAddend(
  { inputs: [, , , addend], kernels }: Site,
  prepare: (own: Pick<FloatConv2dArgs, "addend">) => Step,
): Step {
  if (!addend) return prepare({});
  if (!addend.data) return prepare({ addend: "image" });
  return bindConstant(kernels.place(addend.data as Float32Array), prepare({ addend: "shared" }));
}

const conv2d: Lowering<"CONV_2D"> = {
  refuse: (site) =>
    first(
      isDynamic(site) ? refuseDynamic(site, "CONV_2D", 0) : weighted(site, "CONV_2D", 0),
      only("groups: input channels must divide", site.inputs[0].shape[3] % site.inputs[1].shape[3] === 0),
    ),
  lower: (site) => {
    const { attributes, inputs, kernels } = site;
    const [x, filter] = inputs;
    const args = {
      ...windowArgs(attributes, site, [filter.shape[1], filter.shape[2]]),
      ...convolutionBounds(site),
      outputDepth: filter.shape[0],
      groups: x.shape[3] / filter.shape[3],
      dilationHeight: attributes.dilationHeight,
      dilationWidth: attributes.dilationWidth,
    };
    if (isDynamic(site)) return prepareDynamic(site, "CONV_2D", args, rowsOfDynamic(args));
    const own = { ...args, ...weightsOf(site), form: formOf(site), dequantized: site.dequantized };
    return withAddend(site, (addend) => FLOAT_OPS.CONV_2D.prepare(kernels, { ...own, ...addend }));
  },
};

const depthwise: Lowering<"DEPTHWISE_CONV_2D"> = {
  refuse: (site) =>
    first(
      isDynamic(site) ? refuseDynamic(site, "DEPTHWISE_CONV_2D", 3) : weighted(site, "DEPTHWISE_CONV_2D", 3),
      only(
        "filter: needs input channels * depthMultiplier",
        site.inputs[1].shape[3] === site.inputs[0].shape[3] * site.attributes.depthMultiplier,
      ),
    ),
  lower: (site) => {
    const { attributes, inputs, kernels } = site;
    const [x, filter] = inputs;
    const { depthMultiplier, dilationHeight, dilationWidth } = attributes;
    const args = {
      ...windowArgs(attributes, site, [filter.shape[1], filter.shape[2]]),
      ...convolutionBounds(site),
      ...{ dilationHeight, dilationWidth },
    };
    const channels = { outputDepth: filter.shape[3], groups: x.shape[3] };
    if (isDynamic(site)) return prepareDynamic(site, "DEPTHWISE_CONV_2D", { ...args, ...channels });
    const own = {
      ...args,
      ...weightsOf(site),
      form: formOf(site),
      dequantized: site.dequantized,
      depthMultiplier,
    };
    return withAddend(site, (addend) => FLOAT_OPS.DEPTHWISE_CONV_2D.prepare(kernels, { ...own, ...addend }));
  },
};

/** Each falls into as many convolutions as strides have places: of real models a few tens. */
const MOST_PHASES = 4096;

const transposeConv: Lowering<"TRANSPOSE_CONV"> = {
  refuse: (site) => {
    const { inputs, output } = site;
    const [x, filter] = inputs;
    return first(
      only(
        "input, filter, output: needs four dimensions",
        [x, filter, output].every(({ shape }) => shape.length === 4),
      ),
      weighted(site, "TRANSPOSE_CONV", 0),
      only(
        `filter: needs [${output.shape[3]}, height, width, ${x.shape[3]}]`,
        filter.shape[0] === output.shape[3] && filter.shape[3] === x.shape[3],
      ),
      only(
        "XNNPACK leaves a filter below its stride, or an output below its filter, to sums of an unknown order",
        !hasForm(site, "xnnpack") || hasDelegatedSize(site),
      ),
      only(
        `strides: needs at most ${MOST_PHASES} places of an output between pixels`,
        phaseCount(transposedWindow(site)) <= MOST_PHASES,
      ),
    );
  },
  lower: (site) =>
    FLOAT_OPS.TRANSPOSE_CONV.prepare(site.kernels, {
      ...transposedWindow(site),
      ...boundsOf(site),
      ...weightsOf(site),
      form: formOf(site),
    }),
};

const ONE_PIXEL = {
  ...{ inputHeight: 1, outputHeight: 1, filterHeight: 1, filterWidth: 1, strideHeight: 1, strideWidth: 1 },
  ...{ padTop: 0, padLeft: 0, groups: 1, dilationHeight: 1, dilationWidth: 1 },
};

const MOMENTS = ["gamma", "beta", "mean", "variance"] as const;

/** Where no convolution before it takes it over. */
const batchNormalization: Lowering<"BATCH_NORMALIZATION"> = {
  refuse: (site) => {
    const [x, ...moments] = site.inputs;
    return first(
      unary(site),
      only(
        "TFLite has no such operator: a converter folds it",
        isOnnxRuntime(site.profile.arithmetic.ops.float?.form),
      ),
      ...moments.map((tensor, i) => constant(tensor, MOMENTS[i])),
      only(
        `${MOMENTS.join(", ")}: needs one value a channel`,
        moments.every(({ data }) => data?.length === x.shape.at(-1)),
      ),
    );
  },
  lower: (site) => {
    const { attributes, inputs, kernels } = site;
    const [x, ...moments] = inputs;
    const [gamma, beta, mean, variance] = moments.map(({ data }) => data as Float32Array);
    return FLOAT_OPS.BATCH_NORMALIZATION.prepare(kernels, {
      ...boundsOf(site),
      ...{ gamma, beta, mean, variance, epsilon: attributes.epsilon },
      rows: imageElements(x) / gamma.length,
    });
  },
};

function matrixOf({ attributes, dequantized }: Site<"FULLY_CONNECTED">) {
  if (dequantized) return attributes.isTransposed ? "dequantized-transposed" : "dequantized";
  return attributes.unpacked ? "plain" : "packed";
}

/** A row is a pixel. */
const fullyConnected: Lowering<"FULLY_CONNECTED"> = {
  refuse: (site) =>
    first(
      isDynamic(site) ? refuseDynamic(site, "FULLY_CONNECTED", 0) : weighted(site, "FULLY_CONNECTED", 0),
      only("filter: needs the input's width", imageElements(site.inputs[0]) % site.inputs[1].shape[1] === 0),
    ),
  lower: (site) => {
    const { inputs, kernels } = site;
    const [outputDepth, inputDepth] = inputs[1].shape;
    const rows = imageElements(inputs[0]) / inputDepth;
    const args = {
      ...ONE_PIXEL,
      ...boundsOf(site),
      ...{ inputWidth: rows, outputWidth: rows, inputDepth, outputDepth },
    };
    if (isDynamic(site)) return prepareDynamic(site, "FULLY_CONNECTED", args, rows);
    return FLOAT_OPS.CONV_2D.prepare(kernels, {
      ...args,
      ...weightsOf(site),
      form: formOf(site),
      matrix: matrixOf(site),
    });
  },
};

const pool = (op: "AVERAGE_POOL_2D" | "MAX_POOL_2D"): Lowering<"AVERAGE_POOL_2D" | "MAX_POOL_2D"> => ({
  refuse: unary,
  lower: (site) => {
    const { attributes, kernels } = site;
    return FLOAT_OPS[op].prepare(kernels, {
      ...windowArgs(attributes, site, [attributes.filterHeight, attributes.filterWidth]),
      ...boundsOf(site),
      form: formOf(site),
    });
  },
});

/** ONNX Runtime's ReduceMean adds one after the other, as TFLite does, but on x86 by Eigen what lies side by side, and by a
 * product with ones what lies between others. Source: microsoft/onnxruntime 02dd69e, reduction_ops.h; executed on 1.30.0. */
const REDUCED = {
  wasm: { last: "in-order", between: "columns" },
  x86: { last: "vectors", between: "fours" },
} as const;
function meanOrder(form: FloatForm, attributes: Attributes["MEAN"], shape: readonly number[]): MeanOrder {
  if (!isOnnxRuntime(form)) return form === "xnnpack" ? "xnnpack" : "in-order";
  if (isGlobalPool(attributes, shape.length))
    return isBlocked(form, shape.at(-1)!) ? "in-order" : "four-lanes";
  return attributes.reduced ? REDUCED[isFused(form) ? "x86" : "wasm"][attributes.reduced] : "in-order";
}

const mean: Lowering<"MEAN"> = {
  refuse: (site) => {
    const axes = site.attributes.axes.map((axis) => axis - 1);
    const shape = site.inputs[0].shape.slice(1);
    return first(
      unary(site),
      only(
        "axes: the batch cannot be reduced",
        axes.every((axis) => axis >= 0),
      ),
      only("axes: alternate too often with others", meanRuns({ shape, axes }).length <= 4),
    );
  },
  lower: (site) => {
    const { attributes, kernels } = site;
    const { shape } = site.inputs[0];
    return FLOAT_OPS.MEAN.prepare(kernels, {
      order: meanOrder(formOf(site), attributes, shape),
      shape: shape.slice(1),
      axes: attributes.axes.map((axis) => axis - 1),
    });
  },
};

/** XNNPACK has no beta, and leaves others than 1 to a kernel of LiteRT's own whose exponential is not had here. */
const softmax: Lowering<"SOFTMAX"> = {
  refuse: (site) =>
    first(
      unary(site),
      only("attributes: XNNPACK needs beta 1", !hasForm(site, "xnnpack") || site.attributes.beta === 1),
    ),
  lower: (site) =>
    FLOAT_OPS.SOFTMAX.prepare(site.kernels, {
      ...rowsOf(site),
      form: formOf(site),
      beta: site.attributes.beta,
    }),
};

/** LiteRT leaves it to TFLite, beside XNNPACK too. */
const logSoftmax: Lowering<"LOG_SOFTMAX"> = {
  refuse: (site) => first(activation(site.inputs[0], "input"), activation(site.output, "output")),
  lower: (site) => {
    const { kernels, profile } = site;
    const form = profile.arithmetic.ops.float?.form;
    return form && isOnnxRuntime(form)
      ? FLOAT_OPS.LOG_SOFTMAX.prepare(kernels, { ...rowsOf(site), form, beta: 1 })
      : OPS.LOG_SOFTMAX.prepare(kernels, { ...rowsOf(site), form: "float32" });
  },
};

type Function = "LOGISTIC" | "TANH" | "HARD_SWISH";
const FUSED: Record<Function, FloatUnary> = {
  LOGISTIC: "LOGISTIC_MLAS_FUSED",
  TANH: "TANH_MLAS_FUSED",
  HARD_SWISH: "HARD_SWISH_XNNPACK",
};
/** Each runtime's own. */
const FUNCTIONS: Record<FloatForm, Record<Function, FloatUnary>> = {
  tflite: { LOGISTIC: "LOGISTIC_LIBM", TANH: "TANH_LIBM", HARD_SWISH: "HARD_SWISH_TFLITE" },
  xnnpack: { LOGISTIC: "LOGISTIC_XNNPACK", TANH: "TANH_XNNPACK", HARD_SWISH: "HARD_SWISH_XNNPACK" },
  onnxruntime: { LOGISTIC: "LOGISTIC_MLAS", TANH: "TANH_MLAS", HARD_SWISH: "HARD_SWISH_XNNPACK" },
  "onnxruntime-avx2": FUSED,
  "onnxruntime-avx512": FUSED,
};

/** `low` and `high` of the range as the operator's kernel takes them. */
const apply = <Op extends OpName>(
  operator: Function | "CLAMP" | "LEAKY_RELU",
  range: (site: Site<Op>) => Bounds = () => NO_BOUNDS,
): Lowering<Op> => ({
  refuse: unary as Lowering<Op>["refuse"],
  lower: (site) =>
    FLOAT_OPS.UNARY.prepare(site.kernels, {
      ...range(site),
      operator:
        operator === "CLAMP" || operator === "LEAKY_RELU"
          ? operator
          : FUNCTIONS[formOf(site as unknown as Site)][operator],
      elements: imageElements(site.inputs[0]),
    }),
});

const pad: Lowering<"PAD"> = {
  refuse: (site) =>
    first(
      unary(site),
      only(
        "before, after: the batch cannot be padded",
        site.attributes.before[0] === 0 && site.attributes.after[0] === 0,
      ),
    ),
  lower: ({ attributes, inputs: [x], kernels }) =>
    FLOAT_OPS.PAD.prepare(kernels, {
      shape: x.shape.slice(1),
      before: attributes.before.slice(1),
      after: attributes.after.slice(1),
      value: attributes.value ?? 0,
    }),
};

const bytesOf = ({ data }: Tensor) => data && new Int8Array(data.buffer, data.byteOffset, data.byteLength);

const concatenation: Lowering<"CONCATENATION"> = {
  refuse: ({ attributes, inputs, output }) =>
    first(
      activation(output, "output"),
      only("axis: the batch cannot be concatenated", attributes.axis !== 0),
      only("activation: needs NONE", attributes.activation === "NONE"),
      only(
        "inputs: needs an activation",
        inputs.some(({ data }) => !data),
      ),
      ...inputs.map(({ dtype }, i) => only(`input ${i}: needs float32, is ${dtype}`, dtype === "float32")),
    ),
  lower: ({ attributes: { axis }, inputs, output, kernels }) =>
    OPS.CONCATENATION.prepare(kernels, {
      outer: elements(output.shape.slice(1, axis)),
      sizes: inputs.map((x) => elements(x.shape.slice(axis)) * 4),
      constants: inputs.map(bytesOf),
    }),
};

const sizesOf = ({ inputs: [x], output }: Site) => ({
  ...{ inputHeight: x.shape[1], inputWidth: x.shape[2], inputDepth: x.shape[3] },
  ...{ outputHeight: output.shape[1], outputWidth: output.shape[2] },
});

const bilinear: Lowering<"RESIZE_BILINEAR"> = {
  refuse: unary,
  lower: (site) =>
    FLOAT_OPS.RESIZE_BILINEAR.prepare(site.kernels, {
      ...sizesOf(site),
      form: formOf(site),
      alignCorners: site.attributes.alignCorners,
      halfPixelCenters: site.attributes.halfPixelCenters,
    }),
};

/** A pixel is moved as it is: four bytes a channel. */
const nearest: Lowering<"RESIZE_NEAREST_NEIGHBOR"> = {
  refuse: (site) => first(activation(site.inputs[0], "input"), activation(site.output, "output")),
  lower: ({ attributes: { alignCorners, halfPixelCenters }, ...site }) => {
    const sizes = sizesOf({ attributes: {}, ...site } as Site);
    const inputDepth = sizes.inputDepth * 4;
    const args = { ...sizes, inputDepth, alignCorners, halfPixelCenters };
    return OPS.RESIZE_NEAREST_NEIGHBOR.prepare(site.kernels, args);
  },
};

/** Ops on float32 alone; those that only move values are not here, but in ../lowerLayout.ts. */
export const FLOAT_LOWERINGS: { [Op in OpName]?: Lowering<Op> } = {
  CONV_2D: conv2d,
  DEPTHWISE_CONV_2D: depthwise,
  TRANSPOSE_CONV: transposeConv,
  BATCH_NORMALIZATION: batchNormalization,
  BATCH_MATMUL: floatMatMul,
  FULLY_CONNECTED: fullyConnected,
  ...ELEMENTWISE,
  AVERAGE_POOL_2D: pool("AVERAGE_POOL_2D"),
  MAX_POOL_2D: pool("MAX_POOL_2D"),
  MEAN: mean,
  SOFTMAX: softmax,
  LOG_SOFTMAX: logSoftmax,
  RELU: apply("CLAMP", (site) => boundsFor(site, "RELU")),
  RELU6: apply("CLAMP", (site) => boundsFor(site, "RELU6")),
  RELU_N1_TO_1: apply("CLAMP", (site) => boundsFor(site, "RELU_N1_TO_1")),
  // XNNPACK adds max(x, 0) and min(x, 0) * alpha.
  LEAKY_RELU: apply("LEAKY_RELU", (site) => ({
    activationMin: site.attributes.alpha,
    activationMax: 0,
    ...(hasForm(site, "xnnpack") && { zero: 0 }),
  })),
  LOGISTIC: apply("LOGISTIC"),
  TANH: apply("TANH"),
  HARD_SWISH: apply("HARD_SWISH"),
  PAD: pad,
  CONCATENATION: concatenation,
  RESIZE_BILINEAR: bilinear,
  RESIZE_NEAREST_NEIGHBOR: nearest,
};
