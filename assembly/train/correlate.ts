import { clamp } from "./activation";

/** A correlation of one image with packed filters. Byte distances unless said otherwise. */
@unmanaged
export class Correlation {
  /** First element of the first window, and from there to the window below and to the right. */
  input: usize;
  inputRow: usize;
  inputPixel: usize;
  /** A window is tapRows rows of `taps` runs of tapBytes contiguous bytes. */
  tapRow: usize;
  tapRows: i32;
  tapStep: usize;
  taps: i32;
  tapBytes: usize;
  /** [outputDepth / panel][window elements][panel], zero beyond outputDepth; bias likewise, 0 = none. */
  filter: usize;
  bias: usize;
  /** Added to the output, laid out as it; 0 = none. */
  addend: usize;
  output: usize;
  outputRow: usize;
  outputPixel: usize;
  outputHeight: i32;
  outputWidth: i32;
  outputDepth: i32;
  lower: f32;
  upper: f32;
}

@inline
function take(pointer: usize, lanes: i32): v128 {
  if (lanes >= 4) return v128.load(pointer);
  let v = f32x4.splat(0);
  if (lanes > 0) v = f32x4.replace_lane(v, 0, load<f32>(pointer));
  if (lanes > 1) v = f32x4.replace_lane(v, 1, load<f32>(pointer, 4));
  if (lanes > 2) v = f32x4.replace_lane(v, 2, load<f32>(pointer, 8));
  return v;
}

@inline
function put(pointer: usize, v: v128, lanes: i32): void {
  if (lanes >= 4) {
    v128.store(pointer, v);
    return;
  }
  if (lanes > 0) store<f32>(pointer, f32x4.extract_lane(v, 0));
  if (lanes > 1) store<f32>(pointer, f32x4.extract_lane(v, 1), 4);
  if (lanes > 2) store<f32>(pointer, f32x4.extract_lane(v, 2), 8);
}

/** sum + a b. In unrolled loops the sums of one step stay before those of the next, as level 2 of asconfig.json leaves them:
 * level 3 puts those of one accumulator side by side, where each waits for the one before it. */
@inline
export function multiplyAdd(sum: v128, a: v128, b: v128): v128 {
  return f32x4.add(sum, f32x4.mul(a, b));
}

