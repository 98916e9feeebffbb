/** Whole models beside LiteRT.js. */
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { exportTflite } from "../../export/tflite.ts";
import { importModel } from "../../import/index.ts";
import { bindKernels } from "../../kernels/module.ts";
import { activationArray, compile, type Values } from "../../model/compile.ts";
import { elements, type Graph } from "../../model/graph.ts";
import { findProfile } from "../profiles.ts";
import { loadKernelModule } from "../wasm.ts";
import { type LiteRtPeer, startLiteRt } from "./liteRt.ts";
import { compareWorks, type Work } from "./measure.ts";
import { integerNetwork, type NetworkName } from "./networks.ts";
import { type BenchRow, timeRow } from "./row.ts";

interface Model {
  /** In the directory of models; where it is not there, `network` is run in its place. */
  file?: string;
  network: NetworkName;
  /** Of the arithmetic; where left out, LiteRT.js's own, which has the same bytes. */
  profile?: string;
  batches: readonly number[];
  target: number;
}

const MODELS: readonly Model[] = [
  { file: "mlperf_resnet8_int8", network: "resnet8", batches: [1, 32], target: 1.3 },
  {
    file: "mlperf_resnet8_int8",
    network: "resnet8",
    profile: "stm32l4r5-cmsis-nn",
    batches: [1],
    target: 1.3,
  },
  { file: "tflm_person_detect", network: "personDetect", batches: [1], target: 1 },
  { network: "visualWakeWords", batches: [1], target: 1 },
  { file: "mlperf_kws_int8", network: "dsCnn", batches: [1], target: 1 },
  { file: "cfu_mnv2_160_035", network: "mobileNetV2", batches: [1], target: 1 },
];

export interface LoadedModel {
  name: string;
  graph: Graph;
  /** As TensorFlow Lite. */
  file: Uint8Array;
}

/** A model of the directory, or a network of the same shape with random weights. */
export function loadModel(
  directory: string,
  { file, network }: Pick<Model, "file" | "network">,
): LoadedModel {
  const path = file && join(directory, file, "model.tflite");
  if (path && existsSync(path)) {
    const bytes = new Uint8Array(readFileSync(path));
    return { name: file, graph: importModel(bytes, path, () => undefined), file: bytes };
  }
  const graph = integerNetwork(network);
  return { name: `${graph.name} (random weights)`, graph, file: exportTflite(graph) };
}

/** Codes that reach all of int8. */
export function inputOf(graph: Graph, count: number): Int8Array | Float32Array {
  const { shape, dtype } = graph.tensors[graph.inputs[0]];
  const values = activationArray(dtype, count * elements(shape.slice(1)));
  return values.map((_, i) => ((i * 89) % 256) - 128) as Int8Array | Float32Array;
}

/** `count` images of a graph under a profile, on a memory of their own. */
export async function ourWork(graph: Graph, profile: string, count: number): Promise<Work> {
  const kernels = await bindKernels(await loadKernelModule());
  const plan = compile(graph, await findProfile(profile), kernels);
  const input: Values[] = [inputOf(graph, count)];
  return { run: () => plan.run(input, count) };
}

async function peerWork(peer: LiteRtPeer, { graph, file }: LoadedModel): Promise<Work> {
  const input = inputOf(graph, 1);
  const { shape } = graph.tensors[graph.inputs[0]];
  try {
    return await peer.work(file, input, [1, ...shape.slice(1)]);
  } catch {
    // Files of TensorFlow Lite Micro may lack what LiteRT.js asks for; ours have it.
    return peer.work(exportTflite(graph), input, [1, ...shape.slice(1)]);
  }
}

/** LiteRT.js runs a batch as so many single images: it cannot resize a model. */
export async function benchModels(directory: string): Promise<BenchRow[]> {
  const peer = await startLiteRt();
  const rows: BenchRow[] = [];
  for (const model of MODELS) {
    const loaded = loadModel(directory, model);
    const theirs = typeof peer === "string" ? undefined : await peerWork(peer, loaded);
    const name = `LiteRT.js${typeof peer === "string" ? "" : ` ${peer.version}`}`;
    for (const batch of model.batches) {
      const profile = model.profile ?? "litert-js";
      const ours = await ourWork(loaded.graph, profile, batch);
      const [time, other] = await compareWorks(theirs ? [ours, theirs] : [ours]);
      const row = {
        section: "models",
        work: `${loaded.name}, ${profile}, batch ${batch}`,
        target: model.target,
      };
      rows.push(timeRow(row, time, name, other ?? (peer as string), batch));
    }
  }
  return rows;
}
