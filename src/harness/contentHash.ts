const rotate = (x: number, by: number) => (x << by) | (x >>> (32 - by));

/** 106 bits that stand for some bytes. */
export interface ContentHash {
  /** 53 bits, for a Map. */
  key: number;
  /** 53 more. */
  check: number;
}

const FACTORS = [0x239b961b, 0xab0e9789, 0x38b34ae5, 0xa1e38b93] as const;

/**
 * A hash of byte arrays of up to `bytes` bytes, by the block loop and the final mix of MurmurHash3_x86_128: 106 of its
 * 128 bits. For caches, where nobody looks for collisions.
 * Source: A. Appleby, MurmurHash3.cpp (public domain), smhasher 61a0530.
 */
export function contentHasher(bytes: number): (data: Uint8Array | Float32Array) => ContentHash {
  const words = new Int32Array(4 * Math.ceil(bytes / 16));
  const buffer = new Uint8Array(words.buffer);
  return (data) => {
    buffer.set(new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
    buffer.fill(0, data.byteLength);
    const blocks = 4 * Math.ceil(data.byteLength / 16);
    let [h1, h2, h3, h4] = [0, 0, 0, 0];
    for (let i = 0; i < blocks; i += 4) {
      h1 ^= Math.imul(rotate(Math.imul(words[i], FACTORS[0]), 15), FACTORS[1]);
      h1 = (Math.imul((rotate(h1, 19) + h2) | 0, 5) + 0x561ccd1b) | 0;
      h2 ^= Math.imul(rotate(Math.imul(words[i + 1], FACTORS[1]), 16), FACTORS[2]);
      h2 = (Math.imul((rotate(h2, 17) + h3) | 0, 5) + 0x0bcaa747) | 0;
      h3 ^= Math.imul(rotate(Math.imul(words[i + 2], FACTORS[2]), 17), FACTORS[3]);
      h3 = (Math.imul((rotate(h3, 15) + h4) | 0, 5) + 0x96cd1c35) | 0;
      h4 ^= Math.imul(rotate(Math.imul(words[i + 3], FACTORS[3]), 18), FACTORS[0]);
      h4 = (Math.imul((rotate(h4, 13) + h1) | 0, 5) + 0x32ac3b17) | 0;
    }
    const [a, b, c, d] = mixed(h1, h2, h3, h4, data.byteLength);
    return { key: (a >>> 0) * 2 ** 21 + (b >>> 11), check: (c >>> 0) * 2 ** 21 + (d >>> 11) };
  };
}

function mixed(h1: number, h2: number, h3: number, h4: number, length: number): number[] {
  const spread = (values: number[]) => {
    const first = (values[0] + values[1] + values[2] + values[3]) | 0;
    return [first, ...values.slice(1).map((value) => (value + first) | 0)];
  };
  return spread(spread([h1, h2, h3, h4].map((value) => value ^ length)).map(finalMix));
}

function finalMix(value: number): number {
  let h = Math.imul(value ^ (value >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return h ^ (h >>> 16);
}
