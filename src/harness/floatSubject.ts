import type { Pixels, Subject } from "../defenses/defense.ts";
import type { FloatBackend } from "../float/backend.ts";
import {
  forward,
  inputGradient,
  observe,
  type Prepared,
  penultimateTensor,
  prepare,
} from "../float/execute.ts";
import { tune } from "../float/train.ts";
import type { Graph } from "../model/graph.ts";
import { type OpenSubject, softmaxRows } from "./access.ts";

/** The last FULLY_CONNECTED in plain numbers. filter: [classes][depth]. */
export interface DenseTail {
  depth: number;
  classes: number;
  filter: Float32Array;
  bias: Float32Array;
}

/** The tail of a float graph that ends in a FULLY_CONNECTED without activation. */
export function denseTail(graph: Graph): DenseTail {
  const node = graph.nodes.findLast(({ op }) => op === "FULLY_CONNECTED")!;
  const [filter, bias] = node.inputs.slice(1).map((id) => graph.tensors[id]);
  const [classes, depth] = filter.shape;
  return {
    depth,
    classes,
    filter: filter.data as Float32Array,
    bias: (bias?.data as Float32Array | undefined) ?? new Float32Array(classes),
  };
}

/** Logits from features, some columns left out. */
export function applyTail(
  { depth, classes, filter, bias }: DenseTail,
  features: Float32Array,
  dropped: ReadonlySet<number>,
): Float32Array {
  const count = features.length / depth;
  const logits = new Float32Array(count * classes);
  const live = Array.from({ length: depth }, (_, d) => d).filter((d) => !dropped.has(d));
  for (let i = 0; i < count; i++)
    for (let k = 0; k < classes; k++) {
      let sum = bias[k];
      for (const d of live) sum += features[i * depth + d] * filter[k * depth + d];
      logits[i * classes + k] = sum;
    }
  return logits;
}

/** Remembers the last few results by the identity of the pixel array: defenses ask for the same images again and again. */
export function rememberByPixels<T>(
  compute: (pixels: Pixels, count: number) => T,
): (pixels: Pixels, count: number) => T {
  const known = new WeakMap<Pixels, Map<number, T>>();
  return (pixels, count) => {
    const counts = known.get(pixels) ?? new Map<number, T>();
    known.set(pixels, counts);
    const value = counts.get(count) ?? compute(pixels, count);
    counts.set(count, value);
    return value;
  };
}

/** Channels are those of the last feature map, as the last FULLY_CONNECTED reads them: pruning one zeroes its column
 * (BackdoorBench's form of Fine-Pruning). */
export function meanOfChannels(features: Float32Array, depth: number): Float32Array {
  const count = features.length / depth;
  const sums = new Float64Array(depth);
  features.forEach((value, i) => {
    sums[i % depth] += value;
  });
  return Float32Array.from(sums, (sum) => sum / count);
}

/** A float model at A0. graph: batch norm folded, ending at logits. Dispose when done: it holds backend memory. */
export function floatSubject(
  backend: FloatBackend,
  graph: Graph,
  name: string,
): OpenSubject & { dispose(): void } {
  const prepared = prepare(backend, graph);
  const [height, width, channels] = prepared.inputShape;
  const tail = denseTail(graph);
  const { classes, depth } = tail;
  const features = rememberByPixels((pixels, count) => featuresOf(prepared, depth, pixels, count));
  const scores = (pixels: Pixels, count: number) => forward(prepared, pixels, count);
  const shape = { access: "A0" as const, integer: false, classes, height, width, channels };
  const without = (dropped: readonly number[]): Subject => {
    const set = new Set(dropped);
    return {
      ...shape,
      name: `${name} without ${dropped.length} channels`,
      scoreKind: "logits",
      scores: (pixels, count) => applyTail(tail, features(pixels, count), set),
      missing: {},
    };
  };
  return {
    ...shape,
    name,
    scoreKind: "logits",
    scores,
    probabilities: (pixels, count) => softmaxRows(scores(pixels, count), classes),
    features,
    featureDepth: depth,
    gradient: (pixels, count, logitsGradient) => inputGradient(prepared, pixels, count, logitsGradient),
    pruning: {
      channels: depth,
      meanActivation: (pixels, count) => meanOfChannels(features(pixels, count), depth),
      without,
    },
    tune: async (images, options) =>
      floatSubject(backend, await tune(backend, graph, images, options), `${name}, tuned`),
    missing: {},
    dispose: () => prepared.dispose(),
  };
}

function featuresOf(prepared: Prepared, depth: number, pixels: Pixels, count: number): Float32Array {
  const tensor = penultimateTensor(prepared.graph);
  const features = new Float32Array(count * depth);
  observe(prepared, pixels, count, [tensor], (values, first) => {
    features.set(values.get(tensor)!, first * depth);
  });
  return features;
}
