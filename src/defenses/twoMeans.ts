import { kmeans } from "ml-kmeans";
import { permutation, type Random } from "../random.ts";

/** Two clusters of rows; cluster 1 is the smaller (on a tie, the one that ml-kmeans calls 1). */
export interface TwoMeans {
  /** 0 or 1 for each row. */
  assignment: Uint8Array;
  /** Distance to the centre of cluster 0 less that to cluster 1: larger is deeper in the smaller cluster. */
  lean: Float64Array;
  /** Rows in the smaller cluster / rows. */
  minorityShare: number;
}

function toRows(values: Float64Array, width: number): number[][] {
  return Array.from({ length: values.length / width }, (_, i) => [
    ...values.subarray(i * width, (i + 1) * width),
  ]);
}

function squaredDistance(a: ArrayLike<number>, b: ArrayLike<number>): number {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += (a[i] - b[i]) * (a[i] - b[i]);
  return sum;
}

const distance = (a: ArrayLike<number>, b: ArrayLike<number>) => Math.sqrt(squaredDistance(a, b));

/** Sum of squared distances of the rows to their centres. */
function inertia(rows: number[][], fitted: { clusters: number[]; centroids: number[][] }): number {
  return rows.reduce((sum, row, i) => sum + squaredDistance(row, fitted.centroids[fitted.clusters[i]]), 0);
}

/**
 * 2-means from `restarts` k-means++ starts, the tightest kept. values: rows * width.
 * Null where the rows do not make two clusters (all equal).
 */
export function twoMeans(
  values: Float64Array,
  width: number,
  restarts: number,
  random: Random,
): TwoMeans | null {
  const rows = toRows(values, width);
  if (rows.every((row) => distance(row, rows[0]) === 0)) return null;
  let best: ReturnType<typeof kmeans> | null = null;
  for (let i = 0; i < restarts; i++) {
    const fitted = kmeans(rows, 2, { seed: random.below(0x7fffffff) });
    if (best === null || inertia(rows, fitted) < inertia(rows, best)) best = fitted;
  }
  const { clusters, centroids } = best!;
  const ones = clusters.reduce((sum, cluster) => sum + cluster, 0);
  if (ones === 0 || ones === rows.length) return null;
  const minority = ones * 2 <= rows.length ? 1 : 0;
  const [major, minor] = [centroids[1 - minority], centroids[minority]];
  return {
    assignment: Uint8Array.from(clusters, (cluster) => (cluster === minority ? 1 : 0)),
    lean: Float64Array.from(rows, (row) => distance(row, major) - distance(row, minor)),
    minorityShare: (minority === 1 ? ones : rows.length - ones) / rows.length,
  };
}

/** Mean silhouette of two clusters, on a random sample of at most `cap` rows; 0 where the sample has one cluster.
 * Source: Rousseeuw, J. Comput. Appl. Math. 20, 1987; a row alone in its cluster counts 0. */
export function silhouette(
  values: Float64Array,
  width: number,
  assignment: Uint8Array,
  sample: { cap: number; random: Random },
): number {
  const chosen = [...permutation(sample.random, assignment.length).subarray(0, sample.cap)];
  const rows = chosen.map((i) => values.subarray(i * width, (i + 1) * width));
  const cluster = chosen.map((i) => assignment[i]);
  const sizes = [0, 0];
  for (const c of cluster) sizes[c]++;
  if (sizes[0] === 0 || sizes[1] === 0) return 0;
  const count = rows.length;
  const between = new Float64Array(count * count);
  for (let i = 0; i < count; i++)
    for (let j = i + 1; j < count; j++)
      between[i * count + j] = between[j * count + i] = distance(rows[i], rows[j]);
  let total = 0;
  for (let i = 0; i < count; i++) {
    const own = cluster[i];
    if (sizes[own] === 1) continue;
    const sums = [0, 0];
    for (let j = 0; j < count; j++) sums[cluster[j]] += between[i * count + j];
    const inside = sums[own] / (sizes[own] - 1);
    const outside = sums[1 - own] / sizes[1 - own];
    const larger = Math.max(inside, outside);
    total += larger === 0 ? 0 : (outside - inside) / larger;
  }
  return total / count;
}
