import { ModelFormatError } from "../errors.ts";
import { elements, type Graph, type Node, type OpName, type Tensor } from "./graph.ts";

/** Operands of each op: [least, most] inputs. Every op but SPLIT has one output. */
const OPERANDS: Record<OpName, [number, number]> = {
  CONV_2D: [2, 3],
  DEPTHWISE_CONV_2D: [2, 3],
  FULLY_CONNECTED: [2, 3],
  ADD: [2, 2],
  MUL: [2, 2],
  AVERAGE_POOL_2D: [1, 1],
  MAX_POOL_2D: [1, 1],
  MEAN: [1, 1],
  SOFTMAX: [1, 1],
  PAD: [1, 1],
  RESHAPE: [1, 1],
  QUANTIZE: [1, 1],
  DEQUANTIZE: [1, 1],
  RELU: [1, 1],
  RELU6: [1, 1],
  BATCH_NORMALIZATION: [5, 5],
  RELU_N1_TO_1: [1, 1],
  SUB: [2, 2],
  TRANSPOSE_CONV: [2, 3],
  CONCATENATION: [1, 1024],
  SPLIT: [1, 1],
  STRIDED_SLICE: [1, 1],
  TRANSPOSE: [1, 1],
  RESIZE_NEAREST_NEIGHBOR: [1, 1],
  RESIZE_BILINEAR: [1, 1],
  LOGISTIC: [1, 1],
  TANH: [1, 1],
  HARD_SWISH: [1, 1],
  LOG_SOFTMAX: [1, 1],
  LEAKY_RELU: [1, 1],
  PRELU: [2, 2],
  CAST: [1, 1],
  BATCH_MATMUL: [2, 2],
};

/** Checks what every later step takes for granted: indices in range, each tensor made once and before its use, data
 * of the right length, finite weights.
 * @throws ModelFormatError naming the tensor or node. */
export function validateGraph(graph: Graph, where: string): void {
  graph.tensors.forEach((tensor) => validateTensor(tensor, `${where}: tensor ${tensor.name}`));
  const ready = graph.tensors.map(({ data }) => data !== undefined);
  const known = (id: number, place: string) => {
    if (id >= graph.tensors.length)
      throw new ModelFormatError(place, `a tensor below ${graph.tensors.length}`, `${id}`);
    return id;
  };
  for (const id of graph.inputs) ready[known(id, `${where}: inputs`)] = true;
  graph.nodes.forEach((node, i) =>
    validateNode(node, `${where}: node ${i} ${node.op} ${node.name}`, ready, known),
  );
  for (const id of graph.outputs)
    if (!ready[known(id, `${where}: outputs`)])
      throw new ModelFormatError(
        `${where}: output ${graph.tensors[id].name}`,
        "a node that makes it",
        "none",
      );
}

function validateNode(
  node: Node,
  place: string,
  ready: boolean[],
  known: (id: number, place: string) => number,
): void {
  const operands = OPERANDS[node.op];
  if (!operands) throw new ModelFormatError(place, `one of ${Object.keys(OPERANDS).join(", ")}`, node.op);
  const [least, most] = operands;
  if (node.inputs.length < least || node.inputs.length > most)
    throw new ModelFormatError(place, `${least} to ${most} inputs`, `${node.inputs.length}`);
  const made = node.op === "SPLIT" ? node.attributes.sizes.length : 1;
  if (node.outputs.length !== made)
    throw new ModelFormatError(place, `${made} outputs`, `${node.outputs.length}`);
  node.inputs.forEach((id, i) => {
    if (id === -1 && i >= least) return;
    if (id === -1 || !ready[known(id, place)])
      throw new ModelFormatError(
        place,
        `input ${i} made by an earlier node`,
        id === -1 ? "none" : `tensor ${id}`,
      );
  });
  for (const id of node.outputs) {
    const output = known(id, place);
    if (ready[output])
      throw new ModelFormatError(place, "outputs of its own", `tensor ${output}, made before`);
    ready[output] = true;
  }
}

/** A loop, since a callback's argument would be allocated for every weight. */
function firstNotFinite(values: Float32Array): number {
  for (let i = 0; i < values.length; i++) if (!Number.isFinite(values[i])) return i;
  return -1;
}

function validateTensor({ shape, dtype, data, quantization }: Tensor, place: string): void {
  if (data) {
    const count = elements(shape);
    const expected = dtype === "int4" ? (count + 1) >> 1 : count;
    if (data.length !== expected) throw new ModelFormatError(place, `${expected} values`, `${data.length}`);
    if (data instanceof Float32Array) {
      const bad = firstNotFinite(data);
      if (bad >= 0) throw new ModelFormatError(`${place}[${bad}]`, "a finite weight", `${data[bad]}`);
    }
  }
  if (!quantization) return;
  const { scale, zeroPoint, axis } = quantization;
  const channels = axis === undefined ? 1 : shape[axis];
  if (scale.length !== channels || zeroPoint.length !== channels)
    throw new ModelFormatError(
      `${place}: quantization`,
      `${channels} scales and zero points`,
      `${scale.length} and ${zeroPoint.length}`,
    );
  if (scale.some((s) => !(s > 0 && Number.isFinite(s))))
    throw new ModelFormatError(`${place}: quantization`, "positive finite scales", "another");
}
