/** What the ops on int16 activations need to be prepared. As ../args.ts, but for what is said here; zero points are 0 and
 * activation ranges within [-32768, 32767]. */
import type { DilatedWindow, Output, Window } from "../args.ts";

/** P4 or P5, of int32 values. */
export type Rounding = "tflite-double" | "tflite-single";

/** How a sum of int16 by int8 products becomes an output: as a wrapping int32 sum with an int32 bias, or as an int64 one by
 * P7 (arm_nn_requantize_s64 keeps 32 bits before its last shift) or by its real factor in doubles, half away from zero
 * (double-32: of the sum's low 32 bits). One entry, or one an output channel; shift: at most 7 for int64 sums. */
export type SumScaling =
  | (SumMultipliers & { sum: 32; requantizer: Rounding; bias: ArrayLike<number> | null })
  | (SumMultipliers & { sum: 64; requantizer: "tflite-wide" | "cmsis-nn-wide"; bias: BigInt64Array | null })
  | { sum: 64; requantizer: "double" | "double-32"; factor: ArrayLike<number>; bias: BigInt64Array | null };

interface SumMultipliers {
  multiplier: ArrayLike<number>;
  shift: ArrayLike<number>;
}

/** filter: OHWI, int8. */
export type WideConv2dArgs = DilatedWindow &
  Output &
  SumScaling & { filter: Int8Array; outputDepth: number; groups: number };

/** filter: 1HWC, int8. */
export type WideDepthwiseConv2dArgs = DilatedWindow &
  Output &
  SumScaling & { filter: Int8Array; depthMultiplier: number };

/** padTop, padLeft: rows and columns of the full result before the output, less than the filter. filter: OHWI, int8. */
export type WideTransposeConvArgs = Window & Output & SumScaling & { filter: Int8Array; outputDepth: number };

/** filter: [outputDepth][inputDepth], int8. */
export type WideFullyConnectedArgs = Output &
  SumScaling & { filter: Int8Array; inputDepth: number; outputDepth: number };

/** elements: of one image. input2Shared: the second operand is one image, used for all (a constant). */
export interface WideElementwise extends Output {
  elements: number;
  input1Offset: number;
  input2Offset: number;
  input2Shared?: boolean;
}

/** rescaled: as int8, with a left shift of 15. shifted: operand 1 or 2 shifted right by `shift` in [0, 15], ties away from
 * zero, the other taken as it is, the sum saturated to int16 (TFLite, scales that are powers of two). */
export type WideAddArgs = WideElementwise & { input2Sign?: 1 | -1 } & (
    | {
        form: "rescaled";
        requantizer: Rounding;
        leftShift: number;
        input1Multiplier: number;
        input1Shift: number;
        input2Multiplier: number;
        input2Shift: number;
        outputMultiplier: number;
        outputShift: number;
      }
    | { form: "shifted"; shifted: 1 | 2; shift: number }
  );

export type WideMulArgs = WideElementwise & { requantizer: Rounding; multiplier: number; shift: number };

export type RescaledType = "int8" | "int16" | "int32";

/** From one integer type to another, or to the same. negative: the scale of what lies below the zero point, as in LEAKY_RELU;
 * its multiplier may be negative. */
export interface RescaleArgs extends Output {
  from: RescaledType;
  to: RescaledType;
  elements: number;
  inputOffset: number;
  requantizer: Rounding;
  multiplier: number;
  shift: number;
  negative?: { multiplier: number; shift: number };
}

/** shape: of one image. axes: indices into `shape`. multiplier and shift: divided by the count (meanMultiplier). */
export interface WideMeanArgs extends Output {
  shape: readonly number[];
  axes: readonly number[];
  requantizer: Rounding;
  multiplier: number;
  shift: number;
}

/** fixed-point: int8 to int16 in 1/65536 with zero point -32768; see softmaxMultiplier. tables: int16 to int16 in 1/32768;
 * multiplier and shift: of inputScale * beta * 65535 / 10; rowSize at most 65536. */
export type WideSoftmaxArgs = { rows: number; rowSize: number } & (
  | { form: "fixed-point"; multiplier: number; shift: number; diffMin: number }
  | {
      form: "tables";
      tables: "float32" | "float64";
      requantizer: Rounding;
      multiplier: number;
      shift: number;
    }
);

/** multiplier in [0, 32767] and right shift that bring x to 1 / (3 * 2^12): see logisticMultiplier. */
export interface WideLogisticArgs {
  elements: number;
  multiplier: number;
  shift: number;
}
