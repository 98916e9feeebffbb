/** RESIZE_NEAREST_NEIGHBOR and RESIZE_BILINEAR: where each output pixel comes from, and the same in plain TypeScript. */
import type { Op, Step, Values } from "./args.ts";
import type { Kernels } from "./module.ts";
import { roundHalfAway, roundHalfEven } from "./requantize.ts";
import { makeStep } from "./step.ts";

export interface Resize {
  inputHeight: number;
  inputWidth: number;
  inputDepth: number;
  outputHeight: number;
  outputWidth: number;
  alignCorners: boolean;
  halfPixelCenters: boolean;
}
export type ResizeNearestNeighborArgs = Resize;
/** tflite: weights of 10 bits, ties away from zero. tflite-up: ties up (single rounding builds, uint8). xnnpack: weights of
 * 11 bits from float32 coordinates, ties up. */
export type ResizeBilinearForm = "tflite" | "tflite-up" | "xnnpack";
export type ResizeBilinearArgs = Resize & { form: ResizeBilinearForm };

interface Axis {
  input: number;
  output: number;
}
type Centers = Pick<Resize, "alignCorners" | "halfPixelCenters">;

/** Input index of every output index. Source: GetNearestNeighbor, TFLite reference/resize_nearest_neighbor.h. */
function nearestIndices({ input, output }: Axis, { alignCorners, halfPixelCenters }: Centers): number[] {
  const corners = alignCorners && output > 1;
  const scale = Math.fround(corners ? (input - 1) / (output - 1) : input / output);
  return Array.from({ length: output }, (_, i) => {
    const at = Math.fround(Math.fround(i + (halfPixelCenters ? 0.5 : 0)) * scale);
    const index = Math.min(alignCorners ? roundHalfAway(at) : Math.floor(at), input - 1);
    return halfPixelCenters ? Math.max(0, index) : index;
  });
}

/** Indices below and above, and the weight of the one above. */
type Neighbours = [lower: number, upper: number, weight: number];

/** Source: ComputeInterpolationValuesInteger, TFLite reference/resize_bilinear.h. */
function neighbours10({ input, output }: Axis, { alignCorners, halfPixelCenters }: Centers): Neighbours[] {
  const scale =
    alignCorners && output > 1
      ? Math.trunc((1024 * (input - 1) + Math.trunc((output - 1) / 2)) / (output - 1))
      : Math.trunc((1024 * input + Math.trunc(output / 2)) / output);
  return Array.from({ length: output }, (_, i) => {
    const at = i * scale + (halfPixelCenters ? Math.trunc(scale / 2) - 512 : 0);
    const lower = Math.min(Math.max(Math.trunc(at / 1024), 0), input - 1);
    const upper = Math.min(Math.trunc((at + 1023) / 1024), input - 1);
    return [lower, upper, at - 1024 * lower];
  });
}

/** Source: xnn_indirection_init_resize_bilinear2d_hwc_q11, XNNPACK 75db3c0. */
function neighbours11({ input, output }: Axis, { alignCorners, halfPixelCenters }: Centers): Neighbours[] {
  const scale = Math.fround(alignCorners && output > 1 ? (input - 1) / (output - 1) : input / output);
  const offset = halfPixelCenters ? Math.fround(Math.fround(0.5 * scale) - 0.5) : 0;
  return Array.from({ length: output }, (_, i) => {
    const at = Math.fround(Math.fround(i * scale) + offset);
    const clamped = Math.min(Math.max(at, 0), input - 1);
    const lower = Math.trunc(clamped);
    return [lower, Math.min(lower + 1, input - 1), roundHalfEven(Math.fround(clamped - lower) * 2048)];
  });
}

