/** One row an op: its multiply-accumulates, its kernel, and the same in exact TypeScript. */

import { DEQUANTIZE, PAD, QUANTIZE, REQUANTIZE, RESHAPE } from "./convert.ts";
import { CONV_2D, DEPTHWISE_CONV_2D, FULLY_CONNECTED } from "./convolution.ts";
import { ADD, MUL } from "./elementwise.ts";
import { AVERAGE_POOL_2D, MAX_POOL_2D, MEAN } from "./pool.ts";
import { SOFTMAX } from "./softmax.ts";

/** REQUANTIZE serves QUANTIZE between int8 tensors and RELU, RELU6 of their own; SUB is ADD with input2Sign -1. */
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
};
