/** Lowerings of the functions of one value, and of LOG_SOFTMAX. */
import { isFused } from "../kernels/float/forms.ts";
import { logisticMlas, logisticMlasFused, tanhMlas, tanhMlasFused } from "../kernels/float/functions.ts";
import { logSoftmaxMultipliers } from "../kernels/logSoftmax.ts";
import { OPS } from "../kernels/ops.ts";
import { quantizeMultiplier, requantizeMultiplierXnnpack } from "../kernels/requantize.ts";
import { REAL_TABLE } from "../kernels/tables.ts";
import { hardSwishShift, type LeakyReluArgs, type Multiplier } from "../kernels/unary.ts";
import { onnxRuntimeForm } from "./computedOn.ts";
import { elements, type OpName, type Tensor } from "./graph.ts";
import {
  byte,
  codesOf,
  first,
  formOf,
  type Lowering,
  only,
  refuseForm,
  type Site,
  sameType,
  scaleOf,
  unary,
  unaryBytes,
  zeroPointOf,
} from "./site.ts";

const ends = ({ inputs: [x], output }: Site) => ({
  elements: elements(output.shape.slice(1)),
  inputScale: scaleOf(x),
  inputZeroPoint: zeroPointOf(x),
  outputScale: scaleOf(output),
  outputZeroPoint: zeroPointOf(output),
});

/** zeroPoint: of int8; of uint8 it is 128 more. */
const quantizedAs = (output: Tensor, scale: number, zeroPoint: number, text: string) =>
  only(
    `output: needs scale ${text} and zero point ${zeroPoint + (output.dtype === "uint8" ? 128 : 0)}`,
    scaleOf(output) === scale && zeroPointOf(output) === zeroPoint,
  );

/** Of ONNX Runtime: QLinearSigmoid, and Tanh in float32 between DequantizeLinear and QuantizeLinear. */
const REALS = {
  LOGISTIC: { plain: logisticMlas, fused: logisticMlasFused },
  TANH: { plain: tanhMlas, fused: tanhMlasFused },
};

const sigmoid = (op: "LOGISTIC" | "TANH"): Lowering<"LOGISTIC" | "TANH"> => ({
  refuse: (site) =>
    first(
      unaryBytes(site),
      refuseForm(site, "LOGISTIC"),
      formOf(site, "LOGISTIC")?.form === "onnxruntime"
        ? ""
        : op === "LOGISTIC"
          ? quantizedAs(site.output, 1 / 256, -128, "1/256")
          : quantizedAs(site.output, 1 / 128, 0, "1/128"),
    ),
  lower: (site) => {
    const { form, requantizer } = formOf(site, "LOGISTIC");
    if (form === "onnxruntime") {
      const isOnX86 = isFused(onnxRuntimeForm(site) ?? "onnxruntime");
      const real = REALS[op][isOnX86 ? "fused" : "plain"];
      return REAL_TABLE.prepare(site.kernels, { ...ends(site), real });
    }
    return OPS[op].prepare(site.kernels, { ...ends(site), form, requantizer });
  },
});

const hardSwish: Lowering<"HARD_SWISH"> = {
  refuse: (site) =>
    first(
      unaryBytes(site),
      only(
        "output: needs a scale of at least 1/128 of the input's",
        hardSwishShift(scaleOf(site.inputs[0]), scaleOf(site.output)) <= 0,
      ),
    ),
  lower: (site) => OPS.HARD_SWISH.prepare(site.kernels, ends(site)),
};

/** P1 of a factor below 0 too. */
function signedMultiplier(value: number): Multiplier {
  const { multiplier, shift } = quantizeMultiplier(Math.abs(value));
  return { multiplier: value < 0 ? -multiplier : multiplier, shift };
}

function leakyReluForm(site: Site<"LEAKY_RELU">) {
  const { form, requantizer } = formOf(site, "LEAKY_RELU");
  const [x] = site.inputs;
  const { alpha } = site.attributes;
  const ratio = Math.fround(scaleOf(x) / scaleOf(site.output));
  const below = Math.fround(ratio * alpha);
  if (form === "xnnpack") {
    const [positive, negative] = [ratio, below].map(requantizeMultiplierXnnpack);
    return { form: "xnnpack" as const, positive, negative };
  }
  const negative = Math.fround(Math.fround(scaleOf(x) * Math.fround(alpha)) / scaleOf(site.output));
  return {
    form: "tflite" as const,
    requantizer,
    positive: signedMultiplier(ratio),
    negative: signedMultiplier(negative),
  };
}

