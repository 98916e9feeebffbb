/** Exports of build/bench.wasm: what the machine can do at most, for `blindspot bench`. */

@inline
function step(c: v128, y: v128): v128 {
  return i32x4.add(c, i32x4.dot_i16x8_s(c, y));
}

/** rounds of twelve i32x4.dot_i16x8_s with their sums, all in registers: 96 multiply-accumulates a round. */
export function dot_peak(rounds: i32): i32 {
  const y = i16x8.splat(<i16>rounds);
  let c0 = i32x4.splat(1),
    c1 = i32x4.splat(2),
    c2 = i32x4.splat(3),
    c3 = i32x4.splat(4),
    c4 = i32x4.splat(5),
    c5 = i32x4.splat(6),
    c6 = i32x4.splat(7),
    c7 = i32x4.splat(8),
    c8 = i32x4.splat(9),
    c9 = i32x4.splat(10),
    c10 = i32x4.splat(11),
    c11 = i32x4.splat(12);
  for (let i = 0; i < rounds; i++) {
    c0 = step(c0, y);
    c1 = step(c1, y);
    c2 = step(c2, y);
    c3 = step(c3, y);
    c4 = step(c4, y);
    c5 = step(c5, y);
    c6 = step(c6, y);
    c7 = step(c7, y);
    c8 = step(c8, y);
    c9 = step(c9, y);
    c10 = step(c10, y);
    c11 = step(c11, y);
  }
  const first = i32x4.add(i32x4.add(c0, c1), i32x4.add(c2, c3)),
    second = i32x4.add(i32x4.add(c4, c5), i32x4.add(c6, c7)),
    third = i32x4.add(i32x4.add(c8, c9), i32x4.add(c10, c11));
  return i32x4.extract_lane(i32x4.add(i32x4.add(first, second), third), 0);
}
