import { clamp, clampScalar, lowerBound, upperBound } from "./activation";

/** The fields of BATCH_NORMALIZATION_PARAMS in src/float/kernels.ts, in order. x is [rows][depth]. */
@unmanaged
class Normalization {
  rows: i32;
  depth: i32;
  activation: i32;
}

/** Rows whose float32 partial sums go into one float64 sum. */
const CHUNK = 256;

/** out = activation(scale[c] * x + shift[c]); shift 0 = none. */
export function affine_f32(params: usize, x: usize, scale: usize, shift: usize, out: usize): void {
  const p = changetype<Normalization>(params);
  const lower = lowerBound(p.activation), upper = upperBound(p.activation);
  const low = f32x4.splat(lower), high = f32x4.splat(upper);
  const rowBytes = <usize>p.depth << 2;
  const whole = <usize>(p.depth & ~3) << 2;
  for (let row = 0; row < p.rows; row++, x += rowBytes, out += rowBytes) {
    let c: usize = 0;
    for (; c < whole; c += 16) {
      let v = f32x4.mul(v128.load(x + c), v128.load(scale + c));
      if (shift) v = f32x4.add(v, v128.load(shift + c));
      v128.store(out + c, clamp(v, low, high));
    }
    for (; c < rowBytes; c += 4) {
      let v = load<f32>(x + c) * load<f32>(scale + c);
      if (shift) v += load<f32>(shift + c);
      store<f32>(out + c, clampScalar(v, lower, upper));
    }
  }
}

@inline
function addWide(sums: usize, v: v128): void {
  v128.store(sums, f64x2.add(v128.load(sums), f64x2.promote_low_f32x4(v)));
  const high = v128.shuffle<i32>(v, v, 2, 3, 2, 3);
  v128.store(sums, f64x2.add(v128.load(sums, 16), f64x2.promote_low_f32x4(high)), 16);
}

/** out[c] = sum over rows of x[row][c]. scratch: 8 * depth bytes. */
export function column_sum_f32(params: usize, x: usize, out: usize, scratch: usize): void {
  const p = changetype<Normalization>(params);
  const rowBytes = <usize>p.depth << 2;
  const whole = p.depth & ~3;
  memory.fill(scratch, 0, rowBytes << 1);
  for (let first = 0; first < p.rows; first += CHUNK) {
    const rows = min(CHUNK, p.rows - first);
    for (let c = 0; c < whole; c += 4) {
      let a = x + (<usize>c << 2);
      let sum = f32x4.splat(0);
      for (let row = 0; row < rows; row++, a += rowBytes) sum = f32x4.add(sum, v128.load(a));
      addWide(scratch + (<usize>c << 3), sum);
    }
    for (let c = whole; c < p.depth; c++) {
      let a = x + (<usize>c << 2);
      let sum: f32 = 0;
      for (let row = 0; row < rows; row++, a += rowBytes) sum += load<f32>(a);
      const to = scratch + (<usize>c << 3);
      store<f64>(to, load<f64>(to) + <f64>sum);
    }
    x += <usize>rows * rowBytes;
  }
  for (let c = 0; c < p.depth; c++) store<f32>(out + (<usize>c << 2), <f32>load<f64>(scratch + (<usize>c << 3)));
}

