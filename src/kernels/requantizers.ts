/** The forms a requantizer has in wasm, and when each may be used. assembly/requantize.ts has the code. */
import type { Requantization } from "./args.ts";

/** Channels of a panel, and its words: seven fields of eight lanes. */
export const PANEL_LANES = 8;
const PANEL_WORDS = 56;

interface Channel {
  multiplier: number;
  shift: number;
  scale: number;
}

export interface Form {
  /** The number the kernels know it by. */
  id: number;
  requantizer: Requantization["requantizer"];
  /** Why it may be used: its vectors are exact under these conditions. */
  reason: string;
  allows(accBound: number, shifts: { min: number; max: number }): boolean;
  /** Fields of one channel, by word offset in the panel. lane: the channel's place; right: the largest right shift. */
  pack(words: Int32Array, lane: number, channel: Channel, right: number): void;
}

const MULTIPLIER = 8;
const SHIFT = 16;
const POWER = 24;
const NUDGE = 32;
const MASK = 40;
const FACTOR = 48;

const bounded: Form["allows"] = (accBound, shifts) =>
  accBound * 2 ** Math.max(shifts.max, 0) < 2 ** 28 && shifts.min >= -28;
const wide: Form["allows"] = (accBound, shifts) =>
  accBound * 2 ** Math.max(shifts.max, 0) < 2 ** 30 && shifts.min >= -30;
const aligned: Form["allows"] = (accBound, shifts) =>
  accBound * 2 ** (shifts.max - shifts.min) < 2 ** 30 && shifts.min >= -29 && shifts.max <= 0;
const always = () => true;

function packFixedPoint(words: Int32Array, lane: number, { multiplier, shift }: Channel): void {
  words[MULTIPLIER + lane] = multiplier;
  words[SHIFT + lane] = shift;
}

/** Fields of the wide and the bounded forms. before: the left shift before the product. Returns the right shift. */
function packBounded(words: Int32Array, lane: number, channel: Channel, before: number): number {
  packFixedPoint(words, lane, channel);
  const right = Math.max(-channel.shift, 0);
  words[FACTOR + lane] = 2 ** (Math.max(channel.shift, 0) + before);
  words[POWER + lane] = 2 ** (30 - right);
  return right;
}

/** A high product, then a right shift that half is added before. away: -1 where ties below zero go away from it. */
const packDouble =
  (before: number, away: 0 | -1): Form["pack"] =>
  (words, lane, channel) => {
    const right = packBounded(words, lane, channel, before);
    words[NUDGE + lane] = right === 0 ? 0 : 2 ** (right - 1);
    words[MASK + lane] = right === 0 ? 0 : away;
  };

/** One rounding of the product after a left shift, of which `bits` are lost. rounding: what is added to it. */
const packSingle =
  (rounding: (bits: bigint) => bigint, before = 3): Form["pack"] =>
  (words, lane, channel) => {
    const right = packBounded(words, lane, channel, before);
    const added = rounding(BigInt(right + 31 + before));
    words[NUDGE + 2 * lane] = Number(BigInt.asIntN(32, added));
    words[NUDGE + 2 * lane + 1] = Number(added >> 32n);
  };
const half = (bits: bigint) => 1n << (bits - 1n);

function packScale(words: Int32Array, lane: number, { scale }: Channel): void {
  new Float32Array(words.buffer, words.byteOffset, words.length)[MULTIPLIER + lane] = scale;
}

/** Rare roundings: the scalar form of each has this number, the vector form VECTOR more. least: of the shifts. */
const RARE: readonly {
  id: number;
  requantizer: Exclude<Requantization["requantizer"], "none">;
  pack: Form["pack"];
  least?: number;
}[] = [
  { id: 8, requantizer: "neon-double", pack: packDouble(1, 0) },
  { id: 9, requantizer: "half-away", pack: packSingle(half) },
  { id: 10, requantizer: "half-even", pack: packSingle(half) },
  { id: 11, requantizer: "toward-zero", pack: packSingle((bits) => (1n << bits) - 1n) },
  { id: 12, requantizer: "floor-nudge", pack: packDouble(1, -1) },
  { id: 13, requantizer: "sixteen-bit", pack: packDouble(0, 0) },
  { id: 14, requantizer: "wrap-sixteen", pack: packDouble(1, 0), least: 0 },
  { id: 15, requantizer: "carry-shift", pack: packSingle(half) },
];
const VECTOR = 16;

