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
    for (const [id, tensor] of values) widen(ranges.get(id)!, tensor);
  });
  prepared.dispose();
  return ranges;
}

function widen(range: { minimum: number; maximum: number }, values: Float32Array): void {
  let { minimum, maximum } = range;
  for (let i = 0; i < values.length; i++) {
    if (values[i] < minimum) minimum = values[i];
    if (values[i] > maximum) maximum = values[i];
  }
  range.minimum = minimum;
  range.maximum = maximum;
}
