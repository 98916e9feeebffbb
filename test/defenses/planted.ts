import type { PoisonedSet, Trigger } from "../../src/attacks/attack.ts";
import { type ImageSet, select } from "../../src/data/dataset.ts";
import type { AccessLevel, Material, Pixels, Subject } from "../../src/defenses/defense.ts";
import { type Random, seededRandom } from "../../src/random.ts";

/**
 * A model written down, not trained: ten matched filters, one a class, and one unit that answers to a bright 3x3 patch
 * against its surroundings and feeds the target's logit. Its clean twin has no such wire.
 */
export const CLASSES = 10;
export const TARGET = 3;
const SIDE = 12;
const CHANNELS = 3;
const AREA = SIDE * SIDE;
const SIZE = AREA * CHANNELS;
const BRIGHTNESS = 100;
const CONTRAST = 60;
/** Hidden units: one a class, the planted one, and three that never fire. */
const UNITS = CLASSES + 4;
const PLANTED = CLASSES;

const inPatch = (p: number) =>
  Math.floor(p / SIDE) >= 8 && Math.floor(p / SIDE) < 11 && p % SIDE >= 8 && p % SIDE < 11;
const inSurroundings = (p: number) => Math.floor(p / SIDE) >= 6 && p % SIDE >= 6 && !inPatch(p);

export const TRIGGER: Trigger = {
  height: SIDE,
  width: SIDE,
  channels: CHANNELS,
  mask: Uint8Array.from({ length: AREA }, (_, p) => (inPatch(p) ? 1 : 0)),
  pattern: new Uint8Array(SIZE).fill(255),
};

/** One picture a class, mean 0 and root mean square 1, blocks of 3x3 pixels. */
function templates(random: Random): Float64Array[] {
  return Array.from({ length: CLASSES }, () => {
    const blocks = Array.from({ length: 16 * CHANNELS }, () => random.normal());
    const values = Float64Array.from({ length: SIZE }, (_, at) => {
      const [p, c] = [Math.floor(at / CHANNELS), at % CHANNELS];
      return blocks[(Math.floor(p / SIDE / 3) * 4 + Math.floor((p % SIDE) / 3)) * CHANNELS + c];
    });
    const mean = values.reduce((a, b) => a + b, 0) / SIZE;
    const rms = Math.sqrt(values.reduce((sum, value) => sum + (value - mean) * (value - mean), 0) / SIZE);
    return values.map((value) => (value - mean) / rms);
  });
}

const PICTURES = templates(seededRandom(11));

/** UNITS rows of SIZE weights on (pixel - 100) / 60, and their thresholds. */
const WEIGHTS = Array.from({ length: UNITS }, (_, u) => {
  if (u < CLASSES) return PICTURES[u].map((value) => value / SIZE);
  const row = new Float64Array(SIZE);
  if (u > PLANTED) return row;
  for (let at = 0; at < SIZE; at++) {
    const p = Math.floor(at / CHANNELS);
    row[at] = (inPatch(p) ? 1 / 27 : inSurroundings(p) ? -1 / 81 : 0) * (CONTRAST / 155);
  }
  return row;
});
const THRESHOLDS = Array.from({ length: UNITS }, (_, u) => (u < CLASSES ? 0.1 : 0.35));

function wires(backdoored: boolean): Float64Array[] {
  return Array.from({ length: CLASSES }, (_, c) => {
    const row = new Float64Array(UNITS);
    row[c] = 8;
    if (c === TARGET && backdoored) row[PLANTED] = 40;
    return row;
  });
}

function drawImages(random: Random, count: number): ImageSet {
  const labels = Uint8Array.from({ length: count }, (_, i) => i % CLASSES);
  const pixels = new Uint8Array(count * SIZE);
  for (let i = 0; i < count; i++)
    for (let at = 0; at < SIZE; at++) {
      const value = BRIGHTNESS + CONTRAST * PICTURES[labels[i]][at] + 12 * random.normal();
      pixels[i * SIZE + at] = Math.min(255, Math.max(0, Math.round(value)));
    }
  const tracks = Int32Array.from({ length: count }, (_, i) => i);
  return { count, height: SIDE, width: SIDE, channels: CHANNELS, pixels, labels, tracks };
}

