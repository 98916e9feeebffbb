import { isGlobalPool, type Node, type OpName, type Tensor } from "../../model/graph.ts";
import { convolution, fullyConnected, type NodeOf, pads, transposeConvolution } from "./weights.ts";
import type { Layout, OnnxWriter, Row } from "./writer.ts";

type Rows = { [Op in OpName]: Row<NodeOf<Op>> };

const FIRST = "nchw";
/** Axes of an NHWC image in NCHW. */
const AXIS_IN_FIRST = [0, 2, 3, 1];
const axisIn = (layout: Layout, axis: number) => (layout === FIRST ? AXIS_IN_FIRST[axis] : axis);
/** One entry a dimension of an NHWC image, in NCHW's order. */
const inLayout = (layout: Layout, values: readonly number[]) =>
  layout === FIRST ? [values[0], values[3], values[1], values[2]] : [...values];

/** The layout for an op of several operands: channels first where none of them needs a Transpose for it. */
function common(writer: OnnxWriter, ids: readonly number[]): Layout {
  const activations = ids.filter((id) => !writer.tensor(id).data);
  const areImages = activations.every((id) => writer.isImage(id));
  const constantsFit = ids.every(
    (id) => !writer.tensor(id).data || [1, 4].includes(writer.tensor(id).shape.length),
  );
  const some = activations.some((id) => writer.layoutOf(id) === FIRST);
  return areImages && constantsFit && some ? FIRST : "plain";
}

const binary =
  (opType: string): Row<NodeOf<"ADD" | "SUB" | "MUL">> =>
  (writer, node) => {
    const layout = common(writer, node.inputs);
    const operands = node.inputs.map((id) => writer.real(id, layout));
    writer.make(node.outputs[0], layout, opType, operands, {}, node.attributes);
    return "";
  };

const unary =
  (opType: string, attributes: (node: Node) => Record<string, { float: number }> = () => ({})): Row =>
  (writer, node) => {
    const layout = common(writer, node.inputs);
    writer.make(node.outputs[0], layout, opType, [writer.real(node.inputs[0], layout)], attributes(node));
    return "";
  };

const clipped =
  (activation: "RELU6" | "RELU_N1_TO_1"): Row =>
  (writer, node) => {
    const layout = common(writer, node.inputs);
    writer.make(
      node.outputs[0],
      layout,
      "Identity",
      [writer.real(node.inputs[0], layout)],
      {},
      { activation },
    );
    return "";
  };

const pool =
  (opType: string): Row<NodeOf<"AVERAGE_POOL_2D" | "MAX_POOL_2D">> =>
  (writer, node) => {
    const [input] = node.inputs;
    const { filterHeight, filterWidth, strideHeight, strideWidth, activation } = node.attributes;
    const attributes = {
      kernel_shape: [filterHeight, filterWidth],
      strides: [strideHeight, strideWidth],
      pads: pads(
        writer.tensor(input),
        [filterHeight, filterWidth],
        node.attributes,
        writer.tensor(node.outputs[0]),
      ),
    };
    writer.make(node.outputs[0], FIRST, opType, [writer.real(input, FIRST)], attributes, { activation });
    return "";
  };

const mean: Row<NodeOf<"MEAN">> = (writer, node) => {
  const [input] = node.inputs;
  const { axes, keepDims } = node.attributes;
  if (writer.isImage(input) && isGlobalPool(node.attributes, 4)) {
    writer.make(node.outputs[0], FIRST, "GlobalAveragePool", [writer.real(input, FIRST)]);
    return "";
  }
  const operands = [writer.real(input, "plain")];
  const isOld = writer.opset < 18;
  if (!isOld) operands.push(writer.ints("axes", axes));
  const attributes = { keepdims: Number(keepDims), ...(isOld && { axes }) };
  writer.make(node.outputs[0], "plain", "ReduceMean", operands, attributes);
  return "";
};

const softmax =
  (opType: string): Row<NodeOf<"SOFTMAX" | "LOG_SOFTMAX">> =>
  (writer, node) => {
    const [input] = node.inputs;
    const beta = node.op === "SOFTMAX" ? node.attributes.beta : 1;
    const x = writer.real(input, "plain");
    const scaled =
      beta === 1
        ? x
        : writer.add("Mul", [x, writer.floats(`beta/${beta}`, [], [beta])], writer.fresh("scaled"));
    writer.make(node.outputs[0], "plain", opType, [scaled], { axis: -1 });
    return "";
  };

