import { Builder, type Offset } from "flatbuffers";
import {
  BUFFER,
  BUILTIN_OPERATORS,
  MODEL,
  OPERATOR,
  OPERATOR_CODE,
  OPTIONS,
  QUANTIZATION,
  SUBGRAPH,
  TENSOR,
  TENSOR_TYPES,
} from "../../src/import/tflite/schema.ts";

/** A field's value: by its kind, how it lies in a table. */
type Field =
  | { int8: number }
  | { int32: number }
  | { float32: number }
  | { uint64: bigint }
  | { offset: Offset };

function table(builder: Builder, fields: [id: number, value: Field | undefined][]): Offset {
  builder.startObject(1 + Math.max(...fields.map(([id]) => id)));
  for (const [id, value] of fields) {
    if (value === undefined) continue;
    if ("int8" in value) builder.addFieldInt8(id, value.int8, -99);
    else if ("int32" in value) builder.addFieldInt32(id, value.int32, -99);
    else if ("float32" in value) builder.addFieldFloat32(id, value.float32, -99);
    else if ("uint64" in value) builder.addFieldInt64(id, value.uint64, -99n);
    else builder.addFieldOffset(id, value.offset, 0);
  }
  return builder.endObject();
}

function vector(builder: Builder, size: 1 | 4 | 8, count: number, add: (i: number) => void): Offset {
  builder.startVector(size, count, Math.max(size, 4));
  for (let i = count - 1; i >= 0; i--) add(i);
  return builder.endVector();
}
const ints = (builder: Builder, values: readonly number[]) =>
  vector(builder, 4, values.length, (i) => builder.addInt32(values[i]));
const floats = (builder: Builder, values: readonly number[]) =>
  vector(builder, 4, values.length, (i) => builder.addFloat32(values[i]));
const longs = (builder: Builder, values: readonly number[]) =>
  vector(builder, 8, values.length, (i) => builder.addInt64(BigInt(values[i])));
const offsets = (builder: Builder, values: readonly Offset[]) =>
  vector(builder, 4, values.length, (i) => builder.addOffset(values[i]));

export interface BuiltTensor {
  shape: number[];
  type?: (typeof TENSOR_TYPES)[number];
  name?: string;
  scale?: number[];
  zeroPoint?: number[];
  axis?: number;
  signature?: number[];
  variable?: boolean;
  /** int32 values or bytes. outOfLine: behind the FlatBuffer, schema 3c. */
  data?: number[] | Uint8Array;
  outOfLine?: boolean;
}

export interface BuiltOperator {
  /** A name of the schema, or a code. */
  op: string | number;
  inputs: number[];
  outputs: number[];
  options?: [type: keyof typeof OPTIONS, fields: [id: number, value: Field | { ints: number[] }][]];
}

export interface BuiltModel {
  tensors: BuiltTensor[];
  operators: BuiltOperator[];
  inputs: number[];
  outputs: number[];
  /** Files before schema 3a have only the deprecated byte. */
  codes?: "old" | "new" | "both";
  subgraphs?: number;
  signature?: boolean;
  version?: number;
}

const bytesOf = (data: number[] | Uint8Array) =>
  data instanceof Uint8Array ? data : new Uint8Array(Int32Array.from(data).buffer);

/** A .tflite file. Its tensors and operators are those given, in order. */
export function buildTflite(model: BuiltModel): Uint8Array<ArrayBuffer> {
  // Offsets of data behind the FlatBuffer are known once its size is: it does not depend on their values.
  const draft = build(model, 1 << 20);
  return build(model, draft.size);
}

