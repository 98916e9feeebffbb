/** SOFTMAX to int16: from int8 in gemmlowp fixed point, from int16 by two tables. */
import { Primitive, Softmax, WideSoftmax } from "../params";
import { roundingDivideByPowerOfTwo, saturatingDoublingHighMultiply } from "../requantize";
import { exponentials, oneOverOnePlus } from "../softmax";
import { rescale, roundsTwice } from "./requantize";

/** Rows of rowSize int8 logits to probabilities in 1/65536 with zero point -32768. Source: arm_softmax_s8_s16, CMSIS-NN
 * 99f736a; TFLite reference/softmax.h. */
export function softmax_s8_s16(params: usize): void {
  const p = changetype<Softmax>(params);
  let row = p.input,
    output = p.output;
  for (let rows = p.batches * p.rows; rows > 0; rows--, row += <usize>p.rowSize) {
    const sum = exponentials(p, row);
    const headroom = <i32>clz<i64>(sum) - 32;
    const mantissa = headroom >= 0 ? sum << headroom : sum >> -headroom;
    const reciprocal = oneOverOnePlus(<i32>(mantissa - ((<i64>1) << 31)));
    for (let i: usize = 0; i < <usize>p.rowSize; i++, output += 2) {
      const exponential = load<i32>(p.scratch + (i << 2));
      if (exponential < 0) {
        store<i16>(output, -32768);
        continue;
      }
      const product = saturatingDoublingHighMultiply(reciprocal, exponential);
      store<i16>(output, <i16>(min(roundingDivideByPowerOfTwo(product, 27 - headroom), 65535) - 32768));
    }
  }
}

/** Between two of 513 entries, 128 steps from one to the next; value: int16. Source: LUTLookup, TFLite internal/common.h. */
@inline
function lookup(value: i32, table: usize): i32 {
  const entry = table + ((<usize>(256 + (value >> 7))) << 1),
    base = <i32>load<i16>(entry),
    slope = <i32>load<i16>(entry, 2) - base;
  return base + ((slope * (value & 127) + 64) >> 7);
}

@inline
function saturate16(value: i32): i32 {
  return min(max(value, -32768), 32767);
}

/** Exponentials in Q0.15 into output; returns their sum. */
function exponentialsByTable(p: WideSoftmax, row: usize, output: usize): i32 {
  const isDouble = roundsTwice(p.requantizer),
    end = (<usize>p.rowSize) << 1;
  let maximum = -32768,
    sum = 0;
  for (let i: usize = 0; i < end; i += 2) maximum = max(maximum, <i32>load<i16>(row + i));
  for (let i: usize = 0; i < end; i += 2) {
    const scaled = rescale(isDouble, <i32>load<i16>(row + i) - maximum, p.multiplier, p.shift);
    const exponential = lookup(saturate16(scaled + 32767), p.expTable);
    store<i16>(output + i, <i16>exponential);
    sum += exponential;
  }
  return sum;
}

/** int16 logits to probabilities in 1/32768. A row's sum must fit int32. Source: SoftmaxInt16, TFLite reference/softmax.h. */
export function softmax_s16(params: usize): void {
  const p = changetype<WideSoftmax>(params),
    rowBytes = (<usize>p.rowSize) << 1;
  let row = p.input,
    output = p.output;
  for (let rows = p.batches * p.rows; rows > 0; rows--, row += rowBytes) {
    const sum = exponentialsByTable(p, row, output);
    const headroom = <i32>clz<i32>(sum) - 1;
    const mantissa = <i32>((((<i64>sum) << headroom) + (1 << 13)) >> 14);
    const reciprocal = lookup(saturate16(mantissa - (1 << 15) - (1 << 16)), p.reciprocalTable);
    const right = 30 - headroom;
    for (const end = output + rowBytes; output < end; output += 2) {
      const product = <i64>load<i16>(output) * <i64>reciprocal;
      const value = <i32>((product + ((<i64>1) << (right - 1))) >> right);
      store<i16>(output, <i16>min(max(value, 0), 32767));
    }
  }
}

@inline
function transform<T>(isExponential: bool, x: T): T {
  if (!isExponential) return <T>1 / (<T>1 + x);
  if (sizeof<T>() == 4) return <T>Mathf.exp(<f32>x);
  return <T>Math.exp(<f64>x);
}

/** Nearest integer, ties away from zero. */
@inline
function roundHalfAway<T>(value: T): T {
  const whole = trunc<T>(value);
  return abs<T>(value - whole) >= <T>0.5 ? whole + copysign<T>(<T>1, value) : whole;
}

@inline
function toInt16<T>(value: T): i16 {
  return <i16>min<T>(max<T>(value, <T>-32768), <T>32767);
}

/**
 * P15: 513 samples of exp over [-10, 0] or of 1 / (1 + x) over [0, 1], each but the last lowered by half the error that
 * interpolation has in the middle. All in T; wasm's exp is musl's, so the same in every engine.
 * Source: LUTPopulateInt16, TFLite internal/common.h, with the arguments of softmax.
 */
@inline
function populate<T>(isExponential: bool, table: usize): void {
  const scale = <T>(isExponential ? 10 : 1) / <T>65535,
    first = scale * <T>(isExponential ? -65535 : 0),
    last = scale * <T>(isExponential ? 0 : 65535);
  const outputScale = <T>2 / <T>65535,
    inverse = <T>65536 / (outputScale * <T>32767 - outputScale * <T>-32768);
  const step = (last - first) / <T>512,
    half = step / <T>2;
  for (let i = 0; i < 512; i++) {
    const x = first + <T>i * step;
    const sample = roundHalfAway<T>(transform<T>(isExponential, x) * inverse),
      next = transform<T>(isExponential, first + <T>(i + 1) * step) * inverse,
      middle = roundHalfAway<T>(transform<T>(isExponential, x + half) * inverse);
    const error = roundHalfAway<T>((next + sample) / <T>2) - middle;
    store<i16>(table + ((<usize>i) << 1), toInt16<T>(sample - roundHalfAway<T>(error / <T>2)));
  }
  store<i16>(table + 1024, toInt16<T>(roundHalfAway<T>(transform<T>(isExponential, last) * inverse)));
}

/** The table of exponentials to a, of reciprocals to b; c: 0 for float32, 1 for float64. */
export function softmax_tables_s16(params: usize): void {
  const p = changetype<Primitive>(params);
  if (p.c == 0) {
    populate<f32>(true, p.a);
    populate<f32>(false, p.b);
  } else {
    populate<f64>(true, p.a);
    populate<f64>(false, p.b);
  }
}
