import { clamp, clampScalar, lowerBound, upperBound } from "./activation";

/** out = activation(a + b), `length` elements. */
export function add_f32(a: usize, b: usize, out: usize, length: i32, activation: i32): void {
  const lower = lowerBound(activation), upper = upperBound(activation);
  const low = f32x4.splat(lower), high = f32x4.splat(upper);
  const bytes = <usize>length << 2;
  let i: usize = 0;
  for (; i + 16 <= bytes; i += 16) {
    v128.store(out + i, clamp(f32x4.add(v128.load(a + i), v128.load(b + i)), low, high));
  }
  for (; i < bytes; i += 4) store<f32>(out + i, clampScalar(load<f32>(a + i) + load<f32>(b + i), lower, upper));
}

/** out = activation(x). */
export function activation_f32(x: usize, out: usize, length: i32, activation: i32): void {
  const lower = lowerBound(activation), upper = upperBound(activation);
  const low = f32x4.splat(lower), high = f32x4.splat(upper);
  const bytes = <usize>length << 2;
  let i: usize = 0;
  for (; i + 16 <= bytes; i += 16) v128.store(out + i, clamp(v128.load(x + i), low, high));
  for (; i < bytes; i += 4) store<f32>(out + i, clampScalar(load<f32>(x + i), lower, upper));
}

/** out = dy where the activation's output y lies strictly inside its clamp, else 0. */
export function gate_f32(dy: usize, y: usize, out: usize, length: i32, activation: i32): void {
  const lower = lowerBound(activation), upper = upperBound(activation);
  const low = f32x4.splat(lower), high = f32x4.splat(upper);
  const bytes = <usize>length << 2;
  let i: usize = 0;
  for (; i + 16 <= bytes; i += 16) {
    const v = v128.load(y + i);
    v128.store(out + i, v128.and(v128.load(dy + i), v128.and(f32x4.gt(v, low), f32x4.lt(v, high))));
  }
  for (; i < bytes; i += 4) {
    const v = load<f32>(y + i);
    store<f32>(out + i, v > lower && v < upper ? load<f32>(dy + i) : 0);
  }
}

/** out = dy where lower < q < upper, else 0. q: int8. */
export function gate_s8(dy: usize, q: usize, out: usize, length: i32, lower: i32, upper: i32): void {
  const low = i32x4.splat(lower), high = i32x4.splat(upper);
  let i: usize = 0;
  for (; i + 8 <= <usize>length; i += 8) {
    const narrow = v128.load_ext<i8>(q + i);
    const a = i32x4.extend_low_i16x8_s(narrow), b = i32x4.extend_high_i16x8_s(narrow);
    const at = i << 2;
    v128.store(out + at, v128.and(v128.load(dy + at), v128.and(i32x4.gt_s(a, low), i32x4.lt_s(a, high))));
    v128.store(out + at, v128.and(v128.load(dy + at, 16), v128.and(i32x4.gt_s(b, low), i32x4.lt_s(b, high))), 16);
  }
  for (; i < <usize>length; i++) {
    const v = <i32>load<i8>(q + i);
    store<f32>(out + (i << 2), v > lower && v < upper ? load<f32>(dy + (i << 2)) : 0);
  }
}

/** out = dy where lower < q < upper, else 0. q: int16. */
export function gate_s16(dy: usize, q: usize, out: usize, length: i32, lower: i32, upper: i32): void {
  for (let i: usize = 0; i < <usize>length; i++) {
    const v = <i32>load<i16>(q + (i << 1));
    store<f32>(out + (i << 2), v > lower && v < upper ? load<f32>(dy + (i << 2)) : 0);
  }
}

/** out = factor * x. */
export function scale_f32(x: usize, out: usize, length: i32, factor: f32): void {
  const v = f32x4.splat(factor);
  const bytes = <usize>length << 2;
  let i: usize = 0;
  for (; i + 16 <= bytes; i += 16) v128.store(out + i, f32x4.mul(v128.load(x + i), v));
  for (; i < bytes; i += 4) store<f32>(out + i, load<f32>(x + i) * factor);
}

/** out = factor * x. x: uint8. */
export function scale_u8(x: usize, out: usize, length: i32, factor: f32): void {
  for (let i: usize = 0; i < <usize>length; i++) store<f32>(out + (i << 2), <f32>(<i32>load<u8>(x + i)) * factor);
}
