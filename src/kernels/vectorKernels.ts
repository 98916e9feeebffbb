/** How a case of each of CMSIS-NN's kernels becomes a step and its operands. */
import type {
  AddFixedPoint,
  Conv2dArgs,
  DepthwiseConv2dArgs,
  FixedPoint,
  Operands,
  Output,
  Values,
} from "./args.ts";
import { REQUANTIZE_HELPERS } from "./helpers.ts";
import { OPS } from "./ops.ts";
import { setParam, writeParams } from "./params.ts";
import { quirkOutputs } from "./quirks.ts";
import { type Fields, MAX_ELEMENTS, MAX_SIDE } from "./vectorFile.ts";
import {
  checkWork,
  dilatedWindow,
  INT32,
  type Prepare,
  poolWindow,
  SHIFT,
  type Stray,
  sumScaling,
  window,
} from "./vectorShapes.ts";
import { WIDE_PREPARE } from "./wide/vectors.ts";

function output(params: Fields): Output {
  return { outputOffset: params.integer("output_offset", -128, 127), ...activation(params) };
}

function activation(params: Fields) {
  const activationMin = params.integer("activation_min", -128, 127);
  return { activationMin, activationMax: params.integer("activation_max", activationMin, 127) };
}

function fixedPoint(fields: Fields, requantizer: AddFixedPoint["requantizer"], channels: number): FixedPoint {
  return {
    requantizer,
    multiplier: fields.integers("multiplier", ...INT32, channels),
    shift: fields.integers("shift", ...SHIFT, channels),
  };
}

function packedBytes(count: number, weightBits: 8 | 4): number {
  return weightBits === 8 ? count : Math.ceil(count / 2);
}

function weights(fields: Fields, weightBits: 8 | 4, count: number, channels: number) {
  return {
    weightBits,
    filter: fields.int8("weights", packedBytes(count, weightBits)),
    bias: fields.int32OrNull("bias", channels),
  };
}

function inputOffset(params: Fields, field = "input_offset"): number {
  return params.integer(field, -128, 128);
}

/** D3: the bias of groups after the first. D1: what a strided row of pixels is padded with. D15 fails there. */
function convolutionStray(args: Conv2dArgs): Stray | undefined {
  const { bias, groups, outputDepth, inputHeight, filterHeight, strideWidth, weightBits } = args;
  if (groups > 1 && bias === null)
    return { name: "cmsis-nn-d3", sound: (i) => i % outputDepth < outputDepth / groups };
  if (inputHeight !== 1 || filterHeight !== 1) return undefined;
  if (weightBits === 4) return { name: "cmsis-nn-d15" };
  return strideWidth > 1 ? { name: "cmsis-nn-d1" } : undefined;
}

/** D4: the bias of channels from 124. */
function depthwiseStray({ bias, inputDepth, depthMultiplier }: DepthwiseConv2dArgs): Stray | undefined {
  const outputDepth = inputDepth * depthMultiplier;
  if (bias !== null || outputDepth <= 124) return undefined;
  return { name: "cmsis-nn-d4", sound: (i) => i % outputDepth < 124 };
}

const convolution =
  (weightBits: 8 | 4): Prepare =>
  (kernels, fields, requantizer) => {
    const params = fields.record("params");
    const [outputs, filterHeight, filterWidth, depth] = params.shape("filter_shape_ohwi", 4);
    const { batches, outputDepth, shape } = dilatedWindow(params, filterHeight, filterWidth, () => depth);
    const groups = params.integer("groups", 1, MAX_SIDE);
    if (outputs !== outputDepth || outputs % groups !== 0 || depth * groups !== shape.inputDepth) {
      params.fail(
        "filter_shape_ohwi",
        `filters of ${groups} groups from ${shape.inputDepth} to ${outputDepth} channels`,
      );
    }
    const args = {
      ...shape,
      ...output(params),
      ...fixedPoint(fields, requantizer, outputDepth),
      ...weights(fields, weightBits, outputs * filterHeight * filterWidth * depth, outputDepth),
      inputOffset: inputOffset(params),
      outputDepth,
      groups,
    };
    checkWork(fields, batches * OPS.CONV_2D.macs(args));
    const input = fields.int8("input", batches * shape.inputHeight * shape.inputWidth * shape.inputDepth);
    return {
      step: OPS.CONV_2D.prepare(kernels, args),
      inputs: [input],
      batches,
      quirks: () => quirkOutputs("CONV_2D", args, [input], batches),
      stray: convolutionStray(args),
    };
  };