function build(model: BuiltModel, tail: number): Uint8Array<ArrayBuffer> & { size: number } {
  const builder = new Builder(1024);
  let at = tail;
  const buffers = [table(builder, [[BUFFER.data, undefined]])];
  const behind: Uint8Array[] = [];
  const tensors = model.tensors.map((tensor) => {
    if (!tensor.data) return tensorTable(builder, tensor, 0);
    const bytes = bytesOf(tensor.data);
    if (tensor.outOfLine) {
      buffers.push(
        table(builder, [
          [BUFFER.offset, { uint64: BigInt(at) }],
          [BUFFER.size, { uint64: BigInt(bytes.length) }],
        ]),
      );
      behind.push(bytes);
      at += bytes.length;
    } else {
      const data = vector(builder, 1, bytes.length, (i) => builder.addInt8((bytes[i] << 24) >> 24));
      buffers.push(table(builder, [[BUFFER.data, { offset: data }]]));
    }
    return tensorTable(builder, tensor, buffers.length - 1);
  });
  const codes = model.operators.map(({ op }) =>
    codeTable(builder, typeof op === "number" ? op : BUILTIN_OPERATORS.indexOf(op), model.codes ?? "both"),
  );
  const operators = model.operators.map((operator, i) => operatorTable(builder, operator, i));
  const main = table(builder, [
    [SUBGRAPH.tensors, { offset: offsets(builder, tensors) }],
    [SUBGRAPH.inputs, { offset: ints(builder, model.inputs) }],
    [SUBGRAPH.outputs, { offset: ints(builder, model.outputs) }],
    [SUBGRAPH.operators, { offset: offsets(builder, operators) }],
    [SUBGRAPH.name, { offset: builder.createString("main") }],
  ]);
  const root = table(builder, [
    [MODEL.version, { int32: model.version ?? 3 }],
    [MODEL.operatorCodes, { offset: offsets(builder, codes) }],
    [MODEL.subgraphs, { offset: offsets(builder, new Array(model.subgraphs ?? 1).fill(main)) }],
    [MODEL.buffers, { offset: offsets(builder, buffers) }],
    [SIGNATURE_DEFS, model.signature ? { offset: signatureDefs(builder, model) } : undefined],
  ]);
  builder.finish(root, "TFL3");
  const head = builder.asUint8Array();
  const bytes = new Uint8Array(head.length + behind.reduce((sum, data) => sum + data.length, 0));
  bytes.set(head);
  let end = head.length;
  for (const data of behind) {
    bytes.set(data, end);
    end += data.length;
  }
  return Object.assign(bytes, { size: head.length });
}

const SIGNATURE_DEFS = 7;

function signatureDefs(builder: Builder, { inputs, outputs }: BuiltModel): Offset {
  const map = (name: string, tensor: number) =>
    table(builder, [
      [0, { offset: builder.createString(name) }],
      [1, { int32: tensor }],
    ]);
  const [named, made] = [inputs, outputs].map((ids, side) =>
    offsets(
      builder,
      ids.map((id, i) => map(`${side === 0 ? "x" : "y"}${i}`, id)),
    ),
  );
  const definition = table(builder, [
    [0, { offset: named }],
    [1, { offset: made }],
    [2, { offset: builder.createString("serving_default") }],
    [4, { int32: 0 }],
  ]);
  return offsets(builder, [definition]);
}

function codeTable(builder: Builder, code: number, codes: "old" | "new" | "both"): Offset {
  return table(builder, [
    [OPERATOR_CODE.deprecatedBuiltinCode, codes === "new" ? undefined : { int8: Math.min(code, 127) }],
    [OPERATOR_CODE.builtinCode, codes === "old" ? undefined : { int32: code }],
  ]);
}

function tensorTable(builder: Builder, tensor: BuiltTensor, buffer: number): Offset {
  const { shape, type = "int8", name = "t", scale = type === "int8" ? [0.5] : undefined } = tensor;
  const quantization =
    scale &&
    table(builder, [
      [QUANTIZATION.scale, { offset: floats(builder, scale) }],
      [QUANTIZATION.zeroPoint, tensor.zeroPoint && { offset: longs(builder, tensor.zeroPoint) }],
      [QUANTIZATION.quantizedDimension, { int32: tensor.axis ?? 0 }],
    ]);
  return table(builder, [
    [TENSOR.shape, { offset: ints(builder, shape) }],
    [TENSOR.type, { int8: TENSOR_TYPES.indexOf(type) }],
    [TENSOR.buffer, { int32: buffer }],
    [TENSOR.name, { offset: builder.createString(name) }],
    [TENSOR.quantization, quantization === undefined ? undefined : { offset: quantization }],
    [TENSOR.isVariable, { int8: tensor.variable ? 1 : 0 }],
    [TENSOR.shapeSignature, tensor.signature && { offset: ints(builder, tensor.signature) }],
    [TENSOR.hasRank, { int8: 1 }],
  ]);
}

function operatorTable(builder: Builder, { inputs, outputs, options }: BuiltOperator, code: number): Offset {
  const fields: [number, Field | undefined][] = [
    [OPERATOR.opcodeIndex, { int32: code }],
    [OPERATOR.inputs, { offset: ints(builder, inputs) }],
    [OPERATOR.outputs, { offset: ints(builder, outputs) }],
  ];
  if (options) {
    const [type, values] = options;
    const given = values.map(([id, value]): [number, Field] => [
      id,
      "ints" in value ? { offset: ints(builder, value.ints) } : value,
    ]);
    fields.push(
      [OPERATOR.optionsType, { int8: OPTIONS[type] }],
      [OPERATOR.options, { offset: table(builder, given) }],
    );
  }
  return table(builder, fields);
}
