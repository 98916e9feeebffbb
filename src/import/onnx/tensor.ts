import { ModelFormatError } from "../../errors.ts";
import { elements, type TensorData } from "../../model/graph.ts";
import { bfloat16, float16 } from "../float16.ts";
import type { Budget } from "./budget.ts";
import { allocate, bytesPerElement, type Constant, type ConstantType, int64Of, viewAs } from "./constants.ts";
import { refuse } from "./refusal.ts";
import { type DataTypeName, type Decoded, dataTypeName, type TensorProto } from "./schema.ts";

type TensorMessage = Decoded<typeof TensorProto>;
/** The bytes of a file beside the model, or undefined where there is none. path: relative, without "..". */
export type ExternalData = (path: string) => Uint8Array | undefined;

/** What a tensor's bytes are read with. */
export interface Loader {
  where: string;
  budget: Budget;
  externalData?: ExternalData;
  /** External files already counted in the budget. */
  counted: Set<string>;
}

const MAX_ELEMENTS = 2 ** 31 - 1;
const EXTERNAL = 1;

/** How an ONNX element type is held here; types that are missing cannot be imported. */
export const HELD_AS: Partial<Record<DataTypeName, ConstantType>> = {
  float32: "float32",
  float16: "float32",
  float64: "float32",
  bfloat16: "float32",
  int8: "int8",
  uint8: "uint8",
  int4: "int4",
  uint4: "uint4",
  int16: "int16",
  int32: "int32",
  int64: "int64",
  bool: "bool",
};
/** Bits an element in raw data. */
const RAW_BITS: Partial<Record<DataTypeName, number>> = {
  float32: 32,
  float16: 16,
  float64: 64,
  bfloat16: 16,
  int8: 8,
  uint8: 8,
  int4: 4,
  uint4: 4,
  int16: 16,
  int32: 32,
  int64: 64,
  bool: 8,
};

/** @throws ModelFormatError for a code that ONNX does not define. */
export function typeName(code: number, where: string): DataTypeName {
  const name = dataTypeName(code);
  if (!name) throw new ModelFormatError(where, "an ONNX element type, 1 to 26", `${code}`);
  return name;
}

/**
 * A tensor as a constant: float16, bfloat16 and float64 become float32.
 * @throws ModelFormatError for data that does not fit the dimensions; Refusal for a type that a Graph has not.
 */
export function loadTensor(tensor: TensorMessage, name: string, loader: Loader): Constant {
  const place = `${loader.where}: tensor ${name}`;
  const type = typeName(tensor.dataType, place);
  const dims = checkDims(tensor.dims, place);
  const held = HELD_AS[type] ?? refuse(`tensor ${name} is ${type}`);
  const count = elements(dims);
  const raw = tensor.dataLocation === EXTERNAL ? externalBytes(tensor, place, loader) : tensor.rawData;
  const data = raw
    ? fromRaw(raw, type, held, count, place, loader.budget)
    : fromFields(tensor, type, held, count, place, loader.budget);
  return { kind: "constant", name, dims, type: held, data };
}

/** @throws ModelFormatError for a negative dimension or more than 2^31 - 1 elements. */
export function checkDims(dims: readonly number[], place: string): number[] {
  if (dims.length > 8) throw new ModelFormatError(place, "at most 8 dimensions", `${dims.length}`);
  let count = 1;
  for (const size of dims) {
    if (!(size >= 0)) throw new ModelFormatError(place, "dimensions of at least 0", `[${dims}]`);
    count *= size;
    if (!(count <= MAX_ELEMENTS))
      throw new ModelFormatError(place, `at most ${MAX_ELEMENTS} elements`, `[${dims}]`);
  }
  return [...dims];
}

