/** ADD, SUB and MUL of two int8 tensors of one shape. */
import { Add, Elementwise, Mul } from "./params";
import {
  DOUBLE_BOUNDED,
  doublingHighMultiplyLanes,
  FLOAT_EVEN,
  floatEvenLanes,
  outputLanes,
  requantizeDouble,
  requantizeOne,
  requantizeSingle,
  SINGLE_BOUNDED,
} from "./requantize";

/** P4 of four lanes with one shift; |acc| < 2^30 and shift in [-30, 0]. */
@inline
function doubleLanes(acc: v128, multiplier: i32, shift: i32): v128 {
  const high = doublingHighMultiplyLanes(acc, i32x4.splat(multiplier));
  if (shift == 0) return high;
  const nudged = i32x4.add(i32x4.add(high, i32x4.splat(1 << (-shift - 1))), i32x4.shr_s(high, 31));
  return i32x4.shr_s(nudged, -shift);
}

/** P5 of four lanes with one shift; |acc| < 2^30 and shift in [-30, 0]. */
@inline
function singleLanes(acc: v128, multiplier: i32, shift: i32): v128 {
  const doubled = i32x4.shl(acc, 1), factor = i32x4.splat(multiplier), rounding = i64x2.splat((<i64>1) << (31 - shift));
  const low = i64x2.add(i64x2.extmul_low_i32x4_s(doubled, factor), rounding);
  const high = i64x2.add(i64x2.extmul_high_i32x4_s(doubled, factor), rounding);
  return i32x4.shr_s(v128.shuffle<i32>(low, high, 1, 3, 5, 7), -shift);
}

@inline
function fixedPointLanes(requantizer: i32, acc: v128, multiplier: i32, shift: i32): v128 {
  return requantizer == DOUBLE_BOUNDED ? doubleLanes(acc, multiplier, shift) : singleLanes(acc, multiplier, shift);
}

/** a, b: int32, offsets added; before the output offset. */
@inline
function addLanes(requantizer: i32, p: Add, a: v128, b: v128): v128 {
  if (requantizer == FLOAT_EVEN) {
    const sum = i32x4.add(
      i32x4.mul(a, i32x4.splat(p.input1Multiplier)),
      i32x4.mul(b, i32x4.splat(p.input2Multiplier * p.input2Sign)),
    );
    return i32x4.shr_s(i32x4.add(sum, i32x4.splat(1 << (p.shift - 1))), p.shift);
  }
  const u = fixedPointLanes(requantizer, i32x4.shl(a, p.leftShift), p.input1Multiplier, p.input1Shift);
  const v = fixedPointLanes(requantizer, i32x4.shl(b, p.leftShift), p.input2Multiplier, p.input2Shift);
  const sum = i32x4.add(u, i32x4.mul(v, i32x4.splat(p.input2Sign)));
  return fixedPointLanes(requantizer, sum, p.outputMultiplier, p.outputShift);
}

@inline
function mulLanes(requantizer: i32, p: Mul, a: v128, b: v128): v128 {
  const product = i32x4.mul(a, b);
  if (requantizer != FLOAT_EVEN) return fixedPointLanes(requantizer, product, p.multiplier, p.shift);
  const low = f32x4.splat(<f32>(p.activationMin - p.outputOffset)), high = f32x4.splat(<f32>(p.activationMax - p.outputOffset));
  return floatEvenLanes(product, f32x4.splat(reinterpret<f32>(p.scale)), low, high);
}

function addOne(p: Add, a: i32, b: i32): i32 {
  let value: i32;
  if (p.requantizer == FLOAT_EVEN) {
    value = (a * p.input1Multiplier + b * p.input2Multiplier * p.input2Sign + (1 << (p.shift - 1))) >> p.shift;
  } else if (p.requantizer <= DOUBLE_BOUNDED) {
    const u = requantizeDouble(a << p.leftShift, p.input1Multiplier, p.input1Shift);
    const v = requantizeDouble(b << p.leftShift, p.input2Multiplier, p.input2Shift);
    value = requantizeDouble(u + v * p.input2Sign, p.outputMultiplier, p.outputShift);
  } else {
    const u = requantizeSingle(a << p.leftShift, p.input1Multiplier, p.input1Shift);
    const v = requantizeSingle(b << p.leftShift, p.input2Multiplier, p.input2Shift);
    value = requantizeSingle(u + v * p.input2Sign, p.outputMultiplier, p.outputShift);
  }
  const low = p.activationMin - p.outputOffset, high = p.activationMax - p.outputOffset;
  return min(max(value, low), high) + p.outputOffset;
}

