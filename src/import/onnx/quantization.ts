import { type DType, elements, type Quantization } from "../../model/graph.ts";
import { allocate, type Constant, type ConstantType, quantizeConstant } from "./constants.ts";
import { refuse } from "./refusal.ts";
import { dataTypeName } from "./schema.ts";
import type { Row, Rows, Site } from "./site.ts";
import { HELD_AS } from "./tensor.ts";

/** Scale and zero point of operands `scale` and `zeroPoint`, one of each or one an index of `axis` of a value of this
 * shape. A scale of one entry is for the whole tensor. */
export function quantizationOf(
  scale: Constant,
  zeroPoint: Constant | undefined,
  shape: readonly number[],
  axis: number,
): Quantization {
  if (scale.type !== "float32") refuse(`scale ${scale.name} is ${scale.type}`);
  const scales = Float32Array.from(scale.data as ArrayLike<number>);
  if (scale.dims.length > 1 && scales.length > 1)
    refuse("blockwise quantization: a Graph has scales along one axis");
  if (!scales.every((s) => s > 0 && Number.isFinite(s)))
    refuse(`scale ${scale.name} is not positive and finite`);
  const points = Int32Array.from({ length: scales.length }, (_, i) =>
    zeroPoint ? Number(zeroPoint.data[zeroPoint.data.length === 1 ? 0 : i]) : 0,
  );
  if (scales.length === 1) return { scale: scales, zeroPoint: points };
  if (scales.length !== shape[axis]) refuse(`${scales.length} scales for axis ${axis} of [${shape}]`);
  if (zeroPoint && zeroPoint.data.length !== 1 && zeroPoint.data.length !== scales.length)
    refuse(`${zeroPoint.data.length} zero points for ${scales.length} scales`);
  return { scale: scales, zeroPoint: points, axis };
}

function operands(site: Site, shape: readonly number[]): Quantization {
  if (site.int("block_size", 0) !== 0) refuse("blockwise quantization: a Graph has scales along one axis");
  const scale = site.constant(1, "the scale");
  const zeroPoint = site.has(2) ? site.constant(2, "the zero point") : undefined;
  site.builder.budget.spend(scale.data.length * 8);
  const isPerTensor = scale.data.length === 1;
  const axis = isPerTensor ? 0 : site.axis(site.int("axis", 1), shape.length);
  return quantizationOf(scale, zeroPoint, shape, axis);
}

/** The type of a QuantizeLinear's codes. */
function codeType(site: Site): ConstantType {
  const wanted = site.int("output_dtype", 0);
  if (site.has(2)) return site.constant(2, "the zero point").type;
  if (wanted === 0) return "uint8";
  const name = dataTypeName(wanted);
  return (name && HELD_AS[name]) ?? refuse(`output_dtype ${name ?? wanted}`);
}

const ACTIVATION_TYPES: ReadonlySet<ConstantType> = new Set(["int8", "uint8", "int16", "int32"]);

const CODE_TYPES: ReadonlySet<ConstantType> = new Set(["int8", "uint8", "int4", "uint4", "int16"]);
/** @throws Refusal for weights that are no codes. */
export function checkCodes({ name, type }: Constant): void {
  if (!CODE_TYPES.has(type)) refuse(`weights ${name} are ${type}`);
}

/** A bias of codes on the scale of the sum it is added to: inputs bias, input scale, weight scale. */
const dequantizeBias: Row = (site) => {
  const bias = site.constant(0, "the bias");
  const x = site.constant(1, "the input scale");
  const weights = site.constant(2, "the weight scale");
  site.builder.budget.spend(weights.data.length * 8);
  if (weights.type !== "float32" || x.type !== "float32") refuse("scales that are no floats");
  const product = Float32Array.from(weights.data as Float32Array, (s) => s * Number(x.data[0]));
  const scale: Constant = {
    ...weights,
    dims: weights.data.length === 1 ? [] : [weights.data.length],
    data: product,
  };
  return [{ ...bias, quantization: quantizationOf(scale, undefined, bias.dims, 0) }];
};

