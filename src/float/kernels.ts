import type { Activation } from "../model/graph.ts";

/** The exports of assembly/train.ts. Pointers are byte offsets into tfjs's memory; shapes travel in parameter blocks. */
export interface TrainKernels {
  conv_2d_scratch(params: number, block: number): number;
  conv_2d_f32(params: number, x: number, filter: number, bias: number, y: number, scratch: number): void;
  conv_2d_input_gradient_f32(
    params: number,
    dy: number,
    filter: number,
    addend: number,
    dx: number,
    scratch: number,
  ): void;
  conv_2d_filter_gradient_f32(params: number, x: number, dy: number, dFilter: number, scratch: number): void;
  depthwise_conv_2d_f32(params: number, x: number, filter: number, bias: number, y: number): void;
  depthwise_conv_2d_input_gradient_f32(params: number, dy: number, filter: number, dx: number): void;
  depthwise_conv_2d_filter_gradient_f32(params: number, x: number, dy: number, dFilter: number): void;
  fully_connected_f32(params: number, x: number, filter: number, bias: number, y: number): void;
  fully_connected_input_gradient_f32(params: number, dy: number, filter: number, dx: number): void;
  fully_connected_filter_gradient_f32(params: number, x: number, dy: number, dFilter: number): void;
  add_f32(a: number, b: number, out: number, length: number, activation: number): void;
  activation_f32(x: number, out: number, length: number, activation: number): void;
  gate_f32(dy: number, y: number, out: number, length: number, activation: number): void;
  gate_s8(dy: number, q: number, out: number, length: number, lower: number, upper: number): void;
  gate_s16(dy: number, q: number, out: number, length: number, lower: number, upper: number): void;
  blend_u8(
    mask: number,
    pattern: number,
    pixels: number,
    area: number,
    channels: number,
    count: number,
    out: number,
    scratch: number,
  ): void;
  blend_gradient_u8(
    mask: number,
    pattern: number,
    pixels: number,
    area: number,
    channels: number,
    count: number,
    gradient: number,
    dMask: number,
    dPattern: number,
    scratch: number,
  ): void;
  scale_f32(x: number, out: number, length: number, factor: number): void;
  scale_u8(x: number, out: number, length: number, factor: number): void;
  affine_f32(params: number, x: number, scale: number, shift: number, out: number): void;
  column_sum_f32(params: number, x: number, out: number, scratch: number): void;
  batch_norm_train_f32(
    params: number,
    x: number,
    gammaBeta: number,
    epsilon: number,
    y: number,
    moments: number,
    scratch: number,
  ): void;
  batch_norm_train_gradient_f32(
    params: number,
    x: number,
    y: number,
    dy: number,
    gammaBeta: number,
    moments: number,
    epsilon: number,
    dx: number,
    dGammaBeta: number,
    scratch: number,
  ): void;
  average_pool_2d_f32(params: number, x: number, y: number, scratch: number): void;
  average_pool_2d_gradient_f32(params: number, dy: number, dx: number, scratch: number): void;
  max_pool_2d_f32(params: number, x: number, y: number, scratch: number): void;
  max_pool_2d_gradient_f32(params: number, x: number, dy: number, dx: number, scratch: number): void;
  mean_rows_f32(x: number, y: number, batches: number, rows: number, depth: number): void;
  mean_rows_gradient_f32(dy: number, dx: number, batches: number, rows: number, depth: number): void;
  sgd_f32(
    w: number,
    v: number,
    g: number,
    length: number,
    rate: number,
    momentum: number,
    decay: number,
  ): void;
  softmax_cross_entropy_f32(
    logits: number,
    labels: number,
    batches: number,
    classes: number,
    dLogits: number,
    result: number,
  ): void;
}

/** The number of an activation in the kernels is its place here. */
export const ACTIVATIONS: readonly Activation[] = ["NONE", "RELU", "RELU6", "RELU_N1_TO_1"];

/** The int32 fields of each parameter block, in order: the fields of the class of that name in assembly/train/. */
export const PARAMETER_BLOCKS = {
  Conv2D: [
    "batches",
    "inputHeight",
    "inputWidth",
    "inputDepth",
    "filterHeight",
    "filterWidth",
    "outputHeight",
    "outputWidth",
    "outputDepth",
    "strideHeight",
    "strideWidth",
    "dilationHeight",
    "dilationWidth",
    "paddingTop",
    "paddingLeft",
    "activation",
  ],
  DepthwiseConv2D: [
    "batches",
    "inputHeight",
    "inputWidth",
    "inputDepth",
    "filterHeight",
    "filterWidth",
    "outputHeight",
    "outputWidth",
    "outputDepth",
    "strideHeight",
    "strideWidth",
    "dilationHeight",
    "dilationWidth",
    "paddingTop",
    "paddingLeft",
    "depthMultiplier",
    "activation",
  ],
  FullyConnected: ["batches", "inputDepth", "outputDepth", "activation"],
  Normalization: ["rows", "depth", "activation"],
  Pool2D: [
    "batches",
    "inputHeight",
    "inputWidth",
    "depth",
    "filterHeight",
    "filterWidth",
    "outputHeight",
    "outputWidth",
    "strideHeight",
    "strideWidth",
    "paddingTop",
    "paddingLeft",
    "activation",
  ],
} as const;

/** Room of a parameter block; the backend has room for two. */
export const BLOCK_BYTES = 128;

export type BlockName = keyof typeof PARAMETER_BLOCKS;
export type Block<Name extends BlockName> = Record<(typeof PARAMETER_BLOCKS)[Name][number], number>;
