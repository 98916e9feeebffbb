/** float32 functions of one value and of two: preparation, and the same in plain TypeScript. */
import type { Op } from "../args.ts";
import { makeStep } from "../step.ts";
import { type Bounds, boundBits, bounded, f32 } from "./forms.ts";
import {
  hardSwishTflite,
  hardSwishXnnpack,
  logisticLibm,
  logisticMlas,
  logisticMlasFused,
  logisticXnnpack,
  tanhLibm,
  tanhMlas,
  tanhMlasFused,
  tanhXnnpack,
} from "./functions.ts";

/** In the order of the numbers of assembly/float/elementwise.ts. PRELU: the second operand is the slope below 0, under
 * XNNPACK of -0 too. */
const BINARY = {
  ADD: (a: number, b: number) => a + b,
  SUB: (a: number, b: number) => a - b,
  MUL: (a: number, b: number) => a * b,
  PRELU: (a: number, b: number) => (a < 0 ? a * b : a),
  PRELU_XNNPACK: (a: number, b: number) => (a < 0 || Object.is(a, -0) ? a * b : a),
};
export type FloatBinary = keyof typeof BINARY;

/** elements: of one image. input2Shared: all images read the same second operand. */
export type FloatBinaryArgs = Bounds & { operator: FloatBinary; elements: number; input2Shared: boolean };

export const BINARY_F32: Op<FloatBinaryArgs> = {
  macs: () => 0,
  prepare(kernels, { operator, elements, input2Shared, ...bounds }) {
    const values = {
      elements,
      input2Stride: input2Shared ? 0 : elements,
      operator: Object.keys(BINARY).indexOf(operator),
      ...boundBits(bounds),
    };
    const bytes = { inputBytes: elements * 4, input2Bytes: elements * 4, outputBytes: elements * 4 };
    return makeStep(kernels, kernels.mark(), "binary_f32", "FloatElementwise", values, bytes);
  },
  reference: (args, [a, b], batches) =>
    Float32Array.from({ length: batches * args.elements }, (_, i) => {
      const second = Number(b[args.input2Shared ? i % args.elements : i]);
      return bounded(args, f32(BINARY[args.operator](Number(a[i]), second)));
    }),
};

/** In the order of the numbers of assembly/float/elementwise.ts. */
const UNARY = {
  CLAMP: (x: number, args: FloatUnaryArgs) => bounded(args, x),
  /** activationMin is the slope. */
  LEAKY_RELU: (x: number, { activationMin, zero = -0 }: FloatUnaryArgs) =>
    (x > 0 ? x : f32(x * f32(activationMin))) + zero,
  LOGISTIC_LIBM: logisticLibm,
  LOGISTIC_XNNPACK: logisticXnnpack,
  LOGISTIC_MLAS: logisticMlas,
  TANH_LIBM: tanhLibm,
  TANH_XNNPACK: tanhXnnpack,
  TANH_MLAS: tanhMlas,
  HARD_SWISH_TFLITE: hardSwishTflite,
  HARD_SWISH_XNNPACK: hardSwishXnnpack,
  LOGISTIC_MLAS_FUSED: logisticMlasFused,
  TANH_MLAS_FUSED: tanhMlasFused,
};
export type FloatUnary = keyof typeof UNARY;
export type FloatUnaryArgs = Bounds & { operator: FloatUnary; elements: number };

export const UNARY_F32: Op<FloatUnaryArgs> = {
  macs: () => 0,
  prepare(kernels, { operator, elements, ...bounds }) {
    const values = {
      elements,
      operator: Object.keys(UNARY).indexOf(operator),
      ...boundBits(bounds),
    };
    const bytes = { inputBytes: elements * 4, outputBytes: elements * 4 };
    return makeStep(kernels, kernels.mark(), "unary_f32", "FloatElementwise", values, bytes);
  },
  reference: (args, [input]) =>
    Float32Array.from(input as Float32Array, (x) => UNARY[args.operator](x, args)),
};
