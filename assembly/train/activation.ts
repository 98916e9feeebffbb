// Fused activations as clamps, numbered as ACTIVATIONS in src/float/kernels.ts: NONE, RELU, RELU6, RELU_N1_TO_1.

@inline
export function lowerBound(activation: i32): f32 {
  if (activation == 0) return -Infinity;
  return activation == 3 ? -1 : 0;
}

@inline
export function upperBound(activation: i32): f32 {
  if (activation == 2) return 6;
  return activation == 3 ? 1 : Infinity;
}

/** pmin and pmax are one instruction each and let NaN through. */
@inline
export function clamp(x: v128, lower: v128, upper: v128): v128 {
  return f32x4.pmin(f32x4.pmax(x, lower), upper);
}

@inline
export function clampScalar(x: f32, lower: f32, upper: f32): f32 {
  return x < lower ? lower : x > upper ? upper : x;
}
