/** What each op needs to be prepared. Names and signs are CMSIS-NN's: `inputOffset` = -zero point of the input,
 * `outputOffset` = +zero point of the output; a padded tap contributes 0. Shapes are of one image: tensors are dense
 * NHWC, and the batch is given at run time. A real multiplier is `multiplier * 2^(shift - 31)`. */
import type { Kernels } from "./module.ts";

/** tflite-double: two roundings (ARITHMETIC P4: TFLite reference, TFLM, CMSIS-NN, ESP-NN, Ethos-U). tflite-single: one,
 * half up (P5: ruy, CMSIS_NN_USE_SINGLE_ROUNDING). float-even: float32 scale, half to even (P8: XNNPACK, ORT). The others:
 * rounding.ts. */
export type RequantizerName = FixedPoint["requantizer"] | FloatScale["requantizer"];

/** One entry for the whole tensor, or one an output channel. multiplier: int32; shift: [-31, 30], positive is left. */
export interface FixedPoint {
  requantizer:
    | "tflite-double"
    | "tflite-single"
    | "neon-double"
    | "half-away"
    | "half-even"
    | "toward-zero"
    | "floor-nudge"
    | "sixteen-bit"
    | "wrap-sixteen"
    | "carry-shift";
  multiplier: ArrayLike<number>;
  shift: ArrayLike<number>;
}
/** scale: float32, one entry or one an output channel: f32(f32(inputScale * filterScale) / outputScale). */
export interface FloatEven {
  requantizer: "float-even";
  scale: ArrayLike<number>;
}
/** The same with ties up. */
export interface FloatUp {
  requantizer: "float-up";
  scale: ArrayLike<number>;
}
export type FloatScale = FloatEven | FloatUp;
/** The output is the int32 accumulator itself (bias included, wrapped): four bytes a value, no clamp. */
export interface Accumulator {
  requantizer: "none";
}
export type Requantization = FixedPoint | FloatScale | Accumulator;

/** Added after rounding; then the result is clamped to [activationMin, activationMax], within [-128, 127]. */
export interface Output {
  outputOffset: number;
  activationMin: number;
  activationMax: number;
}

/** padTop, padLeft: rows and columns before the image; those after it follow from the output size. */
export interface Window {
  inputHeight: number;
  inputWidth: number;
  /** Channels of the input. */
  inputDepth: number;
  outputHeight: number;
  outputWidth: number;
  filterHeight: number;
  filterWidth: number;
  strideHeight: number;
  strideWidth: number;
  padTop: number;
  padLeft: number;
}

export interface DilatedWindow extends Window {
  dilationHeight: number;
  dilationWidth: number;
}

/** weightBits 8: int8, or in convolutions -255..255 as int16: uint8 less its zero point. 4: two a byte, even index in the low
 * nibble, one stream without row padding (TFLite, CMSIS-NN); they stay 4-bit in memory. bias: one an output channel, or null
 * for zeros. */
export interface Weights {
  weightBits: 8 | 4;
  filter: Int8Array | Uint8Array | Int16Array;
  bias: ArrayLike<number> | null;
}

/** filter: OHWI, [outputDepth][filterHeight][filterWidth][inputDepth / groups]. */
export type Conv2dArgs = DilatedWindow &
  Weights &
  Output &
  Requantization & { inputOffset: number; outputDepth: number; groups: number };

/** filter: 1HWC, [filterHeight][filterWidth][inputDepth * depthMultiplier]; channel o reads floor(o / depthMultiplier). */
export type DepthwiseConv2dArgs = DilatedWindow &
  Weights &
  Output &
  Requantization & { inputOffset: number; depthMultiplier: number };

/** filter: [outputDepth][inputDepth]. filterOffset: -zero point of the weights, normally 0. rows: of inputDepth values in one
 * image, 1 where left out. */
export type FullyConnectedArgs = Weights &
  Output &
  Requantization & {
    rows?: number;
    inputDepth: number;
    outputDepth: number;
    inputOffset: number;
    filterOffset: number;
  };

/** elements: of one image. input2Shared: the second operand is one image, used for all (a constant). */
interface Elementwise extends Output {
  elements: number;
  input1Offset: number;
  input2Offset: number;
  input2Shared?: boolean;
}

/** Both operands requantized after a left shift, their sum requantized again. See addMultipliers. */
export interface AddFixedPoint {
  requantizer: "tflite-double" | "tflite-single";
  /** 20 for int8. */
  leftShift: number;
  input1Multiplier: number;
  input1Shift: number;
  input2Multiplier: number;
  input2Shift: number;
  outputMultiplier: number;
  outputShift: number;
}
/** XNNPACK: (a * multiplier1 + b * multiplier2 + 2^(shift - 1)) >> shift, in int32. See addMultipliersXnnpack. */
export interface AddXnnpack {
  requantizer: "float-even";
  input1Multiplier: number;
  input2Multiplier: number;
  /** [13, 30]. */
  shift: number;
}
/** input2Sign -1 makes it SUB. */
export type AddArgs = Elementwise & (AddFixedPoint | AddXnnpack) & { input2Sign?: 1 | -1 };

