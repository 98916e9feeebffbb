import { execFile } from "node:child_process";
import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { formatNpy } from "../../src/data/npy.ts";
import { ARCHITECTURES } from "../../src/float/architectures.ts";
import { foldBatchNorm } from "../../src/float/fold.ts";
import { writeModel } from "../../src/model/file.ts";
import { quantizeStatic } from "../../src/quantize/ptq.ts";
import { activationQuantization } from "../../src/quantize/uniform.ts";
import { seededRandom } from "../../src/random.ts";

const ROOT = fileURLToPath(new URL("../../", import.meta.url));

interface Ran {
  code: number;
  stdout: string;
  stderr: string;
}

function blindspot(directory: string, ...args: string[]): Promise<Ran> {
  const main = join(ROOT, "src/cli/main.ts");
  return new Promise((resolve) =>
    execFile(process.execPath, [main, ...args], { cwd: directory }, (error, stdout, stderr) =>
      resolve({ code: typeof error?.code === "number" ? error.code : 0, stdout, stderr }),
    ),
  );
}

const float = ARCHITECTURES.cnn(3, {
  height: 8,
  width: 8,
  channels: 3,
  widthParam: 4,
  random: seededRandom(1),
});
const range = activationQuantization(-1, 1);
const int8 = quantizeStatic(foldBatchNorm(float), () => range, { weightBits: 8, granularity: "per-channel" });

/** A model whose first filter holds a NaN. */
function withNaN() {
  const tensors = float.tensors.map((tensor) => ({ ...tensor }));
  const at = tensors.findIndex(({ data }) => data instanceof Float32Array && data.length > 20);
  const data = (tensors[at].data as Float32Array).slice();
  data[7] = NaN;
  tensors[at].data = data;
  return { ...float, tensors };
}

/** A CIFAR-10 directory in the parts layout; labels: of every record. */
async function cifar(directory: string, labels: number[]): Promise<void> {
  const records = Buffer.concat(
    labels.map((label) => Buffer.concat([Buffer.of(label), Buffer.alloc(3072, label)])),
  );
  for (let i = 1; i <= 5; i++) await writeFile(join(directory, `data_batch_${i}.bin`), records);
  await writeFile(join(directory, "test_batch.bin"), records);
}

