/** ADD, SUB, MUL, LOGISTIC and TANH of int16, and rescalings between the integer types. */
import { Mul, Rescale, WideAdd, WideLogistic } from "../params";
import { roundingDivideByPowerOfTwo } from "../requantize";
import { clampOutput, rescale, roundsTwice } from "./requantize";

@inline
function saturate16(value: i32): i32 {
  return min(max(value, -32768), 32767);
}

/** One operand shifted right with ties away from zero, the sum saturated to int16. Source: TFLite reference/add.h, pot_scale. */
@inline
function addShifted(p: WideAdd, a: i32, b: i32): i32 {
  const first = p.shifted == 1 ? roundingDivideByPowerOfTwo(a, p.shift) : a,
    second = p.shifted == 2 ? roundingDivideByPowerOfTwo(b, p.shift) : b;
  return saturate16(first + p.input2Sign * second);
}

/** Two rescalings after a left shift, and a third of their sum. Source: TFLite reference/add.h, AddElementwise. */
@inline
function addRescaled(p: WideAdd, isDouble: bool, a: i32, b: i32): i32 {
  const u = rescale(isDouble, a << p.leftShift, p.input1Multiplier, p.input1Shift),
    v = rescale(isDouble, b << p.leftShift, p.input2Multiplier, p.input2Shift);
  return rescale(isDouble, u + p.input2Sign * v, p.outputMultiplier, p.outputShift);
}

export function add_s16(params: usize): void {
  const p = changetype<WideAdd>(params),
    isDouble = roundsTwice(p.requantizer);
  let input = p.input,
    output = p.output;
  for (let image = 0; image < p.batches; image++) {
    const input2 = p.input2 + (<usize>(image * p.input2Stride) << 1);
    for (let i: usize = 0, end = (<usize>p.elements) << 1; i < end; i += 2, input += 2, output += 2) {
      const a = <i32>load<i16>(input) + p.input1Offset,
        b = <i32>load<i16>(input2 + i) + p.input2Offset;
      const value = p.shifted == 0 ? addRescaled(p, isDouble, a, b) : addShifted(p, a, b);
      store<i16>(output, <i16>clampOutput(value, p.outputOffset, p.activationMin, p.activationMax));
    }
  }
}

/** Source: TFLite reference/integer_ops/mul.h. */
export function mul_s16(params: usize): void {
  const p = changetype<Mul>(params),
    isDouble = roundsTwice(p.requantizer);
  let input = p.input,
    output = p.output;
  for (let image = 0; image < p.batches; image++) {
    const input2 = p.input2 + (<usize>(image * p.input2Stride) << 1);
    for (let i: usize = 0, end = (<usize>p.elements) << 1; i < end; i += 2, input += 2, output += 2) {
      const a = <i32>load<i16>(input) + p.input1Offset,
        b = <i32>load<i16>(input2 + i) + p.input2Offset;
      const value = rescale(isDouble, a * b, p.multiplier, p.shift);
      store<i16>(output, <i16>clampOutput(value, p.outputOffset, p.activationMin, p.activationMax));
    }
  }
}

/** In to Out on another scale. Source: TFLite reference/requantize.h and leaky_relu.h. */
@inline
function rescaleAll<In extends i32, Out extends i32>(params: usize): void {
  const p = changetype<Rescale>(params),
    isDouble = roundsTwice(p.requantizer);
  let input = p.input,
    output = p.output;
  for (let i = p.batches * p.elements; i > 0; i--, input += sizeof<In>(), output += sizeof<Out>()) {
    const value = <i32>load<In>(input) + p.inputOffset,
      isNegative = value < 0;
    const scaled = rescale(
      isDouble,
      value,
      isNegative ? p.negativeMultiplier : p.multiplier,
      isNegative ? p.negativeShift : p.shift,
    );
    store<Out>(output, <Out>clampOutput(scaled, p.outputOffset, p.activationMin, p.activationMax));
  }
}

export function rescale_s8_s16(params: usize): void {
  rescaleAll<i8, i16>(params);
}

export function rescale_s8_s32(params: usize): void {
  rescaleAll<i8, i32>(params);
}

export function rescale_s16_s8(params: usize): void {
  rescaleAll<i16, i8>(params);
}

export function rescale_s16_s16(params: usize): void {
  rescaleAll<i16, i16>(params);
}

export function rescale_s16_s32(params: usize): void {
  rescaleAll<i16, i32>(params);
}

export function rescale_s32_s8(params: usize): void {
  rescaleAll<i32, i8>(params);
}

export function rescale_s32_s16(params: usize): void {
  rescaleAll<i32, i16>(params);
}

/** x on the table's scale of 1 / (3 * 2^12): shifted right, half up. */
@inline
function toTable(p: WideLogistic, input: usize): i32 {
  const half = (1 << p.shift) >> 1;
  return (<i32>load<i16>(input) * p.multiplier + half) >> p.shift;
}

/** Between two entries of the table, 2^bits steps from one to the next; `saturated` from the last one on. */
@inline
function interpolate(table: usize, magnitude: i32, bits: i32, saturated: i32): i32 {
  const index = magnitude >> bits;
  if (index >= 255) return saturated;
  const entry = table + ((<usize>index) << 1),
    low = <i32>load<u16>(entry),
    high = <i32>load<u16>(entry, 2);
  return (low << bits) + (magnitude & ((1 << bits) - 1)) * (high - low);
}

/** Source: TFLite reference/integer_ops/logistic.h, int16. */
export function logistic_s16(params: usize): void {
  const p = changetype<WideLogistic>(params);
  for (let i: usize = 0, end = (<usize>(p.batches * p.elements)) << 1; i < end; i += 2) {
    const x = toTable(p, p.input + i),
      value = interpolate(p.table, abs(x), 9, 0x7fff << 10);
    const result = x >= 0 ? value + (1 << 9) : (1 << 25) - value + (1 << 9) - 1;
    store<i16>(p.output + i, <i16>(result >> 10));
  }
}

/** tanh(x) = 2 sigmoid(2x) - 1, by the same table. Source: TFLite reference/integer_ops/tanh.h, int16. */
export function tanh_s16(params: usize): void {
  const p = changetype<WideLogistic>(params);
  for (let i: usize = 0, end = (<usize>(p.batches * p.elements)) << 1; i < end; i += 2) {
    const x = toTable(p, p.input + i),
      value = interpolate(p.table, abs(x), 8, 0xffff << 8);
    const result = x >= 0 ? value - (1 << 23) + (1 << 7) : (1 << 23) - value + (1 << 7) - 1;
    store<i16>(p.output + i, <i16>(result >> 8));
  }
}
