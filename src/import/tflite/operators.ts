import { elements, type OpName, windowAxis } from "../../model/graph.ts";
import { LAYOUT_OPERATORS } from "./layoutOperators.ts";
import type { OPTIONS } from "./schema.ts";
import type { Converted, Site } from "./site.ts";

/** One TFLite operator: how many inputs and outputs the file must give it, and the Graph's form of it. */
export interface Row {
  inputs: readonly [least: number, most: number];
  /** 1 where left out. */
  outputs?: readonly [least: number, most: number];
  read(site: Site): Converted;
}

/** An op without attributes, under its own name. */
const plain = (op: OpName): Row => ({
  inputs: [1, 1],
  read: (site) => ({ op, inputs: site.operands(0), attributes: {} }) as Converted,
});

const elementwise = (op: "ADD" | "SUB" | "MUL", type: keyof typeof OPTIONS): Row => ({
  inputs: [2, 2],
  read: (site) => {
    checkBroadcast(site);
    // A constant comes second where the order does not matter, as every kernel has it.
    const swap = op !== "SUB" && site.tensor(0).data !== undefined;
    return {
      op,
      inputs: swap ? site.operands(1, 0) : site.operands(0, 1),
      attributes: { activation: site.activation(site.options(type), 0), ...powerOfTwoScales(site, op, type) },
    };
  },
});

/** Only int16 ADD and SUB look at pot_scale_int16, which is true where it is not said. */
function powerOfTwoScales(site: Site, op: "ADD" | "SUB" | "MUL", type: keyof typeof OPTIONS) {
  if (op === "MUL" || site.tensor(0).dtype !== "int16") return {};
  return site.options(type)?.bool(1, "pot_scale_int16", true) === false ? {} : { powerOfTwoScales: true };
}

/** In each dimension, counted from the last, both are the same or one is 1. */
function checkBroadcast(site: Site, a = site.shape(0), b = site.shape(1)): void {
  const fits = a.every((size, i) => {
    const other = b[b.length - a.length + i] ?? 1;
    return size === other || size === 1 || other === 1;
  });
  if (!fits) site.malformed("inputs of one shape, or that broadcast", `[${a}] and [${b}]`);
}

const pool = (op: "AVERAGE_POOL_2D" | "MAX_POOL_2D"): Row => ({
  inputs: [1, 1],
  read: (site) => {
    site.shape(0, 4);
    checkPoolScale(site);
    const options = site.options("Pool2DOptions");
    return {
      op,
      inputs: site.operands(0),
      attributes: {
        padding: site.padding(options, 0),
        strideWidth: site.size(options, 1, "stride_w"),
        strideHeight: site.size(options, 2, "stride_h"),
        filterWidth: site.size(options, 3, "filter_width"),
        filterHeight: site.size(options, 4, "filter_height"),
        activation: site.activation(options, 5),
      },
    };
  },
});

/** TFLite averages codes whatever the scales are, and then says another thing than the network did. */
function checkPoolScale(site: Site): void {
  const [x, y] = [site.tensor(0).quantization, site.output().tensor.quantization];
  if (x?.scale[0] !== y?.scale[0] || x?.zeroPoint[0] !== y?.zeroPoint[0])
    site.refuse("an output of another scale or zero point than the input's");
}

/** bias: operand index; channels: what it must hold one value for. */
function checkBias(site: Site, bias: number, channels: number): void {
  if (!site.has(bias)) return;
  if (elements(site.shape(bias)) !== channels)
    site.malformed(`a bias of ${channels} values`, `[${site.shape(bias)}]`);
  const zeroPoint = site.tensor(bias).quantization?.zeroPoint.find((z) => z !== 0);
  if (zeroPoint !== undefined) site.refuse(`a bias of zero point ${zeroPoint}`);
}

