import type { Pixels } from "../defenses/defense.ts";

/** Remembers the last few results by the identity of the pixel array: defenses ask for the same images again and again. */
export function rememberByPixels<T>(
  compute: (pixels: Pixels, count: number) => T,
): (pixels: Pixels, count: number) => T {
  const known = new WeakMap<Pixels, Map<number, T>>();
  return (pixels, count) => {
    const counts = known.get(pixels) ?? new Map<number, T>();
    known.set(pixels, counts);
    const value = counts.get(count) ?? compute(pixels, count);
    counts.set(count, value);
    return value;
  };
}

/** Channels are those of the last feature map, as the last FULLY_CONNECTED reads them: pruning one zeroes its column
 * (BackdoorBench's form of Fine-Pruning). */
export function meanOfChannels(features: Float32Array, depth: number): Float32Array {
  const count = features.length / depth;
  const sums = new Float64Array(depth);
  features.forEach((value, i) => {
    sums[i % depth] += value;
  });
  return Float32Array.from(sums, (sum) => sum / count);
}
