/** ONNX's quantized operators in plain TypeScript, of any shape and with scales and weights that are not constant: for tests of
 * one operator, which a Graph of images has no place for. Arithmetic is ONNX Runtime's. */
import { ModelFormatError, UnsupportedOpError } from "../../../errors.ts";
import { Refusal } from "../refusal.ts";
import { type Decoded, dataTypeName, ModelProto, type NodeProto, type TensorProto } from "../schema.ts";
import { decodeMessage } from "../wire.ts";
import { PRODUCTS } from "./products.ts";
import { QUANTIZERS } from "./quantize.ts";
import { type ReferenceValue, referenceValue, TYPES, typeNamed } from "./value.ts";

export type { ReferenceValue } from "./value.ts";

/** What an operator sees of its node. */
export interface ReferenceNode {
  place: string;
  /** @throws ModelFormatError where it is left out. */
  input(i: number): ReferenceValue;
  optional(i: number): ReferenceValue | undefined;
  int(name: string, otherwise: number): number;
  string(name: string, otherwise: string): string;
  ints(name: string): number[] | undefined;
  /** In [0, rank). @throws ModelFormatError */
  axis(value: number, rank: number): number;
  malformed(expected: string, got: string): never;
}
export type ReferenceOperator = (node: ReferenceNode) => ReferenceValue[];

const OPERATORS: Record<string, ReferenceOperator> = { ...QUANTIZERS, ...PRODUCTS };

type NodeMessage = Decoded<typeof NodeProto>;

function nodeOf(
  message: NodeMessage,
  values: ReadonlyMap<string, ReferenceValue>,
  place: string,
): ReferenceNode {
  const attributes = new Map(message.attribute.map((one) => [one.name, one]));
  const malformed = (expected: string, got: string): never => {
    throw new ModelFormatError(place, expected, got);
  };
  const optional = (i: number) => {
    const name = message.input[i];
    if (!name) return undefined;
    return values.get(name) ?? malformed(`${JSON.stringify(name)} made by an earlier node`, "none");
  };
  return {
    place,
    optional,
    malformed,
    input: (i) => optional(i) ?? malformed(`input ${i}`, "none"),
    int: (name, otherwise) => attributes.get(name)?.i ?? otherwise,
    string: (name, otherwise) => attributes.get(name)?.s || otherwise,
    ints: (name) => attributes.get(name)?.ints,
    axis: (value, rank) => {
      const axis = value < 0 ? value + rank : value;
      return axis >= 0 && axis < rank ? axis : malformed(`an axis in [${-rank}, ${rank})`, `${value}`);
    },
  };
}

function initializer(tensor: Decoded<typeof TensorProto>, where: string): ReferenceValue {
  const place = `${where}: tensor ${tensor.name}`;
  const type = typeNamed(dataTypeName(tensor.dataType) ?? `type ${tensor.dataType}`, `tensor ${tensor.name}`);
  if (tensor.rawData) return referenceValue(type, tensor.dims, tensor.rawData, place);
  const list = type === "float32" ? tensor.floatData : tensor.int32Data;
  const bytes = new Uint8Array((type === "float32" ? Float32Array.from(list) : Int32Array.from(list)).buffer);
  if (TYPES[type].bits === 32) return referenceValue(type, tensor.dims, bytes, place);
  const size = TYPES[type].bits === 16 ? 2 : 1;
  return referenceValue(
    type,
    tensor.dims,
    bytes.filter((_, i) => i % 4 < size),
    place,
  );
}

/**
 * The outputs of a model of few nodes. inputs: values by name. where: the file's name.
 * @throws UnsupportedOpError for an operator or a type that the reference has not; ModelFormatError for a malformed model.
 */
export function evaluateOnnx(
  bytes: Uint8Array,
  inputs: ReadonlyMap<string, ReferenceValue>,
  where: string,
): ReferenceValue[] {
  const { graph } = decodeMessage(ModelProto, bytes, where);
  if (!graph) throw new ModelFormatError(where, "an ONNX model with nodes", "none");
  const refuse = (what: string, reason: string): never => {
    throw new UnsupportedOpError(where, [`${what}: ${reason}`]);
  };
  const attempt = <T>(what: string, run: () => T): T => {
    try {
      return run();
    } catch (error) {
      if (error instanceof Refusal) return refuse(what, error.message);
      throw error;
    }
  };
  const values = new Map(inputs);
  for (const tensor of graph.initializer)
    values.set(
      tensor.name,
      attempt("initializers", () => initializer(tensor, where)),
    );
  graph.node.forEach((node, i) => {
    const what = `node ${i} ${node.opType}`;
    const isOnnx = node.domain === "" || node.domain === "ai.onnx";
    const operator = isOnnx && Object.hasOwn(OPERATORS, node.opType) ? OPERATORS[node.opType] : undefined;
    if (!operator) return refuse(what, "no such operator in the reference");
    const made = attempt(what, () => operator(nodeOf(node, values, `${where}: ${what}`)));
    node.output.forEach((name, o) => {
      if (name !== "" && made[o]) values.set(name, made[o]);
    });
  });
  return graph.output.map(({ name }) => {
    const value = values.get(name);
    if (!value) throw new ModelFormatError(`${where}: output ${name}`, "a node that makes it", "none");
    return value;
  });
}