function conv2d(site: Site): Converted {
  const [x, filter] = [site.shape(0, 4), site.shape(1, 4)];
  const groups = x[3] / filter[3];
  if (!Number.isInteger(groups) || filter[0] % groups !== 0)
    site.malformed(`a filter for ${x[3]} input channels`, `[${filter}]`);
  checkBias(site, 2, filter[0]);
  const options = site.options("Conv2DOptions");
  return {
    op: "CONV_2D",
    inputs: site.operands(0, 1, 2),
    attributes: {
      padding: site.padding(options, 0),
      strideWidth: site.size(options, 1, "stride_w"),
      strideHeight: site.size(options, 2, "stride_h"),
      activation: site.activation(options, 3),
      dilationWidth: site.size(options, 4, "dilation_w_factor", 1),
      dilationHeight: site.size(options, 5, "dilation_h_factor", 1),
    },
  };
}

/** The multiplier follows from the shapes; depth_multiplier is redundant and, in files since TF 2.0, not to be trusted. */
function depthwiseConv2d(site: Site): Converted {
  const [x, filter] = [site.shape(0, 4), site.shape(1, 4)];
  const depthMultiplier = filter[3] / x[3];
  if (filter[0] !== 1 || !Number.isInteger(depthMultiplier))
    site.malformed(`a filter [1, h, w, n * ${x[3]}]`, `[${filter}]`);
  checkBias(site, 2, filter[3]);
  const options = site.options("DepthwiseConv2DOptions");
  return {
    op: "DEPTHWISE_CONV_2D",
    inputs: site.operands(0, 1, 2),
    attributes: {
      padding: site.padding(options, 0),
      strideWidth: site.size(options, 1, "stride_w"),
      strideHeight: site.size(options, 2, "stride_h"),
      depthMultiplier,
      activation: site.activation(options, 4),
      dilationWidth: site.size(options, 5, "dilation_w_factor", 1),
      dilationHeight: site.size(options, 6, "dilation_h_factor", 1),
    },
  };
}

/** TFLite's operands: output shape, filter, x, bias. */
function transposeConv(site: Site): Converted {
  const outputShape = site.indices(0, "output_shape", 4);
  const [filter, x] = [site.shape(1, 4), site.shape(2, 4)];
  const options = site.options("TransposeConvOptions");
  const padding = site.padding(options, 0) as "SAME" | "VALID";
  const strideWidth = site.size(options, 1, "stride_w");
  const strideHeight = site.size(options, 2, "stride_h");
  const rows = windowAxis(outputShape[1], filter[1], strideHeight, 1, padding).output;
  const columns = windowAxis(outputShape[2], filter[2], strideWidth, 1, padding).output;
  if (x[3] !== filter[3] || outputShape[3] !== filter[0] || rows !== x[1] || columns !== x[2])
    site.malformed(`an output_shape for x [${x}] and filter [${filter}]`, `[${outputShape}]`);
  checkBias(site, 3, filter[0]);
  return {
    op: "TRANSPOSE_CONV",
    inputs: site.operands(2, 1, 3),
    attributes: { padding, strideWidth, strideHeight, activation: site.activation(options, 3), outputShape },
  };
}

function fullyConnected(site: Site): Converted {
  const [x, filter] = [site.shape(0), site.shape(1, 2)];
  const options = site.options("FullyConnectedOptions");
  if (options?.int8(1, "weights_format")) site.refuse("shuffled weights_format");
  if (elements(x) % filter[1] !== 0) site.malformed(`a filter for x [${x}]`, `[${filter}]`);
  const rows = elements(x.slice(1)) / filter[1];
  const kept = x.at(-1) === filter[1] && (options?.bool(2, "keep_num_dims") ?? false);
  if (rows !== 1 && !kept) site.refuse(`${rows} rows an image that become images`);
  checkBias(site, 2, filter[0]);
  return {
    op: "FULLY_CONNECTED",
    inputs: site.operands(0, 1, 2),
    attributes: { activation: site.activation(options, 0) },
  };
}

