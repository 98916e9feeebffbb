/** float32: functions of one value, sums, differences and products of two, and a factor and an offset a channel. */
import { FloatAffine, FloatElementwise } from "./params";
import {
  hardSwishTflite,
  hardSwishXnnpack,
  logisticLibm,
  logisticMlas,
  logisticMlasFused,
  logisticXnnpack,
  tanhLibm,
  tanhMlas,
  tanhMlasFused,
  tanhXnnpack,
} from "./functions";
import { clampF32 } from "./sums";

/** The numbers of src/kernels/float/elementwise.ts. */
const ADD: i32 = 0;
const SUB: i32 = 1;
const MUL: i32 = 2;
const PRELU_XNNPACK: i32 = 4;

const CLAMP: i32 = 0;
const LEAKY_RELU: i32 = 1;
const LOGISTIC_LIBM: i32 = 2;
const LOGISTIC_XNNPACK: i32 = 3;
const LOGISTIC_MLAS: i32 = 4;
const TANH_LIBM: i32 = 5;
const TANH_XNNPACK: i32 = 6;
const TANH_MLAS: i32 = 7;
const HARD_SWISH_TFLITE: i32 = 8;
const HARD_SWISH_XNNPACK: i32 = 9;
const LOGISTIC_MLAS_FUSED: i32 = 10;

@inline
function combine(operator: i32, a: f32, b: f32): f32 {
  if (operator == ADD) return a + b;
  if (operator == SUB) return a - b;
  if (operator == MUL) return a * b;
  const isNegative = operator == PRELU_XNNPACK ? reinterpret<i32>(a) < 0 : a < 0;
  return isNegative ? a * b : a;
}

/** input2Stride: elements from one image of the second operand to the next, 0 where all share it. */
export function binary_f32(params: usize): void {
  const p = changetype<FloatElementwise>(params),
    low = reinterpret<f32>(p.activationMin),
    high = reinterpret<f32>(p.activationMax),
    zero = reinterpret<f32>(p.zero);
  const bytes = (<usize>p.elements) << 2,
    stride = (<usize>p.input2Stride) << 2;
  let input = p.input,
    input2 = p.input2,
    output = p.output;
  for (let image = 0; image < p.batches; image++, input += bytes, input2 += stride, output += bytes) {
    for (let i: usize = 0; i < bytes; i += 4) {
      const value = combine(p.operator, load<f32>(input + i), load<f32>(input2 + i));
      store<f32>(output + i, clampF32(value, low, high) + zero);
    }
  }
}

function apply(operator: i32, x: f32, low: f32, high: f32, zero: f32): f32 {
  switch (operator) {
    case CLAMP:
      return clampF32(x, low, high) + zero;
    case LEAKY_RELU:
      return (x > 0 ? x : x * low) + zero;
    case LOGISTIC_LIBM:
      return logisticLibm(x);
    case LOGISTIC_XNNPACK:
      return logisticXnnpack(x);
    case LOGISTIC_MLAS:
      return logisticMlas(x);
    case TANH_LIBM:
      return tanhLibm(x);
    case TANH_XNNPACK:
      return tanhXnnpack(x);
    case TANH_MLAS:
      return tanhMlas(x);
    case HARD_SWISH_TFLITE:
      return hardSwishTflite(x);
    case HARD_SWISH_XNNPACK:
      return hardSwishXnnpack(x);
    case LOGISTIC_MLAS_FUSED:
      return logisticMlasFused(x);
    default:
      return tanhMlasFused(x);
  }
}

/** activationMin: of LEAKY_RELU the slope. */
export function unary_f32(params: usize): void {
  const p = changetype<FloatElementwise>(params),
    low = reinterpret<f32>(p.activationMin),
    high = reinterpret<f32>(p.activationMax),
    zero = reinterpret<f32>(p.zero);
  for (let i: usize = 0, end = (<usize>(p.batches * p.elements)) << 2; i < end; i += 4)
    store<f32>(p.output + i, apply(p.operator, load<f32>(p.input + i), low, high, zero));
}

/** Each value times its channel's factor, rounded, plus its channel's offset. */
export function affine_f32(params: usize): void {
  const p = changetype<FloatAffine>(params),
    low = reinterpret<f32>(p.activationMin),
    high = reinterpret<f32>(p.activationMax),
    zero = reinterpret<f32>(p.zero);
  const bytes = (<usize>p.channels) << 2,
    end = p.input + <usize>(p.batches * p.rows) * bytes;
  let output = p.output;
  for (let input = p.input; input < end; input += bytes, output += bytes)
    for (let i: usize = 0; i < bytes; i += 4) {
      const scaled: f32 = load<f32>(input + i) * load<f32>(p.factors + i);
      store<f32>(output + i, clampF32(scaled + load<f32>(p.offsets + i), low, high) + zero);
    }
}