const depthwise =
  (weightBits: 8 | 4): Prepare =>
  (kernels, fields, requantizer) => {
    const params = fields.record("params");
    const [one, filterHeight, filterWidth, outputs] = params.shape("filter_shape_1hwc", 4);
    const { batches, outputDepth, shape } = dilatedWindow(
      params,
      filterHeight,
      filterWidth,
      (depth) => depth + 7,
    );
    const depthMultiplier = params.integer("channel_multiplier", 1, MAX_SIDE);
    if (one !== 1 || outputs !== outputDepth || outputs !== shape.inputDepth * depthMultiplier) {
      params.fail("filter_shape_1hwc", `[1, h, w, ${shape.inputDepth} * ${depthMultiplier}]`);
    }
    const args = {
      ...shape,
      ...output(params),
      ...fixedPoint(fields, requantizer, outputDepth),
      ...weights(fields, weightBits, filterHeight * filterWidth * outputs, outputDepth),
      inputOffset: inputOffset(params),
      depthMultiplier,
    };
    checkWork(fields, batches * OPS.DEPTHWISE_CONV_2D.macs(args));
    const input = fields.int8("input", batches * shape.inputHeight * shape.inputWidth * shape.inputDepth);
    return {
      step: OPS.DEPTHWISE_CONV_2D.prepare(kernels, args),
      inputs: [input],
      batches,
      quirks: () => (weightBits === 4 ? quirkOutputs("DEPTHWISE_CONV_2D", args, [input], batches) : []),
      stray: depthwiseStray(args),
    };
  };

const fullyConnected =
  (weightBits: 8 | 4, perChannel: boolean): Prepare =>
  (kernels, fields, requantizer) => {
    const params = fields.record("params");
    const batches = params.integer("batch", 1, MAX_SIDE);
    const inputDepth = params.integer("input_features", 1, MAX_ELEMENTS);
    const outputDepth = params.integer("output_features", 1, MAX_ELEMENTS / inputDepth);
    if (batches * Math.max(inputDepth, outputDepth) > MAX_ELEMENTS) params.fail("batch", "a smaller tensor");
    const args = {
      ...output(params),
      ...fixedPoint(fields, requantizer, perChannel ? outputDepth : 1),
      ...weights(fields, weightBits, outputDepth * inputDepth, outputDepth),
      inputDepth,
      outputDepth,
      inputOffset: inputOffset(params),
      filterOffset: params.has("filter_offset") ? inputOffset(params, "filter_offset") : 0,
    };
    checkWork(fields, batches * OPS.FULLY_CONNECTED.macs(args));
    const input = fields.int8("input", batches * inputDepth);
    return {
      step: OPS.FULLY_CONNECTED.prepare(kernels, args),
      inputs: [input],
      batches,
      quirks: () => quirkOutputs("FULLY_CONNECTED", args, [input], batches),
    };
  };

/** Padding: as of the convolution that this one transposes. */
const transposeConvolution: Prepare = (kernels, fields, requantizer) => {
  const params = fields.record("params");
  const [outputs, filterHeight, filterWidth, depth] = params.shape("filter_shape_ohwi", 4);
  const { batches, outputDepth, shape } = window(params, filterHeight, filterWidth);
  if (outputs !== outputDepth || depth !== shape.inputDepth)
    params.fail("filter_shape_ohwi", `filters from ${shape.inputDepth} to ${outputDepth} channels`);
  if (shape.padTop >= filterHeight || shape.padLeft >= filterWidth)
    params.fail("pad_top", "padding below the filter's size");
  const args = {
    ...shape,
    ...output(params),
    ...fixedPoint(fields, requantizer, outputDepth),
    ...weights(fields, 8, outputs * filterHeight * filterWidth * depth, outputDepth),
    inputOffset: inputOffset(params),
    outputDepth,
  };
  const taps = filterHeight * filterWidth * depth * outputDepth;
  checkWork(fields, batches * shape.outputHeight * shape.outputWidth * taps);
  const input = fields.int8("input", batches * shape.inputHeight * shape.inputWidth * depth);
  return { step: OPS.TRANSPOSE_CONV.prepare(kernels, args), inputs: [input], batches };
};

