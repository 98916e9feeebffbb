// Every op of a float graph in float64, straight from its definition: what kernels and finite differences are held against.
import { type Activation, elements, type Node, windowAxis } from "../../src/model/graph.ts";

/** Row-major values with their shape. */
export interface Values {
  shape: number[];
  data: Float64Array;
}

const BOUNDS: Record<Activation, [number, number]> = {
  NONE: [-Infinity, Infinity],
  RELU: [0, Infinity],
  RELU6: [0, 6],
  RELU_N1_TO_1: [-1, 1],
};

function clamp(values: Values, activation: Activation): Values {
  const [lower, upper] = BOUNDS[activation];
  return { ...values, data: values.data.map((v) => Math.min(upper, Math.max(lower, v))) };
}

/** Calls visit with output row, column, and the input rows and columns that its window covers. */
function forEachWindow(
  input: Values,
  output: number[],
  // biome-ignore lint/suspicious/noExplicitAny: the attributes of four ops.
  a: any,
  [filterHeight, filterWidth]: [number, number],
  visit: (
    b: number,
    oy: number,
    ox: number,
    taps: { ky: number; kx: number; iy: number; ix: number }[],
  ) => void,
): void {
  const [, height, width] = input.shape;
  const [padY, padX] =
    typeof a.padding === "string" ? [a.padding, a.padding] : [a.padding.slice(0, 2), a.padding.slice(2)];
  const [dilationY, dilationX] = [a.dilationHeight ?? 1, a.dilationWidth ?? 1];
  const top = windowAxis(height, filterHeight, a.strideHeight, dilationY, padY).before;
  const left = windowAxis(width, filterWidth, a.strideWidth, dilationX, padX).before;
  for (let b = 0; b < output[0]; b++) {
    for (let oy = 0; oy < output[1]; oy++) {
      for (let ox = 0; ox < output[2]; ox++) {
        const taps = [];
        for (let ky = 0; ky < filterHeight; ky++) {
          for (let kx = 0; kx < filterWidth; kx++) {
            const iy = oy * a.strideHeight - top + ky * dilationY;
            const ix = ox * a.strideWidth - left + kx * dilationX;
            if (iy >= 0 && iy < height && ix >= 0 && ix < width) taps.push({ ky, kx, iy, ix });
          }
        }
        visit(b, oy, ox, taps);
      }
    }
  }
}

/** multiplier: output channels an input channel of a depthwise convolution; 0 = all inputs to all outputs. */
function convolution(
  node: Node,
  x: Values,
  w: Values,
  bias: Values | undefined,
  shape: number[],
  multiplier: number,
) {
  const data = new Float64Array(elements(shape));
  const [height, width, depth] = x.shape.slice(1);
  const [kernelHeight, kernelWidth, last] = w.shape.slice(1);
  forEachWindow(x, shape, node.attributes, [kernelHeight, kernelWidth], (b, oy, ox, taps) => {
    for (let o = 0; o < shape[3]; o++) {
      let sum = bias ? bias.data[o] : 0;
      for (const { ky, kx, iy, ix } of taps) {
        const at = ((b * height + iy) * width + ix) * depth;
        if (multiplier > 0) {
          sum += x.data[at + Math.floor(o / multiplier)] * w.data[(ky * kernelWidth + kx) * last + o];
          continue;
        }
        const from = ((o * kernelHeight + ky) * kernelWidth + kx) * depth;
        for (let c = 0; c < depth; c++) sum += x.data[at + c] * w.data[from + c];
      }
      data[((b * shape[1] + oy) * shape[2] + ox) * shape[3] + o] = sum;
    }
  });
  return { shape, data };
}

function pool(
  node: Extract<Node, { op: "AVERAGE_POOL_2D" | "MAX_POOL_2D" }>,
  x: Values,
  shape: number[],
  reduce: (values: number[]) => number,
): Values {
  const data = new Float64Array(elements(shape));
  const [height, width, depth] = x.shape.slice(1);
  const { filterHeight, filterWidth } = node.attributes;
  forEachWindow(x, shape, node.attributes, [filterHeight, filterWidth], (b, oy, ox, taps) => {
    for (let c = 0; c < depth; c++) {
      const values = taps.map(({ iy, ix }) => x.data[((b * height + iy) * width + ix) * depth + c]);
      data[((b * shape[1] + oy) * shape[2] + ox) * depth + c] = reduce(values);
    }
  });
  return { shape, data };
}

/** Coordinates of element i. */
function coordinates(shape: number[], i: number): number[] {
  const result = shape.map(() => 0);
  for (let axis = shape.length - 1; axis >= 0; axis--) {
    result[axis] = i % shape[axis];
    i = Math.floor(i / shape[axis]);
  }
  return result;
}

const offset = (shape: number[], at: number[]) =>
  at.reduce((sum, position, axis) => sum * shape[axis] + position, 0);

