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

type Row = (graph: Graph, node: Node) => string;

const makerOf = ({ nodes }: Graph, id: number) => nodes.find(({ outputs }) => outputs.includes(id));

/** A float32 convolution without an activation whose image this node alone reads. */
function endsIn(graph: Graph, id: number): boolean {
  const maker = makerOf(graph, id);
  if (!maker || !CONVOLUTIONS.has(maker.op) || graph.outputs.includes(id)) return false;
  const isPlain = (maker.attributes as { activation: string }).activation === "NONE";
  return isPlain && graph.nodes.filter(({ inputs }) => inputs.includes(id)).length === 1;
}

const ROWS: { [Op in OpName]?: Row } = {
  ADD: (graph, { inputs }) => {
    const isOfImages = inputs.every((id) => !graph.tensors[id].data);
    return isOfImages && inputs.some((id) => endsIn(graph, id))
      ? "ONNX Runtime's x86 build adds it to the products of a convolution before it, in an order that is not had here"
      : "";
  },
  BATCH_NORMALIZATION: (graph, { inputs: [x] }) => {
    const maker = makerOf(graph, x);
    return maker && KEEP_BLOCKS.has(maker.op)
      ? "ONNX Runtime's x86 build makes a convolution of it behind others, which is not had here"
      : "";
  },
};

/** Why a node cannot run as the profile's runtime does for what is before it; empty if it can. */
export function refuseJoined(graph: Graph, node: Node, profile: Profile): string {
  const row = ROWS[node.op];
  const isFloat = graph.tensors[node.outputs[0]].dtype === "float32";
  return row && isFloat && isFused(profile.arithmetic.ops.float?.form) ? row(graph, node) : "";
}
