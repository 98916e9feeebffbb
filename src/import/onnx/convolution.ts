import { elements, type Quantization } from "../../model/graph.ts";
import type { Activation, Value } from "./builder.ts";
import { allocate, type Constant, constantOf } from "./constants.ts";
import { checkCodes, quantizationOf } from "./quantization.ts";
import { refuse } from "./refusal.ts";
import type { Rows, Site } from "./site.ts";
import { type Image, imageOf, padsOf, pairOf, windowOf } from "./windows.ts";

/** The weights with a height where the operator works on rows. */
function filterOf(site: Site, filter: Constant, spatial: 1 | 2): Constant {
  if (filter.dims.length !== spatial + 2)
    site.malformed(`a filter of ${spatial + 2} dimensions`, `[${filter.dims}]`);
  const [out, depth, ...window] = filter.dims;
  return spatial === 2 ? filter : site.builder.reshaped(filter, [out, depth, 1, ...window]);
}

function biasOf(site: Site, i: number, channels: number): number[] {
  if (!site.has(i)) return [];
  const bias = site.realConstant(i, "the bias");
  if (bias.data.length !== channels) site.malformed(`a bias of ${channels}`, `[${bias.dims}]`);
  return [site.builder.constant(bias)];
}

/** How a filter constant becomes a tensor: dequantized, or as codes with scales for an op that takes them. */
type Filter = (filter: Constant) => number;

function convolve(
  site: Site,
  image: Image,
  filter: Constant,
  tensor: Filter,
  bias: number[],
  made = {},
): Activation {
  const { builder } = site;
  const [out, depth, ...size] = filter.dims;
  const groups = site.int("group", 1);
  if (!(groups >= 1) || depth * groups !== image.channels || out % groups !== 0)
    site.malformed(`a filter for ${image.channels} channels in ${groups} groups`, `[${filter.dims}]`);
  const window = windowOf(site, image, [size[0], size[1]]);
  const isDepthwise = groups > 1 && depth === 1;
  const weights = tensor(builder.permuted(filter, isDepthwise ? [1, 2, 3, 0] : [0, 2, 3, 1]));
  const inputs = [image.tensor, weights, ...bias];
  const attributes = { ...window, activation: "NONE" as const };
  return image.value(
    isDepthwise
      ? builder.emit("DEPTHWISE_CONV_2D", inputs, { ...attributes, depthMultiplier: out / groups }, made)
      : builder.emit("CONV_2D", inputs, attributes, made),
  );
}

function transposeConvolution(site: Site): Value[] {
  const { builder } = site;
  const image = imageOf(site, 0);
  const filter = filterOf(site, site.realConstant(1, "the filter"), image.spatial);
  const [depth, out, height, width] = filter.dims;
  if (site.int("group", 1) !== 1) refuse("a grouped ConvTranspose");
  if (depth !== image.channels) site.malformed(`a filter for ${image.channels} channels`, `[${filter.dims}]`);
  const [dilationHeight, dilationWidth] = pairOf(site, "dilations", image.spatial, 1);
  if (dilationHeight !== 1 || dilationWidth !== 1) refuse("a dilated ConvTranspose");
  if (!["NOTSET", ""].includes(site.string("auto_pad", "NOTSET")) || site.ints("output_shape")?.length)
    refuse("auto_pad or output_shape instead of pads");
  const strides = pairOf(site, "strides", image.spatial, 1);
  if (image.spatial === 1) strides[0] = 1;
  const [top, bottom, left, right] = padsOf(site, image.spatial);
  const extra = site.ints("output_padding") ?? [];
  const more = (a: 0 | 1) =>
    extra.length === 0 ? 0 : image.spatial === 2 ? extra[a] : a === 1 ? extra[0] : 0;
  const outputHeight = strides[0] * (image.height - 1) + more(0) + height - top - bottom;
  const outputWidth = strides[1] * (image.width - 1) + more(1) + width - left - right;
  const weights = builder.constant(builder.permuted(filter, [1, 2, 3, 0]));
  const made = builder.emit("TRANSPOSE_CONV", [image.tensor, weights, ...biasOf(site, 2, out)], {
    strideHeight: strides[0],
    strideWidth: strides[1],
    padding: top + bottom + left + right === 0 ? "VALID" : [top, bottom, left, right],
    activation: "NONE",
    outputShape: [builder.shape(image.tensor)[0], outputHeight, outputWidth, out],
  });
  return [image.value(made)];
}

