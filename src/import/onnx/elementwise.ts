import type { Attributes, OpName } from "../../model/graph.ts";
import { type Activation, identityOrder, type Value } from "./builder.ts";
import { type Constant, constantOf } from "./constants.ts";
import { refuse } from "./refusal.ts";
import { dataTypeName } from "./schema.ts";
import type { Row, Rows, Site } from "./site.ts";
import { HELD_AS } from "./tensor.ts";
import { withLast } from "./windows.ts";

/** An op of one operand that keeps its shape, so that it works in any layout. */
const unary =
  <Op extends OpName>(op: Op, attributes: (site: Site) => Attributes[Op]): Row =>
  (site) => {
    const { tensor, order } = site.activation(0);
    return [{ kind: "activation", tensor: site.builder.emit(op, [tensor], attributes(site)), order }];
  };
const none = () => ({});
const same: Row = (site) => [site.value(0)];

/** A constant as the second operand of an activation in layout `order`: [C] for one value a channel, four dimensions for an image
 * that ONNX Runtime's FusedConv may start from. */
function operand(
  site: Site,
  constant: Constant,
  order: readonly number[],
  shape: readonly number[],
  keepsRank = false,
): number {
  const { builder } = site;
  if (constant.dims.length > order.length)
    refuse(`a constant of [${constant.dims}], more dimensions than the other`);
  if (constant.type !== "float32" && !constant.quantization) refuse(`a constant of ${constant.type}`);
  const dims = [...new Array<number>(order.length - constant.dims.length).fill(1), ...constant.dims];
  const laid = builder.permuted(builder.reshaped(constant, dims), order);
  const fits = laid.dims.every((size, i) => size === 1 || size === shape[i]);
  if (!fits) refuse(`a constant of [${constant.dims}] for [${order.map((_, i) => shape[order.indexOf(i)])}]`);
  const lead = laid.dims.findIndex((size) => size !== 1);
  const kept = lead < 0 ? [1] : laid.dims.slice(lead);
  if (lead === 0 && order.length > 1) refuse("a constant with another value for each image");
  const isWhole = constant.dims.length === 4 && laid.dims.every((size, i) => size === shape[i]);
  const isImage = isWhole && kept.length > 1;
  return builder.constant(keepsRank || isImage ? laid : builder.reshaped(laid, kept));
}

/** Two operands as tensors of one layout; at most one is a constant, second where that is the same, or is broadcast. */
function pairOf(site: Site, isCommutative: boolean): { inputs: [number, number]; order: number[] } {
  const { builder } = site;
  const [a, b] = [site.value(0), site.value(1)];
  if (a.kind === "activation" && b.kind === "activation") {
    if (a.order.length !== b.order.length) refuse("operands of another number of dimensions");
    const order = isPlain(a) ? b.order : a.order;
    const inputs: [number, number] = [builder.inOrder(a, order), builder.inOrder(b, order)];
    checkBroadcast(builder.shape(inputs[0]), builder.shape(inputs[1]));
    return { inputs, order };
  }
  const [activation, constant] = a.kind === "activation" ? [a, b] : [b, a];
  if (activation.kind !== "activation" || constant.kind !== "constant") return refuse("two constants");
  const { tensor, order } = activation;
  if (a.kind === "activation" || isCommutative)
    return { inputs: [tensor, operand(site, constant, order, builder.shape(tensor))], order };
  return { inputs: [operand(site, constant, order, builder.shape(tensor), true), tensor], order };
}

const isPlain = ({ order }: Activation) => order.every((axis, i) => axis === i);

function checkBroadcast(a: readonly number[], b: readonly number[]): void {
  const within = (small: readonly number[], large: readonly number[]) =>
    small.every((size, i) => size === large[i] || (size === 1 && i > 0));
  if (!within(a, b) && !within(b, a)) refuse(`operands of [${a}] and [${b}]: only one may be broadcast`);
}

/** Whether ONNX Runtime's kernel for sums takes B for its first operand: where A is one value for a whole run of B.
 * Source: microsoft/onnxruntime 0465fe9, qlinear_binary_op.cc. */
function takesSecondFirst(site: Site): boolean {
  const [a, b] = [0, 1].map((i) => {
    const value = site.value(i);
    if (value.kind === "activation") return site.builder.logicalShape(value);
    return value.kind === "constant" ? [...value.dims] : [];
  });
  const size = (dims: number[], fromEnd: number) => dims.at(-1 - fromEnd) ?? 1;
  const axes = Array.from({ length: Math.max(a.length, b.length) }, (_, i) => i);
  const inner = axes.find((axis) => Math.max(size(a, axis), size(b, axis)) > 1) ?? 0;
  return size(a, inner) < size(b, inner);
}

const binary =
  (op: "ADD" | "SUB" | "MUL"): Row =>
  (site) => {
    const { inputs, order } = pairOf(site, op !== "SUB");
    const isMoved = site.value(0).kind === "constant" && op !== "SUB";
    const isSwapped = op === "ADD" && takesSecondFirst(site) !== isMoved;
    const attributes = {
      activation: "NONE" as const,
      ...(isSwapped && { isSwapped: true as const }),
    };
    return [{ kind: "activation", tensor: site.builder.emit(op, inputs, attributes), order }];
  };

/** x / c as x * (1 / c). */
const divide: Row = (site) => {
  const { tensor, order } = site.activation(0);
  const divisor = site.constant(1, "the divisor");
  if (divisor.type !== "float32") refuse("a division of integers");
  const { builder } = site;
  builder.budget.spend(divisor.data.length * 4);
  const inverse = { ...divisor, data: Float32Array.from(divisor.data as Float32Array, (v) => 1 / v) };
  if (!inverse.data.every(Number.isFinite)) refuse("a division by 0");
  const other = operand(site, inverse, order, builder.shape(tensor));
  return [
    { kind: "activation", tensor: builder.emit("MUL", [tensor, other], { activation: "NONE" }), order },
  ];
};

