import type { Subject } from "../defenses/defense.ts";
import type { FloatBackend } from "../float/backend.ts";
import { floatBlends } from "../float/blends.ts";
import {
  INPUT_SCALE,
  type IntegerActivation,
  type Prepared,
  prepare,
  shadowGradient,
} from "../float/execute.ts";
import { OPERATORS } from "../float/operators.ts";
import { tune } from "../float/train.ts";
import { bindKernels, type Kernels } from "../kernels/module.ts";
import { roundHalfAway } from "../kernels/requantize.ts";
import { type Classifier, cutAtLogits } from "../model/classifier.ts";
import { compile, type Plan } from "../model/compile.ts";
import type { Activation, Graph, Tensor } from "../model/graph.ts";
import { dequantizedShadow, quantizeStatic, type StaticScheme } from "../quantize/ptq.ts";
import type { OpenSubject } from "./access.ts";
import { dequantized, type ForwardModel, forwardSubject, inputCoder } from "./forwardSubject.ts";
import { once } from "./once.ts";
import { reused } from "./reused.ts";

/** Images in one straight-through pass. */
const GRADIENT_CHUNK = 32;

export interface IntegerModel extends ForwardModel {
  /** How quantizeStatic made it, so that a tuned one can be made again; null for an imported graph. */
  scheme: StaticScheme | null;
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
  const kernels = await bindKernels(module);
  const { subject: open, classifier } = forwardSubject(kernels, model);
  const { graph, name, scheme } = model;
  const obstacle = noShadow(graph, classifier.logits);
  if (obstacle) open.missing.gradient = obstacle;
  else Object.assign(open, straightThrough(backend, kernels, model, classifier));
  if (!classifier.head) return open;
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
): Required<Pick<Subject, "gradient" | "blends" | "dispose">> {
  const { logits, classes, height, width, channels, factor } = classifier;
  const size = height * width * channels;
  const bounds = clamps(graph);
  const activationIds = cutAtLogits(graph, logits)
    .nodes.map(({ outputs }) => outputs[0])
    .filter((id) => graph.tensors[id].quantization);
  /** The shadow takes a pixel for pixel * INPUT_SCALE, the model for pixel * factor. */
  const unit = Math.fround(factor) / INPUT_SCALE;
  const room = reused((length) => new Float32Array(length));
  const inputOf = inputCoder(classifier, graph.tensors[graph.inputs[0]], size);
  let held: Prepared | undefined;
  const ready = once(() => {
    held = prepare(backend, shadowOf(graph, logits));
    return { shadow: held, plan: compile(graph, profile, kernels, { keep: "all", chunk: GRADIENT_CHUNK }) };
  });
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
  const straight: Subject["gradient"] = (pixels, count, logitsGradient) => {
    const { plan, shadow } = ready();
    const codes = inputOf(pixels, count);
    const seen = new Float32Array(count * classes);
    const look = (first: number, here: number) =>
      seen.set(dequantized(plan.view(logits, here), graph.tensors[logits]), first * classes);
    const gradient = room(count * size);
    const back = (seeds: Float32Array, first: number, here: number) => {
      const rows = seeds.subarray(first * classes, (first + here) * classes);
      const part = gradient.subarray(first * size, (first + here) * size);
      shadowGradient(shadow, activations(plan, here), rows, here, part);
      if (unit !== 1) for (let i = 0; i < part.length; i++) part[i] *= unit;
    };
    plan.run([codes], count, look);
    const seeds = logitsGradient(seen);
    if (count <= GRADIENT_CHUNK) back(seeds, 0, count);
    else plan.run([codes], count, (first, here) => back(seeds, first, here));
    return { logits: seen, gradient };
  };
  return { gradient: straight, blends: floatBlends(backend), dispose: () => held?.dispose() };
}
