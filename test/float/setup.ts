import { loadTrainModule } from "../../src/cli/wasm.ts";
import type { ImageSet } from "../../src/data/dataset.ts";
import { startBackend } from "../../src/float/backend.ts";
import type { Attributes, Graph, Node, OpName } from "../../src/model/graph.ts";
import { type Random, seededRandom } from "../../src/random.ts";

export const backend = await startBackend(await loadTrainModule());

export const normals = (random: Random, length: number) =>
  Float32Array.from({ length }, () => random.normal());

/** An operand of a graph of one node: an activation's shape with the batch, or a constant. */
export interface Operand {
  shape: number[];
  data?: Float32Array;
}

/** One node between an input of shape input and an output of shape output; constants are drawn normal. */
export function oneNode<Op extends OpName>(
  op: Op,
  attributes: Attributes[Op],
  input: number[],
  constants: (number[] | undefined)[],
  output: number[],
  random: Random,
): Graph {
  const graph: Graph = { name: op, tensors: [], nodes: [], inputs: [0], outputs: [1] };
  graph.tensors.push({ name: "x", shape: input, dtype: "float32" });
  graph.tensors.push({ name: "y", shape: output, dtype: "float32" });
  const inputs = [0];
  for (const shape of constants) {
    if (!shape) {
      inputs.push(-1);
      continue;
    }
    const data = normals(
      random,
      shape.reduce((product, size) => product * size, 1),
    );
    inputs.push(graph.tensors.push({ name: `constant ${inputs.length}`, shape, dtype: "float32", data }) - 1);
  }
  graph.nodes.push({ op, name: op, inputs, outputs: [1], attributes } as Node);
  return graph;
}

/** Images of two colours a class: easy to learn. */
export function colouredImages(count: number, classes: number, size: number, seed: number): ImageSet {
  const random = seededRandom(seed);
  const pixels = new Uint8Array(count * size * size * 3);
  const labels = new Uint8Array(count);
  for (let i = 0; i < count; i++) {
    labels[i] = random.below(classes);
    for (let p = 0; p < size * size; p++) {
      for (let c = 0; c < 3; c++) {
        const level = (labels[i] * 89 + c * 57) % 200;
        pixels[(i * size * size + p) * 3 + c] = level + random.below(56);
      }
    }
  }
  return {
    count,
    height: size,
    width: size,
    channels: 3,
    pixels,
    labels,
    tracks: Int32Array.from(labels.keys()),
  };
}
