/** Golden vectors of CMSIS-NN's int16 kernels, as ../vectors.ts has those of int8. */
import type { Operands, Output } from "../args.ts";
import type { Kernels } from "../module.ts";
import { setParam, writeParams } from "../params.ts";
import { quirkOutputs } from "../quirks.ts";
import { type Fields, MAX_ELEMENTS, MAX_SIDE } from "../vectorFile.ts";
import {
  checkWork,
  dilatedWindow,
  INT32,
  type Prepare,
  poolWindow,
  SHIFT,
  sumScaling,
} from "../vectorShapes.ts";
import type { Rounding, SumScaling } from "./args.ts";
import { WIDE_OPS } from "./ops.ts";

/** Left shifts of int64 sums end at 7, as TFLite and CMSIS-NN document them. */
const SHIFT64 = [-31, 7] as const;

/** @throws ModelFormatError for offsets: int16 activations have none. */
function output(params: Fields): Output {
  params.integer("input_offset", 0, 0);
  return { outputOffset: params.integer("output_offset", 0, 0), ...activation(params) };
}

function activation(params: Fields) {
  const activationMin = params.integer("activation_min", -32768, 32767);
  return { activationMin, activationMax: params.integer("activation_max", activationMin, 32767) };
}

/** channels: of the bias; entries: multipliers, as many or one. */
function scaling(
  fields: Fields,
  params: Fields,
  requantizer: Rounding,
  channels: number,
  entries = channels,
): SumScaling {
  const multiplier = fields.integers("multiplier", ...INT32, entries);
  if (params.text("bias_type") === "int64") {
    const shift = fields.integers("shift", ...SHIFT64, entries);
    const bias = fields.int64OrNull("bias", channels);
    return { sum: 64, requantizer: "cmsis-nn-wide", multiplier, shift, bias };
  }
  const shift = fields.integers("shift", ...SHIFT, entries);
  return { sum: 32, requantizer, multiplier, shift, bias: fields.int32OrNull("bias", channels) };
}

const convolution: Prepare = (kernels, fields, requantizer) => {
  const params = fields.record("params");
  const [outputs, filterHeight, filterWidth, depth] = params.shape("filter_shape_ohwi", 4);
  const { batches, outputDepth, shape } = dilatedWindow(params, filterHeight, filterWidth, () => depth);
  const groups = params.integer("groups", 1, MAX_SIDE);
  if (outputs !== outputDepth || outputs % groups !== 0 || depth * groups !== shape.inputDepth)
    params.fail("filter_shape_ohwi", `${groups} groups from ${shape.inputDepth} to ${outputDepth} channels`);
  const args = {
    ...shape,
    ...output(params),
    ...scaling(fields, params, requantizer, outputDepth),
    filter: fields.int8("weights", outputs * filterHeight * filterWidth * depth),
    outputDepth,
    groups,
  };
  checkWork(fields, batches * WIDE_OPS.CONV_2D.macs(args));
  const input = fields.int16("input", batches * shape.inputHeight * shape.inputWidth * shape.inputDepth);
  const quirks = () => quirkOutputs("CONV_2D_S16", args, [input], batches);
  return { step: WIDE_OPS.CONV_2D.prepare(kernels, args), inputs: [input], batches, quirks };
};

const depthwise: Prepare = (kernels, fields, requantizer) => {
  const params = fields.record("params");
  const [one, filterHeight, filterWidth, outputs] = params.shape("filter_shape_1hwc", 4);
  const { batches, outputDepth, shape } = dilatedWindow(params, filterHeight, filterWidth, (depth) => depth);
  const depthMultiplier = params.integer("channel_multiplier", 1, MAX_SIDE);
  if (one !== 1 || outputs !== outputDepth || outputs !== shape.inputDepth * depthMultiplier)
    params.fail("filter_shape_1hwc", `[1, h, w, ${shape.inputDepth * depthMultiplier}]`);
  const args = {
    ...shape,
    ...output(params),
    ...scaling(fields, params, requantizer, outputDepth),
    filter: fields.int8("weights", filterHeight * filterWidth * outputDepth),
    depthMultiplier,
  };
  checkWork(fields, batches * WIDE_OPS.DEPTHWISE_CONV_2D.macs(args));
  const input = fields.int16("input", batches * shape.inputHeight * shape.inputWidth * shape.inputDepth);
  return { step: WIDE_OPS.DEPTHWISE_CONV_2D.prepare(kernels, args), inputs: [input], batches };
};