/** x [..., K] times weights [K, N]: FULLY_CONNECTED, or of integers a 1x1 convolution where x has more than two dimensions. */
function multiply(
  site: Site,
  weights: Constant,
  tensor: Filter,
  bias: number[],
  { isTransposed = false, ...made }: { isTransposed?: boolean; dtype?: "float32" } = {},
): Activation {
  const { builder } = site;
  const x = site.plain(0);
  const shape = builder.shape(x);
  const [depth, out] = weights.dims;
  if (shape.length < 2) refuse("a left operand of one dimension, which is the batch");
  if (shape.at(-1) !== depth) site.malformed(`weights for ${shape.at(-1)} values`, `[${weights.dims}]`);
  const filter = builder.permuted(weights, [1, 0]);
  const activation = { activation: "NONE" as const };
  // A float sum depends on its order: a matrix product's is not that of a convolution.
  if (shape.length === 2 || weights.type === "float32") {
    const attributes = {
      ...activation,
      ...(weights.unpacked && { unpacked: true as const }),
      ...(isTransposed && builder.computedOn === "float32" && { isTransposed: true as const }),
    };
    return site.asIs(builder.emit("FULLY_CONNECTED", [x, tensor(filter), ...bias], attributes, made));
  }
  const rows = elements(shape.slice(1, -1));
  const image = builder.reshape(x, [shape[0], 1, rows, depth]);
  const window = {
    strideHeight: 1,
    strideWidth: 1,
    dilationHeight: 1,
    dilationWidth: 1,
    padding: "VALID" as const,
  };
  const result = builder.emit(
    "CONV_2D",
    [image, tensor(builder.reshaped(filter, [out, 1, 1, depth])), ...bias],
    { ...window, ...activation, isProduct: true },
    made,
  );
  return site.asIs(builder.reshape(result, [...shape.slice(0, -1), out]));
}

/** The right operand of a MatMul, [K, N]: real numbers, or codes whose scale comes apart. */
function matrixOf(site: Site, read: "constant" | "realConstant"): Constant {
  const left = site.value(0);
  if (left.kind === "constant") refuse("a constant left operand: the batch would not come first");
  const matrix = site[read](1, "the right operand");
  const dims = matrix.dims.slice(-2);
  if (matrix.dims.length < 2) refuse("a right operand of one dimension");
  if (elements(dims) !== matrix.data.length) refuse(`another matrix for each image: [${matrix.dims}]`);
  return matrix.dims.length === 2 ? matrix : site.builder.reshaped(matrix, dims);
}

/** By a matrix that is known as FULLY_CONNECTED, else as the file has it. */
function matMul(site: Site): Value[] {
  if (site.int("transBatchA", 0) !== 0 || site.int("transBatchB", 0) !== 0) refuse("a batch in the middle");
  const [adjX, adjY] = [site.int("transA", 0) !== 0, site.int("transB", 0) !== 0];
  const alpha = site.float("alpha", 1);
  const [a, b] = [site.value(0), site.value(1)];
  const isMatrix = b.kind === "constant" && (b.dims.length < 3 || b.quantization !== undefined);
  if (a.kind !== "activation" || !isMatrix || adjX || alpha !== 1)
    return [product(site, { adjX, adjY, alpha })];
  const matrix = matrixOf(site, "realConstant");
  const weights = adjY ? site.builder.permuted(matrix, [1, 0]) : matrix;
  return [multiply(site, weights, (filter) => site.builder.constant(filter), [])];
}

