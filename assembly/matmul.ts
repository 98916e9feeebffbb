/** BATCH_MATMUL: matrix products of two operands that come at run time, of float32 in a given order, or of int8. */
import { BatchMatMul } from "./params";
import { requantizeOne } from "./requantize";

/** How float32 products are summed, as src/kernels/float/matmul.ts numbers them: in blocks, or from the first product on and, in
 * the columns that fours leave over, by fours. */
const BLOCKS: i32 = 0;

/** Columns of a panel of float32, and products of int16 at a time. */
const FOUR: usize = 4;
const EIGHT: usize = 8;

/** y as panels of four columns, [panel][depth][4], zeros behind the last column. */
function packColumns(p: BatchMatMul, y: usize): void {
  let target = p.scratch;
  for (let n = 0; n < p.columns; n += <i32>FOUR) {
    const count = min(<i32>FOUR, p.columns - n);
    for (let k = 0; k < p.depth; k++, target += FOUR << 2) {
      const from = y + <usize>(k * p.yDepth + n * p.yColumn);
      for (let lane = 0; lane < <i32>FOUR; lane++)
        store<f32>(target + ((<usize>lane) << 2), lane < count ? load<f32>(from + <usize>(lane * p.yColumn)) : 0);
    }
  }
}

@inline
function product(p: BatchMatMul, x: usize, panel: usize, lane: usize, k: usize): f32 {
  return load<f32>(x + k * <usize>p.xDepth) * load<f32>(panel + ((k * FOUR + lane) << 2));
}

/** The first product, then those after it, in columns that are left over four at a time. */
function vectorSum(p: BatchMatMul, x: usize, panel: usize, lane: usize, isLeft: bool): f32 {
  const depth = <usize>p.depth;
  let acc = product(p, x, panel, lane, 0),
    k: usize = 1;
  if (isLeft)
    for (; k + FOUR <= depth; k += FOUR) {
      const pair: f32 = product(p, x, panel, lane, k) + product(p, x, panel, lane, k + 1);
      const three: f32 = pair + product(p, x, panel, lane, k + 2);
      acc += three + product(p, x, panel, lane, k + 3);
    }
  for (; k < depth; k++) acc += product(p, x, panel, lane, k);
  return acc;
}

/** Sums of `block` products, each times alpha, added one after the other. */
function blockSum(p: BatchMatMul, x: usize, panel: usize, lane: usize): f32 {
  const alpha = reinterpret<f32>(p.alpha);
  let total: f32 = 0;
  for (let first = 0; first < p.depth; first += p.block) {
    let acc: f32 = 0;
    for (let k = <usize>first, end = <usize>min(first + p.block, p.depth); k < end; k++)
      acc += product(p, x, panel, lane, k);
    const scaled: f32 = acc * alpha;
    total = first == 0 ? scaled : total + scaled;
  }
  return total;
}

/** The four columns of a panel by blockSum. */
@inline
function fourBlockSums(p: BatchMatMul, x: usize, panel: usize): v128 {
  const alpha = f32x4.splat(reinterpret<f32>(p.alpha));
  let total = f32x4.splat(0);
  for (let first = 0; first < p.depth; first += p.block) {
    let acc = f32x4.splat(0);
    for (let k = <usize>first, end = <usize>min(first + p.block, p.depth); k < end; k++) {
      const value = v128.load_splat<f32>(x + k * <usize>p.xDepth);
      acc = f32x4.add(acc, f32x4.mul(value, v128.load(panel + ((k * FOUR) << 2))));
    }
    const scaled = f32x4.mul(acc, alpha);
    total = first == 0 ? scaled : f32x4.add(total, scaled);
  }
  return total;
}

/** One row of x by all columns. */
function rowF32(p: BatchMatMul, x: usize, output: usize): void {
  const panelBytes = (<usize>p.depth * FOUR) << 2;
  let panel = p.scratch;
  for (let n = 0; n < p.columns; n += <i32>FOUR, panel += panelBytes, output += FOUR << 2) {
    const count = <usize>min(<i32>FOUR, p.columns - n);
    if (ASC_FEATURE_SIMD) {
      if (p.order == BLOCKS && count == FOUR) {
        v128.store(output, fourBlockSums(p, x, panel));
        continue;
      }
    }
    for (let lane: usize = 0; lane < count; lane++) {
      const sum = p.order == BLOCKS ? blockSum(p, x, panel, lane) : vectorSum(p, x, panel, lane, count < FOUR);
      store<f32>(output + (lane << 2), sum);
    }
  }
}

