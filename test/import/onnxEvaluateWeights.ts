/** The integer and float arithmetic of weighted ops, for onnxEvaluate.ts. */
import { roundHalfEven } from "../../src/import/onnx/constants.ts";
import {
  type Activation,
  type Attributes,
  elements,
  type Node,
  type Tensor,
  windowAxis,
} from "../../src/model/graph.ts";

/** Codes of an integer tensor, values of a float one. */
export type Values = Float64Array;

export const RANGES: Record<string, [number, number]> = {
  int8: [-128, 127],
  uint8: [0, 255],
  int16: [-32768, 32767],
  int32: [-2147483648, 2147483647],
};
export const CLAMPS: Record<Activation, [number, number]> = {
  NONE: [-Infinity, Infinity],
  RELU: [0, Infinity],
  RELU6: [0, 6],
  RELU_N1_TO_1: [-1, 1],
};
export const clamp = (value: number, [low, high]: [number, number]) => Math.min(high, Math.max(low, value));

export function stridesOf(shape: readonly number[]): number[] {
  return shape.map((_, i) => elements(shape.slice(i + 1)));
}

export function forEachIndex(shape: readonly number[], visit: (index: number[], flat: number) => void): void {
  const index = new Array<number>(shape.length).fill(0);
  for (let flat = 0; flat < elements(shape); flat++) {
    visit(index, flat);
    for (let d = shape.length - 1; d >= 0 && ++index[d] === shape[d]; d--) index[d] = 0;
  }
}

export const flatten = (index: readonly number[], strides: readonly number[]) =>
  index.reduce((sum, at, d) => sum + at * strides[d], 0);

/** For each output element: its channel, and the pairs of input and filter elements that it sums. */
type Taps = {
  channelAxis: number;
  visit(add: (out: number, channel: number, x: number, w: number) => void): void;
};

export function products(node: Node, [x, w]: Tensor[], output: Tensor): Taps | undefined {
  if (node.op === "FULLY_CONNECTED") {
    const [out, depth] = w.shape;
    return {
      channelAxis: 0,
      visit: (add) => {
        for (let b = 0; b < elements(x.shape) / depth; b++)
          for (let o = 0; o < out; o++)
            for (let i = 0; i < depth; i++) add(b * out + o, o, b * depth + i, o * depth + i);
      },
    };
  }
  if (node.op === "TRANSPOSE_CONV") return transposed(node.attributes, x, w, output);
  if (node.op === "CONV_2D" || node.op === "DEPTHWISE_CONV_2D")
    return convolved(node.attributes, node.op === "DEPTHWISE_CONV_2D", x, w, output);
  return undefined;
}

export function before(
  attributes: Attributes["CONV_2D"],
  x: Tensor,
  height: number,
  width: number,
): [number, number] {
  const { padding, strideHeight, strideWidth, dilationHeight, dilationWidth } = attributes;
  const of = (a: 0 | 2, size: number, filter: number, stride: number, dilation: number) =>
    windowAxis(
      size,
      filter,
      stride,
      dilation,
      typeof padding === "string" ? padding : [padding[a], padding[a + 1]],
    ).before;
  return [
    of(0, x.shape[1], height, strideHeight, dilationHeight),
    of(2, x.shape[2], width, strideWidth, dilationWidth),
  ];
}

function convolved(
  attributes: Attributes["CONV_2D"],
  isDepthwise: boolean,
  x: Tensor,
  w: Tensor,
  y: Tensor,
): Taps {
  const [, height, width] = w.shape;
  const [top, left] = before(attributes, x, height, width);
  const [xs, ws] = [stridesOf(x.shape), stridesOf(w.shape)];
  const depth = isDepthwise ? 1 : w.shape[3];
  const outputs = y.shape[3];
  const perGroup = isDepthwise ? outputs / x.shape[3] : outputs / (x.shape[3] / depth);
  return {
    channelAxis: isDepthwise ? 3 : 0,
    visit: (add) =>
      forEachIndex(y.shape, ([n, row, column, o], flat) => {
        for (let i = 0; i < height; i++)
          for (let j = 0; j < width; j++) {
            const a = row * attributes.strideHeight + i * attributes.dilationHeight - top;
            const b = column * attributes.strideWidth + j * attributes.dilationWidth - left;
            if (a < 0 || b < 0 || a >= x.shape[1] || b >= x.shape[2]) continue;
            for (let c = 0; c < depth; c++) {
              const from = flatten([n, a, b, Math.floor(o / perGroup) * depth + c], xs);
              add(flat, o, from, isDepthwise ? flatten([0, i, j, o], ws) : flatten([o, i, j, c], ws));
            }
          }
      }),
  };
}

