import type { Pixels, Subject } from "../defenses/defense.ts";
import type { FloatBackend } from "../float/backend.ts";
import { INPUT_SCALE, type IntegerActivation, prepare, shadowGradient } from "../float/execute.ts";
import { OPERATORS } from "../float/operators.ts";
import { tune } from "../float/train.ts";
import { bindKernels, type Kernels } from "../kernels/module.ts";
import { roundHalfAway } from "../kernels/requantize.ts";
import { type Classifier, classifierOf, cutAtLogits, type Head } from "../model/classifier.ts";
import { activationArray, compile, type Plan, type Values } from "../model/compile.ts";
import { type Activation, elements, type Graph, type Tensor } from "../model/graph.ts";
import type { Convention } from "../model/imageInput.ts";
import type { Profile } from "../profile/schema.ts";
import { dequantizedShadow, quantizeStatic, type StaticScheme } from "../quantize/ptq.ts";
import { unpackInt4 } from "../quantize/uniform.ts";
import { devicePixels, type OpenSubject, softmaxRows } from "./access.ts";
import { meanOfChannels, rememberByPixels } from "./floatSubject.ts";
import { once } from "./once.ts";

/** Images in one straight-through pass. */
const GRADIENT_CHUNK = 32;

export interface IntegerModel {
  /** An image classifier, quantized by quantizeStatic or imported. */
  graph: Graph;
  /** How quantizeStatic made it, so that a tuned one can be made again; null for an imported graph. */
  scheme: StaticScheme | null;
  profile: Profile;
  name: string;
  /** What the model takes a pixel for, where its input scale does not tell. */
  taken?: Convention;
}

/** Pixels as the model's input holds them: a camera's bytes, each by its entry of `values`. */
function inputCodes(
  { values }: Classifier,
  { dtype }: Tensor,
  pixels: Pixels,
  count: number,
  size: number,
): Values {
  const bytes = devicePixels(pixels, count, size);
  const codes = activationArray(dtype, count * size);
  for (let i = 0; i < codes.length; i++) codes[i] = values[bytes[i]];
  return codes;
}

/** Real values; of a tensor without quantization they are what is there. */
function dequantized(codes: ArrayLike<number>, { quantization }: Tensor): Float32Array {
  if (!quantization) return Float32Array.from(codes);
  const [scale, zeroPoint] = [quantization.scale[0], quantization.zeroPoint[0]];
  return Float32Array.from(codes, (q) => scale * (q - zeroPoint));
}

/** Why straight-through gradients cannot be had, or null. */
function noShadow(graph: Graph, logits: number): string | null {
  const ops = cutAtLogits(graph, logits).nodes.map(({ op }) => op);
  const unknown = [...new Set(ops)].filter((op) => !IDENTITIES.has(op) && !(op in OPERATORS));
  return unknown.length === 0 ? null : `no straight-through gradient is known of ${unknown.join(", ")}`;
}

/** An integer model under a profile's arithmetic, at A1. backend: for straight-through gradients and tuning.
 * @throws UnsupportedOpError, ModelFormatError. */
