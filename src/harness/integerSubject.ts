import type { Pixels, Subject } from "../defenses/defense.ts";
import type { FloatBackend } from "../float/backend.ts";
import { type IntegerActivation, penultimateTensor, prepare, shadowGradient } from "../float/execute.ts";
import { tune } from "../float/train.ts";
import { bindKernels, type Kernels } from "../kernels/module.ts";
import { compile, type Plan } from "../model/compile.ts";
import { type Activation, elements, type Graph, type Tensor } from "../model/graph.ts";
import { activationRange } from "../model/lower.ts";
import type { Profile } from "../profile/schema.ts";
import { dequantizedShadow, quantizeStatic, type StaticScheme } from "../quantize/ptq.ts";
import { unpackInt4 } from "../quantize/uniform.ts";
import { devicePixels, type OpenSubject } from "./access.ts";
import { meanOfChannels, rememberByPixels } from "./floatSubject.ts";
import { once } from "./once.ts";

/** Images in one straight-through pass. */
const GRADIENT_CHUNK = 32;

export interface IntegerModel {
  /** Quantized by quantizeStatic: ends in SOFTMAX. */
  graph: Graph;
  scheme: StaticScheme;
  profile: Profile;
  name: string;
}

/** Pixels as an int8 input of scale 1/255 and zero point -128 holds them: the device's byte less 128. */
export function pixelCodes(pixels: Pixels, count: number, size: number): Int8Array {
  const bytes = devicePixels(pixels, count, size);
  const codes = new Int8Array(count * size);
  for (let i = 0; i < codes.length; i++) codes[i] = bytes[i] - 128;
  return codes;
}

function dequantized(codes: ArrayLike<number>, { quantization }: Tensor): Float32Array {
  const [scale, zeroPoint] = [quantization!.scale[0], quantization!.zeroPoint[0]];
  return Float32Array.from(codes, (q) => scale * (q - zeroPoint));
}