/** Panels of 8 channels, tiles of 4 pixels: eight accumulators, the most that sixteen registers hold without a spill. */
export function correlate8(p: Correlation): void {
  const inputPixel = p.inputPixel;
  const tapRow = p.tapRow;
  const tapRows = p.tapRows;
  const tapStep = p.tapStep;
  const taps = p.taps;
  const tapBytes = p.tapBytes;
  const unrolled = tapBytes & ~15;
  const width = p.outputWidth;
  const outputPixel = p.outputPixel;
  const toAddend = p.addend - p.output;
  const hasAddend = p.addend != 0;
  const lower = f32x4.splat(p.lower);
  const upper = f32x4.splat(p.upper);
  const panelBytes = <usize>(tapRows * taps) * tapBytes * 8;
  for (let o = 0, panel = p.filter; o < p.outputDepth; o += 8, panel += panelBytes) {
    const lanes = p.outputDepth - o;
    const bias0 = p.bias ? v128.load(p.bias + (<usize>o << 2)) : f32x4.splat(0);
    const bias1 = p.bias ? v128.load(p.bias + (<usize>o << 2), 16) : f32x4.splat(0);
    for (let y = 0; y < p.outputHeight; y++) {
      let input = p.input + <usize>y * p.inputRow;
      let out = p.output + <usize>y * p.outputRow + (<usize>o << 2);
      let x = 0;
      for (; x + 4 <= width; x += 4, input += 4 * inputPixel, out += 4 * outputPixel) {
        let c00 = bias0, c01 = bias1, c10 = bias0, c11 = bias1;
        let c20 = bias0, c21 = bias1, c30 = bias0, c31 = bias1;
        let w0 = bias0, w1 = bias1, v = bias0;
        let w = panel;
        let window = input;
        for (let row = 0; row < tapRows; row++, window += tapRow) {
          let a0 = window;
          for (let tap = 0; tap < taps; tap++, a0 += tapStep) {
            let b0 = a0;
            let b1 = b0 + inputPixel;
            let b2 = b1 + inputPixel;
            let b3 = b2 + inputPixel;
            for (const end = a0 + unrolled; b0 < end; w += 128) {
              w0 = v128.load(w); w1 = v128.load(w, 16);
              v = v128.load_splat<f32>(b0); c00 = multiplyAdd(c00, v, w0); c01 = multiplyAdd(c01, v, w1);
              v = v128.load_splat<f32>(b1); c10 = multiplyAdd(c10, v, w0); c11 = multiplyAdd(c11, v, w1);
              v = v128.load_splat<f32>(b2); c20 = multiplyAdd(c20, v, w0); c21 = multiplyAdd(c21, v, w1);
              v = v128.load_splat<f32>(b3); c30 = multiplyAdd(c30, v, w0); c31 = multiplyAdd(c31, v, w1);
              w0 = v128.load(w, 32); w1 = v128.load(w, 48);
              v = v128.load_splat<f32>(b0, 4); c00 = multiplyAdd(c00, v, w0); c01 = multiplyAdd(c01, v, w1);
              v = v128.load_splat<f32>(b1, 4); c10 = multiplyAdd(c10, v, w0); c11 = multiplyAdd(c11, v, w1);
              v = v128.load_splat<f32>(b2, 4); c20 = multiplyAdd(c20, v, w0); c21 = multiplyAdd(c21, v, w1);
              v = v128.load_splat<f32>(b3, 4); c30 = multiplyAdd(c30, v, w0); c31 = multiplyAdd(c31, v, w1);
              w0 = v128.load(w, 64); w1 = v128.load(w, 80);
              v = v128.load_splat<f32>(b0, 8); c00 = multiplyAdd(c00, v, w0); c01 = multiplyAdd(c01, v, w1);
              v = v128.load_splat<f32>(b1, 8); c10 = multiplyAdd(c10, v, w0); c11 = multiplyAdd(c11, v, w1);
              v = v128.load_splat<f32>(b2, 8); c20 = multiplyAdd(c20, v, w0); c21 = multiplyAdd(c21, v, w1);
              v = v128.load_splat<f32>(b3, 8); c30 = multiplyAdd(c30, v, w0); c31 = multiplyAdd(c31, v, w1);
              w0 = v128.load(w, 96); w1 = v128.load(w, 112);
              v = v128.load_splat<f32>(b0, 12); c00 = multiplyAdd(c00, v, w0); c01 = multiplyAdd(c01, v, w1);
              v = v128.load_splat<f32>(b1, 12); c10 = multiplyAdd(c10, v, w0); c11 = multiplyAdd(c11, v, w1);
              v = v128.load_splat<f32>(b2, 12); c20 = multiplyAdd(c20, v, w0); c21 = multiplyAdd(c21, v, w1);
              v = v128.load_splat<f32>(b3, 12); c30 = multiplyAdd(c30, v, w0); c31 = multiplyAdd(c31, v, w1);
              b0 += 16; b1 += 16; b2 += 16; b3 += 16;
            }
            for (const end = a0 + tapBytes; b0 < end; w += 32) {
              w0 = v128.load(w); w1 = v128.load(w, 16);
              v = v128.load_splat<f32>(b0); c00 = multiplyAdd(c00, v, w0); c01 = multiplyAdd(c01, v, w1);
              v = v128.load_splat<f32>(b1); c10 = multiplyAdd(c10, v, w0); c11 = multiplyAdd(c11, v, w1);
              v = v128.load_splat<f32>(b2); c20 = multiplyAdd(c20, v, w0); c21 = multiplyAdd(c21, v, w1);
              v = v128.load_splat<f32>(b3); c30 = multiplyAdd(c30, v, w0); c31 = multiplyAdd(c31, v, w1);
              b0 += 4; b1 += 4; b2 += 4; b3 += 4;
            }
          }
        }
        let to = out;
        if (hasAddend) {
          c00 = f32x4.add(c00, take(to + toAddend, lanes));
          c01 = f32x4.add(c01, take(to + toAddend + 16, lanes - 4));
          to += outputPixel;
          c10 = f32x4.add(c10, take(to + toAddend, lanes));
          c11 = f32x4.add(c11, take(to + toAddend + 16, lanes - 4));
          to += outputPixel;
          c20 = f32x4.add(c20, take(to + toAddend, lanes));
          c21 = f32x4.add(c21, take(to + toAddend + 16, lanes - 4));
          to += outputPixel;
          c30 = f32x4.add(c30, take(to + toAddend, lanes));
          c31 = f32x4.add(c31, take(to + toAddend + 16, lanes - 4));
          to = out;
        }
        put(to, clamp(c00, lower, upper), lanes);
        put(to + 16, clamp(c01, lower, upper), lanes - 4);
        to += outputPixel;
        put(to, clamp(c10, lower, upper), lanes);
        put(to + 16, clamp(c11, lower, upper), lanes - 4);
        to += outputPixel;
        put(to, clamp(c20, lower, upper), lanes);
        put(to + 16, clamp(c21, lower, upper), lanes - 4);
        to += outputPixel;
        put(to, clamp(c30, lower, upper), lanes);
        put(to + 16, clamp(c31, lower, upper), lanes - 4);
      }
      for (; x < width; x++, input += inputPixel, out += outputPixel) {
        let c0 = bias0, c1 = bias1;
        let w = panel;
        let window = input;
        for (let row = 0; row < tapRows; row++, window += tapRow) {
          let a = window;
          for (let tap = 0; tap < taps; tap++, a += tapStep) {
            for (let k: usize = 0; k < tapBytes; k += 4, w += 32) {
              const x0 = v128.load_splat<f32>(a + k);
              c0 = f32x4.add(c0, f32x4.mul(x0, v128.load(w)));
              c1 = f32x4.add(c1, f32x4.mul(x0, v128.load(w, 16)));
            }
          }
        }
        if (hasAddend) {
          c0 = f32x4.add(c0, take(out + toAddend, lanes));
          c1 = f32x4.add(c1, take(out + toAddend + 16, lanes - 4));
        }
        put(out, clamp(c0, lower, upper), lanes);
        put(out + 16, clamp(c1, lower, upper), lanes - 4);
      }
    }
  }
}

