import type { AccessLevel, Figure, Verdict } from "../defenses/defense.ts";

/** A share of n, with its 95 % Wilson interval. */
export interface Share {
  value: number;
  n: number;
  low: number;
  high: number;
}

export type Arm = "FF" | "FR" | "QF" | "QR";

/** How a static quantization was calibrated, and what it cuts off. */
export interface CalibrationCard {
  images: number;
  /** Images of each class used. */
  perClass: number[];
  layers: {
    name: string;
    minimum: number;
    maximum: number;
    scale: number;
    zeroPoint: number;
    /** Share of clean / triggered test images with at least one value at the range's end that quantization cut off. */
    cleanClipRate: number;
    triggeredClipRate: number;
  }[];
}

/** One trained network in one precision on one profile (profile null = FP32). */
export interface Deployment {
  precision: string;
  /** One line: what was quantized and how. */
  scheme: string;
  profile: string | null;
  accuracy: Share;
  /** Attack success on stamped test images whose class is not the target; for a clean model, with its twin's trigger. */
  attackSuccess: Share;
  /** Share of test images whose top-1 differs from FP32. */
  flips: Share | null;
  calibration: CalibrationCard | null;
  /** Bytes and milliseconds, estimates with their confidence; null where the profile gives no figure. */
  memory: {
    weightBytes: number;
    arenaBytes: number;
    flashBytes: number | null;
    ramBytes: number | null;
    fits: boolean;
  } | null;
  latency: { milliseconds: number; confidence: string } | null;
  sha256: string;
}

export interface ModelRecord {
  id: string;
  kind: "backdoored" | "clean";
  /** The model of the same seed with (without) the backdoor. */
  twin: string;
  architecture: string;
  seed: number;
  attack: {
    name: string;
    target: number;
    triggerSize: number;
    triggerPosition: string;
    triggerColor: string;
    poisonRate: number;
  };
  /** FP32 rule: ASR > 0.95 and clean accuracy within 2 points of the clean twin. */
  accepted: boolean;
  rejection: string;
  deployments: Deployment[];
}

/** Verdicts by three thresholds; null where it cannot be calibrated (fewer than 2 clean models with a score). */
export interface Thresholds {
  published: { value: number; source: string; verdict: Verdict };
  fp32Calibrated: { value: number; verdict: Verdict } | null;
  recalibrated: { value: number; verdict: Verdict } | null;
}

/** model x precision x profile x access x defense. */
export interface Cell {
  model: string;
  defense: string;
  precision: string;
  profile: string | null;
  access: AccessLevel;
  arm: Arm;
  /** By the published threshold. */
  verdict: Verdict;
  reason: string;
  scoreName: string;
  score: number | null;
  thresholds: Thresholds;
  flagged: number[];
  measures: Record<string, number>;
  figures: Figure[];
  passes: { forward: number; backward: number };
}

/** S is the named measure averaged over accepted backdoored models; null where no model has a score. */
export interface Decomposition {
  defense: string;
  precision: string;
  profile: string;
  measure: string;
  /** Models with a score in each arm, of `models`. */
  models: number;
  runnable: Record<Arm, number>;
  S: Record<Arm, number | null>;
  mechanical: number | null;
  statistical: number | null;
  total: number | null;
  /** Does FP32 with full access have signal (S(FF) > 0.9)? If not there is none to lose. */
  signal: boolean;
  /** "kept", "mechanical", "statistical", "calibration", "no signal at FP32", … with the sentence that says why. */
  cause: string;
  sentence: string;
}

/** The paper's protocol as its public code runs it. */
export interface PaperRow {
  model: string;
  defense: string;
  precision: string;
  detected: boolean;
  score: number;
  rule: string;
  /** One sentence: what made it so. */
  because: string;
}

export interface Result {
  /** A file of version 1 holds each cell's figures in the cell; see resultFile.ts. */
  format: "blindspot-result/2";
  command: string;
  preset: string;
  versions: Record<string, string>;
  seed: number;
  /** Every option with its value. */
  options: Record<string, unknown>;
  /** sha256 of data, profiles, kernels. */
  inputs: { data: Record<string, string>; profiles: Record<string, string>; kernels: Record<string, string> };
  dataset: {
    name: string;
    classNames: string[];
    height: number;
    width: number;
    channels: number;
    train: number;
    held: number;
    test: number;
    caveat: string;
  };
  profiles: {
    id: string;
    title: string;
    family: string;
    access: AccessLevel;
    accessWhy: string;
    arithmetic: string;
  }[];
  models: ModelRecord[];
  cells: Cell[];
  /** False-positive rate of each defense on clean models, per precision, profile and arm, by each threshold. */
  falsePositives: {
    defense: string;
    precision: string;
    profile: string | null;
    arm: Arm;
    published: Share | null;
    fp32Calibrated: Share | null;
    recalibrated: Share | null;
  }[];
  decomposition: Decomposition[];
  paper: PaperRow[];
}
