/** A slow, plain evaluation of a Graph, to check importers against other runtimes: convolutions and matrix products in
 * exact integers with the float-even requantizer (P8), every other integer op as real numbers rounded half to even. */

import { type Attributes, elements, type Graph, type Node, type Tensor } from "../../src/model/graph.ts";
import {
  before,
  clamp,
  flatten,
  forEachIndex,
  products,
  stored,
  stridesOf,
  type Values,
  weighted,
} from "./onnxEvaluateWeights.ts";

/** The values of every tensor. inputs: one a graph input, codes or floats. */
export function evaluate(graph: Graph, inputs: ArrayLike<number>[]): Values[] {
  const values: Values[] = graph.tensors.map((tensor) =>
    tensor.data ? constantValues(tensor) : new Float64Array(),
  );
  graph.inputs.forEach((id, i) => {
    values[id] = Float64Array.from(inputs[i]);
  });
  for (const node of graph.nodes) evaluateNode(graph, node, values);
  return values;
}

/** The values of the outputs alone. */
export function outputsOf(graph: Graph, inputs: ArrayLike<number>[]): Values[] {
  const values = evaluate(graph, inputs);
  return graph.outputs.map((id) => values[id]);
}

function constantValues({ dtype, data, shape }: Tensor): Values {
  if (dtype !== "int4") return Float64Array.from(data as ArrayLike<number>, Number);
  return Float64Array.from(
    { length: elements(shape) },
    (_, i) => ((Number(data![i >> 1]) >> ((i & 1) * 4)) << 28) >> 28,
  );
}

/** What the codes stand for; float32 where they are floats. */
function real({ quantization, shape, dtype }: Tensor, codes: Values): Values {
  if (dtype === "float32" || !quantization) return codes;
  const { scale, zeroPoint, axis } = quantization;
  const inner = axis === undefined ? 1 : elements(shape.slice(axis + 1));
  return codes.map((q, i) => {
    const c = axis === undefined ? 0 : Math.floor(i / inner) % scale.length;
    return Math.fround(scale[c] * (q - zeroPoint[c]));
  });
}

function evaluateNode(graph: Graph, node: Node, values: Values[]): void {
  const tensors = node.inputs.map((id) => graph.tensors[id]);
  const operands = node.inputs.map((id) => values[id]);
  const outputs = node.outputs.map((id) => graph.tensors[id]);
  const moved = move(node, tensors, operands, outputs);
  if (moved) {
    node.outputs.forEach((id, i) => {
      values[id] = moved[i];
    });
    return;
  }
  const [output] = outputs;
  const activation = "activation" in node.attributes ? node.attributes.activation : "NONE";
  const taps = products(node, tensors, output);
  if (taps) {
    values[node.outputs[0]] = weighted(taps, tensors, operands, output, activation);
    return;
  }
  const reals = tensors.map((tensor, i) => real(tensor, operands[i]));
  values[node.outputs[0]] = stored(output, computed(node, tensors, reals, output), activation);
}

/** Ops that copy codes. */
function move(node: Node, [x]: Tensor[], operands: Values[], outputs: Tensor[]): Values[] | undefined {
  const [values] = operands;
  const pick = (output: Tensor, from: (index: number[]) => number[] | undefined) => {
    const result = new Float64Array(elements(output.shape));
    const strides = stridesOf(x.shape);
    forEachIndex(output.shape, (index, flat) => {
      const at = from(index);
      result[flat] = at ? values[flatten(at, strides)] : (x.quantization?.zeroPoint[0] ?? 0);
    });
    return result;
  };
  switch (node.op) {
    case "RESHAPE":
      return [values];
    case "TRANSPOSE": {
      const { permutation } = node.attributes;
      return [pick(outputs[0], (index) => x.shape.map((_, axis) => index[permutation.indexOf(axis)]))];
    }
    case "STRIDED_SLICE": {
      const { begin, strides } = node.attributes;
      return [pick(outputs[0], (index) => index.map((at, d) => begin[d] + at * strides[d]))];
    }
    case "PAD": {
      const { before } = node.attributes;
      return [
        pick(outputs[0], (index) => {
          const at = index.map((place, d) => place - before[d]);
          return at.every((place, d) => place >= 0 && place < x.shape[d]) ? at : undefined;
        }),
      ];
    }
    case "SPLIT": {
      const { axis, sizes } = node.attributes;
      return outputs.map((output, part) => {
        const start = sizes.slice(0, part).reduce((a, b) => a + b, 0);
        return pick(output, (index) => index.map((at, d) => (d === axis ? at + start : at)));
      });
    }
    case "RESIZE_NEAREST_NEIGHBOR":
      return [
        pick(outputs[0], ([n, y, w, c]) => [
          n,
          nearest(y, x.shape[1], node.attributes.height, node.attributes),
          nearest(w, x.shape[2], node.attributes.width, node.attributes),
          c,
        ]),
      ];
  }
  return undefined;
}

