/** One row an op: its multiply-accumulates, its kernel, and the same in exact TypeScript. */

import { CAST } from "./cast.ts";
import { DEQUANTIZE, PAD, QUANTIZE, REQUANTIZE, RESHAPE } from "./convert.ts";
import { CONV_2D, DEPTHWISE_CONV_2D, FULLY_CONNECTED } from "./convolution.ts";
import { ADD, MUL } from "./elementwise.ts";
import { BROADCAST_TO, CONCATENATION, STRIDED_SLICE, TRANSPOSE } from "./layout.ts";
import { LOG_SOFTMAX } from "./logSoftmax.ts";
import { BATCH_MATMUL } from "./matmul.ts";
import { AVERAGE_POOL_2D, MAX_POOL_2D, MEAN } from "./pool.ts";
import { RESIZE_BILINEAR, RESIZE_NEAREST_NEIGHBOR } from "./resize.ts";
import { SOFTMAX } from "./softmax.ts";
import { TRANSPOSE_CONV } from "./transposeConv.ts";
import { HARD_SWISH, LEAKY_RELU, LOGISTIC, PRELU, TANH } from "./unary.ts";

/** REQUANTIZE serves QUANTIZE between int8 tensors and RELU, RELU6 of their own; SUB is ADD with input2Sign -1; SPLIT is a
 * STRIDED_SLICE an output. uint8 tensors are int8 ones here, every code less 128. */
export const OPS = {
  CONV_2D,
  DEPTHWISE_CONV_2D,
  FULLY_CONNECTED,
  ADD,
  MUL,
  AVERAGE_POOL_2D,
  MAX_POOL_2D,
  MEAN,
  SOFTMAX,
  PAD,
  RESHAPE,
  QUANTIZE,
  DEQUANTIZE,
  REQUANTIZE,
  TRANSPOSE_CONV,
  CONCATENATION,
  STRIDED_SLICE,
  TRANSPOSE,
  BROADCAST_TO,
  RESIZE_NEAREST_NEIGHBOR,
  RESIZE_BILINEAR,
  LOGISTIC,
  TANH,
  HARD_SWISH,
  LEAKY_RELU,
  PRELU,
  LOG_SOFTMAX,
  CAST,
  BATCH_MATMUL,
};
