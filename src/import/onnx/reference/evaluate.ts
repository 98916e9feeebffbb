/** ONNX's quantized operators in plain TypeScript, of any shape and with scales and weights that are not constant: for tests of
 * one operator, which a Graph of images has no place for. Arithmetic is ONNX Runtime's. */
import { ModelFormatError, UnsupportedOpError } from "../../../errors.ts";
import { Refusal } from "../refusal.ts";
import { type Decoded, dataTypeName, ModelProto, type NodeProto, type TensorProto } from "../schema.ts";
import { decodeMessage } from "../wire.ts";
import { PLAIN } from "./plain.ts";
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
  tensor(name: string): ReferenceValue | undefined;
  /** In [0, rank). @throws ModelFormatError */
  axis(value: number, rank: number): number;
  malformed(expected: string, got: string): never;
}
export type ReferenceOperator = (node: ReferenceNode) => ReferenceValue[];

type Operators = Record<string, ReferenceOperator>;
/** Of tests of one operator. */
const QUANTIZED: Operators = { ...QUANTIZERS, ...PRODUCTS };
/** And what stands between them in a model. */
const ALL: Operators = { ...QUANTIZED, ...PLAIN };

type NodeMessage = Decoded<typeof NodeProto>;

function operatorOf({ domain, opType }: NodeMessage, operators: Operators): ReferenceOperator | undefined {
  const isOnnx = domain === "" || domain === "ai.onnx";
  return isOnnx && Object.hasOwn(operators, opType) ? operators[opType] : undefined;
}

function nodeOf(
  message: NodeMessage,
  values: (name: string) => ReferenceValue | undefined,
  place: string,
): ReferenceNode {
  const attributes = new Map(message.attribute.map((one) => [one.name, one]));
  const malformed = (expected: string, got: string): never => {
    throw new ModelFormatError(place, expected, got);
  };
  const optional = (i: number) => {
    const name = message.input[i];
    if (!name) return undefined;
    return values(name) ?? malformed(`${JSON.stringify(name)} made by an earlier node`, "none");
  };
  return {
    place,
    optional,
    malformed,
    input: (i) => optional(i) ?? malformed(`input ${i}`, "none"),
    int: (name, otherwise) => attributes.get(name)?.i ?? otherwise,
    string: (name, otherwise) => attributes.get(name)?.s || otherwise,
    ints: (name) => attributes.get(name)?.ints,
    tensor: (name) => {
      const tensor = attributes.get(name)?.t;
      return tensor ? initializer(tensor, place) : undefined;
    },
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
  if (type === "int64") {
    const whole = BigInt64Array.from(tensor.int64Data, BigInt);
    return referenceValue(type, tensor.dims, new Uint8Array(whole.buffer), place);
  }
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
    const operator = operatorOf(node, QUANTIZED) ?? refuse(what, "no such operator in the reference");
    const made = attempt(what, () => operator(nodeOf(node, (name) => values.get(name), `${where}: ${what}`)));
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

/**
 * What the reference makes of each node by itself: its inputs are what `known` has under their names, or constants. A node that it
 * has no operator, type or input for is left out. where: the file's name.
 * @throws ModelFormatError for a malformed model.
 */
export function traceOnnx(
  bytes: Uint8Array,
  known: (name: string) => ReferenceValue | undefined,
  where: string,
): Map<string, ReferenceValue> {
  const { graph } = decodeMessage(ModelProto, bytes, where);
  if (!graph) throw new ModelFormatError(where, "an ONNX model with nodes", "none");
  const constants = new Map<string, ReferenceValue>();
  const made = new Map<string, ReferenceValue>();
  const attempt = (run: () => void) => {
    try {
      run();
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
    }
  };
  for (const tensor of graph.initializer)
    attempt(() => constants.set(tensor.name, initializer(tensor, where)));
  const value = (name: string) => known(name) ?? constants.get(name);
  graph.node.forEach((node, i) => {
    const operator = operatorOf(node, ALL);
    if (!operator || node.input.some((name) => name !== "" && !value(name))) return;
    attempt(() => {
      const results = operator(nodeOf(node, value, `${where}: node ${i} ${node.opType}`));
      node.output.forEach((name, o) => {
        if (results[o]) made.set(name, results[o]);
      });
    });
  });
  return made;
}
