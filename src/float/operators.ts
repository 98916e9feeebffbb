import * as tf from "@tensorflow/tfjs-core";
import {
  type Activation,
  type Attributes,
  elements,
  type Node,
  type OpName,
  windowAxis,
} from "../model/graph.ts";
import { ACTIVATIONS, type Block } from "./kernels.ts";
import { run, runMany } from "./register.ts";

export type NodeOf<Op extends OpName> = Extract<Node, { op: Op }>;

/** One node of one pass over a batch, as its row sees it. Shapes have the real batch size. */
export interface Call<N extends Node = Node> {
  node: N;
  attributes: N["attributes"];
  batches: number;
  /** Moments of the batch in batch normalization, gradients to constants. */
  training: boolean;
  /** Shape of operand `position`, or of the output. */
  inputShape(position: number): number[];
  outputShape: number[];
  /** Values of an operand, a constant among them; absent optional operands are undefined. */
  input(position: number): tf.Tensor;
  optional(position: number): tf.Tensor | undefined;
  output(): tf.Tensor;
  /** Whether the gradient to operand `position` is asked for. */
  wants(position: number): boolean;
  /** The gradient that other readers of operand `position` have left so far, now owned by the caller: add it. */
  addend(position: number): tf.Tensor | undefined;
  /** What forward saves for gradient. */
  saved: tf.Tensor[];
}

/** Gradients by operand position; positions not wanted may be missing. */
export type Gradients = (tf.Tensor | undefined)[];

export interface Operator<N extends Node = Node> {
  forward(call: Call<N>): tf.Tensor;
  /** dy has passed the gate of the output's clamp, unless `gatesItself` and the call is training. */
  gradient(call: Call<N>, dy: tf.Tensor): Gradients;
  gatesItself?: true;
}

/** The clamp a node ends with. */
export function activationOf(node: Node): Activation {
  if (node.op === "RELU" || node.op === "RELU6") return node.op;
  return "activation" in node.attributes ? node.attributes.activation : "NONE";
}

const activationNumber = (node: Node) => ACTIVATIONS.indexOf(activationOf(node));

function windowPadding(
  shape: number[],
  filterHeight: number,
  filterWidth: number,
  attributes: Attributes["AVERAGE_POOL_2D"] | Attributes["CONV_2D"],
) {
  const { padding, strideHeight, strideWidth } = attributes;
  const dilationHeight = "dilationHeight" in attributes ? attributes.dilationHeight : 1;
  const dilationWidth = "dilationWidth" in attributes ? attributes.dilationWidth : 1;
  const [vertical, horizontal] =
    typeof padding === "string"
      ? [padding, padding]
      : [[padding[0], padding[1]] as const, [padding[2], padding[3]] as const];
  return {
    strideHeight,
    strideWidth,
    paddingTop: windowAxis(shape[1], filterHeight, strideHeight, dilationHeight, vertical).before,
    paddingLeft: windowAxis(shape[2], filterWidth, strideWidth, dilationWidth, horizontal).before,
  };
}

function convolutionBlock(call: Call<NodeOf<"CONV_2D" | "DEPTHWISE_CONV_2D">>): Block<"Conv2D"> {
  const [batches, inputHeight, inputWidth, inputDepth] = call.inputShape(0);
  const [, filterHeight, filterWidth] = call.inputShape(1);
  const [, outputHeight, outputWidth, outputDepth] = call.outputShape;
  const { dilationHeight, dilationWidth } = call.attributes;
  return {
    batches,
    inputHeight,
    inputWidth,
    inputDepth,
    filterHeight,
    filterWidth,
    outputHeight,
    outputWidth,
    outputDepth,
    dilationHeight,
    dilationWidth,
    ...windowPadding([batches, inputHeight, inputWidth], filterHeight, filterWidth, call.attributes),
    activation: activationNumber(call.node),
  };
}

function poolBlock(call: Call<NodeOf<"AVERAGE_POOL_2D" | "MAX_POOL_2D">>): Block<"Pool2D"> {
  const [batches, inputHeight, inputWidth, depth] = call.inputShape(0);
  const [, outputHeight, outputWidth] = call.outputShape;
  const { filterHeight, filterWidth } = call.attributes;
  return {
    batches,
    inputHeight,
    inputWidth,
    depth,
    filterHeight,
    filterWidth,
    outputHeight,
    outputWidth,
    ...windowPadding([batches, inputHeight, inputWidth], filterHeight, filterWidth, call.attributes),
    activation: activationNumber(call.node),
  };
}

function denseBlock(call: Call<NodeOf<"FULLY_CONNECTED">>): Block<"FullyConnected"> {
  const [outputDepth, inputDepth] = call.inputShape(1);
  const batches = elements(call.inputShape(0)) / inputDepth;
  return { batches, inputDepth, outputDepth, activation: activationNumber(call.node) };
}

/** [rows, depth] view of a tensor whose last axis is the channel. */
function rowsBlock(shape: readonly number[], activation = 0): Block<"Normalization"> {
  const depth = shape[shape.length - 1];
  return { rows: elements(shape) / depth, depth, activation };
}

