/** Latency of one image by what a profile knows of its device. */
import type { Profile } from "../profile/schema.ts";
import { ethosCycles } from "./estimateEthosU.ts";
import { elements, type Graph, type Node, type OpName } from "./graph.ts";

type Compute = Profile["compute"];
type Instructions = NonNullable<Compute["instructions"]>;
type Figure = { value: number };

const FILTER_AXIS: Partial<Record<OpName, number>> = { CONV_2D: 0, DEPTHWISE_CONV_2D: 3, FULLY_CONNECTED: 0 };

/**
 * Multiply-accumulates of one image: every output value reads one output channel's share of the filter, every input pixel
 * of a TRANSPOSE_CONV all of it, every output of a BATCH_MATMUL a row of x.
 */
export function macsOf(graph: Graph, node: Node): number {
  if (node.op === "BATCH_MATMUL")
    return outputsOf(graph, node) * graph.tensors[node.inputs[0]].shape.at(node.attributes.adjX ? -2 : -1)!;
  if (node.op === "TRANSPOSE_CONV") {
    const [x, filter] = node.inputs.map((id) => graph.tensors[id].shape);
    return x[1] * x[2] * elements(filter);
  }
  const axis = FILTER_AXIS[node.op];
  if (axis === undefined) return 0;
  const filter = graph.tensors[node.inputs[1]].shape;
  return outputsOf(graph, node) * (elements(filter) / filter[axis]);
}

/** Nobody counted these: their products are taken to cost what others' do. */
const COUNTED_AS = { TRANSPOSE_CONV: "CONV_2D", BATCH_MATMUL: "FULLY_CONNECTED" } as const;
type Uncounted = keyof typeof COUNTED_AS;

const countedAs = <Op extends OpName>(op: Op) =>
  (COUNTED_AS[op as Uncounted] ?? op) as Exclude<Op, Uncounted> | (typeof COUNTED_AS)[Uncounted];

const outputsOf = (graph: Graph, node: Node) => elements(graph.tensors[node.outputs[0]].shape.slice(1));
const bitsOf = (graph: Graph, node: Node) =>
  graph.tensors[node.inputs[1]].dtype === "int4" ? ("int4" as const) : ("int8" as const);

/** Values that a convolution gathers: the window of each output pixel, once. */
function gatheredOf(graph: Graph, node: Node): number {
  if (node.op !== "CONV_2D") return 0;
  const [, height, width] = graph.tensors[node.outputs[0]].shape;
  const [, ...window] = graph.tensors[node.inputs[1]].shape;
  return height * width * elements(window);
}

/** Values that a pool reads. */
function readOf(graph: Graph, node: Node): number {
  if (node.op === "AVERAGE_POOL_2D" || node.op === "MAX_POOL_2D")
    return outputsOf(graph, node) * node.attributes.filterHeight * node.attributes.filterWidth;
  return elements(graph.tensors[node.inputs[0]].shape.slice(1));
}

/** Instructions of one node; ops that nobody counted are taken as a multiplication a value. */
function instructionsOf(graph: Graph, node: Node, counted: Instructions): number {
  switch (node.op) {
    case "TRANSPOSE_CONV":
    case "BATCH_MATMUL":
    case "CONV_2D":
    case "DEPTHWISE_CONV_2D":
    case "FULLY_CONNECTED": {
      const { perMac, perOutput, perGathered } = counted[countedAs(node.op)][bitsOf(graph, node)];
      const work = perMac * macsOf(graph, node) + perOutput * outputsOf(graph, node);
      return work + perGathered * gatheredOf(graph, node);
    }
    case "AVERAGE_POOL_2D":
    case "MEAN":
      return readOf(graph, node) * counted.AVERAGE_POOL_2D.value;
    case "MAX_POOL_2D":
      return readOf(graph, node) * counted.MAX_POOL_2D.value;
    case "SOFTMAX":
      return outputsOf(graph, node) * counted.SOFTMAX.value;
    case "ADD":
    case "SUB":
      return outputsOf(graph, node) * counted.ADD.value;
    case "RESHAPE":
      return 0;
    default:
      return outputsOf(graph, node) * counted.MUL.value;
  }
}

/** Cycles of one node by rates; null where the profile has none for it. */
function rateCycles(graph: Graph, node: Node, { macsPerCycle, cyclesPerElement }: Compute): number | null {
  if (!macsPerCycle) return null;
  const op = countedAs(node.op);
  if (FILTER_AXIS[op] === undefined)
    return cyclesPerElement ? outputsOf(graph, node) * cyclesPerElement.value : 0;
  const rates = macsPerCycle[op as keyof NonNullable<Compute["macsPerCycle"]>];
  const rate: Figure | undefined = rates?.[bitsOf(graph, node)];
  return rate ? macsOf(graph, node) / rate.value : null;
}

function cyclesOf(graph: Graph, node: Node, compute: Compute): number | null {
  const { ethosU, instructions } = compute;
  if (ethosU) return ethosCycles(graph, node, ethosU);
  if (instructions)
    return instructionsOf(graph, node, instructions) * instructions.cyclesPerInstruction.value;
  return rateCycles(graph, node, compute);
}

/** Rates and counts are of integer products. */
const hasFloatProducts = (graph: Graph, node: Node) =>
  graph.tensors[node.inputs[0]].dtype === "float32" && macsOf(graph, node) > 0;

/** Milliseconds of one image, with the confidence of the least known figure; null where the profile has too few figures. */
export function estimateLatency(
  graph: Graph,
  { compute }: Pick<Profile, "compute">,
): { milliseconds: number; confidence: string } | null {
  if (!compute.clockHz || graph.nodes.some((node) => hasFloatProducts(graph, node))) return null;
  let cycles = 0;
  for (const node of graph.nodes) {
    const own = cyclesOf(graph, node, compute);
    if (own === null) return null;
    cycles += own;
  }
  const { ethosU, instructions, cyclesPerElement, macsPerCycle } = compute;
  const { confidence } =
    ethosU ?? instructions?.cyclesPerInstruction ?? cyclesPerElement ?? macsPerCycle!.CONV_2D.int8;
  return { milliseconds: Math.round((cycles / compute.clockHz.value) * 1e6) / 1e3, confidence };
}
