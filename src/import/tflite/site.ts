import { ModelFormatError } from "../../errors.ts";
import type { Activation, Attributes, OpName, Padding, Tensor } from "../../model/graph.ts";
import type { Table } from "./flatbuffer.ts";
import { ACTIVATIONS, isActivation, OPERATOR, OPTIONS, PADDINGS } from "./schema.ts";
import type { FileTensor } from "./tensors.ts";

/** A node of the Graph but for what every op has alike. */
export type Converted = {
  [Op in OpName]: { op: Op; inputs: number[]; attributes: Attributes[Op] };
}[OpName];

/** Thrown by a row for what the Graph does not have; the importer collects them. */
export class Refusal extends Error {}

const MAX_WINDOW = 65535;
const MAX_INDICES = 16;

/** One operator of the file with its operands, as the rows read it. */
export class Site {
  readonly op: string;
  readonly inputs: readonly number[];
  readonly outputs: readonly number[];
  private readonly table: Table;
  private readonly tensors: readonly FileTensor[];
  private readonly where: string;

  /** inputs: -1 is absent, at the end too; where: file and node, for messages. */
  constructor(
    op: string,
    table: Table,
    tensors: readonly FileTensor[],
    operands: { inputs: readonly number[]; outputs: readonly number[] },
    where: string,
  ) {
    this.op = op;
    this.table = table;
    this.tensors = tensors;
    this.inputs = operands.inputs;
    this.outputs = operands.outputs;
    this.where = where;
  }

  /** The file contradicts itself at this node. */
  malformed(expected: string, got: string): never {
    throw new ModelFormatError(this.where, expected, got);
  }

  /** The file is sound, but the Graph has no such thing. */
  refuse(reason: string): never {
    throw new Refusal(reason);
  }

  has(operand: number): boolean {
    return (this.inputs[operand] ?? -1) !== -1;
  }

  tensor(operand: number): Tensor {
    if (!this.has(operand)) this.malformed(`input ${operand}`, "none");
    return this.tensors[this.inputs[operand]].tensor;
  }

  /** rank: the number of dimensions that the op requires. */
  shape(operand: number, rank?: number): number[] {
    const { shape } = this.tensor(operand);
    if (rank !== undefined && shape.length !== rank)
      this.malformed(`input ${operand} of ${rank} dimensions`, `[${shape}]`);
    return shape;
  }

  /** By tensor id. */
  shapeOf(id: number): number[] {
    return this.tensors[id].tensor.shape;
  }

  /** Tensor ids of some operands, those that are absent left out. */
  operands(...which: number[]): number[] {
    return which.filter((i) => this.has(i)).map((i) => this.inputs[i]);
  }

  output(index = 0): FileTensor {
    return this.tensors[this.outputs[index]];
  }

  /** Integers that TFLite keeps in a constant tensor: pads, axes, sizes. length: how many there must be. */
  indices(operand: number, what: string, length?: number): number[] {
    const { data } = this.tensor(operand);
    if (data === undefined) this.refuse(`${what} known only at run time`);
    if (!(data instanceof Int32Array || data instanceof BigInt64Array))
      this.malformed(`${what} of int32 or int64`, "another type");
    if (data.length !== (length ?? data.length) || data.length > MAX_INDICES)
      this.malformed(`${length ?? `at most ${MAX_INDICES}`} ${what}`, `${data.length}`);
    const values = Array.from<number | bigint, number>(data, Number);
    const bad = values.find((value) => !Number.isSafeInteger(value));
    if (bad !== undefined) this.malformed(`${what} below 2^53`, `${bad}`);
    return values;
  }

  /** An axis from 0, of a tensor of `rank` dimensions; the file may count from the end. */
  axis(value: number, rank: number, what = "axis"): number {
    const axis = value < 0 ? value + rank : value;
    if (axis < 0 || axis >= rank) this.malformed(`${what} in [${-rank}, ${rank - 1}]`, `${value}`);
    return axis;
  }

  /** The node's options; undefined where the file leaves them out and all fields have their defaults. */
  options(type: keyof typeof OPTIONS): Table | undefined {
    const tag = this.table.uint8(OPERATOR.optionsType, "builtin_options_type");
    const table = this.table.table(OPERATOR.options, type);
    if (tag !== OPTIONS[type] && !(tag === 0 && table === undefined))
      this.malformed(`${type} (${OPTIONS[type]})`, `options of type ${tag}`);
    return table;
  }

  activation(options: Table | undefined, id: number): Activation {
    const value = options?.int8(id, "fused_activation_function") ?? 0;
    const name = ACTIVATIONS[value];
    if (name === undefined) this.malformed("a fused_activation_function", `${value}`);
    return isActivation(name) ? name : this.refuse(`fused activation ${name}`);
  }

  padding(options: Table | undefined, id: number): Padding {
    const value = options?.int8(id, "padding") ?? 0;
    return PADDINGS[value] ?? this.malformed("padding SAME or VALID", `${value}`);
  }

  /** A stride, dilation or window size. */
  size(options: Table | undefined, id: number, what: string, absent = 0): number {
    const value = options?.int32(id, what, absent) ?? absent;
    if (value < 1 || value > MAX_WINDOW) this.malformed(`${what} in [1, ${MAX_WINDOW}]`, `${value}`);
    return value;
  }
}