function transposed(attributes: Attributes["TRANSPOSE_CONV"], x: Tensor, w: Tensor, y: Tensor): Taps {
  const { padding, strideHeight, strideWidth } = attributes;
  const [top, left] = typeof padding === "string" ? [0, 0] : [padding[0], padding[2]];
  const [ys, ws] = [stridesOf(y.shape), stridesOf(w.shape)];
  return {
    channelAxis: 0,
    visit: (add) =>
      forEachIndex(x.shape, ([n, row, column, c], flat) => {
        for (let i = 0; i < w.shape[1]; i++)
          for (let j = 0; j < w.shape[2]; j++)
            for (let o = 0; o < w.shape[0]; o++) {
              const [a, b] = [row * strideHeight + i - top, column * strideWidth + j - left];
              if (a < 0 || b < 0 || a >= y.shape[1] || b >= y.shape[2]) continue;
              add(flatten([n, a, b, o], ys), o, flat, flatten([o, i, j, c], ws));
            }
      }),
  };
}

export function weighted(
  taps: Taps,
  tensors: Tensor[],
  operands: Values[],
  output: Tensor,
  activation: Activation,
): Values {
  const [x, w, bias] = tensors;
  const isDynamic = x.dtype === "float32" && w.dtype !== "float32";
  const isInteger = x.dtype !== "float32" && w.dtype !== "float32";
  const dynamic = isDynamic ? dynamicallyQuantized(operands[0]) : undefined;
  const [a, b] = isInteger
    ? [centred(x, operands[0]), centred(w, operands[1])]
    : dynamic
      ? [dynamic.codes, centred(w, operands[1])]
      : [operands[0], operands[1]];
  const channels: number[] = [];
  const sums = new Float64Array(elements(output.shape));
  taps.visit((out, channel, i, j) => {
    channels[out] = channel;
    sums[out] += a[i] * b[j];
  });
  const scaleOf = (c: number) => w.quantization!.scale[w.quantization!.scale.length === 1 ? 0 : c];
  const addend = (c: number) => (bias ? operands[2][c] : 0);
  if (dynamic)
    return stored(
      output,
      sums.map(
        (sum, i) =>
          Math.fround(sum) * Math.fround(dynamic.scale * scaleOf(channels[i])) + addend(channels[i]),
      ),
      activation,
    );
  if (!isInteger)
    return stored(
      output,
      sums.map((sum, i) => sum + addend(channels[i] ?? 0)),
      activation,
    );
  const { scale: outputScale, zeroPoint } = output.quantization!;
  const limits = CLAMPS[activation].map((r) =>
    Number.isFinite(r) ? zeroPoint[0] + Math.round(Math.fround(r / outputScale[0])) : r,
  ) as [number, number];
  return sums.map((sum, i) => {
    const scale = Math.fround(Math.fround(x.quantization!.scale[0] * scaleOf(channels[i])) / outputScale[0]);
    const code = roundHalfEven(Math.fround(Math.fround(sum + addend(channels[i])) * scale)) + zeroPoint[0];
    return clamp(clamp(code, RANGES[output.dtype]), limits);
  });
}

function centred({ quantization, shape }: Tensor, codes: Values): Values {
  const { zeroPoint, axis } = quantization!;
  const inner = axis === undefined ? 1 : elements(shape.slice(axis + 1));
  return codes.map(
    (q, i) => q - zeroPoint[axis === undefined ? 0 : Math.floor(i / inner) % zeroPoint.length],
  );
}

/** ONNX DynamicQuantizeLinear: codes less their zero point. */
function dynamicallyQuantized(values: Values): { codes: Values; scale: number } {
  const low = Math.min(0, ...values);
  const high = Math.max(0, ...values);
  const scale = Math.fround(Math.fround(high - low) / 255) || 1;
  const zeroPoint = roundHalfEven(clamp(Math.fround(-low / scale), [0, 255]));
  const code = (v: number) => clamp(roundHalfEven(Math.fround(v / scale)) + zeroPoint, [0, 255]);
  return { codes: values.map((v) => code(v) - zeroPoint), scale };
}

export function stored(
  { quantization, dtype }: Tensor,
  values: Values,
  activation: Activation = "NONE",
): Values {
  const clamped = values.map((value) => clamp(value, CLAMPS[activation]));
  if (dtype === "float32") return clamped.map(Math.fround);
  const { scale, zeroPoint } = quantization!;
  return clamped.map((value) =>
    clamp(roundHalfEven(Math.fround(value / scale[0])) + zeroPoint[0], RANGES[dtype]),
  );
}