function broadcast(a: Values, b: Values, shape: number[], combine: (a: number, b: number) => number): Values {
  const read = (values: Values, at: number[]) => {
    const tail = at.slice(at.length - values.shape.length);
    return values.data[
      offset(
        values.shape,
        tail.map((p, axis) => (values.shape[axis] === 1 ? 0 : p)),
      )
    ];
  };
  const data = new Float64Array(elements(shape)).map((_, i) => {
    const at = coordinates(shape, i);
    return combine(read(a, at), read(b, at));
  });
  return { shape, data };
}

function dense(x: Values, w: Values, bias: Values | undefined, shape: number[]): Values {
  const [outputDepth, inputDepth] = w.shape;
  const data = new Float64Array(elements(shape)).map((_, i) => {
    const [row, o] = [Math.floor(i / outputDepth), i % outputDepth];
    let sum = bias ? bias.data[o] : 0;
    for (let k = 0; k < inputDepth; k++) sum += x.data[row * inputDepth + k] * w.data[o * inputDepth + k];
    return sum;
  });
  return { shape, data };
}

function mean(x: Values, axes: number[], shape: number[]): Values {
  const kept = x.shape.map((size, axis) => (axes.includes(axis) ? 1 : size));
  const data = new Float64Array(elements(shape));
  const share = elements(kept) / elements(x.shape);
  x.data.forEach((v, i) => {
    const at = coordinates(x.shape, i).map((p, axis) => (axes.includes(axis) ? 0 : p));
    data[offset(kept, at)] += v * share;
  });
  return { shape, data };
}

function softmax(x: Values, beta: number): Values {
  const depth = x.shape[x.shape.length - 1];
  const data = x.data.map((v) => Math.exp(beta * v));
  return {
    shape: x.shape,
    data: data.map((e, i) => {
      const first = i - (i % depth);
      return e / data.subarray(first, first + depth).reduce((a, b) => a + b, 0);
    }),
  };
}

function pad(x: Values, before: number[], shape: number[]): Values {
  const data = new Float64Array(elements(shape));
  x.data.forEach((v, i) => {
    data[
      offset(
        shape,
        coordinates(x.shape, i).map((p, axis) => p + before[axis]),
      )
    ] = v;
  });
  return { shape, data };
}

/** training: with the batch's moments instead of the running ones. */
function normalize(
  x: Values,
  [gamma, beta, running, variance]: Values[],
  epsilon: number,
  training: boolean,
): Values {
  const depth = x.shape[x.shape.length - 1];
  const moments = gamma.data.map(() => 0);
  const squares = gamma.data.map(() => 0);
  const rows = x.data.length / depth;
  x.data.forEach((v, i) => {
    moments[i % depth] += v / rows;
  });
  x.data.forEach((v, i) => {
    squares[i % depth] += (v - moments[i % depth]) ** 2 / rows;
  });
  const [center, spread] = training ? [moments, squares] : [running.data, variance.data];
  const data = x.data.map((v, i) => {
    const c = i % depth;
    return (gamma.data[c] * (v - center[c])) / Math.sqrt(spread[c] + epsilon) + beta.data[c];
  });
  return { shape: x.shape, data };
}

/** The output of one node from its operands; shape has the real batch. */
export function reference(
  node: Node,
  operands: (Values | undefined)[],
  shape: number[],
  training = false,
): Values {
  const [x, w, bias] = operands as [Values, Values, Values | undefined];
  switch (node.op) {
    case "CONV_2D":
      return clamp(convolution(node, x, w, bias, shape, 0), node.attributes.activation);
    case "DEPTHWISE_CONV_2D": {
      const y = convolution(node, x, w, bias, shape, node.attributes.depthMultiplier);
      return clamp(y, node.attributes.activation);
    }
    case "FULLY_CONNECTED":
      return clamp(dense(x, w, bias, shape), node.attributes.activation);
    case "ADD":
      return clamp(
        broadcast(x, w, shape, (a, b) => a + b),
        node.attributes.activation,
      );
    case "MUL":
      return clamp(
        broadcast(x, w, shape, (a, b) => a * b),
        node.attributes.activation,
      );
    case "AVERAGE_POOL_2D": {
      const y = pool(node, x, shape, (values) => values.reduce((a, b) => a + b, 0) / values.length);
      return clamp(y, node.attributes.activation);
    }
    case "MAX_POOL_2D":
      return clamp(
        pool(node, x, shape, (values) => Math.max(...values)),
        node.attributes.activation,
      );
    case "MEAN":
      return mean(x, node.attributes.axes, shape);
    case "SOFTMAX":
      return softmax(x, node.attributes.beta);
    case "PAD":
      return pad(x, node.attributes.before, shape);
    case "RELU":
    case "RELU6":
      return clamp(x, node.op);
    case "BATCH_NORMALIZATION": {
      const y = normalize(x, operands.slice(1) as Values[], node.attributes.epsilon, training);
      return clamp(y, node.attributes.activation);
    }
    default:
      return { shape, data: x.data };
  }
}
