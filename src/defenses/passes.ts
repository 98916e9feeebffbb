import type { Pixels, Subject } from "./defense.ts";

/** Images through the model. */
export interface Passes {
  forward: number;
  backward: number;
}

/** Adds `more` to `passes`. */
export function add(passes: Passes, more: Passes): void {
  passes.forward += more.forward;
  passes.backward += more.backward;
}

/** Images given to a model at a time where a defense asks for more. */
const BATCH = 64;

type Rows = (pixels: Pixels, count: number) => Float32Array;

/** `rows` in batches, counted. width: values an image gives. batch: images at a time. */
function counted(rows: Rows, width: number, passes: Passes, batch: number): Rows {
  return (pixels, count) => {
    passes.forward += count;
    if (count <= batch) return rows(pixels, count);
    const size = pixels.length / count;
    const all = new Float32Array(count * width);
    for (let from = 0; from < count; from += batch) {
      const to = Math.min(count, from + batch);
      all.set(rows(pixels.subarray(from * size, to * size), to - from), from * width);
    }
    return all;
  };
}

function countedPruning(pruning: NonNullable<Subject["pruning"]>, passes: Passes): Subject["pruning"] {
  return {
    channels: pruning.channels,
    meanActivation: (pixels, count) => {
      passes.forward += count;
      return pruning.meanActivation(pixels, count);
    },
    // A pruned subject may remember features by the array it is given: it gets whole sets.
    without: (channels) => metered(pruning.without(channels), passes, Infinity).subject,
  };
}

/** The same subject, with every image through it counted in `passes`, and scores and features taken in batches. */
export function metered(
  subject: Subject,
  passes: Passes = { forward: 0, backward: 0 },
  batch = BATCH,
): { subject: Subject; passes: Passes } {
  const { name, access, integer, classes, height, width, channels, scoreKind, featureDepth, missing } =
    subject;
  const scores = counted((pixels, count) => subject.scores(pixels, count), classes, passes, batch);
  const view: Subject = {
    name,
    access,
    integer,
    classes,
    height,
    width,
    channels,
    scoreKind,
    scores,
    missing,
  };
  if (subject.features && featureDepth) {
    view.featureDepth = featureDepth;
    view.features = counted((pixels, count) => subject.features!(pixels, count), featureDepth, passes, batch);
  }
  if (subject.gradient) {
    view.gradient = (pixels, count, logitsGradient) => {
      passes.forward += count;
      passes.backward += count;
      return subject.gradient!(pixels, count, logitsGradient);
    };
  }
  if (subject.blends) view.blends = subject.blends;
  if (subject.pruning) view.pruning = countedPruning(subject.pruning, passes);
  if (subject.convolutionMeans) {
    view.convolutionMeans = (pixels, count) => {
      passes.forward += count;
      return subject.convolutionMeans!(pixels, count);
    };
  }
  if (subject.tune) {
    view.tune = async (images, options) => {
      passes.forward += images.count * options.epochs;
      passes.backward += images.count * options.epochs;
      return metered(await subject.tune!(images, options), passes).subject;
    };
  }
  if (subject.dispose) view.dispose = () => subject.dispose!();
  return { subject: view, passes };
}
