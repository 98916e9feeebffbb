import type { DType, Quantization, Tensor, TensorData } from "../../model/graph.ts";
import { float16 } from "../float16.ts";
import type { FlatBuffer, Table } from "./flatbuffer.ts";
import { ARRAYS, BUFFER, QUANTIZATION, TENSOR, TENSOR_TYPES, ZERO_POINTS } from "./schema.ts";

/** Dimensions of a tensor, and elements of one: products stay far below 2^53. */
const MAX_RANK = 6;
const MAX_ELEMENTS = 2 ** 28;
const MAX_NAME = 4096;
/** A viewed byte counts 1/16 of a copied one. */
const VIEW_COST = 4;

/** A tensor as the file has it. */
export interface FileTensor {
  tensor: Tensor;
  /** Why a node that touches it cannot be imported; empty if it can. */
  refusal: string;
  /** The stored shape is not final: the runtime makes it from the operands. */
  dynamic: boolean;
  /** Of a constant that DEQUANTIZE takes, float16 too: what it makes of it. */
  dequantized?: () => { shape: number[]; data: Float32Array };
}

/** Tensor i of the subgraph stays tensor i of the Graph. */
export function readTensor(file: FlatBuffer, table: Table, buffers: readonly Table[]): FileTensor {
  const typeName = TENSOR_TYPES[table.int8(TENSOR.type, "type")] ?? "an unknown type";
  const name = table.string(TENSOR.name, "name").slice(0, MAX_NAME);
  const shape = readShape(table);
  const signature = table.numbers(TENSOR.shapeSignature, "shape_signature", "int32") ?? [];
  const dynamic = signature.includes(-1) || (shape.length === 0 && !table.bool(TENSOR.hasRank, "has_rank"));
  const refusal = refuse(table, typeName, shape, signature);
  if (refusal !== "") {
    const halves = typeName === "FLOAT16" ? constantBytes(file, table, buffers) : undefined;
    const dequantized = halves && (() => widenHalves(file, table, halves, shape));
    return { tensor: { name, shape: [], dtype: "float32" }, refusal, dynamic, dequantized };
  }
  const dtype = typeName as DType;
  const data = readData(file, table, buffers, dtype, shape);
  const quantization = readQuantization(table, dtype, shape);
  const tensor = { name, shape, dtype, ...(quantization && { quantization }), ...(data && { data }) };
  const dequantized = data && quantization ? () => dequantize(file, table, tensor) : undefined;
  return { tensor, refusal, dynamic: dynamic && !data, dequantized };
}

function readShape(table: Table): number[] {
  const shape = table.numbers(TENSOR.shape, "shape", "int32") ?? [];
  let count = 1;
  for (const size of shape) {
    if (size < 0) table.fail("shape", "sizes from 0", `[${shape.slice(0, 8)}]`);
    count *= Math.max(1, size);
    if (count > MAX_ELEMENTS)
      table.fail("shape", `at most ${MAX_ELEMENTS} elements`, `[${shape.slice(0, 8)}]`);
  }
  return shape;
}

function refuse(table: Table, type: string, shape: number[], signature: number[]): string {
  if (!(type in ARRAYS)) return `type ${type}`;
  if (shape.length > MAX_RANK) return `${shape.length} dimensions`;
  if (shape.includes(0)) return `shape [${shape}]`;
  if (signature.slice(1).includes(-1)) return `size known only at run time: [${signature.slice(0, 8)}]`;
  if (table.bool(TENSOR.isVariable, "is_variable")) return "state kept between runs";
  if (table.table(TENSOR.sparsity, "sparsity")) return "sparse storage";
  const details = table
    .table(TENSOR.quantization, "quantization")
    ?.uint8(QUANTIZATION.detailsType, "details_type");
  return details ? "custom or blockwise quantization" : "";
}

/** float16 as float32. @throws ModelFormatError for other bytes than the shape's. */
function widenHalves(file: FlatBuffer, table: Table, bytes: Uint8Array, shape: number[]) {
  const count = shape.reduce((product, size) => product * size, 1);
  if (bytes.length !== count * 2)
    table.fail("buffer", `${count * 2} bytes for float16 [${shape}]`, `${bytes.length} bytes`);
  file.charge(count * 4, table.at, "buffer");
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return {
    shape,
    data: Float32Array.from({ length: count }, (_, i) => float16(view.getUint16(i * 2, true))),
  };
}