type ResizeForm = { alignCorners: boolean; halfPixelCenters: boolean };
function nearest(
  i: number,
  from: number,
  to: number,
  { alignCorners, halfPixelCenters }: ResizeForm,
): number {
  const scale = alignCorners && to > 1 ? (from - 1) / (to - 1) : from / to;
  const x = (i + (halfPixelCenters ? 0.5 : 0)) * scale;
  return clamp(alignCorners ? Math.floor(x + 0.5) : Math.floor(x), [0, from - 1]);
}

function computed(node: Node, tensors: Tensor[], operands: Values[], output: Tensor): Values {
  const [x] = operands;
  const [{ shape }] = tensors;
  const each = (apply: (value: number, channel: number) => number) =>
    x.map((value, i) => apply(value, i % shape.at(-1)!));
  const both = (apply: (a: number, b: number) => number) => {
    const at = tensors.map((tensor) => broadcastStrides(tensor.shape, output.shape));
    const result = new Float64Array(elements(output.shape));
    forEachIndex(output.shape, (index, flat) => {
      result[flat] = apply(operands[0][flatten(index, at[0])], operands[1][flatten(index, at[1])]);
    });
    return result;
  };
  switch (node.op) {
    case "ADD":
      return both((a, b) => a + b);
    case "SUB":
      return both((a, b) => a - b);
    case "MUL":
      return both((a, b) => a * b);
    case "PRELU":
      return both((a, alpha) => (a < 0 ? a * alpha : a));
    case "RELU":
      return each((v) => Math.max(0, v));
    case "RELU6":
      return each((v) => clamp(v, [0, 6]));
    case "RELU_N1_TO_1":
      return each((v) => clamp(v, [-1, 1]));
    case "LOGISTIC":
      return each((v) => 1 / (1 + Math.exp(-v)));
    case "TANH":
      return each(Math.tanh);
    case "HARD_SWISH":
      return each((v) => (v * clamp(v + 3, [0, 6])) / 6);
    case "LEAKY_RELU":
      return each((v) => (v < 0 ? v * node.attributes.alpha : v));
    case "QUANTIZE":
    case "DEQUANTIZE":
    case "CAST":
      return x;
    case "BATCH_NORMALIZATION": {
      const [, gamma, beta, mean, variance] = operands;
      const { epsilon } = node.attributes;
      return each((v, c) => ((v - mean[c]) / Math.sqrt(variance[c] + epsilon)) * gamma[c] + beta[c]);
    }
    case "SOFTMAX":
    case "LOG_SOFTMAX":
      return softmax(x, shape.at(-1)!, node.op === "LOG_SOFTMAX");
    case "MEAN":
      return mean(x, shape, node.attributes.axes);
    case "CONCATENATION":
      return concatenated(node.attributes.axis, tensors, operands, output);
    case "AVERAGE_POOL_2D":
    case "MAX_POOL_2D":
      return pooled(node.attributes, node.op === "MAX_POOL_2D", tensors[0], x, output);
    case "RESIZE_BILINEAR":
      return bilinear(node.attributes, tensors[0], x, output);
  }
  throw new Error(`no evaluation of ${node.op}`);
}

