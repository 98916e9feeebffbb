import { clamp, clampScalar, lowerBound, upperBound } from "./activation";

/** The fields of DEPTHWISE_CONV_2D_PARAMS in src/float/kernels.ts, in order. Filters are [height][width][outputDepth];
 * output channel o reads input channel o / depthMultiplier. */
@unmanaged
class DepthwiseConv2D {
  batches: i32;
  inputHeight: i32;
  inputWidth: i32;
  inputDepth: i32;
  filterHeight: i32;
  filterWidth: i32;
  outputHeight: i32;
  outputWidth: i32;
  outputDepth: i32;
  strideHeight: i32;
  strideWidth: i32;
  dilationHeight: i32;
  dilationWidth: i32;
  paddingTop: i32;
  paddingLeft: i32;
  depthMultiplier: i32;
  activation: i32;
}

/** y = activation(conv(x) + bias); bias 0 = none. */
export function depthwise_conv_2d_f32(params: usize, x: usize, filter: usize, bias: usize, y: usize): void {
  const p = changetype<DepthwiseConv2D>(params);
  const depth = p.outputDepth;
  const vectors = p.depthMultiplier == 1 ? depth & ~3 : 0;
  const lower = lowerBound(p.activation), upper = upperBound(p.activation);
  for (let b = 0; b < p.batches; b++) {
    for (let oy = 0; oy < p.outputHeight; oy++) {
      for (let ox = 0; ox < p.outputWidth; ox++, y += <usize>depth << 2) {
        const iy0 = oy * p.strideHeight - p.paddingTop;
        const ix0 = ox * p.strideWidth - p.paddingLeft;
        for (let o = 0; o < depth; o += o < vectors ? 4 : 1) {
          let acc = bias ? (o < vectors ? v128.load(bias + (<usize>o << 2)) : f32x4.splat(load<f32>(bias + (<usize>o << 2)))) : f32x4.splat(0);
          for (let ky = 0; ky < p.filterHeight; ky++) {
            const iy = iy0 + ky * p.dilationHeight;
            if (<u32>iy >= <u32>p.inputHeight) continue;
            for (let kx = 0; kx < p.filterWidth; kx++) {
              const ix = ix0 + kx * p.dilationWidth;
              if (<u32>ix >= <u32>p.inputWidth) continue;
              const w = filter + (<usize>((ky * p.filterWidth + kx) * depth + o) << 2);
              const a = x + (<usize>(((b * p.inputHeight + iy) * p.inputWidth + ix) * p.inputDepth + o / p.depthMultiplier) << 2);
              if (o < vectors) acc = f32x4.add(acc, f32x4.mul(v128.load(a), v128.load(w)));
              else acc = f32x4.add(acc, f32x4.mul(v128.load_splat<f32>(a), v128.load_splat<f32>(w)));
            }
          }
          if (o < vectors) v128.store(y + (<usize>o << 2), clamp(acc, f32x4.splat(lower), f32x4.splat(upper)));
          else store<f32>(y + (<usize>o << 2), clampScalar(f32x4.extract_lane(acc, 0), lower, upper));
        }
      }
    }
  }
}

/** dx = gradient to the input, from dy (the activation's clamp already applied). Every tap adds to the input pixel it read. */
export function depthwise_conv_2d_input_gradient_f32(params: usize, dy: usize, filter: usize, dx: usize): void {
  const p = changetype<DepthwiseConv2D>(params);
  const depth = p.outputDepth;
  const vectors = p.depthMultiplier == 1 ? depth & ~3 : 0;
  memory.fill(dx, 0, <usize>(p.batches * p.inputHeight * p.inputWidth * p.inputDepth) << 2);
  for (let b = 0; b < p.batches; b++) {
    for (let oy = 0; oy < p.outputHeight; oy++) {
      for (let ox = 0; ox < p.outputWidth; ox++, dy += <usize>depth << 2) {
        for (let ky = 0; ky < p.filterHeight; ky++) {
          const iy = oy * p.strideHeight - p.paddingTop + ky * p.dilationHeight;
          if (<u32>iy >= <u32>p.inputHeight) continue;
          for (let kx = 0; kx < p.filterWidth; kx++) {
            const ix = ox * p.strideWidth - p.paddingLeft + kx * p.dilationWidth;
            if (<u32>ix >= <u32>p.inputWidth) continue;
            const w = filter + (<usize>((ky * p.filterWidth + kx) * depth) << 2);
            const to = dx + (<usize>(((b * p.inputHeight + iy) * p.inputWidth + ix) * p.inputDepth) << 2);
            let o = 0;
            for (; o < vectors; o += 4) {
              const at = <usize>o << 2;
              v128.store(to + at, f32x4.add(v128.load(to + at), f32x4.mul(v128.load(dy + at), v128.load(w + at))));
            }
            for (; o < depth; o++) {
              const c = to + (<usize>(o / p.depthMultiplier) << 2);
              store<f32>(c, load<f32>(c) + load<f32>(dy + (<usize>o << 2)) * load<f32>(w + (<usize>o << 2)));
            }
          }
        }
      }
    }
  }
}

/** dFilter = gradient to the filter, summed over the batch. */
export function depthwise_conv_2d_filter_gradient_f32(params: usize, x: usize, dy: usize, dFilter: usize): void {
  const p = changetype<DepthwiseConv2D>(params);
  const depth = p.outputDepth;
  const vectors = p.depthMultiplier == 1 ? depth & ~3 : 0;
  memory.fill(dFilter, 0, <usize>(p.filterHeight * p.filterWidth * depth) << 2);
  for (let b = 0; b < p.batches; b++) {
    for (let oy = 0; oy < p.outputHeight; oy++) {
      for (let ox = 0; ox < p.outputWidth; ox++, dy += <usize>depth << 2) {
        for (let ky = 0; ky < p.filterHeight; ky++) {
          const iy = oy * p.strideHeight - p.paddingTop + ky * p.dilationHeight;
          if (<u32>iy >= <u32>p.inputHeight) continue;
          for (let kx = 0; kx < p.filterWidth; kx++) {
            const ix = ox * p.strideWidth - p.paddingLeft + kx * p.dilationWidth;
            if (<u32>ix >= <u32>p.inputWidth) continue;
            const to = dFilter + (<usize>((ky * p.filterWidth + kx) * depth) << 2);
            const a = x + (<usize>(((b * p.inputHeight + iy) * p.inputWidth + ix) * p.inputDepth) << 2);
            let o = 0;
            for (; o < vectors; o += 4) {
              const at = <usize>o << 2;
              v128.store(to + at, f32x4.add(v128.load(to + at), f32x4.mul(v128.load(dy + at), v128.load(a + at))));
            }
            for (; o < depth; o++) {
              const c = to + (<usize>o << 2);
              store<f32>(c, load<f32>(c) + load<f32>(dy + (<usize>o << 2)) * load<f32>(a + (<usize>(o / p.depthMultiplier) << 2)));
            }
          }
        }
      }
    }
  }
}
