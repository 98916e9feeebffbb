import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { inspectText } from "../../src/cli/inspectText.ts";
import { findProfile, shippedProfiles } from "../../src/cli/profiles.ts";
import { loadKernelModule } from "../../src/cli/wasm.ts";
import { bindKernels } from "../../src/kernels/module.ts";
import { compile } from "../../src/model/compile.ts";
import { writeModel } from "../../src/model/file.ts";
import { imageInput } from "../../src/model/imageInput.ts";
import { inspectModel, inspectTarget, runsOn } from "../../src/model/inspect.ts";
import { weightBytes } from "../../src/quantize/ptq.ts";
import { blindspot, floatCnn, int8Cnn } from "./cnn.ts";

const input = (scale: number, zeroPoint: number, dtype: "int8" | "uint8" | "int16" = "int8") => ({
  dtype,
  quantization: { scale: Float32Array.of(scale), zeroPoint: Int32Array.of(zeroPoint) },
});

describe("the convention of an image input", () => {
  const cases: [ReturnType<typeof input>, string, (pixel: number) => number][] = [
    [input(1 / 255, -128), "0..1", (p) => p - 128],
    [input(1, -128), "0..255", (p) => p - 128],
    [input(1, 0), "-128..127", (p) => p - 128],
    [input(1 / 127.5, -1), "-1..1", (p) => p - 128],
    [input(1 / 127.5, 0), "-1..1", (p) => p - 128],
    [input(1 / 128, 0), "-1..127/128", (p) => p - 128],
    [input(1 / 128, 128, "uint8"), "-1..127/128", (p) => p],
    [input(1 / 255, 0, "uint8"), "0..1", (p) => p],
  ];
  for (const [tensor, convention, code] of cases)
    it(`is ${convention} for ${tensor.dtype} ${tensor.quantization.scale[0]}, ${tensor.quantization.zeroPoint[0]}`, () => {
      const image = imageInput(tensor)!;
      expect(image.convention).toBe(convention);
      expect(image.values).toEqual(Array.from({ length: 256 }, (_, p) => code(p)));
    });

  it("rounds and clamps where a calibrated scale is a little off", () => {
    const image = imageInput(input(0.0038, -128))!;
    expect(image.convention).toBe("0..1");
    expect([image.values[0], image.values[100], image.values[255]]).toEqual([-128, -25, 127]);
  });

  it("is unknown for the scale of a normalization by mean and deviation", () => {
    expect(imageInput(input(0.0187, -14))).toBeUndefined();
  });
});

describe("an inspection", () => {
  it("tells what to do with a float model that is meant for a device", async () => {
    const profile = await findProfile("ethos-u65");
    const kernels = await bindKernels(await loadKernelModule());
    const text = (graph: typeof floatCnn) =>
      inspectText(inspectModel(graph), "m", "f", inspectTarget(graph, profile, kernels));
    expect(text(floatCnn)).toContain("blindspot quantize");
    expect(text(int8Cnn)).not.toContain("blindspot quantize");
  });

  it("counts parameters, MACs and bytes", () => {
    const { nodes, totals } = inspectModel(int8Cnn);
    const [conv] = nodes;
    const filter = int8Cnn.tensors[int8Cnn.nodes[0].inputs[1]].shape;
    const outputs = conv.shape.slice(1).reduce((a, b) => a * b);
    expect(conv.parameters).toBe(filter.reduce((a, b) => a * b) + filter[0]);
    expect(conv.macs).toBe(outputs * filter[1] * filter[2] * filter[3]);
    expect(conv.weights).toEqual({ dtype: "int8", granularity: "per-channel", scales: filter[0] });
    expect(totals.weightBytes).toBe(weightBytes(int8Cnn));
    expect(totals.macs).toBe(nodes.reduce((sum, { macs }) => sum + macs, 0));
  });

  it("plans the arena that compile plans", async () => {
    const plan = compile(
      int8Cnn,
      await findProfile("ethos-u65"),
      await bindKernels(await loadKernelModule()),
    );
    expect(inspectModel(int8Cnn).totals.arenaBytes).toBe(plan.arenaBytes);
  });

  it("names every node that a profile cannot run", async () => {
    const kernels = await bindKernels(await loadKernelModule());
    const target = inspectTarget(floatCnn, await findProfile("ethos-u65"), kernels);
    expect(runsOn(target)).toBe(false);
    const weighted = floatCnn.nodes.filter(({ op }) => op === "CONV_2D" || op === "BATCH_NORMALIZATION");
    expect(target.refused.length).toBeGreaterThanOrEqual(weighted.length);
    expect(target.latency).toBeNull();
  });

  it("says that a model does not fit in the RAM of a device", async () => {
    const kernels = await bindKernels(await loadKernelModule());
    const profile = await findProfile("stm32l4r5-cmsis-nn");
    const ramBytes = { ...profile.memory.ramBytes!, value: 100 };
    const target = inspectTarget(int8Cnn, { ...profile, memory: { ramBytes } }, kernels);
    expect(target.ram.fits).toBe(false);
    expect(target.flash.fits).toBeNull();
    expect(runsOn(target)).toBe(false);
  });

  it("is possible on every shipped profile", async () => {
    const kernels = await bindKernels(await loadKernelModule());
    for (const profile of (await shippedProfiles()).values())
      expect(inspectTarget(int8Cnn, profile, kernels).profile).toBe(profile.id);
  });
});

