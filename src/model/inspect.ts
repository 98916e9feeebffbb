/** What a model is, as data: for a person who has never seen it, and for programs. */
import { UnsupportedOpError } from "../errors.ts";
import type { Kernels } from "../kernels/module.ts";
import type { Profile } from "../profile/schema.ts";
import { type Lifetime, planArena } from "./arena.ts";
import { compile } from "./compile.ts";
import { estimateLatency, macsOf } from "./estimate.ts";
import { type DType, elements, type Graph, type Node, type OpName, type Tensor } from "./graph.ts";
import { codeOf, imageInput, rangeOf } from "./imageInput.ts";

export interface EndInfo {
  name: string;
  shape: number[];
  dtype: DType;
  /** Of the whole tensor; null where it has none. */
  scale: number | null;
  zeroPoint: number | null;
}

export interface InputInfo extends EndInfo {
  /** The real range that pixels are taken for, and how they become codes; null where the scale tells no convention. */
  image: { convention: string; rule: string } | null;
  /** Codes of the ends of a real range, clamped; null without quantization. */
  zeroToOne: [number, number] | null;
  minusOneToOne: [number, number] | null;
  /** Real values of the least and the largest code; null without quantization. */
  range: [number, number] | null;
}

export interface NodeInfo {
  index: number;
  op: OpName;
  name: string;
  /** Of the first output. */
  shape: number[];
  dtype: DType;
  parameters: number;
  weightBytes: number;
  macs: number;
  activation: string | null;
  /** Of the filter: type and granularity with the number of scales; null for ops without one. */
  weights: { dtype: DType; granularity: "per-tensor" | "per-channel" | "none"; scales: number } | null;
}

export interface Inspection {
  name: string;
  inputs: InputInfo[];
  outputs: EndInfo[];
  nodes: NodeInfo[];
  /** arenaBytes: one image's activations by the lifetime plan. weightBytes: constants that nodes read, as stored. */
  totals: { parameters: number; macs: number; weightBytes: number; arenaBytes: number };
}

export function inspectModel(graph: Graph): Inspection {
  const used = [...new Set(graph.nodes.flatMap(({ inputs }) => inputs))].map((id) => graph.tensors[id]);
  const constants = used.filter((tensor) => tensor?.data !== undefined);
  const nodes = graph.nodes.map((node, index) => nodeInfo(graph, node, index));
  return {
    name: graph.name,
    inputs: graph.inputs.map((id) => inputInfo(graph.tensors[id])),
    outputs: graph.outputs.map((id) => endInfo(graph.tensors[id])),
    nodes,
    totals: {
      parameters: sum(constants.map(({ shape }) => elements(shape))),
      macs: sum(nodes.map(({ macs }) => macs)),
      weightBytes: sum(constants.map(({ data }) => data!.byteLength)),
      arenaBytes: planArena(lifetimesOf(graph)).bytes,
    },
  };
}

const sum = (values: readonly number[]) => values.reduce((total, value) => total + value, 0);

function endInfo({ name, shape, dtype, quantization }: Tensor): EndInfo {
  return {
    name,
    shape,
    dtype,
    scale: quantization?.scale[0] ?? null,
    zeroPoint: quantization?.zeroPoint[0] ?? null,
  };
}

function inputInfo(tensor: Tensor): InputInfo {
  const image = mayBeImage(tensor) ? imageInput(tensor) : undefined;
  const codes = (low: number, high: number): [number, number] | null => {
    const [first, last] = [codeOf(low, tensor), codeOf(high, tensor)];
    return first === undefined || last === undefined ? null : [first, last];
  };
  return {
    ...endInfo(tensor),
    image: image ? { convention: image.convention, rule: image.rule } : null,
    zeroToOne: codes(0, 1),
    minusOneToOne: codes(-1, 1),
    range: rangeOf(tensor) ?? null,
  };
}

/** One, three or four channels (the last axis, or the second in NCHW) of at least 8x8 pixels. */
export function mayBeImage({ shape }: Pick<Tensor, "shape">): boolean {
  if (shape.length !== 4) return false;
  const [, first, second, third] = shape;
  return [
    [first, second, third],
    [second, third, first],
  ].some(([height, width, channels]) => height >= 8 && width >= 8 && [1, 3, 4].includes(channels));
}

