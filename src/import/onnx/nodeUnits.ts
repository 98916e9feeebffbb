/** What ONNX Runtime computes each operator between DequantizeLinear and QuantizeLinear on, by what its optimizer does with the
 * model where int8 codes are not allowed to it: x86 and WebAssembly. */
import type { Integer } from "../../model/graph.ts";
import type { OnnxNode } from "./site.ts";

type Computed = NonNullable<Integer["computedOn"]>;

/** Operators that it fuses, and which of them it fuses on int8 codes.
 * Source: microsoft/onnxruntime 008eeb9, qdq_selector_action_transformer.cc; qdq_selectors.cc of 1.30.0. */
const FUSED: Record<string, { takesInt8: boolean }> = {
  Conv: { takesInt8: false },
  MatMul: { takesInt8: false },
  Gemm: { takesInt8: true },
  Add: { takesInt8: true },
  Mul: { takesInt8: true },
  AveragePool: { takesInt8: true },
  GlobalAveragePool: { takesInt8: true },
  Sigmoid: { takesInt8: true },
  LeakyRelu: { takesInt8: true },
  Softmax: { takesInt8: true },
};
/** Operands that need not have the type of the first: weights and biases. */
const HAS_WEIGHTS = new Set(["Conv", "MatMul", "Gemm"]);
/** Operators that pairs are put behind and before. Source: microsoft/onnxruntime 0532cfb, qdq_propagation.cc. */
const PASSES_ON = new Set(["MaxPool", "Reshape", "Transpose", "Squeeze", "Unsqueeze", "Slice"]);
const CLAMPS = new Set(["Relu", "Clip"]);
const BYTES = new Set(["int8", "uint8"]);

/** What the pass needs to know of the model. */
export interface ModelTypes {
  outputs: ReadonlySet<string>;
  /** The type of an initializer, a constant or an input of the model. */
  typeOf(name: string): string | undefined;
  /** Whether a name is a constant of one element. */
  isScalar(name: string): boolean;
}

/** A node while the optimizer is followed: a copy, or one that it puts in. */
interface Step {
  op: string;
  inputs: string[];
  outputs: string[];
  node?: OnnxNode;
}
interface Edge {
  to: Step;
  at: number;
}

class Optimizer {
  readonly #model: ModelTypes;
  readonly #steps: Step[];
  readonly #makers = new Map<string, Step>();
  readonly #readers = new Map<string, Edge[]>();
  readonly #unsigned = new Set<string>();
  #made = 0;