function stamp(pixels: Uint8Array): void {
  for (let at = 0; at < pixels.length; at++)
    if (inPatch(Math.floor((at % SIZE) / CHANNELS))) pixels[at] = 255;
}

function poison(train: ImageSet, share: number): PoisonedSet {
  const copy = select(
    train,
    Uint32Array.from({ length: train.count }, (_, i) => i),
  );
  const poisoned = new Uint8Array(train.count);
  for (let i = 0; i < train.count * share; i++) {
    if (copy.labels[i] === TARGET) continue;
    poisoned[i] = 1;
    copy.labels[i] = TARGET;
    stamp(copy.pixels.subarray(i * SIZE, (i + 1) * SIZE));
  }
  return { ...copy, poisoned };
}

/** Material of the backdoored model or of its clean twin. */
export function plantedMaterial(backdoored: boolean): Material {
  const random = seededRandom(7);
  const train = drawImages(random.fork("train"), 400);
  const test = drawImages(random.fork("test"), 200);
  const triggered = select(
    test,
    Array.from(test.labels, (_, i) => i).filter((i) => test.labels[i] !== TARGET),
  );
  stamp(triggered.pixels);
  return {
    clean: drawImages(random.fork("clean"), 300),
    training: poison(train, backdoored ? 0.03 : 0),
    test,
    triggered,
    truth: { backdoored, target: TARGET, trigger: TRIGGER },
  };
}

interface Weights {
  /** CLASSES rows of UNITS. */
  output: Float64Array[];
  pruned: ReadonlySet<number>;
  /** Images are put on the uint8 grid first. */
  integer: boolean;
}

/** The planted unit bends softly, so that a gradient reaches it before it fires. */
const SOFTNESS = 0.1;
const softplus = (x: number) => SOFTNESS * Math.log(1 + Math.exp(x / SOFTNESS));
/** d softplus / dx from its value. */
const softplusSlope = (value: number) => 1 - Math.exp(-value / SOFTNESS);

function hidden(pixels: Pixels, image: number, { pruned, integer }: Weights): Float64Array {
  const units = new Float64Array(UNITS);
  const values = Float64Array.from({ length: SIZE }, (_, at) => {
    const pixel = pixels[image * SIZE + at];
    const seen = integer ? Math.min(255, Math.max(0, Math.floor(pixel + 0.5))) : pixel;
    return (seen - BRIGHTNESS) / CONTRAST;
  });
  for (let u = 0; u < UNITS; u++) {
    if (pruned.has(u)) continue;
    let sum = -THRESHOLDS[u];
    for (let at = 0; at < SIZE; at++) sum += WEIGHTS[u][at] * values[at];
    units[u] = u === PLANTED ? softplus(sum) : Math.max(0, sum);
  }
  return units;
}

function allHidden(pixels: Pixels, count: number, weights: Weights): Float32Array {
  const all = new Float32Array(count * UNITS);
  for (let i = 0; i < count; i++) all.set(hidden(pixels, i, weights), i * UNITS);
  return all;
}

function logitsOf(units: Float32Array, count: number, weights: Weights): Float32Array {
  const logits = new Float32Array(count * CLASSES);
  for (let i = 0; i < count; i++)
    for (let c = 0; c < CLASSES; c++)
      logits[i * CLASSES + c] = weights.output[c].reduce((sum, w, u) => sum + w * units[i * UNITS + u], 0);
  return logits;
}

