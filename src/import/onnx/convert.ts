import { ModelFormatError } from "../../errors.ts";
import type { DType, Graph } from "../../model/graph.ts";
import { Budget } from "./budget.ts";
import { GraphBuilder, identityOrder, type Value } from "./builder.ts";
import { type Constant, constantOf } from "./constants.ts";
import { mergeDoublePairs } from "./doublePairs.ts";
import { FOLDS, SHAPE_FOLDS } from "./fold.ts";
import { foldWeights } from "./foldWeights.ts";
import { fuseMatMuls } from "./fuseMatMul.ts";
import { nodeUnits } from "./nodeUnits.ts";
import { rowOf } from "./operators.ts";
import { Refusal } from "./refusal.ts";
import { expandIntegerOperators, liveNodes, matchDynamic } from "./rewrite.ts";
import { type Decoded, dataTypeName, type GraphProto, type ValueInfoProto } from "./schema.ts";
import { describeNode, type OnnxNode, Site } from "./site.ts";
import { checkDims, type ExternalData, HELD_AS, type Loader, loadTensor, typeName } from "./tensor.ts";

type GraphMessage = Decoded<typeof GraphProto>;
type TensorMessage = GraphMessage["initializer"][number];
type ValueInfo = Decoded<typeof ValueInfoProto>;

/** One model being read. */
export interface Source {
  graph: GraphMessage;
  opset: number;
  where: string;
  /** Bytes of the file. */
  bytes: number;
  externalData?: ExternalData;
}

/** The Graph before fusion, and a line for each node that it cannot have. */
export interface Conversion {
  graph: Graph;
  refused: string[];
  /** What is left for constants that later steps make. */
  budget: Budget;
}

/** Reads the nodes in order, with constants folded and each value's layout tracked. @throws ModelFormatError */
export function convert(source: Source): Conversion {
  const conversion = new Converter(source);
  conversion.readInputs();
  conversion.readNodes();
  return conversion.finish();
}

/** Types of the scales and zero points of activations. */
const SCALARS: ReadonlySet<string | undefined> = new Set(["float32", "int8", "uint8"]);
const isScalar = ({ dataType, dims }: TensorMessage) =>
  SCALARS.has(dataTypeName(dataType)) && ["", "1"].includes(`${dims}`);
const isFloat32 = ({ dataType }: TensorMessage) => dataTypeName(dataType) === "float32";

class Converter {
  readonly #source: Source;
  readonly #builder: GraphBuilder;
  readonly #loader: Loader;
  readonly #values = new Map<string, Value>();
  readonly #initializers: Map<string, GraphMessage["initializer"][number]>;
  readonly #inputs = new Set<number>();
  #units: ReturnType<typeof nodeUnits> = new Map();
  /** One reason for each node of the file, input and output. */
  readonly #refused = new Map<string, string>();

