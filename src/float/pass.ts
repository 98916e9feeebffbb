import type * as tf from "@tensorflow/tfjs-core";
import type { Graph, Node } from "../model/graph.ts";
import { ACTIVATIONS } from "./kernels.ts";
import { activationOf, type Call, OPERATORS, type Operator } from "./operators.ts";
import { run } from "./register.ts";

/** What one pass over one batch works on. */
export interface PassOptions {
  graph: Graph;
  batches: number;
  training: boolean;
  /** Constants as the operators want them, by tensor index. */
  constants: ReadonlyMap<number, tf.Tensor>;
  /** Constants whose gradient is asked for, by tensor index. */
  trained: ReadonlySet<number>;
  /** Whether the gradient to the graph's input is asked for. */
  inputGradient: boolean;
}

/** Where a backward pass finds values, and what of a gradient passes a node's clamp. */
export interface Source {
  value(index: number): tf.Tensor;
  /** dy itself, or a new tensor. */
  gate(node: Node, dy: tf.Tensor): tf.Tensor;
  saved(node: Node): tf.Tensor[];
}

/** One tensor a tensor index. */
class Slots {
  #tensors = new Map<number, tf.Tensor>();

  get(index: number): tf.Tensor | undefined {
    return this.#tensors.get(index);
  }

  set(index: number, tensor: tf.Tensor): void {
    this.#tensors.set(index, tensor);
  }

  take(index: number): tf.Tensor | undefined {
    const tensor = this.#tensors.get(index);
    this.#tensors.delete(index);
    return tensor;
  }

  dispose(index: number): void {
    this.take(index)?.dispose();
  }
}

const shapeOf = (graph: Graph, index: number, batches: number) => {
  const { shape, data } = graph.tensors[index];
  return data ? shape : [batches, ...shape.slice(1)];
};

/** Tensors through which a gradient that is asked for flows. */
function activeTensors({ graph, trained, inputGradient }: PassOptions): Set<number> {
  const active = new Set<number>(trained);
  if (inputGradient) for (const index of graph.inputs) active.add(index);
  for (const node of graph.nodes) {
    if (node.inputs.some((index) => active.has(index))) active.add(node.outputs[0]);
  }
  return active;
}

function makeCall(
  options: PassOptions,
  node: Node,
  value: (index: number) => tf.Tensor,
  saved: tf.Tensor[],
  gradients?: { active: ReadonlySet<number>; addend(index: number): tf.Tensor | undefined },
): Call {
  const { graph, batches, training, constants } = options;
  const operand = (position: number) => node.inputs[position] ?? -1;
  const input = (position: number) => constants.get(operand(position)) ?? value(operand(position));
  return {
    node,
    attributes: node.attributes,
    batches,
    training,
    inputShape: (position) => shapeOf(graph, operand(position), batches),
    outputShape: shapeOf(graph, node.outputs[0], batches),
    input,
    optional: (position) => (operand(position) < 0 ? undefined : input(position)),
    output: () => value(node.outputs[0]),
    wants: (position) => gradients?.active.has(operand(position)) ?? false,
    addend: (position) => gradients?.addend(operand(position)),
    saved,
  };
}

/** A forward pass that keeps what a backward pass needs. Its tensors live until the enclosing tf.tidy ends, or dispose. */
export class ForwardPass implements Source {
  readonly options: PassOptions;
  #values = new Slots();
  #saved = new Map<Node, tf.Tensor[]>();

  constructor(options: PassOptions) {
    this.options = options;
  }

  value(index: number): tf.Tensor {
    const tensor = this.#values.get(index);
    if (!tensor) throw new RangeError(`tensor ${index}: expected a value in this pass, there is none`);
    return tensor;
  }

  saved(node: Node): tf.Tensor[] {
    return this.#saved.get(node) ?? [];
  }

  gate(node: Node, dy: tf.Tensor): tf.Tensor {
    const activation = ACTIVATIONS.indexOf(activationOf(node));
    if (activation === 0) return dy;
    return run("GATE", { dy, y: this.value(node.outputs[0]) }, { activation });
  }

  /** Runs all nodes and returns the output. keep: indices that stay; absent, all stay. */
  run(input: tf.Tensor, keep?: ReadonlySet<number>): tf.Tensor {
    const { graph } = this.options;
    this.#values.set(graph.inputs[0], input);
    const lastReader = new Map<number, Node>();
    for (const node of graph.nodes) for (const index of node.inputs) lastReader.set(index, node);
    for (const node of graph.nodes) {
      const saved: tf.Tensor[] = [];
      const call = makeCall(this.options, node, (index) => this.value(index), saved);
      const row = OPERATORS[node.op] as Operator;
      this.#values.set(node.outputs[0], row.forward(call));
      this.#saved.set(node, saved);
      if (!keep) continue;
      for (const index of node.inputs) {
        if (lastReader.get(index) === node && !keep.has(index)) this.release(index);
      }
    }
    return this.value(graph.outputs[0]);
  }

  release(index: number): void {
    this.#values.dispose(index);
  }

  releaseNode(node: Node): void {
    this.release(node.outputs[0]);
    for (const tensor of this.saved(node)) tensor.dispose();
    this.#saved.delete(node);
  }
}

/**
 * From the gradient of the output to those of the input and of trained constants, in reverse node order.
 * done: called when nothing asks for a node's values any more. Takes ownership of dOutput.
 */
export function backwardPass(
  options: PassOptions,
  source: Source,
  dOutput: tf.Tensor,
  done: (node: Node) => void = () => {},
): { input: tf.Tensor | undefined; constants: Map<number, tf.Tensor> } {
  const { graph } = options;
  const active = activeTensors(options);
  const slots = new Slots();
  const constants = new Map<number, tf.Tensor>();
  slots.set(graph.outputs[0], dOutput);
  for (const node of graph.nodes.toReversed()) {
    const arriving = slots.take(node.outputs[0]);
    if (!arriving) continue;
    const row = OPERATORS[node.op] as Operator;
    const dy = row.gatesItself && options.training ? arriving : source.gate(node, arriving);
    if (dy !== arriving) arriving.dispose();
    const addends: tf.Tensor[] = [];
    const addend = (index: number) => {
      const tensor = slots.take(index);
      if (tensor) addends.push(tensor);
      return tensor;
    };
    const call = makeCall(options, node, (index) => source.value(index), source.saved(node), {
      active,
      addend,
    });
    const gradients = row.gradient(call, dy);
    gradients.forEach((gradient, position) => {
      const index = node.inputs[position];
      if (!gradient) return;
      if (!active.has(index)) gradient.dispose();
      else if (options.constants.has(index)) store(constants, index, gradient);
      else store(slots, index, gradient);
    });
    dy.dispose();
    for (const tensor of addends) tensor.dispose();
    done(node);
  }
  return { input: slots.take(graph.inputs[0]), constants };
}

/** Adds where a node reads one tensor twice. */
function store(slots: Slots | Map<number, tf.Tensor>, index: number, gradient: tf.Tensor): void {
  const earlier = slots.get(index);
  slots.set(index, earlier ? run("ADD", { a: earlier, b: gradient }, { activation: 0 }) : gradient);
}
