/** float32 sums of products in a given order. The order is data: `offsets` says where each product's value lies, and the
 * weights lie in the same order, eight outputs side by side. Nothing is fused, so both builds give the same bits. */
import { FloatConvolution } from "./params";
import { fused, isPlain } from "./fused";

const LANES: usize = 8;

/** Where the bias comes in: 0 after the sum, which may be one of runs of blocks, 1 as its first term, 2 as the first term of the
 * sum of blocks, 3 as the first term of the first of four sums, each of every fourth product, 4 after a sum from the first product
 * on, whose blocks are of the last of treeRows outputs, 5 after eight sums, each of every eighth product. */
const BIAS_LAST: i32 = 0;
const BIAS_FIRST: i32 = 1;
const FOUR_SUMS: i32 = 3;
const VECTOR: i32 = 4;
const EIGHT_SUMS: i32 = 5;
const FOUR: usize = 4;

/** value, or the end of the range that it is beyond; NaN stays. */
@inline
export function clampF32(value: f32, low: f32, high: f32): f32 {
  const raised = value < low ? low : value;
  return raised > high ? high : raised;
}

/** Zeros with the image inside; each channel depthMultiplier times. Returns what pixels are read from. */
function padded(p: FloatConvolution, input: usize): usize {
  if (p.direct != 0) return input;
  const depth = <usize>p.depth,
    multiplier = <usize>p.depthMultiplier,
    rowBytes = (<usize>p.paddedWidth * depth) << 2;
  memory.fill(p.scratch, 0, <usize>p.paddedHeight * rowBytes);
  const rows = min(p.inputHeight, p.paddedHeight - p.padTop),
    columns = <usize>min(p.inputWidth, p.paddedWidth - p.padLeft),
    inputRow = (<usize>p.inputWidth * (depth / multiplier)) << 2;
  for (let y = 0; y < rows; y++, input += inputRow) {
    const target = p.scratch + <usize>(y + p.padTop) * rowBytes + ((<usize>p.padLeft * depth) << 2);
    if (multiplier == 1) memory.copy(target, input, (columns * depth) << 2);
    else
      for (let i: usize = 0, end = columns * depth; i < end; i++)
        store<f32>(target + (i << 2), load<f32>(input + ((i / multiplier) << 2)));
  }
  return p.scratch;
}

/** Every fourth or eighth product from `first` on, after `start`. weights: of one lane. */
@inline
function everySum(p: FloatConvolution, pixel: usize, weights: usize, start: f32, first: usize, step: usize): f32 {
  let acc = start;
  for (let k = first; k < <usize>p.terms; k += step) acc += product(p, pixel, weights, k);
  return acc;
}

@inline
function product(p: FloatConvolution, pixel: usize, weights: usize, k: usize): f32 {
  return load<f32>(pixel + load<u32>(p.offsets + (k << 2))) * load<f32>(weights + ((k * LANES) << 2));
}

/** The eight added as the output's place among treeRows asks: one of a whole four of them, one of two, or the last one.
 * Source: mlas x86_64/SgemmKernelM1TransposeBAvx.S. */
function eightSums(p: FloatConvolution, pixel: usize, weights: usize, place: i32): f32 {
  const l0 = everySum(p, pixel, weights, 0, 0, 8),
    l1 = everySum(p, pixel, weights, 0, 1, 8),
    l2 = everySum(p, pixel, weights, 0, 2, 8),
    l3 = everySum(p, pixel, weights, 0, 3, 8),
    l4 = everySum(p, pixel, weights, 0, 4, 8),
    l5 = everySum(p, pixel, weights, 0, 5, 8),
    l6 = everySum(p, pixel, weights, 0, 6, 8),
    l7 = everySum(p, pixel, weights, 0, 7, 8);
  const fours = p.treeRows & ~3;
  place %= p.treeRows;
  if (place < fours) {
    const low: f32 = l0 + l1 + l2 + l3,
      high: f32 = l4 + l5 + l6 + l7;
    return low + high;
  }
  if (place < fours + (p.treeRows & 2)) {
    const even: f32 = l2 + l0 + (l6 + l4),
      odd: f32 = l3 + l1 + (l7 + l5);
    return even + odd;
  }
  const low: f32 = l0 + l1 + (l2 + l3),
    high: f32 = l4 + l5 + (l6 + l7);
  return low + high;
}

/** The first product, or what lies at `target`; then in every block sums of four products, and those that fours leave over; the
 * bias last. */
