import type { Node, OpName } from "../../model/graph.ts";
import type { Fields } from "./flatbuffer.ts";
import {
  activation,
  biasType,
  conv2d,
  depthwiseConv2d,
  type NodeOf,
  pool,
  transposeConv,
} from "./windows.ts";
import type { Row, TfliteWriter } from "./writer.ts";

type Rows = { [Op in OpName]: Row<NodeOf<Op>> };

/** An operator without options. */
const plain: Row = (writer, { op, inputs, outputs }) => {
  writer.make(op, inputs, outputs);
  return "";
};

/** pot_scale_int16 is true in files that do not say. */
const sum =
  (type: "AddOptions" | "SubOptions"): Row<NodeOf<"ADD" | "SUB">> =>
  (writer, { op, inputs, outputs, attributes }) => {
    const { powerOfTwoScales } = attributes;
    const fields: Fields = [
      [0, activation(attributes.activation)],
      [1, { int8: powerOfTwoScales ? 1 : 0 }],
    ];
    writer.make(op, inputs, outputs, { options: [type, fields], powerOfTwoScales });
    return "";
  };

const multiply: Row<NodeOf<"MUL">> = (writer, { op, inputs, outputs, attributes }) => {
  writer.make(op, inputs, outputs, { options: ["MulOptions", [[0, activation(attributes.activation)]]] });
  return "";
};

const fullyConnected: Row<NodeOf<"FULLY_CONNECTED">> = (writer, { op, inputs, outputs, attributes }) => {
  const [x, filter] = inputs.map((id) => writer.tensors[id]?.shape);
  const rank = writer.tensor(outputs[0]).shape.length;
  const keepDims = rank > 2 && rank === x.length && x.at(-1) === filter[1];
  const fields: Fields = [
    [0, activation(attributes.activation)],
    [1, { int8: 0 }],
    [2, { int8: keepDims ? 1 : 0 }],
    [4, biasType(writer, inputs[0], inputs[2])],
  ];
  writer.make(op, inputs, outputs, { options: ["FullyConnectedOptions", fields], keepDims });
  return "";
};

const mean: Row<NodeOf<"MEAN">> = (writer, { op, name, inputs, outputs, attributes }) => {
  const axes = writer.constant(`${name}/axes`, attributes.axes);
  const fields: Fields = [[0, { int8: attributes.keepDims ? 1 : 0 }]];
  writer.make(op, [inputs[0], axes], outputs, { options: ["ReducerOptions", fields] });
  return "";
};

/** PADV2 where the value is not zero. */
const pad: Row<NodeOf<"PAD">> = (writer, { name, inputs, outputs, attributes }) => {
  const { before, after, value } = attributes;
  const pairs = before.flatMap((size, i) => [size, after[i]]);
  const operands = [inputs[0], writer.constant(`${name}/paddings`, pairs, [before.length, 2])];
  if (value === undefined) writer.make("PAD", operands, outputs);
  else writer.make("PADV2", [...operands, padValue(writer, name, inputs[0], value)], outputs);
  return "";
};

function padValue(writer: TfliteWriter, name: string, x: number, value: number): number {
  const { dtype, quantization } = writer.tensor(x);
  const Codes = dtype === "int16" ? Int16Array : dtype === "uint8" ? Uint8Array : Int8Array;
  return writer.add({ name: `${name}/value`, shape: [1], dtype, quantization, data: Codes.of(value) });
}

/** -1 for the batch, so that a runtime may resize it. */
const reshape: Row<NodeOf<"RESHAPE">> = (writer, { op, name, inputs, outputs, attributes }) => {
  const shape = [-1, ...attributes.shape.slice(1)];
  const operands = [inputs[0], writer.constant(`${name}/shape`, shape)];
  writer.make(op, operands, outputs, { options: ["ReshapeOptions", [[0, { ints: shape }]]] });
  return "";
};

const concatenation: Row<NodeOf<"CONCATENATION">> = (writer, { op, inputs, outputs, attributes }) => {
  const fields: Fields = [
    [0, { int32: attributes.axis }],
    [1, activation(attributes.activation)],
  ];
  writer.make(op, inputs, outputs, { options: ["ConcatenationOptions", fields] });
  return "";
};

/** SPLIT_V where the parts differ. */
const split: Row<NodeOf<"SPLIT">> = (writer, { name, inputs, outputs, attributes }) => {
  const { axis, sizes } = attributes;
  const at = writer.constant(`${name}/axis`, [axis], []);
  const parts: Fields = [[0, { int32: sizes.length }]];
  if (sizes.every((size) => size === sizes[0]))
    writer.make("SPLIT", [at, inputs[0]], outputs, { options: ["SplitOptions", parts] });
  else {
    const operands = [inputs[0], writer.constant(`${name}/sizes`, sizes), at];
    writer.make("SPLIT_V", operands, outputs, { options: ["SplitVOptions", parts] });
  }
  return "";
};

