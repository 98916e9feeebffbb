import { clamp, roundHalfAway } from "../kernels/requantize.ts";
import {
  elements,
  type Graph,
  type Node,
  type OpName,
  type Quantization,
  type Tensor,
} from "../model/graph.ts";
import {
  activationQuantization,
  packInt4,
  powerOfTwoQuantization,
  powerOfTwoScale,
  quantizeWeights,
} from "./uniform.ts";

/** Smallest and largest value that each activation tensor took, by tensor index. */
export type Ranges = ReadonlyMap<number, { minimum: number; maximum: number }>;

/** Scale and zero point of the activation tensor of this index. */
export type ActivationQuantizations = (tensor: number) => Quantization;

/** @throws RangeError for a tensor without a range. */
export function fromRanges(graph: Graph, ranges: Ranges): ActivationQuantizations {
  return (id) => {
    const range = ranges.get(id);
    if (!range)
      throw new RangeError(`tensor ${graph.tensors[id].name}: expected a calibrated range, got none`);
    return activationQuantization(range.minimum, range.maximum);
  };
}

/**
 * Powers of two. Tensors that a node needs at one scale (operands and output of ADD and SUB, input and output of what only
 * moves or selects) share that of the widest. @throws RangeError for a tensor without a range.
 */
export function powersOfTwo(
  graph: Graph,
  ranges: Ranges,
  { pooledMean }: Pick<StaticScheme, "pooledMean"> = {},
): ActivationQuantizations {
  const group = graph.tensors.map((_, id) => id);
  const rootOf = (id: number): number => (group[id] === id ? id : rootOf(group[id]));
  const shares = (op: OpName) => SHARES_INPUT.has(op) || (op === "MEAN" && pooledMean);
  for (const { op, inputs, outputs } of graph.nodes) {
    const together = op === "ADD" || op === "SUB" ? inputs : shares(op) ? [inputs[0]] : [];
    for (const id of together) if (!graph.tensors[id].data) group[rootOf(id)] = rootOf(outputs[0]);
  }
  return (wanted) => {
    const members = graph.tensors.flatMap((_, id) => (rootOf(id) === rootOf(wanted) ? [id] : []));
    const known = members.flatMap((id) => {
      if (graph.inputs.includes(id)) return [POWER_OF_TWO_INPUT];
      const range = ranges.get(id);
      return range ? [powerOfTwoQuantization(range.minimum, range.maximum)] : [];
    });
    if (known.length === 0)
      throw new RangeError(`tensor ${graph.tensors[wanted].name}: expected a calibrated range, got none`);
    return known.reduce((widest, next) => (next.scale[0] > widest.scale[0] ? next : widest));
  };
}

/** The activations of a scheme from calibrated ranges. */
export function activationsFor(graph: Graph, ranges: Ranges, scheme: StaticScheme): ActivationQuantizations {
  return scheme.powerOfTwo ? powersOfTwo(graph, ranges, scheme) : fromRanges(graph, ranges);
}

export interface StaticScheme {
  weightBits: 8 | 4;
  /** Of convolutions; FULLY_CONNECTED is per tensor, as TFLite's converter makes it, but for powers of two. */
  granularity: "per-channel" | "per-tensor";
  /** All scales are powers of two and all zero points 0. */
  powerOfTwo?: true;
  /** MEAN runs as AVERAGE_POOL_2D, and has the scale of its input. */
  pooledMean?: true;
  /** What a bias is held in, where that is less than int32: bits, of units. */
  bias?: { bits: number; unit: number };
}