const FLOAT_MAX = 3.4e38;
/** Clips that TFLite has an op for: [minimum, maximum] each. */
const CLIPS = [
  { minimum: 0, maximum: 6, op: "RELU6" },
  { minimum: -1, maximum: 1, op: "RELU_N1_TO_1" },
] as const;

function clip(site: Site): Value[] {
  const bound = (name: string, i: number, otherwise: number) => {
    if (site.has(i)) {
      const { data, quantization } = site.constant(i, `the ${name}`);
      if (data.length !== 1) site.malformed(`one ${name}`, `${data.length}`);
      const value = Number(data[0]);
      return quantization ? quantization.scale[0] * (value - quantization.zeroPoint[0]) : value;
    }
    return site.float(name, otherwise);
  };
  const minimum = bound("min", 1, -Infinity);
  const maximum = bound("max", 2, Infinity);
  const { tensor, order } = site.activation(0);
  if (site.builder.tensors[tensor].dtype !== "float32") refuse("clips integers");
  const wanted = CLIPS.find((known) => known.minimum === minimum && known.maximum === maximum)?.op;
  const op = wanted ?? (minimum === 0 && maximum >= FLOAT_MAX ? "RELU" : undefined);
  if (!op && minimum <= -FLOAT_MAX && maximum >= FLOAT_MAX) return [site.value(0)];
  if (!op) refuse(`clips to [${minimum}, ${maximum}]; there are [0, 6], [-1, 1] and [0, inf)`);
  return [{ kind: "activation", tensor: site.builder.emit(op, [tensor], {}), order }];
}

/** clip(x / 6 + 0.5, 0, 1) as TFLite writes it: RELU6(x + 3) * (1 / 6). */
function hardSigmoid(site: Site): Value[] {
  const { builder } = site;
  const [alpha, beta] = [site.float("alpha", 0.2), site.float("beta", 0.5)];
  if (Math.abs(alpha - 1 / 6) > 1e-6 || beta !== 0.5)
    refuse(`alpha ${alpha} and beta ${beta}; there is 1/6 and 1/2`);
  const { tensor, order } = site.activation(0);
  const constant = (name: string, value: number) =>
    builder.constant(constantOf(`${site.node.outputs[0]}/${name}`, [1], "float32", [value]));
  const sum = builder.emit("ADD", [tensor, constant("three", 3)], { activation: "RELU6" });
  const made = builder.emit("MUL", [sum, constant("sixth", 1 / 6)], { activation: "NONE" });
  return [{ kind: "activation", tensor: made, order }];
}

/** Over one axis, brought last. Before operator set 13 it is over all from `axis` on, which must be one. */
function softmaxLayout(site: Site): { tensor: number; order: number[] } {
  const value = site.activation(0);
  const rank = value.order.length;
  const axis = site.axis(site.int("axis", site.opset < 13 ? 1 : -1), rank);
  if (
    site.opset < 13 &&
    site.builder
      .logicalShape(value)
      .slice(axis)
      .filter((n) => n > 1).length > 1
  )
    refuse("a softmax over several axes");
  const shape = site.builder.logicalShape(value);
  const over =
    site.opset < 13
      ? Math.max(
          axis,
          shape.findLastIndex((n, i) => i >= axis && n > 1),
        )
      : axis;
  if (over === 0) refuse("a softmax over the batch");
  const order = value.order.at(-1) === over ? value.order : withLast(identityOrder(rank), over);
  return { tensor: site.builder.inOrder(value, order), order };
}

function cast(site: Site): Value[] {
  const type = dataTypeName(site.int("to", 0));
  const held = type && HELD_AS[type];
  const value = site.value(0);
  if (value.kind !== "activation")
    return value.kind === "constant" && value.quantization && held === "float32"
      ? [value]
      : refuse("casts quantized constants");
  const { tensor, order } = value;
  if (held === site.builder.tensors[tensor].dtype) return [value];
  if (!held || held === "bool" || held === "uint4" || held === "int4") return refuse(`casts to ${type}`);
  return [{ kind: "activation", tensor: site.builder.emit("CAST", [tensor], {}, { dtype: held }), order }];
}

function prelu(site: Site): Value[] {
  const { tensor, order } = site.activation(0);
  const alpha = operand(site, site.constant(1, "the slope"), order, site.builder.shape(tensor));
  return [{ kind: "activation", tensor: site.builder.emit("PRELU", [tensor, alpha], {}), order }];
}

/** Operators that keep their operand's shape. */
export const ELEMENTWISE: Rows = {
  Relu: unary("RELU", none),
  Sigmoid: unary("LOGISTIC", none),
  Tanh: unary("TANH", none),
  HardSwish: unary("HARD_SWISH", none),
  HardSigmoid: hardSigmoid,
  LeakyRelu: unary("LEAKY_RELU", (site) => ({ alpha: site.float("alpha", 0.01) })),
  PRelu: prelu,
  Clip: clip,
  Add: binary("ADD"),
  Sub: binary("SUB"),
  Mul: binary("MUL"),
  Div: divide,
  Softmax: (site) => {
    const { tensor, order } = softmaxLayout(site);
    return [{ kind: "activation", tensor: site.builder.emit("SOFTMAX", [tensor], { beta: 1 }), order }];
  },
  LogSoftmax: (site) => {
    const { tensor, order } = softmaxLayout(site);
    return [{ kind: "activation", tensor: site.builder.emit("LOG_SOFTMAX", [tensor], {}), order }];
  },
  Cast: cast,
  Identity: same,
  Dropout: same,
};