/** Masks take the place of the batch's range, and of an end before the first element, which -1 does not say. */
const stridedSlice: Row<NodeOf<"STRIDED_SLICE">> = (writer, { op, name, inputs, outputs, attributes }) => {
  const { begin, end, strides, squeeze } = attributes;
  const bits = (axes: readonly number[]) => axes.reduce((mask, axis) => mask | (1 << axis), 0);
  const operands = [
    inputs[0],
    writer.constant(`${name}/begin`, begin),
    writer.constant(`${name}/end`, end),
    writer.constant(`${name}/strides`, strides),
  ];
  const fields: Fields = [
    [0, { int32: 1 }],
    [1, { int32: bits([0, ...end.flatMap((to, axis) => (to < 0 ? [axis] : []))]) }],
    [2, { int32: 0 }],
    [3, { int32: 0 }],
    [4, { int32: bits(squeeze) }],
  ];
  writer.make(op, operands, outputs, { options: ["StridedSliceOptions", fields] });
  return "";
};

const resize =
  (
    type: "ResizeBilinearOptions" | "ResizeNearestNeighborOptions",
    firstFlag: number,
  ): Row<NodeOf<"RESIZE_BILINEAR" | "RESIZE_NEAREST_NEIGHBOR">> =>
  (writer, { op, name, inputs, outputs, attributes }) => {
    const { height, width, alignCorners, halfPixelCenters } = attributes;
    const size = writer.constant(`${name}/size`, [height, width]);
    const fields: Fields = [
      [firstFlag, { int8: alignCorners ? 1 : 0 }],
      [firstFlag + 1, { int8: halfPixelCenters ? 1 : 0 }],
    ];
    const centered = halfPixelCenters || (op === "RESIZE_NEAREST_NEIGHBOR" && alignCorners);
    writer.make(op, [inputs[0], size], outputs, { options: [type, fields], centered });
    return "";
  };

/** x * gamma / sqrt(variance + epsilon) + what is left, as MUL and ADD: TFLite has no such operator. */
const batchNormalization: Row<NodeOf<"BATCH_NORMALIZATION">> = (
  writer,
  { name, inputs, outputs, attributes },
) => {
  const [gamma, beta, mean, variance] = inputs.slice(1).map((id) => writer.tensor(id).data as Float32Array);
  const factor = gamma.map((value, c) => value / Math.sqrt(variance[c] + attributes.epsilon));
  const offset = beta.map((value, c) => value - mean[c] * factor[c]);
  const { shape } = writer.tensor(outputs[0]);
  const float32 = (part: string, data: Float32Array) =>
    writer.add({ name: `${name}/${part}`, shape: [data.length], dtype: "float32", data });
  const scaled = writer.add({ name: `${name}/scaled`, shape, dtype: "float32" });
  const fused = (kind: typeof attributes.activation): Fields => [[0, activation(kind)]];
  writer.make("MUL", [inputs[0], float32("factor", factor)], [scaled], {
    options: ["MulOptions", fused("NONE")],
  });
  writer.make("ADD", [scaled, float32("offset", offset)], outputs, {
    options: ["AddOptions", fused(attributes.activation)],
  });
  return "";
};

/** How TFLite says each op of the Graph. Field ids as in the importer's rows. */
export const ROWS: Rows = {
  CONV_2D: conv2d,
  DEPTHWISE_CONV_2D: depthwiseConv2d,
  TRANSPOSE_CONV: transposeConv,
  FULLY_CONNECTED: fullyConnected,
  ADD: sum("AddOptions"),
  SUB: sum("SubOptions"),
  MUL: multiply,
  AVERAGE_POOL_2D: pool,
  MAX_POOL_2D: pool,
  MEAN: mean,
  SOFTMAX: (writer, { op, inputs, outputs, attributes }) => {
    writer.make(op, inputs, outputs, { options: ["SoftmaxOptions", [[0, { float32: attributes.beta }]]] });
    return "";
  },
  LEAKY_RELU: (writer, { op, inputs, outputs, attributes }) => {
    writer.make(op, inputs, outputs, {
      options: ["LeakyReluOptions", [[0, { float32: attributes.alpha }]]],
    });
    return "";
  },
  PAD: pad,
  RESHAPE: reshape,
  TRANSPOSE: (writer, { op, name, inputs, outputs, attributes }) => {
    const permutation = writer.constant(`${name}/permutation`, attributes.permutation);
    writer.make(op, [inputs[0], permutation], outputs);
    return "";
  },
  CONCATENATION: concatenation,
  SPLIT: split,
  STRIDED_SLICE: stridedSlice,
  RESIZE_BILINEAR: resize("ResizeBilinearOptions", 2),
  RESIZE_NEAREST_NEIGHBOR: resize("ResizeNearestNeighborOptions", 0),
  BATCH_NORMALIZATION: batchNormalization,
  QUANTIZE: plain,
  DEQUANTIZE: plain,
  RELU: plain,
  RELU6: plain,
  RELU_N1_TO_1: plain,
  LOGISTIC: plain,
  TANH: plain,
  HARD_SWISH: plain,
  LOG_SOFTMAX: plain,
  PRELU: plain,
  CAST: plain,
  BATCH_MATMUL: (writer, { op, inputs, outputs, attributes }) => {
    const { adjX, adjY, alpha } = attributes;
    if (alpha !== undefined) return "a factor of the sums";
    const fields: Fields = [
      [0, { int8: adjX ? 1 : 0 }],
      [1, { int8: adjY ? 1 : 0 }],
    ];
    writer.make(op, inputs, outputs, { options: ["BatchMatMulOptions", fields] });
    return "";
  },
};

/** Writes a node of any op. */
export const writeNode: Row = (writer: TfliteWriter, node: Node) => (ROWS[node.op] as Row)(writer, node);
