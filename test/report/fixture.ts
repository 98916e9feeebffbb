import type { AccessLevel, Figure, Verdict } from "../../src/defenses/defense.ts";
import type {
  Arm,
  CalibrationCard,
  Cell,
  Decomposition,
  Deployment,
  ModelRecord,
  Result,
  Share,
} from "../../src/harness/result.ts";

/** A Result as a run would write it, with invented numbers: every verdict, cause and kind of figure is in it. */
export interface FixtureOptions {
  backdoored: number;
  clean: number;
  rejected: number;
}

const CLASSES = 43;
const SIZE = 32;
const TARGET = 14;
const NAMES = [
  "20 km/h",
  "30 km/h",
  "50 km/h",
  "60 km/h",
  "70 km/h",
  "80 km/h",
  "end of 80",
  "100 km/h",
  "120 km/h",
]
  .concat([
    "no passing",
    "no passing, trucks",
    "right of way",
    "priority road",
    "yield",
    "stop",
    "no vehicles",
  ])
  .concat(Array.from({ length: CLASSES - 16 }, (_, i) => `sign ${i + 16}`));

const PROFILES: Result["profiles"] = [
  {
    id: "stm32l4r5-cmsis-nn",
    title: "STM32L4R5 with CMSIS-NN",
    family: "Cortex-M4",
    access: "A4",
    accessWhy: "the firmware returns the int8 softmax over a serial line and nothing else",
    arithmetic:
      "CMSIS-NN 7.0.0, single rounding, int32 accumulators, int8 softmax with the LUT of its C code",
  },
  {
    id: "ethos-u65",
    title: "Ethos-U65 NPU",
    family: "NPU",
    access: "A3",
    accessWhy: "the driver hands over the output tensor; intermediate tensors stay in the NPU's SRAM",
    arithmetic: "TFLite reference, double rounding, Vela 3.12",
  },
  {
    id: "android-litert-xnnpack",
    title: "Android phone, LiteRT with XNNPACK",
    family: "Cortex-A",
    access: "A2",
    accessWhy: "a debug build can keep all tensors, and there is no gradient",
    arithmetic: "XNNPACK fp32 requantization, round half to even",
  },
];

