/** Small ONNX models for tests, written with the importer's own message tables. */
import {
  type AttributeProto,
  DATA_TYPES,
  type DataTypeName,
  type Draft,
  ModelProto,
  type NodeProto,
  type TensorProto,
} from "../../src/import/onnx/schema.ts";
import { encodeMessage } from "../../src/import/onnx/wire.ts";

type Attributes = Record<string, number | string | number[] | Draft<typeof TensorProto>>;
export type NodeDraft = Draft<typeof NodeProto>;

export const ATTRIBUTE = { float: 1, int: 2, string: 3, tensor: 4, floats: 6, ints: 7 } as const;

/** A float attribute is written as { float: value }: whole numbers are int otherwise. */
export const float = (value: number): Draft<typeof TensorProto> => ({ name: "float", doubleData: [value] });

function attribute(name: string, value: Attributes[string]): Draft<typeof AttributeProto> {
  if (typeof value === "string") return { name, s: value, type: ATTRIBUTE.string };
  if (typeof value === "number") return { name, i: value, type: ATTRIBUTE.int };
  if (Array.isArray(value)) return { name, ints: value, type: ATTRIBUTE.ints };
  const { name: kind, doubleData } = value;
  if (kind === "float") return { name, f: doubleData![0], type: ATTRIBUTE.float };
  return { name, t: value, type: ATTRIBUTE.tensor };
}

/** node("Conv", "x w b", "y", { pads: [1, 1, 1, 1] }); "_" is an operand left out; domain before a colon. */
export function node(op: string, inputs: string, outputs: string, attributes: Attributes = {}): NodeDraft {
  const [domain, opType] = op.includes(":") ? op.split(":") : ["", op];
  const names = (text: string) => text.split(" ").map((name) => (name === "_" ? "" : name));
  return {
    input: inputs === "" ? [] : names(inputs),
    output: names(outputs),
    name: `${opType}_${outputs.split(" ")[0]}`,
    opType,
    ...(domain && { domain }),
    attribute: Object.entries(attributes).map(([name, value]) => attribute(name, value)),
  };
}

const ARRAYS = {
  float32: Float32Array,
  int8: Int8Array,
  uint8: Uint8Array,
  int16: Int16Array,
  int32: Int32Array,
} as const;

/** A constant. 4-bit values are packed; int64 goes through int64_data. */
export function tensor(
  name: string,
  type: DataTypeName,
  dims: number[],
  values: ArrayLike<number>,
): Draft<typeof TensorProto> {
  const list = Array.from(values);
  const dataType = DATA_TYPES[type];
  if (type === "int64") return { name, dims, dataType, int64Data: list };
  if (type === "int4" || type === "uint4") {
    const rawData = new Uint8Array((list.length + 1) >> 1);
    list.forEach((value, i) => {
      rawData[i >> 1] |= (value & 15) << ((i & 1) * 4);
    });
    return { name, dims, dataType, rawData };
  }
  const data = ARRAYS[type as keyof typeof ARRAYS].from(list);
  return { name, dims, dataType, rawData: new Uint8Array(data.buffer) };
}

export interface Parts {
  inputs: Record<string, readonly [DataTypeName, (number | string)[]]>;
  outputs: Record<string, readonly [DataTypeName, (number | string)[]]>;
  nodes: NodeDraft[];
  constants?: Draft<typeof TensorProto>[];
  opset?: number;
}

const infos = (values: Parts["inputs"]) =>
  Object.entries(values).map(([name, [type, shape]]) => ({
    name,
    type: {
      tensorType: {
        elemType: DATA_TYPES[type],
        shape: {
          dim: shape.map((size) => (typeof size === "string" ? { dimParam: size } : { dimValue: size })),
        },
      },
    },
  }));

/** The bytes of a model of operator set 13 unless said otherwise. */
export function model({ inputs, outputs, nodes, constants = [], opset = 13 }: Parts): Uint8Array {
  return encodeMessage(ModelProto, {
    irVersion: opset >= 21 ? 10 : 8,
    producerName: "test",
    opsetImport: [
      { domain: "", version: opset },
      { domain: "com.microsoft", version: 1 },
    ],
    graph: {
      name: "test",
      node: nodes,
      initializer: constants,
      input: infos(inputs),
      output: infos(outputs),
    },
  });
}
