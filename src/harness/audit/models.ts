import { calibrate } from "../../float/calibrate.ts";
import { foldBatchNorm } from "../../float/fold.ts";
import { type Classifier, classifierOf, cutAtLogits } from "../../model/classifier.ts";
import { writeModel } from "../../model/file.ts";
import type { Graph } from "../../model/graph.ts";
import type { Convention } from "../../model/imageInput.ts";
import type { Profile } from "../../profile/schema.ts";
import {
  activationsFor,
  compact,
  IMAGE_INPUT,
  quantizeStatic,
  type StaticScheme,
} from "../../quantize/ptq.ts";
import { schemeFor } from "../../quantize/schemes.ts";
import { asTaken, UNIT_PIXELS } from "../floatSubject.ts";
import { firstImages, stepName } from "../lab.ts";
import { digest } from "../store.ts";
import type { AuditInputs, AuditLab, AuditModel } from "./inputs.ts";

/** Whether no weight of a graph is an integer. */
export const isFloat = ({ tensors }: Graph): boolean =>
  tensors.every(({ data, dtype }) => !data || dtype === "float32" || dtype === "int32" || dtype === "int64");

/** The model in float: the twin that was given, or the model itself; null for an integer model alone. */
export function floatTwin({ model, float }: Pick<AuditInputs, "model" | "float">): AuditModel | null {
  return isFloat(model.graph) ? model : float;
}

/** What the float twin takes a pixel for: what the integer model does, as far as that one's scale tells. */
export function takenByFloat({ model, taken }: Pick<AuditInputs, "model" | "taken">): Convention {
  if (taken) return taken;
  if (isFloat(model.graph)) return UNIT_PIXELS;
  const { convention: name, factor, offset } = classifierOf(model.graph, model.name);
  const unit = Math.fround(factor) === Math.fround(1 / 255) && offset === 0;
  return unit ? UNIT_PIXELS : { name, factor, offset };
}

/** The float twin as it runs: batch norm folded, up to its logits. */
export function foldedTwin(inputs: AuditInputs): Graph | null {
  const twin = floatTwin(inputs);
  if (!twin) return null;
  const { logits } = classifierOf(twin.graph, twin.name, takenByFloat(inputs));
  return foldBatchNorm(cutAtLogits(twin.graph, logits));
}

/** A model on one device. */
export interface Shipped {
  graph: Graph;
  /** Null for a graph that came as integers. */
  scheme: StaticScheme | null;
  precision: string;
  text: string;
  sha256: string;
  classifier: Classifier;
  taken: Convention | undefined;
}

const SHIPPED = new WeakMap<AuditInputs, Map<string, Promise<Shipped>>>();

/** The integer model that a device is given. @throws RangeError, ModelFormatError. */
export function shippedTo(lab: AuditLab, profile: Profile): Promise<Shipped> {
  const scheme = isFloat(lab.model.graph) ? schemeFor(profile, lab.weightBits) : null;
  const known = SHIPPED.get(lab) ?? new Map<string, Promise<Shipped>>();
  SHIPPED.set(lab, known);
  const key = JSON.stringify(scheme);
  const shipped = known.get(key) ?? (scheme ? quantized(lab, scheme) : asItCame(lab));
  known.set(key, shipped);
  return shipped;
}

async function asItCame({ model, taken }: AuditLab): Promise<Shipped> {
  const { graph, name, sha256 } = model;
  const kinds = new Set(
    graph.tensors.filter(({ data, dtype }) => data && !/32|64/.test(dtype)).map((t) => t.dtype),
  );
  const precision = [...kinds].sort().join("+");
  return {
    ...{ graph, scheme: null, precision, sha256, taken: taken ?? undefined },
    text: "as the file holds it",
    classifier: classifierOf(graph, name, taken ?? undefined),
  };
}

async function quantized(lab: AuditLab, scheme: StaticScheme): Promise<Shipped> {
  const taken = takenByFloat(lab);
  const folded = foldedTwin(lab)!;
  const images = firstImages(lab.images.clean, lab.preset.calibrationImages);
  const unit = taken.factor === UNIT_PIXELS.factor && taken.offset === 0;
  const pixels = unit ? images.pixels : asTaken(images.pixels, taken);
  const ranges = calibrate(lab.backend, folded, { count: images.count, pixels });
  const input = {
    scale: Float32Array.of(taken.factor),
    zeroPoint: Int32Array.of(-128 - Math.round(taken.offset / taken.factor)),
  };
  const activations = activationsFor(folded, ranges, scheme);
  const graph = compact(quantizeStatic(folded, activations, scheme, unit ? IMAGE_INPUT : input));
  const kind = scheme.powerOfTwo ? "scales that are powers of two" : `${scheme.granularity} weights`;
  return {
    ...{ graph, scheme, taken },
    precision: scheme.weightBits === 8 ? "int8" : "int4",
    text: `quantized here: int${scheme.weightBits} weights, int8 activations, ${kind}, calibrated on ${images.count} images`,
    sha256: await digest(writeModel({ graph, meta: {} })),
    classifier: classifierOf(graph, lab.model.name, taken),
  };
}

/** All that decides what a device's model is. */
export async function shippedName(inputs: AuditInputs, profile: Profile): Promise<string> {
  const { model, float, taken, weightBits, engine } = inputs;
  const scheme = isFloat(model.graph)
    ? { scheme: schemeFor(profile, weightBits), calibration: inputs.preset.calibrationImages }
    : null;
  return stepName("shipped", "", {
    model: model.sha256,
    float: float?.sha256 ?? null,
    taken,
    scheme,
    engine,
  });
}
