import { ACTIVATIONS, PADDINGS, TENSOR_TYPES } from "../../import/tflite/schema.ts";
import { type Activation, type Node, type Padding, type Tensor, windowAxis } from "../../model/graph.ts";
import type { Field } from "./flatbuffer.ts";
import type { Row, TfliteWriter } from "./writer.ts";

export type NodeOf<Op> = Extract<Node, { op: Op }>;

export const activation = (name: Activation): Field => ({ int8: ACTIVATIONS.indexOf(name) });
const paddingField = (name: "SAME" | "VALID"): Field => ({ int8: PADDINGS.indexOf(name) });
const strides = (attributes: { strideWidth: number; strideHeight: number }) =>
  [
    [1, { int32: attributes.strideWidth }],
    [2, { int32: attributes.strideHeight }],
  ] as const;

const sameQuantization = ({ quantization: a }: Tensor, { quantization: b }: Tensor) =>
  a?.scale[0] === b?.scale[0] && a?.zeroPoint[0] === b?.zeroPoint[0];

/** quantized_bias_type, which int16 needs to be told of an int32 bias. */
export function biasType(writer: TfliteWriter, x: number, bias = -1): Field | undefined {
  const isNarrow = writer.tensor(x).dtype === "int16" && bias !== -1 && writer.tensor(bias).dtype === "int32";
  return isNarrow ? { int8: TENSOR_TYPES.indexOf("int32") } : undefined;
}

interface Window {
  height: number;
  width: number;
  strideHeight: number;
  strideWidth: number;
  dilationHeight: number;
  dilationWidth: number;
}

/** Explicit pads by the name that TFLite has for them; undefined where it has none. */
function namedPadding(padding: Padding, x: readonly number[], window: Window): "SAME" | "VALID" | undefined {
  if (padding === "SAME" || padding === "VALID") return padding;
  if (padding.every((pad) => pad === 0)) return "VALID";
  const axes = [
    [x[1], window.height, window.strideHeight, window.dilationHeight],
    [x[2], window.width, window.strideWidth, window.dilationWidth],
  ];
  const same = axes.flatMap(([size, filter, stride, dilation]) => {
    const { output, before } = windowAxis(size, filter, stride, dilation, "SAME");
    const total = Math.max((output - 1) * stride + (filter - 1) * dilation + 1 - size, 0);
    return [before, total - before];
  });
  return padding.every((pad, i) => pad === same[i]) ? "SAME" : undefined;
}

/**
 * A PAD of x before a convolution, whose sums it does not change: pads are zeros. Returns the padded tensor.
 * pads: [top, bottom, left, right].
 */
function padded(writer: TfliteWriter, id: number, pads: Exclude<Padding, string>): number {
  const { name, shape, data: _, ...rest } = writer.tensor(id);
  const [top, bottom, left, right] = pads;
  const sizes = [shape[0], shape[1] + top + bottom, shape[2] + left + right, shape[3]];
  const output = writer.add({ ...rest, name: `${name}/padded`, shape: sizes });
  const paddings = writer.constant(`${name}/paddings`, [0, 0, top, bottom, left, right, 0, 0], [4, 2]);
  writer.make("PAD", [id, paddings], [output]);
  return output;
}

/** x and the name of the padding, x padded first where there is none. */
function placed(
  writer: TfliteWriter,
  { inputs, attributes }: NodeOf<"CONV_2D" | "DEPTHWISE_CONV_2D">,
): { x: number; padding: "SAME" | "VALID" } {
  const [x, filter] = inputs;
  const [, height, width] = writer.tensor(filter).shape;
  const { padding: given } = attributes;
  const padding = namedPadding(given, writer.tensor(x).shape, { ...attributes, height, width });
  if (padding) return { x, padding };
  return { x: padded(writer, x, given as Exclude<Padding, string>), padding: "VALID" };
}

/**
 * The operands of a convolution, with a bias of zeros where it has none: LiteRT.js 2.5.3 computes nothing without one.
 * Sums of int16 stay without: there the bias's type says how wide they are.
 */