/** Operands have their batch first; a constant has none, or 1. */
function batchMatMul(site: Site): Converted {
  const [x, y] = [site.shape(0), site.shape(1)];
  const options = site.options("BatchMatMulOptions");
  const [adjX, adjY] = [options?.bool(0, "adj_x") ?? false, options?.bool(1, "adj_y") ?? false];
  if (x.length < 2 || y.length < 2) site.malformed("inputs of two dimensions or more", `[${x}] and [${y}]`);
  if (x.at(adjX ? -2 : -1) !== y.at(adjY ? -1 : -2))
    site.malformed("inputs of one depth", `[${x}] and [${y}]`);
  checkBroadcast(site, x.slice(0, -2), y.slice(0, -2));
  return { op: "BATCH_MATMUL", inputs: site.operands(0, 1), attributes: { adjX, adjY } };
}

function softmax(site: Site): Converted {
  const beta = site.options("SoftmaxOptions")?.float32(0, "beta") ?? 0;
  if (!(beta > 0 && Number.isFinite(beta))) site.malformed("a positive beta", `${beta}`);
  if (site.shape(0).length < 2) site.refuse("softmax over the batch");
  return { op: "SOFTMAX", inputs: site.operands(0), attributes: { beta } };
}

function leakyRelu(site: Site): Converted {
  const alpha = site.options("LeakyReluOptions")?.float32(0, "alpha") ?? 0;
  if (!Number.isFinite(alpha)) site.malformed("a finite alpha", `${alpha}`);
  return { op: "LEAKY_RELU", inputs: site.operands(0), attributes: { alpha } };
}

function mean(site: Site): Converted {
  const x = site.shape(0);
  const axes = [...new Set(site.indices(1, "axes").map((axis) => site.axis(axis, x.length)))].sort();
  if (axes.includes(0)) site.refuse("mean over the batch");
  if (axes.length === 0) site.refuse("mean over no axis");
  const keepDims = site.options("ReducerOptions")?.bool(0, "keep_dims") ?? false;
  return { op: "MEAN", inputs: site.operands(0), attributes: { axes, keepDims } };
}

/** Every operator of TFLite that the Graph has, by its name in the schema. */
export const OPERATORS: ReadonlyMap<string, Row> = new Map<string, Row>([
  ["CONV_2D", { inputs: [2, 3], read: conv2d }],
  ["DEPTHWISE_CONV_2D", { inputs: [2, 3], read: depthwiseConv2d }],
  ["TRANSPOSE_CONV", { inputs: [3, 4], read: transposeConv }],
  ["FULLY_CONNECTED", { inputs: [2, 3], read: fullyConnected }],
  ["ADD", elementwise("ADD", "AddOptions")],
  ["SUB", elementwise("SUB", "SubOptions")],
  ["MUL", elementwise("MUL", "MulOptions")],
  ["AVERAGE_POOL_2D", pool("AVERAGE_POOL_2D")],
  ["MAX_POOL_2D", pool("MAX_POOL_2D")],
  ["BATCH_MATMUL", { inputs: [2, 2], read: batchMatMul }],
  ["MEAN", { inputs: [2, 2], read: mean }],
  ["SOFTMAX", { inputs: [1, 1], read: softmax }],
  ["LEAKY_RELU", { inputs: [1, 1], read: leakyRelu }],
  [
    "PRELU",
    {
      inputs: [2, 2],
      read: (site) => {
        checkBroadcast(site);
        return { op: "PRELU", inputs: site.operands(0, 1), attributes: {} };
      },
    },
  ],
  ...(
    [
      "LOG_SOFTMAX",
      "LOGISTIC",
      "TANH",
      "HARD_SWISH",
      "RELU",
      "RELU6",
      "RELU_N1_TO_1",
      "QUANTIZE",
      "DEQUANTIZE",
      "CAST",
    ] as const
  ).map((op): [string, Row] => [op, plain(op)]),
  ...LAYOUT_OPERATORS,
]);
