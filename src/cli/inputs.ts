import { parseNpy } from "../data/npy.ts";
import { type Inputs, inputsOf } from "../harness/inputs.ts";
import type { Graph } from "../model/graph.ts";
import { readInput } from "./io.ts";

/** The inputs of a model from .npy files, one a graph input, in its own type. @throws DataError naming the file. */
export async function readInputs(graph: Graph, names: readonly string[]): Promise<Inputs> {
  const arrays = names.map(async (name) => ({
    name,
    array: parseNpy(await readInput(name, "a .npy file"), name),
  }));
  return inputsOf(graph, await Promise.all(arrays));
}

/** The first `images` of them. */
export function firstInputs({ values, count }: Inputs, images: number): Inputs {
  const kept = Math.min(images, count);
  return { values: values.map((all) => all.subarray(0, (all.length / count) * kept)), count: kept };
}
