/** What the vector files of every activation type share: shapes, bounds, and the run that a case asks for. */
import type { AddFixedPoint, Operands, Values, Window } from "./args.ts";
import type { Kernels } from "./module.ts";
import { type Fields, MAX_ELEMENTS, MAX_SIDE } from "./vectorFile.ts";

/** Operands and the step that takes them. */
export interface Run {
  inputs: Values[];
  batches: number;
  step: {
    inputBytes: number;
    outputBytes: number;
    scratchBytes: number;
    bind(o: Operands): void;
    run(n: number): void;
  };
  /** What named defects of CMSIS-NN make of the case. */
  quirks?: () => Iterable<[string, Values]>;
  stray?: Stray;
}

/** A defect by which some builds read memory outside of the operands, or fail. */
export interface Stray {
  name: string;
  /** Outputs that it leaves right; left out where none need be. */
  sound?(output: number): boolean;
}

/** What a case asks of the kernels. */
export type Prepare = (kernels: Kernels, fields: Fields, requantizer: AddFixedPoint["requantizer"]) => Run;

export const INT32 = [-(2 ** 31), 2 ** 31 - 1] as const;
export const SHIFT = [-31, 30] as const;
const MAX_MACS = 2 ** 31;
const MAX_DEFECT_MACS = 2 ** 22;

/** Shapes, strides and padding; the batches agree, and the padded image that the outputs span is bounded. */
export function window(params: Fields, filterHeight: number, filterWidth: number) {
  const [batches, inputHeight, inputWidth, inputDepth] = params.shape("input_shape_nhwc", 4);
  const [outputBatches, outputHeight, outputWidth, outputDepth] = params.shape("output_shape_nhwc", 4);
  if (outputBatches !== batches) params.fail("output_shape_nhwc", `${batches} batches`);
  const shape: Window = {
    inputHeight,
    inputWidth,
    inputDepth,
    outputHeight,
    outputWidth,
    filterHeight,
    filterWidth,
    strideHeight: params.integer("stride_h", 1, MAX_SIDE),
    strideWidth: params.integer("stride_w", 1, MAX_SIDE),
    padTop: params.integer("pad_top", 0, MAX_SIDE),
    padLeft: params.integer("pad_left", 0, MAX_SIDE),
  };
  return { batches, outputDepth, shape };
}

/** Of a pool; every window holds a tap, for there is nothing to divide by or to take the greatest of otherwise. */
export function poolWindow(fields: Fields, params: Fields) {
  const { batches, outputDepth, shape } = window(
    params,
    params.integer("filter_h", 1, MAX_SIDE),
    params.integer("filter_w", 1, MAX_SIDE),
  );
  if (outputDepth !== shape.inputDepth) params.fail("output_shape_nhwc", `${shape.inputDepth} channels`);
  const reaches = (outputs: number, stride: number, pad: number, filter: number, input: number) =>
    pad < filter && (outputs - 1) * stride - pad < input;
  const { strideHeight, strideWidth, padTop, padLeft, filterHeight, filterWidth } = shape;
  if (
    !reaches(shape.outputHeight, strideHeight, padTop, filterHeight, shape.inputHeight) ||
    !reaches(shape.outputWidth, strideWidth, padLeft, filterWidth, shape.inputWidth)
  )
    params.fail("output_shape_nhwc", "windows that reach into the image");
  const taps = Math.min(filterHeight, shape.inputHeight) * Math.min(filterWidth, shape.inputWidth);
  checkWork(fields, batches * shape.outputHeight * shape.outputWidth * outputDepth * taps);
  return { batches, shape };
}

/** How ADD brings its operands to one scale, and their sum to the output's. */
export function sumScaling(params: Fields) {
  const multiplier = (field: string) => params.integer(field, ...INT32);
  const shift = (field: string) => params.integer(field, ...SHIFT);
  return {
    leftShift: params.integer("left_shift", 0, 30),
    input1Multiplier: multiplier("input1_multiplier"),
    input1Shift: shift("input1_shift"),
    input2Multiplier: multiplier("input2_multiplier"),
    input2Shift: shift("input2_shift"),
    outputMultiplier: multiplier("output_multiplier"),
    outputShift: shift("output_shift"),
  };
}

export function dilatedWindow(
  params: Fields,
  filterHeight: number,
  filterWidth: number,
  pixelDepth: (outputs: number) => number,
) {
  const { batches, outputDepth, shape } = window(params, filterHeight, filterWidth);
  const dilationHeight = params.integer("dilation_h", 1, MAX_SIDE);
  const dilationWidth = params.integer("dilation_w", 1, MAX_SIDE);
  const height = (shape.outputHeight - 1) * shape.strideHeight + (filterHeight - 1) * dilationHeight + 1;
  const width = (shape.outputWidth - 1) * shape.strideWidth + (filterWidth - 1) * dilationWidth + 1;
  if (height * width * pixelDepth(outputDepth) > MAX_ELEMENTS) {
    params.fail(
      "output_shape_nhwc",
      `windows over at most ${MAX_ELEMENTS} values`,
      `${height} x ${width} pixels`,
    );
  }
  return { batches, outputDepth, shape: { ...shape, dilationHeight, dilationWidth } };
}

/** @throws ModelFormatError where a case would run for minutes; named defects are computed in TypeScript. */
export function checkWork(fields: Fields, macs: number): void {
  const isDefect = fields.has("outputs_by_build") || fields.has("output_on_all_cores");
  const most = isDefect ? MAX_DEFECT_MACS : MAX_MACS;
  if (macs > most)
    fields.record("params").fail("output_shape_nhwc", `at most ${most} multiply-accumulates`, macs);
}
