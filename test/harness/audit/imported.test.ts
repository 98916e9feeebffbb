import { existsSync, readFileSync } from "node:fs";
import { beforeAll, describe, expect, it } from "vitest";
import { nodeFiles } from "../../../src/cli/nodeFiles.ts";
import { findProfile } from "../../../src/cli/profiles.ts";
import { loadKernelModule, loadTrainModule } from "../../../src/cli/wasm.ts";
import { cifar10 } from "../../../src/data/cifar10.ts";
import type { Dataset } from "../../../src/data/dataset.ts";
import { startBackend } from "../../../src/float/backend.ts";
import { audit } from "../../../src/harness/audit/audit.ts";
import type { AuditLab } from "../../../src/harness/audit/inputs.ts";
import type { AuditEvidence } from "../../../src/harness/audit/result.ts";
import { executeHere } from "../../../src/harness/audit/steps.ts";
import { integerSubject } from "../../../src/harness/integerSubject.ts";
import { firstImages } from "../../../src/harness/lab.ts";
import { importModel } from "../../../src/import/index.ts";
import { classifierOf } from "../../../src/model/classifier.ts";
import { memoryStore } from "../lab.ts";
import { PROVENANCE } from "./lab.ts";

const SHARED = new URL("../../../../shared/", import.meta.url);
const path = (name: string) => new URL(`models/${name}/model.tflite`, SHARED);
const FILES = [path("mlperf_resnet8_int8"), path("mlperf_resnet8_float"), new URL("data/cifar10/", SHARED)];
const present = FILES.every((file) => existsSync(file));
const read = (name: string) => ({
  name: `${name}.tflite`,
  graph: importModel(readFileSync(path(name)), `${name}.tflite`),
  sha256: name,
});

describe.skipIf(!present)("MLPerf Tiny's ResNet-8 on CIFAR-10 (needs ../shared)", () => {
  let lab: AuditLab;
  let dataset: Dataset;
  let evidence: AuditEvidence;
  beforeAll(async () => {
    dataset = await cifar10.load(
      { path: FILES[2].pathname, images: { train: 10, held: 60, test: 120 } },
      nodeFiles,
    );
    const { classNames, held: clean, test, caveat } = dataset;
    lab = {
      kernels: await loadKernelModule(),
      backend: await startBackend(await loadTrainModule()),
      store: memoryStore(),
      model: read("mlperf_resnet8_int8"),
      float: read("mlperf_resnet8_float"),
      images: { name: "cifar10", classNames, clean, test, training: null, caveat },
      profiles: [await findProfile("stm32l4r5-cmsis-nn")],
      preset: { testImages: 120, cleanImages: 60, calibrationImages: 60, defenses: "brief" },
      seed: 1,
      taken: null,
      weightBits: 8,
      engine: "test",
    };
    evidence = await audit(lab, PROVENANCE, executeHere(lab));
  });

  it("takes pixels as 0..255, as the integer input's scale says, and gives its float twin the same", () => {
    expect(evidence.model.input).toMatch(/0\.\.255/);
    expect(evidence.devices[0].deployed!.accuracy.value).toBeGreaterThan(0.75);
    expect(
      (evidence.float as { deployed: { accuracy: { value: number } } }).deployed.accuracy.value,
    ).toBeGreaterThan(0.75);
    expect(evidence.devices[0].deployed!.flipsFromFloat!.value).toBeLessThan(0.08);
  });

  it("runs Neural Cleanse with straight-through gradients on a graph that no quantizer of ours made", () => {
    const cell = evidence.cells.find(({ defense, arm }) => defense === "neuralCleanse" && arm === "QF")!;
    expect(cell.score).not.toBeNull();
    expect(cell.measures.gradientFree).toBe(0);
    expect(cell.measures.solvedShare).toBe(1);
  });

  it("has straight-through gradients that point where the float twin's do", async () => {
    const { floatSubject } = await import("../../../src/harness/floatSubject.ts");
    const { takenByFloat, foldedTwin } = await import("../../../src/harness/audit/models.ts");
    const [profile] = lab.profiles;
    const integer = await integerSubject(lab.kernels, lab.backend, {
      graph: lab.model.graph,
      scheme: null,
      profile,
      name: "int8",
    });
    const float = floatSubject(lab.backend, foldedTwin(lab)!, "fp32", takenByFloat(lab));
    const { pixels, count } = firstImages(dataset.test, 8);
    const seed = (logits: Float32Array) => logits.map((_, i) => (i % 10 === 3 ? 1 : 0));
    const [a, b] = [integer, float].map((subject) => subject.gradient!(pixels, count, seed).gradient);
    const dot = (x: Float32Array, y: Float32Array) => x.reduce((sum, value, i) => sum + value * y[i], 0);
    expect(dot(a, b) / Math.sqrt(dot(a, a) * dot(b, b))).toBeGreaterThan(0.8);
    expect(Math.sqrt(dot(a, a) / dot(b, b))).toBeGreaterThan(0.5);
    expect(Math.sqrt(dot(a, a) / dot(b, b))).toBeLessThan(2);
  });

  it("finds channels to prune, and says why an imported graph cannot be tuned", async () => {
    const [profile] = lab.profiles;
    const { missing, pruning, tune } = await integerSubject(lab.kernels, lab.backend, {
      graph: lab.model.graph,
      scheme: null,
      profile,
      name: "int8",
    });
    expect(tune).toBeUndefined();
    expect(missing.tune).toMatch(/quantized here/);
    const { pixels, count } = firstImages(dataset.test, 4);
    const all = Array.from({ length: pruning!.channels }, (_, i) => i);
    expect(new Set(pruning!.without(all).scores(pixels, count).subarray(0, 10)).size).toBeGreaterThan(1);
    expect([...pruning!.without(all).scores(pixels, count)].slice(0, 10)).toEqual(
      [...pruning!.without(all).scores(pixels, count)].slice(10, 20),
    );
    expect(pruning!.without([]).scores(pixels, count)).toEqual(
      (
        await integerSubject(lab.kernels, lab.backend, {
          graph: lab.model.graph,
          scheme: null,
          profile,
          name: "int8",
        })
      ).scores(pixels, count),
    );
  });
});

