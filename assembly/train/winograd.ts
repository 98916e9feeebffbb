// 3x3 convolutions at stride 1 by Winograd's F(4x4, 3x3): 36 products for 16 outputs instead of 144.
// Source: Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks", CVPR 2016, section 4, and its transposes.
// Interpolation points 0, +-sqrt(1/2), +-sqrt(2), infinity, as ncnn has them, in place of that paper's 0, +-1, +-2,
// infinity: the transforms' entries are nearer to one, and the rounding error is smaller.
import { clamp } from "./activation";
import { multiplyAdd } from "./correlate";
import { FilterGradient, filterGradient } from "./filterGradient";
import { copyIntoFrame } from "./frame";
import {
  FAR, gatherFilter, gatherOutput, NEAR, transformFilter, transformGradient, transformInput, twice,
} from "./winogradTransforms";

const POINTS: i32 = 36;
/** Bytes of transformed tiles at a time: they stay in a second-level cache. */
const GROUP_BYTES = 300 * 1024;
const LINE = 64;
const HEADER: usize = 256;
/** Where in the scratch the transforms' factors lie: V8 makes a constant vector anew at every use, in three instructions. */
const HALF_AT: usize = 192;
const LARGE_AT: usize = 196;
const NEAR_AT: usize = 200;
const FAR_AT: usize = 204;
/** A 6x6 array of vectors. */
const TEMPORARY: usize = 36 * 16;
/** Bytes of tiles between the two transforms at a time, about: they stay in a first-level cache. */
const STRIP_BYTES = 12 * 1024;

/** A convolution of `batches` images x [height][width][inputDepth] to y [outputHeight][outputWidth][outputDepth]. */
@unmanaged
export class Winograd {
  batches: i32;
  height: i32;
  width: i32;
  inputDepth: i32;
  paddingTop: i32;
  paddingLeft: i32;
  outputHeight: i32;
  outputWidth: i32;
  outputDepth: i32;
  lower: f32;
  upper: f32;
  scratch: usize;
}

@inline
function tiles(size: i32): i32 {
  return (size + 3) >> 2;
}

@inline
function frameHeight(w: Winograd): i32 {
  return max(w.paddingTop + w.height, 4 * tiles(w.outputHeight) + 2);
}

@inline
function frameWidth(w: Winograd): i32 {
  return max(w.paddingLeft + w.width, 4 * tiles(w.outputWidth) + 2);
}

/** Rows of tiles that are transformed together. */
@inline
function groupRows(w: Winograd): i32 {
  const rowBytes = POINTS * 4 * (w.inputDepth + w.outputDepth) * tiles(w.outputWidth);
  return min(w.batches * tiles(w.outputHeight), max(1, GROUP_BYTES / rowBytes));
}

/** From one point of all tiles of a group to the next. The extra line keeps the points out of one set of the cache. */
@inline
function pointBytes(w: Winograd, depth: i32): i32 {
  return groupRows(w) * tiles(w.outputWidth) * depth * 4 + LINE;
}

@inline
function filterBytes(w: Winograd): i32 {
  return POINTS * w.inputDepth * w.outputDepth * 4;
}

/** Tiles of a row whose first transform is kept at a time. */
@inline
function stripTiles(w: Winograd, depth: i32): i32 {
  return min(tiles(w.outputWidth), max(1, STRIP_BYTES / (24 * 4 * depth)));
}

/** Six rows of the columns of an input's tiles and of a border, or four rows of six vectors a tile of an output. */
@inline
function stripBytes(w: Winograd): i32 {
  const input = 6 * (4 * stripTiles(w, w.inputDepth) + 2) * w.inputDepth;
  return 4 * max(input, 24 * stripTiles(w, w.outputDepth) * w.outputDepth);
}

/** Bytes of scratch of any function here. */
export function winogradScratch(w: Winograd): i32 {
  const frame = frameHeight(w) * frameWidth(w) * w.inputDepth * 4;
  const transformed = POINTS * (pointBytes(w, w.inputDepth) + pointBytes(w, w.outputDepth));
  return <i32>(HEADER + TEMPORARY) + stripBytes(w) + filterBytes(w) + frame + transformed;
}