/** Weights of an integer operator, whose sums are wanted as they are: scale 1, and zero points along `axis`. */
const dequantizeInteger: Row = (site) => {
  const x = site.constant(0, "the weights");
  checkCodes(x);
  const zeroPoint = site.has(1) ? site.constant(1, "the zero point") : undefined;
  const channels = zeroPoint?.data.length ?? 1;
  site.builder.budget.spend(channels * 8);
  const ones = new Float32Array(channels).fill(1);
  const scale: Constant = {
    kind: "constant",
    name: "1",
    dims: channels === 1 ? [] : [channels],
    type: "float32",
    data: ones,
  };
  const axis = channels === 1 ? 0 : site.axis(site.int("axis", 0), x.dims.length);
  return [{ ...x, quantization: quantizationOf(scale, zeroPoint, x.dims, axis) }];
};

/** A constant with a scale a block of an axis, as the float values that every runtime multiplies with: a Graph has scales
 * along a whole axis. */
function dequantizeBlocks(site: Site, x: Constant): Constant {
  const block = site.int("block_size", 0);
  const axis = site.axis(site.int("axis", 1), x.dims.length);
  const scale = site.constant(1, "the scale");
  const zeroPoint = site.has(2) ? site.constant(2, "the zero point") : undefined;
  if (scale.type !== "float32") refuse(`scale ${scale.name} is ${scale.type}`);
  if (!(block > 0)) site.malformed("a block_size above 0", `${block}`);
  const blocks = x.dims.map((size, d) => (d === axis ? Math.ceil(size / block) : size));
  for (const { name, dims } of zeroPoint ? [scale, zeroPoint] : [scale])
    if (`${dims}` !== `${blocks}`) site.malformed(`${name} of [${blocks}]`, `[${dims}]`);
  const inner = elements(x.dims.slice(axis + 1));
  const [size, many] = [x.dims[axis], blocks[axis]];
  const data = allocate("float32", x.data.length, site.builder.budget);
  for (let i = 0; i < data.length; i++) {
    const outer = Math.floor(i / (size * inner));
    const at = (outer * many + Math.floor((Math.floor(i / inner) % size) / block)) * inner + (i % inner);
    const code = Number(x.data[i]) - (zeroPoint ? Number(zeroPoint.data[at]) : 0);
    data[i] = code * Number(scale.data[at]);
  }
  if (!(data as Float32Array).every(Number.isFinite))
    refuse(`scale ${scale.name} makes values that are not finite`);
  return { kind: "constant", name: `${x.name}/float`, dims: x.dims, type: "float32", data, unpacked: true };
}

/** QuantizeLinear, DequantizeLinear: constants at once, the rest as nodes that fuseQuantization may absorb. */
export const QUANTIZATION: Rows = {
  "blindspot:DequantizeBias": dequantizeBias,
  "blindspot:DequantizeInteger": dequantizeInteger,
  QuantizeLinear: (site) => {
    const { builder } = site;
    const x = site.value(0);
    const type = codeType(site);
    if (x.kind === "constant") {
      if (x.quantization) refuse("requantizes a constant");
      return [quantizeConstant(x, operands(site, x.dims), type, builder.budget)];
    }
    const { tensor, order } = site.activation(0);
    const quantization = inLayout(
      operands(site, builder.logicalShape({ kind: "activation", tensor, order })),
      order,
    );
    if (!ACTIVATION_TYPES.has(type)) refuse(`${type} activations`);
    if (builder.tensors[tensor].dtype !== "float32")
      refuse(`quantizes ${builder.tensors[tensor].dtype} values`);
    const made = builder.emit("QUANTIZE", [tensor], {}, { dtype: type as DType, quantization });
    return [{ kind: "activation", tensor: made, order }];
  },
  DequantizeLinear: (site) => {
    const { builder } = site;
    const x = site.value(0);
    if (x.kind === "constant") {
      if (x.type === "float32") refuse("dequantizes float values");
      if (site.int("block_size", 0) !== 0) return [dequantizeBlocks(site, x)];
      return [{ ...x, quantization: operands(site, x.dims) }];
    }
    const { tensor, order } = site.activation(0);
    if (!ACTIVATION_TYPES.has(builder.tensors[tensor].dtype))
      refuse(`${builder.tensors[tensor].dtype} activations`);
    const shape = builder.logicalShape({ kind: "activation", tensor, order });
    builder.setQuantization(tensor, inLayout(operands(site, shape), order));
    const made = builder.emit("DEQUANTIZE", [tensor], {}, { dtype: "float32" });
    return [{ kind: "activation", tensor: made, order }];
  },
};

function inLayout(quantization: Quantization, order: readonly number[]): Quantization {
  const { axis } = quantization;
  return axis === undefined ? quantization : { ...quantization, axis: order.indexOf(axis) };
}
