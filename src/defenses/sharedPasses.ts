import type { Subject } from "./defense.ts";
import { crossEntropyGradient } from "./probabilities.ts";

/** What a search asks of the model: logits of these images, and the input gradient of its target's cross-entropy. */
export interface Question {
  pixels: Float32Array;
  count: number;
}

export type Answer = ReturnType<NonNullable<Subject["gradient"]>>;

/** The search of one class: yields what it asks, is sent the answer, returns what it found. */
export interface Search<Found> {
  target: number;
  run: Generator<Question, Found, Answer>;
}

/** Images that share a pass: more would not be faster. */
const TOGETHER = 32;

/** Answers what several searches ask by one pass of all their images. */
function answersTo(
  subject: Subject,
  asked: readonly (Question & { target: number })[],
  room: Float32Array,
): Answer[] {
  const { classes } = subject;
  const size = asked[0].pixels.length / asked[0].count;
  const firsts: number[] = [];
  let count = 0;
  for (const question of asked) {
    firsts.push(count);
    count += question.count;
  }
  const pixels = room.subarray(0, count * size);
  asked.forEach((question, i) => {
    pixels.set(question.pixels, firsts[i] * size);
  });
  const part = (values: Float32Array, width: number, i: number) =>
    values.subarray(firsts[i] * width, (firsts[i] + asked[i].count) * width);
  const answer = subject.gradient!(pixels, count, (all) => {
    const slopes = new Float32Array(all.length);
    asked.forEach(({ target }, i) => {
      slopes.set(crossEntropyGradient(part(all, classes, i), classes, target), firsts[i] * classes);
    });
    return slopes;
  });
  return asked.map((_, i) => ({
    get logits() {
      return part(answer.logits, classes, i);
    },
    gradient: part(answer.gradient, size, i),
  }));
}

/** Runs searches that ask of at most `batch` images at a time, small ones together: each finds what it finds alone, bit for
 * bit, because an image's gradient does not depend on its neighbours. */
export function sharePasses<Found>(
  subject: Subject,
  searches: readonly Search<Found>[],
  batch: number,
  progress: (done: number, total: number) => void,
): Found[] {
  const found = new Array<Found>(searches.length);
  const advance = (place: number, answer?: Answer) => {
    const { target, run } = searches[place];
    const { done, value } = answer ? run.next(answer) : run.next();
    if (!done) return [{ place, target, ...value }];
    found[place] = value;
    return [];
  };
  const each = Math.max(1, Math.floor(TOGETHER / batch));
  const room = new Float32Array(each * batch * subject.height * subject.width * subject.channels);
  for (let from = 0; from < searches.length; from += each) {
    progress(from, searches.length);
    const places = searches.slice(from, from + each).map((_, i) => from + i);
    let asked = places.flatMap((place) => advance(place));
    while (asked.length > 0) {
      const answers = answersTo(subject, asked, room);
      asked = asked.flatMap(({ place }, i) => advance(place, answers[i]));
    }
  }
  return found;
}
