import type { Graph, Node, OpName, Quantization, Tensor } from "../../model/graph.ts";
import type { Budget } from "./budget.ts";
import { sameQuantization } from "./builder.ts";
import { roundHalfEven } from "./constants.ts";
import { Links } from "./passes.ts";

/** Of the bias's scale from the product of the others, which converters form in float32 or float64. */
const MAX_BIAS_SCALE_ERROR = 1e-4;
/** Ops that only move values: the same on codes as on what they stand for. */
const MOVES: ReadonlySet<OpName> = new Set([
  "RESHAPE",
  "TRANSPOSE",
  "MAX_POOL_2D",
  "STRIDED_SLICE",
  "SPLIT",
  "RESIZE_NEAREST_NEIGHBOR",
  "PAD",
]);
/** Ops whose integer form has one scale for input and output; another is reached by a QUANTIZE after it. */
const SHARES_SCALE: ReadonlySet<OpName> = new Set(["RESIZE_BILINEAR"]);
/** Ops with an integer form whose operands and output have scales of their own. */
const INTEGER: ReadonlySet<OpName> = new Set([
  "CONV_2D",
  "DEPTHWISE_CONV_2D",
  "FULLY_CONNECTED",
  "TRANSPOSE_CONV",
  "ADD",
  "SUB",
  "MUL",
  "MEAN",
  "SOFTMAX",
  "LOG_SOFTMAX",
  "LOGISTIC",
  "TANH",
  "HARD_SWISH",
  "LEAKY_RELU",
  "PRELU",
  "RELU",
  "RELU6",
  "RELU_N1_TO_1",
  "CONCATENATION",
  "AVERAGE_POOL_2D",
  "RESIZE_BILINEAR",
  "BATCH_MATMUL",
]);
const WEIGHTED: ReadonlySet<OpName> = new Set([
  "CONV_2D",
  "DEPTHWISE_CONV_2D",
  "FULLY_CONNECTED",
  "TRANSPOSE_CONV",
]);

const isFloat = ({ dtype }: Tensor) => dtype === "float32";
const isPerTensor = ({ quantization }: Tensor) => quantization?.scale.length === 1;
const quantize = (name: string, input: number, output: number): Node => ({
  op: "QUANTIZE",
  name,
  inputs: [input],
  outputs: [output],
  attributes: {},
});

/** A new tensor of the shape of `id` and the type and scale of `like`. */
function codesLike(tensors: Tensor[], id: number, like: number): number {
  const { name, shape } = tensors[id];
  const { dtype, quantization } = tensors[like];
  return tensors.push({ name: `${name}/codes`, shape, dtype, ...(quantization && { quantization }) }) - 1;
}

/** QUANTIZE before ops that move values instead of after them, as far up as nothing else reads on the way. */
export function hoistQuantize(graph: Graph): Graph {
  const tensors = [...graph.tensors];
  const links = new Links(graph);
  const hoisted = new Map<Node, Node>();
  const backwards: Node[] = [];
  const place = (q: Node, reader: Node) => {
    const [x] = q.inputs;
    const maker = links.makers.get(x);
    const isMovable =
      maker && MOVES.has(maker.op) && maker.outputs.length === 1 && isFloat(tensors[maker.inputs[0]]);
    if (isMovable && links.soleReader(x) === reader && isPerTensor(tensors[q.outputs[0]]))
      hoisted.set(maker, q);
    else backwards.push(q);
  };
  for (const node of graph.nodes.toReversed()) {
    const q = hoisted.get(node);
    if (node.op === "QUANTIZE") place(node, node);
    else if (!q) backwards.push(node);
    else {
      const [x] = node.inputs;
      const codes = codesLike(tensors, x, q.outputs[0]);
      backwards.push({ ...node, inputs: [codes], outputs: q.outputs } as Node);
      place(quantize(node.name, x, codes), node);
    }
  }
  return { ...graph, tensors, nodes: backwards.reverse() };
}

