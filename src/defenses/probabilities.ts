import { exp, log2 } from "../elementary.ts";
import type { Subject } from "./defense.ts";

/** The index of the largest of `classes` values from `offset`; the first of equals, as TFLite's ARG_MAX. */
export function argmax(values: ArrayLike<number>, offset: number, classes: number): number {
  let best = 0;
  for (let c = 1; c < classes; c++) if (values[offset + c] > values[offset + best]) best = c;
  return best;
}

/** Softmax of the `classes` logits from `offset`, into `output`. */
export function softmax(
  logits: ArrayLike<number>,
  offset: number,
  classes: number,
  output: Float64Array,
): void {
  const top = logits[offset + argmax(logits, offset, classes)];
  let sum = 0;
  for (let c = 0; c < classes; c++) {
    output[c] = exp(logits[offset + c] - top);
    sum += output[c];
  }
  for (let c = 0; c < classes; c++) output[c] /= sum;
}

/** Class probabilities of each image, count * classes: softmax of logits, or what a softmax output gives as it is
 * (an int8 softmax has scale 1/256: below 1/512 it is 0, and a row need not sum to 1). */
export function probabilities(subject: Subject, scores: Float32Array, count: number): Float32Array {
  if (subject.scoreKind !== "logits") return scores;
  const { classes } = subject;
  const row = new Float64Array(classes);
  const all = new Float32Array(count * classes);
  for (let i = 0; i < count; i++) {
    softmax(scores, i * classes, classes, row);
    all.set(row, i * classes);
  }
  return all;
}

/** Shannon entropy in bits of the `classes` probabilities from `offset`. */
export function entropy(values: ArrayLike<number>, offset: number, classes: number): number {
  let bits = 0;
  for (let c = 0; c < classes; c++) {
    const p = values[offset + c];
    if (p > 0) bits -= p * log2(p);
  }
  return bits;
}

/** d (mean cross-entropy toward `target`) / d logits, count * classes. */
export function crossEntropyGradient(logits: Float32Array, classes: number, target: number): Float32Array {
  const count = logits.length / classes;
  const gradient = new Float32Array(logits.length);
  const row = new Float64Array(classes);
  for (let i = 0; i < count; i++) {
    softmax(logits, i * classes, classes, row);
    for (let c = 0; c < classes; c++) gradient[i * classes + c] = (row[c] - (c === target ? 1 : 0)) / count;
  }
  return gradient;
}

/** How many rows have their largest score at `target`. */
export function countTarget(scores: Float32Array, classes: number, target: number): number {
  let hits = 0;
  for (let offset = 0; offset < scores.length; offset += classes)
    if (argmax(scores, offset, classes) === target) hits++;
  return hits;
}

/** How many rows have their largest score at their label. */
export function countCorrect(scores: Float32Array, classes: number, labels: ArrayLike<number>): number {
  let hits = 0;
  for (let i = 0; i * classes < scores.length; i++)
    if (argmax(scores, i * classes, classes) === labels[i]) hits++;
  return hits;
}