export async function integerSubject(
  module: WebAssembly.Module,
  backend: FloatBackend,
  model: IntegerModel,
): Promise<OpenSubject> {
  const { graph, profile, name } = model;
  const kernels = await bindKernels(module);
  const classifier = classifierOf(graph, name, model.taken);
  const { classes, height, width, channels, logits, head } = classifier;
  const plan = compile(graph, profile, kernels, { keep: head ? [head.features, logits] : [logits] });
  const size = height * width * channels;
  const inputOf = (pixels: Pixels, count: number) =>
    inputCodes(classifier, graph.tensors[graph.inputs[0]], pixels, count, size);
  const codesOf = (tensor: number, pixels: Pixels, count: number) => {
    const length = elements(graph.tensors[tensor].shape.slice(1));
    const codes = activationArray(graph.tensors[tensor].dtype, count * length);
    plan.run([inputOf(pixels, count)], count, (first, here) => {
      codes.set(plan.view(tensor, here), first * length);
    });
    return codes;
  };
  const rowsOf = (tensor: number, pixels: Pixels, count: number) =>
    dequantized(codesOf(tensor, pixels, count), graph.tensors[tensor]);
  const shape = { access: "A1" as const, integer: true, classes, height, width, channels };
  const base: OpenSubject = {
    ...shape,
    name,
    scoreKind: "logits",
    scores: (pixels, count) => rowsOf(logits, pixels, count),
    probabilities: (pixels, count) => {
      if (!classifier.normalized) return softmaxRows(base.scores(pixels, count), classes);
      const [probabilities] = plan.run([inputOf(pixels, count)], count);
      return dequantized(probabilities, graph.tensors[graph.outputs[0]]);
    },
    missing: {},
  };
  const obstacle = noShadow(graph, logits);
  if (obstacle) base.missing.gradient = obstacle;
  else base.gradient = straightThrough(backend, kernels, model, classifier);
  if (!head) {
    const reason = "the scores come from no single linear layer, so there are no features";
    return { ...base, missing: { ...base.missing, features: reason, pruning: reason, tune: reason } };
  }
  const featureCodes = rememberByPixels((pixels, count) => codesOf(head.features, pixels, count));
  const features = (pixels: Pixels, count: number) =>
    dequantized(featureCodes(pixels, count), graph.tensors[head.features]);
  const accumulators = profile.access.logits === "int32" && accumulatorTail(graph, head, classes);
  const open: OpenSubject = {
    ...base,
    scores: accumulators ? (pixels, count) => accumulators(featureCodes(pixels, count)) : base.scores,
    features,
    featureDepth: head.depth,
    pruning: {
      channels: head.depth,
      meanActivation: (pixels, count) => meanOfChannels(features(pixels, count), head.depth),
      without: (dropped): Subject => {
        const tail = compile(tailWithout(graph, head, dropped), profile, kernels, { keep: [logits] });
        const tailScores = (pixels: Pixels, count: number) => {
          const out = new Float32Array(count * classes);
          tail.run([featureCodes(pixels, count)], count, (first, here) => {
            out.set(dequantized(tail.view(logits, here), graph.tensors[logits]), first * classes);
          });
          return out;
        };
        return {
          ...shape,
          name: `${name} without ${dropped.length} channels`,
          scoreKind: "logits",
          scores: tailScores,
          missing: {},
        };
      },
    },
  };
  const { scheme } = model;
  if (!scheme || Math.fround(classifier.factor) !== INPUT_SCALE || classifier.offset !== 0) {
    open.missing.tune = "only an integer model that was quantized here, on pixels of 0..1, can be made again";
    return open;
  }
  open.tune = async (images, options) => {
    const tuned = await tune(backend, dequantizedShadow(graph), images, options);
    const kept = (tensor: number) => graph.tensors[tensor].quantization!;
    const again = quantizeStatic(tuned, kept, scheme);
    return integerSubject(module, backend, { ...model, graph: again, name: `${name}, tuned` });
  };
  return open;
}

/** A filter's codes, one a byte. */
const filterCodes = ({ dtype, data, shape }: Tensor): Int8Array | Uint8Array =>
  dtype === "int4" ? unpackInt4(data as Uint8Array, elements(shape)) : (data as Int8Array | Uint8Array);

/** The head and what follows it, on the features, with the columns of the dropped channels zero: exact, because a weight at
 * its zero point adds nothing. Tensor numbers stay. */
function tailWithout(graph: Graph, head: Head, dropped: readonly number[]): Graph {
  const nodes = graph.nodes.slice(head.node);
  const id = nodes[0].inputs[1];
  const w = graph.tensors[id];
  const data = filterCodes(w).slice();
  const none = w.quantization!.zeroPoint[0];
  for (const d of dropped) for (let at = d; at < data.length; at += head.depth) data[at] = none;
  const tensors = graph.tensors.with(id, { ...w, dtype: w.dtype === "int4" ? "int8" : w.dtype, data });
  return { ...graph, name: `${graph.name} tail`, tensors, nodes, inputs: [head.features] };
}

/** Real logits from the int32 accumulators of the last layer, which never saturate. */
function accumulatorTail(graph: Graph, head: Head, classes: number): (features: Values) => Float32Array {
  const { depth } = head;
  const [input, w, b] = graph.nodes[head.node].inputs.map((id) => graph.tensors[id]);
  const filter = filterCodes(w);
  const { scale: scales, zeroPoint: zeros } = w.quantization!;
  const scale = (k: number) => input.quantization!.scale[0] * (scales[k] ?? scales[0]);
  const zeroPoint = input.quantization!.zeroPoint[0];
  return (features) => {
    const count = features.length / depth;
    const out = new Float32Array(count * classes);
    for (let i = 0; i < count; i++)
      for (let k = 0; k < classes; k++) {
        let acc = Number(b?.data?.[k] ?? 0);
        const none = zeros[k] ?? zeros[0];
        for (let d = 0; d < depth; d++)
          acc += (features[i * depth + d] - zeroPoint) * (filter[k * depth + d] - none);
        out[i * classes + k] = acc * scale(k);
      }
    return out;
  };
}