function fromRaw(
  raw: Uint8Array,
  type: DataTypeName,
  held: ConstantType,
  count: number,
  place: string,
  budget: Budget,
): TensorData {
  const bytes = Math.ceil((count * RAW_BITS[type]!) / 8);
  if (raw.length !== bytes) throw new ModelFormatError(place, `${bytes} bytes of ${type}`, `${raw.length}`);
  if (type === "int4" || type === "uint4")
    return fill(held, count, budget, (i) => nibble(raw[i >> 1] >> ((i & 1) * 4), type));
  if (RAW_BITS[type]! === bytesPerElement(held) * 8) return viewAs(held, raw, budget);
  const view = new DataView(raw.buffer, raw.byteOffset, raw.byteLength);
  if (type === "float64") return fill(held, count, budget, (i) => view.getFloat64(i * 8, true));
  const widen = type === "float16" ? float16 : bfloat16;
  return fill(held, count, budget, (i) => widen(view.getUint16(i * 2, true)));
}

function fill(type: ConstantType, count: number, budget: Budget, value: (i: number) => number): TensorData {
  const data = allocate(type, count, budget);
  for (let i = 0; i < count; i++) data[i] = value(i);
  return data;
}

const nibble = (byte: number, type: "int4" | "uint4") => (type === "uint4" ? byte & 15 : (byte << 28) >> 28);

/** Values from the typed fields. 4-bit types lie two a value, low nibble first; float16 as bits. */
function fromFields(
  tensor: TensorMessage,
  type: DataTypeName,
  held: ConstantType,
  count: number,
  place: string,
  budget: Budget,
): TensorData {
  const isPacked = type === "int4" || type === "uint4";
  const source =
    type === "float32"
      ? tensor.floatData
      : type === "float64"
        ? tensor.doubleData
        : type === "int64"
          ? tensor.int64Data
          : tensor.int32Data;
  const expected = isPacked ? (count + 1) >> 1 : count;
  if (source.length !== expected)
    throw new ModelFormatError(place, `${expected} values of ${type}`, `${source.length}`);
  if (type === "int64") {
    budget.spend(count * 8);
    return BigInt64Array.from(source, int64Of);
  }
  if (isPacked) return fill(held, count, budget, (i) => nibble(source[i >> 1] >> ((i & 1) * 4), type));
  if (type === "float16") return fill(held, count, budget, (i) => float16(source[i]));
  if (type === "bfloat16") return fill(held, count, budget, (i) => bfloat16(source[i]));
  return fill(held, count, budget, (i) => source[i]);
}

function externalBytes(
  tensor: TensorMessage,
  place: string,
  { externalData, budget, counted }: Loader,
): Uint8Array {
  const entries = new Map(tensor.externalData.map(({ key, value }) => [key, value]));
  const path = entries.get("location") ?? "";
  checkPath(path, place);
  const file = externalData?.(path);
  if (!file) throw new ModelFormatError(place, `external data in ${JSON.stringify(path)}`, "no such file");
  const number = (key: string, otherwise: number) => {
    const text = entries.get(key);
    if (text === undefined || text === "") return otherwise;
    if (!/^\d{1,15}$/.test(text))
      throw new ModelFormatError(`${place}: ${key}`, "a number of bytes", JSON.stringify(text.slice(0, 40)));
    return Number(text);
  };
  const offset = number("offset", 0);
  const length = number("length", Math.max(0, file.length - offset));
  if (offset + length > file.length)
    throw new ModelFormatError(
      `${place}: ${path}`,
      `${offset + length} bytes, for offset ${offset} and length ${length}`,
      `${file.length}`,
    );
  if (!counted.has(path)) budget.grow(file.length);
  counted.add(path);
  return file.subarray(offset, offset + length);
}

/** External data lies beside the model or below. */
function checkPath(path: string, place: string): void {
  const parts = path.split("/");
  const isBad =
    path === "" ||
    path.length > 1024 ||
    /[\\\0]/.test(path) ||
    /^[A-Za-z]:/.test(path) ||
    parts.some((part) => part === ".." || part === "");
  if (isBad)
    throw new ModelFormatError(
      `${place}: external data`,
      'a relative path below the model, without ".."',
      JSON.stringify(path.slice(0, 80)),
    );
}