const leakyRelu: Lowering<"LEAKY_RELU"> = {
  refuse: (site) => first(unaryBytes(site), refuseForm(site, "LEAKY_RELU")),
  lower: (site) => {
    const { elements: count, inputZeroPoint, outputZeroPoint } = ends(site);
    if (formOf(site, "LEAKY_RELU").form === "onnxruntime") {
      const { alpha } = site.attributes;
      const real = (x: number) => (x >= 0 ? x : Math.fround(Math.fround(alpha) * x));
      return REAL_TABLE.prepare(site.kernels, { ...ends(site), real });
    }
    const args: LeakyReluArgs = {
      elements: count,
      inputZeroPoint,
      outputZeroPoint,
      ...leakyReluForm(site),
    };
    return OPS.LEAKY_RELU.prepare(site.kernels, args);
  },
};

/** alpha: a constant that repeats over an image. */
const prelu: Lowering<"PRELU"> = {
  refuse: (site) => {
    const [x, alpha] = site.inputs;
    const image = x.shape.slice(1);
    const shape = alpha.shape.slice(Math.max(0, alpha.shape.length - image.length));
    return first(
      refuseForm(site, "PRELU"),
      unaryBytes(site),
      byte(alpha, "alpha"),
      sameType(x, alpha, "alpha"),
      only("alpha: needs a constant", alpha.data !== undefined),
      only(
        "alpha: needs to broadcast to one image",
        elements(shape) === elements(alpha.shape) &&
          shape.every((size, i) => size === 1 || size === image[image.length - shape.length + i]),
      ),
    );
  },
  lower: (site) => {
    const {
      inputs: [x, alpha],
      output,
      kernels,
    } = site;
    const { ratios, requantizer } = formOf(site, "PRELU");
    const round = (value: number) => (ratios === "float32" ? Math.fround(value) : value);
    const image = x.shape.slice(1);
    const own = alpha.shape.slice(Math.max(0, alpha.shape.length - image.length));
    const shape = [...new Array<number>(image.length - own.length).fill(1), ...own];
    const spread = { shape, outputShape: image, elementBytes: 1 };
    const codes = OPS.BROADCAST_TO.reference(spread, [codesOf(alpha)], 1);
    const product = round(scaleOf(x) * scaleOf(alpha));
    return OPS.PRELU.prepare(kernels, {
      elements: elements(image),
      inputZeroPoint: zeroPointOf(x),
      outputZeroPoint: zeroPointOf(output),
      alpha: Int16Array.from(codes, (code) => code - zeroPointOf(alpha)),
      requantizer,
      positive: quantizeMultiplier(round(scaleOf(x) / scaleOf(output))),
      negative: quantizeMultiplier(round(product / scaleOf(output))),
    });
  },
};

/** Of int8, or of float32 on both sides. */
const logSoftmax: Lowering<"LOG_SOFTMAX"> = {
  refuse: (site) =>
    site.inputs[0].dtype === "float32"
      ? only("output: needs float32", site.output.dtype === "float32")
      : first(unary(site), refuseForm(site, "LOG_SOFTMAX"), quantizedAs(site.output, 16 / 256, 127, "1/16")),
  lower: (site) => {
    const {
      inputs: [x],
      output,
      kernels,
    } = site;
    const rowSize = x.shape.at(-1)!;
    const rows = elements(x.shape.slice(1)) / rowSize;
    if (x.dtype === "float32") return OPS.LOG_SOFTMAX.prepare(kernels, { rows, rowSize, form: "float32" });
    const { form, requantizer } = formOf(site, "LOG_SOFTMAX");
    const scale = scaleOf(x);
    return form === "fixed-point"
      ? OPS.LOG_SOFTMAX.prepare(kernels, {
          rows,
          rowSize,
          form,
          requantizer,
          ...logSoftmaxMultipliers(scale),
        })
      : OPS.LOG_SOFTMAX.prepare(kernels, {
          rows,
          rowSize,
          form,
          scale,
          outputScale: scaleOf(output),
          outputOffset: zeroPointOf(output),
        });
  },
};

export const UNARY = {
  LOGISTIC: sigmoid("LOGISTIC"),
  TANH: sigmoid("TANH"),
  HARD_SWISH: hardSwish,
  LEAKY_RELU: leakyRelu,
  PRELU: prelu,
  LOG_SOFTMAX: logSoftmax,
} satisfies { [Op in OpName]?: Lowering<Op> };