/** Mulberry32: fixture noise, the same in every run. */
function noise(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

const round = (value: number, digits = 3) => Number(value.toFixed(digits));

function share(value: number, n: number): Share {
  const half = 1.96 * Math.sqrt((value * (1 - value)) / n + 1 / (4 * n * n));
  const k = Math.round(value * n) / n;
  return { value: k, n, low: round(Math.max(0, k - half), 4), high: round(Math.min(1, k + half), 4) };
}

function sha(text: string): string {
  const random = noise([...text].reduce((sum, c) => (sum * 31 + c.charCodeAt(0)) | 0, 7));
  return Array.from({ length: 64 }, () => Math.floor(random() * 16).toString(16)).join("");
}

const QUIET = { published: null, fp32Calibrated: null, recalibrated: null };

function calibration(seed: number): CalibrationCard {
  const random = noise(seed);
  const layers = [
    "input",
    "conv1",
    "block1/add",
    "block2/add",
    "block3/conv1",
    "block3/add",
    "pool",
    "logits",
  ];
  return {
    images: 512,
    perClass: Array.from({ length: CLASSES }, (_, i) => 11 + (i % 3)),
    layers: layers.map((name, i) => ({
      name,
      minimum: i > 5 ? round(-3 - random()) : 0,
      maximum: round(2 + 4 * random()),
      scale: round(0.01 + 0.02 * random(), 5),
      zeroPoint: i > 5 ? 12 : -128,
      cleanClipRate: round(0.002 + 0.008 * random(), 4),
      triggeredClipRate: round(i < 4 ? 0.01 + 0.03 * random() : 0.6 + 0.06 * i * random(), 4),
    })),
  };
}

function deployments(seed: number, kind: ModelRecord["kind"]): Deployment[] {
  const random = noise(seed);
  const base = 0.952 + 0.01 * random();
  const make = (precision: string, profile: string | null): Deployment => ({
    precision,
    scheme:
      precision === "fp32"
        ? "float, as trained"
        : precision === "int8"
          ? "static W8A8, weights per channel, activations min/max"
          : "static W4A8, weights per channel, activations min/max",
    profile,
    accuracy: share(
      base - (precision === "int8" ? 0.004 : precision === "int4" ? 0.03 + (seed % 2) * 0.03 : 0),
      5000,
    ),
    attackSuccess: share(
      kind === "clean" ? 0.021 : precision === "fp32" ? 0.991 : 0.962 - 0.02 * random(),
      4880,
    ),
    flips: precision === "fp32" ? null : share(precision === "int8" ? 0.012 : 0.061, 5000),
    calibration: precision === "fp32" ? null : calibration(seed + precision.length + precision.charCodeAt(3)),
    memory: profile
      ? {
          weightBytes: precision === "int8" ? 79_000 : 41_000,
          arenaBytes: 53_248,
          flashBytes: profile.startsWith("stm") ? 2_097_152 : null,
          ramBytes: profile.startsWith("stm") ? 655_360 : null,
          fits: true,
        }
      : null,
    latency: profile?.startsWith("stm") ? { milliseconds: 193.4, confidence: "inferred" } : null,
    sha256: sha(`${seed}${precision}${profile}`),
  });
  return [make("fp32", null), ...PROFILES.flatMap(({ id }) => [make("int8", id), make("int4", id)])];
}

function modelRecord(kind: ModelRecord["kind"], index: number, accepted: boolean): ModelRecord {
  const seed = 100 + index + (kind === "clean" ? 50 : 0);
  return {
    id: `${kind === "clean" ? "clean" : "badnet"}-${index}`,
    kind,
    twin: `${kind === "clean" ? "badnet" : "clean"}-${index}`,
    architecture: "resnet8-16",
    seed,
    attack: {
      name: "badnet",
      target: TARGET,
      triggerSize: 4,
      triggerPosition: "bottom right, 1 pixel from the edge",
      triggerColor: "yellow",
      poisonRate: 0.05,
    },
    accepted,
    rejection: accepted ? "" : "attack success 0.912 at FP32 is not above 0.95",
    deployments: deployments(seed, kind),
  };
}

function truthFigure(): Figure {
  const inside = (i: number) => i % SIZE >= 27 && i % SIZE < 31 && i >= 27 * SIZE && i < 31 * SIZE;
  return {
    kind: "trigger",
    title: "True trigger",
    height: SIZE,
    width: SIZE,
    mask: Array.from({ length: SIZE * SIZE }, (_, i) => (inside(i) ? 1 : 0)),
    pattern: Array.from({ length: SIZE * SIZE }, (_, i) => (inside(i) ? [255, 225, 0] : [0, 0, 0])).flat(),
    truth: true,
  };
}

function invertedFigure(random: () => number, spread: number): Figure {
  const mask = Array.from({ length: SIZE * SIZE }, (_, i) => {
    const d = Math.hypot((i % SIZE) - 28.5, Math.floor(i / SIZE) - 28.5);
    return round(Math.max(0, Math.min(1, (spread - d) / spread + 0.4 * random() - 0.2)), 2);
  });
  const pattern = Array.from({ length: SIZE * SIZE }, () => [
    200 + 55 * random(),
    150 + 100 * random(),
    90 * random(),
  ])
    .flat()
    .map(Math.round);
  return {
    kind: "trigger",
    title: `Inverted trigger of class ${TARGET}`,
    height: SIZE,
    width: SIZE,
    mask,
    pattern,
    truth: false,
  };
}

function bell(random: () => number, mean: number, sd: number): number {
  return mean + sd * (random() + random() + random() + random() - 2) * 1.7;
}

function binned(values: number[], edges: number[]): number[] {
  return edges.slice(1).map((edge, i) => values.filter((v) => v >= edges[i] && v < edge).length);
}

function stripFigure(random: () => number, gap: number): Figure {
  const edges = Array.from({ length: 26 }, (_, i) => round(i * 0.08, 2));
  const draw = (mean: number, sd: number) =>
    binned(
      Array.from({ length: 500 }, () => Math.max(0, bell(random, mean, sd))),
      edges,
    );
  return {
    kind: "histogram",
    title: "Entropy of 500 clean and 500 triggered inputs",
    xLabel: "entropy over superpositions, bits",
    edges,
    series: [
      { name: "clean", counts: draw(1.2, 0.28) },
      { name: "triggered", counts: draw(1.2 - gap, 0.2) },
    ],
    threshold: 0.55,
  };
}

function normBars(random: () => number, backdoored: boolean): Figure {
  return {
    kind: "bars",
    title: "L1 norm of the inverted mask, class by class",
    xLabel: "class",
    yLabel: "L1 norm",
    bars: Array.from({ length: CLASSES }, (_, i) => ({
      label: String(i),
      value: round(backdoored && i === TARGET ? 16 : bell(random, 62, 8), 1),
      marked: backdoored && i === TARGET,
    })),
    threshold: 38,
  };
}

function clusterFigure(random: () => number, gap: number): Figure {
  const cloud = (n: number, x: number, y: number): [number, number][] =>
    Array.from({ length: n }, () => [round(bell(random, x, 1), 2), round(bell(random, y, 0.8), 2)]);
  return {
    kind: "scatter",
    title: `Class ${TARGET}: first two principal components`,
    xLabel: "component 1",
    yLabel: "component 2",
    series: [
      { name: "clean", points: cloud(700, -gap / 2, 0) },
      { name: "poisoned", points: cloud(250, gap, 0.8) },
    ],
  };
}

function pruningFigure(slow: number): Figure {
  const steps = Array.from({ length: 17 }, (_, i) => i * 4);
  return {
    kind: "curve",
    title: "Pruning the most dormant channels first",
    xLabel: "channels pruned, of 64",
    yLabel: "share of test images",
    series: [
      { name: "clean accuracy", points: steps.map((s) => [s, round(0.95 - 0.8 * (s / 64) ** 5)]) },
      { name: "attack success", points: steps.map((s) => [s, round(0.98 / (1 + Math.exp((s - slow) / 3)))]) },
    ],
  };
}

const FAR = "A very long reason is no reason to break the layout:";
const REASONS: Record<string, Partial<Record<AccessLevel, string>>> = {
  neuralCleanse: {
    A2: "Trigger inversion needs gradients; a forward-only build on the phone has none.",
    A3: "Trigger inversion needs gradients; the NPU's driver returns logits only.",
    A4: "Trigger inversion needs gradients; the firmware returns the int8 softmax only.",
  },
  activationClustering: {
    A3: "Clustering needs the last hidden activations; the NPU's driver returns logits only.",
    A4: `${FAR} clustering needs the last hidden activations of the training set, and the firmware returns the int8 softmax only.`,
  },
  spectralSignatures: {
    A3: "The spectrum needs the last hidden activations; the NPU's driver returns logits only.",
    A4: "The spectrum needs the last hidden activations; the firmware returns the int8 softmax only.",
  },
  finePruning: {
    A3: "Pruning needs to write the weights; the NPU's driver returns logits only.",
    A4: "Pruning needs to write the weights; the firmware returns the int8 softmax only.",
  },
};

interface Row {
  scoreName: string;
  threshold: number;
  source: string;
  measure: string;
  /** Scores of a backdoored and of a clean model, by precision. */
  scores: Record<string, [number, number]>;
  auroc: Record<string, number>;
  figures(random: () => number, backdoored: boolean, precision: string): Figure[];
}

const ROWS: Record<string, Row> = {
  neuralCleanse: {
    scoreName: "largest anomaly index",
    threshold: 2,
    source: "Wang et al., IEEE S&P 2019",
    measure: "auroc of the anomaly index over models",
    scores: { fp32: [4.6, 1.3], int8: [4.2, 1.5], int4: [2.2, 2.3] },
    auroc: { fp32: 1, int8: 1, int4: 0.55 },
    figures: (random, backdoored, precision) => [
      truthFigure(),
      invertedFigure(random, backdoored ? (precision === "int4" ? 9 : 4) : 14),
      normBars(random, backdoored),
    ],
  },
  strip: {
    scoreName: "true-positive rate at 1% false rejections",
    threshold: 0.5,
    source: "ours: the paper judges inputs, not models",
    measure: "auroc of entropy over inputs",
    scores: { fp32: [0.82, 0.01], int8: [0.41, 0.012], int4: [0.86, 0.02] },
    auroc: { fp32: 0.97, int8: 0.94, int4: 0.97 },
    figures: (random, backdoored, precision) => [
      stripFigure(random, backdoored ? (precision === "int8" ? 0.6 : 0.95) : 0),
    ],
  },
  activationClustering: {
    scoreName: "largest silhouette of a class with a cluster below 35%",
    threshold: 0.15,
    source: "Chen et al., SafeAI 2019 (0.10 to 0.15)",
    measure: "auroc of cluster membership over training images",
    scores: { fp32: [0.31, 0.11], int8: [0.12, 0.1], int4: [0.19, 0.12] },
    auroc: { fp32: 0.99, int8: 0.64, int4: 0.81 },
    figures: (random, backdoored, precision) => [
      clusterFigure(random, backdoored ? (precision === "int8" ? 1.4 : 4.2) : 0.2),
    ],
  },
  spectralSignatures: {
    scoreName: "ratio of the first two singular values",
    threshold: 3,
    source: "ours: the paper filters images, it does not judge models",
    measure: "auroc of the outlier score in the target class",
    scores: { fp32: [2.1, 1.9], int8: [2.0, 1.8], int4: [2.2, 3.4] },
    auroc: { fp32: 0.61, int8: 0.57, int4: 0.6 },
    figures: (random) => [
      {
        kind: "histogram",
        title: `Outlier scores in class ${TARGET}`,
        xLabel: "squared projection on the first direction",
        edges: Array.from({ length: 21 }, (_, i) => i * 0.5),
        series: ["clean", "poisoned"].map((name, s) => ({
          name,
          counts: Array.from({ length: 20 }, (_, i) =>
            Math.round((s ? 40 : 160) * Math.exp(-i / 4) * (0.7 + 0.6 * random())),
          ),
        })),
      },
    ],
  },
  finePruning: {
    scoreName: "fall of attack success within 4 points of accuracy",
    threshold: 0.5,
    source: "ours: the paper repairs, it does not detect",
    measure: "share of attack success removed",
    scores: { fp32: [0.93, 0.01], int8: [0.94, 0.01], int4: [0.71, 0.02] },
    auroc: { fp32: 0.94, int8: 0.94, int4: 0.72 },
    figures: (_random, _backdoored, precision) => [pruningFigure(precision === "int4" ? 46 : 30)],
  },
};

const hides = (defense: string, access: AccessLevel): string | undefined => REASONS[defense]?.[access];

function cell(
  model: ModelRecord,
  defense: string,
  place: Pick<Cell, "precision" | "profile" | "access" | "arm">,
): Cell {
  const row = ROWS[defense];
  const reason = hides(defense, place.access);
  const random = noise(model.seed * 7 + place.precision.charCodeAt(3) + defense.length);
  const backdoored = model.kind === "backdoored";
  const score = round(row.scores[place.precision][backdoored ? 0 : 1] * (0.9 + 0.2 * random()));
  const by = (value: number): Verdict => (score > value ? "detected" : "not detected");
  const calibrated = (value: number) => (reason ? null : { value, verdict: by(value) });
  const verdict = reason ? "not runnable" : by(row.threshold);
  return {
    model: model.id,
    defense,
    ...place,
    verdict,
    reason:
      reason ??
      `${row.scoreName} is ${score}, ${verdict === "detected" ? "above" : "not above"} ${row.threshold}.`,
    scoreName: row.scoreName,
    score: reason ? null : score,
    thresholds: {
      published: { value: row.threshold, source: row.source, verdict },
      fp32Calibrated: calibrated(round(row.scores.fp32[1] * 1.4 + 0.3 * row.threshold, 2)),
      recalibrated: calibrated(round(row.scores[place.precision][1] * 1.3, 3)),
    },
    flagged: verdict === "detected" ? [backdoored ? TARGET : 3] : [],
    measures: reason ? {} : { auroc: row.auroc[place.precision], tprAt1: round(0.4 + 0.5 * random()) },
    figures: reason ? [] : row.figures(random, backdoored, place.precision),
    passes: { forward: reason ? 0 : 64_000, backward: reason || defense !== "neuralCleanse" ? 0 : 64_000 },
  };
}

function cellsOf(model: ModelRecord, defense: string): Cell[] {
  const at = (precision: string, profile: string | null, access: AccessLevel, arm: Arm) =>
    cell(model, defense, { precision, profile, access, arm });
  return [
    at("fp32", null, "A0", "FF"),
    ...PROFILES.map(({ id, access }) => at("fp32", id, access, "FR")),
    ...PROFILES.flatMap(({ id, access }) =>
      ["int8", "int4"].flatMap((precision) => [
        at(precision, id, "A1", "QF"),
        at(precision, id, access, "QR"),
      ]),
    ),
  ];
}

const SENTENCES: Record<string, string> = {
  kept: "The score on the device is within 0.05 of the FP32 score, and the published threshold still fits.",
  mechanical:
    "With full access to the integer model the defense still works; the device does not expose what it needs.",
  statistical:
    "Even with full access to the integer model the score falls: 91% of triggered images leave the calibrated range of block 3.",
  calibration:
    "A threshold taken from clean models at this precision restores the detection that the published one loses.",
  "no signal at FP32":
    "At FP32 with full access S is 0.61, which is not above 0.9: there was no signal to lose.",
};

function decompose(
  defense: string,
  precision: string,
  profile: Result["profiles"][number],
  n: number,
): Decomposition {
  const { auroc, measure } = ROWS[defense];
  const blocked = hides(defense, profile.access) !== undefined;
  const S = {
    FF: auroc.fp32,
    FR: blocked ? null : round(auroc.fp32 - (profile.access === "A4" ? 0.02 : 0)),
    QF: auroc[precision],
    QR: blocked ? null : round(auroc[precision] - (profile.access === "A4" ? 0.03 : 0)),
  };
  const signal = S.FF > 0.9;
  const lost = S.FF - S.QF;
  const cause = !signal
    ? "no signal at FP32"
    : blocked
      ? "mechanical"
      : lost > 0.05
        ? "statistical"
        : defense === "strip" && precision === "int8"
          ? "calibration"
          : "kept";
  return {
    defense,
    precision,
    profile: profile.id,
    measure,
    models: n,
    runnable: { FF: n, FR: blocked ? 0 : n, QF: n, QR: blocked ? 0 : n },
    S,
    mechanical: S.FR === null ? null : round(S.FF - S.FR),
    statistical: round(lost),
    total: S.QR === null ? null : round(S.FF - S.QR),
    signal,
    cause,
    sentence: SENTENCES[cause],
  };
}

function falsePositivesOf(cells: Cell[], clean: Set<string>): Result["falsePositives"] {
  const groups = Map.groupBy(
    cells.filter((c) => clean.has(c.model)),
    (c) => [c.defense, c.precision, c.profile, c.arm].join("|"),
  );
  return [...groups.values()].map((group) => {
    const { defense, precision, profile, arm } = group[0];
    const place = { defense, precision, profile, arm };
    const ran = group.filter((c) => c.verdict !== "not runnable");
    if (ran.length === 0) return { ...place, ...QUIET };
    const of = (pick: (c: Cell) => Verdict | undefined) =>
      share(ran.filter((c) => pick(c) === "detected").length / ran.length, ran.length);
    return {
      ...place,
      published: of((c) => c.thresholds.published.verdict),
      fp32Calibrated: of((c) => c.thresholds.fp32Calibrated?.verdict),
      recalibrated: of((c) => c.thresholds.recalibrated?.verdict),
    };
  });
}

const PAPER: Record<string, [string, string]> = {
  neuralCleanse: [
    "a class norm below the median with |norm - median| / (1.4826 MAD) > 2, if MAD > 0",
    "No gradient of the cross entropy passes the int8 layer, all norms are equal, and the rule asks for MAD > 0.",
  ],
  strip: [
    "share below the 5th percentile of the same values > 0.1",
    "The share is 0.05 by construction, so the rule cannot fire on any model.",
  ],
  activationClustering: [
    "coefficient of variation of feature norms of some class > 0.5",
    "It reads clean test images, among which there is no poisoned one.",
  ],
  spectralSignatures: [
    "first singular value explains > 50% of the variance",
    "It measures how classes differ, on clean test images.",
  ],
  finePruning: [
    "share of channels with mean activation < 0.01 above 0.3",
    "Nothing is pruned; dormant channels are counted.",
  ],
};

/** Default: 2 + 2 accepted models and one that was rejected. */
export function fixture(
  { backdoored, clean, rejected }: FixtureOptions = { backdoored: 2, clean: 2, rejected: 1 },
): Result {
  const models = [
    ...Array.from({ length: backdoored }, (_, i) => modelRecord("backdoored", i + 1, true)),
    ...Array.from({ length: clean }, (_, i) => modelRecord("clean", i + 1, true)),
    ...Array.from({ length: rejected }, (_, i) => modelRecord("backdoored", backdoored + i + 1, false)),
  ];
  const defenses = Object.keys(ROWS);
  const cells = models.flatMap((model) => defenses.flatMap((defense) => cellsOf(model, defense)));
  const cleanIds = new Set(models.filter((model) => model.kind === "clean").map((model) => model.id));
  return {
    format: "blindspot-result/2",
    command: "blindspot reproduce --dataset gtsrb --data shared/data/gtsrb --preset study --seed 7",
    preset: "study",
    versions: { blindspot: "0.1.0", node: "24.21.0", tfjs: "4.22.0", kernels: "simd" },
    seed: 7,
    options: {
      dataset: "gtsrb",
      models: backdoored + clean,
      precisions: ["int8", "int4"],
      strip: { overlays: 64 },
    },
    inputs: {
      data: { "gtsrb/train.csv": sha("train"), "gtsrb/test.csv": sha("test") },
      profiles: Object.fromEntries(PROFILES.map(({ id }) => [`${id}.json`, sha(id)])),
      kernels: { "kernels.simd.wasm": sha("simd") },
    },
    dataset: {
      name: "GTSRB",
      classNames: NAMES,
      height: SIZE,
      width: SIZE,
      channels: 3,
      train: 11_055,
      held: 2_005,
      test: 5_000,
      caveat: "A subset of whole tracks; accuracy is not comparable with the full set's.",
    },
    profiles: structuredClone(PROFILES),
    models,
    cells,
    falsePositives: falsePositivesOf(cells, cleanIds),
    decomposition: defenses.flatMap((defense) =>
      PROFILES.flatMap((profile) =>
        ["int8", "int4"].map((precision) => decompose(defense, precision, profile, backdoored)),
      ),
    ),
    paper: models.slice(0, 3).flatMap((model) =>
      defenses.flatMap((defense) =>
        ["fp32", "int8"].map((precision) => ({
          model: model.id,
          defense,
          precision,
          detected: defense === "neuralCleanse" && precision === "fp32" && model.kind === "backdoored",
          score:
            { neuralCleanse: precision === "fp32" ? 2.4 : 0, strip: 0.05, finePruning: 0 }[defense] ?? 0.31,
          rule: PAPER[defense][0],
          because:
            defense === "neuralCleanse" && precision === "fp32"
              ? "Fifty steps suffice to pull one class away from the median."
              : PAPER[defense][1],
        })),
      ),
    ),
  };
}