/** One multiplier and shift (double or single rounding), or one float32 scale f32(f32(s1 * s2) / so) (XNNPACK). */
export type MulArgs = Elementwise & (FixedPoint | FloatScale);

/** Sum over the taps inside the image, divided with ties away from zero; input and output share scale and zero point.
 * inputOffset: 128 where the codes stand for uint8, which are averaged as such. */
export type AveragePool2dArgs = Window & {
  activationMin: number;
  activationMax: number;
  inputOffset?: number;
};

/** shape: of one image. axes: indices into `shape`, so without the batch. FixedPoint: multiplier and shift already divided
 * by the count (meanMultiplier). FloatScale: f32(f32(si / so) * f32(1 / count)). bias: XNNPACK's float32 of both zero points
 * (meanXnnpack), added to the scaled sum before it is rounded half to even; the offsets are then 0. */
export type MeanArgs = Output &
  (FixedPoint | FloatScale) & {
    shape: readonly number[];
    axes: readonly number[];
    inputOffset: number;
    bias?: number;
  };

/** rows of rowSize values in one image. Output: scale 1/256 and zero point -128 in the fixed-point form.
 * fixed-point: gemmlowp Q5.26 (TFLite reference, TFLM, CMSIS-NN, ESP-NN); see softmaxMultiplier.
 * float-table: TFLite optimized (x86, WASM, XNNPACK builds): scale = inputScale * beta. */
export type SoftmaxArgs = { rows: number; rowSize: number } & (
  | { form: "fixed-point"; multiplier: number; shift: number; diffMin: number }
  | { form: "float-table"; scale: number; outputScale: number; outputOffset: number }
);

/** One entry a dimension of one image (at most three after merging those without padding). value: the int8 written. */
export interface PadArgs {
  shape: readonly number[];
  before: readonly number[];
  after: readonly number[];
  value: number;
}

/** float32 -> int8. half-away: round(f32(x / scale)) (TFLite reference). half-even: rint(f32(x * f32(1 / scale))) (XNNPACK).
 * quotient-half-even: rint(f32(x / scale)) (ONNX Runtime). */
export interface QuantizeArgs {
  elements: number;
  scale: number;
  zeroPoint: number;
  rounding: "half-away" | "half-even" | "quotient-half-even";
  /** The code of NaN; the zero point where left out. */
  nan?: number;
}

/** int8 -> float32: f32(scale * (q - zeroPoint)). */
export interface DequantizeArgs {
  elements: number;
  scale: number;
  zeroPoint: number;
}

/** int8 -> int8 on another scale, as a QUANTIZE between int8 tensors or a RELU, RELU6 of its own (by the activation range).
 * FixedPoint: TFLite. XNNPACK: multiplier of 8 fraction bits, half up: see requantizeMultiplierXnnpack. */
export type RequantizeArgs = Output & { elements: number; inputOffset: number } & (
    | FixedPoint
    | FloatScale
    | { requantizer: "xnnpack-8-bit"; multiplier: number }
  );

/** elementBytes: 1 for int8, 2 for int16, 4 for float32. */
export interface CopyArgs {
  elements: number;
  elementBytes: number;
}

/** Byte addresses in the kernels' memory. input2: ignored by ops of one operand. Any alignment; scratch: 16. */
export interface Operands {
  input: number;
  input2?: number;
  output: number;
  /** Free for the length of a call; may be shared by all steps. Left out: for steps whose scratchBytes is 0. */
  scratch?: number;
  /** All of them, for steps that have more than two operands or several outputs. */
  inputs?: readonly number[];
  outputs?: readonly number[];
}

/** A kernel with everything but its operands and the number of images. Constants are packed into wasm memory once. */
export interface Step {
  /** The wasm export. */
  readonly kernel: string;
  /** Address of its parameter block. */
  readonly params: number;
  /** Bytes of one image of each operand. */
  readonly inputBytes: number;
  readonly input2Bytes?: number;
  readonly outputBytes: number;
  /** Bytes for a whole call, whatever the batches. */
  readonly scratchBytes: number;
  /** Bytes of packed constants, parameters included. */
  readonly constantBytes: number;
  bind(operands: Operands): void;
  /** Runs images 0..batches-1, which follow each other in memory. Operands must be bound. */
  run(batches: number): void;
}

export type Values = Int8Array | Int16Array | Int32Array | Float32Array;

/** A row of OPS. */
export interface Op<Args> {
  /** Multiply-accumulates of one image; 0 for ops that have none. */
  macs(args: Args): number;
  /** Allocates in the kernels' memory, which may grow. Checks nothing: compile() has. */
  prepare(kernels: Kernels, args: Args): Step;
  /** The same in plain TypeScript and exact integers, slow. operands: whole batches. */
  reference(args: Args, operands: readonly Values[], batches: number): Values;
}