function broadcastStrides(shape: readonly number[], to: readonly number[]): number[] {
  const full = [...new Array<number>(to.length - shape.length).fill(1), ...shape];
  return stridesOf(full).map((stride, d) => (full[d] === 1 ? 0 : stride));
}

function softmax(x: Values, row: number, isLog: boolean): Values {
  const result = new Float64Array(x.length);
  for (let at = 0; at < x.length; at += row) {
    const part = x.subarray(at, at + row);
    const top = Math.max(...part);
    const sum = part.reduce((total, v) => total + Math.exp(v - top), 0);
    for (let i = 0; i < row; i++)
      result[at + i] = isLog ? part[i] - top - Math.log(sum) : Math.exp(part[i] - top) / sum;
  }
  return result;
}

function mean(x: Values, shape: number[], axes: number[]): Values {
  const kept = shape.map((size, d) => (axes.includes(d) ? 1 : size));
  const strides = stridesOf(kept).map((stride, d) => (axes.includes(d) ? 0 : stride));
  const result = new Float64Array(elements(kept));
  forEachIndex(shape, (index, flat) => {
    result[flatten(index, strides)] += x[flat];
  });
  return result.map((sum) => (sum * result.length) / x.length);
}

function concatenated(axis: number, tensors: Tensor[], operands: Values[], output: Tensor): Values {
  const result = new Float64Array(elements(output.shape));
  const strides = stridesOf(output.shape);
  let start = 0;
  tensors.forEach(({ shape }, part) => {
    forEachIndex(shape, (index, flat) => {
      result[flatten(index, strides) + start * strides[axis]] = operands[part][flat];
    });
    start += shape[axis];
  });
  return result;
}

function pooled(
  attributes: Attributes["MAX_POOL_2D"],
  isMax: boolean,
  x: Tensor,
  values: Values,
  output: Tensor,
): Values {
  const { filterHeight, filterWidth, strideHeight, strideWidth } = attributes;
  const undilated = { ...attributes, dilationHeight: 1, dilationWidth: 1 };
  const [top, left] = before(undilated, x, filterHeight, filterWidth);
  const strides = stridesOf(x.shape);
  const result = new Float64Array(elements(output.shape));
  forEachIndex(output.shape, ([n, row, column, c], flat) => {
    const taps: number[] = [];
    for (let i = 0; i < filterHeight; i++)
      for (let j = 0; j < filterWidth; j++) {
        const [a, b] = [row * strideHeight + i - top, column * strideWidth + j - left];
        if (a >= 0 && b >= 0 && a < x.shape[1] && b < x.shape[2])
          taps.push(values[flatten([n, a, b, c], strides)]);
      }
    result[flat] = isMax ? Math.max(...taps) : taps.reduce((sum, v) => sum + v, 0) / taps.length;
  });
  return result;
}

function bilinear(
  attributes: Attributes["RESIZE_BILINEAR"],
  x: Tensor,
  values: Values,
  output: Tensor,
): Values {
  const { alignCorners, halfPixelCenters, height, width } = attributes;
  const at = (i: number, from: number, to: number) => {
    const scale = alignCorners && to > 1 ? (from - 1) / (to - 1) : from / to;
    const place = clamp(halfPixelCenters ? (i + 0.5) * scale - 0.5 : i * scale, [0, from - 1]);
    const low = Math.floor(place);
    return { low, high: Math.min(low + 1, from - 1), rest: place - low };
  };
  const strides = stridesOf(x.shape);
  const result = new Float64Array(elements(output.shape));
  forEachIndex(output.shape, ([n, row, column, c], flat) => {
    const v = at(row, x.shape[1], height);
    const h = at(column, x.shape[2], width);
    const value = (a: number, b: number) => values[flatten([n, a, b, c], strides)];
    const upper = value(v.low, h.low) * (1 - h.rest) + value(v.low, h.high) * h.rest;
    const lower = value(v.high, h.low) * (1 - h.rest) + value(v.high, h.high) * h.rest;
    result[flat] = upper * (1 - v.rest) + lower * v.rest;
  });
  return result;
}
