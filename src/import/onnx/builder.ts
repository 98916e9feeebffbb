import { ModelFormatError } from "../../errors.ts";
import {
  type Attributes,
  type DType,
  elements,
  type Graph,
  type Integer,
  type Node,
  type OpName,
  type Quantization,
  type Tensor,
} from "../../model/graph.ts";
import { outputShape } from "../../model/shapes.ts";
import type { Budget } from "./budget.ts";
import { type Constant, permuteConstant, reshapeConstant } from "./constants.ts";
import { refuse } from "./refusal.ts";

/** A tensor of the Graph that stands for an ONNX value in another layout: its dimension i is the value's axis
 * order[i]. Image ops make NHWC tensors, order [0, 2, 3, 1]; a TRANSPOSE is emitted only where one is read as NCHW. */
export interface Activation {
  kind: "activation";
  tensor: number;
  order: number[];
}
/** An ONNX value: known, computed, or made by a node that was refused. */
export type Value = Constant | Activation | { kind: "refused" };

const MAX_ELEMENTS = 2 ** 31 - 1;
/** Ops whose output has the codes of their input, so that both have one scale. */
const SAME_CODES: ReadonlySet<OpName> = new Set([
  "RESHAPE",
  "TRANSPOSE",
  "MAX_POOL_2D",
  "STRIDED_SLICE",
  "SPLIT",
  "RESIZE_NEAREST_NEIGHBOR",
  "PAD",
]);

/** Ops that ONNX Runtime may compute on codes, whose result tells on what it does. */
const ON_CODES: ReadonlySet<OpName> = new Set([
  "QUANTIZE",
  "CONV_2D",
  "DEPTHWISE_CONV_2D",
  "FULLY_CONNECTED",
  "BATCH_MATMUL",
  "ADD",
  "MUL",
  "AVERAGE_POOL_2D",
  "MEAN",
  "LOGISTIC",
  "LEAKY_RELU",
  "SOFTMAX",
]);

export const identityOrder = (rank: number) => Array.from({ length: rank }, (_, i) => i);
const key = (ids: readonly number[]) => ids.join();

/** The Graph while it is made. */
export class GraphBuilder {
  readonly tensors: Tensor[] = [];
  readonly nodes: Node[] = [];
  readonly budget: Budget;
  #where: string;
  #producers = new Map<number, Node>();
  #constants = new Map<Constant, number>();
  #permuted = new Map<Constant, Map<string, Constant>>();
  #reshaped = new Map<Constant, Map<string, Constant>>();
  #moved = new Map<string, number>();
  /** Names of the tensors and the nodes that the current ONNX node becomes. */
  label = "";
  nodeName = "";
  /** What ONNX Runtime computes the current ONNX node on. */
  computedOn: Integer["computedOn"];

  constructor(where: string, budget: Budget) {
    this.#where = where;
    this.budget = budget;
  }

  add(tensor: Tensor): number {
    return this.tensors.push(tensor) - 1;
  }

  shape(tensor: number): number[] {
    return this.tensors[tensor].shape;
  }

  /** The shape of the ONNX value. */
  logicalShape({ tensor, order }: Activation): number[] {
    const shape = new Array<number>(order.length);
    order.forEach((axis, i) => {
      shape[axis] = this.tensors[tensor].shape[i];
    });
    return shape;
  }

  /** Adds a node of one output with the shape that the op's rule gives. @throws ModelFormatError for an empty output. */
  emit<Op extends OpName>(
    op: Op,
    inputs: number[],
    attributes: Attributes[Op],
    made: { dtype?: DType; quantization?: Quantization; name?: string } = {},
  ): number {
    const { computedOn } = this;
    const own = computedOn && ON_CODES.has(op) ? { ...attributes, computedOn } : attributes;
    const node = { op, name: this.nodeName, inputs, outputs: [], attributes: own } as unknown as Node;
    const shapes = inputs.map((id) => this.tensors[id]?.shape ?? []);
    return this.#finish(node, [outputShape(node, shapes)], made)[0];
  }

  /** A SPLIT, which has several outputs. */
  emitSplit(input: number, axis: number, sizes: number[], names: readonly string[]): number[] {
    const node: Node = {
      op: "SPLIT",
      name: this.nodeName,
      inputs: [input],
      outputs: [],
      attributes: { axis, sizes },
    };
    const shapes = sizes.map((size) => this.shape(input).with(axis, size));
    const made = this.#finish(node, shapes, {});
    made.forEach((id, i) => {
      this.tensors[id] = { ...this.tensors[id], name: names[i] };
    });
    return made;
  }

