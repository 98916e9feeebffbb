/** float32 sums of products in a given order. The order is data: `offsets` says where each product's value lies, and the
 * weights lie in the same order, eight outputs side by side. Nothing is fused, so both builds give the same bits. */
import { FloatConvolution } from "../params";

const LANES: usize = 8;

/** Where the bias comes in: 0 after the sum, which may be one of runs of blocks, 1 as its first term, 2 as the first term of the
 * sum of blocks, 3 as the first term of the first of four sums, each of every fourth product, 4 after a sum from the first product
 * on, whose blocks are of the last outputs of a plane. */
const BIAS_LAST: i32 = 0;
const BIAS_FIRST: i32 = 1;
const FOUR_SUMS: i32 = 3;
const VECTOR: i32 = 4;
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

/** Every fourth product from `first` on. */
@inline
function fourthSum(p: FloatConvolution, pixel: usize, weights: usize, start: f32, lane: usize, first: usize): f32 {
  let acc = start;
  for (let k = first; k < <usize>p.terms; k += 4)
    acc += load<f32>(pixel + load<u32>(p.offsets + (k << 2))) * load<f32>(weights + ((k * LANES + lane) << 2));
  return acc;
}

@inline
function product(p: FloatConvolution, pixel: usize, weights: usize, lane: usize, k: usize): f32 {
  return load<f32>(pixel + load<u32>(p.offsets + (k << 2))) * load<f32>(weights + ((k * LANES + lane) << 2));
}

/** The first product, or what lies at `target`; then in every block sums of four products, and those that fours leave over; the
 * bias last. */
function sumByFours(
  p: FloatConvolution,
  pixel: usize,
  weights: usize,
  bias: f32,
  target: usize,
  lane: usize,
): f32 {
  const skipped = p.input2 == 0 ? 1 : 0;
  let acc = p.input2 == 0 ? product(p, pixel, weights, lane, 0) : load<f32>(target);
  for (let first = 0; first < p.terms; first += p.block) {
    const end = <usize>min(first + p.block, p.terms);
    let k = <usize>max(first, skipped);
    for (; k + FOUR <= end; k += FOUR) {
      const pair: f32 = product(p, pixel, weights, lane, k) + product(p, pixel, weights, lane, k + 1);
      const three: f32 = pair + product(p, pixel, weights, lane, k + 2);
      acc += three + product(p, pixel, weights, lane, k + 3);
    }
    for (; k < end; k++) acc += product(p, pixel, weights, lane, k);
  }
  return acc + bias;
}

/** What a sum starts from without another image. -0 gives the first product itself. */
@inline
function startOf(p: FloatConvolution): f32 {
  return p.biasOrder == VECTOR ? -0.0 : 0;
}

/** One output by itself. lane: its place among the eight; target: where another image's value lies, if there is one. */
@inline
function sumOne(p: FloatConvolution, pixel: usize, weights: usize, bias: f32, target: usize, lane: usize): f32 {
  if (p.biasOrder == FOUR_SUMS) {
    const even = fourthSum(p, pixel, weights, bias, lane, 0) + fourthSum(p, pixel, weights, 0, lane, 2),
      odd = fourthSum(p, pixel, weights, 0, lane, 1) + fourthSum(p, pixel, weights, 0, lane, 3);
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
        const value = load<f32>(pixel + load<u32>(p.offsets + (k << 2)));
        acc += value * load<f32>(weights + ((k * LANES + lane) << 2));
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
  v128.store(target, settled(p, isLast ? f32x4.add(total0, bias0) : total0));
  v128.store(target, settled(p, isLast ? f32x4.add(total1, bias1) : total1), 16);
}

/** Up to eight outputs: `count` of the panel. Four sums are for layers of few outputs, one at a time. isLeft: by fours,
 * where -0 stays. */
@inline
function panel(
  p: FloatConvolution,
  pixel: usize,
  weights: usize,
  bias: usize,
  output: usize,
  count: usize,
  perChannel: bool,
  isLeft: bool,
): void {
  const low = reinterpret<f32>(p.activationMin),
    high = reinterpret<f32>(p.activationMax),
    zero: f32 = isLeft ? -0.0 : reinterpret<f32>(p.zero);
  if (ASC_FEATURE_SIMD) {
    if (p.biasOrder != FOUR_SUMS && !isLeft && (!perChannel || count == LANES)) {
      const isWhole = count == LANES;
      if (!isWhole && p.input2 != 0) memory.copy(p.lanes, output, count << 2);
      sumEight(p, pixel, weights, bias, isWhole ? output : p.lanes, perChannel);
      if (!isWhole) for (let i: usize = 0; i < count << 2; i += 4) store<f32>(output + i, load<f32>(p.lanes + i));
      return;
    }
  }
  for (let lane: usize = 0; lane < count; lane++) {
    const from = perChannel ? pixel + (lane << 2) : pixel;
    const own = load<f32>(bias + (lane << 2));
    const target = output + (lane << 2);
    const sum = isLeft
      ? sumByFours(p, from, weights, own, target, lane)
      : sumOne(p, from, weights, own, target, lane);
    store<f32>(target, clampF32(sum, low, high) + zero);
  }
}

@inline
function convolve(p: FloatConvolution, perChannel: bool): void {
  const panelBytes = (<usize>p.terms * LANES) << 2,
    depth = <usize>p.groupDepth,
    left = p.outputHeight * p.outputWidth - p.left,
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
        const isLeft = y * p.outputWidth + x >= left;
        let output = outputRow + <usize>(x * p.outputPixelBytes),
          pixel = row + <usize>(x * p.strideWidth) * pixelBytes,
          weights = p.weights,
          bias = p.bias;
        for (let group = 0; group < p.groups; group++, pixel += <usize>p.groupBytes) {
          for (let channel: usize = 0; channel < depth; channel += LANES) {
            const count = min<usize>(LANES, depth - channel);
            const own = perChannel ? pixel + (channel << 2) : pixel;
            panel(p, own, weights, bias, output, count, perChannel, isLeft);
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