@inline
function paddedDepth(p: BatchMatMul): usize {
  return (<usize>p.depth + EIGHT - 1) & ~(EIGHT - 1);
}

/** Codes plus their offset as int16, zeros behind the last. stride: from one to the next. */
@inline
function widened(p: BatchMatMul, from: usize, stride: i32, offset: i32, target: usize): void {
  for (let k: usize = 0, end = paddedDepth(p); k < end; k++) {
    const value = k < <usize>p.depth ? <i32>load<i8>(from + k * <usize>stride) + offset : 0;
    store<i16>(target + (k << 1), <i16>value);
  }
}

@inline
function sumOfProducts(p: BatchMatMul, x: usize, y: usize): i32 {
  const bytes = paddedDepth(p) << 1;
  let total = 0;
  if (ASC_FEATURE_SIMD) {
    let fours = i32x4.splat(0);
    for (let i: usize = 0; i < bytes; i += 16)
      fours = i32x4.add(fours, i32x4.dot_i16x8_s(v128.load(x + i), v128.load(y + i)));
    const twos = i32x4.add(fours, v128.shuffle<i32>(fours, fours, 2, 3, 0, 1));
    return i32x4.extract_lane(twos, 0) + i32x4.extract_lane(twos, 1);
  }
  for (let i: usize = 0; i < bytes; i += 2) total += <i32>load<i16>(x + i) * <i32>load<i16>(y + i);
  return total;
}

/** Scratch: the columns of y as rows of int16, then one row of x. */
function matrixS8(p: BatchMatMul, x: usize, y: usize, output: usize): void {
  const rowBytes = paddedDepth(p) << 1,
    row = p.scratch + <usize>p.columns * rowBytes,
    scale = reinterpret<f32>(p.scale);
  for (let n = 0; n < p.columns; n++)
    widened(p, y + <usize>(n * p.yColumn), p.yDepth, p.yOffset, p.scratch + <usize>n * rowBytes);
  for (let m = 0; m < p.rows; m++) {
    widened(p, x + <usize>(m * p.xRow), p.xDepth, p.xOffset, row);
    for (let n = 0; n < p.columns; n++, output++) {
      const acc = sumOfProducts(p, row, p.scratch + <usize>n * rowBytes);
      const value = requantizeOne(
        p.requantizer,
        acc,
        p.multiplier,
        p.shift,
        scale,
        p.outputOffset,
        p.activationMin,
        p.activationMax,
      );
      store<i8>(output, <i8>value);
    }
  }
}

function matrixF32(p: BatchMatMul, x: usize, y: usize, output: usize): void {
  packColumns(p, y);
  const rowBytes = (<usize>p.columns) << 2;
  for (let m = 0; m < p.rows; m++, output += rowBytes) rowF32(p, x + <usize>(m * p.xRow), output);
}

/** Every matrix of every image: three dimensions, in each of which an operand goes on or stays. */
@inline
function eachMatrix(p: BatchMatMul, isFloat: bool): void {
  const bytes = <usize>(p.rows * p.columns) << (isFloat ? 2 : 0);
  let output = p.output;
  for (let image: usize = 0; image < <usize>p.batches; image++) {
    const x = p.input + image * <usize>p.xImage,
      y = p.input2 + image * <usize>p.yImage;
    for (let i = 0; i < p.size0; i++)
      for (let j = 0; j < p.size1; j++)
        for (let k = 0; k < p.size2; k++, output += bytes) {
          const ownX = x + <usize>(i * p.x0 + j * p.x1 + k * p.x2),
            ownY = y + <usize>(i * p.y0 + j * p.y1 + k * p.y2);
          if (isFloat) matrixF32(p, ownX, ownY, output);
          else matrixS8(p, ownX, ownY, output);
        }
  }
}

export function batch_matmul_f32(params: usize): void {
  eachMatrix(changetype<BatchMatMul>(params), true);
}

/** Exact sums, requantized. Source: TFLite reference/batch_matmul.h. */
export function batch_matmul_s8(params: usize): void {
  eachMatrix(changetype<BatchMatMul>(params), false);
}
