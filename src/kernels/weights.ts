/** Weights as the kernels read them (assembly/accumulate.ts), and as they come. */
import type { Weights } from "./args.ts";
import { PANEL_LANES } from "./requantizers.ts";

/** count values of -8..7, two a byte, the even index in the low nibble. Source: TFLite and CMSIS-NN int4 packing. */
export function unpackInt4(packed: Int8Array | Uint8Array, count: number): Int8Array {
  return Int8Array.from({ length: count }, (_, i) => {
    const byte = packed[i >> 1];
    return i & 1 ? (byte << 24) >> 28 : (byte << 28) >> 28;
  });
}

/** The same the other way; values outside -8..7 lose their high bits. */
export function packInt4(values: ArrayLike<number>): Uint8Array {
  const packed = new Uint8Array(Math.ceil(values.length / 2));
  for (let i = 0; i < values.length; i++) packed[i >> 1] |= (values[i] & 15) << (i & 1 ? 4 : 0);
  return packed;
}

/** One value a weight, whatever the storage. */
export function wholeWeights({ weightBits, filter }: Weights, count: number): Int8Array | Int16Array {
  if (filter instanceof Int16Array) return filter;
  if (weightBits === 4) return unpackInt4(filter, count);
  return new Int8Array(filter.buffer, filter.byteOffset, count);
}

/** In how many int8 parts the largest of the weights comes: one for int8, up to three for -255..255. */
export function partsOf(filter: Int8Array | Int16Array): number {
  if (filter instanceof Int8Array) return 1;
  return filter.reduce((most, w) => Math.max(most, w > 254 ? 3 : w > 127 || w < -128 ? 2 : 1), 1);
}

/** Part 0, 1, ... of a weight: int8 values whose sum it is. */
export function partOf(weight: number, part: number, parts: number): number {
  return Math.floor((weight + part) / parts);
}

/** groups of groupDepth channels, each with `length` weights (an even number); at: channel counts over all groups. */
export interface Packing {
  weightBits: 8 | 4;
  groups: number;
  groupDepth: number;
  length: number;
  at(channel: number, k: number): number;
}

/** Panels of eight channels, [k / 2][8][2] as int8, or as nibbles: channels 4..7 in the high ones, 0..3 plus 8 in the low. */
export function packWeights({ weightBits, groups, groupDepth, length, at }: Packing): Uint8Array {
  const panels = Math.ceil(groupDepth / PANEL_LANES);
  const packed = new Uint8Array((groups * panels * PANEL_LANES * length * weightBits) / 8);
  let next = 0;
  for (let group = 0; group < groups; group++) {
    for (let panel = 0; panel < panels; panel++) {
      const weight = (lane: number, k: number) => {
        const channel = panel * PANEL_LANES + lane;
        return channel < groupDepth ? at(group * groupDepth + channel, k) : 0;
      };
      for (let k = 0; k < length; k += 2) {
        if (weightBits === 8) {
          for (let i = 0; i < 16; i++) packed[next++] = weight(i >> 1, k + (i & 1));
        } else {
          for (let i = 0; i < 8; i++) {
            packed[next++] = 16 * weight((i >> 1) + 4, k + (i & 1)) + weight(i >> 1, k + (i & 1)) + 8;
          }
        }
      }
    }
  }
  return packed;
}

/** The largest |x + inputOffset| of an int8 x. */
export function inputBound(inputOffset: number): number {
  return Math.max(Math.abs(inputOffset - 128), Math.abs(inputOffset + 127));
}

/** A bound on |bias + sum of x * w| over all channels. */
export function accumulatorBound(
  channels: number,
  length: number,
  bias: ArrayLike<number> | null,
  xBound: number,
  at: (channel: number, k: number) => number,
): number {
  let bound = 0;
  for (let channel = 0; channel < channels; channel++) {
    let sum = 0;
    for (let k = 0; k < length; k++) sum += Math.abs(at(channel, k));
    bound = Math.max(bound, sum * xBound + (bias === null ? 0 : Math.abs(bias[channel])));
  }
  return bound;
}