@inline
function temporaryOf(w: Winograd): usize {
  return w.scratch + HEADER;
}

@inline
function stripOf(w: Winograd): usize {
  return temporaryOf(w) + TEMPORARY;
}

@inline
function filterOf(w: Winograd): usize {
  return stripOf(w) + <usize>stripBytes(w);
}

@inline
function inputTilesOf(w: Winograd): usize {
  return filterOf(w) + <usize>filterBytes(w);
}

@inline
function outputTilesOf(w: Winograd): usize {
  return inputTilesOf(w) + <usize>(POINTS * pointBytes(w, w.inputDepth));
}

@inline
function frameOf(w: Winograd): usize {
  return outputTilesOf(w) + <usize>(POINTS * pointBytes(w, w.outputDepth));
}

@inline
function factor(w: Winograd, at: usize): v128 {
  return v128.load_splat<f32>(w.scratch + at);
}

function writeFactors(w: Winograd): void {
  store<f32>(w.scratch + HALF_AT, 0.5);
  store<f32>(w.scratch + LARGE_AT, 2.5);
  store<f32>(w.scratch + NEAR_AT, NEAR);
  store<f32>(w.scratch + FAR_AT, FAR);
}

@inline
function loadLanes(from: usize, laneBytes: usize): v128 {
  let v = f32x4.splat(load<f32>(from));
  v = f32x4.replace_lane(v, 1, load<f32>(from + laneBytes));
  v = f32x4.replace_lane(v, 2, load<f32>(from + 2 * laneBytes));
  return f32x4.replace_lane(v, 3, load<f32>(from + 3 * laneBytes));
}

/**
 * filter [3][3][inputs][outputs] to the panels of correlate8 at each point. isTurned: for the input gradient, the
 * filter turned by 180 degrees with w's input depth as the filter's outputs.
 */
export function transformFilters(w: Winograd, filter: usize, isTurned: bool): void {
  const inputs = w.inputDepth, outputs = w.outputDepth;
  const tap = <usize>(inputs * outputs) << 2;
  const temporary = temporaryOf(w);
  const point = <usize>(inputs * outputs) << 2;
  const inputStep: usize = isTurned ? 4 : <usize>outputs << 2;
  const outputStep: usize = isTurned ? <usize>inputs << 2 : 4;
  const first = isTurned ? filter + 8 * tap : filter;
  const step = isTurned ? <usize>0 - tap : tap;
  for (let o = 0; o < outputs; o += 4) {
    for (let c = 0; c < inputs; c++) {
      const from = first + <usize>c * inputStep + <usize>o * outputStep;
      for (let x: usize = 0; x < 3; x++) {
        const column = from + x * step;
        const g0 = loadLanes(column, outputStep);
        const g1 = loadLanes(column + 3 * step, outputStep);
        const g2 = loadLanes(column + 6 * step, outputStep);
        transformFilter(g0, g1, g2, temporary + (x << 4), 48);
      }
      const to = filterOf(w) + (<usize>(((o >> 3) * inputs + c) * 8 + (o & 4)) << 2);
      for (let y: usize = 0; y < 6; y++) {
        const row = temporary + y * 48;
        transformFilter(v128.load(row), v128.load(row, 16), v128.load(row, 32), to + 6 * y * point, point);
      }
    }
  }
}

