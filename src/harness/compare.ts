/** One integer model under several profiles on the same inputs: where they part, and what it costs. */
import { UnsupportedOpError } from "../errors.ts";
import { bindKernels } from "../kernels/module.ts";
import { compile, type Plan, type Values } from "../model/compile.ts";
import { elements, type Graph } from "../model/graph.ts";
import { inspectTarget, type TargetInfo } from "../model/inspect.ts";
import type { Profile } from "../profile/schema.ts";
import { share } from "./lab.ts";
import type { Share } from "./result.ts";

/** One node's outputs beside the reference's. */
export interface LayerDifference {
  /** Values compared, and how many differ. */
  values: number;
  differing: number;
  /** The largest absolute difference, in codes (float32 outputs: in real values). */
  largest: number;
}

export interface Flips {
  images: number;
  /** Of those with a label: right under the reference and wrong here, and the other way. */
  lost: number;
  gained: number;
  /** The first few: the image, and its class under the reference and here. */
  first: { image: number; from: number; to: number }[];
}

/** Flips that are named one by one, at most. */
const NAMED = 12;

/** A profile that can run the model. */
export interface ProfileRun {
  /** One a node; of the reference all zero. */
  layers: LayerDifference[];
  /** Index of the first node of which a value differs; null where none does. */
  firstDifferent: number | null;
  /** Images whose largest output is another than under the reference; the first of equals. */
  flips: Flips;
  /** Null without labels. */
  accuracy: Share | null;
  /** Share of the triggered images that are taken for the attack's target; null without a trigger. */
  attackSuccess: Share | null;
}

export interface ComparedProfile extends TargetInfo {
  /** Null where the profile cannot run the model; `refused` says why. */
  run: ProfileRun | null;
}

export interface Comparison {
  model: string;
  images: number;
  /** Where the inputs came from and how pixels became them. */
  inputs: string;
  /** The trigger and its target; absent without one. */
  trigger?: string;
  layers: { index: number; op: string; name: string; shape: number[] }[];
  /** The id of the first profile that can run the model: the others are compared with it. */
  reference: string;
  profiles: ComparedProfile[];
}

/** The same model's inputs with a trigger on them. */
export interface Triggered {
  /** One a graph input, dense; of images whose class is not the target. */
  values: readonly Values[];
  count: number;
  target: number;
  /** In words. */
  trigger: string;
}

export interface CompareOptions {
  graph: Graph;
  profiles: readonly Profile[];
  module: WebAssembly.Module;
  /** One a graph input, dense. */
  values: readonly Values[];
  count: number;
  /** One an image; the model's first output has a score a class. */
  labels?: Uint8Array;
  triggered?: Triggered;
  /** In words, for the reader of the result. */
  inputs: string;
  progress?: (done: number, total: number) => void;
}

interface Runner {
  profile: Profile;
  plan: Plan;
  layers: LayerDifference[];
  top: Uint32Array;
}

/** @throws UnsupportedOpError where no profile can run the model. */
export async function compareProfiles(options: CompareOptions): Promise<Comparison> {
  const { graph, profiles, module, count, triggered } = options;
  const targets: TargetInfo[] = [];
  for (const profile of profiles) targets.push(inspectTarget(graph, profile, await bindKernels(module)));
  const runners: Runner[] = [];
  for (const [i, profile] of profiles.entries())
    if (targets[i].refused.length === 0) runners.push(await runnerOf(options, profile));
  if (runners.length === 0)
    throw new UnsupportedOpError(`${graph.name} on ${targets[0].profile}`, targets[0].refused);
  runAll(options, runners);
  return {
    model: graph.name,
    images: count,
    inputs: options.inputs,
    ...(triggered && { trigger: triggered.trigger }),
    layers: graph.nodes.map(({ op, name, outputs }, index) => {
      return { index, op, name, shape: graph.tensors[outputs[0]].shape };
    }),
    reference: runners[0].profile.id,
    profiles: targets.map((target, i) => {
      const runner = runners.find(({ profile }) => profile === profiles[i]);
      return { ...target, run: runner ? runOf(options, runner, runners[0]) : null };
    }),
  };
}