const columnSum = (dy: tf.Tensor) => run("COLUMN_SUM", { x: dy }, { block: rowsBlock(dy.shape) });

/** dx, or its sum with what others left, in its place. */
function plus(dx: tf.Tensor, addend: tf.Tensor | undefined): tf.Tensor {
  if (!addend) return dx;
  const sum = run("ADD", { a: dx, b: addend }, { activation: 0 });
  dx.dispose();
  return sum;
}

function activate(call: Call, x: tf.Tensor): tf.Tensor {
  const activation = activationNumber(call.node);
  return activation === 0 ? x : run("ACTIVATION", { x }, { activation });
}

/** Sums a gradient over the axes along which its operand was broadcast. */
function unbroadcast(dy: tf.Tensor, shape: number[]): tf.Tensor {
  if (elements(shape) === dy.size) return tf.reshape(dy, shape);
  const axes = tf.broadcast_util.getReductionAxes(shape, dy.shape);
  return tf.reshape(tf.sum(dy, axes), shape);
}

const sameShape = (a: readonly number[], b: readonly number[]) =>
  a.length === b.length && a.every((size, axis) => size === b[axis]);

/** Whether MEAN is over all rows and columns of an NHWC tensor. */
const isGlobal = (shape: number[], axes: number[]) =>
  shape.length === 4 && axes.length === 2 && axes.includes(1) && axes.includes(2);

const pass: Operator<NodeOf<"QUANTIZE" | "DEQUANTIZE">> = {
  forward: (call) => tf.reshape(call.input(0), call.outputShape),
  gradient: (call, dy) => [plus(tf.reshape(dy, call.inputShape(0)), call.addend(0))],
};

const clampOnly: Operator<NodeOf<"RELU" | "RELU6">> = {
  forward: (call) => activate(call, call.input(0)),
  gradient: (call, dy) => [plus(tf.reshape(dy, call.inputShape(0)), call.addend(0))],
};