const fullyConnected: Prepare = (kernels, fields, requantizer) => {
  const params = fields.record("params");
  const inputDepth = params.integer("input_features", 1, MAX_ELEMENTS);
  const outputDepth = params.integer("output_features", 1, MAX_ELEMENTS / inputDepth);
  const batches = params.integer("batch", 1, MAX_ELEMENTS / Math.max(inputDepth, outputDepth));
  params.integer("filter_offset", 0, 0);
  const args = {
    ...output(params),
    ...scaling(fields, params, requantizer, outputDepth, 1),
    filter: fields.int8("weights", outputDepth * inputDepth),
    inputDepth,
    outputDepth,
  };
  checkWork(fields, batches * WIDE_OPS.FULLY_CONNECTED.macs(args));
  const input = fields.int16("input", batches * inputDepth);
  const quirks = () => quirkOutputs("FULLY_CONNECTED_S16", args, [input], batches);
  return { step: WIDE_OPS.FULLY_CONNECTED.prepare(kernels, args), inputs: [input], batches, quirks };
};

const pool =
  (op: "AVERAGE_POOL_2D" | "MAX_POOL_2D"): Prepare =>
  (kernels, fields) => {
    const params = fields.record("params");
    const { batches, shape } = poolWindow(fields, params);
    const step = WIDE_OPS[op].prepare(kernels, { ...shape, ...activation(params) });
    const input = fields.int16("input", batches * shape.inputHeight * shape.inputWidth * shape.inputDepth);
    return { step, inputs: [input], batches };
  };

function elementwise(fields: Fields, params: Fields) {
  const elements = params.integer("length", 1, MAX_ELEMENTS);
  for (const field of ["input1_offset", "input2_offset", "output_offset"]) params.integer(field, 0, 0);
  return {
    inputs: [fields.int16("input", elements), fields.int16("input2", elements)],
    args: { ...activation(params), elements, input1Offset: 0, input2Offset: 0, outputOffset: 0 },
  };
}

const add: Prepare = (kernels, fields, requantizer) => {
  const params = fields.record("params");
  const { inputs, args } = elementwise(fields, params);
  const step = WIDE_OPS.ADD.prepare(kernels, {
    ...args,
    ...sumScaling(params),
    form: "rescaled",
    requantizer,
  });
  return { step, inputs, batches: 1 };
};

const mul: Prepare = (kernels, fields, requantizer) => {
  const params = fields.record("params");
  const { inputs, args } = elementwise(fields, params);
  const multiplier = params.integer("output_multiplier", ...INT32);
  const shift = params.integer("output_shift", ...SHIFT);
  const step = WIDE_OPS.MUL.prepare(kernels, { ...args, requantizer, multiplier, shift });
  return { step, inputs, batches: 1 };
};

const softmax: Prepare = (kernels, fields) => {
  const params = fields.record("params");
  const rows = params.integer("num_rows", 1, MAX_SIDE);
  const rowSize = params.integer("row_size", 1, MAX_ELEMENTS / rows);
  const step = WIDE_OPS.SOFTMAX.prepare(kernels, {
    rows,
    rowSize,
    form: "fixed-point",
    multiplier: params.integer("mult", 0, INT32[1]),
    shift: params.integer("shift", 0, 31),
    diffMin: params.integer("diff_min", INT32[0], 0),
  });
  return { step, inputs: [fields.int8("input", rows * rowSize)], batches: 1 };
};

/** A table of int64 sums (safe integers), multipliers and shifts. */
const requantizeTable: Prepare = (kernels: Kernels, fields) => {
  const sums = fields.integers("acc", Number.MIN_SAFE_INTEGER, Number.MAX_SAFE_INTEGER);
  const multipliers = fields.integers("multiplier", 0, INT32[1], sums.length);
  const shifts = fields.integers("shift", ...SHIFT64, sums.length);
  const params = writeParams(kernels, "Primitive", {
    count: sums.length,
    a: kernels.place(BigInt64Array.from(sums, BigInt)),
    b: kernels.place(Int32Array.from(multipliers)),
    c: kernels.place(Int32Array.from(shifts)),
  });
  const step = {
    inputBytes: 0,
    outputBytes: sums.length * 4,
    scratchBytes: 0,
    bind: (operands: Operands) => setParam(kernels, params, "Primitive", "result", operands.output),
    run: () => kernels.exports.requantize_narrowed_s64(params),
  };
  return { step, inputs: [], batches: 1 };
};

export const WIDE_PREPARE: Record<string, Prepare> = {
  arm_convolve_s16: convolution,
  arm_convolve_wrapper_s16: convolution,
  arm_convolve_fast_s16: convolution,
  arm_depthwise_conv_s16: depthwise,
  arm_depthwise_conv_fast_s16: depthwise,
  arm_depthwise_conv_wrapper_s16: depthwise,
  arm_fully_connected_s16: fullyConnected,
  arm_avgpool_s16: pool("AVERAGE_POOL_2D"),
  arm_max_pool_s16: pool("MAX_POOL_2D"),
  arm_elementwise_add_s16: add,
  arm_elementwise_mul_s16: mul,
  arm_softmax_s8_s16: softmax,
  arm_nn_requantize_s64: requantizeTable,
};