/** One row of tiles of the framed image into the group's tiles, the first of them `tile`. */
function transformInputRow(w: Winograd, frame: usize, row: i32, tile: i32): void {
  const pixel = <usize>w.inputDepth << 2;
  const rowBytes = <usize>frameWidth(w) * pixel;
  const point = <usize>pointBytes(w, w.inputDepth);
  const strip = stripOf(w);
  const half = factor(w, HALF_AT), large = factor(w, LARGE_AT), near = factor(w, NEAR_AT), far = factor(w, FAR_AT);
  const all = tiles(w.outputWidth), most = stripTiles(w, w.inputDepth);
  let from = frame + <usize>(4 * row) * rowBytes;
  let to = inputTilesOf(w) + <usize>tile * pixel;
  for (let first = 0; first < all; first += most) {
    const count = min(most, all - first);
    const columns = <usize>(4 * count + 2) * pixel;
    for (let i: usize = 0; i < columns; i += 16) {
      transformInput(from + i, rowBytes, strip + i, columns, half, large, near, far);
    }
    for (let y: usize = 0; y < 6; y++) {
      let at = strip + y * columns;
      let into = to + 6 * y * point;
      for (let t = 0; t < count; t++, at += 3 * pixel) {
        for (let end = at + pixel; at < end; at += 16, into += 16) {
          transformInput(at, pixel, into, point, half, large, near, far);
        }
      }
    }
    from += <usize>(4 * count) * pixel;
    to += <usize>count * pixel;
  }
}

/** One row of tiles of an output gradient, image at dy; what lies beyond its border counts as zero. */
function transformGradientRow(w: Winograd, dy: usize, row: i32, tile: i32): void {
  const pixel = <usize>w.outputDepth << 2;
  const rowBytes = <usize>w.outputWidth * pixel;
  const point = <usize>pointBytes(w, w.outputDepth);
  const strip = stripOf(w);
  const half = factor(w, HALF_AT), near = factor(w, NEAR_AT), far = factor(w, FAR_AT);
  const zero = f32x4.splat(0);
  const rows = min(4, w.outputHeight - 4 * row);
  const all = tiles(w.outputWidth), most = stripTiles(w, w.outputDepth);
  let from = dy + <usize>(4 * row) * rowBytes;
  let to = outputTilesOf(w) + <usize>tile * pixel;
  for (let first = 0; first < all; first += most) {
    const count = min(most, all - first);
    const columns = <usize>(4 * count) * pixel;
    const inside = min<usize>(columns, <usize>(w.outputWidth - 4 * first) * pixel);
    for (let i: usize = 0; i < columns; i += 16) {
      const at = from + i;
      const isInside = i < inside;
      const y0 = isInside ? v128.load(at) : zero;
      const y1 = isInside && rows > 1 ? v128.load(at + rowBytes) : zero;
      const y2 = isInside && rows > 2 ? v128.load(at + 2 * rowBytes) : zero;
      const y3 = isInside && rows > 3 ? v128.load(at + 3 * rowBytes) : zero;
      transformGradient(y0, y1, y2, y3, strip + i, columns, half, near, far);
    }
    for (let y: usize = 0; y < 6; y++) {
      let at = strip + y * columns;
      let into = to + 6 * y * point;
      for (let t = 0; t < count; t++, at += 3 * pixel) {
        for (let end = at + pixel; at < end; at += 16, into += 16) {
          const y0 = v128.load(at), y1 = v128.load(at + pixel);
          const y2 = v128.load(at + 2 * pixel), y3 = v128.load(at + 3 * pixel);
          transformGradient(y0, y1, y2, y3, into, point, half, near, far);
        }
      }
    }
    from += columns;
    to += <usize>count * pixel;
  }
}

/** v + shift + addend (0 = none) at `to`, clamped. */
@inline
function finish(v: v128, shift: v128, addend: usize, to: usize, low: v128, high: v128): void {
  v = f32x4.add(v, shift);
  if (addend) v = f32x4.add(v, v128.load(addend));
  v128.store(to, clamp(v, low, high));
}