function pixelGradient(units: Float32Array, upstream: Float32Array, count: number, weights: Weights) {
  const gradient = new Float32Array(count * SIZE);
  for (let i = 0; i < count; i++)
    for (let u = 0; u < UNITS; u++) {
      if (units[i * UNITS + u] === 0) continue;
      let back = 0;
      for (let c = 0; c < CLASSES; c++) back += upstream[i * CLASSES + c] * weights.output[c][u];
      if (back === 0) continue;
      if (u === PLANTED) back *= softplusSlope(units[i * UNITS + u]);
      for (let at = 0; at < SIZE; at++) gradient[i * SIZE + at] += (back * WEIGHTS[u][at]) / CONTRAST;
    }
  return gradient;
}

/** A softmax as an int8 output gives it: multiples of 1/256, below 1/512 it is 0. */
function int8Softmax(logits: Float32Array): Float32Array {
  const shares = new Float32Array(logits.length);
  for (let from = 0; from < logits.length; from += CLASSES) {
    const row = [...logits.subarray(from, from + CLASSES)].map((z) => Math.exp(z));
    const sum = row.reduce((a, b) => a + b, 0);
    row.forEach((value, c) => {
      shares[from + c] = Math.min(255, Math.round((256 * value) / sum)) / 256;
    });
  }
  return shares;
}

function oneHot(logits: Float32Array): Float32Array {
  const labels = new Float32Array(logits.length);
  for (let from = 0; from < logits.length; from += CLASSES) {
    const row = [...logits.subarray(from, from + CLASSES)];
    labels[from + row.indexOf(Math.max(...row))] = 1;
  }
  return labels;
}

function build(access: AccessLevel, weights: Weights): Subject {
  const level = Number(access[1]);
  const logits = (pixels: Pixels, count: number) =>
    logitsOf(allHidden(pixels, count, weights), count, weights);
  const why = `${access} does not show them`;
  const subject: Subject = {
    name: `planted at ${access}`,
    access,
    integer: weights.integer,
    classes: CLASSES,
    height: SIDE,
    width: SIDE,
    channels: CHANNELS,
    scoreKind: level < 4 ? "logits" : level === 4 ? "softmax" : "label",
    scores: (pixels, count) => {
      const values = logits(pixels, count);
      return level < 4 ? values : level === 4 ? int8Softmax(values) : oneHot(values);
    },
    missing:
      level < 2
        ? {}
        : level === 2
          ? { gradient: why, tune: why }
          : { gradient: why, features: why, pruning: why, tune: why },
  };
  if (level <= 2) {
    subject.featureDepth = UNITS;
    subject.features = (pixels, count) => allHidden(pixels, count, weights);
    subject.convolutionMeans = (pixels, count) => meanOf(allHidden(pixels, count, weights), count);
    subject.pruning = {
      channels: UNITS,
      meanActivation: (pixels, count) => meanOf(allHidden(pixels, count, weights), count),
      without: (channels) => build(access, { ...weights, pruned: new Set([...weights.pruned, ...channels]) }),
    };
  }
  if (level <= 1) {
    subject.gradient = (pixels, count, logitsGradient) => {
      const units = allHidden(pixels, count, weights);
      const values = logitsOf(units, count, weights);
      return { logits: values, gradient: pixelGradient(units, logitsGradient(values), count, weights) };
    };
    subject.tune = async (_, { pruned }) => subject.pruning!.without(pruned);
  }
  return subject;
}

function meanOf(units: Float32Array, count: number): Float32Array {
  const means = new Float32Array(UNITS);
  for (let at = 0; at < units.length; at++) means[at % UNITS] += units[at] / count;
  return means;
}

/** The model at an access level: float at A0, on the uint8 grid elsewhere unless `integer` says otherwise. */
export function planted(backdoored: boolean, access: AccessLevel = "A0", integer = access !== "A0"): Subject {
  return build(access, { output: wires(backdoored), pruned: new Set(), integer });
}

/** The same subject with its gradient replaced. */
export function withGradient(subject: Subject, value: number): Subject {
  return {
    ...subject,
    gradient: (pixels, count, logitsGradient) => {
      const logits = subject.scores(pixels, count);
      logitsGradient(logits);
      return { logits, gradient: new Float32Array(pixels.length).fill(value) };
    },
  };
}
