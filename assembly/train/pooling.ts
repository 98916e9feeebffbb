import { clampScalar, lowerBound, upperBound } from "./activation";

/** The fields of POOL_2D_PARAMS in src/float/kernels.ts, in order. NHWC. */
@unmanaged
class Pool2D {
  batches: i32;
  inputHeight: i32;
  inputWidth: i32;
  depth: i32;
  filterHeight: i32;
  filterWidth: i32;
  outputHeight: i32;
  outputWidth: i32;
  strideHeight: i32;
  strideWidth: i32;
  paddingTop: i32;
  paddingLeft: i32;
  activation: i32;
}

/** The part of a window that lies on the image: y0, y1, x0, x1, at `window`. */
@unmanaged
class Window {
  y0: i32;
  y1: i32;
  x0: i32;
  x1: i32;
}

@inline
function locate(p: Pool2D, window: usize, oy: i32, ox: i32): void {
  const w = changetype<Window>(window);
  const y = oy * p.strideHeight - p.paddingTop;
  const x = ox * p.strideWidth - p.paddingLeft;
  w.y0 = max(y, 0);
  w.y1 = min(y + p.filterHeight, p.inputHeight);
  w.x0 = max(x, 0);
  w.x1 = min(x + p.filterWidth, p.inputWidth);
}

@inline
function pixelAt(p: Pool2D, tensor: usize, b: i32, y: i32, x: i32): usize {
  return tensor + (<usize>(((b * p.inputHeight + y) * p.inputWidth + x) * p.depth) << 2);
}

/** Mean over the part of the window that lies on the image. scratch: 16 bytes. */
export function average_pool_2d_f32(params: usize, x: usize, y: usize, scratch: usize): void {
  const p = changetype<Pool2D>(params);
  const w = changetype<Window>(scratch);
  const lower = lowerBound(p.activation), upper = upperBound(p.activation);
  for (let b = 0; b < p.batches; b++) {
    for (let oy = 0; oy < p.outputHeight; oy++) {
      for (let ox = 0; ox < p.outputWidth; ox++) {
        locate(p, scratch, oy, ox);
        const count = <f32>((w.y1 - w.y0) * (w.x1 - w.x0));
        for (let c = 0; c < p.depth; c++, y += 4) {
          let sum: f32 = 0;
          for (let iy = w.y0; iy < w.y1; iy++) {
            for (let ix = w.x0; ix < w.x1; ix++) sum += load<f32>(pixelAt(p, x, b, iy, ix) + (<usize>c << 2));
          }
          store<f32>(y, clampScalar(sum / count, lower, upper));
        }
      }
    }
  }
}

export function average_pool_2d_gradient_f32(params: usize, dy: usize, dx: usize, scratch: usize): void {
  const p = changetype<Pool2D>(params);
  const w = changetype<Window>(scratch);
  memory.fill(dx, 0, <usize>(p.batches * p.inputHeight * p.inputWidth * p.depth) << 2);
  for (let b = 0; b < p.batches; b++) {
    for (let oy = 0; oy < p.outputHeight; oy++) {
      for (let ox = 0; ox < p.outputWidth; ox++) {
        locate(p, scratch, oy, ox);
        const count = <f32>((w.y1 - w.y0) * (w.x1 - w.x0));
        for (let c = 0; c < p.depth; c++, dy += 4) {
          const share = load<f32>(dy) / count;
          for (let iy = w.y0; iy < w.y1; iy++) {
            for (let ix = w.x0; ix < w.x1; ix++) {
              const to = pixelAt(p, dx, b, iy, ix) + (<usize>c << 2);
              store<f32>(to, load<f32>(to) + share);
            }
          }
        }
      }
    }
  }
}

/** Where the first largest value of channel c in the window lies, as an offset from the tensor's start. */
@inline
function largest(p: Pool2D, w: Window, x: usize, b: i32, c: i32): usize {
  let at = pixelAt(p, x, b, w.y0, w.x0) + (<usize>c << 2);
  let best = load<f32>(at);
  for (let iy = w.y0; iy < w.y1; iy++) {
    for (let ix = w.x0; ix < w.x1; ix++) {
      const candidate = pixelAt(p, x, b, iy, ix) + (<usize>c << 2);
      const value = load<f32>(candidate);
      if (value > best) {
        best = value;
        at = candidate;
      }
    }
  }
  return at - x;
}

/** scratch: 16 bytes. */
export function max_pool_2d_f32(params: usize, x: usize, y: usize, scratch: usize): void {
  const p = changetype<Pool2D>(params);
  const lower = lowerBound(p.activation), upper = upperBound(p.activation);
  for (let b = 0; b < p.batches; b++) {
    for (let oy = 0; oy < p.outputHeight; oy++) {
      for (let ox = 0; ox < p.outputWidth; ox++) {
        locate(p, scratch, oy, ox);
        for (let c = 0; c < p.depth; c++, y += 4) {
          const at = largest(p, changetype<Window>(scratch), x, b, c);
          store<f32>(y, clampScalar(load<f32>(x + at), lower, upper));
        }
      }
    }
  }
}

/** All of dy goes to the first largest element of the window. */
export function max_pool_2d_gradient_f32(params: usize, x: usize, dy: usize, dx: usize, scratch: usize): void {
  const p = changetype<Pool2D>(params);
  memory.fill(dx, 0, <usize>(p.batches * p.inputHeight * p.inputWidth * p.depth) << 2);
  for (let b = 0; b < p.batches; b++) {
    for (let oy = 0; oy < p.outputHeight; oy++) {
      for (let ox = 0; ox < p.outputWidth; ox++) {
        locate(p, scratch, oy, ox);
        for (let c = 0; c < p.depth; c++, dy += 4) {
          const to = dx + largest(p, changetype<Window>(scratch), x, b, c);
          store<f32>(to, load<f32>(to) + load<f32>(dy));
        }
      }
    }
  }
}

/** x is [batches][rows][depth]; y = mean over rows, [batches][depth]. */
export function mean_rows_f32(x: usize, y: usize, batches: i32, rows: i32, depth: i32): void {
  const rowBytes = <usize>depth << 2;
  const whole = <usize>(depth & ~3) << 2;
  const count = <f32>rows;
  for (let b = 0; b < batches; b++, x += <usize>rows * rowBytes, y += rowBytes) {
    let c: usize = 0;
    for (; c < whole; c += 16) {
      let sum = f32x4.splat(0);
      for (let row = 0, a = x + c; row < rows; row++, a += rowBytes) sum = f32x4.add(sum, v128.load(a));
      v128.store(y + c, f32x4.div(sum, f32x4.splat(count)));
    }
    for (; c < rowBytes; c += 4) {
      let sum: f32 = 0;
      for (let row = 0, a = x + c; row < rows; row++, a += rowBytes) sum += load<f32>(a);
      store<f32>(y + c, sum / count);
    }
  }
}

export function mean_rows_gradient_f32(dy: usize, dx: usize, batches: i32, rows: i32, depth: i32): void {
  const rowBytes = <usize>depth << 2;
  const count = <f32>rows;
  for (let b = 0; b < batches; b++, dy += rowBytes) {
    for (let c: usize = 0; c < rowBytes; c += 4) store<f32>(dx + c, load<f32>(dy + c) / count);
    for (let row = 1; row < rows; row++) memory.copy(dx + <usize>row * rowBytes, dx, rowBytes);
    dx += <usize>rows * rowBytes;
  }
}