const pool =
  (op: "AVERAGE_POOL_2D" | "MAX_POOL_2D"): Prepare =>
  (kernels, fields) => {
    const params = fields.record("params");
    const { batches, shape } = poolWindow(fields, params);
    const input = fields.int8("input", batches * shape.inputHeight * shape.inputWidth * shape.inputDepth);
    const step = OPS[op].prepare(kernels, { ...shape, ...activation(params) });
    return { step, inputs: [input], batches };
  };

function elementwise(fields: Fields, params: Fields) {
  const elements = params.integer("length", 1, MAX_ELEMENTS);
  return {
    inputs: [fields.int8("input", elements), fields.int8("input2", elements)],
    args: {
      ...output(params),
      elements,
      input1Offset: inputOffset(params, "input1_offset"),
      input2Offset: inputOffset(params, "input2_offset"),
    },
  };
}

const add: Prepare = (kernels, fields, requantizer) => {
  const params = fields.record("params");
  const { inputs, args: shared } = elementwise(fields, params);
  const args = {
    ...shared,
    requantizer,
    ...sumScaling(params),
  };
  const quirks = () => quirkOutputs("ADD", args, inputs, 1);
  return { step: OPS.ADD.prepare(kernels, args), inputs, batches: 1, quirks };
};

const mul: Prepare = (kernels, fields, requantizer) => {
  const params = fields.record("params");
  const { inputs, args } = elementwise(fields, params);
  const multiplier = [params.integer("output_multiplier", ...INT32)];
  const shift = [params.integer("output_shift", ...SHIFT)];
  return { step: OPS.MUL.prepare(kernels, { ...args, requantizer, multiplier, shift }), inputs, batches: 1 };
};

const softmax: Prepare = (kernels, fields) => {
  const params = fields.record("params");
  const rows = params.integer("num_rows", 1, MAX_SIDE);
  const rowSize = params.integer("row_size", 1, MAX_ELEMENTS / rows);
  const args = {
    rows,
    rowSize,
    form: "fixed-point" as const,
    multiplier: params.integer("mult", 0, INT32[1]),
    shift: params.integer("shift", 0, 31),
    diffMin: params.integer("diff_min", INT32[0], 0),
  };
  const inputs = [fields.int8("input", rows * rowSize)];
  const quirks = () => quirkOutputs("SOFTMAX", args, inputs, 1);
  return { step: OPS.SOFTMAX.prepare(kernels, args), inputs, batches: 1, quirks };
};

type Column = readonly [field: string, low: number, high: number];

/** A table of parallel arrays: columns go to the block's fields a, b, c. */
const table =
  (kernel: string, ...columns: Column[]): Prepare =>
  (kernels, fields) => {
    const [first, ...others] = columns;
    const a = fields.integers(...first);
    const inputs = [a, ...others.map((column) => fields.integers(...column, a.length))];
    const [addressA, addressB, addressC] = inputs.map((column) => kernels.place(Int32Array.from(column)));
    const values = { count: a.length, a: addressA, b: addressB, c: addressC };
    const params = writeParams(kernels, "Primitive", values);
    const step = {
      inputBytes: 0,
      outputBytes: a.length * 4,
      scratchBytes: 0,
      bind: (operands: Operands) => setParam(kernels, params, "Primitive", "result", operands.output),
      run: () => kernels.exports[kernel](params),
    };
    return { step, inputs: [], batches: 1 };
  };

const requantizeTable: Prepare = (kernels, fields, requantizer) =>
  table(
    requantizer === "tflite-double" ? "requantize_double_s32" : "requantize_single_s32",
    ["acc", ...INT32],
    ["multiplier", ...INT32],
    ["shift", ...SHIFT],
  )(kernels, fields, requantizer);