function sumByFours(p: FloatConvolution, pixel: usize, weights: usize, bias: f32, target: usize): f32 {
  const skipped = p.input2 == 0 ? 1 : 0;
  let acc = p.input2 == 0 ? product(p, pixel, weights, 0) : load<f32>(target);
  for (let first = 0; first < p.terms; first += p.block) {
    const end = <usize>min(first + p.block, p.terms);
    let k = <usize>max(first, skipped);
    for (; k + FOUR <= end; k += FOUR) {
      const pair: f32 = product(p, pixel, weights, k) + product(p, pixel, weights, k + 1);
      const three: f32 = pair + product(p, pixel, weights, k + 2);
      acc += three + product(p, pixel, weights, k + 3);
    }
    for (; k < end; k++) acc += product(p, pixel, weights, k);
  }
  return acc + bias;
}

/** What a sum starts from without another image. -0 gives the first product itself. */
@inline
function startOf(p: FloatConvolution): f32 {
  return p.biasOrder == VECTOR ? -0.0 : 0;
}

/** Whether an output is one of the last of treeRows that four do not divide, under VECTOR. */
@inline
function isLeftOver(p: FloatConvolution, place: i32): bool {
  return p.biasOrder == VECTOR && place >= (p.treeRows & ~3);
}

/** One output by itself. weights: of its lane; target: where another image's value lies, if there is one; place: among
 * treeRows. */
@inline
function sumOne(p: FloatConvolution, pixel: usize, weights: usize, bias: f32, target: usize, place: i32): f32 {
  if (p.biasOrder == EIGHT_SUMS) return eightSums(p, pixel, weights, place) + bias;
  if (isLeftOver(p, place)) return sumByFours(p, pixel, weights, bias, target);
  if (p.biasOrder == FOUR_SUMS) {
    const even = everySum(p, pixel, weights, bias, 0, 4) + everySum(p, pixel, weights, 0, 2, 4),
      odd = everySum(p, pixel, weights, 0, 1, 4) + everySum(p, pixel, weights, 0, 3, 4);
    return even + odd;
  }
  const isLast = p.biasOrder == BIAS_LAST || p.biasOrder == VECTOR,
    goesOn = p.biasOrder == BIAS_FIRST || p.biasOrder == VECTOR,
    neutral = startOf(p),
    start: f32 = p.input2 == 0 ? neutral : load<f32>(target);
  let total: f32 = isLast ? neutral : bias;
  for (let run = 0; run < p.terms; run += p.run) {
    let part: f32 = isLast ? start : total;
    for (let first = run; first < run + p.run; first += p.block) {
      const end = min(first + p.block, run + p.run);
      let acc: f32 = goesOn ? part : 0;
      for (let k = <usize>first; k < <usize>end; k++) {
        const value = load<f32>(pixel + load<u32>(p.offsets + (k << 2))),
          weight = load<f32>(weights + ((k * LANES) << 2));
        acc = p.fused ? fused(value, weight, acc) : acc + value * weight;
      }
      part = goesOn ? acc : part + acc;
    }
    total = isLast ? total + part : part;
  }
  return isLast ? total + bias : total;
}

/** As clampF32, and the zero of the range added. */
@inline
function settled(p: FloatConvolution, value: v128): v128 {
  const raised = f32x4.pmax(value, f32x4.splat(reinterpret<f32>(p.activationMin)));
  const inside = f32x4.pmin(raised, f32x4.splat(reinterpret<f32>(p.activationMax)));
  return f32x4.add(inside, f32x4.splat(reinterpret<f32>(p.zero)));
}

@inline
function storeEight(p: FloatConvolution, target: usize, sum0: v128, sum1: v128): void {
  v128.store(target, settled(p, sum0));
  v128.store(target, settled(p, sum1), 16);
}

/** Eight outputs from one panel, whose sums start from what lies at `target` if there is another image. perChannel: each lane
 * reads the channel of its own, else all read the same value. */