function nodeInfo(graph: Graph, node: Node, index: number): NodeInfo {
  const { shape, dtype } = graph.tensors[node.outputs[0]];
  const constants = node.inputs.map((id) => graph.tensors[id]).filter((tensor) => tensor?.data !== undefined);
  const { activation } = node.attributes as { activation?: string };
  return {
    index,
    op: node.op,
    name: node.name,
    shape,
    dtype,
    parameters: sum(constants.map((tensor) => elements(tensor.shape))),
    weightBytes: sum(constants.map(({ data }) => data!.byteLength)),
    macs: macsOf(graph, node),
    activation: activation === undefined || activation === "NONE" ? null : activation,
    weights: weightsOf(graph.tensors[node.inputs[1]]),
  };
}

function weightsOf(filter: Tensor | undefined): NodeInfo["weights"] {
  if (filter?.data === undefined) return null;
  const scales = filter.quantization?.scale.length ?? 0;
  const granularity = scales === 0 ? "none" : scales === 1 ? "per-tensor" : "per-channel";
  return { dtype: filter.dtype, granularity, scales };
}

const BITS: Record<DType, number> = {
  float32: 32,
  int8: 8,
  uint8: 8,
  int4: 4,
  int16: 16,
  int32: 32,
  int64: 64,
};

/** Lifetimes of one image's activations; a RESHAPE's output is its input. */
function lifetimesOf(graph: Graph): Lifetime[] {
  const slots = new Map<number, Lifetime>();
  const open = (id: number, at: number) => {
    const { shape, dtype } = graph.tensors[id];
    const bytes = Math.ceil((elements(shape.slice(1)) * BITS[dtype]) / 8);
    slots.set(id, { bytes, first: at, last: at });
  };
  for (const id of graph.inputs) open(id, -1);
  graph.nodes.forEach((node, i) => {
    for (const id of node.inputs) if (slots.has(id)) slots.get(id)!.last = i;
    const source = node.op === "RESHAPE" ? slots.get(node.inputs[0]) : undefined;
    if (source) slots.set(node.outputs[0], source);
    else for (const id of node.outputs) open(id, i);
  });
  for (const id of graph.outputs) if (slots.has(id)) slots.get(id)!.last = graph.nodes.length;
  return [...new Set(slots.values())];
}

/** bytes needed beside what the device has; hasBytes null: the profile does not say, and then fits is null. */
export interface Fit {
  needsBytes: number;
  hasBytes: number | null;
  fits: boolean | null;
}

/** A model on one device. */
export interface TargetInfo {
  profile: string;
  title: string;
  /** Every node that the device cannot run, with the reason. */
  refused: string[];
  flash: Fit;
  ram: Fit;
  latency: { milliseconds: number; confidence: string } | null;
}

/** Whether a device can run a model, and at what cost. @throws ModelFormatError for shapes that do not fit. */
export function inspectTarget(graph: Graph, profile: Profile, kernels: Kernels): TargetInfo {
  const { totals } = inspectModel(graph);
  const { flashBytes, ramBytes } = profile.memory;
  const refused = refusedNodes(graph, profile, kernels);
  return {
    profile: profile.id,
    title: profile.title,
    refused,
    flash: roomFor(totals.weightBytes, flashBytes?.value),
    ram: roomFor(totals.arenaBytes, ramBytes?.value),
    latency: refused.length > 0 ? null : estimateLatency(graph, profile),
  };
}

/** Whether nothing known speaks against it. */
export function runsOn({ refused, flash, ram }: TargetInfo): boolean {
  return refused.length === 0 && flash.fits !== false && ram.fits !== false;
}

function refusedNodes(graph: Graph, profile: Profile, kernels: Kernels): string[] {
  try {
    compile(graph, profile, kernels);
    return [];
  } catch (error) {
    if (error instanceof UnsupportedOpError) return error.nodes;
    throw error;
  }
}

function roomFor(needsBytes: number, hasBytes: number | undefined): Fit {
  if (hasBytes === undefined) return { needsBytes, hasBytes: null, fits: null };
  return { needsBytes, hasBytes, fits: needsBytes <= hasBytes };
}
