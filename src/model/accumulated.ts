/** CONV_2D and FULLY_CONNECTED whose int32 sums are wanted as they are: ONNX's ConvInteger and MatMulInteger. */
import { OPS } from "../kernels/ops.ts";
import { onnxRuntimeForm } from "./computedOn.ts";
import { elements, type OpName, type Tensor } from "./graph.ts";
import { byteActivation, first, type Lowering, only, type Site, scaleOf, zeroPointOf } from "./site.ts";
import { windowArgs } from "./wide/site.ts";

/** Bytes by constant codes, to int32. */
export const isAccumulated = ({ inputs: [x, filter], output }: Site) =>
  (x.dtype === "int8" || x.dtype === "uint8") && output.dtype === "int32" && filter?.data !== undefined;

const BYTES = ["int8", "uint8"];

/** ONNX Runtime's 16-bit pairs are of uint8 codes by int8 matrices, not of convolutions. Source: onnxruntime-node 1.30.0 on
 * AVX2, executed. */
const isExact = (site: Site) =>
  site.profile.arithmetic.accumulator.overflow === "wrap" ||
  (onnxRuntimeForm(site) !== undefined &&
    (site.inputs[1].dtype === "uint8" || isConvolution(site as Site<"CONV_2D">)));

const isConvolution = ({ attributes }: Site<"CONV_2D">) =>
  "strideHeight" in attributes && !attributes.isProduct;

const refuse = (site: Site) => {
  const {
    inputs: [x, filter, bias],
    output,
  } = site;
  return first(
    byteActivation(x, "input"),
    only(`filter: needs int8 or uint8, is ${filter.dtype}`, BYTES.includes(filter.dtype)),
    only("filter: needs quantization", filter.quantization !== undefined),
    only("filter: needs scales along axis 0", (filter.quantization?.axis ?? 0) === 0),
    only(
      "output: needs the scale of its sums",
      filter.quantization?.scale.every((scale) => scaleOf(x) * scale === output.quantization?.scale[0]) ??
        false,
    ),
    only("output: needs zero point 0", output.quantization?.zeroPoint[0] === 0),
    only("bias: there is none", bias === undefined),
    only("the accumulator saturates", isExact(site)),
  );
};

/** Codes less the zero point of their channel. */
function weightsOf({ data, quantization, shape }: Tensor): Int16Array {
  const { zeroPoint } = quantization!;
  const channel = elements(shape.slice(1));
  return Int16Array.from(
    data as Int8Array | Uint8Array,
    (code, i) => code - zeroPoint[Math.floor(i / channel) % zeroPoint.length],
  );
}

const common = ({ inputs: [x, filter] }: Site) => ({
  ...{ weightBits: 8 as const, filter: weightsOf(filter), bias: null },
  ...{ requantizer: "none" as const, outputOffset: 0, activationMin: -128, activationMax: 127 },
  inputOffset: -zeroPointOf(x),
  outputDepth: filter.shape[0],
});

const isPlain = ({ attributes }: Site<"CONV_2D" | "FULLY_CONNECTED">) =>
  only("activation: needs NONE", attributes.activation === "NONE");

const conv2d: Lowering<"CONV_2D"> = {
  refuse: (site) =>
    first(
      refuse(site),
      isPlain(site),
      only("groups: input channels must divide", site.inputs[0].shape[3] % site.inputs[1].shape[3] === 0),
    ),
  lower: (site) => {
    const { attributes, inputs, kernels } = site;
    const [x, filter] = inputs;
    return OPS.CONV_2D.prepare(kernels, {
      ...common(site),
      ...windowArgs(attributes, site, [filter.shape[1], filter.shape[2]]),
      groups: x.shape[3] / filter.shape[3],
      dilationHeight: attributes.dilationHeight,
      dilationWidth: attributes.dilationWidth,
    });
  },
};

/** A row is a pixel. */
const fullyConnected: Lowering<"FULLY_CONNECTED"> = {
  refuse: (site) =>
    first(
      refuse(site),
      isPlain(site),
      only(
        "filter: needs the input's width",
        elements(site.inputs[0].shape.slice(1)) % site.inputs[1].shape[1] === 0,
      ),
    ),
  lower: (site) => {
    const [x, filter] = site.inputs;
    const inputDepth = filter.shape[1];
    const rows = elements(x.shape.slice(1)) / inputDepth;
    return OPS.CONV_2D.prepare(site.kernels, {
      ...common(site),
      ...{ inputHeight: 1, inputWidth: rows, inputDepth, outputHeight: 1, outputWidth: rows, groups: 1 },
      ...{ filterHeight: 1, filterWidth: 1, strideHeight: 1, strideWidth: 1, padTop: 0, padLeft: 0 },
      ...{ dilationHeight: 1, dilationWidth: 1 },
    });
  },
};

export const ACCUMULATED: { [Op in OpName]?: Lowering<Op> } = {
  CONV_2D: conv2d,
  FULLY_CONNECTED: fullyConnected,
};
