/** CONV_2D of 3x3 filters at stride 1 as F(2x2, 3x3): tiles of two by two outputs from four by four inputs, 16 products a
 * channel in place of 36. In integers it is exact: with filters transformed by twice G (int16, of int4 int8) the sums come
 * out four times as large, in wrapping int32, and src/kernels/winograd.ts has seen that four times the accumulator fits.
 * Source: Lavin and Gray 2016, arXiv 1509.09308, section 4.1. */
import { accumulatePixels, finishFour, pairBytes, WEIGHTS_16, WEIGHTS_8 } from "./accumulate";
import {
  DOUBLE_ALIGNED,
  FLOAT_EVEN,
  NONE,
  offsetOf,
  PANEL_BYTES,
  PANEL_LANES,
  SINGLE_ALIGNED,
  sharedOf,
} from "./lanes";
import { WinogradConvolution } from "./params";
import { requantizePanel } from "./requantize";
import { clearPadding, widenImage } from "./widen";

/** Points of a transformed tile. */
const POINTS: i32 = 16;
/** Scratch: four pixels of one panel, addresses of up to 64 tiles, transformed tiles [16][tiles][inputDepth] int16, products
 * [16][tiles][8] int32, the widened image. */
const ADDRESSES: usize = 128;
const TILES: usize = ADDRESSES + 64 * 4;

@inline
function plus<T>(a: T, b: T): T {
  return isVector<T>() ? <T>i16x8.add(<v128>a, <v128>b) : <T>(<i32>a + <i32>b);
}

@inline
function minus<T>(a: T, b: T): T {
  return isVector<T>() ? <T>i16x8.sub(<v128>a, <v128>b) : <T>(<i32>a - <i32>b);
}

@inline
function read<T>(address: usize): T {
  return isVector<T>() ? <T>v128.load(address) : <T>(<i32>load<i16>(address));
}

@inline
function write<T>(address: usize, value: T): void {
  if (isVector<T>()) v128.store(address, <v128>value);
  else store<i16>(address, <i16>(<i32>value));
}

/** One row of a tile by the columns of B, to four points `plane` bytes apart. */
@inline
function storePoints<T>(v0: T, v1: T, v2: T, v3: T, point: usize, plane: usize): void {
  write<T>(point, minus<T>(v0, v2));
  write<T>(point + plane, plus<T>(v1, v2));
  write<T>(point + plane * 2, minus<T>(v2, v1));
  write<T>(point + plane * 3, minus<T>(v1, v3));
}

/** One channel, or eight, of a tile: transpose(B) d B. pixel: its first of int16. */
@inline
function transformInput<T>(pixel: usize, pixelBytes: usize, rowBytes: usize, point: usize, plane: usize): void {
  const row1 = pixel + rowBytes,
    row2 = row1 + rowBytes,
    row3 = row2 + rowBytes,
    x1 = pixelBytes,
    x2 = pixelBytes * 2,
    x3 = pixelBytes * 3;
  const a0 = read<T>(row1),
    a1 = read<T>(row1 + x1),
    a2 = read<T>(row1 + x2),
    a3 = read<T>(row1 + x3);
  const b0 = read<T>(row2),
    b1 = read<T>(row2 + x1),
    b2 = read<T>(row2 + x2),
    b3 = read<T>(row2 + x3);
  const next = plane * 4;
  storePoints<T>(
    minus<T>(read<T>(pixel), b0),
    minus<T>(read<T>(pixel + x1), b1),
    minus<T>(read<T>(pixel + x2), b2),
    minus<T>(read<T>(pixel + x3), b3),
    point,
    plane,
  );
  storePoints<T>(plus<T>(a0, b0), plus<T>(a1, b1), plus<T>(a2, b2), plus<T>(a3, b3), point + next, plane);
  storePoints<T>(
    minus<T>(b0, a0),
    minus<T>(b1, a1),
    minus<T>(b2, a2),
    minus<T>(b3, a3),
    point + next * 2,
    plane,
  );
  storePoints<T>(
    minus<T>(a0, read<T>(row3)),
    minus<T>(a1, read<T>(row3 + x1)),
    minus<T>(a2, read<T>(row3 + x2)),
    minus<T>(a3, read<T>(row3 + x3)),
    point + next * 3,
    plane,
  );
}

