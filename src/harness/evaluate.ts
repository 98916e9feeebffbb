import { bindKernels } from "../kernels/module.ts";
import { compile } from "../model/compile.ts";
import { estimateLatency } from "../model/estimate.ts";
import { writeModel } from "../model/file.ts";
import { weightBytes } from "../quantize/ptq.ts";
import { argmaxRows } from "./access.ts";
import { foldedModel, modelName, quantizedModel, SCHEME_TEXT } from "./deploy.ts";
import { type Lab, materialOf, type Progress, rememberedJson, share, stepName } from "./lab.ts";
import type { CalibrationCard, Deployment, Share } from "./result.ts";
import { digest } from "./store.ts";
import { arithmeticOf, openSubject, profileOf, type Target } from "./subjects.ts";

/** Top-1 classes of the test images and of the stamped ones. */
interface Predictions {
  test: number[];
  triggered: number[];
}

async function predictions(lab: Lab, target: Target): Promise<Predictions> {
  const { model, precision } = target;
  const { testImages, calibrationImages, cleanImages } = lab.preset;
  const inputs = {
    model: await modelName(lab, model),
    attack: model.attack,
    precision,
    arithmetic: arithmeticOf(lab, target),
    sizes: { testImages, calibrationImages, cleanImages },
    engine: lab.engine,
  };
  return rememberedJson(lab.store, await stepName("predictions", "json", inputs), async () => {
    const subject = await openSubject(lab, target);
    const { test, triggered } = materialOf(lab, model);
    const top = ({ pixels, count }: typeof test) => [
      ...argmaxRows(subject.scores(pixels, count), subject.classes),
    ];
    return { test: top(test), triggered: top(triggered) };
  });
}

/** Accuracy, attack success, flips against FP32, sizes and estimates of one deployment. */
export async function deployment(lab: Lab, target: Target, progress: Progress): Promise<Deployment> {
  const { model, precision, profile } = target;
  const folded = await foldedModel(lab, model, progress);
  const own = await predictions(lab, target);
  const float =
    precision === "fp32" ? own : await predictions(lab, { model, precision: "fp32", profile: null });
  const { test, truth } = materialOf(lab, model);
  const right = own.test.filter((label, i) => label === test.labels[i]).length;
  const fooled = own.triggered.filter((label) => label === truth.target).length;
  const flipped = own.test.filter((label, i) => label !== float.test[i]).length;
  const integer = precision === "fp32" ? null : await quantizedModel(lab, model, precision);
  const base = {
    precision,
    scheme: SCHEME_TEXT[precision],
    profile,
    accuracy: share(right, test.count),
    attackSuccess: share(fooled, own.triggered.length),
    flips: precision === "fp32" ? null : (share(flipped, test.count) as Share),
    calibration: integer ? (integer.meta.calibration as CalibrationCard) : null,
    sha256: await digest(writeModel({ graph: integer?.graph ?? folded, meta: {} })),
  };
  if (!integer) return { ...base, memory: null, latency: null };
  const device = profileOf(lab, profile!);
  const { arenaBytes } = compile(integer.graph, device, await bindKernels(lab.kernels), { chunk: 1 });
  const weights = weightBytes(integer.graph);
  const flashBytes = device.memory.flashBytes?.value ?? null;
  const ramBytes = device.memory.ramBytes?.value ?? null;
  const fits = weights <= (flashBytes ?? Infinity) && arenaBytes <= (ramBytes ?? Infinity);
  return {
    ...base,
    memory: { weightBytes: weights, arenaBytes, flashBytes, ramBytes, fits },
    latency: estimateLatency(integer.graph, device),
  };
}
