import type { AccessLevel, Pixels, Subject } from "../defenses/defense.ts";
import { exp } from "../elementary.ts";

/** A subject with everything that any level shows; `restrict` takes away. */
export interface OpenSubject extends Subject {
  /** count * classes, dequantized: what the target's own SOFTMAX gives. */
  probabilities(pixels: Pixels, count: number): Float32Array;
}

/** Rows of softmax in double precision, stored as float32. */
export function softmaxRows(logits: Float32Array, classes: number): Float32Array {
  const out = new Float32Array(logits.length);
  for (let row = 0; row < logits.length; row += classes) {
    let top = -Infinity;
    for (let k = 0; k < classes; k++) top = Math.max(top, logits[row + k]);
    let sum = 0;
    const values = new Float64Array(classes);
    for (let k = 0; k < classes; k++) {
      values[k] = exp(logits[row + k] - top);
      sum += values[k];
    }
    for (let k = 0; k < classes; k++) out[row + k] = values[k] / sum;
  }
  return out;
}

/** Index of the largest of each row; the first of equals, as TFLite's and numpy's argmax. */
export function argmaxRows(scores: Float32Array, classes: number): Uint8Array {
  const top = new Uint8Array(scores.length / classes);
  for (let i = 0; i < top.length; i++) {
    let best = 0;
    for (let k = 1; k < classes; k++) if (scores[i * classes + k] > scores[i * classes + best]) best = k;
    top[i] = best;
  }
  return top;
}

function oneHotRows(scores: Float32Array, classes: number): Float32Array {
  const out = new Float32Array(scores.length);
  argmaxRows(scores, classes).forEach((k, i) => {
    out[i * classes + k] = 1;
  });
  return out;
}

/** A pixel as a device's uint8 input holds it: rounded half up, clamped to 0..255; NaN is 0. */
export const deviceByte = (pixel: number) => Math.min(255, Math.max(0, Math.floor(pixel + 0.5))) | 0;

/** The pixels as a device's uint8 input holds them. */
export function devicePixels(pixels: Pixels, count: number, size: number): Uint8Array {
  if (pixels instanceof Uint8Array) return pixels;
  const bytes = new Uint8Array(count * size);
  for (let i = 0; i < bytes.length; i++) bytes[i] = deviceByte(pixels[i]);
  return bytes;
}

/** A float subject behind a device's input: all that it is shown are bytes, as the integer model would be. */
export function behindDeviceInput(subject: OpenSubject): OpenSubject {
  const size = subject.height * subject.width * subject.channels;
  const bytes = (pixels: Pixels, count: number) => devicePixels(pixels, count, size);
  return {
    ...subject,
    integer: true,
    scores: (pixels, count) => subject.scores(bytes(pixels, count), count),
    probabilities: (pixels, count) => subject.probabilities(bytes(pixels, count), count),
    features: subject.features && ((pixels, count) => subject.features!(bytes(pixels, count), count)),
  };
}

const rank = (level: AccessLevel) => Number(level[1]);

const HIDES = {
  gradient: "gives no gradients",
  features: "shows no activations",
  pruning: "does not let its weights be changed",
  tune: "cannot be trained",
} as const;

/** What a defender at `level` sees of the subject. why: appended to each reason of what is missing. */
export function restrict(subject: OpenSubject, level: AccessLevel, why: string): Subject {
  const because = why.replace(/\.$/, "");
  const { name, integer, classes, height, width, channels, missing } = subject;
  const shown: Subject = {
    name: `${name} at ${level}`,
    access: level,
    integer,
    classes,
    height,
    width,
    channels,
    ...view(subject, level),
    missing: { ...missing },
  };
  const give = <Key extends keyof typeof HIDES>(key: Key, last: AccessLevel) => {
    if (rank(level) <= rank(last) && subject[key]) shown[key] = subject[key];
    else shown.missing[key] ??= `${level} ${HIDES[key]}: ${because}`;
  };
  give("gradient", "A1");
  give("tune", "A1");
  give("features", "A2");
  give("pruning", "A2");
  if (shown.gradient && subject.blends) shown.blends = subject.blends;
  if (shown.features) shown.featureDepth = subject.featureDepth;
  return shown;
}

function view(subject: OpenSubject, level: AccessLevel): Pick<Subject, "scoreKind" | "scores"> {
  if (level === "A4") return { scoreKind: "softmax", scores: subject.probabilities };
  if (level === "A5")
    return {
      scoreKind: "label",
      scores: (pixels, count) => oneHotRows(subject.scores(pixels, count), subject.classes),
    };
  return { scoreKind: "logits", scores: subject.scores };
}