/**
 * Makes DEQUANTIZE -> float op -> QUANTIZE one integer node, moves values as codes where they are dequantized before,
 * and drops QUANTIZE of DEQUANTIZE. A float bias of a quantized convolution becomes int32, scale input * weights, as
 * in ONNX Runtime's fusion. What has no integer form stays between DEQUANTIZE and QUANTIZE.
 */
export function fuseQuantization(graph: Graph, budget: Budget): Graph {
  const fusion = new Fusion(graph, budget);
  for (const node of graph.nodes) fusion.visit(node);
  return fusion.graph(graph);
}

class Fusion {
  readonly #budget: Budget;
  readonly #tensors: Tensor[];
  readonly #links: Links;
  readonly #nodes: Node[] = [];
  readonly #absorbed = new Set<Node>();
  readonly #alias = new Map<number, number>();
  readonly #inputs: ReadonlySet<number>;

  constructor(graph: Graph, budget: Budget) {
    this.#budget = budget;
    this.#tensors = [...graph.tensors];
    this.#links = new Links(graph);
    this.#inputs = new Set(graph.inputs);
  }

  graph(graph: Graph): Graph {
    return {
      ...graph,
      tensors: this.#tensors,
      nodes: this.#nodes,
      outputs: graph.outputs.map((id) => this.#resolve(id)),
    };
  }

  visit(original: Node): void {
    if (this.#absorbed.has(original)) return;
    const node = { ...original, inputs: original.inputs.map((id) => this.#resolve(id)) } as Node;
    const isDone =
      (node.op === "QUANTIZE" && this.#requantize(node)) ||
      (MOVES.has(node.op) && this.#moveCodes(node)) ||
      (INTEGER.has(node.op) && this.#makeInteger(node));
    if (!isDone) this.#push(node);
  }

  #resolve(id: number): number {
    return this.#alias.get(id) ?? id;
  }

  #push(node: Node): void {
    this.#nodes.push(node);
    for (const id of node.outputs) this.#links.makers.set(id, node);
  }

  /** The codes that a float tensor is the DEQUANTIZE of. */
  #codesOf(id: number): number | undefined {
    const maker = this.#links.makers.get(id);
    return maker?.op === "DEQUANTIZE" ? maker.inputs[0] : undefined;
  }

  #sameCodes(a: number, b: number): boolean {
    const [x, y] = [this.#tensors[a], this.#tensors[b]];
    return (
      x.dtype === y.dtype &&
      !!x.quantization &&
      !!y.quantization &&
      sameQuantization(x.quantization, y.quantization)
    );
  }

  /** QUANTIZE of DEQUANTIZE: nothing, or from codes to codes. */
  #requantize(node: Node): boolean {
    const codes = this.#codesOf(node.inputs[0]);
    const [output] = node.outputs;
    if (codes === undefined) return false;
    const isNamed = this.#links.outputs.has(output);
    const isGiven = this.#inputs.has(codes) || this.#tensors[codes].data !== undefined;
    if (this.#sameCodes(codes, output) && !(isNamed && (isGiven || this.#links.outputs.has(codes)))) {
      this.#alias.set(output, codes);
      if (isNamed) this.#tensors[codes] = { ...this.#tensors[codes], name: this.#tensors[output].name };
      return true;
    }
    if (!isPerTensor(this.#tensors[codes]) || !isPerTensor(this.#tensors[output])) return false;
    this.#push(quantize(node.name, codes, output));
    return true;
  }

  /** DEQUANTIZE after an op that moves values instead of before it. */
  #moveCodes(node: Node): boolean {
    const codes = this.#codesOf(node.inputs[0]);
    if (codes === undefined || !isPerTensor(this.#tensors[codes])) return false;
    const outputs = node.outputs.map((id) => codesLike(this.#tensors, id, codes));
    this.#push({ ...node, inputs: [codes], outputs } as Node);
    node.outputs.forEach((id, i) =>
      this.#push({ op: "DEQUANTIZE", name: node.name, inputs: [outputs[i]], outputs: [id], attributes: {} }),
    );
    return true;
  }

  #makeInteger(node: Node): boolean {
    const [made] = node.outputs;
    const reader = this.#links.soleReader(made);
    if (node.op === "BATCH_MATMUL" && node.attributes.alpha !== undefined) return false;
    if (reader?.op !== "QUANTIZE" || !isFloat(this.#tensors[made])) return false;
    const [output] = reader.outputs;
    const inputs = this.#integerInputs(node);
    if (!inputs || !isPerTensor(this.#tensors[output])) return false;
    this.#absorbed.add(reader);
    if (node.op === "CONCATENATION")
      this.#push({
        ...node,
        inputs: inputs.map((id) => this.#onScaleOf(id, output, node.name)),
        outputs: [output],
      });
    else if (SHARES_SCALE.has(node.op) && !this.#sameCodes(inputs[0], output)) {
      const codes = codesLike(this.#tensors, made, inputs[0]);
      this.#push({ ...node, inputs, outputs: [codes] } as Node);
      this.#push(quantize(node.name, codes, output));
    } else this.#push({ ...node, inputs, outputs: [output] } as Node);
    return true;
  }

  #onScaleOf(id: number, like: number, name: string): number {
    if (this.#sameCodes(id, like)) return id;
    const codes = codesLike(this.#tensors, id, like);
    this.#push(quantize(name, id, codes));
    return codes;
  }

  /** The codes of every operand, or undefined where one is a float that has none. */
  #integerInputs(node: Node): number[] | undefined {
    const isWeighted = WEIGHTED.has(node.op);
    const [x, filter] = node.inputs.map((id) => this.#codesOf(id));
    const inputs = node.inputs.map((id, i) => {
      const codes = this.#codesOf(id);
      if (isWeighted && i === 2 && codes === undefined) return this.#quantizedBias(id, x, filter);
      if (isWeighted && i === 2 && !this.#isScaleOfSums(codes!, x, filter)) return undefined;
      const mayHaveAxis = isWeighted && i > 0;
      return codes !== undefined && (mayHaveAxis || isPerTensor(this.#tensors[codes])) ? codes : undefined;
    });
    return inputs.every((id) => id !== undefined) ? (inputs as number[]) : undefined;
  }

  /** Whether a bias is in units of the products, as far as float32 tells; of another scale it is added as a float. */
  #isScaleOfSums(bias: number, x: number | undefined, filter: number | undefined): boolean {
    const [own, input, weights] = [bias, x, filter].map((id) => this.#tensors[id ?? -1]?.quantization);
    if (!own || !input || !weights) return false;
    const channels = Math.max(own.scale.length, weights.scale.length);
    return Array.from({ length: channels }, (_, c) => c).every((c) => {
      const product = input.scale[0] * weights.scale[weights.scale.length === 1 ? 0 : c];
      return Math.abs(own.scale[own.scale.length === 1 ? 0 : c] / product - 1) < MAX_BIAS_SCALE_ERROR;
    });
  }

  #quantizedBias(id: number, x: number | undefined, filter: number | undefined): number | undefined {
    const { data, dtype, name, shape } = this.#tensors[id];
    if (x === undefined || filter === undefined || dtype !== "float32" || !data) return undefined;
    const [input, weights] = [this.#tensors[x].quantization!, this.#tensors[filter].quantization!];
    this.#budget.spend(8 * (data.length + weights.scale.length));
    const scale = weights.scale.map((s) => s * input.scale[0]);
    const codes = Int32Array.from(data as Float32Array, (value, c) => {
      const code = roundHalfEven(Math.fround(value / scale[scale.length === 1 ? 0 : c]));
      return Math.min(2147483647, Math.max(-2147483648, code));
    });
    const quantization: Quantization = {
      scale,
      zeroPoint: new Int32Array(scale.length),
      ...(scale.length > 1 && { axis: 0 }),
    };
    return this.#tensors.push({ name, shape, dtype: "int32", data: codes, quantization }) - 1;
  }
}
