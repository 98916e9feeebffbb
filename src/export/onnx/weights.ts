import { type Node, type OpName, type Padding, type Tensor, windowAxis } from "../../model/graph.ts";
import type { OnnxWriter, Row } from "./writer.ts";

export type NodeOf<Op extends OpName> = Extract<Node, { op: Op }>;

const FIRST = "nchw";

interface Window {
  strideHeight: number;
  strideWidth: number;
  padding: Padding;
  dilationHeight?: number;
  dilationWidth?: number;
}

/** TFLite's padding as ONNX's [top, left, bottom, right]. */
export function pads(x: Tensor, filter: readonly [number, number], window: Window, output: Tensor): number[] {
  const { padding, strideHeight, strideWidth, dilationHeight = 1, dilationWidth = 1 } = window;
  if (typeof padding !== "string") return [padding[0], padding[2], padding[1], padding[3]];
  const along = (a: 1 | 2, size: number, stride: number, dilation: number) => {
    const { before } = windowAxis(x.shape[a], size, stride, dilation, padding);
    const extent = (output.shape[a] - 1) * stride + (size - 1) * dilation + 1;
    return [before, Math.max(0, extent - x.shape[a] - before)];
  };
  const [top, bottom] = along(1, filter[0], strideHeight, dilationHeight);
  const [left, right] = along(2, filter[1], strideWidth, dilationWidth);
  return padding === "VALID" ? [0, 0, 0, 0] : [top, left, bottom, right];
}

function bias(writer: OnnxWriter, node: Node): string[] {
  const id = node.inputs[2];
  return id === undefined || id < 0 ? [] : [writer.real(id, "plain")];
}

function refuseWeights(writer: OnnxWriter, node: Node): string {
  const [x, filter] = node.inputs.map((id) => writer.tensor(id));
  if (!filter.data) return "filter: needs to be a constant";
  if (x.dtype === "float32" && filter.dtype !== "float32") return "dynamic quantization of a convolution";
  return writer.tensor(node.outputs[0]).dtype === "int32" ? "output: int32 accumulators" : "";
}

/** order: of the filter's axes in ONNX. */
export const convolution =
  (order: readonly number[]): Row<NodeOf<"CONV_2D" | "DEPTHWISE_CONV_2D">> =>
  (writer, node) => {
    const reason = refuseWeights(writer, node);
    if (reason !== "") return reason;
    const [input, filter] = node.inputs;
    const [x, w] = [writer.tensor(input), writer.tensor(filter)];
    const { strideHeight, strideWidth, dilationHeight, dilationWidth, activation } = node.attributes;
    const [, height, width] = w.shape;
    const attributes = {
      kernel_shape: [height, width],
      strides: [strideHeight, strideWidth],
      dilations: [dilationHeight, dilationWidth],
      pads: pads(x, [height, width], node.attributes, writer.tensor(node.outputs[0])),
      group: node.op === "CONV_2D" ? x.shape[3] / w.shape[3] : x.shape[3],
    };
    const operands = [writer.real(input, FIRST), writer.weights(filter, order), ...bias(writer, node)];
    writer.make(node.outputs[0], FIRST, "Conv", operands, attributes, { activation });
    return "";
  };

export const transposeConvolution: Row<NodeOf<"TRANSPOSE_CONV">> = (writer, node) => {
  const reason = refuseWeights(writer, node);
  if (reason !== "") return reason;
  const [input, filter] = node.inputs;
  const [x, w, y] = [writer.tensor(input), writer.tensor(filter), writer.tensor(node.outputs[0])];
  const { strideHeight, strideWidth, padding, activation } = node.attributes;
  const [, height, width] = w.shape;
  // The convolution that this transposes reads y and makes x.
  const [top, left, bottom, right] = pads(y, [height, width], { strideHeight, strideWidth, padding }, x);
  const extra = (size: number, stride: number, from: number, filterSize: number, total: number) =>
    size - (stride * (from - 1) + filterSize - total);
  const attributes = {
    kernel_shape: [height, width],
    strides: [strideHeight, strideWidth],
    pads: [top, left, bottom, right],
    output_padding: [
      extra(y.shape[1], strideHeight, x.shape[1], height, top + bottom),
      extra(y.shape[2], strideWidth, x.shape[2], width, left + right),
    ],
  };
  const operands = [writer.real(input, FIRST), writer.weights(filter, [3, 0, 1, 2]), ...bias(writer, node)];
  writer.make(node.outputs[0], FIRST, "ConvTranspose", operands, attributes, { activation });
  return "";
};

