/** Exports of build/kernels.simd.wasm and build/kernels.scalar.wasm: one i32 each, the address of a block of params.ts. */
export { cast, copy, dequantize_s8_f32, lookup_s8, pad_s8, quantize_f32_s8 } from "./convert";
export {
  conv_2d_s4,
  conv_2d_s8,
  depthwise_conv_2d_s4,
  depthwise_conv_2d_s8,
  fully_connected_s4,
  fully_connected_s8,
} from "./convolution";
export { depthwise_conv_2d_3x3_s4, depthwise_conv_2d_3x3_s8 } from "./depthwise";
export { add_s8, mul_s8 } from "./elementwise";
export {
  copy_rows,
  gather,
  lookup_by_position,
  resize_bilinear_s8,
  resize_nearest_neighbor,
} from "./layout";
export {
  log_softmax_f32,
  log_softmax_s8,
  log_softmax_table_s8,
  log_x_for_x_greater_than_or_equal_to_1_s32,
} from "./logSoftmax";
export { average_pool_2d_s8, max_pool_2d_s8, mean_s8 } from "./pool";
export {
  divide_by_power_of_two_s32,
  doubling_high_mult_no_sat_s32,
  doubling_high_mult_s32,
  requantize_double_s32,
  requantize_panel_s8,
  requantize_single_s32,
} from "./requantize";
export { conv_2d_paired_s8, conv_2d_saturating_s8 } from "./ordered";
export {
  average_pool_2d_rounded_s8,
  lookup_pair_s8,
  softmax_double_table_f32,
  softmax_onnxruntime_s8,
  softmax_short_table_s32,
  softmax_short_table_s8,
} from "./tables";
export { requantize_neon_s32 } from "./rounding";
export {
  exp_on_negative_values_s32,
  one_over_one_plus_x_s32,
  softmax_s8,
  softmax_table_f32,
  softmax_table_s8,
} from "./softmax";
export { conv_2d_winograd_s4, conv_2d_winograd_s8 } from "./winograd";
export { conv_2d_dynamic_f32 } from "./float/dynamic";
export { batch_matmul_f32, batch_matmul_s8 } from "./matmul";
export { affine_f32, binary_f32, unary_f32 } from "./float/elementwise";
export {
  log_softmax_ordered_f32,
  mean_f32,
  pad_f32,
  resize_bilinear_f32,
  softmax_f32,
} from "./float/reduce";
export { average_pool_2d_f32, max_pool_2d_f32 } from "./float/pools";
export { conv_2d_f32, depthwise_conv_2d_f32 } from "./float/sums";
export { conv_2d_s16, depthwise_conv_2d_s16, fully_connected_s16 } from "./wide/convolution";
export { dequantize_s16_f32, pad_s16, quantize_f32_s16 } from "./wide/convert";
export {
  add_s16,
  logistic_s16,
  mul_s16,
  rescale_s8_s16,
  rescale_s8_s32,
  rescale_s16_s8,
  rescale_s16_s16,
  rescale_s16_s32,
  rescale_s32_s8,
  rescale_s32_s16,
  tanh_s16,
} from "./wide/elementwise";
export { average_pool_2d_s16, max_pool_2d_s16, mean_s16 } from "./wide/pool";
export { requantize_narrowed_s64, requantize_s64 } from "./wide/requantize";
export { softmax_s8_s16, softmax_s16, softmax_tables_s16 } from "./wide/softmax";

/** The first byte of memory that the module does not use itself. */
export function heap_base(): usize {
  return __heap_base;
}
