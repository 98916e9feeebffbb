import type { ImageSet } from "../data/dataset.ts";
import type { Pixels } from "../defenses/defense.ts";
import { ARCHITECTURES } from "../float/architectures.ts";
import { calibrate } from "../float/calibrate.ts";
import { observe, prepare } from "../float/execute.ts";
import { foldBatchNorm } from "../float/fold.ts";
import { type Checkpoint, train } from "../float/train.ts";
import type { SavedModel } from "../model/file.ts";
import { elements, type Graph } from "../model/graph.ts";
import { fromRanges, quantizeStatic, type Ranges, type StaticScheme } from "../quantize/ptq.ts";
import { seededRandom } from "../random.ts";
import type { ModelSpec, Precision } from "./experiment.ts";
import {
  attackOf,
  heldImages,
  type Lab,
  materialOf,
  type Progress,
  rememberedJson,
  rememberedModel,
  stepName,
  trainingSet,
} from "./lab.ts";
import type { CalibrationCard } from "./result.ts";

/** Weight bits of each precision; activations are int8 in both. */
export const SCHEMES: Record<Precision, StaticScheme> = {
  int8: { weightBits: 8, granularity: "per-channel" },
  int4: { weightBits: 4, granularity: "per-channel" },
};

export const SCHEME_TEXT: Record<Precision | "fp32", string> = {
  fp32: "float32, batch norm folded",
  int8: "static int8: per-channel symmetric weights, per-tensor asymmetric activations, int32 bias (TFLite)",
  int4: "int4 weights per channel, int8 activations, int32 bias",
};

/** What decides a trained network: its spec and the training images. A clean one does not know its twin's attack. */
export async function modelName({ dataset }: Pick<Lab, "dataset">, spec: ModelSpec): Promise<string> {
  const { attack, ...rest } = spec;
  const own = spec.kind === "clean" ? rest : { ...rest, attack };
  return stepName("model", "blindspot", { spec: own, data: dataset.sha256, train: dataset.train.count });
}

/** The trained network with its batch norm, from the store or trained now. */
export async function trainedModel(lab: Lab, spec: ModelSpec, progress: Progress): Promise<SavedModel> {
  const name = await modelName(lab, spec);
  return rememberedModel(lab.store, name, async () => {
    const graph = await trainModel(lab, spec, name, progress);
    return { graph, meta: { spec } };
  });
}

async function trainModel(
  { backend, dataset, store }: Lab,
  spec: ModelSpec,
  name: string,
  progress: Progress,
): Promise<Graph> {
  const { height, width, channels } = dataset.train;
  const random = seededRandom(spec.seed).fork("weights");
  const untrained = ARCHITECTURES[spec.architecture](dataset.classNames.length, {
    height,
    width,
    channels,
    widthParam: spec.width,
    random,
  });
  const attack = attackOf(dataset, spec);
  const images = trainingSet(dataset, spec, attack);
  const kept = `${name}.checkpoint`;
  const known = await store.get(kept);
  return train(backend, untrained, images, spec.training, {
    stamp: (pixels, count) => attack.stamp(pixels, count),
    progress: ({ epoch, epochs, step, steps }) => progress((epoch - 1) * steps + step, epochs * steps),
    checkpoint: (checkpoint) => store.put(kept, encodeCheckpoint(checkpoint)),
    resume: known && decodeCheckpoint(known),
  });
}

/** JSON with arrays as base64 of little-endian float32. */
function encodeCheckpoint(checkpoint: Checkpoint): Uint8Array {
  const text = JSON.stringify(checkpoint, (_, value) =>
    value instanceof Float32Array ? { f32: base64(value) } : value,
  );
  return new TextEncoder().encode(text);
}

function decodeCheckpoint(bytes: Uint8Array): Checkpoint {
  return JSON.parse(new TextDecoder().decode(bytes), (_, value) =>
    typeof value?.f32 === "string" ? floats(value.f32) : value,
  );
}

function base64(values: Float32Array): string {
  let text = "";
  for (const byte of new Uint8Array(values.buffer, values.byteOffset, values.byteLength))
    text += String.fromCharCode(byte);
  return btoa(text);
}

function floats(text: string): Float32Array {
  return new Float32Array(Uint8Array.from(atob(text), (c) => c.charCodeAt(0)).buffer);
}

