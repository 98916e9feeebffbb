import { DATA_TYPES, type DataTypeName, ModelProto } from "./schema.ts";
import { decodeMessage, encodeMessage } from "./wire.ts";

/** A tensor as an ONNX file has it. */
export interface BoundTensor {
  name: string;
  type: DataTypeName;
  shape: number[];
  /** Little-endian; 4-bit values two a byte, low nibble first. */
  bytes: Uint8Array;
}

/** The model with these inputs as initializers. where: the file's name. @throws ModelFormatError for no model. */
export function bindInputs(bytes: Uint8Array, tensors: readonly BoundTensor[], where: string): Uint8Array {
  const { graph, ...model } = decodeMessage(ModelProto, bytes, where);
  const initializer = tensors.map(({ name, type, shape, bytes: rawData }) => ({
    name,
    dims: shape,
    dataType: DATA_TYPES[type],
    rawData,
  }));
  if (!graph) return bytes;
  return encodeMessage(ModelProto, {
    ...model,
    graph: { ...graph, initializer: [...graph.initializer, ...initializer] },
  });
}