/** A row for every op of a float graph: its forward pass and its gradients. Filters lie as prepare() leaves them. */
export const OPERATORS: { [Op in OpName]?: Operator<NodeOf<Op>> } = {
  CONV_2D: {
    forward: (call) =>
      run(
        "CONV_2D",
        { x: call.input(0), filter: call.input(1), bias: call.optional(2) },
        { block: convolutionBlock(call), shape: call.outputShape },
      ),
    gradient(call, dy) {
      const block = convolutionBlock(call);
      const filter = call.input(1);
      const shape = call.inputShape(0);
      return [
        call.wants(0)
          ? run("CONV_2D_INPUT_GRADIENT", { dy, filter, addend: call.addend(0) }, { block, shape })
          : undefined,
        call.wants(1)
          ? run("CONV_2D_FILTER_GRADIENT", { x: call.input(0), dy }, { block, shape: filter.shape })
          : undefined,
        call.wants(2) ? columnSum(dy) : undefined,
      ];
    },
  },
  DEPTHWISE_CONV_2D: {
    forward: (call) =>
      run(
        "DEPTHWISE_CONV_2D",
        { x: call.input(0), filter: call.input(1), bias: call.optional(2) },
        {
          block: { ...convolutionBlock(call), depthMultiplier: call.attributes.depthMultiplier },
          shape: call.outputShape,
        },
      ),
    gradient(call, dy) {
      const block = { ...convolutionBlock(call), depthMultiplier: call.attributes.depthMultiplier };
      const filter = call.input(1);
      const shape = call.inputShape(0);
      return [
        call.wants(0)
          ? plus(run("DEPTHWISE_CONV_2D_INPUT_GRADIENT", { dy, filter }, { block, shape }), call.addend(0))
          : undefined,
        call.wants(1)
          ? run("DEPTHWISE_CONV_2D_FILTER_GRADIENT", { x: call.input(0), dy }, { block, shape: filter.shape })
          : undefined,
        call.wants(2) ? columnSum(dy) : undefined,
      ];
    },
  },
  FULLY_CONNECTED: {
    forward: (call) =>
      run(
        "FULLY_CONNECTED",
        { x: call.input(0), filter: call.input(1), bias: call.optional(2) },
        { block: denseBlock(call), shape: call.outputShape },
      ),
    gradient(call, dy) {
      const block = denseBlock(call);
      const filter = call.input(1);
      const shape = call.inputShape(0);
      return [
        call.wants(0)
          ? plus(run("FULLY_CONNECTED_INPUT_GRADIENT", { dy, filter }, { block, shape }), call.addend(0))
          : undefined,
        call.wants(1)
          ? run("FULLY_CONNECTED_FILTER_GRADIENT", { x: call.input(0), dy }, { block, shape: filter.shape })
          : undefined,
        call.wants(2) ? columnSum(dy) : undefined,
      ];
    },
  },
  ADD: {
    forward(call) {
      const [a, b] = [call.input(0), call.input(1)];
      if (!sameShape(a.shape, b.shape)) return activate(call, tf.add(a, b));
      return run("ADD", { a, b }, { activation: activationNumber(call.node) });
    },
    gradient: (call, dy) =>
      [0, 1].map((position) =>
        call.wants(position)
          ? plus(unbroadcast(dy, call.inputShape(position)), call.addend(position))
          : undefined,
      ),
  },
  MUL: {
    forward: (call) => activate(call, tf.mul(call.input(0), call.input(1))),
    gradient: (call, dy) =>
      [0, 1].map((position) =>
        call.wants(position)
          ? plus(
              unbroadcast(tf.mul(dy, call.input(1 - position)), call.inputShape(position)),
              call.addend(position),
            )
          : undefined,
      ),
  },
  AVERAGE_POOL_2D: {
    forward: (call) =>
      run("AVERAGE_POOL_2D", { x: call.input(0) }, { block: poolBlock(call), shape: call.outputShape }),
    gradient: (call, dy) => {
      const attributes = { block: poolBlock(call), shape: call.inputShape(0) };
      return [plus(run("AVERAGE_POOL_2D_GRADIENT", { dy }, attributes), call.addend(0))];
    },
  },
  MAX_POOL_2D: {
    forward: (call) =>
      run("MAX_POOL_2D", { x: call.input(0) }, { block: poolBlock(call), shape: call.outputShape }),
    gradient: (call, dy) => {
      const attributes = { block: poolBlock(call), shape: call.inputShape(0) };
      return [plus(run("MAX_POOL_2D_GRADIENT", { x: call.input(0), dy }, attributes), call.addend(0))];
    },
  },
  MEAN: {
    forward(call) {
      const shape = call.inputShape(0);
      const { axes, keepDims } = call.attributes;
      if (!isGlobal(shape, axes)) return tf.mean(call.input(0), axes, keepDims);
      const attributes = { batches: shape[0], rows: shape[1] * shape[2], depth: shape[3] };
      return tf.reshape(run("MEAN_ROWS", { x: call.input(0) }, attributes), call.outputShape);
    },
    gradient(call, dy) {
      const shape = call.inputShape(0);
      const { axes } = call.attributes;
      if (isGlobal(shape, axes)) {
        const attributes = { shape, batches: shape[0], rows: shape[1] * shape[2], depth: shape[3] };
        return [plus(run("MEAN_ROWS_GRADIENT", { dy }, attributes), call.addend(0))];
      }
      const kept = shape.map((size, axis) => (axes.includes(axis) ? 1 : size));
      const share = tf.div(tf.reshape(dy, kept), elements(shape) / elements(kept));
      return [plus(tf.mul(share, tf.ones(shape)), call.addend(0))];
    },
  },
  SOFTMAX: {
    forward: (call) => tf.softmax(tf.mul(call.input(0), call.attributes.beta)),
    gradient(call, dy) {
      const y = call.output();
      const inner = tf.sum(tf.mul(dy, y), -1, true);
      const dx = tf.mul(tf.mul(y, tf.sub(dy, inner)), call.attributes.beta);
      return [plus(dx, call.addend(0))];
    },
  },
  PAD: {
    forward(call) {
      const { before, after } = call.attributes;
      return tf.pad(
        call.input(0),
        before.map((size, axis) => [size, after[axis]] as [number, number]),
      );
    },
    gradient: (call, dy) => [plus(tf.slice(dy, call.attributes.before, call.inputShape(0)), call.addend(0))],
  },
  RESHAPE: {
    forward: (call) => tf.reshape(call.input(0), call.outputShape),
    gradient: (call, dy) => [plus(tf.reshape(dy, call.inputShape(0)), call.addend(0))],
  },
  QUANTIZE: pass,
  DEQUANTIZE: pass,
  RELU: clampOnly,
  RELU6: clampOnly,
  /** Training: operand 1 is [2, depth] gamma and beta, its gradient likewise. Else operands 1 and 2 are scale and shift. */
  BATCH_NORMALIZATION: {
    gatesItself: true,
    forward(call) {
      const block = rowsBlock(call.outputShape, activationNumber(call.node));
      const x = call.input(0);
      if (!call.training) return run("AFFINE", { x, scale: call.input(1), shift: call.input(2) }, { block });
      const { epsilon } = call.attributes;
      const [y, moments] = runMany(
        "BATCH_NORMALIZATION",
        { x, gammaBeta: call.input(1) },
        { block, epsilon },
      );
      call.saved.push(moments);
      return y;
    },
    gradient(call, dy) {
      const block = rowsBlock(call.outputShape, call.training ? activationNumber(call.node) : 0);
      if (!call.training) {
        return [
          plus(run("AFFINE", { x: dy, scale: call.input(1), shift: undefined }, { block }), call.addend(0)),
        ];
      }
      const inputs = {
        x: call.input(0),
        y: call.output(),
        dy,
        gammaBeta: call.input(1),
        moments: call.saved[0],
      };
      const { epsilon } = call.attributes;
      const [dx, dGammaBeta] = runMany("BATCH_NORMALIZATION_GRADIENT", inputs, { block, epsilon });
      return [plus(dx, call.addend(0)), dGammaBeta];
    },
  },
};
