/** ADD (and SUB), MUL and rescalings of int16: preparation, and the same in plain TypeScript. */
import type { Op, Values } from "../args.ts";
import { clamp, roundingDivideByPowerOfTwo } from "../requantize.ts";
import { makeStep } from "../step.ts";
import type { RescaleArgs, RescaledType, WideAddArgs, WideElementwise, WideMulArgs } from "./args.ts";
import { rescale, SUM_FORMS } from "./requantize.ts";

function commonFields(args: WideElementwise) {
  const { elements, input1Offset, input2Offset, outputOffset, activationMin, activationMax } = args;
  return {
    input2Stride: args.input2Shared ? 0 : elements,
    elements,
    input1Offset,
    input2Offset,
    outputOffset,
    activationMin,
    activationMax,
  };
}

function bytes({ elements }: WideElementwise) {
  return { inputBytes: elements * 2, input2Bytes: elements * 2, outputBytes: elements * 2 };
}

/** Pairs of the two operands, offsets added, through `combine`; then output offset and clamp. */
function eachPair(
  args: WideElementwise,
  [input, input2]: readonly Values[],
  batches: number,
  combine: (a: number, b: number) => number,
): Int16Array {
  const { elements, input1Offset, input2Offset, outputOffset, activationMin, activationMax } = args;
  return Int16Array.from({ length: batches * elements }, (_, i) => {
    const b = input2[args.input2Shared ? i % elements : i];
    const value = combine(input[i] + input1Offset, b + input2Offset);
    return clamp(value + outputOffset, activationMin, activationMax);
  });
}

function addOne(args: WideAddArgs, a: number, b: number): number {
  const sign = args.input2Sign ?? 1;
  if (args.form === "shifted") {
    const first = args.shifted === 1 ? roundingDivideByPowerOfTwo(a, args.shift) : a;
    const second = args.shifted === 2 ? roundingDivideByPowerOfTwo(b, args.shift) : b;
    return clamp(first + sign * second, -32768, 32767);
  }
  const scaled = (value: number, multiplier: number, shift: number) =>
    rescale(args.requantizer, value, multiplier, shift);
  const u = scaled((a * 2 ** args.leftShift) | 0, args.input1Multiplier, args.input1Shift);
  const v = scaled((b * 2 ** args.leftShift) | 0, args.input2Multiplier, args.input2Shift);
  return scaled((u + sign * v) | 0, args.outputMultiplier, args.outputShift);
}

export const ADD: Op<WideAddArgs> = {
  macs: () => 0,
  prepare(kernels, args) {
    const common = { ...commonFields(args), input2Sign: args.input2Sign ?? 1 };
    const values =
      args.form === "shifted"
        ? { ...common, shifted: args.shifted, shift: args.shift }
        : {
            ...common,
            requantizer: SUM_FORMS[args.requantizer],
            leftShift: args.leftShift,
            input1Multiplier: args.input1Multiplier,
            input1Shift: args.input1Shift,
            input2Multiplier: args.input2Multiplier,
            input2Shift: args.input2Shift,
            outputMultiplier: args.outputMultiplier,
            outputShift: args.outputShift,
          };
    return makeStep(kernels, kernels.mark(), "add_s16", "WideAdd", values, bytes(args));
  },
  reference: (args, operands, batches) => eachPair(args, operands, batches, (a, b) => addOne(args, a, b)),
};

export const MUL: Op<WideMulArgs> = {
  macs: () => 0,
  prepare(kernels, args) {
    const { multiplier, shift } = args;
    const values = { ...commonFields(args), requantizer: SUM_FORMS[args.requantizer], multiplier, shift };
    return makeStep(kernels, kernels.mark(), "mul_s16", "Mul", values, bytes(args));
  },
  reference: (args, operands, batches) =>
    eachPair(args, operands, batches, (a, b) =>
      rescale(args.requantizer, (a * b) | 0, args.multiplier, args.shift),
    ),
};

const TYPES = {
  int8: { name: "s8", Elements: Int8Array },
  int16: { name: "s16", Elements: Int16Array },
  int32: { name: "s32", Elements: Int32Array },
} as const satisfies Record<RescaledType, unknown>;

/** From which type to which there is a kernel. int8 to int8 is a table: REQUANTIZE of ../ops.ts. */
export const RESCALED: Record<RescaledType, readonly RescaledType[]> = {
  int8: ["int16", "int32"],
  int16: ["int8", "int16", "int32"],
  int32: ["int8", "int16"],
};

function rescaleOne(args: RescaleArgs, x: number): number {
  const value = (x + args.inputOffset) | 0;
  const { multiplier, shift } = value < 0 && args.negative ? args.negative : args;
  const scaled = rescale(args.requantizer, value, multiplier, shift);
  return clamp(scaled + args.outputOffset, args.activationMin, args.activationMax);
}

/** QUANTIZE between integer types, RELU and RELU6 of their own (by the activation range) and LEAKY_RELU. */
export const REQUANTIZE: Op<RescaleArgs> = {
  macs: () => 0,
  prepare(kernels, args) {
    const { elements, inputOffset, outputOffset, activationMin, activationMax, multiplier, shift } = args;
    const [from, to] = [TYPES[args.from], TYPES[args.to]];
    const values = {
      elements,
      inputOffset,
      outputOffset,
      activationMin,
      activationMax,
      requantizer: SUM_FORMS[args.requantizer],
      multiplier,
      shift,
      negativeMultiplier: args.negative?.multiplier ?? multiplier,
      negativeShift: args.negative?.shift ?? shift,
    };
    return makeStep(kernels, kernels.mark(), `rescale_${from.name}_${to.name}`, "Rescale", values, {
      inputBytes: elements * from.Elements.BYTES_PER_ELEMENT,
      outputBytes: elements * to.Elements.BYTES_PER_ELEMENT,
    });
  },
  reference: (args, [input]) => new TYPES[args.to].Elements(Array.from(input, (x) => rescaleOne(args, x))),
};
