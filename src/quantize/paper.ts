import { clamp, roundHalfEven } from "../kernels/requantize.ts";
import type { Graph, OpName, Tensor } from "../model/graph.ts";
import { DYNAMIC, extremesOf } from "./dynamic.ts";
import { fakeQuantizeMinMax, fakeQuantizeSymmetric } from "./uniform.ts";

const FILTERED: ReadonlySet<OpName> = new Set(["CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED"]);

/** The graph with the data of some constants replaced; everything stays float. */
function mapConstants(
  graph: Graph,
  ids: ReadonlySet<number>,
  change: (values: Float32Array) => Float32Array,
): Graph {
  const tensors = graph.tensors.map(
    (tensor, id): Tensor => (ids.has(id) ? { ...tensor, data: change(tensor.data as Float32Array) } : tensor),
  );
  return { ...graph, tensors };
}

/** The paper's formula on every filter, one scale a tensor; biases and activations stay float. Source: arXiv 2512.06243. */
export function paperFormula(graph: Graph, bits: number): Graph {
  const filters = new Set(graph.nodes.filter(({ op }) => FILTERED.has(op)).map(({ inputs }) => inputs[1]));
  return mapConstants(graph, filters, (values) => fakeQuantizeSymmetric(values, bits));
}

/** INT4 as the paper's public code simulates it: minimum to maximum in 16 levels, one range a tensor, on every parameter
 * whose name there contains "weight", which takes in the gammas of batch norm. graph: batch norm not yet folded.
 * Source: Rohan-Pandey1729/quantization-backdoor-benchmark, src/quantize.py. */
export function paperInt4AsCoded(graph: Graph): Graph {
  const ids = graph.nodes.flatMap(({ op, inputs }) =>
    FILTERED.has(op) || op === "BATCH_NORMALIZATION" ? [inputs[1]] : [],
  );
  return mapConstants(graph, new Set(ids), (values) => fakeQuantizeMinMax(values, 4));
}

/**
 * torch.ao.quantization.quantize_dynamic of one Linear (qnnpack): qint8 weights, symmetric per tensor; quint8 activations
 * whose range is taken over the whole call. Returns count * classes logits.
 * filter: [classes][depth]. Source: torch 1.13.1, executed; ARITHMETIC section F.
 */
export function dynamicLinear(
  filter: Float32Array,
  bias: Float32Array,
  features: Float32Array,
): Float32Array {
  const classes = bias.length;
  const depth = filter.length / classes;
  const count = features.length / depth;
  const weightScale = Math.fround(filter.reduce((top, w) => Math.max(top, Math.abs(w)), 0) / 127.5) || 1;
  const weights = Int8Array.from(filter, (w) => clamp(roundHalfEven(w / weightScale), -128, 127));
  const { range, quantize } = DYNAMIC["pytorch-qnnpack"];
  const activations = range(extremesOf(features));
  const codes = Int32Array.from(features, (x) => quantize(x, activations) - activations.zeroPoint);
  const factor = Math.fround(activations.scale * weightScale);
  const logits = new Float32Array(count * classes);
  for (let i = 0; i < count; i++)
    for (let k = 0; k < classes; k++) {
      let acc = 0;
      for (let d = 0; d < depth; d++) acc += codes[i * depth + d] * weights[k * depth + d];
      logits[i * classes + k] = Math.fround(acc * factor) + bias[k];
    }
  return logits;
}
