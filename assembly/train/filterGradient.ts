/** The filter gradient of one image, added to `gradient` [tapRows][taps][run][outputDepth]. Byte distances, `run` in elements. */
@unmanaged
export class FilterGradient {
  input: usize;
  rowBytes: usize;
  inputRow: usize;
  inputPixel: usize;
  tapRow: usize;
  tapRows: i32;
  tapStep: usize;
  taps: i32;
  run: i32;
  dy: usize;
  outputHeight: i32;
  outputWidth: i32;
  outputDepth: i32;
  gradient: usize;
}

/** Rows of input and output gradient that stay in a first-level cache of 32 KiB while all filter elements pass over them. */
const BLOCK_BYTES: usize = 20480;

@inline
function blockRows(g: FilterGradient): i32 {
  const row = g.inputRow + (<usize>(g.outputWidth * g.outputDepth) << 2);
  return max(1, <i32>(BLOCK_BYTES / row));
}

/** Four filter elements by eight channels in registers over all pixels of the block. */
function tile4x8(g: FilterGradient, a: usize, b: usize, rows: i32, to: usize): void {
  const inputPixel = g.inputPixel;
  const depthBytes = <usize>g.outputDepth << 2;
  const width = <usize>g.outputWidth * inputPixel;
  const nextRow = g.inputRow;
  const d1 = to + depthBytes, d2 = d1 + depthBytes, d3 = d2 + depthBytes;
  let c00 = v128.load(to), c01 = v128.load(to, 16);
  let c10 = v128.load(d1), c11 = v128.load(d1, 16);
  let c20 = v128.load(d2), c21 = v128.load(d2, 16);
  let c30 = v128.load(d3), c31 = v128.load(d3, 16);
  for (let y = 0; y < rows; y++, a += nextRow) {
    const end = a + width;
    for (let pixel = a; pixel < end; pixel += inputPixel, b += depthBytes) {
      const y0 = v128.load(b);
      const y1 = v128.load(b, 16);
      const x0 = v128.load_splat<f32>(pixel);
      c00 = f32x4.add(c00, f32x4.mul(x0, y0));
      c01 = f32x4.add(c01, f32x4.mul(x0, y1));
      const x1 = v128.load_splat<f32>(pixel, 4);
      c10 = f32x4.add(c10, f32x4.mul(x1, y0));
      c11 = f32x4.add(c11, f32x4.mul(x1, y1));
      const x2 = v128.load_splat<f32>(pixel, 8);
      c20 = f32x4.add(c20, f32x4.mul(x2, y0));
      c21 = f32x4.add(c21, f32x4.mul(x2, y1));
      const x3 = v128.load_splat<f32>(pixel, 12);
      c30 = f32x4.add(c30, f32x4.mul(x3, y0));
      c31 = f32x4.add(c31, f32x4.mul(x3, y1));
    }
  }
  v128.store(to, c00);
  v128.store(to, c01, 16);
  v128.store(d1, c10);
  v128.store(d1, c11, 16);
  v128.store(d2, c20);
  v128.store(d2, c21, 16);
  v128.store(d3, c30);
  v128.store(d3, c31, 16);
}

function tile1x8(g: FilterGradient, a: usize, b: usize, rows: i32, to: usize): void {
  const inputPixel = g.inputPixel;
  const depthBytes = <usize>g.outputDepth << 2;
  const width = <usize>g.outputWidth * inputPixel;
  let c0 = v128.load(to), c1 = v128.load(to, 16);
  for (let y = 0; y < rows; y++, a += g.inputRow) {
    const end = a + width;
    for (let pixel = a; pixel < end; pixel += inputPixel, b += depthBytes) {
      const x0 = v128.load_splat<f32>(pixel);
      c0 = f32x4.add(c0, f32x4.mul(x0, v128.load(b)));
      c1 = f32x4.add(c1, f32x4.mul(x0, v128.load(b, 16)));
    }
  }
  v128.store(to, c0);
  v128.store(to, c1, 16);
}

function tile1x1(g: FilterGradient, a: usize, b: usize, rows: i32, to: usize): void {
  const depthBytes = <usize>g.outputDepth << 2;
  const width = <usize>g.outputWidth * g.inputPixel;
  let c = load<f32>(to);
  for (let y = 0; y < rows; y++, a += g.inputRow) {
    const end = a + width;
    for (let pixel = a; pixel < end; pixel += g.inputPixel, b += depthBytes) {
      c += load<f32>(pixel) * load<f32>(b);
    }
  }
  store<f32>(to, c);
}

/** All elements of one run of the window, over `rows` output rows starting at window a and gradient b. */
function run(g: FilterGradient, a: usize, b: usize, rows: i32, to: usize): void {
  const depth = g.outputDepth;
  const whole = depth & ~7;
  let r = 0;
  for (; r + 4 <= g.run; r += 4) {
    for (let o = 0; o < whole; o += 8) {
      tile4x8(g, a + (<usize>r << 2), b + (<usize>o << 2), rows, to + (<usize>(r * depth + o) << 2));
    }
  }
  for (; r < g.run; r++) {
    for (let o = 0; o < whole; o += 8) {
      tile1x8(g, a + (<usize>r << 2), b + (<usize>o << 2), rows, to + (<usize>(r * depth + o) << 2));
    }
  }
  for (let o = whole; o < depth; o++) {
    for (r = 0; r < g.run; r++) {
      tile1x1(g, a + (<usize>r << 2), b + (<usize>o << 2), rows, to + (<usize>(r * depth + o) << 2));
    }
  }
}

export function filterGradient(g: FilterGradient): void {
  const block = blockRows(g);
  const dyRow = <usize>(g.outputWidth * g.outputDepth) << 2;
  const runBytes = <usize>(g.run * g.outputDepth) << 2;
  for (let y = 0; y < g.outputHeight; y += block) {
    const rows = min(block, g.outputHeight - y);
    const b = g.dy + <usize>y * dyRow;
    let to = g.gradient;
    for (let row = 0; row < g.tapRows; row++) {
      for (let tap = 0; tap < g.taps; tap++, to += runBytes) {
        const a = g.input + <usize>y * g.inputRow + <usize>row * g.tapRow + <usize>tap * g.tapStep;
        run(g, a, b, rows, to);
      }
    }
  }
}
