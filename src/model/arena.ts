/** A tensor's need of memory: alive from step `first` (that writes it) to step `last` (that reads it last). */
export interface Lifetime {
  bytes: number;
  first: number;
  last: number;
}

const ALIGNMENT = 16;

/** Offsets in one arena such that no two tensors alive at the same step overlap, and the arena's size. Largest first, each
 * at the lowest offset that is free for its life: TFLite Micro's GreedyMemoryPlanner. */
export function planArena(lifetimes: readonly Lifetime[]): { offsets: number[]; bytes: number } {
  const offsets = new Array<number>(lifetimes.length).fill(0);
  const order = lifetimes.map((_, i) => i).sort((a, b) => lifetimes[b].bytes - lifetimes[a].bytes || a - b);
  const placed: number[] = [];
  let bytes = 0;
  for (const i of order) {
    const { first, last } = lifetimes[i];
    const size = align(lifetimes[i].bytes);
    const rivals = placed
      .filter((j) => lifetimes[j].first <= last && first <= lifetimes[j].last)
      .sort((a, b) => offsets[a] - offsets[b]);
    let at = 0;
    for (const j of rivals) {
      if (at + size <= offsets[j]) break;
      at = Math.max(at, offsets[j] + align(lifetimes[j].bytes));
    }
    offsets[i] = at;
    placed.push(i);
    bytes = Math.max(bytes, at + size);
  }
  return { offsets, bytes };
}

function align(bytes: number): number {
  return Math.ceil(bytes / ALIGNMENT) * ALIGNMENT;
}