/** scale * (code - zero point) in float32, as DEQUANTIZE has it. */
function dequantize(file: FlatBuffer, table: Table, { shape, dtype, data, quantization }: Tensor) {
  const { scale, zeroPoint, axis = 0 } = quantization!;
  const inner = shape.slice(axis + 1).reduce((product, size) => product * size, 1);
  const count = shape.reduce((product, size) => product * size, 1);
  const code = (i: number) =>
    dtype === "int4" ? (Number(data![i >> 1]) << (28 - (i & 1) * 4)) >> 28 : Number(data![i]);
  file.charge(count * 4, table.at, "buffer");
  const values = new Float32Array(count);
  for (let i = 0; i < count; i++) {
    const channel = Math.floor(i / inner) % scale.length;
    values[i] = scale[channel] * (code(i) - zeroPoint[channel]);
  }
  return { shape, data: values };
}

/** A view of the file where alignment allows, else a copy; undefined for an activation. */
function readData(
  file: FlatBuffer,
  table: Table,
  buffers: readonly Table[],
  dtype: DType,
  shape: number[],
): TensorData | undefined {
  const bytes = constantBytes(file, table, buffers);
  if (!bytes) return undefined;
  const count = shape.reduce((product, size) => product * size, 1);
  const Elements = ARRAYS[dtype];
  const expected = dtype === "int4" ? (count + 1) >> 1 : count * Elements.BYTES_PER_ELEMENT;
  if (bytes.length !== expected)
    table.fail(
      "buffer",
      `${expected} bytes for ${dtype} [${shape}]`,
      `${bytes.length} bytes in buffer ${table.uint32(TENSOR.buffer, "buffer")}`,
    );
  const length = expected / Elements.BYTES_PER_ELEMENT;
  // Later checks read all values: a buffer that is shared thousands of times must not make them read for minutes.
  file.charge(expected >> VIEW_COST, table.at, "buffer");
  if (bytes.byteOffset % Elements.BYTES_PER_ELEMENT === 0)
    return new Elements(bytes.buffer as ArrayBuffer, bytes.byteOffset, length);
  file.charge(bytes.length, table.at, "buffer");
  return new Elements(bytes.slice().buffer, 0, length);
}

/** Undefined for an activation. */
function constantBytes(file: FlatBuffer, table: Table, buffers: readonly Table[]): Uint8Array | undefined {
  const index = table.uint32(TENSOR.buffer, "buffer");
  if (index === 0) return undefined;
  if (index >= buffers.length) table.fail("buffer", `a buffer below ${buffers.length}`, `${index}`);
  const bytes = bufferBytes(file, buffers[index]);
  return bytes.length === 0 ? undefined : bytes;
}

function bufferBytes(file: FlatBuffer, buffer: Table): Uint8Array {
  const offset = buffer.uint64(BUFFER.offset, "offset");
  if (offset <= 1n) return buffer.uint8s(BUFFER.data, "data");
  const size = buffer.uint64(BUFFER.size, "size");
  const end = BigInt(file.bytes.length);
  if (offset > end || size > end - offset)
    buffer.fail("offset and size", `data within the file's ${end} bytes`, `${size} bytes from ${offset}`);
  return file.bytes.subarray(Number(offset), Number(offset + size));
}

/**
 * Scales without zero points have zero ones. One scale is the whole tensor's, whatever the axis. A rank-1 tensor has one
 * axis, whatever quantized_dimension says: converters before 2020 left a bias that of its filter.
 */
function readQuantization(tensor: Table, dtype: DType, shape: number[]): Quantization | undefined {
  const table = tensor.table(TENSOR.quantization, "quantization");
  const scale = table?.numbers(QUANTIZATION.scale, "scale", "float32") ?? [];
  if (!table || scale.length === 0 || dtype === "float32") return undefined;
  const bad = scale.find((s) => !(s > 0 && Number.isFinite(s)));
  if (bad !== undefined) table.fail("scale", "positive finite scales", `${bad}`);
  const given = table.int64s(QUANTIZATION.zeroPoint, "zero_point");
  if (![0, 1, scale.length].includes(given.length))
    table.fail("zero_point", `0, 1 or ${scale.length} zero points`, `${given.length}`);
  const [low, high] = ZERO_POINTS[dtype];
  const outside = given.find((z) => z < low || z > high);
  if (outside !== undefined) table.fail("zero_point", `zero points in [${low}, ${high}]`, `${outside}`);
  const zeroPoint = Int32Array.from(scale, (_, i) => given[given.length === 1 ? 0 : i] ?? 0);
  if (scale.length === 1) return { scale: Float32Array.from(scale), zeroPoint };
  const axis = shape.length === 1 ? 0 : table.int32(QUANTIZATION.quantizedDimension, "quantized_dimension");
  if (shape[axis] !== scale.length)
    table.fail("scale", `one scale a channel of axis ${axis} of [${shape}]`, `${scale.length} scales`);
  return { scale: Float32Array.from(scale), zeroPoint, axis };
}
