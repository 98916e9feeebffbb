/** One row an op on float32, as ../ops.ts has one for int8. */
import { PAD, RESIZE_BILINEAR } from "./convert.ts";
import { DYNAMIC_CONV_2D } from "./dynamic.ts";
import { BINARY_F32, UNARY_F32 } from "./elementwise.ts";
import { BATCH_MATMUL } from "./matmul.ts";
import { BATCH_NORMALIZATION } from "./normalization.ts";
import { AVERAGE_POOL_2D, MAX_POOL_2D } from "./pools.ts";
import { LOG_SOFTMAX, MEAN, SOFTMAX } from "./reduce.ts";
import { CONV_2D, DEPTHWISE_CONV_2D } from "./sums.ts";
import { TRANSPOSE_CONV } from "./transposeConv.ts";

/** BINARY serves ADD, SUB, MUL and PRELU; UNARY the functions of one value; CONV_2D FULLY_CONNECTED too. */
export const FLOAT_OPS = {
  CONV_2D,
  DEPTHWISE_CONV_2D,
  TRANSPOSE_CONV,
  DYNAMIC_CONV_2D,
  BATCH_NORMALIZATION,
  BATCH_MATMUL,
  BINARY: BINARY_F32,
  UNARY: UNARY_F32,
  AVERAGE_POOL_2D,
  MAX_POOL_2D,
  MEAN,
  SOFTMAX,
  LOG_SOFTMAX,
  PAD,
  RESIZE_BILINEAR,
};
