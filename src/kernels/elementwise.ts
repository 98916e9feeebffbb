/** ADD (and SUB) and MUL: preparation, and the same in plain TypeScript. */
import type { AddArgs, AddFixedPoint, MulArgs, Op, Step, Values } from "./args.ts";
import type { Kernels } from "./module.ts";
import { type Field, floatBits } from "./params.ts";
import { clamp, requantize, requantizeDouble, requantizeSingle } from "./requantize.ts";
import { channelOf, exactForm, FORMS } from "./requantizers.ts";
import { makeStep } from "./step.ts";

/** The vector form holds |acc| < 2^30 and shifts right by at most 30; else the exact one runs. */
const MAX_RIGHT_SHIFT = 30;
/** The vector form of ADD is made for TFLite's left shift. */
const LEFT_SHIFT = 20;

/** Every pair of int8 codes, and elements an image from which a table of them is worth its 64 KiB. */
const PAIRS = 65536;
const TABLE_ELEMENTS = 2048;

function form(requantizer: MulArgs["requantizer"], shifts: number[], leftShift = LEFT_SHIFT): number {
  const fits = shifts.every((shift) => shift <= 0 && shift >= -MAX_RIGHT_SHIFT);
  if (!fits || leftShift !== LEFT_SHIFT) return exactForm(requantizer);
  return FORMS.find((row) => row.requantizer === requantizer)!.id;
}

function commonFields(args: AddArgs | MulArgs) {
  return {
    input2Stride: args.input2Shared ? 0 : args.elements,
    elements: args.elements,
    input1Offset: args.input1Offset,
    input2Offset: args.input2Offset,
    outputOffset: args.outputOffset,
    activationMin: args.activationMin,
    activationMax: args.activationMax,
  };
}

function bytes({ elements }: AddArgs | MulArgs) {
  return { inputBytes: elements, input2Bytes: elements, outputBytes: elements };
}

function prepareAdd(kernels: Kernels, args: AddArgs): Step {
  const mark = kernels.mark();
  const common = { ...commonFields(args), input2Sign: args.input2Sign ?? 1 };
  if (args.requantizer === "float-even") {
    const { input1Multiplier, input2Multiplier, shift } = args;
    const values = {
      ...common,
      requantizer: exactForm("float-even"),
      input1Multiplier,
      input2Multiplier,
      shift,
    };
    return makeStep(kernels, mark, "add_s8", "Add", values, bytes(args));
  }
  const shifts = [args.input1Shift, args.input2Shift, args.outputShift];
  const { leftShift, input1Multiplier, input1Shift, input2Multiplier, input2Shift } = args;
  const values = {
    ...common,
    requantizer: form(args.requantizer, shifts, leftShift),
    leftShift,
    input1Multiplier,
    input1Shift,
    input2Multiplier,
    input2Shift,
    outputMultiplier: args.outputMultiplier,
    outputShift: args.outputShift,
  };
  return args.elements < TABLE_ELEMENTS
    ? makeStep(kernels, mark, "add_s8", "Add", values, bytes(args))
    : tabulated(kernels, mark, "add_s8", "Add", values, bytes(args));
}

/** The same by a table of every pair of codes, which the kernel itself fills: two loads in place of three rescalings. */
function tabulated(
  kernels: Kernels,
  mark: number,
  kernel: string,
  block: "Add",
  values: Partial<Record<Field<"Add">, number>>,
  sizes: ReturnType<typeof bytes>,
): Step {
  const table = kernels.allocate(PAIRS);
  const own = kernels.mark();
  const codes = (shift: number) => kernels.place(Uint8Array.from({ length: PAIRS }, (_, i) => i >> shift));
  const step = makeStep(kernels, own, kernel, block, { ...values, elements: PAIRS }, { ...sizes });
  step.bind({ input: codes(8), input2: codes(0), output: table });
  step.run(1);
  kernels.release(own);
  const { elements, input2Stride } = values;
  return makeStep(kernels, mark, "lookup_pair_s8", "PairLookup", { elements, input2Stride, table }, sizes);
}

/** a, b: offsets added. */
function addFixedPoint(args: AddFixedPoint, a: number, b: number, sign: number): number {
  const round = args.requantizer === "tflite-double" ? requantizeDouble : requantizeSingle;
  const u = round((a * 2 ** args.leftShift) | 0, args.input1Multiplier, args.input1Shift);
  const v = round((b * 2 ** args.leftShift) | 0, args.input2Multiplier, args.input2Shift);
  return round((u + sign * v) | 0, args.outputMultiplier, args.outputShift);
}

/** Pairs of the two operands, offsets added, through `combine`; then output offset and clamp. */
function eachPair(
  args: AddArgs | MulArgs,
  [input, input2]: readonly Values[],
  batches: number,
  combine: (a: number, b: number) => number,
): Int8Array {
  const { elements, input1Offset, input2Offset, outputOffset, activationMin, activationMax } = args;
  return Int8Array.from({ length: batches * elements }, (_, i) => {
    const b = input2[args.input2Shared ? i % elements : i];
    const value = combine(input[i] + input1Offset, b + input2Offset);
    return clamp(value + outputOffset, activationMin, activationMax);
  });
}

export const ADD: Op<AddArgs> = {
  macs: () => 0,
  prepare: prepareAdd,
  reference(args, operands, batches) {
    const sign = args.input2Sign ?? 1;
    if (args.requantizer !== "float-even") {
      return eachPair(args, operands, batches, (a, b) => addFixedPoint(args, a, b, sign));
    }
    const { input1Multiplier, input2Multiplier, shift } = args;
    return eachPair(args, operands, batches, (a, b) =>
      Math.floor((a * input1Multiplier + sign * b * input2Multiplier + 2 ** (shift - 1)) / 2 ** shift),
    );
  },
};

function prepareMul(kernels: Kernels, args: MulArgs): Step {
  const mark = kernels.mark();
  const { multiplier, shift, scale } = channelOf(args, 0);
  const values = {
    ...commonFields(args),
    requantizer: form(args.requantizer, [shift]),
    multiplier,
    shift,
    scale: floatBits(scale),
  };
  return makeStep(kernels, mark, "mul_s8", "Mul", values, bytes(args));
}

export const MUL: Op<MulArgs> = {
  macs: () => 0,
  prepare: prepareMul,
  reference(args, operands, batches) {
    const channel = channelOf(args, 0);
    // The offset and the clamp are part of the requantizer here, so they are undone for eachPair, which repeats them.
    return eachPair(
      args,
      operands,
      batches,
      (a, b) => requantize(args.requantizer, a * b, channel, args) - args.outputOffset,
    );
  },
};
