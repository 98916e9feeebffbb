import { macsOf } from "../model/estimate.ts";
import { elements, type Graph, type Node, type OpName } from "../model/graph.ts";

/** What a value that is read or written takes, measured: as long as so many multiply-accumulates of a convolution. */
const VALUE_WORK: Partial<Record<OpName, number>> & { default: number } = {
  default: 8,
  SOFTMAX: 128,
  LOG_SOFTMAX: 128,
  RESIZE_BILINEAR: 32,
};
const TAP_WORK = 2;

/** What one Worker takes. A Workers runtime gives an isolate 128 MB: the kernels' memory, the bodies that are read at one time
 * (twice while a form is taken apart) and the answers of one defense stay below it together. */
export interface Limits {
  /** Of one request. */
  bodyBytes: number;
  /** Of all requests that are being read or wait. Beyond it a request is told to come again. */
  waitingBytes: number;
  /** From a request's head to the end of its body. */
  bodyMilliseconds: number;
  /** Linear memory of the kernels: weights, activations, scratch. */
  memoryBytes: number;
  /** Images in one request. */
  images: number;
  /** Values in one answer. */
  values: number;
  /** Multiply-accumulates of one request, and all else as so many of them (workOf): what keeps it below the platform's CPU limit,
   * where a clock may stand still. A Worker does 3 to 40 billion in a second, for a ResNet-8 some 15. */
  work: number;
  /** Scores that a defense may ask the model for in all its requests: images times classes. */
  answers: number;
}

export const LIMITS: Limits = {
  bodyBytes: 8 << 20,
  waitingBytes: 24 << 20,
  bodyMilliseconds: 15_000,
  memoryBytes: 48 << 20,
  images: 4096,
  values: 1 << 20,
  work: 50e9,
  answers: 2 << 20,
};

/** The work of one image, in multiply-accumulates. */
export function workOf(graph: Graph): number {
  const values = (ids: readonly number[]) =>
    ids.reduce((sum, id) => {
      const tensor = graph.tensors[id];
      return tensor === undefined || tensor.data ? sum : sum + elements(tensor.shape.slice(1));
    }, 0);
  return graph.nodes.reduce((work, node) => {
    const moved = (VALUE_WORK[node.op] ?? VALUE_WORK.default) * (values(node.inputs) + values(node.outputs));
    return work + macsOf(graph, node) + moved + tapsOf(node) * values(node.outputs);
  }, 0);
}

/** Values that a pool reads for one of its outputs, as work. */
function tapsOf({ op, attributes }: Node): number {
  if (op !== "AVERAGE_POOL_2D" && op !== "MAX_POOL_2D") return 0;
  return TAP_WORK * attributes.filterHeight * attributes.filterWidth;
}
