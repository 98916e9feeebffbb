/** Lowerings of dynamic quantization: float32 activations that get their scale in each call, integer weights. */
import type { Window } from "../../kernels/args.ts";
import { BY_ROWS, type DynamicForm } from "../../kernels/float/dynamic.ts";
import type { Bounds } from "../../kernels/float/forms.ts";
import { FLOAT_OPS } from "../../kernels/float/ops.ts";
import { unpackInt4 } from "../../kernels/weights.ts";
import { elements, type Tensor } from "../graph.ts";
import { first, only, type Site } from "../site.ts";
import { activation, constant } from "./site.ts";

export type Weighted = "CONV_2D" | "DEPTHWISE_CONV_2D" | "FULLY_CONNECTED";

interface Rules {
  ops: readonly Weighted[];
  filters: readonly Tensor["dtype"][];
  /** Weights have a zero point of their own, and scales along the output channels or one. */
  asymmetric: boolean;
}

const ALL: readonly Weighted[] = ["CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED"];

/** What each runtime quantizes dynamically. Source: onnxruntime 1.30.0 DynamicQuantizeLinear with ConvInteger, MatMulInteger;
 * PyTorch default_dynamic_quant_modules; XNNPACK qd8-f32-qc8w and -qc4w; TFLite fully_connected.cc EvalHybrid. */
const RULES: Record<DynamicForm, Rules> = {
  onnxruntime: { ops: ALL, filters: ["int8", "uint8"], asymmetric: true },
  tflite: { ops: ["FULLY_CONNECTED"], filters: ["int8"], asymmetric: false },
  xnnpack: { ops: ["FULLY_CONNECTED", "CONV_2D"], filters: ["int8", "int4"], asymmetric: false },
  "pytorch-qnnpack": { ops: ["FULLY_CONNECTED"], filters: ["int8"], asymmetric: false },
  "pytorch-fbgemm": { ops: ["FULLY_CONNECTED"], filters: ["int8"], asymmetric: false },
};

/** The profile's own, once refuseDynamic has seen that it is there. */
const formOf = ({ profile }: Site): DynamicForm => profile.arithmetic.ops.dynamic!.form;

/** A float op on integer weights. */
export const isDynamic = ({ inputs: [, filter] }: Site) => filter !== undefined && filter.dtype !== "float32";

/** ONNX Runtime has the 16-bit pairs for uint8 by int8 matrices alone: ConvInteger's sums are exact.
 * Source: onnxruntime-node 1.30.0 on AVX2, executed. */
const saturates = ({ attributes, inputs: [, filter], profile }: Site) =>
  profile.arithmetic.accumulator.overflow === "saturate-pairs" &&
  filter.dtype === "int8" &&
  (!("strideHeight" in attributes) || "isProduct" in attributes);

/** axis: of the output channels in the filter. */
export function refuseDynamic(site: Site, op: Weighted, axis: number): string {
  const { profile } = site;
  if (!profile.arithmetic.ops.dynamic)
    return "float32 by integer weights: the profile has no dynamic quantization";
  const [x, filter, bias] = site.inputs;
  const form = formOf(site);
  const { ops, filters, asymmetric } = RULES[form];
  const { quantization } = filter;
  const isSymmetric = quantization?.zeroPoint.every((zero) => zero === 0) ?? false;
  return first(
    activation(x, "input"),
    activation(site.output, "output"),
    only(`${form} has no dynamic ${op}`, ops.includes(op)),
    only(
      `filter: needs ${filters.join(" or ")} constants, is ${filter.dtype}`,
      filters.includes(filter.dtype) && filter.data !== undefined,
    ),
    only("filter: needs quantization", quantization !== undefined),
    only(
      `filter: needs scales along axis ${axis}`,
      quantization?.axis === undefined || quantization.axis === axis,
    ),
    only("filter: needs zero point 0", isSymmetric || (asymmetric && !saturates(site))),
    bias ? constant(bias, "bias") : "",
    only("bias: needs one an output channel", !bias || bias.data?.length === filter.shape[axis]),
  );
}

/** Codes less their zero points, in the filter's own order. */
function codesOf({ dtype, data, shape, quantization }: Tensor): Int16Array {
  const count = elements(shape);
  const codes = dtype === "int4" ? unpackInt4(data as Uint8Array, count) : (data as Int8Array | Uint8Array);
  const { zeroPoint, axis } = quantization!;
  const inner = axis === undefined ? count : elements(shape.slice(axis + 1));
  return Int16Array.from(
    { length: count },
    (_, i) => codes[i] - zeroPoint[Math.floor(i / inner) % zeroPoint.length],
  );
}

/** 1HWC weights as OHWI of one group a channel. */
function byChannel(codes: Int16Array, channels: number): Int16Array {
  const taps = codes.length / channels;
  return codes.map((_, i) => codes[(i % taps) * channels + Math.floor(i / taps)]);
}

interface Convolution extends Window, Bounds {
  outputDepth: number;
  groups: number;
  dilationHeight: number;
  dilationWidth: number;
}

/** Rows of the matrix product that XNNPACK makes of a 1x1 convolution, one a pixel; 1 for any other. */
export const rowsOf = (args: Convolution) =>
  args.filterHeight * args.filterWidth * args.strideHeight * args.strideWidth * args.groups === 1
    ? args.outputHeight * args.outputWidth
    : 1;

/** rows: of a FULLY_CONNECTED, or of a convolution that is one. */
export function prepareDynamic(site: Site, op: Weighted, args: Convolution, rows = 1) {
  const [, filter, bias] = site.inputs;
  const form = formOf(site);
  const codes = codesOf(filter);
  return FLOAT_OPS.DYNAMIC_CONV_2D.prepare(site.kernels, {
    ...args,
    form,
    filter: op === "DEPTHWISE_CONV_2D" ? byChannel(codes, args.outputDepth) : codes,
    scales: filter.quantization!.scale,
    bias: (bias?.data as Float32Array | undefined) ?? null,
    parts: BY_ROWS.has(form) ? rows : 1,
    saturates: saturates(site),
  });
}
