/** One row an op on int16 activations, as ../ops.ts has one for int8. */
import { DEQUANTIZE, PAD, QUANTIZE } from "./convert.ts";
import { CONV_2D, DEPTHWISE_CONV_2D, FULLY_CONNECTED } from "./convolution.ts";
import { ADD, MUL, REQUANTIZE } from "./elementwise.ts";
import { LOGISTIC, TANH } from "./logistic.ts";
import { AVERAGE_POOL_2D, MAX_POOL_2D, MEAN } from "./pool.ts";
import { SOFTMAX } from "./softmax.ts";
import { TRANSPOSE_CONV } from "./transposeConv.ts";

/** SUB is ADD with input2Sign -1; LEAKY_RELU is REQUANTIZE with a second scale. */
export const WIDE_OPS = {
  CONV_2D,
  DEPTHWISE_CONV_2D,
  FULLY_CONNECTED,
  TRANSPOSE_CONV,
  ADD,
  MUL,
  AVERAGE_POOL_2D,
  MAX_POOL_2D,
  MEAN,
  SOFTMAX,
  PAD,
  QUANTIZE,
  DEQUANTIZE,
  REQUANTIZE,
  LOGISTIC,
  TANH,
};
