import type { PoisonedSet, Trigger } from "../attacks/attack.ts";
import type { ImageSet } from "../data/dataset.ts";
import type { Random } from "../random.ts";
import type { Blends } from "./softTrigger.ts";

/** A0 FP32 and gradients; A1 integer graph, weights, activations, straight-through gradients; A2 forward only, all
 * tensors; A3 logits; A4 int8 softmax; A5 top-1 label. */
export const ACCESS_LEVELS = ["A0", "A1", "A2", "A3", "A4", "A5"] as const;
export type AccessLevel = (typeof ACCESS_LEVELS)[number];

/** Pixel units, 0..255, NHWC. An integer target rounds half up and clamps to 0..255, as a camera and uint8 buffer
 * would; a float target takes values as they are. */
export type Pixels = Uint8Array | Float32Array;

/** A model as a defender sees it at one access level. A method that the level forbids is absent: whoever needs it
 * reports "not runnable" with that reason. All calls are synchronous and deterministic. */
export interface Subject {
  /** One line for messages, e.g. "int8 on stm32l4r5-cmsis-nn at A4". */
  name: string;
  access: AccessLevel;
  /** Whether inputs are rounded to the uint8 grid. */
  integer: boolean;
  classes: number;
  height: number;
  width: number;
  channels: number;
  scoreKind: "logits" | "softmax" | "label";
  /** count * classes: dequantized logits, dequantized softmax, or one-hot labels, by `scoreKind`. */
  scores(pixels: Pixels, count: number): Float32Array;
  /** Penultimate activations (after global pooling), dequantized: count * featureDepth. A0..A2. */
  features?(pixels: Pixels, count: number): Float32Array;
  featureDepth?: number;
  /** A0, A1. Runs the images, asks for d loss / d logits (count * classes), and gives d loss / d pixel, which
   * stays until the next call. */
  gradient?(
    pixels: Pixels,
    count: number,
    logitsGradient: (logits: Float32Array) => Float32Array,
  ): { logits: Float32Array; gradient: Float32Array };
  /** Blends that are fast where the gradient is computed; absent, PLAIN_BLENDS, whose bits these give too. */
  blends?: Blends;
  /** A0..A2. Channels of the last convolution. */
  pruning?: {
    channels: number;
    /** Mean activation of each channel over the images, dequantized. */
    meanActivation(pixels: Pixels, count: number): Float32Array;
    /** The same model with these channels' outputs forced to real zero; nothing else changes. */
    without(channels: readonly number[]): Subject;
  };
  /** A0..A2. Mean |output| over images and positions of every channel of every convolution and of the last dense layer,
   * before the activation, concatenated in graph order. Only the seed paper's own rules ask for it. */
  convolutionMeans?(pixels: Pixels, count: number): Float32Array;
  /** A0, A1. Fine-tunes on clean images (A1: on the float shadow, re-exported with the same activation ranges). Dispose of
   * what it gives when done. */
  tune?(images: ImageSet, options: TuneOptions): Promise<Subject>;
  /** Frees memory that no garbage collector sees; the subject answers no more. */
  dispose?(): void;
  /** Why an absent method is absent, by method name, in words a person can use. */
  missing: Partial<Record<"gradient" | "features" | "pruning" | "tune", string>>;
}

export interface TuneOptions {
  epochs: number;
  learningRate: number;
  random: Random;
  /** Channels that stay pruned. */
  pruned: readonly number[];
}

/** What defender and auditor hold. `truth`, `triggered` and `training.poisoned` serve evaluation only: no defense
 * decides with them unless it says so (STRIP's audit scores the triggered traffic it is given). */
export interface Material {
  /** Clean images of the defender, every class present, shuffled. */
  clean: ImageSet;
  /** The training set as delivered, poison included when the model is backdoored. */
  training: PoisonedSet;
  /** Clean test images, shuffled. */
  test: ImageSet;
  /** Test images whose class is not the target, stamped; labels are the true ones. For a clean model: its twin's trigger. */
  triggered: ImageSet;
  /** Null where nobody knows: an audit of a stranger's model. */
  truth: Truth | null;
}

