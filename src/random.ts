/** A seeded source of random numbers; the same seed gives the same stream in every engine. */
export interface Random {
  /** Uniform in [0, 1), 32 bits. */
  uniform(): number;
  /** Uniform integer in [0, bound), bound at most 2^32. */
  below(bound: number): number;
  /** Standard normal: the sum of twelve uniforms less six, which needs no transcendental function. */
  normal(): number;
  /** A new independent stream named by `label`; does not advance this one. */
  fork(label: string): Random;
}

/** FNV-1a of the UTF-16 code units, 32 bits. */
function hashLabel(seed: number, label: string): number {
  let hash = (0x811c9dc5 ^ seed) >>> 0;
  for (let i = 0; i < label.length; i++) hash = Math.imul(hash ^ label.charCodeAt(i), 0x01000193) >>> 0;
  return hash;
}

/** sfc32 (Chris Doty-Humphrey, PractRand), seeded through splitmix32. seed: any 32-bit integer. */
export function seededRandom(seed: number): Random {
  let mix = seed >>> 0;
  const next32 = () => {
    mix = (mix + 0x9e3779b9) >>> 0;
    let z = mix;
    z = Math.imul(z ^ (z >>> 16), 0x21f0aaad);
    z = Math.imul(z ^ (z >>> 15), 0x735a2d97);
    return (z ^ (z >>> 15)) >>> 0;
  };
  let [a, b, c] = [next32(), next32(), next32()];
  let counter = 1;
  const draw = () => {
    const t = (((a + b) | 0) + counter) | 0;
    counter = (counter + 1) | 0;
    a = b ^ (b >>> 9);
    b = (c + (c << 3)) | 0;
    c = (c << 21) | (c >>> 11);
    c = (c + t) | 0;
    return t >>> 0;
  };
  for (let i = 0; i < 12; i++) draw();
  const uniform = () => draw() / 4294967296;
  return {
    uniform,
    below: (bound) => Math.floor(uniform() * bound),
    normal: () => {
      let sum = -6;
      for (let i = 0; i < 12; i++) sum += uniform();
      return sum;
    },
    fork: (label) => seededRandom(hashLabel(seed, label)),
  };
}

/** A Fisher-Yates permutation of 0..length-1. */
export function permutation(random: Random, length: number): Uint32Array {
  const order = Uint32Array.from({ length }, (_, i) => i);
  for (let i = length - 1; i > 0; i--) {
    const j = random.below(i + 1);
    [order[i], order[j]] = [order[j], order[i]];
  }
  return order;
}