describe("blindspot inspect", () => {
  let directory: string;
  beforeAll(async () => {
    directory = await mkdtemp(join(tmpdir(), "blindspot-"));
    await writeFile(join(directory, "int8.blindspot"), writeModel({ graph: int8Cnn, meta: {} }));
    await writeFile(join(directory, "float.blindspot"), writeModel({ graph: floatCnn, meta: {} }));
    await writeFile(join(directory, "bad.tflite"), "not a model");
  });
  afterAll(() => rm(directory, { recursive: true }));

  it("prints a model within 100 columns", async () => {
    const { code, stdout, stderr } = await blindspot(directory, "inspect", "int8.blindspot");
    expect([code, stderr]).toEqual([0, ""]);
    expect(stdout).toMatch(/pixels 0\.\.255 stand for 0\.\.1: q = pixel - 128/);
    expect(stdout).toMatch(/\b0 {2}CONV_2D .*int8, \d+\n/);
    for (const line of stdout.split("\n")) expect(line.length).toBeLessThanOrEqual(100);
  });

  it("says whether a device runs it, and prints JSON", async () => {
    const { code, stdout } = await blindspot(
      directory,
      ...["inspect", "int8.blindspot", "--profile", "stm32l4r5-cmsis-nn", "--json"],
    );
    expect(code).toBe(0);
    const { format, target, nodes } = JSON.parse(stdout);
    expect([format, nodes.length]).toEqual(["Blindspot", int8Cnn.nodes.length]);
    expect([target.refused, target.flash.fits, target.ram.fits]).toEqual([[], true, true]);
    expect(target.latency.milliseconds).toBeGreaterThan(0);
  });

  it("tells what an input holds, and takes only pixels for an image", () => {
    const text = (shape: number[], scale: number) =>
      inspectText(
        inspectModel({
          name: " ",
          tensors: [
            { name: " ", shape, ...input(scale, 0) },
            { name: "paddings", shape: [4, 2], dtype: "int32", data: new Int32Array(8) },
          ],
          nodes: [],
          inputs: [0],
          outputs: [0],
        }),
        "m.tflite",
        "TensorFlow Lite",
      );
    expect(text([1, 32, 32, 3], 0.5)).toMatch(/\(no name\) {2}1x32x32x3 .*\n.* holds real -64 to 63\.5\n/);
    expect(text([1, 32, 32, 3], 0.02)).toMatch(/no usual range of pixels/);
    for (const shape of [
      [1, 128, 3, 1],
      [1, 1, 5, 64],
      [1, 640],
    ])
      expect(text(shape, 1)).not.toMatch(/pixels/);
    expect(text([1, 640], 1)).toMatch(/^m\.tflite\nTensorFlow Lite, 0 nodes\n[\s\S]*parameters {3}0\n/);
  });

  it("has exit code 1 for a model that the device cannot run", async () => {
    const { code, stdout } = await blindspot(
      directory,
      ...["inspect", "float.blindspot", "--profile", "ethos-u65"],
    );
    expect(code).toBe(1);
    expect(stdout).toMatch(/cannot run/);
    for (const line of stdout.split("\n")) expect(line.length).toBeLessThanOrEqual(100);
  });

  for (const [what, args, message] of [
    ["a file that is not there", ["none.tflite"], /none\.tflite: expected a model, got nothing there/],
    ["a file that is no model", ["bad.tflite"], /bad\.tflite: .*expected/],
    [
      "a part of an id, with the ids that it may be of",
      ["int8.blindspot", "--profile", "ethos"],
      /profile ethos: expected alif-e7-ethos-u55, .*ethos-u65, .* or another of the \d+/,
    ],
    ["a profile that is none", ["int8.blindspot", "--profile", "toaster"], /profile toaster: expected/],
  ] as [string, string[], RegExp][])
    it(`refuses ${what} in one line`, async () => {
      const { code, stdout, stderr } = await blindspot(directory, "inspect", ...args);
      expect(stderr).toMatch(message);
      expect(stderr.trimEnd()).not.toContain("\n");
      expect([code, stdout]).toEqual([2, ""]);
    });
});