function common({ inputHeight, inputWidth, inputDepth, outputHeight, outputWidth }: Resize) {
  return {
    values: { inputHeight, inputWidth, inputDepth, outputHeight, outputWidth },
    bytes: {
      inputBytes: inputHeight * inputWidth * inputDepth,
      outputBytes: outputHeight * outputWidth * inputDepth,
    },
    vertical: { input: inputHeight, output: outputHeight },
    horizontal: { input: inputWidth, output: outputWidth },
  };
}

function prepareNearest(kernels: Kernels, args: ResizeNearestNeighborArgs): Step {
  const mark = kernels.mark();
  const { values, bytes, vertical, horizontal } = common(args);
  const rows = kernels.place(Int32Array.from(nearestIndices(vertical, args)));
  const columns = kernels.place(Int32Array.from(nearestIndices(horizontal, args)));
  return makeStep(kernels, mark, "resize_nearest_neighbor", "Resize", { ...values, rows, columns }, bytes);
}

function prepareBilinear(kernels: Kernels, args: ResizeBilinearArgs): Step {
  const mark = kernels.mark();
  const { values, bytes, vertical, horizontal } = common(args);
  const neighbours = args.form === "xnnpack" ? neighbours11 : neighbours10;
  const fields = {
    ...values,
    rows: kernels.place(Int32Array.from(neighbours(vertical, args).flat())),
    columns: kernels.place(Int32Array.from(neighbours(horizontal, args).flat())),
    weightBits: args.form === "xnnpack" ? 11 : 10,
    halfAway: args.form === "tflite" ? 1 : 0,
  };
  return makeStep(kernels, mark, "resize_bilinear_s8", "Resize", fields, bytes);
}

/** pixel: an output value from its row and column, and a reader of the image. */
function eachPixel(
  args: Resize,
  [input]: readonly Values[],
  batches: number,
  pixel: (y: number, x: number, read: (y: number, x: number) => number) => number,
): Int8Array {
  const { inputHeight, inputWidth, inputDepth, outputHeight, outputWidth } = args;
  return Int8Array.from({ length: batches * outputHeight * outputWidth * inputDepth }, (_, i) => {
    const channel = i % inputDepth;
    const [x, rest] = [Math.floor(i / inputDepth) % outputWidth, Math.floor(i / inputDepth / outputWidth)];
    const image = Math.floor(rest / outputHeight) * inputHeight;
    return pixel(
      rest % outputHeight,
      x,
      (row, column) => input[((image + row) * inputWidth + column) * inputDepth + channel],
    );
  });
}

export const RESIZE_NEAREST_NEIGHBOR: Op<ResizeNearestNeighborArgs> = {
  macs: () => 0,
  prepare: prepareNearest,
  reference(args, operands, batches) {
    const { vertical, horizontal } = common(args);
    const [rows, columns] = [nearestIndices(vertical, args), nearestIndices(horizontal, args)];
    return eachPixel(args, operands, batches, (y, x, read) => read(rows[y], columns[x]));
  },
};

function divide(acc: number, bits: number, form: ResizeBilinearForm): number {
  const value = acc / 2 ** bits;
  return form === "tflite" ? roundHalfAway(value) : Math.floor(value + 0.5);
}

export const RESIZE_BILINEAR: Op<ResizeBilinearArgs> = {
  macs: () => 0,
  prepare: prepareBilinear,
  reference(args, operands, batches) {
    const { vertical, horizontal } = common(args);
    const bits = args.form === "xnnpack" ? 11 : 10;
    const neighbours = args.form === "xnnpack" ? neighbours11 : neighbours10;
    const [rows, columns] = [neighbours(vertical, args), neighbours(horizontal, args)];
    return eachPixel(args, operands, batches, (y, x, read) => {
      const [top, bottom, down] = rows[y];
      const [left, next, right] = columns[x];
      const above = read(top, left) * (2 ** bits - right) + read(top, next) * right;
      const below = read(bottom, left) * (2 ** bits - right) + read(bottom, next) * right;
      return divide(above * (2 ** bits - down) + below * down, 2 * bits, args.form);
    });
  },
};
