/** One in-memory form for every importer, the trainer and the quantizer. Layouts are TFLite's: activations NHWC,
 * CONV_2D filters OHWI, DEPTHWISE_CONV_2D filters 1HWC, FULLY_CONNECTED filters [out, in]. */

export type DType = "float32" | "int8" | "uint8" | "int4" | "int16" | "int32" | "int64";
export type TensorData = Float32Array | Int8Array | Uint8Array | Int16Array | Int32Array | BigInt64Array;

/** real = scale * (q - zeroPoint). One entry for the whole tensor, or one per index of `axis`. */
export interface Quantization {
  scale: Float32Array;
  zeroPoint: Int32Array;
  axis?: number;
}

export interface Tensor {
  name: string;
  /** Dimension 0 of an activation is the batch and stands for any number of images. */
  shape: number[];
  dtype: DType;
  quantization?: Quantization;
  /** Present in constants. int4: two values a byte, even index in the low nibble, as one stream (TFLite). */
  data?: TensorData;
}

export type Activation = "NONE" | "RELU" | "RELU6" | "RELU_N1_TO_1";
/** SAME and VALID as TFLite defines them, or explicit [top, bottom, left, right]. */
export type Padding = "SAME" | "VALID" | readonly [number, number, number, number];

interface Window {
  strideHeight: number;
  strideWidth: number;
  padding: Padding;
}
interface Fused {
  activation: Activation;
}
/** computedOn: what ONNX Runtime computes an integer node of the file on, where not on uint8 codes, which it makes of the int8
 * ones between QuantizeLinear and DequantizeLinear: the file's codes as they are, or the real values. */
export interface Integer {
  computedOn?: "codes" | "float32";
}
/** powerOfTwoScales: of int16, if all scales are powers of two, one operand may be shifted instead (pot_scale_int16).
 * isSwapped: ONNX Runtime's kernel takes the second operand for its first. */
type Sum = Fused & Integer & { powerOfTwoScales?: boolean; isSwapped?: true };
type Pool = Window & Fused & Integer & { filterHeight: number; filterWidth: number };
type Resize = { height: number; width: number; alignCorners: boolean; halfPixelCenters: boolean };
type None = Record<string, never>;

/** What each op carries beside its operands; names and meaning are TFLite's. */
export interface Attributes {
  /** Inputs: x, filter, bias. isProduct: of matrices in the file, a pixel a row. */
  CONV_2D: Window & Fused & Integer & { dilationHeight: number; dilationWidth: number; isProduct?: true };
  /** Inputs: x, filter, bias. Output channel o reads input channel floor(o / depthMultiplier). */
  DEPTHWISE_CONV_2D: Window &
    Fused &
    Integer & { dilationHeight: number; dilationWidth: number; depthMultiplier: number };
  /** Inputs: x, filter, bias. x is flattened to one row an image, or where its last dimension is the filter's, has a row for
   * each of the others. unpacked: the file computes the filter, which ONNX Runtime then sums float products with in other
   * blocks. isTransposed: and has it as [out, in]. */
  FULLY_CONNECTED: Fused & Integer & { unpacked?: true; isTransposed?: true };
  ADD: Sum;
  MUL: Fused & Integer;
  AVERAGE_POOL_2D: Pool;
  MAX_POOL_2D: Pool;
  /** axes count from 0 = batch; the batch itself is never reduced. inOrder: ONNX's ReduceMean where it would be taken for a
   * GlobalAveragePool. reduced: which of the file's dimensions it is over, the last ones, or a run between others. */
  MEAN: Integer & { axes: number[]; keepDims: boolean; inOrder?: true; reduced?: "last" | "between" };
  SOFTMAX: Integer & { beta: number };
  /** before/after: one entry a dimension. value: the code to write, where it is not the zero point. */
  PAD: { before: number[]; after: number[]; value?: number };
  /** shape[0] is the batch and is kept. */
  RESHAPE: { shape: number[] };
  QUANTIZE: Integer;
  DEQUANTIZE: None;
  RELU: None;
  RELU6: None;
  RELU_N1_TO_1: None;
  SUB: Sum;
  /** Inputs: x, filter (OHWI), bias. outputShape as TFLite gives it; padding as for the convolution it transposes. */
  TRANSPOSE_CONV: Window & Fused & { outputShape: number[] };
  /** Any number of inputs. */
  CONCATENATION: Fused & { axis: number };
  /** As many outputs as parts; `sizes` along `axis`. */
  SPLIT: { axis: number; sizes: number[] };
  /** begin, end, stride: one entry a dimension, end exclusive, already clamped to the shape; squeeze: dropped dimensions. */
  STRIDED_SLICE: { begin: number[]; end: number[]; strides: number[]; squeeze: number[] };
  TRANSPOSE: { permutation: number[] };
  RESIZE_NEAREST_NEIGHBOR: Resize;
  RESIZE_BILINEAR: Resize;
  LOGISTIC: Integer;
  TANH: None;
  HARD_SWISH: None;
  LOG_SOFTMAX: None;
  LEAKY_RELU: Integer & { alpha: number };
  /** Inputs: x, alpha. */
  PRELU: None;
  /** To the output tensor's dtype. */
  CAST: None;
  /** Inputs: x [..., M, K], y [..., K, N], of which at most one is a constant; the dimensions before broadcast. adjX, adjY: where
   * the last two dimensions of x or y are the other way round. alpha: ONNX Runtime's factor of the sums. */
  BATCH_MATMUL: Integer & { adjX: boolean; adjY: boolean; alpha?: number };
  /** Float only; folded into the convolution before it on export. Inputs: x, gamma, beta, mean, variance. */
  BATCH_NORMALIZATION: Fused & { epsilon: number };
}
export type OpName = keyof Attributes;

export type Node = {
  [Op in OpName]: { op: Op; name: string; inputs: number[]; outputs: number[]; attributes: Attributes[Op] };
}[OpName];

/** Nodes are in execution order; numbers are indices into `tensors`, -1 is an absent optional operand. */
export interface Graph {
  name: string;
  tensors: Tensor[];
  nodes: Node[];
  inputs: number[];
  outputs: number[];
}

/** Elements of a shape. */
export function elements(shape: readonly number[]): number {
  return shape.reduce((product, size) => product * size, 1);
}

/** Whether a MEAN is ONNX's GlobalAveragePool, not its ReduceMean, which ONNX Runtime sums in another order. rank: of its input. */
export function isGlobalPool({ axes, keepDims, inOrder }: Attributes["MEAN"], rank: number): boolean {
  return keepDims && !inOrder && rank === 4 && [...axes].sort().join() === "1,2";
}

/** TFLite's SAME/VALID arithmetic for one axis. Returns output size and padding before the first element. */
export function windowAxis(
  input: number,
  filter: number,
  stride: number,
  dilation: number,
  padding: "SAME" | "VALID" | readonly [number, number],
): { output: number; before: number } {
  const extent = (filter - 1) * dilation + 1;
  if (padding === "VALID") return { output: Math.floor((input - extent) / stride) + 1, before: 0 };
  if (padding === "SAME") {
    const output = Math.ceil(input / stride);
    return { output, before: Math.max((output - 1) * stride + extent - input, 0) >> 1 };
  }
  const [before, after] = padding;
  return { output: Math.floor((input + before + after - extent) / stride) + 1, before };
}
