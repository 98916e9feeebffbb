import type { Graph } from "../model/graph.ts";
import type { FloatBackend } from "./backend.ts";
import { observe, type Pixels, prepare } from "./execute.ts";

/** Smallest and largest value of every activation over the images, by tensor index, as min/max calibration has them. */
export function calibrate(
  backend: FloatBackend,
  graph: Graph,
  images: { count: number; pixels: Pixels },
): Map<number, { minimum: number; maximum: number }> {
  const ids = graph.nodes.map(({ outputs }) => outputs[0]);
  const ranges = new Map(ids.map((id) => [id, { minimum: Infinity, maximum: -Infinity }]));
  const prepared = prepare(backend, graph);
  observe(prepared, images.pixels, images.count, ids, (values) => {
    for (const [id, tensor] of values) {
      const range = ranges.get(id)!;
      for (const value of tensor) {
        if (value < range.minimum) range.minimum = value;
        if (value > range.maximum) range.maximum = value;
      }
    }
  });
  prepared.dispose();
  return ranges;
}