  #finish(
    node: Node,
    shapes: number[][],
    made: { dtype?: DType; quantization?: Quantization; name?: string },
  ): number[] {
    const [x] = node.inputs;
    const source = this.tensors[x];
    const quantization = made.quantization ?? (SAME_CODES.has(node.op) ? source.quantization : undefined);
    for (const shape of shapes) {
      if (!shape.every((size) => size >= 1 && Number.isSafeInteger(size)) || elements(shape) > MAX_ELEMENTS)
        throw new ModelFormatError(
          `${this.#where}: node ${this.label} (${node.op})`,
          `an output of 1 to ${MAX_ELEMENTS} elements`,
          `[${shape}]`,
        );
      const id = this.add({
        name: made.name ?? this.label,
        shape,
        dtype: made.dtype ?? source.dtype,
        ...(quantization && { quantization }),
      });
      node.outputs.push(id);
      this.#producers.set(id, node);
    }
    this.nodes.push(node);
    return node.outputs;
  }

  /** The tensor whose dimension i is the value's axis order[i]: the value's own, or a RESHAPE or TRANSPOSE of it. */
  inOrder({ tensor, order: from }: Activation, order: readonly number[]): number {
    const permutation = order.map((axis) => from.indexOf(axis));
    if (permutation.every((axis, i) => axis === i)) return tensor;
    if (permutation[0] !== 0) refuse("moves the batch, dimension 0");
    const name = `${tensor}:${key(permutation)}`;
    const known = this.#moved.get(name);
    if (known !== undefined) return known;
    const shape = this.shape(tensor);
    const moved = permutation.filter((axis) => axis === 0 || shape[axis] !== 1);
    const label = `${this.tensors[tensor].name}/transposed`;
    const isReshape = moved.every((axis, i) => i === 0 || axis > moved[i - 1]);
    const made = isReshape
      ? this.reshape(
          tensor,
          permutation.map((axis) => shape[axis]),
          label,
        )
      : this.emit("TRANSPOSE", [tensor], { permutation }, { name: label });
    this.#moved.set(name, made);
    return made;
  }

  /** The tensor with another shape; RESHAPEs of RESHAPEs are one. */
  reshape(tensor: number, shape: number[], name = this.label): number {
    const own = this.shape(tensor);
    if (key(own) === key(shape)) return tensor;
    if (own[0] !== shape[0]) refuse(`reshapes the batch, dimension 0: [${own}] to [${shape}]`);
    const before = this.#producers.get(tensor);
    if (before?.op === "RESHAPE") return this.reshape(before.inputs[0], shape, name);
    return this.emit("RESHAPE", [tensor], { shape }, { name });
  }

  /** The constant with its axes in another order; the same constant and order give the same object. */
  permuted(constant: Constant, order: readonly number[]): Constant {
    const known = this.#permuted.get(constant) ?? new Map<string, Constant>();
    this.#permuted.set(constant, known);
    const made = known.get(key(order)) ?? permuteConstant(constant, order, this.budget);
    known.set(key(order), made);
    return made;
  }

  /** The constant under another shape; the same constant and shape give the same object. */
  reshaped(constant: Constant, dims: number[]): Constant {
    if (key(dims) === key(constant.dims)) return constant;
    const known = this.#reshaped.get(constant) ?? new Map<string, Constant>();
    this.#reshaped.set(constant, known);
    const made = known.get(key(dims)) ?? reshapeConstant(constant, dims);
    known.set(key(dims), made);
    return made;
  }

  /** The constant as a tensor: its float values, or its codes followed by a DEQUANTIZE. */
  constant(constant: Constant): number {
    const known = this.#constants.get(constant);
    if (known !== undefined) return known;
    const codes = this.codes(constant);
    const { quantization, name, dims } = constant;
    const id = quantization ? this.#dequantized(codes, name, dims.length === 0 ? [1] : dims) : codes;
    this.#constants.set(constant, id);
    return id;
  }

  #dequantized(codes: number, name: string, shape: number[]): number {
    const id = this.add({ name: `${name}/float`, shape, dtype: "float32" });
    const node: Node = { op: "DEQUANTIZE", name, inputs: [codes], outputs: [id], attributes: {} };
    this.nodes.push(node);
    this.#producers.set(id, node);
    return id;
  }

  /** The constant's stored values as a tensor: 4-bit ones packed, uint4 moved to int4. */
  codes({ name, dims, type, data, quantization }: Constant): number {
    const shape = dims.length === 0 ? [1] : dims;
    if (data.length === 0) refuse(`${name}: [${dims}] is empty`);
    if (type === "bool") refuse(`${name} is bool`);
    this.budget.spend(data.byteLength);
    if (type === "int4") return this.add({ name, shape, dtype: "int4", data: pack(data, 0), quantization });
    if (type !== "uint4")
      return this.add({ name, shape, dtype: type, data, ...(quantization && { quantization }) });
    const zeroPoint = quantization?.zeroPoint.map((z) => z - 8) ?? refuse(`${name} is uint4 without a scale`);
    return this.add({
      name,
      shape,
      dtype: "int4",
      data: pack(data, -8),
      quantization: { ...quantization!, zeroPoint },
    });
  }

  /** Gives an integer tensor, and those that have its codes, the scale that a reader reads it with. */
  setQuantization(tensor: number, quantization: Quantization): void {
    let at: number | undefined = tensor;
    while (at !== undefined) {
      const own: Quantization | undefined = this.tensors[at].quantization;
      if (own && !sameQuantization(own, quantization))
        refuse(`reads ${this.tensors[at].name} with another scale or zero point than it is made with`);
      if (own) return;
      this.tensors[at] = { ...this.tensors[at], quantization };
      const before = this.#producers.get(at);
      at = before && SAME_CODES.has(before.op) ? before.inputs[0] : undefined;
    }
  }

  /** The graph as it stands. */
  graph(name: string, inputs: number[], outputs: number[]): Graph {
    return { name, tensors: this.tensors, nodes: this.nodes, inputs, outputs };
  }
}

/** Equal scales, zero points and axis. */
export function sameQuantization(a: Quantization, b: Quantization): boolean {
  return (
    key([...a.scale]) === key([...b.scale]) &&
    key([...a.zeroPoint]) === key([...b.zeroPoint]) &&
    a.axis === b.axis
  );
}

function pack(values: ArrayLike<number | bigint>, offset: number): Uint8Array {
  const packed = new Uint8Array((values.length + 1) >> 1);
  for (let i = 0; i < values.length; i++)
    packed[i >> 1] |= ((Number(values[i]) + offset) & 15) << ((i & 1) * 4);
  return packed;
}
