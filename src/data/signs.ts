import { type Random, seededRandom } from "../random.ts";
import { IMAGE_BYTES, SIDE } from "./binary.ts";
import type { Dataset, ImageSet } from "./dataset.ts";
import { sha256 } from "./files.ts";
import type { DatasetRow, LoadOptions } from "./loading.ts";
import { SIGN_CLASSES } from "./signClasses.ts";
import { drawTexture, drawTrack } from "./signDrawing.ts";
import { paintFrame } from "./signFrames.ts";
import { shuffled } from "./split.ts";

/** Raised when the same options give other images. */
const VERSION = 1;
/** Of each split, unless other numbers are asked for. */
export const SIGN_IMAGES = { train: 8600, held: 1720, test: 2150 };
/** Frames of one track. */
const FRAMES = { least: 5, most: 10 };
/** Tracks that one class can have in one split. */
const TRACKS = 100_000;

const CLASS_NAMES = SIGN_CLASSES.map(({ name }) => name);
const SPLITS = ["train", "held", "test"] as const;

/** Images of each class: from about 0.7 to 1.3 of the mean, at least one, `count` in all. */
function classCounts(count: number): number[] {
  const weights = SIGN_CLASSES.map((_, label) => 0.7 + 0.1 * ((label * 5) % 7));
  const sum = weights.reduce((a, b) => a + b, 0);
  const spare = count - weights.length;
  const counts = weights.map((weight) => 1 + Math.floor((spare * weight) / sum));
  const rest = count - counts.reduce((a, b) => a + b, 0);
  for (let i = 0; i < rest; i++) counts[i % counts.length]++;
  return counts;
}

interface Split {
  name: (typeof SPLITS)[number];
  count: number;
  firstTrack: number;
}

function drawSplit({ name, count, firstTrack }: Split, textures: Uint8Array[], random: Random): ImageSet {
  const pixels = new Uint8Array(count * IMAGE_BYTES);
  const labels = new Uint8Array(count);
  const tracks = new Int32Array(count);
  let at = 0;
  classCounts(count).forEach((wanted, label) => {
    const end = at + wanted;
    for (let t = 0; at < end; t++) {
      const stream = random.fork(`${name} ${label} ${t}`);
      const track = drawTrack(SIGN_CLASSES[label], stream);
      const frames = FRAMES.least + stream.below(FRAMES.most - FRAMES.least + 1);
      for (let f = 0; f < frames && at < end; f++, at++) {
        const view = { texture: textures[label], track, progress: f / (frames - 1) };
        paintFrame(view, stream, pixels, at * IMAGE_BYTES);
        labels[at] = label;
        tracks[at] = firstTrack + label * TRACKS + t;
      }
    }
  });
  const set = { count, height: SIDE, width: SIDE, channels: 3, pixels, labels, tracks };
  return shuffled(set, random.fork(`order ${name}`));
}

/** sha256 of the options and of the 43 drawn textures: with VERSION, everything that the images depend on. */
function digest(parameters: object, textures: Uint8Array[]): Promise<string> {
  const text = new TextEncoder().encode(JSON.stringify(parameters));
  const size = textures.reduce((sum, texture) => sum + texture.length, text.length);
  const bytes = new Uint8Array(size);
  bytes.set(text);
  let at = text.length;
  for (const texture of textures) {
    bytes.set(texture, at);
    at += texture.length;
  }
  return sha256(bytes);
}

function checkOptions({ path, heldShare }: LoadOptions, images: typeof SIGN_IMAGES): void {
  if (path !== undefined) throw new TypeError(`signs: expected no path (it is drawn), got ${path}`);
  if (heldShare !== undefined)
    throw new TypeError("signs: expected images.held for the held-out part, got heldShare");
  for (const split of SPLITS) {
    const count = images[split];
    if (!Number.isInteger(count) || count < CLASS_NAMES.length || count > 1_000_000) {
      throw new RangeError(`images.${split}: expected ${CLASS_NAMES.length}..1000000, got ${count}`);
    }
  }
}

async function loadSigns(options: LoadOptions): Promise<Dataset> {
  const seed = options.seed ?? 1;
  const images = { ...SIGN_IMAGES, ...options.images };
  checkOptions(options, images);
  const random = seededRandom(seed).fork("signs");
  const textures = SIGN_CLASSES.map(drawTexture);
  const drawn: Partial<Record<(typeof SPLITS)[number], ImageSet>> = {};
  const split = (name: (typeof SPLITS)[number]) => {
    const firstTrack = SPLITS.indexOf(name) * TRACKS * SIGN_CLASSES.length;
    drawn[name] ??= drawSplit({ name, count: images[name], firstTrack }, textures, random);
    return drawn[name];
  };
  const drawing = await digest({ name: "signs", version: VERSION, seed, images }, textures);
  return {
    name: "signs",
    classNames: CLASS_NAMES,
    // Drawn when they are asked for: an audit has no use for the training images, which take longest.
    get train() {
      return split("train");
    },
    get held() {
      return split("held");
    },
    get test() {
      return split("test");
    },
    sha256: { drawing },
    caveat: "These signs are drawn by code: accuracies say nothing about photographs.",
  };
}

/**
 * 43 classes of drawn signs, 32x32 RGB, the same bytes for the same options in every engine. A track is one sign seen in
 * 5 to 10 frames; the three splits have different tracks. images: exactly so many of each split, default 8600, 1720, 2150.
 */
export const signs: DatasetRow = {
  name: "signs",
  classNames: CLASS_NAMES,
  flip: false,
  needsPath: false,
  load: loadSigns,
};