/** One row of the group's tiles into the image y; bias and addend: 0 = none, addend laid out as y. */
function gatherOutputRow(w: Winograd, tile: i32, row: i32, bias: usize, addend: usize, y: usize): void {
  const pixel = <usize>w.outputDepth << 2;
  const point = <usize>pointBytes(w, w.outputDepth);
  const strip = stripOf(w);
  const half = factor(w, HALF_AT), near = factor(w, NEAR_AT), far = factor(w, FAR_AT);
  const low = f32x4.splat(w.lower), high = f32x4.splat(w.upper);
  const rows = min(4, w.outputHeight - 4 * row);
  const all = tiles(w.outputWidth), most = stripTiles(w, w.outputDepth);
  const toAddend = addend - y;
  let from = outputTilesOf(w) + <usize>tile * pixel;
  for (let first = 0; first < all; first += most) {
    const count = min(most, all - first);
    const bytes = <usize>count * pixel;
    for (let x: usize = 0; x < 6; x++) {
      const at = from + x * point;
      const into = strip + x * bytes;
      for (let i: usize = 0; i < bytes; i += 16) {
        gatherOutput(at + i, 6 * point, into + i, 6 * bytes, half, near, far);
      }
    }
    for (let line = 0; line < rows; line++) {
      let at = strip + <usize>line * 6 * bytes;
      let to = y + <usize>((4 * row + line) * w.outputWidth + 4 * first) * pixel;
      for (let t = 0; t < count; t++, to += 3 * pixel) {
        const columns = w.outputWidth - 4 * (first + t);
        for (let c: usize = 0; c < pixel; c += 16, at += 16, to += 16) {
          const shift = bias ? v128.load(bias + c) : f32x4.splat(0);
          const m1 = v128.load(at + bytes), m2 = v128.load(at + 2 * bytes);
          const m3 = v128.load(at + 3 * bytes), m4 = v128.load(at + 4 * bytes);
          const e = f32x4.add(m1, m2), f = f32x4.mul(near, f32x4.sub(m1, m2));
          const g = f32x4.add(m3, m4), h = f32x4.mul(far, f32x4.sub(m3, m4));
          const from0 = addend ? to + toAddend : 0;
          finish(f32x4.add(v128.load(at), f32x4.add(e, g)), shift, from0, to, low, high);
          if (columns > 1) finish(f32x4.add(f, h), shift, addend ? from0 + pixel : 0, to + pixel, low, high);
          if (columns > 2) {
            const v = f32x4.add(f32x4.mul(half, e), twice(g));
            finish(v, shift, addend ? from0 + 2 * pixel : 0, to + 2 * pixel, low, high);
          }
          if (columns > 3) {
            const v = f32x4.add(f32x4.add(f32x4.mul(half, f), twice(h)), v128.load(at + 5 * bytes));
            finish(v, shift, addend ? from0 + 3 * pixel : 0, to + 3 * pixel, low, high);
          }
        }
      }
    }
    from += bytes;
  }
}

/** Makes the frame of image `image` of x, when the row is its first. */
@inline
function frameImage(w: Winograd, x: usize, image: i32): void {
  const pixel = <usize>w.inputDepth << 2;
  copyIntoFrame(
    x + <usize>(image * w.height * w.width) * pixel, w.height, w.width, pixel,
    frameOf(w), frameWidth(w), w.paddingTop, w.paddingLeft, 1, 1,
  );
}

@inline
function clearFrame(w: Winograd): void {
  memory.fill(frameOf(w), 0, <usize>(frameHeight(w) * frameWidth(w) * w.inputDepth) << 2);
}

/** A product of matrices at each point: [count][inputDepth] by the point's panels of 8 outputs. */
function multiply(w: Winograd, count: i32): void {
  const inputPixel = <usize>w.inputDepth << 2;
  const outputPixel = <usize>w.outputDepth << 2;
  const panelBytes = inputPixel << 3;
  const inputPoint = <usize>pointBytes(w, w.inputDepth);
  const outputPoint = <usize>pointBytes(w, w.outputDepth);
  let panel = filterOf(w);
  let input = inputTilesOf(w);
  let output = outputTilesOf(w);
  for (let p = 0; p < POINTS; p++, input += inputPoint, output += outputPoint) {
    for (let o: usize = 0; o < outputPixel; o += 32, panel += panelBytes) {
      multiplyPanel(input, inputPixel, count, panel, output + o, outputPixel);
    }
  }
}

