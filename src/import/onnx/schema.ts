/** The messages of onnx.proto (ONNX 1.19, IR version 11) that a model of tensors needs, with their field numbers.
 * Subgraphs, sequences and maps are left out, so nothing here nests without bound: such fields are skipped. */

export type Scalar = "int64" | "int32" | "float" | "double" | "string" | "bytes";
/** number: of the field. many: repeated, packed or not when read, packed when written. */
export interface Field {
  number: number;
  type: Scalar | Message;
  many: boolean;
}
export type Message = { readonly [name: string]: Field };

const one = <const T extends Scalar | Message>(number: number, type: T) =>
  ({ number, type, many: false }) as const;
const many = <const T extends Scalar | Message>(number: number, type: T) =>
  ({ number, type, many: true }) as const;

export const StringStringEntryProto = { key: one(1, "string"), value: one(2, "string") } as const;

export const TensorProto = {
  dims: many(1, "int64"),
  dataType: one(2, "int32"),
  floatData: many(4, "float"),
  int32Data: many(5, "int32"),
  int64Data: many(7, "int64"),
  name: one(8, "string"),
  rawData: one(9, "bytes"),
  doubleData: many(10, "double"),
  externalData: many(13, StringStringEntryProto),
  dataLocation: one(14, "int32"),
} as const;

export const AttributeProto = {
  name: one(1, "string"),
  f: one(2, "float"),
  i: one(3, "int64"),
  s: one(4, "string"),
  t: one(5, TensorProto),
  floats: many(7, "float"),
  ints: many(8, "int64"),
  strings: many(9, "string"),
  type: one(20, "int32"),
} as const;

export const NodeProto = {
  input: many(1, "string"),
  output: many(2, "string"),
  name: one(3, "string"),
  opType: one(4, "string"),
  attribute: many(5, AttributeProto),
  domain: one(7, "string"),
} as const;

export const DimensionProto = { dimValue: one(1, "int64"), dimParam: one(2, "string") } as const;
export const TensorShapeProto = { dim: many(1, DimensionProto) } as const;
export const TensorTypeProto = { elemType: one(1, "int32"), shape: one(2, TensorShapeProto) } as const;
export const TypeProto = { tensorType: one(1, TensorTypeProto) } as const;
export const ValueInfoProto = { name: one(1, "string"), type: one(2, TypeProto) } as const;

export const GraphProto = {
  node: many(1, NodeProto),
  name: one(2, "string"),
  initializer: many(5, TensorProto),
  input: many(11, ValueInfoProto),
  output: many(12, ValueInfoProto),
} as const;

export const OperatorSetIdProto = { domain: one(1, "string"), version: one(2, "int64") } as const;

export const ModelProto = {
  irVersion: one(1, "int64"),
  producerName: one(2, "string"),
  producerVersion: one(3, "string"),
  graph: one(7, GraphProto),
  opsetImport: many(8, OperatorSetIdProto),
} as const;

type ValueOf<T> = T extends "string"
  ? string
  : T extends "bytes"
    ? Uint8Array | undefined
    : T extends Scalar
      ? number
      : T extends Message
        ? Decoded<T>
        : never;
/** A message as read: every field is there; absent ones are 0, "", [] or, for bytes and messages, undefined. */
export type Decoded<M extends Message> = {
  [K in keyof M]: M[K]["many"] extends true
    ? NonNullable<ValueOf<M[K]["type"]>>[]
    : M[K]["type"] extends Message
      ? ValueOf<M[K]["type"]> | undefined
      : ValueOf<M[K]["type"]>;
};
/** A message to write: what is left out stays out. */
export type Draft<M extends Message> = {
  [K in keyof M]?: M[K]["many"] extends true ? readonly DraftValue<M[K]["type"]>[] : DraftValue<M[K]["type"]>;
};
type DraftValue<T> = T extends Message ? Draft<T> : NonNullable<ValueOf<T>>;

/** TensorProto.DataType. */
export const DATA_TYPES = {
  float32: 1,
  uint8: 2,
  int8: 3,
  uint16: 4,
  int16: 5,
  int32: 6,
  int64: 7,
  string: 8,
  bool: 9,
  float16: 10,
  float64: 11,
  uint32: 12,
  uint64: 13,
  complex64: 14,
  complex128: 15,
  bfloat16: 16,
  float8e4m3fn: 17,
  float8e4m3fnuz: 18,
  float8e5m2: 19,
  float8e5m2fnuz: 20,
  uint4: 21,
  int4: 22,
  float4e2m1: 23,
  float8e8m0: 24,
  uint2: 25,
  int2: 26,
} as const;
export type DataTypeName = keyof typeof DATA_TYPES;

const NAMES = new Map<number, DataTypeName>(
  Object.entries(DATA_TYPES).map(([name, code]) => [code, name as DataTypeName]),
);
/** The name of a DataType code; undefined for a code that ONNX does not define. */
export const dataTypeName = (code: number) => NAMES.get(code);
