import { clampScalar, lowerBound, upperBound } from "./activation";

/** The fields of FULLY_CONNECTED_PARAMS in src/float/kernels.ts, in order. Filters are [outputDepth][inputDepth]. */
@unmanaged
class FullyConnected {
  batches: i32;
  inputDepth: i32;
  outputDepth: i32;
  activation: i32;
}

@inline
function sumLanes(v: v128): f32 {
  return f32x4.extract_lane(v, 0) + f32x4.extract_lane(v, 1) + (f32x4.extract_lane(v, 2) + f32x4.extract_lane(v, 3));
}

/** to[i] += factor * from[i]. */
@inline
function addScaled(to: usize, from: usize, factor: f32, length: i32): void {
  const v = f32x4.splat(factor);
  let i = 0;
  for (; i + 4 <= length; i += 4) {
    const at = <usize>i << 2;
    v128.store(to + at, f32x4.add(v128.load(to + at), f32x4.mul(v, v128.load(from + at))));
  }
  for (; i < length; i++) {
    const at = <usize>i << 2;
    store<f32>(to + at, load<f32>(to + at) + factor * load<f32>(from + at));
  }
}

/** y = activation(x filter^T + bias); bias 0 = none. */
export function fully_connected_f32(params: usize, x: usize, filter: usize, bias: usize, y: usize): void {
  const p = changetype<FullyConnected>(params);
  const lower = lowerBound(p.activation), upper = upperBound(p.activation);
  const row = <usize>p.inputDepth << 2;
  for (let b = 0; b < p.batches; b++, x += row) {
    for (let o = 0, w = filter; o < p.outputDepth; o++, w += row, y += 4) {
      let acc = f32x4.splat(0);
      let i = 0;
      for (; i + 4 <= p.inputDepth; i += 4) {
        acc = f32x4.add(acc, f32x4.mul(v128.load(x + (<usize>i << 2)), v128.load(w + (<usize>i << 2))));
      }
      let sum = sumLanes(acc);
      for (; i < p.inputDepth; i++) sum += load<f32>(x + (<usize>i << 2)) * load<f32>(w + (<usize>i << 2));
      if (bias) sum += load<f32>(bias + (<usize>o << 2));
      store<f32>(y, clampScalar(sum, lower, upper));
    }
  }
}

/** dx = dy filter. */
export function fully_connected_input_gradient_f32(params: usize, dy: usize, filter: usize, dx: usize): void {
  const p = changetype<FullyConnected>(params);
  const row = <usize>p.inputDepth << 2;
  memory.fill(dx, 0, <usize>p.batches * row);
  for (let b = 0; b < p.batches; b++, dx += row) {
    for (let o = 0, w = filter; o < p.outputDepth; o++, w += row, dy += 4) {
      addScaled(dx, w, load<f32>(dy), p.inputDepth);
    }
  }
}

/** dFilter = dy^T x. */
export function fully_connected_filter_gradient_f32(params: usize, x: usize, dy: usize, dFilter: usize): void {
  const p = changetype<FullyConnected>(params);
  const row = <usize>p.inputDepth << 2;
  memory.fill(dFilter, 0, <usize>p.outputDepth * row);
  for (let b = 0; b < p.batches; b++, x += row) {
    for (let o = 0, to = dFilter; o < p.outputDepth; o++, to += row, dy += 4) {
      addScaled(to, x, load<f32>(dy), p.inputDepth);
    }
  }
}