/** Four tiles at a time: eight accumulators, the most that sixteen registers hold without a spill. inputPixel: of 8 n channels. */
function multiplyPanel(
  input: usize, inputPixel: usize, count: i32, panel: usize, output: usize, outputPixel: usize,
): void {
  const zero = f32x4.splat(0);
  const panelEnd = panel + (inputPixel << 3);
  let tile = 0;
  for (; tile + 4 <= count; tile += 4) {
    let c00 = zero, c01 = zero, c10 = zero, c11 = zero, c20 = zero, c21 = zero, c30 = zero, c31 = zero;
    let w0 = zero, w1 = zero, v = zero;
    let a0 = input;
    let a1 = a0 + inputPixel;
    let a2 = a1 + inputPixel;
    let a3 = a2 + inputPixel;
    for (let w = panel; w < panelEnd; w += 128) {
      w0 = v128.load(w); w1 = v128.load(w, 16);
      v = v128.load_splat<f32>(a0); c00 = multiplyAdd(c00, v, w0); c01 = multiplyAdd(c01, v, w1);
      v = v128.load_splat<f32>(a1); c10 = multiplyAdd(c10, v, w0); c11 = multiplyAdd(c11, v, w1);
      v = v128.load_splat<f32>(a2); c20 = multiplyAdd(c20, v, w0); c21 = multiplyAdd(c21, v, w1);
      v = v128.load_splat<f32>(a3); c30 = multiplyAdd(c30, v, w0); c31 = multiplyAdd(c31, v, w1);
      w0 = v128.load(w, 32); w1 = v128.load(w, 48);
      v = v128.load_splat<f32>(a0, 4); c00 = multiplyAdd(c00, v, w0); c01 = multiplyAdd(c01, v, w1);
      v = v128.load_splat<f32>(a1, 4); c10 = multiplyAdd(c10, v, w0); c11 = multiplyAdd(c11, v, w1);
      v = v128.load_splat<f32>(a2, 4); c20 = multiplyAdd(c20, v, w0); c21 = multiplyAdd(c21, v, w1);
      v = v128.load_splat<f32>(a3, 4); c30 = multiplyAdd(c30, v, w0); c31 = multiplyAdd(c31, v, w1);
      w0 = v128.load(w, 64); w1 = v128.load(w, 80);
      v = v128.load_splat<f32>(a0, 8); c00 = multiplyAdd(c00, v, w0); c01 = multiplyAdd(c01, v, w1);
      v = v128.load_splat<f32>(a1, 8); c10 = multiplyAdd(c10, v, w0); c11 = multiplyAdd(c11, v, w1);
      v = v128.load_splat<f32>(a2, 8); c20 = multiplyAdd(c20, v, w0); c21 = multiplyAdd(c21, v, w1);
      v = v128.load_splat<f32>(a3, 8); c30 = multiplyAdd(c30, v, w0); c31 = multiplyAdd(c31, v, w1);
      w0 = v128.load(w, 96); w1 = v128.load(w, 112);
      v = v128.load_splat<f32>(a0, 12); c00 = multiplyAdd(c00, v, w0); c01 = multiplyAdd(c01, v, w1);
      v = v128.load_splat<f32>(a1, 12); c10 = multiplyAdd(c10, v, w0); c11 = multiplyAdd(c11, v, w1);
      v = v128.load_splat<f32>(a2, 12); c20 = multiplyAdd(c20, v, w0); c21 = multiplyAdd(c21, v, w1);
      v = v128.load_splat<f32>(a3, 12); c30 = multiplyAdd(c30, v, w0); c31 = multiplyAdd(c31, v, w1);
      a0 += 16; a1 += 16; a2 += 16; a3 += 16;
    }
    input = a3;
    v128.store(output, c00);
    v128.store(output, c01, 16);
    output += outputPixel;
    v128.store(output, c10);
    v128.store(output, c11, 16);
    output += outputPixel;
    v128.store(output, c20);
    v128.store(output, c21, 16);
    output += outputPixel;
    v128.store(output, c30);
    v128.store(output, c31, 16);
    output += outputPixel;
  }
  for (; tile < count; tile++, output += outputPixel) {
    let c0 = zero, c1 = zero;
    for (let w = panel; w < panelEnd; w += 32, input += 4) {
      const x0 = v128.load_splat<f32>(input);
      c0 = f32x4.add(c0, f32x4.mul(x0, v128.load(w)));
      c1 = f32x4.add(c1, f32x4.mul(x0, v128.load(w, 16)));
    }
    v128.store(output, c0);
    v128.store(output, c1, 16);
  }
}

