/** One Adam state over `length` parameters. Source: Kingma and Ba, ICLR 2015, algorithm 1. */
export function adam(length: number, options: { learningRate: number; beta1: number; beta2: number }) {
  const { learningRate, beta1, beta2 } = options;
  const mean = new Float64Array(length);
  const square = new Float64Array(length);
  let [decay1, decay2] = [1, 1];
  /** Moves `parameters` against `gradient`, in place. */
  return (parameters: Float64Array, gradient: Float64Array): void => {
    decay1 *= beta1;
    decay2 *= beta2;
    for (let i = 0; i < length; i++) {
      mean[i] = beta1 * mean[i] + (1 - beta1) * gradient[i];
      square[i] = beta2 * square[i] + (1 - beta2) * gradient[i] * gradient[i];
      const step = mean[i] / (1 - decay1) / (Math.sqrt(square[i] / (1 - decay2)) + 1e-8);
      parameters[i] -= learningRate * step;
    }
  };
}