/** All channels of a tile. */
function transformTile(pixel: usize, pixelBytes: usize, rowBytes: usize, point: usize, plane: usize): void {
  for (const end = pixel + pixelBytes; pixel < end; ) {
    if (ASC_FEATURE_SIMD) {
      transformInput<v128>(pixel, pixelBytes, rowBytes, point, plane);
      pixel += 16;
      point += 16;
    } else {
      transformInput<i32>(pixel, pixelBytes, rowBytes, point, plane);
      pixel += 2;
      point += 2;
    }
  }
}

/** Products of one panel: [16][tiles][8] of the `count` tiles whose addresses are in scratch, the rest left as it is. */
@inline
function multiplyTiles(bits: i32, p: WinogradConvolution, count: i32, weights: usize, products: usize): void {
  const pairs = p.pairs,
    offsets = p.offsets,
    plane = <usize>(p.tiles * p.inputDepth) << 1,
    productPlane = (<usize>p.tiles) << 5,
    weightBytes = <usize>pairs * pairBytes(bits);
  for (let point = 0, shared: usize = 0; point < POINTS; point++, shared += plane) {
    accumulatePixels(
      bits,
      false,
      p.scratch + ADDRESSES,
      count,
      shared,
      offsets,
      1,
      pairs,
      weights,
      offsets,
      products,
    );
    products += productPlane;
    weights += weightBytes;
  }
}

/** Four lanes, or one, of a row of A: of the points of one column, `plane` apart. */
@inline
function sumRow<T>(product: usize, plane: usize, second: bool): T {
  const row = second ? plane * 12 : 0;
  if (isVector<T>()) {
    const a = v128.load(product + plane * 4),
      b = v128.load(product + plane * 8),
      c = v128.load(product + row);
    return <T>(second ? i32x4.sub(i32x4.sub(a, b), c) : i32x4.add(i32x4.add(a, b), c));
  }
  const a = load<i32>(product + plane * 4),
    b = load<i32>(product + plane * 8),
    c = load<i32>(product + row);
  return <T>(second ? a - b - c : a + b + c);
}

/** A quarter of three sums, or of the first less the others, plus a bias. */
@inline
function output<T>(a: T, b: T, c: T, second: bool, bias: T): T {
  if (isVector<T>()) {
    const sum = second
      ? i32x4.sub(i32x4.sub(<v128>a, <v128>b), <v128>c)
      : i32x4.add(i32x4.add(<v128>a, <v128>b), <v128>c);
    return <T>i32x4.add(i32x4.shr_s(sum, 2), <v128>bias);
  }
  const sum = second ? <i32>a - <i32>b - <i32>c : <i32>a + <i32>b + <i32>c;
  return <T>((sum >> 2) + <i32>bias);
}

/** Four pixels of eight lanes of a tile without vectors, to acc [4][8]. */
function transformOutputScalar(product: usize, plane: usize, panel: usize, acc: usize): void {
  for (let lane: usize = 0; lane < 32; lane += 4, product += 4) {
    const bias = load<i32>(panel + lane);
    for (let y: usize = 0; y < 2; y++) {
      const s0 = sumRow<i32>(product, plane, y != 0),
        s1 = sumRow<i32>(product + plane, plane, y != 0),
        s2 = sumRow<i32>(product + plane * 2, plane, y != 0),
        s3 = sumRow<i32>(product + plane * 3, plane, y != 0);
      store<i32>(acc + (y << 6) + lane, output<i32>(s0, s1, s2, false, bias));
      store<i32>(acc + (y << 6) + lane, output<i32>(s1, s2, s3, true, bias), 32);
    }
  }
}

