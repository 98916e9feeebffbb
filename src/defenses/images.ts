import { type ImageSet, select } from "../data/dataset.ts";

/** The images from..to of a set, sharing its memory; fewer where the set ends. */
export function slice(set: ImageSet, from: number, to: number): ImageSet {
  const end = Math.min(to, set.count);
  const start = Math.min(from, end);
  const size = set.height * set.width * set.channels;
  return {
    ...set,
    count: end - start,
    pixels: set.pixels.subarray(start * size, end * size),
    labels: set.labels.subarray(start, end),
    tracks: set.tracks.subarray(start, end),
  };
}

/** The first `count` images whose label is not `label`. */
export function firstOthers(set: ImageSet, label: number, count: number): ImageSet {
  const indices: number[] = [];
  for (let i = 0; i < set.count && indices.length < count; i++) if (set.labels[i] !== label) indices.push(i);
  return select(set, indices);
}