/** The first form of a requantizer that allows a layer is taken. */
export const FORMS: readonly Form[] = [
  {
    id: 6,
    requantizer: "tflite-double",
    reason: "brought to the largest right shift of the layer, a value fits 32 bits; no left shift",
    allows: aligned,
    pack(words, lane, channel, right) {
      packFixedPoint(words, lane, channel);
      words[POWER + lane] = 2 ** (right + channel.shift);
      words[MASK + lane] = channel.shift === 0 ? 0 : 2 ** (right + channel.shift);
    },
  },
  {
    id: 1,
    requantizer: "tflite-double",
    reason: "two 64-bit products, right for every accumulator; shifts of 31 would need a factor below 1",
    allows: (_, shifts) => shifts.min >= -30,
    pack(words, lane, channel) {
      const right = packBounded(words, lane, channel, 0);
      words[NUDGE + lane] = right === 0 ? 0 : 2 ** 29;
      words[MASK + lane] = right === 0 ? 0 : -1;
    },
  },
  {
    id: 0,
    requantizer: "tflite-double",
    reason: "64-bit scalar, right for every accumulator and shift",
    allows: always,
    pack: packFixedPoint,
  },
  {
    id: 7,
    requantizer: "tflite-single",
    reason:
      "brought to the largest right shift of the layer and doubled, a value fits 32 bits; no left shift",
    allows: aligned,
    pack(words, lane, channel, right) {
      packFixedPoint(words, lane, channel);
      words[POWER + lane] = 2 ** (right + channel.shift + 1);
    },
  },
  {
    id: 3,
    requantizer: "tflite-single",
    reason: "two 64-bit products, of which the first fits 62 bits",
    allows: wide,
    pack: packSingle(half, 0),
  },
  {
    id: 2,
    requantizer: "tflite-single",
    reason: "64-bit scalar, right for every accumulator and shift",
    allows: always,
    pack: packFixedPoint,
  },
  {
    id: 4,
    requantizer: "float-even",
    reason: "clamped before it is rounded, so right for every accumulator",
    allows: always,
    pack: packScale,
  },
  ...RARE.flatMap(({ id, requantizer, pack, least = -28 }): Form[] => [
    {
      id: id + VECTOR,
      requantizer,
      reason: "of rare families, in vectors: shifted left by up to three, a value fits 32 bits",
      allows: (accBound, shifts) => bounded(accBound, shifts) && shifts.min >= least,
      pack,
    },
    {
      id,
      requantizer,
      reason: "of rare families: 64-bit scalar, right for every accumulator",
      allows: (_, shifts) => least < 0 || shifts.min >= least,
      pack: packFixedPoint,
    },
  ]),
  {
    id: 16 + VECTOR,
    requantizer: "float-up",
    reason: "of rare families: clamped before it is rounded, so right for every accumulator",
    allows: always,
    pack: packScale,
  },
  {
    id: 16,
    requantizer: "float-up",
    reason: "the same in scalar code, for ops that requantize few values",
    allows: always,
    pack: packScale,
  },
  {
    id: 5,
    requantizer: "none",
    reason: "the accumulator is the output",
    allows: always,
    pack() {},
  },
];

/** The id of the exact scalar form, for ops that requantize few values. */
export function exactForm(requantizer: Requantization["requantizer"]): number {
  return FORMS.findLast((form) => form.requantizer === requantizer)!.id;
}

/** Multiplier, shift and scale of one channel; what a requantizer does not use is 0. */
export function channelOf(args: Requantization, channel: number): Channel {
  const at = (values: ArrayLike<number>) => values[values.length === 1 ? 0 : channel];
  if (args.requantizer === "none") return { multiplier: 0, shift: 0, scale: 0 };
  if (args.requantizer === "float-even" || args.requantizer === "float-up") {
    return { multiplier: 0, shift: 0, scale: Math.fround(at(args.scale)) };
  }
  return { multiplier: at(args.multiplier), shift: at(args.shift), scale: 0 };
}

/** The least and the greatest shift of a layer; 0 where it has none. */
export function shiftRange(args: Requantization): { min: number; max: number } {
  if (!("shift" in args)) return { min: 0, max: 0 };
  const shifts = Array.from(args.shift);
  return {
    min: shifts.reduce((least, shift) => Math.min(least, shift)),
    max: shifts.reduce((most, shift) => Math.max(most, shift)),
  };
}

/** The form for a layer whose accumulators never exceed accBound in magnitude. */
export function chooseForm(args: Requantization, accBound: number): { form: Form; rightShift: number } {
  const shifts = shiftRange(args);
  const form = FORMS.find((row) => row.requantizer === args.requantizer && row.allows(accBound, shifts))!;
  return { form, rightShift: Math.max(-shifts.min, 0) };
}

/** Panels of eight channels: bias and the form's fields. groups: each starts a panel of its own; rightShift: chooseForm's. */
export function packPanels(
  form: Form,
  args: Requantization,
  rightShift: number,
  bias: ArrayLike<number> | null,
  shape: { groups: number; groupDepth: number },
): Int32Array {
  const panelsPerGroup = Math.ceil(shape.groupDepth / PANEL_LANES);
  const words = new Int32Array(shape.groups * panelsPerGroup * PANEL_WORDS);
  for (let group = 0; group < shape.groups; group++) {
    for (let i = 0; i < shape.groupDepth; i++) {
      const panel = group * panelsPerGroup + Math.floor(i / PANEL_LANES);
      const fields = words.subarray(panel * PANEL_WORDS, (panel + 1) * PANEL_WORDS);
      const channel = group * shape.groupDepth + i;
      fields[i % PANEL_LANES] = bias === null ? 0 : bias[channel];
      form.pack(fields, i % PANEL_LANES, channelOf(args, channel), rightShift);
    }
  }
  return words;
}
