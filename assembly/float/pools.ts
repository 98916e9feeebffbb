/** float32 pools, whose taps are taken in the order of the runtime. */
import { FloatPool } from "./params";
import { clampF32 } from "./sums";

/** The first of the runtimes on x86, as src/kernels/float/forms.ts numbers them. */
const ONNXRUNTIME_AVX2: i32 = 3;

/** Orders of a pool, as src/kernels/float/pools.ts numbers them; 0 is row by row. */
const BY_NINES: i32 = 1;
const BY_COLUMNS: i32 = 2;
const BY_LANES: i32 = 3;
const BY_BLOCKS: i32 = 4;

/** A tap of the window, 0 outside of the image. */
@inline
function tap(p: FloatPool, input: usize, y: i32, x: i32): f32 {
  const inside = y >= 0 && x >= 0 && y < p.inputHeight && x < p.inputWidth;
  return inside ? load<f32>(input + ((<usize>((y * p.inputWidth + x) * p.inputDepth)) << 2)) : 0;
}

/** Row by row. */
function sumOfRows(p: FloatPool, input: usize, top: i32, left: i32): f32 {
  let sum: f32 = 0;
  for (let y = top; y < top + p.filterHeight; y++)
    for (let x = left; x < left + p.filterWidth; x++) sum += tap(p, input, y, x);
  return sum;
}

/** Columns by themselves from their first tap on, then from left to right; 0 beside the image. */
function sumOfColumns(p: FloatPool, input: usize, top: i32, left: i32): f32 {
  const first = max(top, 0),
    end = min(top + p.filterHeight, p.inputHeight);
  let sum: f32 = 0;
  for (let x = left; x < left + p.filterWidth; x++) {
    let column = tap(p, input, first, x);
    for (let y = first + 1; y < end; y++) column += tap(p, input, y, x);
    sum = x == left ? column : sum + column;
  }
  return sum;
}

/** Tap k, column after column; 0 behind the last. */
@inline
function columnTap(p: FloatPool, input: usize, top: i32, left: i32, k: i32): f32 {
  if (k >= p.filterHeight * p.filterWidth) return 0;
  return tap(p, input, top + (k % p.filterHeight), left + k / p.filterHeight);
}

/** Nine taps as a tree, then the next nine. Source: XNNPACK f32-avgpool-9p, executed on LiteRT.js 2.5.3. */
function sumByNines(p: FloatPool, input: usize, top: i32, left: i32): f32 {
  let sum: f32 = 0;
  for (let k = 0, end = p.filterHeight * p.filterWidth; k < end; k += 9) {
    const sum01 = columnTap(p, input, top, left, k) + columnTap(p, input, top, left, k + 1),
      sum23 = columnTap(p, input, top, left, k + 2) + columnTap(p, input, top, left, k + 3),
      sum45 = columnTap(p, input, top, left, k + 4) + columnTap(p, input, top, left, k + 5),
      sum67 = columnTap(p, input, top, left, k + 6) + columnTap(p, input, top, left, k + 7),
      sum018: f32 = sum01 + columnTap(p, input, top, left, k + 8);
    const nine: f32 = sum23 + sum45 + (sum018 + sum67);
    sum = k == 0 ? nine : sum + nine;
  }
  return sum;
}

/** Every fourth of the plane by itself, the last ones one by one. */
function sumOfPlane(p: FloatPool, input: usize): f32 {
  const step = (<usize>p.inputDepth) << 2,
    end = input + <usize>(p.filterHeight * p.filterWidth) * step;
  let sum: f32 = 0;
  if (end - input >= step << 2) {
    let l0: f32 = 0,
      l1: f32 = 0,
      l2: f32 = 0,
      l3: f32 = 0;
    for (; input + (step << 2) <= end; input += step << 2) {
      l0 += load<f32>(input);
      l1 += load<f32>(input + step);
      l2 += load<f32>(input + (step << 1));
      l3 += load<f32>(input + step * 3);
    }
    const even: f32 = l0 + l2,
      odd: f32 = l1 + l3;
    sum = even + odd;
  }
  for (; input < end; input += step) sum += load<f32>(input);
  return sum;
}

/** The mean of the taps inside the image. */
function averageOf(p: FloatPool, input: usize, top: i32, left: i32): f32 {
  const rows = min(top + p.filterHeight, p.inputHeight) - max(top, 0),
    columns = min(left + p.filterWidth, p.inputWidth) - max(left, 0);
  const count = <f32>(rows * columns);
  if (p.order == BY_LANES) return sumOfPlane(p, input) / count;
  if (p.order == BY_NINES) return sumByNines(p, input, top, left) * (1 / count);
  return (p.order == BY_COLUMNS ? sumOfColumns(p, input, top, left) : sumOfRows(p, input, top, left)) / count;
}

