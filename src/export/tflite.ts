import type { Offset } from "flatbuffers";
import { UnsupportedOpError } from "../errors.ts";
import {
  BUFFER,
  BUILTIN_OPERATORS,
  IDENTIFIER,
  MODEL,
  OPERATOR,
  OPERATOR_CODE,
  QUANTIZATION,
  SUBGRAPH,
  TENSOR,
  TENSOR_TYPES,
  VERSION,
} from "../import/tflite/schema.ts";
import type { Graph, Tensor } from "../model/graph.ts";
import { FlatBufferWriter } from "./tflite/flatbuffer.ts";
import { writeNode } from "./tflite/rows.ts";
import { type FileOperator, TfliteWriter } from "./tflite/writer.ts";

/** The greatest value of the deprecated byte, which stands for all greater codes. */
const LAST_OLD_CODE = 127;
/** Fields of Model and SignatureDef that only a writer needs. Source: as import/tflite/schema.ts. */
const SIGNATURE_DEFS = 7;
const SIGNATURE = { inputs: 0, outputs: 1, key: 2, subgraph: 4 } as const;
const TENSOR_MAP = { name: 0, index: 1 } as const;

/**
 * The Graph as a .tflite file (schema v3): tensor i of the Graph is tensor i of subgraph 0, and constants that TFLite
 * keeps axes, sizes and pads in come behind; int4 constants stay packed. Activations have a batch of 1, which TFLite may
 * resize, and no shape_signature: LiteRT.js refuses to run an input that has one of -1. The same Graph always gives the
 * same bytes.
 * @throws UnsupportedOpError with a line for each node that TFLite cannot say.
 */
export function exportTflite(graph: Graph): Uint8Array {
  const writer = new TfliteWriter(graph);
  const refused = graph.nodes.flatMap((node, i) => {
    const reason = writeNode(writer, node);
    return reason === "" ? [] : [`${i} ${node.op} ${node.name}: ${reason}`];
  });
  if (refused.length > 0) throw new UnsupportedOpError(`${graph.name} as TFLite`, refused);
  const file = new FlatBufferWriter();
  const { codes, operators } = writeOperators(file, writer.operators);
  const { tensors, buffers } = writeTensors(file, writer.tensors);
  const main = file.table([
    [SUBGRAPH.tensors, { offsets: tensors }],
    [SUBGRAPH.inputs, { ints: graph.inputs }],
    [SUBGRAPH.outputs, { ints: graph.outputs }],
    [SUBGRAPH.operators, { offsets: operators }],
    [SUBGRAPH.name, { string: "main" }],
  ]);
  const model = file.table([
    [MODEL.version, { int32: VERSION }],
    [MODEL.operatorCodes, { offsets: codes }],
    [MODEL.subgraphs, { offsets: [main] }],
    [MODEL.description, { string: `${graph.name}, by blindspot` }],
    [MODEL.buffers, { offsets: buffers }],
    [SIGNATURE_DEFS, { offsets: [writeSignature(file, graph)] }],
  ]);
  return file.finish(model, IDENTIFIER);
}

/** One operator code for each name and version. */
function writeOperators(file: FlatBufferWriter, list: readonly FileOperator[]) {
  const keyOf = ({ name, version }: FileOperator) => `${name} ${version}`;
  const keys = [...new Set(list.map(keyOf))];
  const codes = keys.map((key) => {
    const [name, version] = key.split(" ");
    const code = BUILTIN_OPERATORS.indexOf(name);
    return file.table([
      [OPERATOR_CODE.deprecatedBuiltinCode, { int8: Math.min(code, LAST_OLD_CODE) }],
      [OPERATOR_CODE.version, { int32: Number(version) }],
      [OPERATOR_CODE.builtinCode, { int32: code }],
    ]);
  });
  const operators = list.map((operator) => {
    const { inputs, outputs, options } = operator;
    return file.table([
      [OPERATOR.opcodeIndex, { int32: keys.indexOf(keyOf(operator)) }],
      [OPERATOR.inputs, { ints: inputs }],
      [OPERATOR.outputs, { ints: outputs }],
      [OPERATOR.optionsType, options && { int8: options.tag }],
      [OPERATOR.options, options && { offset: file.table(options.fields) }],
    ]);
  });
  return { codes, operators };
}

/** Buffer 0 is empty: that of every activation. */
function writeTensors(file: FlatBufferWriter, list: readonly Tensor[]) {
  const buffers = [file.table([])];
  const tensors = list.map((tensor) => {
    const { data } = tensor;
    if (!data) return writeTensor(file, tensor, 0);
    const bytes = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
    return writeTensor(file, tensor, buffers.push(file.table([[BUFFER.data, { bytes }]])) - 1);
  });
  return { tensors, buffers };
}

function writeTensor(file: FlatBufferWriter, tensor: Tensor, buffer: number): Offset {
  const { name, shape, dtype, data } = tensor;
  const batched = !data && shape.length > 0;
  const quantization = writeQuantization(file, tensor);
  return file.table([
    [TENSOR.shape, { ints: batched ? [1, ...shape.slice(1)] : shape }],
    [TENSOR.type, { int8: TENSOR_TYPES.indexOf(dtype) }],
    [TENSOR.buffer, { int32: buffer }],
    [TENSOR.name, { string: name }],
    [TENSOR.quantization, quantization],
    [TENSOR.hasRank, { int8: 1 }],
  ]);
}

function writeQuantization(file: FlatBufferWriter, { quantization }: Tensor) {
  if (!quantization) return undefined;
  const { scale, zeroPoint, axis } = quantization;
  return {
    offset: file.table([
      [QUANTIZATION.scale, { floats: scale }],
      [QUANTIZATION.zeroPoint, { longs: zeroPoint }],
      [QUANTIZATION.quantizedDimension, { int32: axis ?? 0 }],
    ]),
  };
}

/** The default signature, which names the graph's ends. */
function writeSignature(file: FlatBufferWriter, graph: Graph): Offset {
  const named = (ids: readonly number[]) =>
    ids.map((id) =>
      file.table([
        [TENSOR_MAP.name, { string: graph.tensors[id].name }],
        [TENSOR_MAP.index, { int32: id }],
      ]),
    );
  return file.table([
    [SIGNATURE.inputs, { offsets: named(graph.inputs) }],
    [SIGNATURE.outputs, { offsets: named(graph.outputs) }],
    [SIGNATURE.key, { string: "serving_default" }],
    [SIGNATURE.subgraph, { int32: 0 }],
  ]);
}
