import { EigenvalueDecomposition, Matrix } from "ml-matrix";

/** Principal components of some rows. */
export interface Components {
  /** Variances along the components, largest first (divisor count - 1). */
  variances: Float64Array;
  /** count * kept: the centred rows along the first components. */
  projections: Float64Array;
  kept: number;
  count: number;
}

function centred(values: Float64Array, count: number, depth: number): Float64Array {
  const mean = new Float64Array(depth);
  for (let at = 0; at < values.length; at++) mean[at % depth] += values[at] / count;
  return values.map((value, at) => value - mean[at % depth]);
}

function covariance(rows: Float64Array, count: number, depth: number): Matrix {
  const sums = new Float64Array(depth * depth);
  for (let i = 0; i < count; i++)
    for (let a = 0; a < depth; a++) {
      const value = rows[i * depth + a];
      for (let b = a; b < depth; b++) sums[a * depth + b] += value * rows[i * depth + b];
    }
  const matrix = new Matrix(depth, depth);
  for (let a = 0; a < depth; a++)
    for (let b = a; b < depth; b++) {
      const value = sums[a * depth + b] / (count - 1);
      matrix.set(a, b, value);
      matrix.set(b, a, value);
    }
  return matrix;
}

/**
 * The principal components of count rows of depth values; the variances are the squared singular values of the centred
 * rows over count - 1, and the axes its right singular vectors. By the covariance matrix, whose size does not grow with
 * the rows (ml-matrix uses + - * / and sqrt there: the same bits in every engine).
 * kept: components to project on; fewer when depth is smaller.
 */
export function principalComponents(
  values: Float64Array,
  count: number,
  depth: number,
  wanted: number,
): Components {
  const rows = centred(values, count, depth);
  const decomposition = new EigenvalueDecomposition(covariance(rows, count, depth), {
    assumeSymmetric: true,
  });
  const kept = Math.min(wanted, depth);
  const vectors = decomposition.eigenvectorMatrix;
  const projections = new Float64Array(count * kept);
  for (let k = 0; k < kept; k++) {
    const axis = vectors.getColumn(depth - 1 - k);
    for (let i = 0; i < count; i++) {
      let sum = 0;
      for (let d = 0; d < depth; d++) sum += rows[i * depth + d] * axis[d];
      projections[i * kept + k] = sum;
    }
  }
  const variances = Float64Array.from(decomposition.realEigenvalues, (value) => Math.max(0, value)).reverse();
  return { variances, projections, kept, count };
}

/** The projections with unit variance each; components that carry (nearly) nothing become 0. */
export function whitened(components: Components): Components {
  const { variances, projections, kept } = components;
  const scales = variances.map((variance) => (variance > 1e-10 * variances[0] ? 1 / Math.sqrt(variance) : 0));
  return { ...components, projections: projections.map((value, at) => value * scales[at % kept]) };
}