/** Sums of x - pivot and of its square, by channel, into two float64 arrays. Subtracting the first row keeps the squares small. */
function shiftedMoments(p: Normalization, x: usize, pivot: usize, sums: usize, squares: usize): void {
  const rowBytes = <usize>p.depth << 2;
  const whole = p.depth & ~3;
  memory.fill(sums, 0, rowBytes << 1);
  memory.fill(squares, 0, rowBytes << 1);
  for (let first = 0; first < p.rows; first += CHUNK) {
    const rows = min(CHUNK, p.rows - first);
    for (let c = 0; c < whole; c += 4) {
      let a = x + (<usize>c << 2);
      const origin = v128.load(pivot + (<usize>c << 2));
      let s = f32x4.splat(0), q = f32x4.splat(0);
      for (let row = 0; row < rows; row++, a += rowBytes) {
        const v = f32x4.sub(v128.load(a), origin);
        s = f32x4.add(s, v);
        q = f32x4.add(q, f32x4.mul(v, v));
      }
      addWide(sums + (<usize>c << 3), s);
      addWide(squares + (<usize>c << 3), q);
    }
    for (let c = whole; c < p.depth; c++) {
      let a = x + (<usize>c << 2);
      const origin = load<f32>(pivot + (<usize>c << 2));
      let s: f32 = 0, q: f32 = 0;
      for (let row = 0; row < rows; row++, a += rowBytes) {
        const v = load<f32>(a) - origin;
        s += v;
        q += v * v;
      }
      const at = <usize>c << 3;
      store<f64>(sums + at, load<f64>(sums + at) + <f64>s);
      store<f64>(squares + at, load<f64>(squares + at) + <f64>q);
    }
    x += <usize>rows * rowBytes;
  }
}

/**
 * Batch normalization with the batch's own moments: y = activation(gamma * (x - mean) / sqrt(variance + epsilon) + beta).
 * moments: [2][depth], mean and biased variance, written. scratch: 24 * depth bytes.
 */
export function batch_norm_train_f32(
  params: usize, x: usize, gammaBeta: usize, epsilon: f32, y: usize, moments: usize, scratch: usize,
): void {
  const p = changetype<Normalization>(params);
  const depth = p.depth;
  const row = <usize>depth << 2;
  const sums = scratch, squares = scratch + (row << 1);
  const scale = scratch, shift = scratch + row;
  shiftedMoments(p, x, x, sums, squares);
  for (let c = 0; c < depth; c++) {
    const at = <usize>c << 2;
    const s = load<f64>(sums + (at << 1)) / <f64>p.rows;
    const variance = max<f64>(0, load<f64>(squares + (at << 1)) / <f64>p.rows - s * s);
    store<f32>(moments + at, <f32>(<f64>load<f32>(x + at) + s));
    store<f32>(moments + row + at, <f32>variance);
  }
  for (let c = 0; c < depth; c++) {
    const at = <usize>c << 2;
    const factor = load<f32>(gammaBeta + at) / sqrt<f32>(load<f32>(moments + row + at) + epsilon);
    store<f32>(scale + at, factor);
    store<f32>(shift + at, load<f32>(gammaBeta + row + at) - load<f32>(moments + at) * factor);
  }
  affine_f32(params, x, scale, shift, y);
}

/** Sums of dy and of dy * (x - mean), by channel, over the elements where y lies inside the activation's clamp. */
function gradientSums(
  p: Normalization, x: usize, y: usize, dy: usize, mean: usize, sums: usize, products: usize,
): void {
  const rowBytes = <usize>p.depth << 2;
  const whole = p.depth & ~3;
  const lower = lowerBound(p.activation), upper = upperBound(p.activation);
  const low = f32x4.splat(lower), high = f32x4.splat(upper);
  memory.fill(sums, 0, rowBytes << 1);
  memory.fill(products, 0, rowBytes << 1);
  for (let first = 0; first < p.rows; first += CHUNK) {
    const rows = min(CHUNK, p.rows - first);
    for (let c = 0; c < whole; c += 4) {
      let at = <usize>c << 2;
      const origin = v128.load(mean + at);
      let s = f32x4.splat(0), q = f32x4.splat(0);
      for (let row = 0; row < rows; row++, at += rowBytes) {
        const v = v128.load(y + at);
        const d = v128.and(v128.load(dy + at), v128.and(f32x4.gt(v, low), f32x4.lt(v, high)));
        s = f32x4.add(s, d);
        q = f32x4.add(q, f32x4.mul(d, f32x4.sub(v128.load(x + at), origin)));
      }
      addWide(sums + (<usize>c << 3), s);
      addWide(products + (<usize>c << 3), q);
    }
    for (let c = whole; c < p.depth; c++) {
      let at = <usize>c << 2;
      const origin = load<f32>(mean + at);
      let s: f32 = 0, q: f32 = 0;
      for (let row = 0; row < rows; row++, at += rowBytes) {
        const v = load<f32>(y + at);
        const d: f32 = v > lower && v < upper ? load<f32>(dy + at) : 0;
        s += d;
        q += d * (load<f32>(x + at) - origin);
      }
      const to = <usize>c << 3;
      store<f64>(sums + to, load<f64>(sums + to) + <f64>s);
      store<f64>(products + to, load<f64>(products + to) + <f64>q);
    }
    const bytes = <usize>rows * rowBytes;
    x += bytes;
    y += bytes;
    dy += bytes;
  }
}

