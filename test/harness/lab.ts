import { findProfile } from "../../src/cli/profiles.ts";
import { loadKernelModule, loadTrainModule } from "../../src/cli/wasm.ts";
import { type Dataset, type ImageSet, select } from "../../src/data/dataset.ts";
import { startBackend } from "../../src/float/backend.ts";
import type { Preset } from "../../src/harness/experiment.ts";
import type { Lab } from "../../src/harness/lab.ts";
import type { Store } from "../../src/harness/store.ts";
import { permutation, type Random, seededRandom } from "../../src/random.ts";

export const CLASSES = 5;

/** A store in memory; `entries` is what it holds. */
export function memoryStore(
  entries = new Map<string, Uint8Array>(),
): Store & { entries: Map<string, Uint8Array> } {
  return {
    entries,
    get: async (name) => entries.get(name),
    put: async (name, bytes) => {
      entries.set(name, bytes);
    },
  };
}

const SIDE = 16;

/** Images of one colour a class under noise: learnt in a few steps. */
function colours(count: number, firstTrack: number, random: Random): ImageSet {
  const palette = Array.from({ length: CLASSES }, (_, c) => [
    40 + 30 * c,
    170 - 25 * c,
    c % 2 === 0 ? 60 : 150,
  ]);
  const labels = Uint8Array.from({ length: count }, (_, i) => i % CLASSES);
  const pixels = new Uint8Array(count * SIDE * SIDE * 3);
  for (let i = 0; i < pixels.length; i++) {
    const colour = palette[labels[Math.floor(i / (SIDE * SIDE * 3))]][i % 3];
    pixels[i] = Math.min(255, Math.max(0, Math.round(colour + 25 * random.normal())));
  }
  const tracks = Int32Array.from({ length: count }, (_, i) => firstTrack + i);
  const set = { count, height: SIDE, width: SIDE, channels: 3, pixels, labels, tracks };
  return select(set, permutation(random, count));
}

export function colourDataset(): Dataset {
  const random = seededRandom(3);
  return {
    name: "colours",
    classNames: Array.from({ length: CLASSES }, (_, c) => `colour ${c}`),
    train: colours(400, 0, random),
    held: colours(100, 1000, random),
    test: colours(150, 2000, random),
    sha256: { colours: "drawn" },
    caveat: "",
  };
}

/** As small as a network with a backdoor can be. */
export const TINY: Preset = {
  pairs: 1,
  attempts: 1,
  architecture: "cnn",
  width: 4,
  training: {
    batchSize: 16,
    learningRate: 0.05,
    momentum: 0.9,
    weightDecay: 5e-4,
    schedule: "cosine",
    warmupEpochs: 1,
    epochs: 8,
  },
  crop: 1,
  poisonShare: 0.3,
  trigger: { size: 4, position: "bottom-right", offset: 1, colour: "white" },
  calibrationImages: 60,
  testImages: 90,
  cleanImages: 60,
  defenses: "quick",
  paperModels: 1,
};

export async function tinyLab(store: Store): Promise<Lab> {
  return {
    kernels: await loadKernelModule(),
    backend: await startBackend(await loadTrainModule()),
    store,
    dataset: colourDataset(),
    preset: TINY,
    profiles: [await findProfile("stm32l4r5-cmsis-nn"), await findProfile("android-litert-xnnpack")],
    engine: "test",
  };
}
