import type { AccessLevel, Figure, Outcome, Verdict } from "../../defenses/defense.ts";
import type { TargetInfo } from "../../model/inspect.ts";
import type { Arm, Share } from "../result.ts";

/** One model, in FP32 or on one device. */
export interface Deployed {
  /** e.g. "int8". */
  precision: string;
  /** One line: what it is and who made it. */
  scheme: string;
  accuracy: Share;
  /** Images of which the largest score is another than under the float twin; null without one. */
  flipsFromFloat: Share | null;
  /** The same, against the first device that runs the model. */
  flipsFromFirst: Share | null;
  /** sha256 of the model as it runs there. */
  sha256: string;
}

export interface AuditDevice extends TargetInfo {
  family: string;
  access: AccessLevel;
  accessWhy: string;
  /** Null where the device cannot run the model: `refused` says why. */
  deployed: Deployed | null;
}

/** One defense on one arm. FF and FR are of the float twin; profile is null for FF alone. */
export interface AuditCell {
  defense: string;
  arm: Arm;
  profile: string | null;
  access: AccessLevel;
  /** By the published threshold. */
  verdict: Verdict;
  reason: string;
  scoreName: string;
  score: number | null;
  published: { value: number; source: string };
  flagged: number[];
  measures: Record<string, number>;
  figures: Figure[];
  perClass: number[] | null;
  passes: Outcome["passes"];
}

/** The class that Neural Cleanse accuses by its published threshold, and the trigger that it found. STRIP and Fine-Pruning are
 * run with that trigger. */
export interface Suspect {
  class: number;
  arm: Arm;
  profile: string | null;
  score: number;
  /** height * width in [0, 1]. */
  mask: number[];
  /** height * width * channels pixel values. */
  pattern: number[];
}

/** A detection that the reference has and the device has not, or has with less of the signal. */
export interface Loss {
  defense: string;
  profile: string;
  /** FF where there is a float twin, else QF. */
  reference: Arm;
  cause: "kept" | "mechanical" | "statistical" | "calibration" | "interaction" | "unknown";
  /** S of the arms that ran: how clearly the accused class or trigger stands out, 1 is wholly. */
  S: Partial<Record<Arm, number>>;
  sentence: string;
}

/** What was measured; no policy decides any of it. */
export interface AuditEvidence {
  format: "blindspot-audit/1";
  command: string;
  preset: string;
  versions: Record<string, string>;
  seed: number;
  options: Record<string, unknown>;
  /** sha256 of everything that decides the numbers. */
  inputs: {
    model: string;
    float: string | null;
    data: Record<string, string>;
    training: Record<string, string> | null;
    profiles: Record<string, string>;
    kernels: Record<string, string>;
  };
  model: {
    name: string;
    /** Where the file is, as the user named it. */
    file: string;
    float: string | null;
    /** Whether the file holds integers, or was quantized here for each device. */
    kind: "integer" | "float";
    classes: number;
    /** How pixels become its input. */
    input: string;
  };
  dataset: {
    name: string;
    classNames: string[];
    height: number;
    width: number;
    channels: number;
    /** Images that the defenses work with, that measure, and of the training set (null: not given). */
    clean: number;
    test: number;
    training: number | null;
    caveat: string;
  };
  /** Null without a float twin; else why it could not be run, or how it did. */
  float: { refused: string } | { deployed: Deployed } | null;
  devices: AuditDevice[];
  suspect: Suspect | null;
  cells: AuditCell[];
  losses: Loss[];
}
