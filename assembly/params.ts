/** Parameter blocks: fields of four bytes in the order that src/kernels/params.ts lists (test/kernels/params.test.ts compares).
 * Addresses are bytes in the one memory; floats are reinterpreted bits. Nothing here is ever allocated by the kernels. */

@unmanaged
export class Operands {
  batches: i32;
  input: usize;
  output: usize;
  scratch: usize;
}

/** How int32 accumulators become outputs. panels: see requantize.ts; requantizer: one of its constants; rightShift: of all
 * channels, in the aligned forms. */
@unmanaged
export class Requantized extends Operands {
  requantizer: i32;
  rightShift: i32;
  panels: usize;
  outputOffset: i32;
  activationMin: i32;
  activationMax: i32;
}

/** Channels by eights over packed weights (accumulate.ts). offsets: i32 byte offsets of what a pixel reads: offsetCount
 * runs of `pairs` pairs of values, or for depthwise two taps a pair. */
@unmanaged
export class Packed extends Requantized {
  weights: usize;
  offsets: usize;
  offsetCount: i32;
  pairs: i32;
  groups: i32;
  groupDepth: i32;
  groupBytes: i32;
  outputDepth: i32;
  inputOffset: i32;
  inputDepth: i32;
}

/** padded*: the widened image; pixelBytes: one of its pixels; spacing*: from one pixel of the input to the next, in pixels
 * of it, 1 but for TRANSPOSE_CONV. */
@unmanaged
export class Convolution extends Packed {
  inputHeight: i32;
  inputWidth: i32;
  outputHeight: i32;
  outputWidth: i32;
  strideHeight: i32;
  strideWidth: i32;
  padTop: i32;
  padLeft: i32;
  paddedHeight: i32;
  paddedWidth: i32;
  pixelBytes: i32;
  depthMultiplier: i32;
  spacingHeight: i32;
  spacingWidth: i32;
}

/** tiles: of two by two outputs that go together, a multiple of four. */
@unmanaged
export class WinogradConvolution extends Convolution {
  tiles: i32;
}

/** See ordered.ts. runLength: values from each offset on; length: of a gathered pixel, a multiple of 16; zeroPoint: added to
 * every value of the image. */
@unmanaged
export class OrderedConvolution extends Convolution {
  runLength: i32;
  length: i32;
  zeroPoint: i32;
  limits: usize;
}

/** chunkRows: that are widened at once, at most 64. */
@unmanaged
export class FullyConnected extends Packed {
  filterOffset: i32;
  chunkRows: i32;
}

/** input2Stride: elements from one image of the second operand to the next, 0 where all share it. */
@unmanaged
export class Elementwise extends Operands {
  input2: usize;
  input2Stride: i32;
  elements: i32;
  input1Offset: i32;
  input2Offset: i32;
  outputOffset: i32;
  activationMin: i32;
  activationMax: i32;
  requantizer: i32;
}

/** shift: of the XNNPACK form; leftShift and the *Shift fields: of the fixed-point form. */
@unmanaged
export class Add extends Elementwise {
  input2Sign: i32;
  leftShift: i32;
  input1Multiplier: i32;
  input1Shift: i32;
  input2Multiplier: i32;
  input2Shift: i32;
  outputMultiplier: i32;
  outputShift: i32;
  shift: i32;
}

@unmanaged
export class Mul extends Elementwise {
  multiplier: i32;
  shift: i32;
  scale: i32;
}

@unmanaged
export class PoolWindow extends Operands {
  inputHeight: i32;
  inputWidth: i32;
  inputDepth: i32;
  outputHeight: i32;
  outputWidth: i32;
  filterHeight: i32;
  filterWidth: i32;
  strideHeight: i32;
  strideWidth: i32;
  padTop: i32;
  padLeft: i32;
  activationMin: i32;
  activationMax: i32;
}

/** inputOffset: what codes are averaged with: 128 where they stand for uint8. */
@unmanaged
export class Pool extends PoolWindow {
  inputOffset: i32;
}

/** An image is [outer][reducedOuter][inner][reducedInner]; the second and the last are summed. folded: 1 where the float32
 * bias holds both zero points. */
@unmanaged
export class Mean extends Operands {
  outer: i32;
  reducedOuter: i32;
  inner: i32;
  reducedInner: i32;
  inputOffset: i32;
  outputOffset: i32;
  activationMin: i32;
  activationMax: i32;
  requantizer: i32;
  multiplier: i32;
  shift: i32;
  scale: i32;
  folded: i32;
  bias: i32;
}

/** table: 256 float32 of softmax_table_f32, in the float form. */
@unmanaged
export class Softmax extends Operands {
  rows: i32;
  rowSize: i32;
  multiplier: i32;
  shift: i32;
  diffMin: i32;
  table: usize;
  scale: i32;
  outputScale: i32;
  outputOffset: i32;
}

/** Bytes of an image from `start`; imageBytes: from one to the next. */
@unmanaged
export class Gather extends Operands {
  size0: i32;
  size1: i32;
  size2: i32;
  size3: i32;
  size4: i32;
  stride0: i32;
  stride1: i32;
  stride2: i32;
  stride3: i32;
  stride4: i32;
  start: i32;
  runBytes: i32;
  imageBytes: i32;
}

@unmanaged
export class CopyRows extends Operands {
  rows: i32;
  rowBytes: i32;
  outputStart: i32;
  outputStride: i32;
  table: usize;
}

