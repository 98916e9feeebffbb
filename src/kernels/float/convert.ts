/** float32 PAD and RESIZE_BILINEAR: preparation, and the same in plain TypeScript. */
import type { Op, PadArgs } from "../args.ts";
import { padFields, padSource } from "../convert.ts";
import { floatBits } from "../params.ts";
import type { Resize } from "../resize.ts";
import { makeStep } from "../step.ts";
import { type FloatForm, f32, formNumber } from "./forms.ts";

export const PAD: Op<PadArgs> = {
  macs: () => 0,
  prepare(kernels, args) {
    const { values, input, output } = padFields(args);
    const fields = { ...values, value: floatBits(args.value) };
    const bytes = { inputBytes: input * 4, outputBytes: output * 4 };
    return makeStep(kernels, kernels.mark(), "pad_f32", "Pad", fields, bytes);
  },
  reference: (args, [input], batches) =>
    Float32Array.from({ length: batches * padFields(args).output }, (_, index) => {
      const source = padSource(args, index);
      return source < 0 ? args.value : Number(input[source]);
    }),
};

export type FloatResizeArgs = Resize & { form: FloatForm };

/** The two inputs that an output lies between, and its distance to the first. Source: TFLite reference/resize_bilinear.h
 * ComputeInterpolationValues; XNNPACK indirection.c. */
function between(args: FloatResizeArgs, input: number, output: number, at: number) {
  const aligned = args.alignCorners && output > 1;
  const scale = aligned ? f32((input - 1) / (output - 1)) : f32(input / output);
  const isTflite = args.form === "tflite";
  const moved = isTflite
    ? f32(f32((at + 0.5) * scale) - 0.5)
    : f32(f32(at * scale) + f32(f32(0.5 * scale) - 0.5));
  const scaled = args.halfPixelCenters ? moved : f32(at * scale);
  // XNNPACK limits the position itself, TFLite the two inputs.
  const place = isTflite ? scaled : Math.min(Math.max(scaled, 0), input - 1);
  const floor = Math.floor(place);
  const low = Math.max(floor, 0);
  const high = Math.min(isTflite ? Math.ceil(place) : floor + 1, input - 1);
  return { low, high, distance: f32(place - (isTflite ? low : floor)) };
}

function axis(args: FloatResizeArgs, input: number, output: number) {
  return Array.from({ length: output }, (_, at) => between(args, input, output, at));
}

export const RESIZE_BILINEAR: Op<FloatResizeArgs> = {
  macs: () => 0,
  prepare(kernels, args) {
    const mark = kernels.mark();
    const { form, inputHeight, inputWidth, inputDepth, outputHeight, outputWidth } = args;
    const place = (places: ReturnType<typeof axis>, stride: number) =>
      kernels.place(
        Int32Array.from(
          places.flatMap(({ low, high, distance }) => [low * stride, high * stride, floatBits(distance)]),
        ),
      );
    const values = {
      form: formNumber(form),
      inputHeight,
      inputWidth,
      inputDepth,
      outputHeight,
      outputWidth,
      rows: place(axis(args, inputHeight, outputHeight), inputWidth * inputDepth * 4),
      columns: place(axis(args, inputWidth, outputWidth), inputDepth * 4),
    };
    return makeStep(kernels, mark, "resize_bilinear_f32", "FloatResize", values, {
      inputBytes: inputHeight * inputWidth * inputDepth * 4,
      outputBytes: outputHeight * outputWidth * inputDepth * 4,
    });
  },
  reference(args, [input], batches) {
    const { inputHeight, inputWidth, inputDepth, outputHeight, outputWidth } = args;
    const [rows, columns] = [axis(args, inputHeight, outputHeight), axis(args, inputWidth, outputWidth)];
    const length = batches * outputHeight * outputWidth * inputDepth;
    return Float32Array.from({ length }, (_, index) => {
      const pixel = Math.floor(index / inputDepth);
      const image = Math.floor(pixel / (outputHeight * outputWidth));
      const row = rows[Math.floor(pixel / outputWidth) % outputHeight];
      const column = columns[pixel % outputWidth];
      const read = (y: number, x: number) =>
        Number(input[((image * inputHeight + y) * inputWidth + x) * inputDepth + (index % inputDepth)]);
      const [a, b] = [read(row.low, column.low), read(row.high, column.low)];
      const [c, d] = [read(row.low, column.high), read(row.high, column.high)];
      const [down, right] = [row.distance, column.distance];
      if (args.form === "tflite") {
        const part = (value: number, ...factors: number[]) =>
          factors.reduce((product, factor) => f32(product * factor), value);
        const sum = f32(part(a, f32(1 - down), f32(1 - right)) + part(b, down, f32(1 - right)));
        return f32(f32(sum + part(c, f32(1 - down), right)) + part(d, down, right));
      }
      const lerp = (from: number, to: number, at: number) => f32(from + f32(f32(to - from) * at));
      return lerp(lerp(a, c, right), lerp(b, d, right), down);
    });
  },
};
