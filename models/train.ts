// Trains the shipped models again: the pairs of the quick preset on the built-in signs, seed 1.
// node models/train.ts   (after npm run build; some minutes)
import { mkdir, rm, writeFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { loadDataset, mostFrequentClass } from "../src/cli/dataset.ts";
import { directoryStore } from "../src/cli/directoryStore.ts";
import { loadKernelModule, loadTrainModule } from "../src/cli/wasm.ts";
import { startBackend } from "../src/float/backend.ts";
import { modelName, trainedModel } from "../src/harness/deploy.ts";
import { modelPair } from "../src/harness/experiment.ts";
import type { Lab } from "../src/harness/lab.ts";
import { PRESETS } from "../src/harness/presets.ts";
import { writeModel } from "../src/model/file.ts";

const SEED = 1;
const work = fileURLToPath(new URL("../.blindspot/models/", import.meta.url));

const preset = PRESETS.quick;
const { row, dataset } = await loadDataset("signs", undefined);
const [kernels, backend] = [await loadKernelModule(), await startBackend(await loadTrainModule())];
await mkdir(work, { recursive: true });
const lab: Lab = { kernels, backend, store: directoryStore(work), dataset, preset, profiles: [], engine: "" };

const index: Record<string, string> = {};
for (let pair = 1; pair <= preset.pairs; pair++)
  for (const spec of modelPair(preset, SEED, pair, mostFrequentClass(dataset), row.flip)) {
    const file = `signs-${spec.architecture}-w${spec.width}-${spec.id}.blindspot`;
    const model = await trainedModel(lab, spec, (done, total) => {
      if (process.stderr.isTTY) process.stderr.write(`\r${spec.id} ${Math.floor((100 * done) / total)}% `);
    });
    await writeFile(new URL(file, import.meta.url), writeModel(model));
    index[await modelName(lab, spec)] = file;
    console.log(file);
  }
await writeFile(new URL("index.json", import.meta.url), `${JSON.stringify(index, null, 2)}\n`);
await rm(work, { recursive: true });