/** The channel dimension of each op's filter. */
const FILTER_AXIS: Partial<Record<OpName, number>> = { CONV_2D: 0, DEPTHWISE_CONV_2D: 3, FULLY_CONNECTED: 0 };
/** Ops whose output has the scale and zero point of their input. */
const SHARES_INPUT: ReadonlySet<OpName> = new Set([
  "AVERAGE_POOL_2D",
  "MAX_POOL_2D",
  "RESHAPE",
  "PAD",
  "RELU",
  "RELU6",
]);
/** Fixed by TFLite's int8 specification. */
const SOFTMAX_OUTPUT: Quantization = { scale: Float32Array.of(1 / 256), zeroPoint: Int32Array.of(-128) };
/** The same for powers of two: 1 saturates at 127 / 128. */
const POWER_OF_TWO_INPUT: Quantization = { scale: Float32Array.of(1 / 128), zeroPoint: Int32Array.of(0) };
/** An input in [0, 1] = pixel / 255: the int8 value is exactly pixel - 128. */
export const IMAGE_INPUT: Quantization = { scale: Float32Array.of(1 / 255), zeroPoint: Int32Array.of(-128) };

/**
 * Static post-training quantization, TFLite's scheme: symmetric int8 or int4 weights, asymmetric int8 activations from
 * calibrated ranges, int32 bias of scale s_in * s_w. Adds the SOFTMAX that a shipped classifier ends with.
 * graph: float, batch norm folded, one image input (of [0, 1] unless `image` says what), one output of logits. Unused tensors are dropped.
 */
export function quantizeStatic(
  graph: Graph,
  activations: ActivationQuantizations,
  scheme: StaticScheme,
  image: Quantization = IMAGE_INPUT,
): Graph {
  const tensors: Tensor[] = graph.tensors.map((tensor) => ({ ...tensor }));
  for (const id of graph.inputs) tensors[id] = int8(tensors[id], scheme.powerOfTwo ? activations(id) : image);
  const nodes = graph.nodes.map((node) => quantizeNode(node, tensors, activations, scheme));
  const [logits] = graph.outputs;
  const probabilities = tensors.push(int8({ ...tensors[logits], name: "probabilities" }, SOFTMAX_OUTPUT)) - 1;
  nodes.push({
    op: "SOFTMAX",
    name: "softmax",
    inputs: [logits],
    outputs: [probabilities],
    attributes: { beta: 1 },
  });
  return compact({ name: graph.name, tensors, nodes, inputs: graph.inputs, outputs: [probabilities] });
}

function int8(tensor: Tensor, quantization: Quantization): Tensor {
  return { ...tensor, dtype: "int8", quantization };
}

function quantizeNode(
  node: Node,
  tensors: Tensor[],
  activations: ActivationQuantizations,
  scheme: StaticScheme,
): Node {
  const [output] = node.outputs;
  const input = tensors[node.inputs[0]];
  const own = SHARES_INPUT.has(node.op) ? input.quantization : activations(output);
  tensors[output] = int8(tensors[output], own!);
  const axis = FILTER_AXIS[node.op];
  return axis === undefined ? { ...node } : quantizeOperands(node, axis, tensors, scheme);
}

/** Filter and bias become tensors of this node's own, so that one shared by two nodes may differ in scale. */
function quantizeOperands(node: Node, axis: number, tensors: Tensor[], scheme: StaticScheme): Node {
  const [x, w, b] = node.inputs;
  const filter = tensors[w];
  const channels = filter.shape[axis];
  const real = b === undefined || b === -1 ? new Float32Array(channels) : (tensors[b].data as Float32Array);
  const narrow = node.op === "FULLY_CONNECTED" && !scheme.powerOfTwo;
  const granularity = narrow ? "per-tensor" : scheme.granularity;
  const { data, quantization } = quantizeWeights(
    filter.data as Float32Array,
    filter.shape,
    axis,
    scheme.weightBits,
    granularity,
    scheme.powerOfTwo && { least: leastFilterScale(real, tensors[x].quantization!.scale[0], scheme) },
  );
  const quantized: Tensor =
    scheme.weightBits === 4
      ? { ...filter, dtype: "int4", data: packInt4(data), quantization }
      : { ...filter, dtype: "int8", data, quantization };
  const inputs = [x, tensors.push(quantized) - 1];
  const scale = Float32Array.from(quantization.scale, (s) => s * tensors[x].quantization!.scale[0]);
  const { bits, unit } = scheme.bias ?? { bits: 32, unit: 1 };
  const toBias = (value: number) =>
    clamp(roundHalfAway(value / unit), -(2 ** (bits - 1)), 2 ** (bits - 1) - 1) * unit;
  const bias = Int32Array.from(real, (value, c) => toBias(value / scale[scale.length === 1 ? 0 : c]));
  const biasQuantization: Quantization = {
    scale,
    zeroPoint: new Int32Array(scale.length),
    ...(scale.length > 1 && { axis: 0 }),
  };
  inputs.push(
    tensors.push({
      name: `${node.name}/bias`,
      shape: [channels],
      dtype: "int32",
      data: bias,
      quantization: biasQuantization,
    }) - 1,
  );
  return { ...node, inputs } as Node;
}

