import type { Pixels, Subject } from "../defenses/defense.ts";
import { UnsupportedOpError } from "../errors.ts";
import type { FloatBackend } from "../float/backend.ts";
import { floatBlends } from "../float/blends.ts";
import { inputGradient, observe, prepare } from "../float/execute.ts";
import { OPERATORS } from "../float/operators.ts";
import { tune } from "../float/train.ts";
import { classifierOf, cutAtLogits, type Head } from "../model/classifier.ts";
import type { Graph } from "../model/graph.ts";
import type { Convention } from "../model/imageInput.ts";
import { type OpenSubject, softmaxRows } from "./access.ts";
import { meanOfChannels } from "./features.ts";
import { rememberImages } from "./rememberImages.ts";
import { reused } from "./reused.ts";

/** The last FULLY_CONNECTED in plain numbers. filter: [classes][depth]. */
export interface DenseTail {
  depth: number;
  classes: number;
  filter: Float32Array;
  bias: Float32Array;
}

/** The last layer of a float classifier. */
export function denseTail(graph: Graph, { node, depth }: Head): DenseTail {
  const [filter, bias] = graph.nodes[node].inputs.slice(1).map((id) => graph.tensors[id]);
  const classes = filter.shape[0];
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

/** Images in [0, 1], as this project's own networks take them. */
export const UNIT_PIXELS: Convention = { name: "0..1", factor: 1 / 255, offset: 0 };

/** A float model at A0. graph: batch norm folded. taken: what it takes a pixel for. Dispose when done: it holds backend memory.
 * @throws UnsupportedOpError, ModelFormatError. */
export function floatSubject(
  backend: FloatBackend,
  whole: Graph,
  name: string,
  taken: Convention = UNIT_PIXELS,
): OpenSubject & { dispose(): void } {
  const { classes, height, width, channels, logits, head } = classifierOf(whole, name, taken);
  const graph = cutAtLogits(whole, logits);
  checkOperators(graph, name);
  const prepared = prepare(backend, graph);
  const unit = taken.factor === UNIT_PIXELS.factor && taken.offset === 0;
  const given = (pixels: Pixels) => (unit ? pixels : asTaken(pixels, taken));
  const make = (length: number) => new Float32Array(length);
  const room = reused(make);
  const parts = [
    { tensor: graph.outputs[0], width: classes, make },
    ...(head ? [{ tensor: head.features, width: head.depth, make }] : []),
  ];
  const seen = rememberImages(height * width * channels, parts, (pixels, count) => {
    const rows = parts.map((part) => make(count * part.width));
    const tensors = parts.map(({ tensor }) => tensor);
    observe(prepared, given(pixels), count, tensors, (values, first) => {
      parts.forEach((part, p) => {
        rows[p].set(values.get(part.tensor)!, first * part.width);
      });
    });
    return rows;
  });
  const scores = (pixels: Pixels, count: number) => seen(pixels, count)[0] as Float32Array;
  const shape = { access: "A0" as const, integer: false, classes, height, width, channels };
  const base = {
    ...shape,
    name,
    scoreKind: "logits" as const,
    scores,
    probabilities: (pixels: Pixels, count: number) => softmaxRows(scores(pixels, count), classes),
    gradient: (pixels: Pixels, count: number, of: (logits: Float32Array) => Float32Array) => {
      const found = inputGradient(
        prepared,
        given(pixels),
        count,
        of,
        room(count * height * width * channels),
      );
      if (!unit) for (let i = 0; i < found.gradient.length; i++) found.gradient[i] *= 255 * taken.factor;
      return found;
    },
    blends: floatBlends(backend),
    missing: {} as Subject["missing"],
    dispose: () => prepared.dispose(),
  };
  if (!head) {
    const reason = "the scores come from no single linear layer, so there are no features";
    return { ...base, missing: { features: reason, pruning: reason, tune: reason } };
  }
  const tail = denseTail(graph, head);
  const { depth } = tail;
  const features = (pixels: Pixels, count: number) => seen(pixels, count)[1] as Float32Array;
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
  const open: ReturnType<typeof floatSubject> = {
    ...base,
    features,
    featureDepth: depth,
    pruning: {
      channels: depth,
      meanActivation: (pixels, count) => meanOfChannels(features(pixels, count), depth),
      without,
    },
  };
  if (unit)
    open.tune = async (images, options) =>
      floatSubject(backend, await tune(backend, graph, images, options), `${name}, tuned`);
  else open.missing.tune = "only a network on pixels of 0..1 can be tuned here";
  return open;
}

/** Pixels by which `pixel / 255` is what the model takes them for. */
export function asTaken(pixels: Pixels, { factor, offset }: Convention): Float32Array {
  return Float32Array.from(pixels, (pixel) => 255 * (factor * pixel + offset));
}

function checkOperators({ nodes }: Graph, where: string): void {
  const unknown = nodes.flatMap(({ op, name }, i) =>
    op in OPERATORS ? [] : [`${i} ${op} ${name.slice(0, 40)}: no float kernel with a gradient`],
  );
  if (unknown.length > 0) throw new UnsupportedOpError(where, unknown);
}
