/** What ONNX Runtime's x86 build computes in float32 in an order that is not had here, or that a Graph does not tell.
 * Source: onnxruntime-node 1.30.0, executed. */
import { isFused } from "../../kernels/float/forms.ts";
import type { Profile } from "../../profile/schema.ts";
import type { Graph, Node, OpName } from "../graph.ts";
import { only, type Site } from "../site.ts";
import type { Weighted } from "./dynamic.ts";

export type Summed = Weighted | "TRANSPOSE_CONV";

type Reason = [what: string, isMet: (site: Site<Summed>) => boolean];

const OF_ONE_ROW: Reason = [
  "sums rows in another order than images of one row, which a Graph does not tell apart",
  ({ inputs: [x, filter] }) => x.shape[1] === 1 && filter.shape[1] === 1,
];
const SUMMED: Record<Summed, Reason> = {
  CONV_2D: OF_ONE_ROW,
  DEPTHWISE_CONV_2D: OF_ONE_ROW,
  FULLY_CONNECTED: [
    "multiplies by blocks of codes as integers",
    ({ attributes }) => "unpacked" in attributes,
  ],
  TRANSPOSE_CONV: [
    "sums an image of one pixel in eight parts",
    ({ inputs: [x] }) => x.shape[1] * x.shape[2] === 1,
  ],
};

/** Why a sum of products cannot run; empty if it can. */
export function refuseOnX86(site: Site<Summed>, op: Summed): string {
  if (!isFused(site.profile.arithmetic.ops.float?.form) || site.dequantized) return "";
  const [what, isMet] = SUMMED[op];
  return only(`ONNX Runtime's x86 build ${what}`, !isMet(site));
}

const CONVOLUTIONS: ReadonlySet<OpName> = new Set(["CONV_2D", "DEPTHWISE_CONV_2D"]);
/** Ops whose image it gives on in blocks. Source: microsoft/onnxruntime 0ef8ce5, nchwc_transformer.cc. */
const KEEP_BLOCKS: ReadonlySet<OpName> = new Set([
  ...CONVOLUTIONS,
  "AVERAGE_POOL_2D",
  "MAX_POOL_2D",
  "MEAN",
  "ADD",
  "MUL",
  "CONCATENATION",
  "RELU",
  "LOGISTIC",
  "TANH",
  "RESIZE_NEAREST_NEIGHBOR",
  "BATCH_NORMALIZATION",
]);

/** What is before and behind the tensors of a graph. */
interface Links {
  graph: Graph;
  makers: ReadonlyMap<number, Node>;
  /** How many nodes read it; of a graph's output one more. */
  readers: ReadonlyMap<number, number>;
}

type Row = (links: Links, node: Node) => string;

function linksOf(graph: Graph): Links {
  const makers = new Map(graph.nodes.flatMap((node) => node.outputs.map((id) => [id, node] as const)));
  const readers = new Map<number, number>();
  for (const { inputs } of [...graph.nodes, { inputs: graph.outputs }])
    for (const id of new Set(inputs)) readers.set(id, (readers.get(id) ?? 0) + 1);
  return { graph, makers, readers };
}

/** A float32 convolution without an activation whose image this node alone reads. */
function endsIn({ makers, readers }: Links, id: number): boolean {
  const maker = makers.get(id);
  if (!maker || !CONVOLUTIONS.has(maker.op)) return false;
  return (maker.attributes as { activation: string }).activation === "NONE" && readers.get(id) === 1;
}

const ROWS: { [Op in OpName]?: Row } = {
  ADD: (links, { inputs }) => {
    const isOfImages = inputs.every((id) => !links.graph.tensors[id].data);
    return isOfImages && inputs.some((id) => endsIn(links, id))
      ? "ONNX Runtime's x86 build adds it to the products of a convolution before it, in an order that is not had here"
      : "";
  },
  BATCH_NORMALIZATION: ({ makers }, { inputs: [x] }) => {
    const maker = makers.get(x);
    return maker && KEEP_BLOCKS.has(maker.op)
      ? "ONNX Runtime's x86 build makes a convolution of it behind others, which is not had here"
      : "";
  },
};

/** Says why a node of the graph cannot run as the profile's runtime does for what is before it; empty if it can. */
export function joinedRefusals(graph: Graph, profile: Profile): (node: Node) => string {
  if (!isFused(profile.arithmetic.ops.float?.form)) return () => "";
  const links = linksOf(graph);
  return (node) => {
    const row = ROWS[node.op];
    return row && graph.tensors[node.outputs[0]].dtype === "float32" ? row(links, node) : "";
  };
}
