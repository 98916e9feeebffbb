import type { Profile } from "../profile/schema.ts";
import { elements, type Graph, type Node, type OpName } from "./graph.ts";

/** Multiply-accumulates of one image: every output value reads one output channel's share of the filter. */
export function macsOf(graph: Graph, node: Node): number {
  const axis = ({ CONV_2D: 0, DEPTHWISE_CONV_2D: 3, FULLY_CONNECTED: 0 } as Partial<Record<OpName, number>>)[
    node.op
  ];
  if (axis === undefined) return 0;
  const filter = graph.tensors[node.inputs[1]].shape;
  return elements(graph.tensors[node.outputs[0]].shape.slice(1)) * (elements(filter) / filter[axis]);
}

/** Milliseconds of one image by the profile's rates, with the confidence of the least known figure. */
export function estimateLatency(
  graph: Graph,
  profile: Profile,
): { milliseconds: number; confidence: string } {
  const { clockHz, macsPerCycle, cyclesPerElement } = profile.compute;
  let cycles = 0;
  for (const node of graph.nodes) {
    const rates = macsPerCycle[node.op as keyof typeof macsPerCycle];
    if (!rates) cycles += elements(graph.tensors[node.outputs[0]].shape.slice(1)) * cyclesPerElement.value;
    else
      cycles +=
        macsOf(graph, node) / rates[graph.tensors[node.inputs[1]].dtype === "int4" ? "int4" : "int8"].value;
  }
  const milliseconds = Math.round((cycles / clockHz.value) * 1e6) / 1e3;
  return { milliseconds, confidence: cyclesPerElement.confidence };
}