/** x as [images, depth]. */
function rows(writer: OnnxWriter, id: number, depth: number): string {
  const { shape, dtype, quantization } = writer.tensor(id);
  if (shape.length === 2) return writer.real(id, "plain");
  const flat = writer.fresh("rows");
  writer.add("Reshape", [writer.codes(id, "plain"), writer.ints("shape", [-1, depth])], flat);
  if (dtype === "float32" || !quantization) return flat;
  return writer.add(
    "DequantizeLinear",
    [flat, ...writer.scales(flat, quantization, dtype)],
    writer.fresh("rows"),
  );
}

export const fullyConnected: Row<NodeOf<"FULLY_CONNECTED">> = (writer, node) => {
  const [input, filter] = node.inputs;
  const [x, w] = [writer.tensor(input), writer.tensor(filter)];
  const { activation } = node.attributes;
  if (!w.data) return "filter: needs to be a constant";
  if (writer.tensor(node.outputs[0]).dtype === "int32") return "output: int32 accumulators";
  if (x.shape.length > 2 && x.shape.length === writer.tensor(node.outputs[0]).shape.length) {
    const reason = matrix(writer, node);
    if (reason !== undefined) return reason;
  }
  const flat = rows(writer, input, w.shape[1]);
  if (x.dtype === "float32" && w.dtype !== "float32") return dynamic(writer, node, flat);
  const operands = [flat, writer.weights(filter, [0, 1]), ...bias(writer, node)];
  writer.make(node.outputs[0], "plain", "Gemm", operands, { transB: 1 }, { activation });
  return "";
};

/** Rows of more than two dimensions: MatMul, and an Add for the bias. undefined for what is no plain float product. */
function matrix(writer: OnnxWriter, node: NodeOf<"FULLY_CONNECTED">): string | undefined {
  const [input, filter] = node.inputs;
  const [output] = node.outputs;
  const isFloat = [input, filter, output].every((id) => writer.tensor(id).dtype === "float32");
  if (!isFloat) return undefined;
  const { activation } = node.attributes;
  const operands = [writer.real(input, "plain"), writer.weights(filter, [1, 0])];
  const addend = bias(writer, node);
  if (addend.length === 0) writer.make(output, "plain", "MatMul", operands, {}, { activation });
  else {
    const product = writer.add("MatMul", operands, writer.fresh("product"));
    writer.make(output, "plain", "Add", [product, addend[0]], {}, { activation });
  }
  return "";
}

/** ONNX Runtime's form: DynamicQuantizeLinear, MatMulInteger, Cast, Mul by both scales, Add. */
function dynamic(writer: OnnxWriter, node: NodeOf<"FULLY_CONNECTED">, x: string): string {
  const w = writer.tensor(node.inputs[1]);
  if (w.dtype === "int4") return "dynamic quantization with int4 weights";
  const [output] = node.outputs;
  const weights = writer.storedWeights(node.inputs[1], [1, 0]);
  const [scale, zeroPoint] = writer.scales(weights, w.quantization!, w.dtype);
  const [q, qs, qz] = ["codes", "scale", "zero_point"].map((what) => writer.fresh(what));
  writer.addMany("DynamicQuantizeLinear", [x], [q, qs, qz]);
  const sum = writer.add("MatMulInteger", [q, weights, qz, zeroPoint], writer.fresh("sum"));
  const float = writer.add("Cast", [sum], writer.fresh("float"), { to: 1 });
  const factor = writer.add("Mul", [qs, scale], writer.fresh("factor"));
  const addend = bias(writer, node);
  const { activation } = node.attributes;
  if (addend.length === 0) writer.make(output, "plain", "Mul", [float, factor], {}, { activation });
  else {
    const product = writer.add("Mul", [float, factor], writer.fresh("product"));
    writer.make(output, "plain", "Add", [product, addend[0]], {}, { activation });
  }
  return "";
}