/** For a clean model: the trigger and target of its backdoored twin, with backdoored false. */
export interface Truth {
  backdoored: boolean;
  target: number;
  trigger: Trigger;
}

/** What a defense cannot do without, beside the subject and clean images: the training set with its poison, or images that
 * bear the trigger. */
export type Need = "training" | "triggered";

export type Verdict = "detected" | "not detected" | "not runnable";

/** A picture for a person; the report draws each kind. Numbers are rounded to what is drawn. */
export type Figure =
  /** mask: height*width in [0,1]; pattern: height*width*channels pixel values. */
  | {
      kind: "trigger";
      title: string;
      height: number;
      width: number;
      mask: number[];
      pattern: number[];
      truth: boolean;
    }
  | {
      kind: "histogram";
      title: string;
      xLabel: string;
      edges: number[];
      series: { name: string; counts: number[] }[];
      threshold?: number;
    }
  | {
      kind: "scatter";
      title: string;
      xLabel: string;
      yLabel: string;
      series: { name: string; points: [number, number][] }[];
    }
  | {
      kind: "curve";
      title: string;
      xLabel: string;
      yLabel: string;
      series: { name: string; points: [number, number][] }[];
    }
  | {
      kind: "bars";
      title: string;
      xLabel: string;
      yLabel: string;
      bars: { label: string; value: number; marked: boolean }[];
      threshold?: number;
    };

/** What a defense says of one subject. */
export interface Outcome {
  verdict: Verdict;
  /** One sentence: why not runnable, or what was seen. */
  reason: string;
  /** The model-level score, larger = more suspicious; null when not runnable. */
  score: number | null;
  /** Classes it accuses, most suspicious first. */
  flagged: number[];
  /** Measured against the truth, for evaluation: AUROC, true-positive rates, norms… NaN never. */
  measures: Record<string, number>;
  figures: Figure[];
  /** Of defenses that judge classes: how suspicious each one is, in the unit of the score. */
  perClass?: number[];
  /** Images through the model. */
  passes: { forward: number; backward: number };
}

/** Work of a defense that falls into parts which need nothing of each other: each can be done anywhere, before the run. */
export interface Parts<Options, Part> {
  /** How many a run has; 0 where the level leaves nothing to divide. */
  count(classes: number, access: AccessLevel): number;
  /** Part number `part` of the run with the same arguments: plain data, numbers and Float32Arrays. */
  run(
    subject: Subject,
    material: Pick<Material, "clean">,
    options: Options,
    random: Random,
    part: number,
    progress: (done: number, total: number) => void,
  ): Part;
}

/** One row of DEFENSES. */
export interface Defense<Options extends object = object, Part = unknown> {
  id: string;
  title: string;
  /** The published form: authors, venue, year. */
  source: string;
  /** What the score is, with its unit, e.g. "largest anomaly index". */
  scoreName: string;
  /** A verdict is "detected" when score > threshold; `thresholdSource` says whose number it is. */
  threshold: number;
  thresholdSource: string;
  /** The per-sample or per-model measure by which FP32 signal is judged (> 0.9 = has signal), e.g. "auroc". */
  signal: string;
  needs: readonly Need[];
  /** The defaults: those of "quick". */
  options: Options;
  /** Sizes for a first look, for some minutes and for a study; the algorithm is the same. */
  presets: { brief: Options; quick: Options; study: Options };
  parts?: Parts<Options, Part>;
  /** done: all parts in order, where they were done before. */
  run(
    subject: Subject,
    material: Material,
    options: Options,
    random: Random,
    progress: (done: number, total: number) => void,
    done?: readonly Part[],
  ): Promise<Outcome>;
}
