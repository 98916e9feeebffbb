import { type NpyArray, parseNpy } from "../data/npy.ts";
import { DataError } from "../errors.ts";
import type { Values } from "../model/compile.ts";
import type { Graph } from "../model/graph.ts";
import { readInput } from "./io.ts";

/** What a model is run on. */
export interface Inputs {
  /** One a graph input, dense, `count` images each. */
  values: Values[];
  count: number;
}

/** The inputs of a model from .npy files, one a graph input, in its own type. @throws DataError naming the file. */
export async function readInputs(graph: Graph, names: readonly string[]): Promise<Inputs> {
  if (names.length !== graph.inputs.length)
    throw new DataError("--input", `${graph.inputs.length} files for ${graph.name}`, `${names.length}`);
  const arrays = await Promise.all(
    names.map(async (name) => parseNpy(await readInput(name, "a .npy file"), name)),
  );
  const count = arrays[0].shape[0] ?? 0;
  arrays.forEach((array, i) => checkArray(graph, i, array, { name: names[i], count }));
  return { values: arrays.map(({ data }) => data as Values), count };
}

function checkArray(
  graph: Graph,
  input: number,
  array: NpyArray,
  { name, count }: { name: string; count: number },
): void {
  const { shape, dtype } = graph.tensors[graph.inputs[input]];
  const image = shape.slice(1);
  if (String(array.shape.slice(1)) !== String(image) || array.shape[0] !== count || count === 0)
    throw new DataError(name, `shape (images, ${image.join(", ")})`, `(${array.shape.join(", ")})`);
  const type = array.data.constructor.name.replace("Array", "").toLowerCase();
  if (type !== dtype) throw new DataError(name, `${dtype} values`, type);
}

/** The first `images` of them. */
export function firstInputs({ values, count }: Inputs, images: number): Inputs {
  const kept = Math.min(images, count);
  return { values: values.map((all) => all.subarray(0, (all.length / count) * kept)), count: kept };
}
