import type { NpyArray } from "../data/npy.ts";
import { DataError } from "../errors.ts";
import type { Values } from "../model/compile.ts";
import type { Graph } from "../model/graph.ts";

/** What a model is run on. */
export interface Inputs {
  /** One a graph input, dense, `count` images each. */
  values: Values[];
  count: number;
}

/** An array and the file that it came from. */
export interface NamedArray {
  name: string;
  array: NpyArray;
}

/** The inputs of a model, one array a graph input, in its own type. @throws DataError naming the file. */
export function inputsOf(graph: Graph, arrays: readonly NamedArray[]): Inputs {
  if (arrays.length !== graph.inputs.length)
    throw new DataError("input", `${graph.inputs.length} files for ${graph.name}`, `${arrays.length}`);
  const count = arrays[0].array.shape[0] ?? 0;
  arrays.forEach((named, i) => checkArray(graph, i, named, count));
  return { values: arrays.map(({ array }) => array.data), count };
}

function checkArray(graph: Graph, input: number, { name, array }: NamedArray, count: number): void {
  const { shape, dtype } = graph.tensors[graph.inputs[input]];
  const image = shape.slice(1);
  if (String(array.shape.slice(1)) !== String(image) || array.shape[0] !== count || count === 0)
    throw new DataError(name, `shape (images, ${image.join(", ")})`, `(${array.shape.join(", ")})`);
  const type = array.data.constructor.name.replace("Array", "").toLowerCase();
  if (type !== dtype) throw new DataError(name, `${dtype} values`, type);
}
