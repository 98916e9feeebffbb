import type { Graph, Node, OpName } from "../../model/graph.ts";
import type { Budget } from "./budget.ts";

/** Who makes and who reads each tensor of a Graph. */
export class Links {
  readonly makers = new Map<number, Node>();
  readonly readers = new Map<number, Node[]>();
  readonly outputs: ReadonlySet<number>;

  constructor(graph: Graph) {
    this.outputs = new Set(graph.outputs);
    for (const node of graph.nodes) this.link(node);
  }

  link(node: Node): void {
    for (const id of node.outputs) this.makers.set(id, node);
    for (const id of node.inputs) {
      const known = this.readers.get(id);
      if (known) known.push(node);
      else this.readers.set(id, [node]);
    }
  }

  /** The one node that reads a tensor which is no output of the Graph. */
  soleReader(id: number): Node | undefined {
    const readers = this.readers.get(id);
    return !this.outputs.has(id) && readers?.length === 1 ? readers[0] : undefined;
  }
}

const FUSES_ACTIVATION: ReadonlySet<OpName> = new Set([
  "CONV_2D",
  "DEPTHWISE_CONV_2D",
  "FULLY_CONNECTED",
  "TRANSPOSE_CONV",
  "ADD",
  "SUB",
  "MUL",
  "BATCH_NORMALIZATION",
]);
const ACTIVATIONS: ReadonlySet<OpName> = new Set(["RELU", "RELU6", "RELU_N1_TO_1"]);

/** A RELU, RELU6 or RELU_N1_TO_1 that alone reads a node becomes that node's activation, as in TFLite. */
export function fuseActivations(graph: Graph): Graph {
  const links = new Links(graph);
  const dropped = new Set<Node>();
  for (const node of graph.nodes) {
    const maker = links.makers.get(node.inputs[0]);
    if (!ACTIVATIONS.has(node.op) || !maker || !FUSES_ACTIVATION.has(maker.op)) continue;
    const attributes = maker.attributes as { activation: string };
    if (attributes.activation !== "NONE" || links.soleReader(node.inputs[0]) !== node) continue;
    attributes.activation = node.op;
    maker.outputs = node.outputs;
    links.makers.set(node.outputs[0], maker);
    dropped.add(node);
  }
  return { ...graph, nodes: graph.nodes.filter((node) => !dropped.has(node)) };
}

const HAS_BIAS: ReadonlySet<OpName> = new Set(["CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED"]);

/** An ADD of one float constant a channel that alone reads a node without bias becomes its bias. */
export function fuseBiases(graph: Graph): Graph {
  const links = new Links(graph);
  const dropped = new Set<Node>();
  for (const node of graph.nodes) {
    if (node.op !== "ADD") continue;
    const at = node.inputs.findIndex((id) => graph.tensors[id].data !== undefined);
    if (at < 0) continue;
    const [bias, x] = [node.inputs[at], node.inputs[1 - at]];
    const maker = links.makers.get(x);
    const channels = graph.tensors[x].shape.at(-1);
    const { dtype, shape, data } = graph.tensors[bias];
    const fits = dtype === "float32" && shape.length === 1 && data?.length === channels;
    if (!maker || !HAS_BIAS.has(maker.op) || maker.inputs.length !== 2 || !fits) continue;
    const own = maker.attributes as { activation: string };
    if (own.activation !== "NONE" || links.soleReader(x) !== node) continue;
    own.activation = node.attributes.activation;
    maker.inputs = [...maker.inputs, bias];
    maker.outputs = node.outputs;
    links.makers.set(node.outputs[0], maker);
    dropped.add(node);
  }
  return { ...graph, nodes: graph.nodes.filter((node) => !dropped.has(node)) };
}

/**
 * A FULLY_CONNECTED that reads the channels-first flattening of an NHWC image reads the image itself, its weights'
 * columns moved instead: the same integer sum in another order.
 */
export function absorbFlattening(graph: Graph, budget: Budget): Graph {
  const links = new Links(graph);
  const tensors = [...graph.tensors];
  const nodes = graph.nodes.map((node): Node => {
    // A float sum keeps its order.
    if (node.op !== "FULLY_CONNECTED" || node.attributes.computedOn === "float32") return node;
    const flatten = links.makers.get(node.inputs[0]);
    const transpose = flatten?.op === "RESHAPE" ? links.makers.get(flatten.inputs[0]) : undefined;
    const filter = tensors[node.inputs[1]];
    const alone = flatten && links.soleReader(node.inputs[0]) === node;
    if (transpose?.op !== "TRANSPOSE" || !filter.data || !alone) return node;
    if (graph.tensors[flatten!.outputs[0]].shape.length !== 2 || filter.dtype === "int4") return node;
    // Sums of floats depend on their order.
    if (filter.dtype === "float32" || filter.quantization?.axis === 1) return node;
    budget.spend(filter.data.byteLength);
    const { permutation } = transpose.attributes;
    const image = graph.tensors[transpose.inputs[0]].shape;
    const data = movedColumns(filter.data, filter.shape[0], image, permutation);
    const input =
      tensors.push({ ...tensors[node.inputs[0]], name: `${tensors[node.inputs[0]].name}/image` }) - 1;
    const weights = tensors.push({ ...filter, data }) - 1;
    flatten!.inputs = [transpose.inputs[0]];
    flatten!.outputs = [input];
    return { ...node, inputs: [input, weights, ...node.inputs.slice(2)] };
  });
  return { ...graph, tensors, nodes };
}

/** Rows of weights for transpose(image, permutation), flattened, as rows for the image, flattened. */
function movedColumns<T extends NonNullable<Graph["tensors"][number]["data"]>>(
  data: T,
  rows: number,
  image: readonly number[],
  permutation: readonly number[],
): T {
  const columns = data.length / rows;
  const place = new Int32Array(columns);
  const strides = new Array<number>(image.length).fill(1);
  for (let d = permutation.length - 2; d >= 1; d--)
    strides[permutation[d]] = strides[permutation[d + 1]] * image[permutation[d + 1]];
  for (let i = 0; i < columns; i++) {
    let [rest, from] = [i, 0];
    for (let d = image.length - 1; d >= 1; d--) {
      from += (rest % image[d]) * strides[d];
      rest = Math.floor(rest / image[d]);
    }
    place[i] = from;
  }
  const moved = data.slice() as T;
  for (let r = 0; r < rows; r++)
    for (let i = 0; i < columns; i++) moved[r * columns + i] = data[r * columns + place[i]];
  return moved;
}

/** Without the nodes and tensors that no output needs. */
export function pruned(graph: Graph): Graph {
  const needed = new Set(graph.outputs);
  const live = graph.nodes
    .toReversed()
    .filter((node) => {
      if (!node.outputs.some((id) => needed.has(id))) return false;
      for (const id of node.inputs) needed.add(id);
      return true;
    })
    .reverse();
  for (const id of graph.inputs) needed.add(id);
  for (const node of live) for (const id of node.outputs) needed.add(id);
  const kept = [...needed].filter((id) => id >= 0).sort((a, b) => a - b);
  const places = new Map(kept.map((id, i) => [id, i]));
  const moved = (ids: readonly number[]) => ids.map((id) => places.get(id) ?? -1);
  return {
    ...graph,
    tensors: kept.map((id) => graph.tensors[id]),
    nodes: live.map((node) => ({ ...node, inputs: moved(node.inputs), outputs: moved(node.outputs) })),
    inputs: moved(graph.inputs),
    outputs: moved(graph.outputs),
  };
}
