import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { findProfile } from "../../src/cli/profiles.ts";
import { loadKernelModule } from "../../src/cli/wasm.ts";
import { formatNpy } from "../../src/data/npy.ts";
import { compareProfiles, type Triggered } from "../../src/harness/compare.ts";
import { bindKernels } from "../../src/kernels/module.ts";
import { compile } from "../../src/model/compile.ts";
import { writeModel } from "../../src/model/file.ts";
import { seededRandom } from "../../src/random.ts";
import { comparisonPage } from "../../src/report/html/comparison.ts";
import { blindspot, cnn, floatCnn, int8Cnn } from "./cnn.ts";

const COUNT = 64;
const random = seededRandom(5);
const x = Int8Array.from({ length: COUNT * 192 }, () => random.below(256) - 128);
const IDS = ["stm32l4r5-cmsis-nn", "android-litert-xnnpack", "esp32-s3-esp-dl"];

async function compared(labels?: Uint8Array, triggered?: Triggered) {
  const profiles = await Promise.all(IDS.map(findProfile));
  const module = await loadKernelModule();
  const options = { graph: int8Cnn, profiles, module, values: [x], count: COUNT, inputs: "noise <1>" };
  return compareProfiles({ ...options, labels, triggered });
}

/** Every value of every node's output under a profile, in one chunk. */
async function everything(id: string): Promise<Int8Array[]> {
  const kernels = await bindKernels(await loadKernelModule());
  const plan = compile(int8Cnn, await findProfile(id), kernels, { keep: "all", chunk: COUNT });
  plan.run([x], COUNT);
  return int8Cnn.nodes.map(({ outputs }) => (plan.view(outputs[0], COUNT) as Int8Array).slice());
}

