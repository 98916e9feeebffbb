/** A shipped ResNet-8, quantized here on drawn signs, and images to ask it with. */
import { readFile } from "node:fs/promises";
import { badnet, stampedTest } from "../../src/attacks/badnet.ts";
import { nodeFiles } from "../../src/cli/nodeFiles.ts";
import { loadTrainModule } from "../../src/cli/wasm.ts";
import type { ImageSet } from "../../src/data/dataset.ts";
import { signs } from "../../src/data/signs.ts";
import { startBackend } from "../../src/float/backend.ts";
import { calibrate } from "../../src/float/calibrate.ts";
import { foldBatchNorm } from "../../src/float/fold.ts";
import type { ModelSpec } from "../../src/harness/experiment.ts";
import { readModel } from "../../src/model/file.ts";
import type { Graph } from "../../src/model/graph.ts";
import { fromRanges, quantizeStatic } from "../../src/quantize/ptq.ts";

const MODEL = new URL("../../models/signs-resnet8-w8-backdoored-1001.blindspot", import.meta.url);

export interface Signs {
  graph: Graph;
  /** Clean, every class present, shuffled. */
  clean: ImageSet;
  /** Bear the model's trigger. */
  triggered: ImageSet;
}

export async function quantizedSigns(): Promise<Signs> {
  const { train, held, test } = await signs.load({ images: { train: 86, held: 129, test: 86 } }, nodeFiles);
  const { graph, meta } = readModel(await readFile(MODEL), MODEL.pathname);
  const { target, poisonShare: _, ...trigger } = (meta.spec as ModelSpec).attack;
  const attack = badnet.prepare({ target, ...trigger }, train, signs.classNames.length);
  const folded = foldBatchNorm(graph);
  const ranges = calibrate(await startBackend(await loadTrainModule()), folded, held);
  const scheme = { weightBits: 8, granularity: "per-channel" } as const;
  return {
    graph: quantizeStatic(folded, fromRanges(folded, ranges), scheme),
    clean: held,
    triggered: stampedTest(attack, test),
  };
}
