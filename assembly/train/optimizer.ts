/** v = momentum * v + g + decay * w; w -= rate * v. Arrays of `length`; v 0 = no momentum. Source: PyTorch's SGD, no dampening. */
export function sgd_f32(w: usize, v: usize, g: usize, length: i32, rate: f32, momentum: f32, decay: f32): void {
  for (let i: usize = 0; i < <usize>length << 2; i += 4) {
    let step = load<f32>(g + i) + decay * load<f32>(w + i);
    if (v) {
      step += momentum * load<f32>(v + i);
      store<f32>(v + i, step);
    }
    store<f32>(w + i, load<f32>(w + i) - rate * step);
  }
}

/** e^x to under 1 ulp of float32, x <= 0: no table, no engine's libm. */
function exponential(x: f64): f64 {
  if (x < -700) return 0;
  const n = nearest<f64>(x * 1.4426950408889634);
  const r = x - n * 0.6931471805599453;
  let term: f64 = 1, sum: f64 = 1;
  for (let i = 1; i <= 13; i++) {
    term *= r / <f64>i;
    sum += term;
  }
  return sum * reinterpret<f64>(<u64>(<i64>n + 1023) << 52);
}

/** ln x, x >= 1, by halving into [sqrt(1/2), sqrt(2)) and the series of artanh. */
function logarithm(x: f64): f64 {
  const bits = reinterpret<u64>(x);
  let e = <i32>((bits >> 52) & 0x7ff) - 1023;
  let m = reinterpret<f64>((bits & 0x000fffffffffffff) | 0x3ff0000000000000);
  if (m > 1.4142135623730951) {
    m *= 0.5;
    e++;
  }
  const s = (m - 1) / (m + 1);
  const square = s * s;
  let power = s, sum: f64 = 0;
  for (let i = 1; i <= 21; i += 2) {
    sum += power / <f64>i;
    power *= square;
  }
  return 2 * sum + <f64>e * 0.6931471805599453;
}

/**
 * Softmax cross-entropy against int32 labels: dLogits = (softmax - one-hot) / batches.
 * sums: two float32: the summed loss (not divided) and the number of rows whose first largest logit is the label.
 */
export function softmax_cross_entropy_f32(
  logits: usize, labels: usize, batches: i32, classes: i32, dLogits: usize, sums: usize,
): void {
  let loss: f64 = 0;
  let right: f64 = 0;
  for (let b = 0; b < batches; b++) {
    const row = logits + (<usize>(b * classes) << 2);
    const to = dLogits + (<usize>(b * classes) << 2);
    const label = load<i32>(labels + (<usize>b << 2));
    let best = 0;
    for (let k = 1; k < classes; k++) {
      if (load<f32>(row + (<usize>k << 2)) > load<f32>(row + (<usize>best << 2))) best = k;
    }
    const top = <f64>load<f32>(row + (<usize>best << 2));
    let sum: f64 = 0;
    for (let k = 0; k < classes; k++) sum += exponential(<f64>load<f32>(row + (<usize>k << 2)) - top);
    for (let k = 0; k < classes; k++) {
      const share = exponential(<f64>load<f32>(row + (<usize>k << 2)) - top) / sum;
      store<f32>(to + (<usize>k << 2), <f32>((share - (k == label ? 1 : 0)) / <f64>batches));
    }
    loss += logarithm(sum) + top - <f64>load<f32>(row + (<usize>label << 2));
    if (best == label) right += 1;
  }
  store<f32>(sums, <f32>loss);
  store<f32>(sums, <f32>right, 4);
}
