import { DEFENSES } from "../../src/defenses/index.ts";
import type { AuditCell, AuditDevice, AuditEvidence } from "../../src/harness/audit/result.ts";
import type { Arm, Share } from "../../src/harness/result.ts";

const share = (value: number, n = 200): Share => ({
  value,
  n,
  low: Math.max(0, value - 0.03),
  high: Math.min(1, value + 0.03),
});
const CLASSES = 10;

function device(profile: string, first: boolean): AuditDevice {
  return {
    profile,
    title: `Board <${profile}> & "friends"`,
    family: "microcontroller",
    access: "A4",
    accessWhy: "Firmware hands out the softmax.",
    refused: [],
    flash: { needsBytes: 78_000, hasBytes: 1_048_576, fits: true },
    ram: { needsBytes: 49_000, hasBytes: null, fits: null },
    latency: { milliseconds: 81.2, confidence: "source" },
    deployed: {
      precision: "int8",
      scheme: "as the file holds it",
      accuracy: share(first ? 0.955 : 0.95),
      flipsFromFloat: share(0.015),
      flipsFromFirst: first ? null : share(0.005),
      sha256: "ab".repeat(32),
    },
  };
}

function cell(defense: string, arm: Arm, profile: string | null, score: number | null): AuditCell {
  const { scoreName, threshold, thresholdSource } = DEFENSES.find(({ id }) => id === defense)!;
  return {
    defense,
    arm,
    profile,
    access: arm === "FF" ? "A0" : arm === "QF" ? "A1" : "A4",
    verdict: score === null ? "not runnable" : score > threshold ? "detected" : "not detected",
    reason: score === null ? "A4 hides what it needs | <really>." : "Class 3 stands out most.",
    scoreName,
    score,
    published: { value: threshold, source: thresholdSource },
    flagged: score !== null && score > threshold ? [3] : [],
    measures: {},
    figures:
      defense === "neuralCleanse" && score !== null
        ? [
            {
              kind: "bars",
              title: "What each class needs",
              xLabel: "class",
              yLabel: "L1 norm of the mask, pixels",
              bars: Array.from({ length: CLASSES }, (_, c) => ({
                label: String(c),
                value: c === 3 ? 9 : 40 + c,
                marked: c === 3,
              })),
              threshold: 20,
            },
            {
              kind: "trigger",
              title: "Found for class 3, the most suspicious",
              height: 8,
              width: 8,
              mask: Array.from({ length: 64 }, (_, i) => (i > 50 ? 0.9 : 0)),
              pattern: Array.from({ length: 192 }, (_, i) => (i * 7) % 256),
              truth: false,
            },
          ]
        : [],
    perClass:
      defense === "neuralCleanse" && score !== null
        ? Array.from({ length: CLASSES }, (_, c) => (c === 3 ? score : 0.2))
        : null,
    passes: { forward: 1000, backward: 500 },
  };
}

/** Evidence as an audit would give it, with invented numbers. score: Neural Cleanse's on the float twin and the integers. */
export function evidenceFixture({ score = 3.1 }: { score?: number } = {}): AuditEvidence {
  const profiles = ["stm32l4r5-cmsis-nn", "ethos-u65"];
  const places: [Arm, string | null][] = [
    ["FF", null],
    ...(["QF", "FR", "QR"] as const).flatMap((arm) =>
      profiles.map((profile): [Arm, string] => [arm, profile]),
    ),
  ];
  const scoreOf = (defense: string, arm: Arm) => {
    if (defense === "neuralCleanse") return arm === "FF" || arm === "QF" ? score : 0.4;
    return defense === "strip" ? 0.7 : null;
  };
  const accused = score > 2;
  return {
    format: "blindspot-audit/1",
    command: "blindspot audit model.tflite --float model.onnx --data images",
    preset: "brief",
    versions: { blindspot: "0.1.0" },
    seed: 1,
    options: {},
    inputs: {
      model: "cd".repeat(32),
      float: "ef".repeat(32),
      data: { "images/a.png": "01".repeat(32) },
      training: null,
      profiles: {},
      kernels: {},
    },
    model: {
      name: "model <b>x</b>.tflite",
      file: "build/model <b>x</b>.tflite",
      float: "model.onnx",
      kind: "integer",
      classes: CLASSES,
      input: "pixels 0..255 stand for 0..1: q = pixel - 128",
    },
    dataset: {
      name: "images",
      classNames: Array.from({ length: CLASSES }, (_, c) => `sign | ${c}`),
      height: 8,
      width: 8,
      channels: 3,
      clean: 200,
      test: 200,
      training: null,
      caveat: "",
    },
    float: {
      deployed: {
        precision: "fp32",
        scheme: "float32",
        accuracy: share(0.96),
        flipsFromFloat: null,
        flipsFromFirst: null,
        sha256: "ef".repeat(32),
      },
    },
    devices: profiles.map((profile, i) => device(profile, i === 0)),
    suspect: accused
      ? {
          class: 3,
          arm: "FF",
          profile: null,
          score,
          mask: new Array(64).fill(0),
          pattern: new Array(192).fill(0),
        }
      : null,
    cells: DEFENSES.flatMap(({ id }) =>
      places.map(([arm, profile]) => cell(id, arm, profile, scoreOf(id, arm))),
    ),
    losses: profiles.map((profile, i) => ({
      defense: "neuralCleanse",
      profile,
      reference: "FF",
      cause: i === 0 ? "mechanical" : "kept",
      S: { FF: 1, FR: 0.4, QF: 1, QR: 0.4 },
      sentence: "S falls from 1.00 on the float twin to 0.40.",
    })),
  };
}
