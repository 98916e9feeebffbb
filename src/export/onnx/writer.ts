import {
  type AttributeProto,
  DATA_TYPES,
  type Draft,
  type NodeProto,
  type TensorProto,
  type ValueInfoProto,
} from "../../import/onnx/schema.ts";
import type { Activation, DType, Graph, Node, Quantization, Tensor } from "../../model/graph.ts";
import { permuted } from "./constants.ts";

/** Images are NHWC in a Graph; ONNX's image operators want channels first. Tensors of other ranks are always plain. */
export type Layout = "plain" | "nchw";

type AttributeValue = number | string | readonly number[] | { float: number };
export type Attributes = Record<string, AttributeValue>;

const TO_FIRST = [0, 3, 1, 2];
const TO_PLAIN = [0, 2, 3, 1];
const TYPE = { float: 1, int: 2, string: 3, ints: 7 } as const;

function attributeOf(name: string, value: AttributeValue): Draft<typeof AttributeProto> {
  if (typeof value === "number") return { name, i: value, type: TYPE.int };
  if (typeof value === "string") return { name, s: value, type: TYPE.string };
  if ("float" in value) return { name, f: value.float, type: TYPE.float };
  return { name, ints: [...value], type: TYPE.ints };
}

/** One name a tensor; inputs and outputs keep theirs where others have the same. */
function uniqueNames({ tensors, inputs, outputs }: Graph): string[] {
  const names = new Array<string>(tensors.length);
  const seen = new Set<string>();
  for (const id of [...inputs, ...outputs, ...tensors.keys()]) {
    if (names[id] !== undefined) continue;
    const { name } = tensors[id];
    names[id] = name === "" || seen.has(name) ? `${name}#${id}` : name;
    seen.add(names[id]);
  }
  return names;
}

/** What an output is finished with after its operator. */
interface Finish {
  activation?: Activation;
}

/** An ONNX graph while it is made from a Graph. Each tensor may exist plain, channels first, or both. */
export class OnnxWriter {
  readonly graph: Graph;
  readonly opset: number;
  readonly nodes: Draft<typeof NodeProto>[] = [];
  readonly initializers: Draft<typeof TensorProto>[] = [];
  readonly #names: string[];
  readonly #made = new Map<number, Set<Layout>>();
  readonly #constants = new Set<string>();
  readonly #ends: ReadonlySet<number>;
  readonly #firstForm = new Map<number, string>();
  readonly #used: Set<string>;
  readonly #derived = new Map<string, string>();
  #count = 0;

  constructor(graph: Graph, opset: number) {
    this.graph = graph;
    this.opset = opset;
    this.#names = uniqueNames(graph);
    this.#used = new Set(this.#names);
    this.#ends = new Set([...graph.inputs, ...graph.outputs]);
    for (const id of graph.inputs) this.#made.set(id, new Set(["plain"]));
  }

  tensor(id: number): Tensor {
    return this.graph.tensors[id];
  }

  isImage(id: number): boolean {
    return this.tensor(id).shape.length === 4;
  }