/** Operands of a BATCH_MATMUL have their batch first, which a constant has not. */
function product(
  site: Site,
  { adjX, adjY, alpha }: { adjX: boolean; adjY: boolean; alpha: number },
): Activation {
  const { builder } = site;
  const operands = [0, 1].map((i) => {
    const value = site.value(i);
    return value.kind === "constant" ? builder.constant(site.realConstant(i, `input ${i}`)) : site.plain(i);
  });
  const [x, y] = operands.map((id) => builder.shape(id));
  const isKnown = [0, 1].map((i) => site.value(i).kind === "constant");
  if (isKnown[0] && isKnown[1]) refuse("two constants");
  const rank = Math.max(x.length, y.length);
  [x, y].forEach((shape, i) => {
    if (shape.length < 2) refuse(`an operand of one dimension: [${shape}]`);
    if (!isKnown[i] && (shape.length !== rank || rank < 3))
      refuse(`an operand of [${shape}], whose first dimension is not the batch`);
    if (isKnown[i] && shape.length === rank && rank > 2 && shape[0] !== 1)
      refuse(`another matrix for each image: [${shape}]`);
  });
  const depths = [x.at(adjX ? -2 : -1), y.at(adjY ? -1 : -2)];
  if (depths[0] !== depths[1]) site.malformed(`operands of one depth`, `[${x}] and [${y}]`);
  checkBroadcast(site, x.slice(0, -2), y.slice(0, -2));
  const attributes = { adjX, adjY, ...(alpha !== 1 && { alpha }) };
  return site.asIs(builder.emit("BATCH_MATMUL", operands, attributes));
}

function checkBroadcast(site: Site, x: readonly number[], y: readonly number[]): void {
  const fits = x.every((size, i) => {
    const other = y[i - x.length + y.length] ?? 1;
    return size === other || size === 1 || other === 1;
  });
  if (!fits) site.malformed("dimensions that broadcast", `[${x}] and [${y}]`);
}

/** C of a Gemm: a vector of N, or one value for all. */
function gemmBias(site: Site, i: number, out: number, factor: number): number[] {
  if (!site.has(i)) return [];
  const bias = site.realConstant(i, "the bias");
  if (factor === 1 && bias.data.length === out)
    return [site.builder.constant(site.builder.reshaped(bias, [out]))];
  if (bias.data.length !== 1 && bias.data.length !== out) refuse(`a bias of [${bias.dims}]`);
  if (bias.type !== "float32" || factor === 0) refuse("a beta or a single bias on quantized values");
  site.builder.budget.spend(out * 4);
  const values = Array.from(
    { length: out },
    (_, o) => factor * Number(bias.data[bias.data.length === 1 ? 0 : o]),
  );
  return [site.builder.constant(constantOf(bias.name, [out], "float32", values))];
}

/** alpha goes into the weights: into their scale where they have one. */
function scaledWeights(site: Site, weights: Constant, alpha: number): Constant {
  if (alpha === 1) return weights;
  const { quantization } = weights;
  if (!(alpha > 0)) refuse(`alpha ${alpha}`);
  if (quantization)
    return { ...weights, quantization: { ...quantization, scale: quantization.scale.map((s) => s * alpha) } };
  site.builder.budget.spend(weights.data.length * 4);
  return { ...weights, data: (weights.data as Float32Array).map((w) => w * alpha) };
}

function gemm(site: Site): Value[] {
  if (site.int("transA", 0) !== 0) refuse("a transposed left operand");
  const matrix = matrixOf(site, "realConstant");
  if (matrix.dims.length !== 2) site.malformed("a matrix", `[${matrix.dims}]`);
  const weights = site.int("transB", 0) === 0 ? matrix : site.builder.permuted(matrix, [1, 0]);
  const bias = gemmBias(site, 2, weights.dims[1], site.float("beta", 1));
  const scaled = scaledWeights(site, weights, site.float("alpha", 1));
  const isTransposed = site.int("transB", 0) !== 0;
  return [multiply(site, scaled, (filter) => site.builder.constant(filter), bias, { isTransposed })];
}

/** Weights of 4 bits in blocks along K, each block in bytes of its own, as the float values that they stand for.
 * Source: ONNX Runtime 1.30.0 contrib_ops/cpu/quantization/matmul_nbits.cc. */
