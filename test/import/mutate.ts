import type { Random } from "../../src/random.ts";

/** Words that break arithmetic on offsets, counts and sizes. */
export const EXTREMES = [
  0, 1, 2, 4, 0x7f, 0xff, 0x7fff, 0xffff, 0x00ffffff, 0x3fffffff, 0x40000000, 0x7ffffffc, 0x7fffffff,
  0x80000000, 0xfffffffc, 0xffffffff,
] as const;

type Bytes = Uint8Array<ArrayBuffer>;

/** A place that is more often in the structure than in the weights: tables lie at both ends of a file. */
function place(random: Random, length: number): number {
  const near = Math.min(length, 2048);
  const kind = random.below(3);
  if (kind === 0) return random.below(near);
  if (kind === 1) return length - 1 - random.below(near);
  return random.below(length);
}

const MUTATIONS: ((bytes: Bytes, random: Random) => Bytes)[] = [
  (bytes, random) => {
    bytes[place(random, bytes.length)] ^= 1 << random.below(8);
    return bytes;
  },
  (bytes, random) => {
    bytes[place(random, bytes.length)] = random.below(256);
    return bytes;
  },
  (bytes, random) => {
    const at = Math.min(place(random, bytes.length), bytes.length - 4) & ~3;
    const word = EXTREMES[random.below(EXTREMES.length)];
    if (at >= 0) new DataView(bytes.buffer).setUint32(at, word, true);
    return bytes;
  },
  (bytes, random) => {
    const at = Math.min(place(random, bytes.length), bytes.length - 4) & ~3;
    if (at < 0) return bytes;
    const view = new DataView(bytes.buffer);
    view.setInt32(at, view.getInt32(at, true) + random.below(65) - 32, true);
    return bytes;
  },
  (bytes, random) => {
    const length = 1 + random.below(64);
    const from = place(random, bytes.length);
    bytes.copyWithin(place(random, bytes.length), from, from + length);
    return bytes;
  },
  (bytes, random) => bytes.slice(0, random.below(bytes.length + 1)),
];

/** One to eight mutations of a copy. */
export function mutate(bytes: Uint8Array, random: Random): Bytes {
  let mutated = new Uint8Array(bytes);
  for (let count = 1 + random.below(8); count > 0 && mutated.length > 0; count--)
    mutated = MUTATIONS[random.below(MUTATIONS.length - (count > 1 ? 1 : 0))](mutated, random);
  return mutated;
}
