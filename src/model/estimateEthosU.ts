/** Cycles of an Ethos-U by Vela's formula. Source: nxp-imx/ethos-u-vela a6f6566, npu_performance.py and
 * architecture_features.py; the block is searched here within the same limits, not taken from Vela's scheduler. */
import type { Profile } from "../profile/schema.ts";
import { type DType, elements, type Graph, type Node } from "./graph.ts";

type EthosU = NonNullable<Profile["compute"]["ethosU"]>;

/** Values of the input's depth that a block holds, for int8. */
const INPUT_BLOCK_DEPTH = 32;
const MAX_BLOCK = { width: 64, height: 32, depth: 128 };
const ACCUMULATOR_BYTES = 4;

interface Layer {
  kind: "conv" | "depthwise" | "pool";
  width: number;
  height: number;
  depth: number;
  inputDepth: number;
  filterHeight: number;
  filterWidth: number;
  stride: number;
  cyclesPerOutput: number;
}
interface Block {
  width: number;
  height: number;
  depth: number;
}

/** Steps of one micro-block of a block: sub-kernels have at most 8 x 8 taps, depthwise takes four taps a step. */
function stepsOf({ kind, filterHeight, filterWidth }: Layer): number {
  let steps = 0;
  for (let y = 0; y < filterHeight; y += 8)
    for (let x = 0; x < filterWidth; x += 8) {
      const taps = Math.min(8, filterHeight - y) * Math.min(8, filterWidth - x);
      steps += kind === "depthwise" ? Math.ceil(taps / 4) : taps;
    }
  return steps;
}

function computeCycles(layer: Layer, block: Block, [width, height, depth]: EthosU["microBlock"]): number {
  const plane = Math.ceil(block.width / width) * Math.ceil(block.height / height);
  const planes = Math.ceil(block.depth / depth);
  if (layer.kind === "pool") return Math.max(4, stepsOf(layer)) * plane * planes;
  const inputs = layer.kind === "conv" ? Math.ceil(layer.inputDepth / INPUT_BLOCK_DEPTH) : 1;
  return Math.max((32 * depth) / 8, 4 * plane) * stepsOf(layer) * planes * inputs;
}

function blockCycles(layer: Layer, block: Block, npu: EthosU): number {
  const outputs = block.width * block.height * block.depth * layer.cyclesPerOutput;
  return Math.max(computeCycles(layer, block, npu.microBlock), outputs);
}

/** Two blocks of input and two of accumulators lie in the shared memory at once. */
function fits(layer: Layer, block: Block, shramBytes: number): boolean {
  const rows = (block.height - 1) * layer.stride + Math.min(8, layer.filterHeight);
  const columns = (block.width - 1) * layer.stride + Math.min(8, layer.filterWidth);
  const depth = layer.kind === "conv" ? Math.min(INPUT_BLOCK_DEPTH, layer.inputDepth) : block.depth;
  const accumulators = block.width * block.height * block.depth * ACCUMULATOR_BYTES;
  return 2 * (rows * columns * depth + accumulators) <= shramBytes;
}

function* multiples(unit: number, size: number, top: number): Generator<number> {
  for (let value = unit; value < size + unit && value <= top; value *= 2) yield value;
}

/** The cheapest block: its cycles times the number of blocks, and one more to fill the pipeline. */
function layerCycles(layer: Layer, npu: EthosU): number {
  const [w, h, d] = npu.microBlock;
  let best = Infinity;
  for (const width of multiples(w, layer.width, MAX_BLOCK.width))
    for (const height of multiples(h, layer.height, MAX_BLOCK.height))
      for (const depth of multiples(d, layer.depth, MAX_BLOCK.depth)) {
        const block = { width, height, depth };
        if (!fits(layer, block, npu.shramBytes)) continue;
        const count =
          Math.ceil(layer.width / width) * Math.ceil(layer.height / height) * Math.ceil(layer.depth / depth);
        best = Math.min(best, (count + 1) * blockCycles(layer, block, npu));
      }
  return best;
}

const BYTES: Partial<Record<DType, number>> = { int16: 2, int32: 4, int64: 8 };
const bytesOf = (graph: Graph, id: number) =>
  elements(graph.tensors[id].shape) * (BYTES[graph.tensors[id].dtype] ?? 1);

function windowLayer(graph: Graph, node: Node, npu: EthosU): Layer | null {
  const [, height, width, depth] = [1, 1, 1, 1, ...graph.tensors[node.outputs[0]].shape.slice(1)].slice(-4);
  const common = { height, width, depth, stride: 1, filterHeight: 1, filterWidth: 1 };
  const cyclesPerOutput = npu.cyclesPerOutput.CONV_2D;
  switch (node.op) {
    case "CONV_2D": {
      const [, filterHeight, filterWidth, inputDepth] = graph.tensors[node.inputs[1]].shape;
      const stride = node.attributes.strideHeight;
      return { ...common, kind: "conv", filterHeight, filterWidth, inputDepth, stride, cyclesPerOutput };
    }
    // Vela convolves the input with zeros between its pixels.
    case "TRANSPOSE_CONV": {
      const [, filterHeight, filterWidth, inputDepth] = graph.tensors[node.inputs[1]].shape;
      return { ...common, kind: "conv", filterHeight, filterWidth, inputDepth, cyclesPerOutput };
    }
    case "DEPTHWISE_CONV_2D": {
      const [, filterHeight, filterWidth] = graph.tensors[node.inputs[1]].shape;
      const stride = node.attributes.strideHeight;
      return {
        ...common,
        kind: "depthwise",
        filterHeight,
        filterWidth,
        inputDepth: 1,
        stride,
        cyclesPerOutput,
      };
    }
    case "FULLY_CONNECTED":
      return {
        ...common,
        kind: "conv",
        inputDepth: graph.tensors[node.inputs[1]].shape[1],
        cyclesPerOutput,
      };
    case "AVERAGE_POOL_2D":
    case "MAX_POOL_2D": {
      const { filterHeight, filterWidth, strideHeight: stride } = node.attributes;
      const own = node.op === "MAX_POOL_2D" ? npu.cyclesPerOutput.MAX_POOL_2D : cyclesPerOutput;
      return {
        ...common,
        kind: "pool",
        filterHeight,
        filterWidth,
        inputDepth: 1,
        stride,
        cyclesPerOutput: own,
      };
    }
    default:
      return null;
  }
}

/** Cycles of one node: products or outputs, bounded by the traffic of its operands. */
export function ethosCycles(graph: Graph, node: Node, npu: EthosU): number {
  if (node.op === "RESHAPE") return 0;
  const traffic = [...node.inputs, ...node.outputs].filter((id) => id >= 0);
  const memory = traffic.reduce((sum, id) => sum + bytesOf(graph, id), 0) / npu.bytesPerCycle;
  const layer = windowLayer(graph, node, npu);
  if (layer) return Math.max(memory, layerCycles(layer, npu));
  const { ADD, MUL, table } = npu.cyclesPerOutput;
  const each = node.op === "ADD" || node.op === "SUB" ? ADD : node.op === "MUL" ? MUL : table;
  return Math.max(memory, elements(graph.tensors[node.outputs[0]].shape.slice(1)) * each);
}
