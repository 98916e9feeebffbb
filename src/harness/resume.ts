/** Runs of a defense that can stop at any image and go on later, elsewhere. A defense is a function of what the model answers:
 * with the answers so far at hand it comes again to where it stopped, and the model is asked for the rest alone. */
import type { Pixels, Subject } from "../defenses/defense.ts";

/** Thrown out of a defense when its subject may answer no more for now. */
export class Suspended extends Error {
  override name = "Suspended";
}

export interface Resumable {
  /** Shows scores alone: a model that is asked from outside. */
  subject: Subject;
  /** Begins a run of the defense, in which the model itself may answer for so many images more. */
  begin(images: number): void;
  /** Rows of `classes` scores that the model has answered so far; valid until the next call of anything. */
  answers(): Float32Array;
}

/** Rows that grow, in one piece. */
class Rows {
  #values: Float32Array;
  #length = 0;

  constructor(values: Float32Array) {
    this.#values = values;
    this.#length = values.length;
  }

  get values(): Float32Array {
    return this.#values.subarray(0, this.#length);
  }

  append(more: Float32Array): void {
    if (this.#length + more.length > this.#values.length) {
      const grown = new Float32Array(2 * this.#length + more.length);
      grown.set(this.values);
      this.#values = grown;
    }
    this.#values.set(more, this.#length);
    this.#length += more.length;
  }
}

/** before: the answers of the run to go on with; empty for a new one. limit: rows that a run may need.
 * @throws RangeError by `subject.scores` beyond the limit; Suspended where no more images are allowed. */
export function resumable(observed: Subject, before: Float32Array, limit: number): Resumable {
  const { classes, name, access, integer, height, width, channels, scoreKind, missing } = observed;
  const size = height * width * channels;
  const answered = new Rows(before);
  /** Images that the model may still answer for, and the next row to give, from 0 in every run. */
  let [allowed, next] = [0, 0];
  const ask = (pixels: Pixels, from: number, count: number) => {
    const here = Math.min(count - from, allowed);
    allowed -= here;
    if (here > 0) answered.append(observed.scores(pixels.subarray(from * size, (from + here) * size), here));
    if (from + here < count) throw new Suspended(`${name}: ${count - from - here} images not answered yet`);
  };
  const scores = (pixels: Pixels, count: number) => {
    if (next + count > limit) throw new RangeError(`${name}: expected a run of at most ${limit} images`);
    const known = Math.min(count, answered.values.length / classes - next);
    if (known < count) ask(pixels, known, count);
    next += count;
    return answered.values.slice((next - count) * classes, next * classes);
  };
  return {
    subject: { name, access, integer, classes, height, width, channels, scoreKind, missing, scores },
    begin: (images) => {
      [allowed, next] = [images, 0];
    },
    answers: () => answered.values,
  };
}
