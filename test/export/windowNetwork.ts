import type { Graph, Node, Tensor } from "../../src/model/graph.ts";
import { outputShape } from "../../src/model/shapes.ts";
import type { Random } from "../../src/random.ts";

const DEPTH = 6;
const CLASSES = 5;
const stride = (size: number) => ({ strideHeight: size, strideWidth: size });
const undilated = { dilationHeight: 1, dilationWidth: 1 };

/**
 * A float network of the ops that ARCHITECTURES lacks: DEPTHWISE_CONV_2D with and without dilation, pads that are neither
 * SAME nor VALID, PAD, both pools, MUL, RESHAPE.
 */
export function windowNetwork(size: number, random: Random): Graph {
  const tensors: Tensor[] = [{ name: "input", shape: [1, size, size, 3], dtype: "float32" }];
  const nodes: Node[] = [];
  const constant = (shape: number[]) => {
    const count = shape.reduce((product, length) => product * length, 1);
    const data = Float32Array.from({ length: count }, () => 0.3 * random.normal());
    return tensors.push({ name: `constant${tensors.length}`, shape, dtype: "float32", data }) - 1;
  };
  const add = (node: Omit<Node, "name" | "outputs">): number => {
    const made = { ...node, name: `node${nodes.length}`, outputs: [tensors.length] } as Node;
    const shape = outputShape(
      made,
      made.inputs.map((id) => tensors[id].shape),
    );
    nodes.push(made);
    return tensors.push({ name: made.name, shape, dtype: "float32" }) - 1;
  };
  const filters = (shape: number[], channels: number) => [constant(shape), constant([channels])];
  const depthwise = (x: number, attributes: object): number =>
    add({
      op: "DEPTHWISE_CONV_2D",
      inputs: [x, ...filters([1, 3, 3, DEPTH], DEPTH)],
      attributes: { ...stride(1), ...undilated, depthMultiplier: 1, activation: "RELU6", ...attributes },
    } as Omit<Node, "name" | "outputs">);

  const stem = add({
    op: "CONV_2D",
    inputs: [0, ...filters([DEPTH, 3, 3, 3], DEPTH)],
    attributes: { ...stride(2), ...undilated, padding: [2, 1, 0, 1], activation: "RELU" },
  });
  const dilated = depthwise(stem, { padding: "SAME", dilationHeight: 2, dilationWidth: 2 });
  const halved = depthwise(dilated, { padding: [0, 1, 1, 1], ...stride(2), activation: "NONE" });
  const other = depthwise(dilated, { padding: [1, 0, 0, 1], ...stride(2) });
  const product = add({ op: "MUL", inputs: [halved, other], attributes: { activation: "NONE" } });
  const margin = add({
    op: "PAD",
    inputs: [product],
    attributes: { before: [0, 1, 0, 0], after: [0, 0, 1, 0] },
  });
  const pool = { ...stride(1), activation: "NONE", filterHeight: 2, filterWidth: 2 } as const;
  const most = add({ op: "MAX_POOL_2D", inputs: [margin], attributes: { ...pool, padding: "SAME" } });
  const mean = add({ op: "AVERAGE_POOL_2D", inputs: [most], attributes: { ...pool, padding: "VALID" } });
  const values = tensors[mean].shape.reduce((total, length) => total * length, 1);
  const row = add({ op: "RESHAPE", inputs: [mean], attributes: { shape: [1, values] } });
  const logits = add({
    op: "FULLY_CONNECTED",
    inputs: [row, ...filters([CLASSES, values], CLASSES)],
    attributes: { activation: "NONE" },
  });
  return { name: "windows", tensors, nodes, inputs: [0], outputs: [logits] };
}
