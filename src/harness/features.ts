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
