/** QUANTIZE, DEQUANTIZE, requantization from int8 to int8, PAD and copies: preparation, and the same in plain TypeScript. */
import type { CopyArgs, DequantizeArgs, Op, PadArgs, QuantizeArgs, RequantizeArgs } from "./args.ts";
import { floatBits } from "./params.ts";
import { clamp, requantize, roundHalfAway, roundHalfEven } from "./requantize.ts";
import { channelOf } from "./requantizers.ts";
import { makeStep } from "./step.ts";

function quantizeOne({ scale, zeroPoint, rounding, nan = zeroPoint }: QuantizeArgs, x: number): number {
  const narrow = Math.fround(scale);
  const real = Math.fround(rounding === "half-even" ? x * Math.fround(1 / narrow) : x / narrow);
  const value = rounding === "half-away" ? roundHalfAway(real) : roundHalfEven(real);
  return Number.isNaN(value) ? nan : clamp(value + zeroPoint, -128, 127);
}

export const QUANTIZE: Op<QuantizeArgs> = {
  macs: () => 0,
  prepare(kernels, { elements, scale, zeroPoint, rounding, nan = zeroPoint }) {
    const halfEven = ["half-away", "half-even", "quotient-half-even"].indexOf(rounding);
    const values = { elements, scale: floatBits(scale), zeroPoint, halfEven, nan };
    const bytes = { inputBytes: elements * 4, outputBytes: elements };
    return makeStep(kernels, kernels.mark(), "quantize_f32_s8", "Quantize", values, bytes);
  },
  reference: (args, [input]) => Int8Array.from(input as Float32Array, (x) => quantizeOne(args, x)),
};

export const DEQUANTIZE: Op<DequantizeArgs> = {
  macs: () => 0,
  prepare(kernels, { elements, scale, zeroPoint }) {
    const values = { elements, scale: floatBits(scale), zeroPoint };
    const bytes = { inputBytes: elements, outputBytes: elements * 4 };
    return makeStep(kernels, kernels.mark(), "dequantize_s8_f32", "Quantize", values, bytes);
  },
  reference: (args, [input]) =>
    Float32Array.from(input as Int8Array, (q) => (q - args.zeroPoint) * Math.fround(args.scale)),
};

function requantizeOne(args: RequantizeArgs, q: number): number {
  const acc = q + args.inputOffset;
  if (args.requantizer !== "xnnpack-8-bit")
    return requantize(args.requantizer, acc, channelOf(args, 0), args);
  const value = Math.floor((acc * args.multiplier + 128) / 256);
  return clamp(value + args.outputOffset, args.activationMin, args.activationMax);
}

/** A function of one int8 has 256 values: they are computed once, by the primitives that the vectors check. */
export const REQUANTIZE: Op<RequantizeArgs> = {
  macs: () => 0,
  prepare(kernels, args) {
    const mark = kernels.mark();
    const entries = Int8Array.from({ length: 256 }, (_, byte) => requantizeOne(args, (byte << 24) >> 24));
    const values = { elements: args.elements, table: kernels.place(entries) };
    const bytes = { inputBytes: args.elements, outputBytes: args.elements };
    return makeStep(kernels, mark, "lookup_s8", "Lookup", values, bytes);
  },
  reference: (args, [input]) => Int8Array.from(input as Int8Array, (q) => requantizeOne(args, q)),
};

interface Dimension {
  size: number;
  before: number;
  after: number;
}

/** Three dimensions, those without padding merged into the one outside them. */
function padDimensions({ shape, before, after }: PadArgs): [Dimension, Dimension, Dimension] {
  const merged: Dimension[] = [];
  for (const [axis, size] of shape.entries()) {
    const outside = merged.at(-1);
    if (outside && before[axis] === 0 && after[axis] === 0) {
      outside.size *= size;
      outside.before *= size;
      outside.after *= size;
    } else merged.push({ size, before: before[axis], after: after[axis] });
  }
  if (merged.length > 3)
    throw new RangeError(`PAD: more than three dimensions of ${shape.join("x")} are padded`);
  while (merged.length < 3) merged.unshift({ size: 1, before: 0, after: 0 });
  return merged as [Dimension, Dimension, Dimension];
}

function paddedElements(dimensions: readonly Dimension[]): number {
  return dimensions.reduce((product, { size, before, after }) => product * (before + size + after), 1);
}

/** The block's fields, and the elements of one image before and after. */
export function padFields(args: PadArgs) {
  const dimensions = padDimensions(args);
  const [d0, d1, d2] = dimensions;
  const values = {
    size0: d0.size,
    size1: d1.size,
    size2: d2.size,
    before0: d0.before,
    before1: d1.before,
    before2: d2.before,
    after0: d0.after,
    after1: d1.after,
    after2: d2.after,
    value: args.value,
  };
  return { values, input: d0.size * d1.size * d2.size, output: paddedElements(dimensions) };
}

/** Where element `index` of the output (of all images) comes from; -1 for the padding. */
export function padSource({ shape, before, after }: PadArgs, index: number): number {
  const image = paddedElements(shape.map((size, i) => ({ size, before: before[i], after: after[i] })));
  let source = Math.floor(index / image) * shape.reduce((product, size) => product * size, 1);
  let stride = 1;
  for (let axis = shape.length - 1, rest = index % image; axis >= 0; axis--) {
    const width = before[axis] + shape[axis] + after[axis];
    const at = (rest % width) - before[axis];
    if (at < 0 || at >= shape[axis]) return -1;
    source += at * stride;
    stride *= shape[axis];
    rest = Math.floor(rest / width);
  }
  return source;
}

export const PAD: Op<PadArgs> = {
  macs: () => 0,
  prepare(kernels, args) {
    const { values, input, output } = padFields(args);
    return makeStep(kernels, kernels.mark(), "pad_s8", "Pad", values, {
      inputBytes: input,
      outputBytes: output,
    });
  },
  reference: (args, [input], batches) =>
    Int8Array.from({ length: batches * padFields(args).output }, (_, index) => {
      const source = padSource(args, index);
      return source < 0 ? args.value : input[source];
    }),
};

/** RESHAPE where the bytes must move; a planner may as well let both tensors share them. */
export const RESHAPE: Op<CopyArgs> = {
  macs: () => 0,
  prepare(kernels, { elements, elementBytes }) {
    const bytes = elements * elementBytes;
    return makeStep(
      kernels,
      kernels.mark(),
      "copy",
      "Copy",
      { bytes },
      { inputBytes: bytes, outputBytes: bytes },
    );
  },
  reference: (_, [input]) => input.slice(),
};
