import type { Preset } from "./experiment.ts";

const RESNET8_TRAINING = {
  batchSize: 64,
  learningRate: 0.1,
  momentum: 0.9,
  weightDecay: 5e-4,
  schedule: "cosine",
  warmupEpochs: 1,
} as const;

const BASE = {
  architecture: "resnet8",
  crop: 2,
  poisonShare: 0.3,
  trigger: { size: 5, position: "bottom-right", offset: 1, colour: "checkerboard" },
} as const;

const QUICK = {
  ...BASE,
  pairs: 2,
  attempts: 4,
  width: 8,
  training: { ...RESNET8_TRAINING, epochs: 12 },
  calibrationImages: 512,
  testImages: 1000,
  cleanImages: 512,
  defenses: "quick",
  paperModels: 1,
} as const;

/** brief: one pair, to see what it does in two minutes. quick: minutes. study: a night. paper: as many models a cell as a
 * published claim needs. */
export const PRESETS = {
  brief: { ...QUICK, pairs: 1, attempts: 2, defenses: "brief" },
  quick: QUICK,
  study: {
    ...BASE,
    pairs: 10,
    attempts: 15,
    width: 16,
    training: { ...RESNET8_TRAINING, epochs: 20 },
    calibrationImages: 512,
    testImages: 5000,
    cleanImages: 1024,
    defenses: "study",
    paperModels: 2,
  },
  paper: {
    ...BASE,
    pairs: 20,
    attempts: 30,
    width: 16,
    training: { ...RESNET8_TRAINING, epochs: 40 },
    calibrationImages: 512,
    testImages: 5000,
    cleanImages: 1024,
    defenses: "study",
    paperModels: 20,
  },
} as const satisfies Record<string, Preset>;