@unmanaged
export class PositionLookup extends Operands {
  elements: i32;
  rows: usize;
  tables: usize;
}

/** rows, columns: see layout.ts. */
@unmanaged
export class Resize extends Operands {
  inputHeight: i32;
  inputWidth: i32;
  inputDepth: i32;
  outputHeight: i32;
  outputWidth: i32;
  rows: usize;
  columns: usize;
  weightBits: i32;
  halfAway: i32;
}

/** single: 1 for P5 in place of P4; table, scale, outputScale and outputOffset: of the float form. */
@unmanaged
export class LogSoftmax extends Operands {
  rows: i32;
  rowSize: i32;
  single: i32;
  multiplier: i32;
  shift: i32;
  diffMin: i32;
  reverseMultiplier: i32;
  reverseShift: i32;
  table: usize;
  scale: i32;
  outputScale: i32;
  outputOffset: i32;
}

/** Offsets: to and from the values of codes. low, high (unsigned), nan: what float32 is limited to, and what NaN becomes. */
@unmanaged
export class Cast extends Operands {
  elements: i32;
  from: i32;
  to: i32;
  inputOffset: i32;
  outputOffset: i32;
  low: i32;
  high: i32;
  nan: i32;
}

/** Three dimensions with counts before and after. */
@unmanaged
export class Pad extends Operands {
  size0: i32;
  size1: i32;
  size2: i32;
  before0: i32;
  before1: i32;
  before2: i32;
  after0: i32;
  after1: i32;
  after2: i32;
  value: i32;
}

/** halfEven: 0 for round(x / scale), 1 for rint(x * (1 / scale)), 2 for rint(x / scale). */
@unmanaged
export class Quantize extends Operands {
  elements: i32;
  scale: i32;
  zeroPoint: i32;
  halfEven: i32;
  nan: i32;
}

/** table: 256 int8, by the value read as uint8. */
@unmanaged
export class Lookup extends Operands {
  elements: i32;
  table: usize;
}

@unmanaged
export class Copy extends Operands {
  bytes: i32;
}

@unmanaged
export class PairLookup extends Operands {
  input2: usize;
  input2Stride: i32;
  elements: i32;
  table: usize;
}

@unmanaged
export class RoundedPool extends PoolWindow {
  rounding: i32;
  inputOffset: i32;
  inputScale: i32;
  outputScale: i32;
  outputOffset: i32;
  codeOffset: i32;
}

@unmanaged
export class SoftmaxTable extends Operands {
  rows: i32;
  rowSize: i32;
  table: usize;
  scale: i32;
  outputScale: i32;
  outputOffset: i32;
}

/** int16 activations: `segment` is how many offsets are summed in int32 before the sum goes to int64. */
@unmanaged
export class WideConvolution extends Convolution {
  segment: i32;
}

@unmanaged
export class WideFullyConnected extends Packed {
  segment: i32;
}

/** shift: of the power-of-two form, of the operand that `shifted` (1 or 2) names. */
@unmanaged
export class WideAdd extends Add {
  shifted: i32;
}

/** Each way of a leaky RELU; the same twice for a plain requantization. */
@unmanaged
export class Rescale extends Operands {
  elements: i32;
  inputOffset: i32;
  outputOffset: i32;
  activationMin: i32;
  activationMax: i32;
  requantizer: i32;
  multiplier: i32;
  shift: i32;
  negativeMultiplier: i32;
  negativeShift: i32;
}

/** expTable, reciprocalTable: 513 int16 each. */
@unmanaged
export class WideSoftmax extends Operands {
  rows: i32;
  rowSize: i32;
  requantizer: i32;
  multiplier: i32;
  shift: i32;
  expTable: usize;
  reciprocalTable: usize;
}

/** table: 256 uint16, about sigmoid(i / 24) * 2^16. multiplier, shift: to the table's input, see elementwise.ts of wide. */
@unmanaged
export class WideLogistic extends Operands {
  elements: i32;
  table: usize;
  multiplier: i32;
  shift: i32;
}

/** rows by depth times depth by columns, size0 * size1 * size2 of them an image. Strides in bytes: xRow, xDepth, yDepth, yColumn
 * within a matrix, x0 to y2 from one to the next, xImage and yImage 0 where all images share the operand. float32: order, block
 * and alpha; int8: the rest. */
@unmanaged
export class BatchMatMul extends Operands {
  input2: usize;
  rows: i32;
  depth: i32;
  columns: i32;
  size0: i32;
  size1: i32;
  size2: i32;
  x0: i32;
  x1: i32;
  x2: i32;
  y0: i32;
  y1: i32;
  y2: i32;
  xImage: i32;
  yImage: i32;
  xRow: i32;
  xDepth: i32;
  yDepth: i32;
  yColumn: i32;
  order: i32;
  block: i32;
  alpha: i32;
  requantizer: i32;
  multiplier: i32;
  shift: i32;
  scale: i32;
  xOffset: i32;
  yOffset: i32;
  outputOffset: i32;
  activationMin: i32;
  activationMax: i32;
}

/** result[i] = f(a[i], b[i], c[i]) over int32 (or float32) arrays. */
@unmanaged
export class Primitive {
  count: i32;
  a: usize;
  b: usize;
  c: usize;
  result: usize;
}