async function runnerOf({ graph, module, count }: CompareOptions, profile: Profile): Promise<Runner> {
  const plan = compile(graph, profile, await bindKernels(module), { keep: "all" });
  const layers = graph.nodes.map(() => ({ values: 0, differing: 0, largest: 0 }));
  return { profile, plan, layers, top: new Uint32Array(count) };
}

/** Chunk by chunk, each under every profile, so that no more than a chunk's tensors are held. */
function runAll({ graph, values, count, progress }: CompareOptions, runners: readonly Runner[]): void {
  const chunk = Math.min(...runners.map(({ plan }) => plan.chunk));
  for (let first = 0; first < count; first += chunk) {
    const here = Math.min(chunk, count - first);
    const inputs = slices(graph, values, first, here);
    for (const { plan, top } of runners) top.set(argmax(plan.run(inputs, here)[0], here), first);
    for (const runner of runners.slice(1)) addDifferences(graph, runner, runners[0].plan, here);
    progress?.(first + here, count);
  }
  // Of the reference nothing differs from itself.
  graph.nodes.forEach(({ outputs }, i) => {
    const size = outputs.reduce((sum, id) => sum + elements(graph.tensors[id].shape.slice(1)), 0);
    runners[0].layers[i].values = size * count;
  });
}

/** `count` images' values of each graph input, from image `first` on. */
function slices(graph: Graph, values: readonly Values[], first: number, count: number): Values[] {
  const sizes = graph.inputs.map((id) => elements(graph.tensors[id].shape.slice(1)));
  return values.map((all, i) => all.subarray(first * sizes[i], (first + count) * sizes[i]));
}

function attackSuccess(graph: Graph, { plan }: Runner, { values, count, target }: Triggered): Share {
  let hits = 0;
  for (let first = 0; first < count; first += plan.chunk) {
    const here = Math.min(plan.chunk, count - first);
    for (const k of argmax(plan.run(slices(graph, values, first, here), here)[0], here))
      if (k === target) hits++;
  }
  return share(hits, count);
}

function addDifferences(graph: Graph, { plan, layers }: Runner, reference: Plan, count: number): void {
  graph.nodes.forEach(({ outputs }, i) => {
    for (const id of outputs) addDifference(layers[i], plan.view(id, count), reference.view(id, count));
  });
}

function addDifference(layer: LayerDifference, values: Values, expected: Values): void {
  layer.values += values.length;
  for (let i = 0; i < values.length; i++) {
    const difference = Math.abs(values[i] - expected[i]);
    if (difference === 0) continue;
    layer.differing++;
    if (difference > layer.largest) layer.largest = difference;
  }
}

/** Index of the largest of each of `count` rows; the first of equals. */
function argmax(scores: Values, count: number): Uint32Array {
  const size = scores.length / count;
  return Uint32Array.from({ length: count }, (_, row) => {
    let best = 0;
    for (let k = 1; k < size; k++) if (scores[row * size + k] > scores[row * size + best]) best = k;
    return best;
  });
}

function runOf({ graph, labels, triggered }: CompareOptions, runner: Runner, reference: Runner): ProfileRun {
  const { layers, top } = runner;
  const first = layers.findIndex(({ differing }) => differing > 0);
  const right = labels && top.reduce((sum, k, i) => sum + Number(k === labels[i]), 0);
  return {
    layers,
    firstDifferent: first < 0 ? null : first,
    flips: flipsOf(top, reference.top, labels),
    accuracy: right === undefined ? null : share(right, top.length),
    attackSuccess: triggered ? attackSuccess(graph, runner, triggered) : null,
  };
}

function flipsOf(top: Uint32Array, reference: Uint32Array, labels?: Uint8Array): Flips {
  const flips: Flips = { images: 0, lost: 0, gained: 0, first: [] };
  top.forEach((k, i) => {
    if (k === reference[i]) return;
    flips.images++;
    if (flips.first.length < NAMED) flips.first.push({ image: i, from: reference[i], to: k });
    if (reference[i] === labels?.[i]) flips.lost++;
    if (k === labels?.[i]) flips.gained++;
  });
  return flips;
}