describe("a comparison", () => {
  it("counts the values that differ, and the largest difference, layer by layer", async () => {
    const [expected, values] = await Promise.all(IDS.slice(0, 2).map(everything));
    const { run } = (await compared()).profiles[1];
    const layers = values.map((layer, i) => {
      const sizes = [...layer].map((value, k) => Math.abs(value - expected[i][k]));
      return {
        values: layer.length,
        differing: sizes.filter((size) => size > 0).length,
        largest: Math.max(...sizes),
      };
    });
    expect(run!.layers).toEqual(layers);
    expect(run!.firstDifferent).toBe(layers.findIndex(({ differing }) => differing > 0));
    expect(run!.firstDifferent).toBeGreaterThanOrEqual(0);
  });

  it("takes the first of equal outputs as the answer", async () => {
    const [expected, values] = (await Promise.all(IDS.slice(0, 2).map(everything))).map((all) => all.at(-1)!);
    const top = (all: Int8Array, i: number) => {
      const row = [...all.subarray(i * 3, i * 3 + 3)];
      return row.indexOf(Math.max(...row));
    };
    const labels = Uint8Array.from({ length: COUNT }, (_, i) => top(expected, i));
    const { profiles } = await compared(labels);
    const flips = [...labels.keys()].filter((i) => labels[i] !== top(values, i));
    const flipped = flips.length;
    expect(profiles[0].run!.accuracy!.value).toBe(1);
    expect(profiles[1].run!.flips).toEqual({
      ...{ images: flipped, lost: flipped, gained: 0 },
      first: flips.slice(0, 12).map((image) => ({ image, from: labels[image], to: top(values, image) })),
    });
    expect(flipped).toBeGreaterThan(0);
    expect(profiles[1].run!.accuracy!.value).toBeCloseTo(1 - flipped / COUNT, 5);
  });

  it("counts as attack success the triggered images that are taken for the target", async () => {
    const target = 1;
    const count = 50;
    const triggered = { values: [x.subarray(0, count * 192)], count, target, trigger: "none <2>" };
    const comparison = await compared(undefined, triggered);
    for (const [i, id] of IDS.slice(0, 2).entries()) {
      const last = (await everything(id)).at(-1)!;
      const hits = Array.from({ length: count }, (_, image) => {
        const row = [...last.subarray(image * 3, image * 3 + 3)];
        return row.indexOf(Math.max(...row)) === target;
      }).filter(Boolean).length;
      expect(comparison.profiles[i].run!.attackSuccess).toMatchObject({ value: hits / count, n: count });
    }
    expect(comparisonPage(comparison)).toContain("none &lt;2&gt;");
    expect((await compared()).profiles[0].run!.attackSuccess).toBeNull();
  });

  it("keeps a profile that cannot run the model, with its reasons", async () => {
    const { profiles, reference } = await compared();
    expect(reference).toBe(IDS[0]);
    expect(profiles[0].run!.layers.every(({ differing }) => differing === 0)).toBe(true);
    expect(profiles[2].run).toBeNull();
    expect(profiles[2].refused.length).toBeGreaterThan(0);
  });

  it("is a page without script or anything from elsewhere, with a cell for each layer and profile", async () => {
    const page = comparisonPage(await compared());
    expect(page).not.toMatch(/<script|https?:|<link|@import|url\(/);
    expect(page.match(/<g><title>/g)!.length).toBe(int8Cnn.nodes.length);
    expect(page).toContain("noise &lt;1&gt;");
    expect(page).toContain("esp32-s3-esp-dl cannot run");
  });
});

describe("blindspot compare", () => {
  let directory: string;
  beforeAll(async () => {
    directory = await mkdtemp(join(tmpdir(), "blindspot-"));
    const write = (name: string, graph: typeof int8Cnn) =>
      writeFile(join(directory, name), writeModel({ graph, meta: {} }));
    await write("int8.blindspot", int8Cnn);
    await write("float.blindspot", floatCnn);
    await write("signs.blindspot", cnn(32, 43).int8);
    await writeFile(join(directory, "x.npy"), formatNpy({ shape: [COUNT, 8, 8, 3], data: x }));
    const float = new Float32Array(192);
    await writeFile(join(directory, "float.npy"), formatNpy({ shape: [1, 8, 8, 3], data: float }));
  });
  afterAll(() => rm(directory, { recursive: true }));
  const two = ["--profile", IDS[0], "--profile", IDS[1]];

  it("prints a table within 100 columns and writes a page", async () => {
    const { code, stdout } = await blindspot(
      directory,
      ...["compare", "int8.blindspot", ...two, "--input", "x.npy", "--images", "10", "-o", "page.html"],
    );
    expect(code).toBe(0);
    expect(stdout).toMatch(/^10 images: x\.npy$/m);
    expect(stdout).toMatch(/^android-litert-xnnpack +\d [A-Z]/m);
    for (const line of stdout.split("\n")) expect(line.length).toBeLessThanOrEqual(100);
    expect(await readFile(join(directory, "page.html"), "utf8")).toMatch(/^<!doctype html>/);
    await rm(join(directory, "page.html"));
  });

  it("measures accuracy on a data set and says how pixels were taken", async () => {
    const { code, stdout } = await blindspot(
      directory,
      ...["compare", "signs.blindspot", ...two, "--dataset", "signs", "--images", "40", "--json"],
    );
    expect(code).toBe(0);
    const { images, inputs, profiles } = JSON.parse(stdout);
    expect(images).toBe(40);
    expect(inputs).toMatch(/signs, pixels taken as 0\.\.1 \(q = pixel - 128\)/);
    expect(profiles[1].run.accuracy.n).toBe(40);
  });

  it("measures attack success where an attack is named, with pixels taken as asked", async () => {
    const attack = ["--attack", "badnet", "--target", "7", "--trigger-position", "centre"];
    const { code, stdout } = await blindspot(
      directory,
      ...["compare", "signs.blindspot", ...two, "--dataset", "signs", "--images", "40", ...attack],
      ...["--input-range", "-1..1"],
    );
    expect(code).toBe(0);
    expect(stdout).toMatch(/pixels taken as -1\.\.1/);
    expect(stdout).toMatch(
      /ASR \(attack success\): 5x5 checkerboard patch, centre, target class 7, on the 40/,
    );
    expect(stdout).toMatch(/^profile .* accuracy +ASR +flash/m);
    for (const line of stdout.split("\n")) expect(line.length).toBeLessThanOrEqual(100);
  });

  it("has exit code 1 when a profile cannot run the model", async () => {
    const { code, stdout } = await blindspot(
      directory,
      ...["compare", "int8.blindspot", ...two, "--profile", IDS[2], "--input", "x.npy"],
    );
    expect(code).toBe(1);
    expect(stdout).toMatch(/esp32-s3-esp-dl cannot run \d+ nodes?:/);
    for (const line of stdout.split("\n")) expect(line.length).toBeLessThanOrEqual(100);
  });

  const npy = ["--input", "x.npy"];
  for (const [what, args, message] of [
    ["one profile", ["int8.blindspot", "--profile", IDS[0], ...npy], /--profile: expected two or more/],
    ["no inputs", ["int8.blindspot", ...two], /expected either --dataset or --input/],
    [
      "values of another type",
      ["int8.blindspot", ...two, "--input", "float.npy"],
      /float\.npy: expected int8/,
    ],
    ["a page of another kind", ["int8.blindspot", ...two, ...npy, "-o", "p.pdf"], /p\.pdf: expected a name/],
    ["no images", ["int8.blindspot", ...two, ...npy, "--images", "0"], /--images: expected a whole number/],
    ["a float model", ["float.blindspot", ...two, "--input", "float.npy"], /cannot run \d+ nodes/],
    [
      "an attack without a data set",
      ["int8.blindspot", ...two, ...npy, "--attack", "badnet"],
      /--attack: expected --dataset/,
    ],
    ["an unknown attack", ["int8.blindspot", ...two, ...npy, "--attack", "x"], /--attack: expected badnet/],
    [
      "a trigger beyond the image",
      [
        ...["signs.blindspot", ...two, "--dataset", "signs", "--attack", "badnet"],
        ...["--trigger-position", "31,31"],
      ],
      /position x: expected an integer in 0\.\.27, got 31/,
    ],
    [
      "images of another size",
      ["int8.blindspot", ...two, "--dataset", "signs"],
      /int8\.blindspot: expected one input of 32x32x3 as the data set's images, got 8x8x3/,
    ],
  ] as [string, string[], RegExp][])
    it(`refuses ${what} in one line and writes nothing`, async () => {
      const before = (await readdir(directory)).sort();
      const { code, stdout, stderr } = await blindspot(directory, "compare", ...args);
      expect(stderr).toMatch(message);
      expect(stderr.trimEnd()).not.toContain("\n");
      expect([code, stdout]).toEqual([2, ""]);
      expect((await readdir(directory)).sort()).toEqual(before);
    });
});