function biased(writer: TfliteWriter, node: NodeOf<"CONV_2D" | "DEPTHWISE_CONV_2D">, x: number): number[] {
  const [, filter, bias = -1] = node.inputs;
  const { dtype, quantization } = writer.tensor(x);
  if (bias !== -1 || dtype === "int16") return [x, filter, bias];
  const channels = writer.tensor(node.outputs[0]).shape[3];
  const name = `${node.name}/bias`;
  if (dtype === "float32")
    return [x, filter, writer.add({ name, shape: [channels], dtype, data: new Float32Array(channels) })];
  const scale = writer.tensor(filter).quantization!.scale.map((s) => s * quantization!.scale[0]);
  const codes = { scale, zeroPoint: new Int32Array(scale.length), ...(scale.length > 1 && { axis: 0 }) };
  const zeros = writer.constant(name, new Array<number>(channels).fill(0));
  writer.tensors[zeros] = { ...writer.tensor(zeros), quantization: codes };
  return [x, filter, zeros];
}

export const conv2d: Row<NodeOf<"CONV_2D">> = (writer, node) => {
  const { attributes, outputs } = node;
  const { x, padding } = placed(writer, node);
  const fields = [
    [0, paddingField(padding)],
    ...strides(attributes),
    [3, activation(attributes.activation)],
    [4, { int32: attributes.dilationWidth }],
    [5, { int32: attributes.dilationHeight }],
    [6, biasType(writer, x, node.inputs[2])],
  ] as const;
  writer.make("CONV_2D", biased(writer, node, x), outputs, { options: ["Conv2DOptions", fields] });
  return "";
};

export const depthwiseConv2d: Row<NodeOf<"DEPTHWISE_CONV_2D">> = (writer, node) => {
  const { attributes, outputs } = node;
  const { x, padding } = placed(writer, node);
  const fields = [
    [0, paddingField(padding)],
    ...strides(attributes),
    [3, { int32: attributes.depthMultiplier }],
    [4, activation(attributes.activation)],
    [5, { int32: attributes.dilationWidth }],
    [6, { int32: attributes.dilationHeight }],
  ] as const;
  const operands = biased(writer, node, x);
  writer.make("DEPTHWISE_CONV_2D", operands, outputs, { options: ["DepthwiseConv2DOptions", fields] });
  return "";
};

export const pool: Row<NodeOf<"AVERAGE_POOL_2D" | "MAX_POOL_2D">> = (writer, node) => {
  const { op, attributes, inputs, outputs } = node;
  const { filterHeight: height, filterWidth: width } = attributes;
  const window = { ...attributes, height, width, dilationHeight: 1, dilationWidth: 1 };
  const padding = namedPadding(attributes.padding, writer.tensor(inputs[0]).shape, window);
  if (!padding) return `padding [${attributes.padding}], neither SAME nor VALID`;
  const fields = [
    [0, paddingField(padding)],
    ...strides(attributes),
    [3, { int32: width }],
    [4, { int32: height }],
    [5, activation(attributes.activation)],
  ] as const;
  const [x, y] = [writer.tensor(inputs[0]), writer.tensor(outputs[0])];
  if (sameQuantization(x, y)) {
    writer.make(op, inputs, outputs, { options: ["Pool2DOptions", fields] });
    return "";
  }
  if (attributes.activation !== "NONE") return "an activation with an output scale of its own";
  // TFLite's pools have one scale.
  const pooled = writer.add({ ...y, name: `${y.name}/pooled`, quantization: x.quantization });
  writer.make(op, inputs, [pooled], { options: ["Pool2DOptions", fields] });
  writer.make("QUANTIZE", [pooled], outputs);
  return "";
};

/** TFLite's operands: output shape, filter, x, bias. */
export const transposeConv: Row<NodeOf<"TRANSPOSE_CONV">> = (writer, node) => {
  const { attributes, inputs, outputs, name } = node;
  const { padding, outputShape } = attributes;
  if (padding !== "SAME" && padding !== "VALID") return `padding [${padding}], neither SAME nor VALID`;
  const [x, filter, ...bias] = inputs;
  const shape = writer.constant(`${name}/output_shape`, [1, ...outputShape.slice(1)]);
  const fields = [
    [0, paddingField(padding)],
    ...strides(attributes),
    [3, activation(attributes.activation)],
    [4, biasType(writer, x, bias[0])],
  ] as const;
  writer.make("TRANSPOSE_CONV", [shape, filter, x, ...bias], outputs, {
    options: ["TransposeConvOptions", fields],
  });
  return "";
};