  constructor(nodes: readonly OnnxNode[], model: ModelTypes) {
    this.#model = model;
    this.#steps = nodes.map((node) => ({
      op: node.domain === "" ? node.op : `${node.domain}:${node.op}`,
      inputs: [...node.inputs],
      outputs: node.outputs,
      node,
    }));
    for (const step of this.#steps) this.#link(step);
  }

  #link(step: Step): void {
    for (const name of step.outputs) this.#makers.set(name, step);
    step.inputs.forEach((name, at) => {
      const known = this.#readers.get(name);
      if (known) known.push({ to: step, at });
      else this.#readers.set(name, [{ to: step, at }]);
    });
  }

  #readersOf(name: string): Edge[] {
    return this.#readers.get(name) ?? [];
  }

  /** The edge reads another value. */
  #move({ to, at }: Edge, name: string): void {
    const from = this.#readersOf(to.inputs[at]);
    from.splice(
      from.findIndex((edge) => edge.to === to && edge.at === at),
      1,
    );
    to.inputs[at] = name;
    const known = this.#readers.get(name);
    if (known) known.push({ to, at });
    else this.#readers.set(name, [{ to, at }]);
  }

  #add(op: string, inputs: string[]): string {
    const output = `#${this.#made++}`;
    const step = { op, inputs, outputs: [output] };
    this.#steps.push(step);
    this.#link(step);
    return output;
  }

  #isOutput(name: string): boolean {
    return this.#model.outputs.has(name);
  }

  /** Each reader of dequantized values gets a node of its own. Source: 0ae9bc1, ensure_unique_dq_for_node_unit.cc. */
  separate(): void {
    for (const { op, inputs, outputs } of [...this.#steps]) {
      if (op !== "DequantizeLinear") continue;
      const edges = [...this.#readersOf(outputs[0])];
      for (const edge of this.#isOutput(outputs[0]) ? edges : edges.slice(1))
        this.#move(edge, this.#add("DequantizeLinear", [...inputs]));
    }
  }

  #hasOneScale({ inputs: [, scale, zeroPoint] }: Step): boolean {
    return this.#model.isScalar(scale) && (!zeroPoint || this.#model.isScalar(zeroPoint));
  }

  /** QuantizeLinear behind a value, and DequantizeLinear before each of its readers. */
  #insertPairs(name: string, edges: Edge[], [, ...ends]: string[]): void {
    const own = [...edges];
    const codes = this.#add("QuantizeLinear", [name, ...ends]);
    for (const edge of own) this.#move(edge, this.#add("DequantizeLinear", [codes, ...ends]));
  }

  /** Pairs behind what moves dequantized values. */
  propagateForward(): void {
    for (const step of [...this.#steps]) {
      const [name] = step.outputs;
      if (step.op !== "DequantizeLinear" || this.#isOutput(name) || !this.#hasOneScale(step)) continue;
      const edges = this.#readersOf(name);
      if (edges.length === 1) this.#passOn(edges[0].to, step.inputs);
    }
  }

  #passOn(first: Step, pair: string[]): void {
    const moving = [first];
    for (let step = moving.pop(); step; step = moving.pop()) {
      const [name] = step.outputs;
      if (!PASSES_ON.has(step.op) || this.#isOutput(name)) continue;
      const edges = this.#readersOf(name).filter(({ to }) => to.op !== "QuantizeLinear");
      if (edges.length === 0) continue;
      const next = edges.map(({ to }) => to);
      this.#insertPairs(name, edges, pair);
      moving.push(...next.reverse());
    }
  }

  /** Pairs before what moves values that are quantized then. */
  propagateBackward(): void {
    for (const step of [...this.#steps]) {
      if (step.op !== "QuantizeLinear" || !this.#hasOneScale(step)) continue;
      let [name] = step.inputs;
      for (;;) {
        const maker = this.#makers.get(name);
        const isAlone = this.#readersOf(name).length === 1 && !this.#isOutput(name);
        if (!maker || !isAlone || !PASSES_ON.has(maker.op)) break;
        const [before] = maker.inputs;
        const source = this.#makers.get(before);
        const edges = this.#readersOf(before);
        if (source?.op === "DequantizeLinear" || edges.length !== 1 || this.#isOutput(before)) break;
        this.#insertPairs(before, edges, step.inputs);
        name = before;
      }
    }
  }

  /** int8 codes with one reader, which dequantizes them, become uint8. Source: 07be093, qdq_s8_to_u8.cc. */
  makeUnsigned(): void {
    for (const { op, inputs, outputs } of this.#steps) {
      const [codes] = outputs;
      if (op !== "QuantizeLinear" || this.#isOutput(codes)) continue;
      const edges = this.#readersOf(codes);
      const isPair = edges.length === 1 && edges[0].to.op === "DequantizeLinear";
      const zeroPoints = [inputs[2] ?? "", edges[0]?.to.inputs[2] ?? ""];
      const areInt8 = zeroPoints.every((name) => this.#model.isScalar(name) && this.#typeOf(name) === "int8");
      if (isPair && areInt8) this.#unsigned.add(codes);
    }
  }

  #typeOf(name: string): string {
    return this.#model.typeOf(name) ?? "uint8";
  }

  #codeType(codes: string, zeroPoint: string | undefined): string {
    if (this.#unsigned.has(codes)) return "uint8";
    return this.#typeOf(zeroPoint || codes);
  }

  /** The quantizing node behind a node, a clamp between them left out. */
  #quantizer({ outputs: [name] }: Step): Step | undefined {
    const alone = (value: string) => {
      const edges = this.#readersOf(value);
      return edges.length === 1 && !this.#isOutput(value) ? edges[0].to : undefined;
    };
    const next = alone(name);
    const last = next && CLAMPS.has(next.op) ? alone(next.outputs[0]) : next;
    return last?.op === "QuantizeLinear" ? last : undefined;
  }

  /** undefined: on uint8 codes, or it is not between the two. */
  computedOn(step: Step): Computed | undefined {
    if (step.op === "QuantizeLinear")
      return this.#codeType(step.outputs[0], step.inputs[2]) === "int8" ? "codes" : undefined;
    const row = Object.hasOwn(FUSED, step.op) ? FUSED[step.op] : undefined;
    const quantizer = row && this.#quantizer(step);
    if (!row || !quantizer) return undefined;
    const operands = step.inputs.filter((name) => name !== "");
    const makers = operands.map((name) => this.#makers.get(name));
    // A bias of real values is quantized. Source: e1cb9ad, weight_bias_quantization.cc.
    const needed = HAS_WEIGHTS.has(step.op) ? makers.slice(0, 2) : makers;
    if (!needed.every((maker) => maker?.op === "DequantizeLinear")) return "float32";
    const types = needed.map((maker) => this.#codeType(maker!.inputs[0], maker!.inputs[2]));
    const own = this.#codeType(quantizer.outputs[0], quantizer.inputs[2]);
    const activations = HAS_WEIGHTS.has(step.op) ? types.slice(0, 1) : types;
    if (activations.some((type) => type !== own) || types.some((type) => !BYTES.has(type))) return "float32";
    if (own !== "int8") return undefined;
    return row.takesInt8 && (step.op !== "Gemm" || types[1] === "int8") ? "codes" : "float32";
  }

  get steps(): readonly Step[] {
    return this.#steps;
  }
}

/** The nodes that are computed otherwise than on uint8 codes. */
export function nodeUnits(nodes: readonly OnnxNode[], model: ModelTypes): Map<OnnxNode, Computed> {
  const optimizer = new Optimizer(nodes, model);
  optimizer.separate();
  optimizer.propagateForward();
  optimizer.propagateBackward();
  optimizer.makeUnsigned();
  return new Map(
    optimizer.steps.flatMap((step) => {
      const computed = step.node && optimizer.computedOn(step);
      return computed ? [[step.node!, computed] as const] : [];
    }),
  );
}