describe.skipIf(
  !existsSync(path("cfu_mnv2_160_035")) ||
    !existsSync(path("coral_mobilenet_v1_0.25_128_quant")) ||
    !existsSync(path("tflm_person_detect")),
)("other shared models", () => {
  it("are refused in one line where there are more classes than a label has values", () => {
    const { graph, name } = read("coral_mobilenet_v1_0.25_128_quant");
    expect(() => classifierOf(graph, name)).toThrow(
      /^coral.*: expected one output of 2 to 256 scores, got 1001$/,
    );
  });

  it("name the operator that has no straight-through gradient", async () => {
    const profile = await findProfile("stm32l4r5-cmsis-nn");
    const { graph, name } = read("cfu_mnv2_160_035");
    const backend = await startBackend(await loadTrainModule());
    const subject = await integerSubject(await loadKernelModule(), backend, {
      graph,
      scheme: null,
      profile,
      name,
    });
    expect(subject.gradient).toBeUndefined();
    expect(subject.missing.gradient).toBe("no straight-through gradient is known of SUB");
    expect(subject.features).toBeDefined();
  });

  it("reads features before a 1x1 convolution", async () => {
    const profile = await findProfile("stm32l4r5-cmsis-nn");
    const { graph, name } = read("tflm_person_detect");
    const backend = await startBackend(await loadTrainModule());
    const subject = await integerSubject(await loadKernelModule(), backend, {
      graph,
      scheme: null,
      profile,
      name,
    });
    expect(subject.featureDepth).toBe(256);
    expect(subject.gradient).toBeDefined();
    const pixels = Uint8Array.from({ length: 2 * 96 * 96 }, (_, i) => (i * 31) % 256);
    expect(subject.pruning!.without([]).scores(pixels, 2)).toEqual(subject.scores(pixels, 2));
    const { gradient } = subject.gradient!(pixels, 2, (logits) => logits.map((_, i) => (i % 2 ? 1 : -1)));
    expect(gradient.some((value) => value !== 0)).toBe(true);
  });
});