/** y = clamp(x * filter + bias + addend), after transformFilters. Every image's bytes are those it has alone. */
export function winograd(w: Winograd, x: usize, bias: usize, addend: usize, y: usize): void {
  const across = tiles(w.outputWidth), down = tiles(w.outputHeight);
  const imageBytes = <usize>(w.outputHeight * w.outputWidth * w.outputDepth) << 2;
  const all = w.batches * down;
  writeFactors(w);
  clearFrame(w);
  for (let first = 0; first < all; first += groupRows(w)) {
    const rows = min(groupRows(w), all - first);
    for (let i = 0; i < rows; i++) {
      const row = (first + i) % down;
      if (row == 0) frameImage(w, x, (first + i) / down);
      transformInputRow(w, frameOf(w), row, i * across);
    }
    multiply(w, rows * across);
    for (let i = 0; i < rows; i++) {
      const at = <usize>((first + i) / down) * imageBytes;
      gatherOutputRow(w, i * across, (first + i) % down, bias, addend ? addend + at : 0, y + at);
    }
  }
}

/** Adds one group's outer products to the transformed filter gradient [36][inputDepth][outputDepth]. */
function accumulate(w: Winograd, count: i32): void {
  const g = changetype<FilterGradient>(w.scratch + 64);
  g.inputRow = 0;
  g.inputPixel = <usize>w.inputDepth << 2;
  g.tapRow = 0;
  g.tapRows = 1;
  g.tapStep = 0;
  g.taps = 1;
  g.run = w.inputDepth;
  g.outputHeight = 1;
  g.outputWidth = count;
  g.outputDepth = w.outputDepth;
  for (let p: usize = 0; p < <usize>POINTS; p++) {
    g.input = inputTilesOf(w) + p * <usize>pointBytes(w, w.inputDepth);
    g.dy = outputTilesOf(w) + p * <usize>pointBytes(w, w.outputDepth);
    g.gradient = filterOf(w) + p * (<usize>(w.inputDepth * w.outputDepth) << 2);
    filterGradient(g);
  }
}

/** dFilter [3][3][inputDepth][outputDepth], summed over the batch. */
export function winogradFilterGradient(w: Winograd, x: usize, dy: usize, dFilter: usize): void {
  const across = tiles(w.outputWidth), down = tiles(w.outputHeight);
  const imageBytes = <usize>(w.outputHeight * w.outputWidth * w.outputDepth) << 2;
  const all = w.batches * down;
  writeFactors(w);
  clearFrame(w);
  memory.fill(filterOf(w), 0, <usize>filterBytes(w));
  for (let first = 0; first < all; first += groupRows(w)) {
    const rows = min(groupRows(w), all - first);
    for (let i = 0; i < rows; i++) {
      const row = (first + i) % down, image = (first + i) / down;
      if (row == 0) frameImage(w, x, image);
      transformInputRow(w, frameOf(w), row, i * across);
      transformGradientRow(w, dy + <usize>image * imageBytes, row, i * across);
    }
    accumulate(w, rows * across);
  }
  const point = <usize>(w.inputDepth * w.outputDepth) << 2;
  const temporary = temporaryOf(w);
  for (let i: usize = 0; i < point; i += 16) {
    for (let x: usize = 0; x < 6; x++) gatherFilter(filterOf(w) + x * point + i, 6 * point, temporary + (x << 4), 96);
    for (let y: usize = 0; y < 3; y++) gatherFilter(temporary + y * 96, 16, dFilter + 3 * y * point + i, point);
  }
}