  /** The name of a tensor in one form: its own in the first that is asked for, but plain for inputs and outputs. */
  #name(id: number, form: string): string {
    const first = this.#firstForm.get(id) ?? (this.#ends.has(id) ? "plain" : form);
    this.#firstForm.set(id, first);
    return form === first ? this.#names[id] : this.#nameFor(`${this.#names[id]}/${form}`);
  }

  /** A name for what belongs to a tensor: always the same, and no tensor's own. */
  #nameFor(key: string): string {
    const known = this.#derived.get(key);
    if (known !== undefined) return known;
    let name = key;
    for (let n = 1; this.#used.has(name); n++) name = `${key}~${n}`;
    this.#used.add(name);
    this.#derived.set(key, name);
    return name;
  }

  /** A name of its own for a value inside an expansion. */
  fresh(what: string): string {
    return this.#nameFor(`${what}#${this.#count++}`);
  }

  add(opType: string, input: string[], output: string, attributes: Attributes = {}): string {
    this.addMany(opType, input, [output], attributes);
    return output;
  }

  addMany(opType: string, input: string[], output: string[], attributes: Attributes = {}): void {
    const attribute = Object.entries(attributes).map(([name, value]) => attributeOf(name, value));
    this.nodes.push({ input, output, name: `${opType}_${output[0]}`, opType, attribute });
  }

  /** The layout in which an activation exists without a Transpose. */
  layoutOf(id: number): Layout {
    return this.#made.get(id)?.has("plain") === false ? "nchw" : "plain";
  }

  /** The stored values of a tensor, codes or floats, in this layout. */
  codes(id: number, layout: Layout): string {
    const name = this.#name(id, layout);
    if (this.tensor(id).data) return this.#constant(id, layout === "plain" ? undefined : TO_FIRST, name);
    const made = this.#made.get(id)!;
    if (made.has(layout)) return name;
    const from = this.#name(id, layout === "plain" ? "nchw" : "plain");
    this.add("Transpose", [from], name, { perm: layout === "plain" ? TO_PLAIN : TO_FIRST });
    made.add(layout);
    return name;
  }

  /** The real values of a tensor: its floats, or a DequantizeLinear of its codes, under this name. */
  real(id: number, layout: Layout, output?: string): string {
    const order = layout === "plain" ? undefined : TO_FIRST;
    return this.#dequantized(this.codes(id, layout), this.tensor(id), order, output);
  }

  /** The real values of a constant with its axes in this order. */
  weights(id: number, order: readonly number[]): string {
    const name = this.#constant(id, order, this.#name(id, order.join("")));
    return this.#dequantized(name, this.tensor(id), order);
  }

  /** The stored values of a constant with its axes in this order. */
  storedWeights(id: number, order: readonly number[]): string {
    return this.#constant(id, order, this.#name(id, order.join("")));
  }

  #constant(id: number, order: readonly number[] | undefined, name: string): string {
    if (this.#constants.has(name)) return name;
    this.#constants.add(name);
    const { shape, rawData } = permuted(this.tensor(id), order);
    this.initializers.push({ name, dims: shape, dataType: DATA_TYPES[this.tensor(id).dtype], rawData });
    return name;
  }

  #dequantized(
    codes: string,
    { dtype, quantization }: Tensor,
    order: readonly number[] | undefined,
    output?: string,
  ): string {
    if (dtype === "float32" || !quantization) return codes;
    const { axis } = quantization;
    const attributes: Attributes = axis === undefined ? {} : { axis: order ? order.indexOf(axis) : axis };
    const operands = [codes, ...this.scales(codes, quantization, dtype)];
    return this.add("DequantizeLinear", operands, output ?? this.fresh(`${codes}/real`), attributes);
  }

  /** Constants for the scale and, where the type has one, the zero point. */
  scales(name: string, { scale, zeroPoint, axis }: Quantization, dtype: DType): string[] {
    const dims = axis === undefined ? [] : [scale.length];
    const scaleName = this.floats(`${name}/scale`, dims, scale);
    if (dtype === "int32" || dtype === "int4") return [scaleName];
    const bytes = { int8: Int8Array, uint8: Uint8Array, int16: Int16Array }[dtype as "int8"].from(zeroPoint);
    return [scaleName, this.#initializer(`${name}/zero_point`, dims, dtype, new Uint8Array(bytes.buffer))];
  }

  floats(name: string, dims: number[], values: ArrayLike<number>): string {
    return this.#initializer(name, dims, "float32", new Uint8Array(Float32Array.from(values).buffer));
  }

  ints(what: string, values: readonly number[]): string {
    const rawData = new Uint8Array(BigInt64Array.from(values, BigInt).buffer);
    return this.#initializer(`${what}#${this.#count++}`, [values.length], "int64", rawData);
  }

  #initializer(key: string, dims: number[], dtype: DType, rawData: Uint8Array): string {
    const isNew = !this.#derived.has(key);
    const name = this.#nameFor(key);
    if (isNew) this.initializers.push({ name, dims, dataType: DATA_TYPES[dtype], rawData });
    return name;
  }

  /** Adds an operator on real values that makes the tensor: then its activation, then QuantizeLinear to its codes. */
  make(
    id: number,
    layout: Layout,
    opType: string,
    input: string[],
    attributes: Attributes = {},
    finish: Finish = {},
  ): void {
    const { dtype, quantization } = this.tensor(id);
    const target = this.#name(id, layout);
    const steps: ((from: string, to: string) => void)[] = [];
    const activation = finish.activation ?? "NONE";
    if (activation !== "NONE") steps.push((from, to) => this.#activate(activation, from, to));
    if (dtype !== "float32" && quantization)
      steps.push((from, to) =>
        this.add("QuantizeLinear", [from, ...this.scales(target, quantization, dtype)], to),
      );
    let last = this.add(
      opType,
      input,
      steps.length > 0 ? this.fresh(`${target}/${opType}`) : target,
      attributes,
    );
    steps.forEach((step, i) => {
      const to = i === steps.length - 1 ? target : this.fresh(`${target}/activation`);
      step(last, to);
      last = to;
    });
    this.#note(id, layout);
  }

  #activate(activation: Activation, from: string, to: string): void {
    if (activation === "RELU") this.add("Relu", [from], to);
    else {
      const [low, high] = activation === "RELU6" ? [0, 6] : [-1, 1];
      this.add(
        "Clip",
        [from, this.floats(`clip/${low}`, [], [low]), this.floats(`clip/${high}`, [], [high])],
        to,
      );
    }
  }

  /** Names for codes that an operator makes itself. */
  target(id: number, layout: Layout): string {
    this.#note(id, layout);
    return this.#name(id, layout);
  }

  #note(id: number, layout: Layout): void {
    const made = this.#made.get(id) ?? new Set<Layout>();
    made.add(layout);
    this.#made.set(id, made);
  }

  /** Inputs or outputs: any number of images, named "N". */
  infos(ids: readonly number[]): Draft<typeof ValueInfoProto>[] {
    return ids.map((id) => {
      const { shape, dtype } = this.tensor(id);
      const dim = shape.map((size, i) => (i === 0 ? { dimParam: "N" } : { dimValue: size }));
      return {
        name: this.#names[id],
        type: { tensorType: { elemType: DATA_TYPES[dtype], shape: { dim } } },
      };
    });
  }
}

/** How an op is written; the reason where it cannot be, else "". */
export type Row<N extends Node = Node> = (writer: OnnxWriter, node: N) => string;