const pad: Row<NodeOf<"PAD">> = (writer, node) => {
  const layout = common(writer, node.inputs);
  const { before, after } = node.attributes;
  const amounts = writer.ints("pads", [...inLayout(layout, before), ...inLayout(layout, after)]);
  writer.make(node.outputs[0], layout, "Pad", [writer.real(node.inputs[0], layout), amounts]);
  return "";
};

/** Ops that move codes: without DequantizeLinear where input and output have one scale, as they have. */
const reshape: Row<NodeOf<"RESHAPE">> = (writer, node) => {
  const shape = writer.ints("shape", [-1, ...writer.tensor(node.outputs[0]).shape.slice(1)]);
  const [output] = node.outputs;
  writer.add("Reshape", [writer.codes(node.inputs[0], "plain"), shape], writer.target(output, "plain"));
  return "";
};

const transpose: Row<NodeOf<"TRANSPOSE">> = (writer, node) => {
  const codes = writer.codes(node.inputs[0], "plain");
  writer.add("Transpose", [codes], writer.target(node.outputs[0], "plain"), {
    perm: node.attributes.permutation,
  });
  return "";
};

const concatenation: Row<NodeOf<"CONCATENATION">> = (writer, node) => {
  const layout = common(writer, node.inputs);
  const operands = node.inputs.map((id) => writer.real(id, layout));
  const { axis, activation } = node.attributes;
  writer.make(node.outputs[0], layout, "Concat", operands, { axis: axisIn(layout, axis) }, { activation });
  return "";
};

const split: Row<NodeOf<"SPLIT">> = (writer, node) => {
  const layout = common(writer, node.inputs);
  const { axis, sizes } = node.attributes;
  const outputs = node.outputs.map((id) => writer.target(id, layout));
  const operands = [writer.codes(node.inputs[0], layout), writer.ints("sizes", sizes)];
  writer.addMany("Split", operands, outputs, { axis: axisIn(layout, axis) });
  return "";
};

const slice: Row<NodeOf<"STRIDED_SLICE">> = (writer, node) => {
  const { begin, end, strides, squeeze } = node.attributes;
  if (squeeze.includes(0)) return "squeeze: the batch stays";
  if (strides.some((stride) => stride < 1)) return "strides: need to be positive";
  const axes = begin.map((_, axis) => axis).slice(1);
  const [starts, ends, steps] = [begin, end, strides].map((list) => writer.ints("slice", list.slice(1)));
  const [output] = node.outputs;
  const target = writer.target(output, "plain");
  const cut = squeeze.length === 0 ? target : writer.fresh("slice");
  writer.add(
    "Slice",
    [writer.codes(node.inputs[0], "plain"), starts, ends, writer.ints("axes", axes), steps],
    cut,
  );
  if (squeeze.length > 0)
    writer.add("Reshape", [cut, writer.ints("shape", [-1, ...writer.tensor(output).shape.slice(1)])], target);
  return "";
};

const resize =
  (mode: "nearest" | "linear"): Row<NodeOf<"RESIZE_NEAREST_NEIGHBOR" | "RESIZE_BILINEAR">> =>
  (writer, node) => {
    const [input] = node.inputs;
    const { height, width, alignCorners, halfPixelCenters } = node.attributes;
    const x = writer.tensor(input);
    const coordinates = alignCorners
      ? "align_corners"
      : !halfPixelCenters
        ? "asymmetric"
        : mode === "nearest"
          ? "tf_half_pixel_for_nn"
          : "half_pixel";
    const rounding = alignCorners ? "round_prefer_ceil" : "floor";
    const scales = writer.floats(
      `resize/${node.outputs[0]}`,
      [4],
      [1, 1, height / x.shape[1], width / x.shape[2]],
    );
    writer.make(node.outputs[0], FIRST, "Resize", [writer.real(input, FIRST), "", scales], {
      mode,
      coordinate_transformation_mode: coordinates,
      ...(mode === "nearest" && { nearest_mode: rounding }),
    });
    return "";
  };

const hardSwish: Row = (writer, node) => {
  const layout = common(writer, node.inputs);
  const x = writer.real(node.inputs[0], layout);
  const gate = writer.add("HardSigmoid", [x], writer.fresh("gate"), {
    alpha: { float: 1 / 6 },
    beta: { float: 0.5 },
  });
  writer.make(node.outputs[0], layout, "Mul", [x, gate]);
  return "";
};

