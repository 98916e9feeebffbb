/** ONNX Runtime's FusedConv: a float32 convolution whose sums start from the image that an ADD would add to it. */
import type { Profile } from "../../profile/schema.ts";
import type { Graph, Node } from "../graph.ts";
import { hasForm } from "./site.ts";

type Convolution = Extract<Node, { op: "CONV_2D" | "DEPTHWISE_CONV_2D" }>;
type Add = Extract<Node, { op: "ADD" }>;

const isConvolution = (node: Node): node is Convolution =>
  node.op === "CONV_2D" || node.op === "DEPTHWISE_CONV_2D";

/** How often each tensor is read; a graph's output once more. */
function readsOf(graph: Graph): Map<number, number> {
  const reads = new Map<number, number>();
  for (const id of [...graph.nodes.flatMap(({ inputs }) => inputs), ...graph.outputs])
    reads.set(id, (reads.get(id) ?? 0) + 1);
  return reads;
}

/**
 * An ADD of two float32 images of the same shape becomes the convolution, with a bias and without an activation, that it
 * alone reads; of two that which is first in the file. The other image is the last of its inputs. A convolution whose output
 * is kept stays too.
 * Source: ONNX Runtime 1.30.0, conv_add_act_fusion.cc, ConvAddActivationSelector; conv.cc, Sum.
 */
export function fuseResiduals(graph: Graph, profile: Profile, keep: readonly number[] | "all" = []): Graph {
  if (!hasForm({ profile }, "onnxruntime")) return graph;
  const reads = readsOf(graph);
  const isFloat = (id: number) => graph.tensors[id].dtype === "float32";
  const fits = (node: Node): node is Convolution =>
    isConvolution(node) &&
    node.attributes.activation === "NONE" &&
    node.inputs.length === 3 &&
    node.inputs.every((id) => id >= 0 && isFloat(id)) &&
    reads.get(node.outputs[0]) === 1;
  const candidates = new Map(graph.nodes.filter(fits).map((node, i) => [node.outputs[0], { node, i }]));
  const absorbed = new Set<Node>();
  const fused = (add: Add): Node => {
    const [a, b] = add.inputs.map((id) => graph.tensors[id]);
    const own = add.inputs.flatMap((id) => candidates.get(id) ?? []);
    const convolution = own.sort((one, other) => one.i - other.i)[0]?.node;
    if (!convolution || !isFloat(add.outputs[0]) || a.shape.join() !== b.shape.join()) return add;
    absorbed.add(convolution);
    const [addend] = add.inputs.filter((id) => id !== convolution.outputs[0]);
    const attributes = { ...convolution.attributes, activation: add.attributes.activation };
    return {
      ...convolution,
      attributes,
      inputs: [...convolution.inputs, addend],
      outputs: add.outputs,
    } as Node;
  };
  const nodes = graph.nodes.map((node) => (node.op === "ADD" ? fused(node) : node));
  const kept = keep === "all" ? absorbed : new Set(nodes.filter(({ outputs: [id] }) => keep.includes(id)));
  return { ...graph, nodes: nodes.filter((node) => !absorbed.has(node) || kept.has(node)) };
}