  constructor(source: Source) {
    const { graph, where, bytes, externalData } = source;
    const budget = new Budget(bytes, where);
    this.#source = source;
    this.#builder = new GraphBuilder(where, budget);
    this.#loader = { where, budget, counted: new Set(), ...(externalData && { externalData }) };
    this.#initializers = new Map(graph.initializer.map((tensor) => [tensor.name, tensor]));
    if (this.#initializers.size !== graph.initializer.length)
      throw new ModelFormatError(`${where}: initializers`, "a name of its own for each", "one name twice");
    this.#values.set("blindspot:one", constantOf("one", [], "float32", [1]));
    this.#values.set("blindspot:zero", constantOf("zero", [], "int32", [0]));
  }

  /** Graph inputs that are not initializers, in the model's own layout. */
  readInputs(): void {
    const seen = new Set<string>();
    for (const input of this.#source.graph.input) {
      if (seen.has(input.name) || input.name === "")
        throw new ModelFormatError(
          `${this.#source.where}: inputs`,
          "names of their own",
          JSON.stringify(input.name),
        );
      seen.add(input.name);
      if (this.#initializers.has(input.name)) continue;
      this.#attempt(`input ${input.name}`, [input.name], () => [this.#readInput(input)]);
    }
  }

  #readInput(input: ValueInfo): Value {
    const place = `${this.#source.where}: input ${input.name}`;
    const tensor = input.type?.tensorType;
    if (!tensor?.shape) throw new ModelFormatError(place, "a tensor with a shape", "none");
    const type = typeName(tensor.elemType, place);
    const held = HELD_AS[type];
    if (!held || held === "bool" || held === "uint4" || held === "int4") throw new Refusal(`is ${type}`);
    const dims = checkDims(
      tensor.shape.dim.map(({ dimValue }, i) => (i === 0 && dimValue === 0 ? 1 : dimValue)),
      place,
    );
    const open = dims.indexOf(0);
    if (open >= 0)
      throw new Refusal(`dimension ${open} (${tensor.shape.dim[open].dimParam || "unnamed"}) has no size`);
    const shape = dims.length === 0 ? [1] : dims;
    const id = this.#builder.add({ name: input.name, shape, dtype: held as DType });
    this.#inputs.add(id);
    return { kind: "activation", tensor: id, order: identityOrder(shape.length) };
  }

  readNodes(): void {
    const { graph, where } = this.#source;
    const outputs = new Set(graph.output.map(({ name }) => name));
    const nodes = graph.node.map(nodeOf);
    checkNames(nodes, this.#values, this.#initializers, where);
    const live = liveNodes(matchDynamic(nodes, outputs), outputs);
    const scalar = this.#constantsOf(nodes, isScalar);
    const merged = mergeDoublePairs(live, {
      outputs,
      scalar,
      define: (name, value) => this.#values.set(name, value),
    });
    const constant = this.#constantsOf(nodes, isFloat32);
    const folded = foldWeights(merged, {
      outputs,
      budget: this.#builder.budget,
      constant,
      define: (name, value) => this.#values.set(name, value),
    });
    const fused = liveNodes(fuseMatMuls(folded, { outputs, constant }), outputs);
    const typeOf = this.#typesOf(nodes);
    this.#units = nodeUnits(fused, { outputs, typeOf, isScalar: (name) => scalar(name) !== undefined });
    const rewritten = expandIntegerOperators(fused);
    for (const node of rewritten) this.#attempt(describeNode(node), node.outputs, () => this.#readNode(node));
  }

  /** Constants from initializers and Constant nodes, where `takes` them as the file has them. */
  #constantsOf(
    nodes: readonly OnnxNode[],
    takes: (tensor: TensorMessage) => boolean,
  ): (name: string) => Constant | undefined {
    const constants = new Map(
      nodes.flatMap(({ op, outputs, attributes }) => {
        const tensor = op === "Constant" ? attributes.get("value")?.t : undefined;
        return tensor ? [[outputs[0], tensor] as const] : [];
      }),
    );
    return (name) => {
      const known = this.#values.get(name);
      const tensor = this.#initializers.get(name) ?? constants.get(name);
      if (known?.kind === "constant") return known;
      return tensor && takes(tensor) ? loadTensor(tensor, name, this.#loader) : undefined;
    };
  }

  /** Types of what no operator makes: inputs, initializers and Constant nodes. */
  #typesOf(nodes: readonly OnnxNode[]): (name: string) => string | undefined {
    const types = new Map<string, number>();
    for (const { name, type } of this.#source.graph.input) types.set(name, type?.tensorType?.elemType ?? 0);
    for (const { name, dataType } of this.#source.graph.initializer) types.set(name, dataType);
    for (const { op, outputs, attributes } of nodes)
      if (op === "Constant") types.set(outputs[0], attributes.get("value")?.t?.dataType ?? 0);
    return (name) => {
      const known = this.#values.get(name);
      return known?.kind === "constant" ? known.type : dataTypeName(types.get(name) ?? 0);
    };
  }

  /** Keeps what `read` makes under these names, or the reason why not. */
  #attempt(what: string, names: readonly string[], read: () => Value[] | undefined): void {
    let values: Value[] | undefined;
    try {
      values = read();
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      if (!this.#refused.has(what)) this.#refused.set(what, error.message);
    }
    names.forEach((name, i) => {
      if (name !== "") this.#values.set(name, values?.[i] ?? { kind: "refused" });
    });
  }

  /** undefined where an operand was refused before. */
  #readNode(node: OnnxNode): Value[] | undefined {
    const operands = node.inputs.map((name) => (name === "" ? undefined : this.#value(name, node)));
    if (operands.some((value) => value?.kind === "refused")) return undefined;
    this.#builder.label = node.outputs[0] || node.name;
    this.#builder.nodeName = node.name || node.outputs[0];
    this.#builder.computedOn = isOnCodes(node) ? "codes" : this.#units.get(node);
    const site = new Site(node, this.#source.opset, this.#builder, this.#loader, operands);
    if (node.domain !== "") throw new Refusal(`no such operator here in domain ${node.domain}`);
    if (Object.hasOwn(SHAPE_FOLDS, node.op)) return [SHAPE_FOLDS[node.op](site)];
    const isKnown = operands.every((value) => !value || (value.kind === "constant" && !value.quantization));
    if (isKnown && Object.hasOwn(FOLDS, node.op)) return [FOLDS[node.op](site)];
    const row = rowOf(node.op);
    if (!row) throw new Refusal("no such operator in a Graph");
    return row(site);
  }

  #value(name: string, node: OnnxNode): Value {
    const known = this.#values.get(name);
    if (known) return known;
    const initializer = this.#initializers.get(name);
    if (!initializer)
      throw new ModelFormatError(
        `${this.#source.where}: ${describeNode(node)}`,
        `${JSON.stringify(name)} made by an earlier node, or an initializer`,
        "none",
      );
    const value = loadTensor(initializer, name, this.#loader);
    this.#values.set(name, value);
    return value;
  }

  finish(): Conversion {
    const { graph, where } = this.#source;
    const outputs: number[] = [];
    for (const { name } of graph.output)
      this.#attempt(`output ${name}`, [], () => void outputs.push(this.#output(name)));
    return {
      graph: this.#builder.graph(graph.name || where, [...this.#inputs], outputs),
      budget: this.#builder.budget,
      refused: [...this.#refused].map(([what, why]) => `${what}: ${why}`),
    };
  }

  /** An output in the model's own layout, under its own name. */
  #output(name: string): number {
    const { where } = this.#source;
    const value =
      this.#values.get(name) ?? (this.#initializers.has(name) ? ({ kind: "constant" } as const) : undefined);
    if (!value) throw new ModelFormatError(`${where}: output ${name}`, "a node that makes it", "none");
    if (value.kind === "refused") return 0;
    if (value.kind === "constant") throw new Refusal("is a constant");
    this.#builder.label = name;
    this.#builder.nodeName = name;
    const id = this.#builder.inOrder(value, identityOrder(value.order.length));
    const { tensors } = this.#builder;
    const inner = tensors[value.tensor];
    if (id !== value.tensor && inner.name === name)
      tensors[value.tensor] = { ...inner, name: `${name}/nhwc` };
    if (!this.#inputs.has(id)) tensors[id] = { ...tensors[id], name };
    return id;
  }
}

/** Whether a node stands for one of ONNX Runtime's own on codes. */
const isOnCodes = ({ origin }: OnnxNode) => origin?.startsWith("QLinear") || origin === "QGemm";

function nodeOf(node: GraphMessage["node"][number], index: number): OnnxNode {
  const { name, opType, domain, input, output, attribute } = node;
  return {
    index,
    name,
    op: opType,
    domain: domain === "ai.onnx" ? "" : domain,
    inputs: trimmed(input),
    outputs: output,
    attributes: new Map(attribute.map((one) => [one.name, one])),
  };
}

/** Without the empty names at the end: they are operands left out. */
function trimmed(names: string[]): string[] {
  return names.slice(0, names.findLastIndex((name) => name !== "") + 1);
}

/** @throws ModelFormatError for a value that two nodes make, or a node and the graph. */
function checkNames(
  nodes: readonly OnnxNode[],
  given: ReadonlyMap<string, unknown>,
  initializers: ReadonlyMap<string, unknown>,
  where: string,
): void {
  const made = new Set<string>();
  for (const node of nodes)
    for (const output of node.outputs) {
      if (output === "") continue;
      if (made.has(output) || given.has(output) || initializers.has(output))
        throw new ModelFormatError(
          `${where}: ${describeNode(node)}`,
          "outputs that nothing else makes",
          JSON.stringify(output),
        );
      made.add(output);
    }
}