/** An integer model under a profile's arithmetic, at A1. backend: for straight-through gradients and tuning. */
export async function integerSubject(
  module: WebAssembly.Module,
  backend: FloatBackend,
  model: IntegerModel,
): Promise<OpenSubject> {
  const { graph, profile, name } = model;
  const kernels = await bindKernels(module);
  const penultimate = penultimateTensor(graph);
  const logits = graph.nodes.at(-1)!.inputs[0];
  const plan = compile(graph, profile, kernels, { keep: [penultimate, logits] });
  const [, height, width, channels] = graph.tensors[graph.inputs[0]].shape;
  const size = height * width * channels;
  const classes = elements(graph.tensors[logits].shape.slice(1));
  const depth = elements(graph.tensors[penultimate].shape.slice(1));
  const codesOf = (tensor: number, pixels: Pixels, count: number) => {
    const length = elements(graph.tensors[tensor].shape.slice(1));
    const codes = new Int8Array(count * length);
    plan.run([pixelCodes(pixels, count, size)], count, (first, here) => {
      codes.set(plan.view(tensor, here) as Int8Array, first * length);
    });
    return codes;
  };
  const featureCodes = rememberByPixels((pixels, count) => codesOf(penultimate, pixels, count));
  const features = (pixels: Pixels, count: number) =>
    dequantized(featureCodes(pixels, count), graph.tensors[penultimate]);
  const accumulators = profile.access.logits === "int32" && accumulatorTail(graph);
  const scores = (pixels: Pixels, count: number) =>
    accumulators
      ? accumulators(codesOf(penultimate, pixels, count))
      : dequantized(codesOf(logits, pixels, count), graph.tensors[logits]);
  const shape = { access: "A1" as const, integer: true, classes, height, width, channels };
  return {
    ...shape,
    name,
    scoreKind: "logits",
    scores,
    probabilities: (pixels, count) => {
      const [probabilities] = plan.run([pixelCodes(pixels, count, size)], count);
      return dequantized(probabilities as Int8Array, graph.tensors[graph.outputs[0]]);
    },
    features,
    featureDepth: depth,
    gradient: straightThrough(backend, kernels, model, size, classes),
    pruning: {
      channels: depth,
      meanActivation: (pixels, count) =>
        meanOfChannels(dequantized(featureCodes(pixels, count), graph.tensors[penultimate]), depth),
      without: (dropped): Subject => {
        const tail = compile(tailWithout(graph, dropped), profile, kernels, { keep: [1] });
        const tailScores = (pixels: Pixels, count: number) => {
          const out = new Float32Array(count * classes);
          tail.run([featureCodes(pixels, count)], count, (first, here) => {
            out.set(dequantized(tail.view(1, here), tail.graph.tensors[1]), first * classes);
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
    tune: async (images, options) => {
      const tuned = await tune(backend, dequantizedShadow(graph), images, options);
      const kept = (tensor: number) => graph.tensors[tensor].quantization!;
      const again = quantizeStatic(tuned, kept, model.scheme);
      return integerSubject(module, backend, { ...model, graph: again, name: `${name}, tuned` });
    },
    missing: {},
  };
}

/** The last FULLY_CONNECTED and the SOFTMAX alone, on the features, with the columns of the dropped channels zero: exact,
 * because a channel at its zero point and a zero weight both add nothing. Tensor 0: features, 1: logits. */
function tailWithout(graph: Graph, dropped: readonly number[]): Graph {
  const dense = graph.nodes.findLast(({ op }) => op === "FULLY_CONNECTED")!;
  const [input, w, b] = dense.inputs.map((id) => graph.tensors[id]);
  const [classes, depth] = w.shape;
  const filter =
    w.dtype === "int4" ? unpackInt4(w.data as Uint8Array, classes * depth) : (w.data as Int8Array).slice();
  for (const d of dropped) for (let k = 0; k < classes; k++) filter[k * depth + d] = 0;
  const outputs = graph.nodes.at(-1)!;
  return {
    name: `${graph.name} tail`,
    tensors: [
      { ...input, shape: [1, depth] },
      graph.tensors[dense.outputs[0]],
      { ...w, dtype: "int8", data: filter },
      b,
      graph.tensors[graph.outputs[0]],
    ],
    nodes: [
      { ...dense, inputs: [0, 2, 3], outputs: [1] } as Graph["nodes"][number],
      { ...outputs, inputs: [1], outputs: [4] } as Graph["nodes"][number],
    ],
    inputs: [0],
    outputs: [4],
  };
}

/** Real logits from the int32 accumulators of the last layer, which never saturate. */
function accumulatorTail(graph: Graph): (features: Int8Array) => Float32Array {
  const dense = graph.nodes.findLast(({ op }) => op === "FULLY_CONNECTED")!;
  const [input, w, b] = dense.inputs.map((id) => graph.tensors[id]);
  const [classes, depth] = w.shape;
  const filter =
    w.dtype === "int4" ? unpackInt4(w.data as Uint8Array, classes * depth) : (w.data as Int8Array);
  const scale = (k: number) =>
    input.quantization!.scale[0] * (w.quantization!.scale[k] ?? w.quantization!.scale[0]);
  const zeroPoint = input.quantization!.zeroPoint[0];
  return (features) => {
    const count = features.length / depth;
    const out = new Float32Array(count * classes);
    for (let i = 0; i < count; i++)
      for (let k = 0; k < classes; k++) {
        let acc = Number(b?.data?.[k] ?? 0);
        for (let d = 0; d < depth; d++) acc += (features[i * depth + d] - zeroPoint) * filter[k * depth + d];
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
    if (activation !== undefined && !op.endsWith("POOL_2D"))
      bounds.set(outputs[0], activationRange(activation, graph.tensors[outputs[0]]));
  }
  return bounds;
}

/** The integer forward pass, and a backward pass through the float shadow of the same weights that stops where the
 * integer activation was clamped. */
function straightThrough(
  backend: FloatBackend,
  kernels: Kernels,
  { graph, profile }: IntegerModel,
  size: number,
  classes: number,
): NonNullable<Subject["gradient"]> {
  const logits = graph.nodes.at(-1)!.inputs[0];
  const bounds = clamps(graph);
  const activationIds = graph.nodes.slice(0, -1).map(({ outputs }) => outputs[0]);
  const ready = once(() => ({
    shadow: prepare(backend, dequantizedShadow(graph)),
    plan: compile(graph, profile, kernels, { keep: "all", chunk: GRADIENT_CHUNK }),
  }));
  const activations = (plan: Plan, count: number) =>
    new Map(
      activationIds.map((id): [number, IntegerActivation] => {
        const [minimum, maximum] = bounds.get(id) ?? [-129, 128];
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
    const codes = pixelCodes(pixels, count, size);
    const seen = new Float32Array(count * classes);
    const gradient = new Float32Array(count * size);
    const look = (first: number, here: number) =>
      seen.set(dequantized(plan.view(logits, here), graph.tensors[logits]), first * classes);
    const back = (seeds: Float32Array, first: number, here: number) => {
      const rows = seeds.subarray(first * classes, (first + here) * classes);
      gradient.set(shadowGradient(shadow, activations(plan, here), rows, here), first * size);
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