describe("bad input is refused in one line with exit code 2, and nothing is written", () => {
  let directory: string;
  beforeAll(async () => {
    directory = await mkdtemp(join(tmpdir(), "blindspot-"));
    await writeFile(join(directory, "nan.blindspot"), writeModel({ graph: withNaN(), meta: {} }));
    await writeFile(join(directory, "int8.blindspot"), writeModel({ graph: int8, meta: {} }));
    await writeFile(join(directory, "cut.blindspot"), writeModel({ graph: int8, meta: {} }).subarray(0, 900));
    await writeFile(
      join(directory, "small.npy"),
      formatNpy({ shape: [1, 4, 4, 3], data: new Int8Array(48) }),
    );
    await writeFile(
      join(directory, "float.npy"),
      formatNpy({ shape: [1, 8, 8, 3], data: new Float32Array(192) }),
    );
    const profile = await readFile(join(ROOT, "edge-profiles/ethos-u65.json"), "utf8");
    await writeFile(join(directory, "odd.json"), profile.replace('"title"', '"colour": "red", "title"'));
    await writeFile(join(directory, "result.json"), '{"format":"blindspot-result/1"');
    await writeFile(join(directory, "cut.json"), '{"kernel":"arm_convolve_s8","cases":[{"name":"a"');
  });
  afterAll(() => rm(directory, { recursive: true }));

  const cases: [string, string[], RegExp][] = [
    ["a verb that is none", ["frobnicate"], /unknown command 'frobnicate'/],
    [
      "a directory that is not there",
      ["reproduce", "--dataset", "gtsrb", "--data", "nowhere"],
      /nowhere: expected a directory with the data set, got nothing there/,
    ],
    [
      "a data set without its directory",
      ["reproduce", "--dataset", "cifar10"],
      /--data: expected the directory of cifar10/,
    ],
    [
      "a data set that is none",
      ["reproduce", "--dataset", "mnist"],
      /--dataset: expected signs, gtsrb, cifar10, got mnist/,
    ],
    [
      "a target class out of range",
      ["reproduce", "--target", "43"],
      /--target: expected a class of signs from 0 to 42, got 43/,
    ],
    ["a target that is no number", ["reproduce", "--target", "stop"], /--target: expected a whole number/],
    [
      "a preset that is none",
      ["reproduce", "--preset", "huge"],
      /--preset: expected brief, quick, study, paper, got huge/,
    ],
    [
      "a profile with an unknown field",
      ["run", "int8.blindspot", "--profile", "odd.json", "--input", "small.npy", "--output", "y.npy"],
      /odd\.json: expected only the fields of the schema, got unknown field colour/,
    ],
    [
      "a profile that is none",
      ["run", "int8.blindspot", "--profile", "toaster", "--input", "small.npy"],
      /profile toaster: expected one of the \d+ that `blindspot profiles` lists/,
    ],
    [
      "a model with a weight that is not a number",
      ["quantize", "nan.blindspot", "--dataset", "signs", "-o", "y.blindspot"],
      /nan\.blindspot: tensor \S+\[7\]: expected a finite weight, got NaN/,
    ],
    [
      "a model cut off",
      ["run", "cut.blindspot", "--profile", "ethos-u65", "--input", "small.npy"],
      /cut\.blindspot: offset 12: expected a header within/,
    ],
    [
      "images of another size",
      ["run", "int8.blindspot", "--profile", "ethos-u65", "--input", "small.npy", "--output", "y.npy"],
      /small\.npy: expected shape \(images, 8, 8, 3\), got \(1, 4, 4, 3\)/,
    ],
    [
      "images of another type",
      ["run", "int8.blindspot", "--profile", "ethos-u65", "--input", "float.npy"],
      /float\.npy: expected int8 values, got float32/,
    ],
    ["a Result cut off", ["report", "result.json", "-o", "y.html"], /result\.json: /],
    [
      "a report of unknown kind",
      ["report", "result.json", "-o", "y.pdf"],
      /--output y\.pdf: expected a name ending in/,
    ],
    ["vectors cut off", ["verify", "cut.json"], /cut\.json: expected JSON/],
    ["vectors that are not there", ["verify", "nowhere"], /nowhere: expected/],
  ];
  for (const [what, args, message] of cases)
    it(what, async () => {
      const before = (await readdir(directory)).sort();
      const { code, stdout, stderr } = await blindspot(directory, ...args);
      expect(stderr).toMatch(message);
      expect(stderr.trimEnd()).not.toContain("\n");
      expect([code, stdout]).toEqual([2, ""]);
      expect((await readdir(directory)).sort()).toEqual(before);
    });

  const files: [string, (data: string) => Promise<void>, RegExp][] = [
    [
      "a truncated data file",
      async (data) => {
        await cifar(data, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
        await writeFile(join(data, "data_batch_3.bin"), Buffer.alloc(3073 * 2 - 5));
      },
      /data_batch_3\.bin: record 1 at byte 3073: expected 3073 bytes a record, got 3068 left/,
    ],
    [
      "a label out of range",
      async (data) => {
        await cifar(data, [0, 1, 2, 3, 4, 5, 6, 7, 8, 10]);
      },
      /data_batch_1\.bin: record 9.*got 10/,
    ],
    [
      "a class without images",
      async (data) => {
        await cifar(data, [0, 1, 2, 3, 4, 5, 6, 7, 8, 8]);
      },
      /expected images of class 9 \(truck\)/,
    ],
  ];
  for (const [what, prepare, message] of files)
    it(what, async () => {
      const data = await mkdtemp(join(tmpdir(), "blindspot-data-"));
      await prepare(data);
      const before = (await readdir(directory)).sort();
      const { code, stderr } = await blindspot(
        directory,
        "reproduce",
        "--dataset",
        "cifar10",
        "--data",
        data,
      );
      await rm(data, { recursive: true });
      expect(stderr).toMatch(message);
      expect(stderr.trimEnd()).not.toContain("\n");
      expect(code).toBe(2);
      expect((await readdir(directory)).sort()).toEqual(before);
    });
});

describe("the command line", () => {
  it("shows every verb's help with exit code 0", async () => {
    const verbs = ["reproduce", "run", "verify", "quantize", "train", "inspect", "compare", "audit"];
    for (const verb of [...verbs, "profiles", "report", "bench"]) {
      const { code, stdout } = await blindspot(ROOT, verb, "--help");
      expect(code).toBe(0);
      expect(stdout).toContain(`Usage: blindspot ${verb}`);
    }
  });

  it("runs a model and writes the output in its own type", async () => {
    const directory = await mkdtemp(join(tmpdir(), "blindspot-"));
    await writeFile(join(directory, "m.blindspot"), writeModel({ graph: int8, meta: {} }));
    await writeFile(
      join(directory, "x.npy"),
      formatNpy({ shape: [2, 8, 8, 3], data: new Int8Array(384).fill(3) }),
    );
    const { code } = await blindspot(
      directory,
      "run",
      "m.blindspot",
      "--profile",
      "ethos-u65",
      "--input",
      "x.npy",
      "--output",
      "y.npy",
      "--dump",
      "all",
    );
    expect(code).toBe(0);
    expect((await readdir(join(directory, "all"))).length).toBe(1 + int8.nodes.length);
    expect((await readFile(join(directory, "y.npy"))).subarray(0, 6).toString("latin1")).toBe("\x93NUMPY");
    await rm(directory, { recursive: true });
  });
});
