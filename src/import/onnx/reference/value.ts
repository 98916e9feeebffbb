/** Values of the reference: every element a number, 4-bit ones too. */
import { ModelFormatError } from "../../../errors.ts";
import { elements } from "../../../model/graph.ts";
import { float16 } from "../../float16.ts";
import { refuse } from "../refusal.ts";

export interface Type {
  bits: number;
  /** Least and greatest; undefined for floats. */
  range?: readonly [number, number];
}

const integer = (bits: number, isSigned: boolean): Type => ({
  bits,
  range: isSigned ? [-(2 ** (bits - 1)), 2 ** (bits - 1) - 1] : [0, 2 ** bits - 1],
});

/** The element types that the reference computes with. */
export const TYPES = {
  float32: { bits: 32 },
  float16: { bits: 16 },
  int4: integer(4, true),
  uint4: integer(4, false),
  int8: integer(8, true),
  uint8: integer(8, false),
  int16: integer(16, true),
  uint16: integer(16, false),
  int32: integer(32, true),
  int64: integer(64, true),
} as const satisfies Record<string, Type>;
export type TypeName = keyof typeof TYPES;

export interface ReferenceValue {
  type: TypeName;
  shape: number[];
  data: Float64Array;
}

const MAX_ELEMENTS = 1 << 22;

/** @throws Refusal for a type that the reference has not. */
export function typeNamed(name: string, what: string): TypeName {
  return Object.hasOwn(TYPES, name) ? (name as TypeName) : refuse(`${what} is ${name}`);
}

export const range = (type: TypeName) => (TYPES[type] as Type).range;

const float32 = new Float32Array(1);
const float32Bits = new Int32Array(float32.buffer);

/** To the nearest float16, ties to even. value: at most twice the precision of float32. */
function roundFloat16(value: number): number {
  if (value === 0 || !Number.isFinite(value)) return value;
  float32[0] = value;
  const exponent = Math.max(((float32Bits[0] >> 23) & 255) - 127, -14);
  const step = 2 ** (exponent - 10);
  const scaled = value / step;
  const floor = Math.floor(scaled);
  const rest = scaled - floor;
  const up = rest > 0.5 || (rest === 0.5 && floor % 2 !== 0) ? 1 : 0;
  const rounded = (floor + up) * step;
  return Math.abs(rounded) > 65504 ? Math.sign(rounded) * Infinity : rounded;
}

/** A number as a float type has it; integers are as they are. */
export function stored(type: TypeName, value: number): number {
  return type === "float32" ? Math.fround(value) : type === "float16" ? roundFloat16(value) : value;
}

function reader(type: TypeName, bytes: Uint8Array): (i: number) => number {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const nibble = (i: number) => (bytes[i >> 1] >> ((i & 1) * 4)) & 15;
  const readers: Record<TypeName, (i: number) => number> = {
    float32: (i) => view.getFloat32(i * 4, true),
    float16: (i) => float16(view.getUint16(i * 2, true)),
    int4: (i) => (nibble(i) << 28) >> 28,
    uint4: nibble,
    int8: (i) => view.getInt8(i),
    uint8: (i) => bytes[i],
    int16: (i) => view.getInt16(i * 2, true),
    uint16: (i) => view.getUint16(i * 2, true),
    int32: (i) => view.getInt32(i * 4, true),
    int64: (i) => Number(view.getBigInt64(i * 8, true)),
  };
  return readers[type];
}

/** Little-endian bytes as a value; 4-bit ones two a byte, low nibble first. @throws ModelFormatError for a wrong length. */
export function referenceValue(
  type: TypeName,
  shape: number[],
  bytes: Uint8Array,
  place: string,
): ReferenceValue {
  const count = checkedElements(shape, place);
  const expected = Math.ceil((count * TYPES[type].bits) / 8);
  if (bytes.length !== expected)
    throw new ModelFormatError(place, `${expected} bytes of ${type}`, `${bytes.length}`);
  return { type, shape, data: Float64Array.from({ length: count }, (_, i) => reader(type, bytes)(i)) };
}

/** @throws ModelFormatError for a shape that no small test has. */
export function checkedElements(shape: readonly number[], place: string): number {
  const isShape = shape.length <= 8 && shape.every((size) => Number.isSafeInteger(size) && size >= 0);
  const count = elements(shape);
  if (!isShape || count > MAX_ELEMENTS)
    throw new ModelFormatError(place, `at most ${MAX_ELEMENTS} elements in 8 dimensions`, `[${shape}]`);
  return count;
}

/** Elements from one index of each dimension to the next. */
export const stridesOf = (shape: readonly number[]) => shape.map((_, d) => elements(shape.slice(d + 1)));

/** The indices of an element, by its place. */
export function indexOf(at: number, shape: readonly number[]): number[] {
  return stridesOf(shape).map((stride, d) => Math.floor(at / stride) % shape[d]);
}