/** The scale below which a bias would not fit its bits. */
function leastFilterScale(bias: Float32Array, inputScale: number, { bias: held }: StaticScheme): number {
  if (!held) return 0;
  const largest = bias.reduce((top, value) => Math.max(top, Math.abs(value)), 0);
  return largest === 0 ? 0 : powerOfTwoScale(largest / inputScale / held.unit, 2 ** (held.bits - 1) - 1);
}

/** Drops tensors that no node, input or output names, and renumbers the rest in order. */
export function compact(graph: Graph): Graph {
  const used = new Set<number>([...graph.inputs, ...graph.outputs]);
  for (const node of graph.nodes)
    for (const id of [...node.inputs, ...node.outputs]) if (id >= 0) used.add(id);
  const kept = [...used].sort((a, b) => a - b);
  const renumber = new Map(kept.map((id, i) => [id, i]));
  const map = (ids: number[]) => ids.map((id) => (id < 0 ? id : renumber.get(id)!));
  return {
    ...graph,
    tensors: kept.map((id) => graph.tensors[id]),
    nodes: graph.nodes.map((node) => ({ ...node, inputs: map(node.inputs), outputs: map(node.outputs) })),
    inputs: map(graph.inputs),
    outputs: map(graph.outputs),
  };
}

/** Bytes of constants as stored: what goes to flash. */
export function weightBytes(graph: Graph): number {
  return graph.tensors.reduce((sum, { data }) => sum + (data?.byteLength ?? 0), 0);
}

/** The float Graph whose weights are the integers' real values: what straight-through gradients run through. Ends at
 * the logits (the input of the final SOFTMAX). Tensor indices stay those of `graph`. */
export function dequantizedShadow(graph: Graph): Graph {
  const tensors = graph.tensors.map((tensor): Tensor => {
    const { quantization, ...rest } = tensor;
    if (!tensor.data) return { ...rest, dtype: "float32" };
    return { ...rest, dtype: "float32", data: dequantize(tensor) };
  });
  const last = graph.nodes.at(-1);
  const cut = last?.op === "SOFTMAX";
  return {
    ...graph,
    tensors,
    nodes: cut ? graph.nodes.slice(0, -1) : graph.nodes,
    outputs: cut ? [last.inputs[0]] : graph.outputs,
  };
}

function dequantize({ data, dtype, shape, quantization }: Tensor): Float32Array {
  if (!quantization) return Float32Array.from(data as Int8Array);
  const { scale, zeroPoint, axis } = quantization;
  const count = elements(shape);
  const inner = axis === undefined ? 1 : elements(shape.slice(axis + 1));
  const values = new Float32Array(count);
  for (let i = 0; i < count; i++) {
    const c = axis === undefined ? 0 : Math.floor(i / inner) % scale.length;
    const q =
      dtype === "int4" ? (((data as Uint8Array)[i >> 1] >> ((i & 1) * 4)) << 28) >> 28 : Number(data![i]);
    values[i] = scale[c] * (q - zeroPoint[c]);
  }
  return values;
}