/** The same in vectors, requantized by `form` (see finishFour). */
@inline
function transformOutput(
  form: i32,
  right: i32,
  shared: v128,
  offset: v128,
  low: v128,
  high: v128,
  product: usize,
  plane: usize,
  panel: usize,
  target: usize,
  step1: usize,
  step2: usize,
  step3: usize,
): void {
  const bias0 = v128.load(panel),
    bias1 = v128.load(panel, 16);
  let s0 = sumRow<v128>(product, plane, false),
    s1 = sumRow<v128>(product + plane, plane, false),
    s2 = sumRow<v128>(product + plane * 2, plane, false),
    s3 = sumRow<v128>(product + plane * 3, plane, false);
  const c00 = output<v128>(s0, s1, s2, false, bias0),
    c10 = output<v128>(s1, s2, s3, true, bias0);
  s0 = sumRow<v128>(product, plane, true);
  s1 = sumRow<v128>(product + plane, plane, true);
  s2 = sumRow<v128>(product + plane * 2, plane, true);
  s3 = sumRow<v128>(product + plane * 3, plane, true);
  const c20 = output<v128>(s0, s1, s2, false, bias0),
    c30 = output<v128>(s1, s2, s3, true, bias0);
  product += 16;
  s0 = sumRow<v128>(product, plane, false);
  s1 = sumRow<v128>(product + plane, plane, false);
  s2 = sumRow<v128>(product + plane * 2, plane, false);
  s3 = sumRow<v128>(product + plane * 3, plane, false);
  const c01 = output<v128>(s0, s1, s2, false, bias1),
    c11 = output<v128>(s1, s2, s3, true, bias1);
  s0 = sumRow<v128>(product, plane, true);
  s1 = sumRow<v128>(product + plane, plane, true);
  s2 = sumRow<v128>(product + plane * 2, plane, true);
  s3 = sumRow<v128>(product + plane * 3, plane, true);
  const c21 = output<v128>(s0, s1, s2, false, bias1),
    c31 = output<v128>(s1, s2, s3, true, bias1);
  finishFour(
    form,
    right,
    shared,
    offset,
    low,
    high,
    panel,
    c00,
    c01,
    c10,
    c11,
    c20,
    c21,
    c30,
    c31,
    target,
    step1,
    step2,
    step3,
  );
}

/** The tiles from number `first` on, in rows of outputs: of one panel, of which `lanes` channels are written. */
@inline
function finishTiles(
  form: i32,
  p: WinogradConvolution,
  first: i32,
  count: i32,
  panel: usize,
  products: usize,
  target: usize,
  lanes: i32,
): void {
  const across = (p.outputWidth + 1) >> 1,
    acc = p.scratch,
    plane = (<usize>p.tiles) << 5;
  const pixelBytes = <usize>p.outputDepth * (p.requantizer == NONE ? 4 : 1),
    rowBytes = <usize>p.outputWidth * pixelBytes;
  const vectors = ASC_FEATURE_SIMD && form != NONE && lanes == PANEL_LANES;
  let y = (first / across) << 1,
    x = (first % across) << 1;
  for (let i = 0; i < count; i++, products += 32) {
    const pixel = target + <usize>y * rowBytes + <usize>x * pixelBytes;
    const columns = min(2, p.outputWidth - x),
      rows = min(2, p.outputHeight - y);
    if (ASC_FEATURE_SIMD) {
      const zero = i64x2.splat(0);
      if (vectors && columns + rows == 4) {
        transformOutput(
          form,
          p.rightShift,
          sharedOf(form, p),
          offsetOf(form, p),
          i8x16.splat(<i8>p.activationMin),
          i8x16.splat(<i8>p.activationMax),
          products,
          plane,
          panel,
          pixel,
          pixelBytes,
          rowBytes,
          rowBytes + pixelBytes,
        );
      } else transformOutput(NONE, 0, zero, zero, zero, zero, products, plane, panel, acc, 0, 0, 0);
    } else transformOutputScalar(products, plane, panel, acc);
    if (!(vectors && columns + rows == 4)) {
      for (let row = 0; row < rows; row++) {
        const start = pixel + <usize>row * rowBytes;
        requantizePanel(p, panel, acc + ((<usize>row) << 6), columns, start, pixelBytes, lanes);
      }
    }
    x += 2;
    if (x >= p.outputWidth) {
      x = 0;
      y += 2;
    }
  }
}