/** Of equals, 0 and -0 too, and beside NaN: what was there. */
@inline
function former(most: f32, value: f32): f32 {
  return value > most ? value : most;
}

/** A vector's: what comes, as MAXPS of x86; on WebAssembly NaN counts, and 0 is above -0. */
@inline
function ofVectors(p: FloatPool, most: f32, value: f32): f32 {
  if (p.form < ONNXRUNTIME_AVX2) return max<f32>(most, value);
  return most > value ? most : value;
}

/** Of the plane: four lanes, then what is left. */
function maximumOfPlane(p: FloatPool, input: usize): f32 {
  const step = (<usize>p.inputDepth) << 2,
    end = input + <usize>(p.filterHeight * p.filterWidth) * step;
  let l0 = -f32.MAX_VALUE,
    l1 = l0,
    l2 = l0,
    l3 = l0;
  for (; input + (step << 2) <= end; input += step << 2) {
    l0 = ofVectors(p, l0, load<f32>(input));
    l1 = ofVectors(p, l1, load<f32>(input + step));
    l2 = ofVectors(p, l2, load<f32>(input + (step << 1)));
    l3 = ofVectors(p, l3, load<f32>(input + step * 3));
  }
  let most = ofVectors(p, ofVectors(p, l0, l2), ofVectors(p, l1, l3));
  for (; input < end; input += step) most = former(most, load<f32>(input));
  return most;
}

/** Of a column that vectors of four take, or leave over. */
function maximumOfColumn(p: FloatPool, input: usize, first: i32, end: i32, x: i32): f32 {
  if (x < 0 || x >= p.inputWidth) return -f32.MAX_VALUE;
  const isOfVectors = x < (p.inputWidth & ~3);
  let most = tap(p, input, first, x);
  for (let y = first + 1; y < end; y++) {
    const value = tap(p, input, y, x);
    most = isOfVectors ? ofVectors(p, most, value) : former(most, value);
  }
  return most;
}

function maximumOfColumns(p: FloatPool, input: usize, top: i32, left: i32): f32 {
  const first = max(top, 0),
    end = min(top + p.filterHeight, p.inputHeight);
  let most = maximumOfColumn(p, input, first, end, left);
  for (let x = left + 1; x < left + p.filterWidth; x++)
    most = ofVectors(p, most, maximumOfColumn(p, input, first, end, x));
  return most;
}

/** Row by row: TFLite compares; XNNPACK and blocked images have vectors. */
function maximumOf(p: FloatPool, input: usize, top: i32, left: i32): f32 {
  if (p.order == BY_LANES) return maximumOfPlane(p, input);
  if (p.order == BY_COLUMNS) return maximumOfColumns(p, input, top, left);
  const isOfVectors = p.order == BY_BLOCKS || p.order == BY_NINES;
  let most = -f32.MAX_VALUE;
  for (let y = max(top, 0), end = min(top + p.filterHeight, p.inputHeight); y < end; y++)
    for (let x = max(left, 0), last = min(left + p.filterWidth, p.inputWidth); x < last; x++) {
      const value = tap(p, input, y, x);
      most = isOfVectors ? ofVectors(p, most, value) : former(most, value);
    }
  return most;
}

@inline
function pool(p: FloatPool, isAverage: bool): void {
  const low = reinterpret<f32>(p.activationMin),
    high = reinterpret<f32>(p.activationMax),
    zero = reinterpret<f32>(p.zero);
  const imageBytes = (<usize>(p.inputHeight * p.inputWidth * p.inputDepth)) << 2;
  let input = p.input,
    output = p.output;
  for (let image = 0; image < p.batches; image++, input += imageBytes)
    for (let y = 0; y < p.outputHeight; y++)
      for (let x = 0; x < p.outputWidth; x++)
        for (let channel = 0; channel < p.inputDepth; channel++, output += 4) {
          const top = y * p.strideHeight - p.padTop,
            left = x * p.strideWidth - p.padLeft,
            from = input + ((<usize>channel) << 2);
          const value = isAverage ? averageOf(p, from, top, left) : maximumOf(p, from, top, left);
          store<f32>(output, clampF32(value, low, high) + zero);
        }
}

export function average_pool_2d_f32(params: usize): void {
  pool(changetype<FloatPool>(params), true);
}

export function max_pool_2d_f32(params: usize): void {
  pool(changetype<FloatPool>(params), false);
}

