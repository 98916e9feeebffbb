/** Parameter blocks of the float32 kernels. */
import { Operands, PoolWindow } from "../params";

/** float32 sums of products: see sums.ts. offsets: a byte offset a term from the first tap of a pixel of the padded image;
 * weights: [group][panel][term][8]; bias: eight a panel; block: terms summed by themselves, run: terms whose blocks are;
 * lanes: 32 bytes of its own; input2: the image that sums start from, or 0; input2ImageBytes: from one of these to the next, 0
 * where there is but one; fused: 1 where products are added unrounded; treeRows: outputs whose places say how they are summed,
 * which are pixels by treeByPixel 1, else channels of a group; depth: channels of the padded image; direct: 1 where the image is
 * read as it is; outputPixelBytes and so on: from one output to the next. */
@unmanaged
export class FloatConvolution extends Operands {
  input2: usize;
  input2ImageBytes: i32;
  weights: usize;
  bias: usize;
  offsets: usize;
  lanes: usize;
  terms: i32;
  block: i32;
  run: i32;
  biasOrder: i32;
  fused: i32;
  treeRows: i32;
  treeByPixel: i32;
  groups: i32;
  groupDepth: i32;
  groupBytes: i32;
  inputHeight: i32;
  inputWidth: i32;
  depth: i32;
  depthMultiplier: i32;
  outputHeight: i32;
  outputWidth: i32;
  outputPixelBytes: i32;
  outputRowBytes: i32;
  outputImageBytes: i32;
  strideHeight: i32;
  strideWidth: i32;
  padTop: i32;
  padLeft: i32;
  paddedHeight: i32;
  paddedWidth: i32;
  direct: i32;
  activationMin: i32;
  activationMax: i32;
  zero: i32;
}

/** float32; activationMin, activationMax, zero: bits of float32. */
@unmanaged
export class FloatElementwise extends Operands {
  input2: usize;
  input2Stride: i32;
  elements: i32;
  operator: i32;
  activationMin: i32;
  activationMax: i32;
  zero: i32;
}

/** factors, offsets: float32 a channel; rows: of channels in one image. */
@unmanaged
export class FloatAffine extends Operands {
  rows: i32;
  channels: i32;
  factors: usize;
  offsets: usize;
  activationMin: i32;
  activationMax: i32;
  zero: i32;
}

@unmanaged
export class FloatPool extends PoolWindow {
  form: i32;
  order: i32;
  zero: i32;
}

/** An image is [outer][reducedOuter][inner][reducedInner]; softmax works on outer rows of reducedInner. */
@unmanaged
export class FloatReduce extends Operands {
  form: i32;
  outer: i32;
  reducedOuter: i32;
  inner: i32;
  reducedInner: i32;
  beta: i32;
}

@unmanaged
export class FloatResize extends Operands {
  form: i32;
  inputHeight: i32;
  inputWidth: i32;
  inputDepth: i32;
  outputHeight: i32;
  outputWidth: i32;
  rows: usize;
  columns: usize;
}

/** Dynamic quantization: see dynamic.ts. weights: [channel][run][runLength] int16; offsets: a byte offset a run; scales,
 * bias: float32 a channel; totals: int32 a channel where pairs of products saturate, else 0; steps: eight bytes a part. */
@unmanaged
export class DynamicConvolution extends Operands {
  form: i32;
  parts: i32;
  steps: usize;
  weights: usize;
  offsets: usize;
  scales: usize;
  bias: usize;
  totals: usize;
  runs: i32;
  runLength: i32;
  outputDepth: i32;
  groupDepth: i32;
  groupOutputs: i32;
  inputHeight: i32;
  inputWidth: i32;
  inputDepth: i32;
  outputHeight: i32;
  outputWidth: i32;
  strideHeight: i32;
  strideWidth: i32;
  padTop: i32;
  padLeft: i32;
  paddedHeight: i32;
  paddedWidth: i32;
  activationMin: i32;
  activationMax: i32;
  zero: i32;
}