/** The float network that is deployed: batch norm folded. */
export async function foldedModel(lab: Lab, spec: ModelSpec, progress: Progress): Promise<Graph> {
  return foldBatchNorm((await trainedModel(lab, spec, progress)).graph);
}

/** What calibration gives: the same for every precision of a network. */
interface Calibration {
  ranges: [tensor: number, range: { minimum: number; maximum: number }][];
  card: CalibrationCard;
}

/** All that decides how a network is calibrated and what its card says. */
async function calibrationInputs(lab: Lab, spec: ModelSpec): Promise<object> {
  const { calibrationImages, cleanImages, testImages } = lab.preset;
  const model = await modelName(lab, spec);
  return { model, attack: spec.attack, calibrationImages, cleanImages, testImages, engine: lab.engine };
}

async function calibration(lab: Lab, spec: ModelSpec, folded: Graph): Promise<Calibration> {
  const name = await stepName("calibration", "json", await calibrationInputs(lab, spec));
  return rememberedJson(lab.store, name, async () => {
    const images = heldImages(lab, lab.preset.calibrationImages, "calibration");
    const ranges = calibrate(lab.backend, folded, images);
    return { ranges: [...ranges], card: calibrationCard(lab, spec, folded, ranges, images) };
  });
}

/** The integer model, with its calibration card in `meta.calibration`. */
export async function quantizedModel(lab: Lab, spec: ModelSpec, precision: Precision): Promise<SavedModel> {
  const inputs = { ...(await calibrationInputs(lab, spec)), precision };
  return rememberedModel(lab.store, await stepName("quantized", "blindspot", inputs), async () => {
    const folded = await foldedModel(lab, spec, () => {});
    const { ranges, card } = await calibration(lab, spec, folded);
    const graph = quantizeStatic(folded, fromRanges(folded, new Map(ranges)), SCHEMES[precision]);
    return { graph, meta: { spec, precision, calibration: card } };
  });
}

const round = (value: number) => Math.round(value * 1e6) / 1e6;

function calibrationCard(
  lab: Lab,
  spec: ModelSpec,
  folded: Graph,
  ranges: Ranges,
  images: ImageSet,
): CalibrationCard {
  const { test, triggered } = materialOf(lab, spec);
  const perClass = new Array<number>(lab.dataset.classNames.length).fill(0);
  for (const label of images.labels) perClass[label]++;
  const clean = clipRates(lab, folded, ranges, test.pixels, test.count);
  const stamped = clipRates(lab, folded, ranges, triggered.pixels, triggered.count);
  const layers = [...ranges].map(([id, { minimum, maximum }]) => {
    const { scale, zeroPoint } = fromRanges(folded, ranges)(id);
    return {
      name: folded.tensors[id].name,
      minimum: round(minimum),
      maximum: round(maximum),
      scale: scale[0],
      zeroPoint: zeroPoint[0],
      cleanClipRate: clean.get(id)!,
      triggeredClipRate: stamped.get(id)!,
    };
  });
  return { images: images.count, perClass, layers };
}

/** Share of images with at least one value beyond the calibrated range, by tensor. */
function clipRates(
  { backend }: Lab,
  graph: Graph,
  ranges: Ranges,
  pixels: Pixels,
  count: number,
): Map<number, number> {
  const ids = [...ranges.keys()];
  const clipped = new Map(ids.map((id) => [id, 0]));
  const prepared = prepare(backend, graph);
  observe(prepared, pixels, count, ids, (values, _, here) => {
    for (const [id, tensor] of values) {
      const size = elements(graph.tensors[id].shape.slice(1));
      const range = ranges.get(id)!;
      let images = 0;
      for (let i = 0; i < here; i++) if (leaves(range, tensor, i * size, (i + 1) * size)) images++;
      clipped.set(id, clipped.get(id)! + images);
    }
  });
  prepared.dispose();
  return new Map(ids.map((id) => [id, round(clipped.get(id)! / count)]));
}

/** Whether one of the values from..to lies beyond the range. */
function leaves(
  { minimum, maximum }: { minimum: number; maximum: number },
  values: Float32Array,
  from: number,
  to: number,
): boolean {
  for (let i = from; i < to; i++) if (values[i] > maximum || values[i] < minimum) return true;
  return false;
}