/** P5, and as D11 has it. */
const requantizeHelper =
  (name: keyof typeof REQUANTIZE_HELPERS): Prepare =>
  (kernels, fields, requantizer) => {
    const run = requantizeTable(kernels, fields, requantizer);
    const [acc, multiplier, shift] = ["acc", "multiplier", "shift"].map((field) =>
      fields.integers(field, ...INT32),
    );
    const helper = REQUANTIZE_HELPERS[name];
    const quirks = () => [
      ["cmsis-nn-d11", Int32Array.from(acc, (value, i) => helper(value, multiplier[i], shift[i]))] as [
        string,
        Values,
      ],
    ];
    return { ...run, quirks };
  };

/** Either of the two, by how many multipliers there are. */
const fullyConnectedWrapper: Prepare = (kernels, fields, requantizer) => {
  const channels = fields.record("params").integer("output_features", 1, MAX_ELEMENTS);
  const perChannel = channels > 1 && fields.length("multiplier") === channels;
  return fullyConnected(8, perChannel)(kernels, fields, requantizer);
};

export const PREPARE: Record<string, Prepare> = {
  arm_convolve_1x1_s8: convolution(8),
  arm_convolve_1x1_s8_fast: convolution(8),
  arm_convolve_1_x_n_s8: convolution(8),
  arm_convolve_1x1_s4: convolution(4),
  arm_convolve_1x1_s4_fast: convolution(4),
  arm_convolve_1_x_n_s4: convolution(4),
  arm_convolve_even_s4: convolution(4),
  arm_depthwise_conv_3x3_s8: depthwise(8),
  arm_depthwise_conv_s8_opt: depthwise(8),
  arm_depthwise_conv_s4_opt: depthwise(4),
  arm_transpose_conv_s8: transposeConvolution,
  arm_transpose_conv_wrapper_s8: transposeConvolution,
  arm_fully_connected_wrapper_s8: fullyConnectedWrapper,
  arm_requantize_mve: requantizeHelper("arm_requantize_mve"),
  arm_requantize_mve_32x4: requantizeHelper("arm_requantize_mve_32x4"),
  arm_requantize_mve_pred: requantizeHelper("arm_requantize_mve_pred"),
  arm_convolve_s8: convolution(8),
  arm_convolve_s4: convolution(4),
  arm_convolve_wrapper_s8: convolution(8),
  arm_convolve_wrapper_s4: convolution(4),
  arm_depthwise_conv_s8: depthwise(8),
  arm_depthwise_conv_s4: depthwise(4),
  arm_depthwise_conv_wrapper_s8: depthwise(8),
  arm_depthwise_conv_wrapper_s4: depthwise(4),
  arm_fully_connected_s8: fullyConnected(8, false),
  arm_fully_connected_s4: fullyConnected(4, false),
  arm_fully_connected_per_channel_s8: fullyConnected(8, true),
  arm_avgpool_s8: pool("AVERAGE_POOL_2D"),
  arm_max_pool_s8: pool("MAX_POOL_2D"),
  arm_elementwise_add_s8: add,
  arm_elementwise_mul_s8: mul,
  arm_softmax_s8: softmax,
  arm_nn_requantize: requantizeTable,
  arm_nn_doubling_high_mult: table("doubling_high_mult_s32", ["m1", ...INT32], ["m2", ...INT32]),
  arm_nn_doubling_high_mult_no_sat: table(
    "doubling_high_mult_no_sat_s32",
    ["m1", ...INT32],
    ["m2", ...INT32],
  ),
  arm_nn_divide_by_power_of_two: table(
    "divide_by_power_of_two_s32",
    ["dividend", ...INT32],
    ["exponent", 0, 31],
  ),
  arm_nn_exp_on_negative_values: table("exp_on_negative_values_s32", ["value", INT32[0], 0]),
  arm_nn_one_over_one_plus_x_for_x_in_0_1: table("one_over_one_plus_x_s32", ["value", 0, INT32[1]]),
  ...WIDE_PREPARE,
};