@inline
function sumEight(
  p: FloatConvolution,
  pixel: usize,
  weights: usize,
  bias: usize,
  target: usize,
  perChannel: bool,
): void {
  const bias0 = v128.load(bias),
    bias1 = v128.load(bias, 16),
    zero = f32x4.splat(0),
    neutral = f32x4.splat(startOf(p)),
    isLast = p.biasOrder == BIAS_LAST || p.biasOrder == VECTOR,
    goesOn = p.biasOrder == BIAS_FIRST || p.biasOrder == VECTOR;
  let total0 = isLast ? neutral : bias0,
    total1 = isLast ? neutral : bias1;
  let offset = p.offsets;
  for (let run = 0; run < p.terms; run += p.run) {
    let part0 = isLast ? neutral : total0,
      part1 = isLast ? neutral : total1;
    if (p.input2 != 0) {
      part0 = v128.load(target);
      part1 = v128.load(target, 16);
    }
    for (let first = run; first < run + p.run; first += p.block) {
      const end = p.offsets + ((<usize>min(first + p.block, run + p.run)) << 2);
      let acc0 = goesOn ? part0 : zero,
        acc1 = goesOn ? part1 : zero;
      for (; offset < end; offset += 4, weights += 32) {
        const at = pixel + load<u32>(offset);
        const value0 = perChannel ? v128.load(at) : v128.load_splat<f32>(at),
          value1 = perChannel ? v128.load(at, 16) : value0;
        acc0 = f32x4.add(acc0, f32x4.mul(value0, v128.load(weights)));
        acc1 = f32x4.add(acc1, f32x4.mul(value1, v128.load(weights, 16)));
      }
      part0 = goesOn ? acc0 : f32x4.add(part0, acc0);
      part1 = goesOn ? acc1 : f32x4.add(part1, acc1);
    }
    total0 = isLast ? f32x4.add(total0, part0) : part0;
    total1 = isLast ? f32x4.add(total1, part1) : part1;
  }
  storeEight(p, target, isLast ? f32x4.add(total0, bias0) : total0, isLast ? f32x4.add(total1, bias1) : total1);
}

/** Two products of float32 in float64, fused with the sums of two lanes. */
@inline
function fusedTwo(acc: v128, value: v128, weight: v128): v128 {
  const sums = f64x2.add(f64x2.mul(value, weight), acc);
  if (isPlain(sums)) return f64x2.promote_low_f32x4(f32x4.demote_f64x2_zero(sums));
  const first = fused(
      <f32>f64x2.extract_lane(value, 0),
      <f32>f64x2.extract_lane(weight, 0),
      <f32>f64x2.extract_lane(acc, 0),
    ),
    second = fused(
      <f32>f64x2.extract_lane(value, 1),
      <f32>f64x2.extract_lane(weight, 1),
      <f32>f64x2.extract_lane(acc, 1),
    );
  return f64x2.replace_lane(f64x2.splat(<f64>first), 1, <f64>second);
}

/** The upper two of four float32 as float64. */
@inline
function promoteHigh(four: v128): v128 {
  return f64x2.promote_low_f32x4(v128.shuffle<i64>(four, four, 1, 1));
}

@inline
function demoted(low: v128, high: v128): v128 {
  return v128.shuffle<i64>(f32x4.demote_f64x2_zero(low), f32x4.demote_f64x2_zero(high), 0, 2);
}

/** As sumEight, the products fused, the bias last or first of the sum of blocks. */
@inline
function sumEightFused(
  p: FloatConvolution,
  pixel: usize,
  weights: usize,
  bias: usize,
  target: usize,
  perChannel: bool,
): void {
  const bias0 = v128.load(bias),
    bias1 = v128.load(bias, 16),
    zero = f32x4.splat(0),
    isLast = p.biasOrder == BIAS_LAST;
  let total0 = isLast ? zero : bias0,
    total1 = isLast ? zero : bias1;
  let offset = p.offsets;
  for (let run = 0; run < p.terms; run += p.run) {
    let part0 = isLast ? zero : total0,
      part1 = isLast ? zero : total1;
    for (let first = run; first < run + p.run; first += p.block) {
      const end = p.offsets + ((<usize>min(first + p.block, run + p.run)) << 2);
      let a = zero,
        b = zero,
        c = zero,
        d = zero;
      for (; offset < end; offset += 4, weights += 32) {
        const at = pixel + load<u32>(offset),
          value0 = perChannel ? v128.load(at) : v128.load_splat<f32>(at),
          value1 = perChannel ? v128.load(at, 16) : value0,
          weights0 = v128.load(weights),
          weights1 = v128.load(weights, 16);
        a = fusedTwo(a, f64x2.promote_low_f32x4(value0), f64x2.promote_low_f32x4(weights0));
        b = fusedTwo(b, promoteHigh(value0), promoteHigh(weights0));
        c = fusedTwo(c, f64x2.promote_low_f32x4(value1), f64x2.promote_low_f32x4(weights1));
        d = fusedTwo(d, promoteHigh(value1), promoteHigh(weights1));
      }
      part0 = f32x4.add(part0, demoted(a, b));
      part1 = f32x4.add(part1, demoted(c, d));
    }
    total0 = isLast ? f32x4.add(total0, part0) : part0;
    total1 = isLast ? f32x4.add(total1, part1) : part1;
  }
  storeEight(p, target, isLast ? f32x4.add(total0, bias0) : total0, isLast ? f32x4.add(total1, bias1) : total1);
}

