import type { Graph, Node, Tensor } from "../model/graph.ts";
import { affineOf, floatData } from "./constants.ts";

type Foldable = Extract<Node, { op: "CONV_2D" | "DEPTHWISE_CONV_2D" | "FULLY_CONNECTED" }>;

const isFoldable = (node: Node | undefined): node is Foldable =>
  node?.op === "CONV_2D" || node?.op === "DEPTHWISE_CONV_2D" || node?.op === "FULLY_CONNECTED";

/** The node that `norm` can be folded into. Throws RangeError where there is none. */
function target(graph: Graph, norm: Node): Foldable {
  const [x] = norm.inputs;
  const before = graph.nodes.find((node) => node.outputs[0] === x);
  const readers = graph.nodes.filter((node) => node.inputs.includes(x)).length;
  if (
    isFoldable(before) &&
    before.attributes.activation === "NONE" &&
    readers === 1 &&
    !graph.outputs.includes(x)
  ) {
    return before;
  }
  throw new RangeError(
    `${graph.name}: ${norm.name}: expected a convolution or dense layer before it that nothing else reads`,
  );
}

/** filter times scale of its output channel: the first axis, or the last of a depthwise filter. */
function scaleFilter(data: Float32Array, scale: Float32Array, isDepthwise: boolean): Float32Array {
  const depth = scale.length;
  const window = data.length / depth;
  return data.map((w, i) => w * scale[isDepthwise ? i % depth : Math.floor(i / window)]);
}

/** Drops the tensors that nothing reads and renumbers the rest. */
function compact(graph: Graph): Graph {
  const used = new Set([...graph.inputs, ...graph.outputs]);
  for (const node of graph.nodes) for (const index of [...node.inputs, ...node.outputs]) used.add(index);
  const places = new Map<number, number>([[-1, -1]]);
  const tensors: Tensor[] = [];
  graph.tensors.forEach((tensor, index) => {
    if (used.has(index)) places.set(index, tensors.push(tensor) - 1);
  });
  const move = (indices: number[]) => indices.map((index) => places.get(index)!);
  const nodes = graph.nodes.map((node) => ({
    ...node,
    inputs: move(node.inputs),
    outputs: move(node.outputs),
  }));
  return { ...graph, tensors, nodes, inputs: move(graph.inputs), outputs: move(graph.outputs) };
}

/**
 * The same function without BATCH_NORMALIZATION nodes: each is folded, with its running moments, into the
 * CONV_2D, DEPTHWISE_CONV_2D or FULLY_CONNECTED before it, which takes over its activation and its output tensor.
 * The graph itself is left as it is. Throws RangeError where a normalization has no such node before it.
 */
export function foldBatchNorm(graph: Graph): Graph {
  const tensors = [...graph.tensors];
  const replaced = new Map<Node, Node>();
  for (const norm of graph.nodes) {
    if (norm.op !== "BATCH_NORMALIZATION") continue;
    const node = target(graph, norm);
    const { scale, shift } = affineOf(graph, norm);
    const [x, filter, bias] = node.inputs;
    const scaled = scaleFilter(floatData(graph, filter), scale, node.op === "DEPTHWISE_CONV_2D");
    const before = bias >= 0 ? floatData(graph, bias) : new Float32Array(scale.length);
    const shifted = shift.map((value, channel) => value + before[channel] * scale[channel]);
    const name = bias >= 0 ? graph.tensors[bias].name : `${node.name}/bias`;
    const inputs = [
      x,
      tensors.push({ ...graph.tensors[filter], data: scaled }) - 1,
      tensors.push({ name, shape: [scale.length], dtype: "float32", data: shifted }) - 1,
    ];
    const attributes = { ...node.attributes, activation: norm.attributes.activation };
    replaced.set(node, { ...node, inputs, outputs: [...norm.outputs], attributes } as Node);
  }
  const nodes = graph.nodes
    .filter((node) => node.op !== "BATCH_NORMALIZATION")
    .map((node) => replaced.get(node) ?? node);
  return compact({ ...graph, tensors, nodes });
}
