import { macsOf } from "../model/estimate.ts";
import { elements, type Graph } from "../model/graph.ts";

const VALUE_WORK = 8;

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
  /** Multiply-accumulates of one request, every value that is read or written counted as eight: what keeps it below the platform's CPU limit, where a
   * clock may stand still. A Worker does some 10 to 20 billion in a second. */
  work: number;
  /** Images that a defense may ask the model for in all its requests. */
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
  answers: 100_000,
};

/** The work of one image, in multiply-accumulates. */
export function workOf(graph: Graph): number {
  const values = (ids: readonly number[]) =>
    ids.reduce((sum, id) => {
      const tensor = graph.tensors[id];
      return tensor === undefined || tensor.data ? sum : sum + elements(tensor.shape.slice(1));
    }, 0);
  return graph.nodes.reduce(
    (work, node) => work + macsOf(graph, node) + VALUE_WORK * (values(node.inputs) + values(node.outputs)),
    0,
  );
}
