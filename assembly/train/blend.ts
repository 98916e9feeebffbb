// Soft triggers on images and the way back, as src/defenses/softTrigger.ts has them: float64 between the float32 values that
// are read and written, in the same order, so the same bits.

/** mask and pattern as float64 of every element of an image, mask repeated for each channel. */
function widen(mask: usize, pattern: usize, area: i32, channels: i32, shares: usize, patterns: usize): void {
  for (let p = 0; p < area; p++, mask += 4) {
    const share = <f64>load<f32>(mask);
    for (let c = 0; c < channels; c++, pattern += 4, shares += 8, patterns += 8) {
      store<f64>(shares, share);
      store<f64>(patterns, <f64>load<f32>(pattern));
    }
  }
}

/** Four bytes as int32. */
@inline
function loadBytes(at: usize): v128 {
  return i32x4.extend_low_i16x8_u(i16x8.extend_low_i8x16_u(v128.load32_zero(at)));
}

/** The two upper lanes in the place of the lower. */
@inline
function upper(v: v128): v128 {
  return v128.shuffle<i32>(v, v, 2, 3, 2, 3);
}

/** x + share (pattern - x) of two. */
@inline
function blendTwo(x: v128, share: v128, pattern: v128): v128 {
  return f32x4.demote_f64x2_zero(f64x2.add(x, f64x2.mul(share, f64x2.sub(pattern, x))));
}

/**
 * out [count][area][channels] = x + mask (pattern - x). mask [area], pattern [area][channels], pixels bytes.
 * scratch: 16 bytes for each element of an image.
 */
export function blend_u8(
  mask: usize, pattern: usize, pixels: usize, area: i32, channels: i32, count: i32, out: usize, scratch: usize,
): void {
  const length = area * channels;
  const shares = scratch, patterns = scratch + (<usize>length << 3);
  widen(mask, pattern, area, channels, shares, patterns);
  for (let image = 0; image < count; image++) {
    let i: usize = 0;
    for (; i + 4 <= <usize>length; i += 4, pixels += 4, out += 16) {
      const at = i << 3;
      const x = loadBytes(pixels);
      const low = blendTwo(f64x2.convert_low_i32x4_s(x), v128.load(shares + at), v128.load(patterns + at));
      const high = blendTwo(
        f64x2.convert_low_i32x4_s(upper(x)), v128.load(shares + at, 16), v128.load(patterns + at, 16),
      );
      v128.store(out, v128.shuffle<f32>(low, high, 0, 1, 4, 5));
    }
    for (; i < <usize>length; i++, pixels++, out += 4) {
      const x = <f64>(<i32>load<u8>(pixels));
      store<f32>(out, <f32>(x + load<f64>(shares + (i << 3)) * (load<f64>(patterns + (i << 3)) - x)));
    }
  }
}

/**
 * dMask [area] and dPattern [area][channels], float64, of a loss whose gradient to the blended images is `gradient`.
 * scratch: 24 bytes for each element of an image.
 */
export function blend_gradient_u8(
  mask: usize, pattern: usize, pixels: usize, area: i32, channels: i32, count: i32, gradient: usize,
  dMask: usize, dPattern: usize, scratch: usize,
): void {
  const length = area * channels;
  const shares = scratch, patterns = shares + (<usize>length << 3), products = patterns + (<usize>length << 3);
  widen(mask, pattern, area, channels, shares, patterns);
  memory.fill(dMask, 0, <usize>area << 3);
  memory.fill(dPattern, 0, <usize>length << 3);
  for (let image = 0; image < count; image++) {
    let i: usize = 0;
    for (; i + 4 <= <usize>length; i += 4, pixels += 4, gradient += 16) {
      const at = i << 3;
      const x = loadBytes(pixels);
      const slopes = v128.load(gradient);
      const s0 = f64x2.promote_low_f32x4(slopes), s1 = f64x2.promote_low_f32x4(upper(slopes));
      const d0 = f64x2.sub(v128.load(patterns + at), f64x2.convert_low_i32x4_s(x));
      const d1 = f64x2.sub(v128.load(patterns + at, 16), f64x2.convert_low_i32x4_s(upper(x)));
      v128.store(products + at, f64x2.mul(s0, d0));
      v128.store(products + at, f64x2.mul(s1, d1), 16);
      const sum = dPattern + at;
      v128.store(sum, f64x2.add(v128.load(sum), f64x2.mul(s0, v128.load(shares + at))));
      v128.store(sum, f64x2.add(v128.load(sum, 16), f64x2.mul(s1, v128.load(shares + at, 16))), 16);
    }
    for (; i < <usize>length; i++, pixels++, gradient += 4) {
      const at = i << 3;
      const slope = <f64>load<f32>(gradient);
      store<f64>(products + at, slope * (load<f64>(patterns + at) - <f64>(<i32>load<u8>(pixels))));
      store<f64>(dPattern + at, load<f64>(dPattern + at) + slope * load<f64>(shares + at));
    }
    let product = products;
    for (let p = 0, sum = dMask; p < area; p++, sum += 8) {
      let total = load<f64>(sum);
      for (let c = 0; c < channels; c++, product += 8) total += load<f64>(product);
      store<f64>(sum, total);
    }
  }
}