/** The clamp of every activation that a kernel clamps; a pool or reshape moves values that were clamped before. */
function clamps(graph: Graph): Map<number, [number, number]> {
  const bounds = new Map<number, [number, number]>();
  for (const { op, attributes, outputs } of graph.nodes) {
    const activation: Activation | undefined =
      op === "MEAN" ? "NONE" : (attributes as { activation?: Activation }).activation;
    if (activation !== undefined && !op.endsWith("POOL_2D") && graph.tensors[outputs[0]].quantization)
      bounds.set(outputs[0], clampOf(activation, graph.tensors[outputs[0]]));
  }
  return bounds;
}

const REAL_BOUNDS: Record<Activation, [number, number]> = {
  NONE: [-Infinity, Infinity],
  RELU: [0, Infinity],
  RELU6: [0, 6],
  RELU_N1_TO_1: [-1, 1],
};

function clampOf(activation: Activation, tensor: Tensor): [number, number] {
  const { scale, zeroPoint } = tensor.quantization!;
  const [least, largest] = codeRange(tensor);
  const [low, high] = REAL_BOUNDS[activation];
  const code = (real: number) => zeroPoint[0] + roundHalfAway(Math.fround(real / scale[0]));
  return [Math.max(least, code(low)), Math.min(largest, code(high))];
}

function codeRange({ dtype }: Tensor): [number, number] {
  if (dtype === "uint8") return [0, 255];
  return dtype === "int16" ? [-32768, 32767] : [-128, 127];
}

/** Ops whose output is their input to a gradient. */
const IDENTITIES: ReadonlySet<string> = new Set(["QUANTIZE", "DEQUANTIZE"]);

/** The float graph of the same weights, up to the logits. */
function shadowOf(graph: Graph, logits: number): Graph {
  const cut = cutAtLogits(graph, logits);
  const nodes = cut.nodes.map((node) => {
    if (!IDENTITIES.has(node.op)) return node;
    const { shape } = graph.tensors[node.outputs[0]];
    return { ...node, op: "RESHAPE" as const, attributes: { shape } };
  });
  return dequantizedShadow({ ...cut, nodes });
}

/** The integer forward pass, and a backward pass through the float shadow of the same weights that stops where the
 * integer activation was clamped. */
function straightThrough(
  backend: FloatBackend,
  kernels: Kernels,
  { graph, profile }: IntegerModel,
  classifier: Classifier,
): NonNullable<Subject["gradient"]> {
  const { logits, classes, height, width, channels, factor } = classifier;
  const size = height * width * channels;
  const bounds = clamps(graph);
  const activationIds = cutAtLogits(graph, logits)
    .nodes.map(({ outputs }) => outputs[0])
    .filter((id) => graph.tensors[id].quantization);
  /** The shadow takes a pixel for pixel * INPUT_SCALE, the model for pixel * factor. */
  const unit = Math.fround(factor) / INPUT_SCALE;
  const ready = once(() => ({
    shadow: prepare(backend, shadowOf(graph, logits)),
    plan: compile(graph, profile, kernels, { keep: "all", chunk: GRADIENT_CHUNK }),
  }));
  const activations = (plan: Plan, count: number) =>
    new Map(
      activationIds.map((id): [number, IntegerActivation] => {
        const [least, largest] = codeRange(graph.tensors[id]);
        const [minimum, maximum] = bounds.get(id) ?? [least - 1, largest + 1];
        const { scale, zeroPoint } = graph.tensors[id].quantization!;
        return [
          id,
          {
            values: plan.view(id, count) as Int8Array,
            minimum,
            maximum,
            scale: scale[0],
            zeroPoint: zeroPoint[0],
          },
        ];
      }),
    );
  return (pixels, count, logitsGradient) => {
    const { plan, shadow } = ready();
    const codes = inputCodes(classifier, graph.tensors[graph.inputs[0]], pixels, count, size);
    const seen = new Float32Array(count * classes);
    const gradient = new Float32Array(count * size);
    const look = (first: number, here: number) =>
      seen.set(dequantized(plan.view(logits, here), graph.tensors[logits]), first * classes);
    const back = (seeds: Float32Array, first: number, here: number) => {
      const rows = seeds.subarray(first * classes, (first + here) * classes);
      const part = shadowGradient(shadow, activations(plan, here), rows, here);
      gradient.set(unit === 1 ? part : part.map((value) => value * unit), first * size);
    };
    if (count <= GRADIENT_CHUNK) {
      plan.run([codes], count, look);
      back(logitsGradient(seen), 0, count);
    } else {
      plan.run([codes], count, look);
      const seeds = logitsGradient(seen);
      plan.run([codes], count, (first, here) => back(seeds, first, here));
    }
    return { logits: seen, gradient };
  };
}