function matMulNBits(site: Site): Value[] {
  const [depth, out, bits, block] = ["K", "N", "bits", "block_size"].map((name) => site.int(name, 0));
  if (bits !== 4) refuse(`${bits} bits; there are 4`);
  if (site.has(4)) refuse("groups of their own order (g_idx)");
  const [codes, scales] = [site.constant(1, "the weights"), site.constant(2, "the scales")];
  const zeroPoint = site.has(3) ? site.constant(3, "the zero points") : undefined;
  if (!(depth >= 1 && out >= 1 && block >= 16))
    site.malformed("K, N and block_size", `${depth}, ${out}, ${block}`);
  const blocks = Math.ceil(depth / block);
  if (codes.type !== "uint8" || scales.type !== "float32")
    refuse(`weights of ${codes.type}, scales of ${scales.type}`);
  if (zeroPoint && zeroPoint.type !== "uint8") refuse(`zero points of ${zeroPoint.type}`);
  const zeroBytes = Math.ceil(blocks / 2);
  const sizes = [codes.data.length, scales.data.length, zeroPoint?.data.length ?? out * zeroBytes];
  const expected = [out * blocks * (block / 2), out * blocks, out * zeroBytes];
  if (sizes.some((size, i) => size !== expected[i]))
    site.malformed(`${expected} weights, scales and zero points`, `${sizes}`);
  const nibble = (data: ArrayLike<number | bigint>, at: number) =>
    (Number(data[at >> 1]) >> ((at & 1) * 4)) & 15;
  const weights = allocate("float32", out * depth, site.builder.budget);
  for (let n = 0; n < out; n++)
    for (let k = 0; k < depth; k++) {
      const b = Math.floor(k / block);
      const zero = zeroPoint ? nibble(zeroPoint.data, n * zeroBytes * 2 + b) : 8;
      const code = nibble(codes.data, (n * blocks + b) * block + (k % block));
      weights[n * depth + k] = (code - zero) * Number(scales.data[n * blocks + b]);
    }
  const matrix: Constant = {
    kind: "constant",
    name: `${codes.name}/float`,
    dims: [out, depth],
    type: "float32",
    data: weights,
    unpacked: true,
  };
  const bias = site.has(5) ? [site.builder.constant(site.realConstant(5, "the bias"))] : [];
  const filter = site.builder.permuted(matrix, [1, 0]);
  return [multiply(site, filter, (made) => site.builder.constant(made), bias)];
}

/** Weights with the scale of a dynamic multiplication: codes, which the op takes as they are. */
function dynamicWeights(site: Site, filter: Constant, axis: number): Constant {
  checkCodes(filter);
  const scale = site.constant(2, "the scale of the weights");
  const flat = { ...scale, dims: scale.data.length === 1 ? [] : [scale.data.length] };
  const zeroPoint = site.has(3) ? site.constant(3, "the zero point of the weights") : undefined;
  const quantization: Quantization = quantizationOf(flat, zeroPoint, filter.dims, axis);
  return { ...filter, quantization };
}

const FLOAT = { dtype: "float32" as const };

/** Operators with weights. Weights and biases must be constants. */
export const CONVOLUTION: Rows = {
  Conv: (site) => {
    const image = imageOf(site, 0);
    const filter = filterOf(site, site.realConstant(1, "the filter"), image.spatial);
    const bias = biasOf(site, 2, filter.dims[0]);
    return [convolve(site, image, filter, (made) => site.builder.constant(made), bias)];
  },
  ConvTranspose: transposeConvolution,
  Gemm: gemm,
  MatMul: matMul,
  "blindspot:FusedMatMul": matMul,
  /** Inputs: float x, codes of [N, blocks, bytes], scales, zero points, groups, bias. */
  "blindspot:MatMulNBits": matMulNBits,
  /** Inputs: float x, weights, their scale, their zero point. Stands for x quantized anew in each call. */
  "blindspot:DynamicMatMul": (site) => {
    const weights = dynamicWeights(site, matrixOf(site, "constant"), 1);
    return [multiply(site, weights, (filter) => site.builder.codes(filter), [], FLOAT)];
  },
  "blindspot:DynamicConv": (site) => {
    const image = imageOf(site, 0);
    const filter = dynamicWeights(site, filterOf(site, site.constant(1, "the filter"), image.spatial), 0);
    return [convolve(site, image, filter, (made) => site.builder.codes(made), [], FLOAT)];
  },
};