function finishPanel(
  p: WinogradConvolution,
  first: i32,
  count: i32,
  panel: usize,
  products: usize,
  target: usize,
  lanes: i32,
): void {
  const form = p.requantizer;
  if (form == FLOAT_EVEN) finishTiles(FLOAT_EVEN, p, first, count, panel, products, target, lanes);
  else if (form == DOUBLE_ALIGNED)
    finishTiles(DOUBLE_ALIGNED, p, first, count, panel, products, target, lanes);
  else if (form == SINGLE_ALIGNED)
    finishTiles(SINGLE_ALIGNED, p, first, count, panel, products, target, lanes);
  else finishTiles(NONE, p, first, count, panel, products, target, lanes);
}

/** Tiles of one image from number `first` on: all their channels. */
@inline
function convolveTiles(bits: i32, p: WinogradConvolution, first: i32, count: i32, image: usize, target: usize): void {
  const tiles = p.scratch + TILES,
    plane = <usize>(p.tiles * p.inputDepth) << 1,
    products = tiles + plane * POINTS,
    pixelBytes = <usize>p.pixelBytes,
    rowBytes = <usize>p.paddedWidth * pixelBytes,
    across = (p.outputWidth + 1) >> 1;
  for (let i = 0; i < count; i++) {
    const tile = first + i;
    const pixel = image + <usize>((tile / across) << 1) * rowBytes + <usize>((tile % across) << 1) * pixelBytes;
    transformTile(pixel, pixelBytes, rowBytes, tiles + <usize>i * pixelBytes, plane);
  }
  const elementBytes: usize = p.requantizer == NONE ? 4 : 1,
    weightBytes = <usize>(POINTS * p.pairs) * pairBytes(bits);
  let weights = p.weights,
    panel = p.panels;
  for (let channel = 0; channel < p.outputDepth; channel += PANEL_LANES, weights += weightBytes, panel += PANEL_BYTES) {
    multiplyTiles(bits, p, count, weights, products);
    const lanes = min(PANEL_LANES, p.outputDepth - channel);
    finishPanel(p, first, count, panel, products, target + <usize>channel * elementBytes, lanes);
  }
}

@inline
function convolve(bits: i32, params: usize): void {
  const p = changetype<WinogradConvolution>(params),
    tiles = p.tiles;
  const image =
    p.scratch + TILES + <usize>(POINTS * tiles) * (((<usize>p.inputDepth) << 1) + 32);
  const inputBytes = <usize>(p.inputHeight * p.inputWidth * p.inputDepth);
  const outputBytes = <usize>(
    (p.outputHeight * p.outputWidth * p.outputDepth * (p.requantizer == NONE ? 4 : 1))
  );
  const total = ((p.outputHeight + 1) >> 1) * ((p.outputWidth + 1) >> 1);
  for (let i: usize = 0; i < <usize>tiles; i++) {
    store<u32>(p.scratch + ADDRESSES + (i << 2), <u32>(p.scratch + TILES + i * <usize>p.pixelBytes));
  }
  let input = p.input,
    target = p.output;
  clearPadding(p, image);
  for (let i = 0; i < p.batches; i++, input += inputBytes, target += outputBytes) {
    widenImage(p, input, image);
    for (let first = 0; first < total; first += tiles) {
      convolveTiles(bits, p, first, min(tiles, total - first), image, target);
    }
  }
}

export function conv_2d_winograd_s8(params: usize): void {
  convolve(WEIGHTS_16, params);
}

/** Of int4 weights, whose transforms fit int8. */
export function conv_2d_winograd_s4(params: usize): void {
  convolve(WEIGHTS_8, params);
}