const prelu: Row<NodeOf<"PRELU">> = (writer, node) => {
  const layout = common(writer, node.inputs);
  writer.make(
    node.outputs[0],
    layout,
    "PRelu",
    node.inputs.map((id) => writer.real(id, layout)),
  );
  return "";
};

const normalization: Row<NodeOf<"BATCH_NORMALIZATION">> = (writer, node) => {
  const [input, ...moments] = node.inputs;
  const layout = writer.isImage(input) ? FIRST : "plain";
  const operands = [writer.real(input, layout), ...moments.map((id) => writer.real(id, "plain"))];
  const { epsilon, activation } = node.attributes;
  writer.make(
    node.outputs[0],
    layout,
    "BatchNormalization",
    operands,
    { epsilon: { float: epsilon } },
    { activation },
  );
  return "";
};

/** The last two dimensions of an operand the other way round. */
function turned(writer: OnnxWriter, id: number): string {
  const { shape } = writer.tensor(id);
  const perm = shape.map((_, i) => (i < shape.length - 2 ? i : 2 * shape.length - 3 - i));
  return writer.add("Transpose", [writer.real(id, "plain")], writer.fresh("turned"), { perm });
}

const batchMatMul: Row<NodeOf<"BATCH_MATMUL">> = (writer, node) => {
  const { adjX, adjY, alpha } = node.attributes;
  if (alpha !== undefined) return "a factor of the sums";
  const operands = node.inputs.map((id, i) =>
    [adjX, adjY][i] ? turned(writer, id) : writer.real(id, "plain"),
  );
  writer.make(node.outputs[0], "plain", "MatMul", operands);
  return "";
};

const cast: Row = (writer, node) => {
  const { dtype } = writer.tensor(node.outputs[0]);
  const types: Partial<Record<Tensor["dtype"], number>> = {
    float32: 1,
    uint8: 2,
    int8: 3,
    int16: 5,
    int32: 6,
    int64: 7,
  };
  const to = types[dtype];
  if (to === undefined) return `output: ${dtype}`;
  const layout = common(writer, node.inputs);
  writer.add("Cast", [writer.codes(node.inputs[0], layout)], writer.target(node.outputs[0], layout), { to });
  return "";
};

const quantize: Row = (writer, node) => {
  const [output] = node.outputs;
  const { dtype, quantization } = writer.tensor(output);
  const layout = common(writer, node.inputs);
  const x = writer.real(node.inputs[0], layout);
  const target = writer.target(output, layout);
  writer.add("QuantizeLinear", [x, ...writer.scales(target, quantization!, dtype)], target);
  return "";
};

const dequantize: Row = (writer, node) => {
  const [input] = node.inputs;
  const layout = common(writer, node.inputs);
  writer.real(input, layout, writer.target(node.outputs[0], layout));
  return "";
};

/** How each op of a Graph is written. */
export const ROWS: Rows = {
  CONV_2D: convolution([0, 3, 1, 2]),
  DEPTHWISE_CONV_2D: convolution([3, 0, 1, 2]),
  TRANSPOSE_CONV: transposeConvolution,
  FULLY_CONNECTED: fullyConnected,
  ADD: binary("Add"),
  SUB: binary("Sub"),
  MUL: binary("Mul"),
  AVERAGE_POOL_2D: pool("AveragePool"),
  MAX_POOL_2D: pool("MaxPool"),
  MEAN: mean,
  SOFTMAX: softmax("Softmax"),
  LOG_SOFTMAX: softmax("LogSoftmax"),
  PAD: pad,
  RESHAPE: reshape,
  TRANSPOSE: transpose,
  CONCATENATION: concatenation,
  SPLIT: split,
  STRIDED_SLICE: slice,
  RESIZE_NEAREST_NEIGHBOR: resize("nearest"),
  RESIZE_BILINEAR: resize("linear"),
  QUANTIZE: quantize,
  DEQUANTIZE: dequantize,
  RELU: unary("Relu"),
  RELU6: clipped("RELU6"),
  RELU_N1_TO_1: clipped("RELU_N1_TO_1"),
  LOGISTIC: unary("Sigmoid"),
  TANH: unary("Tanh"),
  HARD_SWISH: hardSwish,
  LEAKY_RELU: unary("LeakyRelu", (node) => ({
    alpha: { float: (node as NodeOf<"LEAKY_RELU">).attributes.alpha },
  })),
  PRELU: prelu,
  CAST: cast,
  BATCH_NORMALIZATION: normalization,
  BATCH_MATMUL: batchMatMul,
};
