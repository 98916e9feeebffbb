import { type DType, elements, type Quantization, type TensorData } from "../../model/graph.ts";
import type { Budget } from "./budget.ts";
import { refuse } from "./refusal.ts";

/** uint4 becomes int4 (codes and zero point less 8) where it enters the Graph; bool only lives in folded subgraphs. */
export type ConstantType = DType | "uint4" | "bool";

/** A value that is known when the model is read, in ONNX's own layout. 4-bit values are one an element here. */
export interface Constant {
  kind: "constant";
  name: string;
  dims: number[];
  type: ConstantType;
  data: TensorData;
  /** Present after DequantizeLinear: the value is then scale * (data - zeroPoint), a float. */
  quantization?: Quantization;
  /** Weights that the runtime computes in each call, from codes with a scale a block. */
  unpacked?: true;
}

const ARRAYS = {
  float32: Float32Array,
  int8: Int8Array,
  uint8: Uint8Array,
  int4: Int8Array,
  uint4: Uint8Array,
  bool: Uint8Array,
  int16: Int16Array,
  int32: Int32Array,
  int64: BigInt64Array,
} as const satisfies Record<ConstantType, unknown>;

/** An array for elements of a type, one an element. */
export function allocate(type: ConstantType, count: number, budget: Budget): TensorData {
  budget.spend(count * ARRAYS[type].BYTES_PER_ELEMENT);
  return new ARRAYS[type](count);
}

export const bytesPerElement = (type: ConstantType) => ARRAYS[type].BYTES_PER_ELEMENT;

/** The little-endian bytes as elements: a view of the file where they lie aligned, else a copy. */
export function viewAs(type: ConstantType, bytes: Uint8Array, budget: Budget): TensorData {
  const Elements = ARRAYS[type];
  const size = Elements.BYTES_PER_ELEMENT;
  if (bytes.byteOffset % size === 0 && bytes.buffer instanceof ArrayBuffer)
    return new Elements(bytes.buffer, bytes.byteOffset, bytes.length / size);
  budget.spend(bytes.length);
  return new Elements(new Uint8Array(bytes).buffer);
}

const MAX_SHAPE_VALUES = 65536;

/** The elements as numbers, for shapes and attributes: at most 65,536. */
export function numbersOf({ data, dims, name }: Constant, budget: Budget): number[] {
  if (data.length > MAX_SHAPE_VALUES) refuse(`${name}: [${dims}] is too large to compute with`);
  budget.spend(data.length * 8);
  return Array.from(data as ArrayLike<number | bigint>, Number);
}

const INT64_MAX = 2n ** 63n - 1n;
/** A number as int64, clamped: 2^63 - 1, which ONNX uses for "to the end", is not a double. */
export function int64Of(value: number): bigint {
  if (!Number.isFinite(value)) return value > 0 ? INT64_MAX : -INT64_MAX;
  const exact = BigInt(Math.trunc(value));
  return exact > INT64_MAX ? INT64_MAX : exact < -INT64_MAX ? -INT64_MAX : exact;
}

/** A constant from numbers; int64 values beyond 2^63 are clamped, float32 rounded. */
export function constantOf(name: string, dims: number[], type: ConstantType, values: number[]): Constant {
  const data = type === "int64" ? BigInt64Array.from(values, int64Of) : ARRAYS[type].from(values);
  return { kind: "constant", name, dims, type, data };
}

/** The same value with dimension i = old dimension order[i]. */
export function permuteConstant(constant: Constant, order: readonly number[], budget: Budget): Constant {
  const { dims, data, quantization, type } = constant;
  if (order.every((axis, i) => axis === i)) return constant;
  const shape = order.map((axis) => dims[axis]);
  const strides = order.map((axis) => elements(dims.slice(axis + 1)));
  const result = allocate(type, data.length, budget);
  gather(data, result, shape, strides, 0);
  const axis = quantization?.axis;
  const moved = axis === undefined ? quantization : { ...quantization!, axis: order.indexOf(axis) };
  return { ...constant, dims: shape, data: result, ...(moved && { quantization: moved }) };
}

/** result = the elements start + sum(index * stride), index over shape in row-major order. */
export function gather(
  data: TensorData,
  result: TensorData,
  shape: readonly number[],
  strides: readonly number[],
  start: number,
): void {
  const index = new Array<number>(shape.length).fill(0);
  let from = start;
  for (let to = 0; to < result.length; to++) {
    result[to] = data[from];
    for (let d = shape.length - 1; d >= 0; d--) {
      from += strides[d];
      if (++index[d] < shape[d]) break;
      from -= strides[d] * shape[d];
      index[d] = 0;
    }
  }
}

/** The same elements under another shape. Scales along an axis stay with it where the axis is still whole. */
export function reshapeConstant(constant: Constant, dims: number[]): Constant {
  const { quantization } = constant;
  if (quantization?.axis === undefined) return { ...constant, dims };
  const size = constant.dims[quantization.axis];
  const outer = elements(constant.dims.slice(0, quantization.axis));
  const axis = dims.findIndex((n, i) => n === size && elements(dims.slice(0, i)) === outer);
  if (axis < 0) refuse(`${constant.name}: reshaping [${constant.dims}] to [${dims}] splits its scales`);
  return { ...constant, dims, quantization: { ...quantization, axis } };
}

const RANGE: Partial<Record<ConstantType, readonly [number, number]>> = {
  int8: [-128, 127],
  uint8: [0, 255],
  int4: [-8, 7],
  uint4: [0, 15],
  int16: [-32768, 32767],
  int32: [-2147483648, 2147483647],
};

/** Round half to even. */
export function roundHalfEven(value: number): number {
  const floor = Math.floor(value);
  const rest = value - floor;
  if (rest !== 0.5) return rest < 0.5 ? floor : floor + 1;
  return floor % 2 === 0 ? floor : floor + 1;
}

/** Each element's index into its tensor's scales. */
export function channelOf({ axis, scale }: Quantization, dims: readonly number[]): (i: number) => number {
  if (axis === undefined) return () => 0;
  const inner = elements(dims.slice(axis + 1));
  return (i) => Math.floor(i / inner) % scale.length;
}

/** saturate(roundHalfEven(f32(value / scale)) + zeroPoint): ONNX QuantizeLinear. Returns the codes alone. */
export function quantizeConstant(
  { dims, data, name }: Constant,
  quantization: Quantization,
  type: ConstantType,
  budget: Budget,
): Constant {
  const [low, high] = RANGE[type] ?? refuse(`${name}: cannot be quantized to ${type}`);
  const codes = allocate(type, data.length, budget);
  const { scale, zeroPoint } = quantization;
  const channel = channelOf(quantization, dims);
  for (let i = 0; i < codes.length; i++) {
    const c = channel(i);
    const code = roundHalfEven(Math.fround(Number(data[i]) / scale[c])) + zeroPoint[c];
    codes[i] = Math.min(high, Math.max(low, code));
  }
  return { kind: "constant", name, dims, type, data: codes };
}