@inline
function mulOne(p: Mul, a: i32, b: i32): i32 {
  const scale = reinterpret<f32>(p.scale);
  return requantizeOne(p.requantizer, a * b, p.multiplier, p.shift, scale, p.outputOffset, p.activationMin, p.activationMax);
}

/** Elements of one image, eight at a time; returns how many are done. */
@inline
function eights(requantizer: i32, isAdd: bool, p: Elementwise, input1: usize, input2: usize, output: usize): i32 {
  const offset1 = i16x8.splat(<i16>p.input1Offset), offset2 = i16x8.splat(<i16>p.input2Offset), offset = i16x8.splat(<i16>p.outputOffset);
  const low8 = i8x16.splat(<i8>p.activationMin), high8 = i8x16.splat(<i8>p.activationMax);
  let i = 0;
  for (; i + 8 <= p.elements; i += 8) {
    const a = i16x8.add(v128.load_ext<i8>(input1 + <usize>i), offset1), b = i16x8.add(v128.load_ext<i8>(input2 + <usize>i), offset2);
    const a0 = i32x4.extend_low_i16x8_s(a), a1 = i32x4.extend_high_i16x8_s(a);
    const b0 = i32x4.extend_low_i16x8_s(b), b1 = i32x4.extend_high_i16x8_s(b);
    const value0 = isAdd ? addLanes(requantizer, changetype<Add>(p), a0, b0) : mulLanes(requantizer, changetype<Mul>(p), a0, b0);
    const value1 = isAdd ? addLanes(requantizer, changetype<Add>(p), a1, b1) : mulLanes(requantizer, changetype<Mul>(p), a1, b1);
    v128.store_lane<i64>(output + <usize>i, outputLanes(value0, value1, offset, low8, high8), 0);
  }
  return i;
}

@inline
function elementwise(isAdd: bool, p: Elementwise): void {
  let input1 = p.input, input2 = p.input2, output = p.output;
  for (let image = 0; image < p.batches; image++) {
    let i = 0;
    if (ASC_FEATURE_SIMD) {
      if (p.requantizer == DOUBLE_BOUNDED) i = eights(DOUBLE_BOUNDED, isAdd, p, input1, input2, output);
      else if (p.requantizer == SINGLE_BOUNDED) i = eights(SINGLE_BOUNDED, isAdd, p, input1, input2, output);
      else if (p.requantizer == FLOAT_EVEN) i = eights(FLOAT_EVEN, isAdd, p, input1, input2, output);
    }
    for (; i < p.elements; i++) {
      const a = <i32>load<i8>(input1 + <usize>i) + p.input1Offset, b = <i32>load<i8>(input2 + <usize>i) + p.input2Offset;
      const value = isAdd ? addOne(changetype<Add>(p), a, b) : mulOne(changetype<Mul>(p), a, b);
      store<i8>(output + <usize>i, <i8>value);
    }
    input1 += <usize>p.elements;
    input2 += <usize>p.input2Stride;
    output += <usize>p.elements;
  }
}

/** Fixed point: TFLite reference/integer_ops/add.h, arm_elementwise_add_s8 (CMSIS-NN 7.0.0). FLOAT_EVEN stands for
 * XNNPACK's form (qs8-vadd): 21-bit multipliers, half up. */
export function add_s8(params: usize): void {
  elementwise(true, changetype<Elementwise>(params));
}

/** TFLite reference/integer_ops/mul.h, arm_elementwise_mul_s8 (CMSIS-NN 7.0.0); XNNPACK qs8-vmul by FLOAT_EVEN. */
export function mul_s8(params: usize): void {
  elementwise(false, changetype<Elementwise>(params));
}