/** Panels of 4 channels, for outputs of at most 4 channels such as the gradient of an RGB image. */
export function correlate4(p: Correlation): void {
  const inputPixel = p.inputPixel;
  const tapRow = p.tapRow;
  const tapRows = p.tapRows;
  const tapStep = p.tapStep;
  const taps = p.taps;
  const tapBytes = p.tapBytes;
  const unrolled = tapBytes & ~15;
  const width = p.outputWidth;
  const outputPixel = p.outputPixel;
  const toAddend = p.addend - p.output;
  const hasAddend = p.addend != 0;
  const lanes = p.outputDepth;
  const lower = f32x4.splat(p.lower);
  const upper = f32x4.splat(p.upper);
  const bias = p.bias ? v128.load(p.bias) : f32x4.splat(0);
  for (let y = 0; y < p.outputHeight; y++) {
    let input = p.input + <usize>y * p.inputRow;
    let out = p.output + <usize>y * p.outputRow;
    let x = 0;
    for (; x + 4 <= width; x += 4, input += 4 * inputPixel, out += 4 * outputPixel) {
      let c0 = bias, c1 = bias, c2 = bias, c3 = bias;
      let w0 = bias;
      let w = p.filter;
      let window = input;
      for (let row = 0; row < tapRows; row++, window += tapRow) {
        let a0 = window;
        for (let tap = 0; tap < taps; tap++, a0 += tapStep) {
          let b0 = a0;
          let b1 = b0 + inputPixel;
          let b2 = b1 + inputPixel;
          let b3 = b2 + inputPixel;
          for (const end = a0 + unrolled; b0 < end; w += 64) {
            w0 = v128.load(w);
            c0 = multiplyAdd(c0, v128.load_splat<f32>(b0), w0);
            c1 = multiplyAdd(c1, v128.load_splat<f32>(b1), w0);
            c2 = multiplyAdd(c2, v128.load_splat<f32>(b2), w0);
            c3 = multiplyAdd(c3, v128.load_splat<f32>(b3), w0);
            w0 = v128.load(w, 16);
            c0 = multiplyAdd(c0, v128.load_splat<f32>(b0, 4), w0);
            c1 = multiplyAdd(c1, v128.load_splat<f32>(b1, 4), w0);
            c2 = multiplyAdd(c2, v128.load_splat<f32>(b2, 4), w0);
            c3 = multiplyAdd(c3, v128.load_splat<f32>(b3, 4), w0);
            w0 = v128.load(w, 32);
            c0 = multiplyAdd(c0, v128.load_splat<f32>(b0, 8), w0);
            c1 = multiplyAdd(c1, v128.load_splat<f32>(b1, 8), w0);
            c2 = multiplyAdd(c2, v128.load_splat<f32>(b2, 8), w0);
            c3 = multiplyAdd(c3, v128.load_splat<f32>(b3, 8), w0);
            w0 = v128.load(w, 48);
            c0 = multiplyAdd(c0, v128.load_splat<f32>(b0, 12), w0);
            c1 = multiplyAdd(c1, v128.load_splat<f32>(b1, 12), w0);
            c2 = multiplyAdd(c2, v128.load_splat<f32>(b2, 12), w0);
            c3 = multiplyAdd(c3, v128.load_splat<f32>(b3, 12), w0);
            b0 += 16; b1 += 16; b2 += 16; b3 += 16;
          }
          for (const end = a0 + tapBytes; b0 < end; w += 16) {
            w0 = v128.load(w);
            c0 = multiplyAdd(c0, v128.load_splat<f32>(b0), w0);
            c1 = multiplyAdd(c1, v128.load_splat<f32>(b1), w0);
            c2 = multiplyAdd(c2, v128.load_splat<f32>(b2), w0);
            c3 = multiplyAdd(c3, v128.load_splat<f32>(b3), w0);
            b0 += 4; b1 += 4; b2 += 4; b3 += 4;
          }
        }
      }
      let to = out;
      if (hasAddend) {
        c0 = f32x4.add(c0, take(to + toAddend, lanes));
        c1 = f32x4.add(c1, take(to + toAddend + outputPixel, lanes));
        c2 = f32x4.add(c2, take(to + toAddend + 2 * outputPixel, lanes));
        c3 = f32x4.add(c3, take(to + toAddend + 3 * outputPixel, lanes));
      }
      put(to, clamp(c0, lower, upper), lanes);
      put(to + outputPixel, clamp(c1, lower, upper), lanes);
      put(to + 2 * outputPixel, clamp(c2, lower, upper), lanes);
      put(to + 3 * outputPixel, clamp(c3, lower, upper), lanes);
    }
    for (; x < width; x++, input += inputPixel, out += outputPixel) {
      let c = bias;
      let w = p.filter;
      let window = input;
      for (let row = 0; row < tapRows; row++, window += tapRow) {
        let a = window;
        for (let tap = 0; tap < taps; tap++, a += tapStep) {
          for (let k: usize = 0; k < tapBytes; k += 4, w += 16) {
            c = f32x4.add(c, f32x4.mul(v128.load_splat<f32>(a + k), v128.load(w)));
          }
        }
      }
      if (hasAddend) c = f32x4.add(c, take(out + toAddend, lanes));
      put(out, clamp(c, lower, upper), lanes);
    }
  }
}
