import type { BadNetOptions } from "../attacks/badnet.ts";
import type { TrainOptions } from "../float/train.ts";

/** What `reproduce` varies from one preset to the next; every value stands in the Result. */
export interface Preset {
  /** Backdoored models, each with a clean twin of the same seed. Rejected pairs are replaced, up to `attempts` pairs. */
  pairs: number;
  attempts: number;
  architecture: "resnet8" | "cnn";
  /** Channels of the first stage. */
  width: number;
  training: Omit<TrainOptions, "seed" | "augmentation">;
  /** Largest random shift in training, pixels. */
  crop: number;
  /** Poisoned share of all images that bear the target label. */
  poisonShare: number;
  trigger: Pick<BadNetOptions, "size" | "position" | "offset" | "colour">;
  /** Images of the held-out set for calibration, shuffled, every class present. */
  calibrationImages: number;
  /** Images for accuracy and for attack success. */
  testImages: number;
  /** The defender's clean images. */
  cleanImages: number;
  /** Which of each defense's own presets. */
  defenses: "brief" | "quick" | "study";
  /** Backdoored models on which the paper's own rules are run too. */
  paperModels: number;
}

/** One network to train: everything that decides its weights, beside the data. */
export interface ModelSpec {
  id: string;
  kind: "backdoored" | "clean";
  twin: string;
  architecture: Preset["architecture"];
  width: number;
  seed: number;
  training: TrainOptions;
  attack: { target: number; poisonShare: number } & Preset["trigger"];
}

/** The rule by which a backdoored model counts: ASR above 0.95, clean accuracy at most 2 points below its twin's. */
export const VALIDITY = { attackSuccess: 0.95, accuracyDrop: 0.02 } as const;

export const PRECISIONS = ["int8", "int4"] as const;
export type Precision = (typeof PRECISIONS)[number];

/** Model pair number `index` of an experiment of this seed. flip: whether mirrored images keep their class. */
export function modelPair(
  preset: Preset,
  seed: number,
  index: number,
  target: number,
  flip: boolean,
): [ModelSpec, ModelSpec] {
  const own = seed * 1000 + index;
  const name = (kind: string) => `${kind}-${own}`;
  const spec = (kind: ModelSpec["kind"], other: ModelSpec["kind"]): ModelSpec => ({
    id: name(kind),
    kind,
    twin: name(other),
    architecture: preset.architecture,
    width: preset.width,
    seed: own,
    training: { ...preset.training, seed: own, augmentation: { crop: preset.crop, flip } },
    attack: { target, poisonShare: preset.poisonShare, ...preset.trigger },
  });
  return [spec("backdoored", "clean"), spec("clean", "backdoored")];
}