/** Whether the outputs of a panel are summed side by side: not in four or eight sums, nor where some are left over. */
@inline
function isSideBySide(p: FloatConvolution, place: i32): bool {
  if (p.biasOrder == FOUR_SUMS || p.biasOrder == EIGHT_SUMS) return false;
  return p.biasOrder != VECTOR || (p.treeByPixel != 0 && !isLeftOver(p, place));
}

/** Up to eight outputs: `count` of the panel. place: of the pixel, or of the first channel, among treeRows. */
@inline
function panel(
  p: FloatConvolution,
  pixel: usize,
  weights: usize,
  bias: usize,
  output: usize,
  count: usize,
  perChannel: bool,
  place: i32,
): void {
  const low = reinterpret<f32>(p.activationMin),
    high = reinterpret<f32>(p.activationMax);
  if (ASC_FEATURE_SIMD) {
    if (isSideBySide(p, place) && (!perChannel || count == LANES)) {
      const isWhole = count == LANES,
        target = isWhole ? output : p.lanes;
      if (!isWhole && p.input2 != 0) memory.copy(p.lanes, output, count << 2);
      if (p.fused) sumEightFused(p, pixel, weights, bias, target, perChannel);
      else sumEight(p, pixel, weights, bias, target, perChannel);
      if (!isWhole) for (let i: usize = 0; i < count << 2; i += 4) store<f32>(output + i, load<f32>(p.lanes + i));
      return;
    }
  }
  for (let lane: usize = 0; lane < count; lane++) {
    const at = lane << 2,
      target = output + at,
      own = p.treeByPixel ? place : place + <i32>lane,
      zero: f32 = isLeftOver(p, own) ? -0.0 : reinterpret<f32>(p.zero);
    const sum = sumOne(p, perChannel ? pixel + at : pixel, weights + at, load<f32>(bias + at), target, own);
    store<f32>(target, clampF32(sum, low, high) + zero);
  }
}

@inline
function convolve(p: FloatConvolution, perChannel: bool): void {
  const panelBytes = (<usize>p.terms * LANES) << 2,
    depth = <usize>p.groupDepth,
    pixelBytes = (<usize>p.depth) << 2,
    imageBytes = (<usize>(p.inputHeight * p.inputWidth * p.depth) / <usize>p.depthMultiplier) << 2;
  let input = p.input,
    outputs = p.output;
  for (let image = 0; image < p.batches; image++, input += imageBytes, outputs += <usize>p.outputImageBytes) {
    const from = padded(p, input);
    if (p.input2 != 0)
      memory.copy(outputs, p.input2 + <usize>(image * p.input2ImageBytes), <usize>p.outputImageBytes);
    for (let y = 0; y < p.outputHeight; y++) {
      const row = from + <usize>(y * p.strideHeight * p.paddedWidth) * pixelBytes,
        outputRow = outputs + <usize>(y * p.outputRowBytes);
      for (let x = 0; x < p.outputWidth; x++) {
        let output = outputRow + <usize>(x * p.outputPixelBytes),
          pixel = row + <usize>(x * p.strideWidth) * pixelBytes,
          weights = p.weights,
          bias = p.bias;
        for (let group = 0; group < p.groups; group++, pixel += <usize>p.groupBytes) {
          for (let channel: usize = 0; channel < depth; channel += LANES) {
            const count = min<usize>(LANES, depth - channel);
            const own = perChannel ? pixel + (channel << 2) : pixel,
              place = p.treeByPixel ? y * p.outputWidth + x : <i32>channel;
            panel(p, own, weights, bias, output, count, perChannel, place);
            output += count << 2;
            weights += panelBytes;
            bias += LANES << 2;
          }
        }
      }
    }
  }
}

/** CONV_2D and FULLY_CONNECTED; TRANSPOSE_CONV's outputs that read the same taps, which lie apart. */
export function conv_2d_f32(params: usize): void {
  convolve(changetype<FloatConvolution>(params), false);
}

/** DEPTHWISE_CONV_2D: output channel o reads channel o of the padded image. */
export function depthwise_conv_2d_f32(params: usize): void {
  convolve(changetype<FloatConvolution>(params), true);
}
