// The one-dimensional transforms of F(4x4, 3x3) in float, four values at a time. half, large, near, far: 0.5, 2.5, NEAR and FAR in
// registers; steps in bytes.
/** The points: NEAR, its square 1/2, and FAR, its square 2. */
export const NEAR: f32 = 0.7071067811865476;
export const FAR: f32 = 1.4142135623730951;

@inline
function times(a: f32, v: v128): v128 {
  return f32x4.mul(f32x4.splat(a), v);
}

@inline
export function twice(v: v128): v128 {
  return f32x4.add(v, v);
}

/** B^T d: six vectors from `from`, step apart, to six at `to`. */
@inline
export function transformInput(
  from: usize, step: usize, to: usize, toStep: usize, half: v128, large: v128, near: v128, far: v128,
): void {
  const d0 = v128.load(from), d1 = v128.load(from + step), d2 = v128.load(from + 2 * step);
  const d3 = v128.load(from + 3 * step), d4 = v128.load(from + 4 * step), d5 = v128.load(from + 5 * step);
  v128.store(to, f32x4.add(f32x4.sub(d0, f32x4.mul(large, d2)), d4));
  const a = f32x4.sub(d4, twice(d2)), b = f32x4.mul(near, f32x4.sub(d3, twice(d1)));
  v128.store(to + toStep, f32x4.add(a, b));
  v128.store(to + 2 * toStep, f32x4.sub(a, b));
  const c = f32x4.sub(d4, f32x4.mul(half, d2)), d = f32x4.mul(far, f32x4.sub(d3, f32x4.mul(half, d1)));
  v128.store(to + 3 * toStep, f32x4.add(c, d));
  v128.store(to + 4 * toStep, f32x4.sub(c, d));
  v128.store(to + 5 * toStep, f32x4.add(f32x4.sub(d1, f32x4.mul(large, d3)), d5));
}

/** A y: four vectors to six. */
@inline
export function transformGradient(
  y0: v128, y1: v128, y2: v128, y3: v128, to: usize, toStep: usize, half: v128, near: v128, far: v128,
): void {
  const a = f32x4.add(y0, f32x4.mul(half, y2)), b = f32x4.mul(near, f32x4.add(y1, f32x4.mul(half, y3)));
  const c = f32x4.add(y0, twice(y2)), d = f32x4.mul(far, f32x4.add(y1, twice(y3)));
  v128.store(to, y0);
  v128.store(to + toStep, f32x4.add(a, b));
  v128.store(to + 2 * toStep, f32x4.sub(a, b));
  v128.store(to + 3 * toStep, f32x4.add(c, d));
  v128.store(to + 4 * toStep, f32x4.sub(c, d));
  v128.store(to + 5 * toStep, y3);
}

/** G g: three vectors to six. */
@inline
export function transformFilter(g0: v128, g1: v128, g2: v128, to: usize, toStep: usize): void {
  const a = times(<f32>(-2.0 / 3), f32x4.add(g0, times(0.5, g2))), b = times(<f32>(-2.0 / 3) * NEAR, g1);
  const c = times(<f32>(1.0 / 6), f32x4.add(g0, times(2, g2))), d = times(<f32>(1.0 / 6) * FAR, g1);
  v128.store(to, g0);
  v128.store(to + toStep, f32x4.add(a, b));
  v128.store(to + 2 * toStep, f32x4.sub(a, b));
  v128.store(to + 3 * toStep, f32x4.add(c, d));
  v128.store(to + 4 * toStep, f32x4.sub(c, d));
  v128.store(to + 5 * toStep, g2);
}

/** A^T m: six vectors from `from` to four at `to`. */
@inline
export function gatherOutput(from: usize, step: usize, to: usize, toStep: usize, half: v128, near: v128, far: v128): void {
  const m0 = v128.load(from), m1 = v128.load(from + step), m2 = v128.load(from + 2 * step);
  const m3 = v128.load(from + 3 * step), m4 = v128.load(from + 4 * step), m5 = v128.load(from + 5 * step);
  const a = f32x4.add(m1, m2), b = f32x4.mul(near, f32x4.sub(m1, m2));
  const c = f32x4.add(m3, m4), d = f32x4.mul(far, f32x4.sub(m3, m4));
  v128.store(to, f32x4.add(m0, f32x4.add(a, c)));
  v128.store(to + toStep, f32x4.add(b, d));
  v128.store(to + 2 * toStep, f32x4.add(f32x4.mul(half, a), twice(c)));
  v128.store(to + 3 * toStep, f32x4.add(f32x4.add(f32x4.mul(half, b), twice(d)), m5));
}

/** G^T u: six vectors from `from` to three at `to`. */
@inline
export function gatherFilter(from: usize, step: usize, to: usize, toStep: usize): void {
  const u0 = v128.load(from), u1 = v128.load(from + step), u2 = v128.load(from + 2 * step);
  const u3 = v128.load(from + 3 * step), u4 = v128.load(from + 4 * step), u5 = v128.load(from + 5 * step);
  const a = times(<f32>(-2.0 / 3), f32x4.add(u1, u2)), b = times(<f32>(-2.0 / 3) * NEAR, f32x4.sub(u1, u2));
  const c = times(<f32>(1.0 / 6), f32x4.add(u3, u4)), d = times(<f32>(1.0 / 6) * FAR, f32x4.sub(u3, u4));
  v128.store(to, f32x4.add(u0, f32x4.add(a, c)));
  v128.store(to + toStep, f32x4.add(b, d));
  v128.store(to + 2 * toStep, f32x4.add(f32x4.add(times(0.5, a), times(2, c)), u5));
}
