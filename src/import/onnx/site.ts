import { ModelFormatError } from "../../errors.ts";
import { type Activation, type GraphBuilder, identityOrder, type Value } from "./builder.ts";
import { type Constant, numbersOf } from "./constants.ts";
import { refuse } from "./refusal.ts";
import type { AttributeProto, Decoded } from "./schema.ts";
import { type Loader, loadTensor } from "./tensor.ts";

type Attribute = Decoded<typeof AttributeProto>;

/** A node of the model, or one that stands for a part of it. */
export interface OnnxNode {
  /** Place in the file, for messages. */
  index: number;
  name: string;
  op: string;
  /** The operator in the file, where `op` stands for a part of it. */
  origin?: string;
  domain: string;
  inputs: string[];
  outputs: string[];
  attributes: ReadonlyMap<string, Attribute>;
}

/** For messages: its place, operator and name. */
export function describeNode({ index, op, origin, name, outputs }: OnnxNode): string {
  return `node ${index} ${origin ?? op} ${name || outputs[0] || "without a name"}`;
}

/** What a row sees of one node: its operands as Values, its attributes, and the Graph being built. */
export class Site {
  readonly node: OnnxNode;
  readonly opset: number;
  readonly builder: GraphBuilder;
  readonly loader: Loader;
  readonly values: readonly (Value | undefined)[];

  constructor(
    node: OnnxNode,
    opset: number,
    builder: GraphBuilder,
    loader: Loader,
    values: readonly (Value | undefined)[],
  ) {
    this.node = node;
    this.opset = opset;
    this.builder = builder;
    this.loader = loader;
    this.values = values;
  }

  get place(): string {
    return `${this.loader.where}: ${describeNode(this.node)}`;
  }

  has(i: number): boolean {
    return this.values[i] !== undefined;
  }

  /** @throws ModelFormatError for an operand that is left out. */
  value(i: number): Value {
    return this.values[i] ?? this.malformed(`input ${i}`, "none");
  }

  /** An operand that must be known when the model is read. what: its role, for the message. */
  constant(i: number, what: string): Constant {
    const value = this.value(i);
    return value.kind === "constant" ? value : refuse(`${what} (${this.node.inputs[i]}) must be a constant`);
  }

  /** A constant of real numbers: float32, or codes with a scale. */
  realConstant(i: number, what: string): Constant {
    const constant = this.constant(i, what);
    if (constant.type !== "float32" && !constant.quantization)
      this.malformed(`${what} of floats, or dequantized`, constant.type);
    return constant;
  }

  /** The elements of a constant operand. */
  numbers(i: number, what: string): number[] {
    return numbersOf(this.constant(i, what), this.builder.budget);
  }

  activation(i: number): Activation {
    const value = this.value(i);
    return value.kind === "activation" ? value : refuse(`input ${i} (${this.node.inputs[i]}) is a constant`);
  }

  rank(i: number): number {
    return this.activation(i).order.length;
  }

  int(name: string, otherwise: number): number {
    return this.node.attributes.get(name)?.i ?? otherwise;
  }

  float(name: string, otherwise: number): number {
    return this.node.attributes.get(name)?.f ?? otherwise;
  }

  string(name: string, otherwise: string): string {
    return this.node.attributes.get(name)?.s ?? otherwise;
  }

  ints(name: string): number[] | undefined {
    return this.node.attributes.get(name)?.ints;
  }

  /** A tensor attribute. */
  tensor(name: string): Constant | undefined {
    const tensor = this.node.attributes.get(name)?.t;
    return tensor && loadTensor(tensor, this.node.outputs[0] || this.node.name, this.loader);
  }

  /** Integers that are an attribute in older operator sets and a constant operand in newer ones. */
  intsOrOperand(name: string, i: number): number[] | undefined {
    return this.has(i) ? this.numbers(i, name) : this.ints(name);
  }

  /** An axis in [0, rank). @throws ModelFormatError outside [-rank, rank). */
  axis(value: number, rank: number): number {
    const axis = value < 0 ? value + rank : value;
    if (!(axis >= 0 && axis < rank)) this.malformed(`an axis in [${-rank}, ${rank})`, `${value}`);
    return axis;
  }

  /** Several different axes. */
  axes(values: readonly number[], rank: number): number[] {
    const axes = values.map((value) => this.axis(value, rank));
    if (new Set(axes).size !== axes.length) this.malformed("different axes", `[${values}]`);
    return axes;
  }

  malformed(expected: string, got: string): never {
    throw new ModelFormatError(this.place, expected, got);
  }

  /** The operand as a tensor in ONNX's own layout. */
  plain(i: number): number {
    const value = this.activation(i);
    return this.builder.inOrder(value, identityOrder(value.order.length));
  }

  /** A tensor in ONNX's own layout as a value. */
  asIs(tensor: number): Activation {
    return {
      kind: "activation",
      tensor,
      order: identityOrder(this.builder.shape(tensor).length),
    };
  }
}

/** How an operator becomes nodes of the Graph: returns the values of its outputs. */
export type Row = (site: Site) => Value[];
export type Rows = Record<string, Row>;