/** dx = a[c] * gate(dy) + b[c] * x + d[c]. */
function combine(p: Normalization, x: usize, y: usize, dy: usize, a: usize, b: usize, d: usize, dx: usize): void {
  const rowBytes = <usize>p.depth << 2;
  const whole = <usize>(p.depth & ~3) << 2;
  const lower = lowerBound(p.activation), upper = upperBound(p.activation);
  const low = f32x4.splat(lower), high = f32x4.splat(upper);
  for (let row = 0; row < p.rows; row++, x += rowBytes, y += rowBytes, dy += rowBytes, dx += rowBytes) {
    let c: usize = 0;
    for (; c < whole; c += 16) {
      const v = v128.load(y + c);
      const g = v128.and(v128.load(dy + c), v128.and(f32x4.gt(v, low), f32x4.lt(v, high)));
      const linear = f32x4.add(f32x4.mul(v128.load(x + c), v128.load(b + c)), v128.load(d + c));
      v128.store(dx + c, f32x4.add(f32x4.mul(g, v128.load(a + c)), linear));
    }
    for (; c < rowBytes; c += 4) {
      const v = load<f32>(y + c);
      const g: f32 = v > lower && v < upper ? load<f32>(dy + c) : 0;
      store<f32>(dx + c, g * load<f32>(a + c) + (load<f32>(x + c) * load<f32>(b + c) + load<f32>(d + c)));
    }
  }
}

/**
 * Gradient of batch_norm_train_f32 to x and to [2][depth] gamma and beta; dy is the gradient after the activation.
 * scratch: 32 * depth bytes.
 */
export function batch_norm_train_gradient_f32(
  params: usize, x: usize, y: usize, dy: usize, gammaBeta: usize, moments: usize, epsilon: f32,
  dx: usize, dGammaBeta: usize, scratch: usize,
): void {
  const p = changetype<Normalization>(params);
  const row = <usize>p.depth << 2;
  const sums = scratch, products = scratch + (row << 1);
  const a = scratch + (row << 2), b = a + row, d = b + row;
  gradientSums(p, x, y, dy, moments, sums, products);
  for (let c = 0; c < p.depth; c++) {
    const at = <usize>c << 2;
    const inverse = 1 / sqrt<f64>(<f64>load<f32>(moments + row + at) + <f64>epsilon);
    const sum = load<f64>(sums + (at << 1)), product = load<f64>(products + (at << 1));
    const factor = <f64>load<f32>(gammaBeta + at) * inverse;
    const slope = -factor * inverse * inverse * (product / <f64>p.rows);
    store<f32>(dGammaBeta + at, <f32>(product * inverse));
    store<f32>(dGammaBeta + row + at, <f32>sum);
    store<f32>(a + at, <f32>factor);
    store<f32>(b + at, <f32>slope);
    store<f32>(d + at, <f32>(-factor * (sum / <f64>p.rows) - slope * <f64>load<f32>(moments + at)));
  }
  combine(p, x, y, dy, a, b, d, dx);
}
