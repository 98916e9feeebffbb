/** LOGISTIC and TANH of int16, by one table and linear interpolation; output scale 1/32768. */
import { exp, log2 } from "../../elementary.ts";
import type { Op } from "../args.ts";
import { makeStep } from "../step.ts";
import type { WideLogisticArgs } from "./args.ts";

/**
 * sigmoid(i / 24) * 2^16 for i in 0..255, each raised by half of what interpolation falls short by in the middle of its
 * step; the last one is 2^16 - 1. Equal to sigmoid_table_uint16, TFLite internal/common.h, of which this is the rule.
 */
export function sigmoidTable(): Uint16Array {
  const exact = (i: number) => 65536 / (1 + exp(-i / 24));
  return Uint16Array.from({ length: 256 }, (_, i) => {
    const shortfall = exact(i + 0.5) - (exact(i) + exact(i + 1)) / 2;
    return i === 255 ? 65535 : Math.round(exact(i) + shortfall / 2);
  });
}

/** The logarithm of a scale to base 2, where it is within 1/1000 of an integer. Source: CheckedLog2, TFLite kernel_util. */
export function powerOfTwo(scale: number): number | undefined {
  const exponent = Math.round(log2(scale));
  return Math.abs(log2(scale) - exponent) < 1e-3 ? exponent : undefined;
}

/**
 * multiplier and right shift from the input scale to 1 / (3 * 2^12). A scale of 2^-12 (and for TANH 2^-11) is exact; others
 * have 15 bits, cut off. Source: PrepareLogistic and TanhPrepare, TFLite activations.cc.
 */
export function logisticMultiplier(inputScale: number, op: "LOGISTIC" | "TANH") {
  const left = 12 + (powerOfTwo(inputScale) ?? Number.NaN);
  if (left === 0 || (left === 1 && op === "TANH")) return { multiplier: 3 << left, shift: 0 };
  let multiplier = inputScale * 4096 * 3;
  let shift = 0;
  for (; multiplier <= 32767 / 2 && shift <= 30; shift++) multiplier *= 2;
  return { multiplier: Math.trunc(multiplier), shift };
}

function toTable({ multiplier, shift }: WideLogisticArgs, x: number): number {
  return Math.floor((x * multiplier + (shift > 0 ? 2 ** (shift - 1) : 0)) / 2 ** shift);
}

function interpolate(table: Uint16Array, magnitude: number, bits: number, saturated: number): number {
  const index = magnitude >> bits;
  if (index >= 255) return saturated;
  const slope = table[index + 1] - table[index];
  return table[index] * 2 ** bits + (magnitude & (2 ** bits - 1)) * slope;
}

const sigmoid = (table: Uint16Array, x: number) => {
  const value = interpolate(table, Math.abs(x), 9, 0x7fff * 2 ** 10);
  return (x >= 0 ? value + 2 ** 9 : 2 ** 25 - value + 2 ** 9 - 1) >> 10;
};

const tanh = (table: Uint16Array, x: number) => {
  const value = interpolate(table, Math.abs(x), 8, 0xffff * 2 ** 8);
  return (x >= 0 ? value - 2 ** 23 + 2 ** 7 : 2 ** 23 - value + 2 ** 7 - 1) >> 8;
};

const tableOp = (
  kernel: string,
  compute: (table: Uint16Array, x: number) => number,
): Op<WideLogisticArgs> => ({
  macs: () => 0,
  prepare(kernels, { elements, multiplier, shift }) {
    const mark = kernels.mark();
    const values = { elements, table: kernels.place(sigmoidTable()), multiplier, shift };
    const bytes = { inputBytes: elements * 2, outputBytes: elements * 2 };
    return makeStep(kernels, mark, kernel, "WideLogistic", values, bytes);
  },
  reference: (args, [input]) => {
    const table = sigmoidTable();
    return Int16Array.from(input as Int16Array, (x) => compute(table, toTable(args, x)));
  },
});

export const LOGISTIC = tableOp("logistic_s16", sigmoid);
export const TANH = tableOp("tanh_s16", tanh);
