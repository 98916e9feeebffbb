/** Where an image classifier takes its pixels, and where its scores and features are. */
import { ModelFormatError } from "../errors.ts";
import { elements, type Graph, type Node } from "./graph.ts";
import { type Convention, imageInput, imageInputAs } from "./imageInput.ts";

/** The layer that makes scores of features. */
export interface Head {
  /** Index of the node: a FULLY_CONNECTED, or a 1x1 CONV_2D on one position. */
  node: number;
  /** The tensor that it reads, and how many values of it an image has. */
  features: number;
  depth: number;
}

export interface Classifier {
  classes: number;
  height: number;
  width: number;
  channels: number;
  /** The input tensor's value of each pixel value, 256 entries, and in words. */
  values: number[];
  convention: string;
  rule: string;
  /** What the model takes a pixel for: real = factor * pixel + offset. */
  factor: number;
  offset: number;
  /** The tensor of the scores before SOFTMAX or LOG_SOFTMAX. */
  logits: number;
  /** Whether the model's output is a SOFTMAX or LOG_SOFTMAX of them. */
  normalized: boolean;
  /** Null where the logits come from no single linear layer. */
  head: Head | null;
}

/** What passes scores on without deciding anything. */
const PASSES: ReadonlySet<string> = new Set(["RESHAPE", "QUANTIZE", "DEQUANTIZE"]);
const NORMALIZES: ReadonlySet<string> = new Set(["SOFTMAX", "LOG_SOFTMAX"]);

/**
 * where: the model's name for messages. taken: what the model takes a pixel for, where that is known; else its input scale tells.
 * @throws ModelFormatError for a model that has not one NHWC image input of 1 or 3 channels and one output of scores, or whose
 * input scale tells no range of pixels.
 */
export function classifierOf(graph: Graph, where: string, taken?: Convention): Classifier {
  const input = graph.tensors[graph.inputs[0]];
  const [, height, width, channels] = input.shape;
  const shapes = (ids: readonly number[]) =>
    ids.map((id) => graph.tensors[id].shape.slice(1).join("x")).join(" and ");
  if (graph.inputs.length !== 1 || input.shape.length !== 4 || (channels !== 1 && channels !== 3))
    throw new ModelFormatError(where, "one image input of 1 or 3 channels", shapes(graph.inputs));
  const classes = elements(graph.tensors[graph.outputs[0]].shape.slice(1));
  if (graph.outputs.length !== 1 || classes < 2 || classes > 256)
    throw new ModelFormatError(where, "one output of 2 to 256 scores", shapes(graph.outputs));
  const image = taken ? imageInputAs(input, taken) : imageInput(input);
  if (!image) {
    const { scale, zeroPoint } = input.quantization ?? { scale: ["none"], zeroPoint: ["none"] };
    throw new ModelFormatError(
      where,
      "an input scale of pixels as 0..1, 0..255 or -1..1",
      `${input.dtype}, scale ${scale[0]}, zero point ${zeroPoint[0]}`,
    );
  }
  const { scale, zeroPoint } = input.quantization ?? { scale: [1], zeroPoint: [0] };
  const real = (pixel: number) => scale[0] * (image.values[pixel] - zeroPoint[0]);
  const { logits, normalized } = logitsOf(graph);
  return {
    ...{ classes, height, width, channels, logits, normalized },
    ...{ values: image.values, convention: image.convention, rule: image.rule },
    factor: (real(255) - real(0)) / 255,
    offset: real(0),
    head: headOf(graph, logits, classes),
  };
}

const producerOf = (graph: Graph, tensor: number) =>
  graph.nodes.findIndex(({ outputs }) => outputs.includes(tensor));

function logitsOf(graph: Graph): Pick<Classifier, "logits" | "normalized"> {
  let at = graph.outputs[0];
  for (let node = graph.nodes[producerOf(graph, at)]; node; node = graph.nodes[producerOf(graph, at)]) {
    if (NORMALIZES.has(node.op)) return { logits: node.inputs[0], normalized: true };
    if (!PASSES.has(node.op)) break;
    at = node.inputs[0];
  }
  return { logits: graph.outputs[0], normalized: false };
}

function headOf(graph: Graph, logits: number, classes: number): Head | null {
  let index = producerOf(graph, logits);
  while (index >= 0 && PASSES.has(graph.nodes[index].op))
    index = producerOf(graph, graph.nodes[index].inputs[0]);
  const node = graph.nodes[index];
  if (!node || !isLinear(graph, node, classes)) return null;
  const [features] = node.inputs;
  return { node: index, features, depth: elements(graph.tensors[features].shape.slice(1)) };
}

function isLinear(graph: Graph, node: Node, classes: number): boolean {
  const activation = (node.attributes as { activation?: string }).activation ?? "NONE";
  const filter = graph.tensors[node.inputs[1]];
  if (activation !== "NONE" || !filter?.data || filter.shape[0] !== classes) return false;
  if (node.op === "FULLY_CONNECTED") return true;
  const depth = graph.tensors[node.inputs[0]].shape.at(-1)!;
  return (
    node.op === "CONV_2D" &&
    elements(filter.shape.slice(1)) === depth &&
    elements(graph.tensors[node.inputs[0]].shape.slice(1)) === depth
  );
}

/** The graph up to its logits: what comes after them is cut off. */
export function cutAtLogits(graph: Graph, logits: number): Graph {
  const last = producerOf(graph, logits);
  return { ...graph, nodes: graph.nodes.slice(0, last + 1), outputs: [logits] };
}
