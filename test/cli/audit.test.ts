import { cp, mkdir, mkdtemp, readdir, readFile, rm, unlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { encode } from "fast-png";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { ImageSet } from "../../src/data/dataset.ts";
import { formatNpy } from "../../src/data/npy.ts";
import { EXPORTERS } from "../../src/export/index.ts";
import type { AuditResult } from "../../src/harness/audit/gate.ts";
import { shippedTo } from "../../src/harness/audit/models.ts";
import { writeModel } from "../../src/model/file.ts";
import { png } from "../data/pictures.ts";
import { tinyAudit } from "../harness/audit/lab.ts";
import { blindspot } from "./cnn.ts";

const DEVICE = ["--profile", "stm32l4r5-cmsis-nn"];
const strict = { defenses: { neuralCleanse: { failAbove: 0 } } };
const lax = { defenses: { neuralCleanse: { failAbove: null } }, accuracyDrop: { maximum: null } };
let directory: string;

const run = (...args: string[]) => blindspot(directory, "audit", ...args);
const json = async (name: string) => JSON.parse(await readFile(join(directory, name), "utf8")) as AuditResult;

/** A folder a class, named so that the order of names is that of the classes. */
async function writeFolder(name: string, set: ImageSet, count: number): Promise<void> {
  const size = set.height * set.width * set.channels;
  for (let i = 0; i < Math.min(count, set.count); i++) {
    const folder = join(directory, name, `colour ${set.labels[i]}`);
    await mkdir(folder, { recursive: true });
    const data = set.pixels.slice(i * size, (i + 1) * size);
    const { height, width, channels } = set;
    await writeFile(
      join(folder, `${String(i).padStart(4, "0")}.png`),
      encode({ height, width, channels, depth: 8, data }),
    );
  }
}

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), "blindspot-audit-"));
  const tiny = await tinyAudit();
  const float = await tiny.model("backdoored");
  const lab = tiny.inputs(float);
  const { graph } = await shippedTo(lab, lab.profiles[0]);
  await writeFile(join(directory, "float.blindspot"), writeModel({ graph: float.graph, meta: {} }));
  for (const { extension, write } of EXPORTERS)
    await writeFile(join(directory, `int8${extension}`), write(graph));
  await writeFolder("images", lab.images.test, 120);
  const { count, height, width, channels, pixels, labels } = lab.images.test;
  await mkdir(join(directory, "arrays"));
  await writeFile(
    join(directory, "arrays/images.npy"),
    formatNpy({ shape: [count, height, width, channels], data: pixels }),
  );
  await writeFile(join(directory, "arrays/labels.npy"), formatNpy({ shape: [count], data: labels }));
  await writeFile(join(directory, "strict.json"), JSON.stringify(strict));
  await writeFile(join(directory, "lax.json"), JSON.stringify(lax));
});
afterAll(() => rm(directory, { recursive: true }));

describe("blindspot audit", () => {
  const MODEL = ["int8.tflite", "--float", "float.blindspot", "--data", "images", ...DEVICE];

  it("answers in its first line, exits 1 where the gate fails, and writes every report", async () => {
    const reports = [
      "--html",
      "r/a.html",
      "--markdown",
      "r/a.md",
      "--sarif",
      "r/a.sarif",
      "--junit",
      "r/a.xml",
    ];
    const { code, stdout, stderr } = await run(
      ...MODEL,
      "--policy",
      "strict.json",
      "-o",
      "r/a.json",
      ...reports,
    );
    expect(stdout).toMatch(/^No, do not ship int8.tflite: a defense finds signs of a backdoor\./);
    expect(code).toBe(1);
    expect(stderr).toContain("wrote r/a.html");
    expect((await readdir(join(directory, "r"))).sort()).toEqual([
      "a.html",
      "a.json",
      "a.md",
      "a.sarif",
      "a.xml",
    ]);
    const { gate, dataset, devices } = await json("r/a.json");
    expect(gate.ship).toBe(false);
    expect(dataset).toMatchObject({
      classNames: ["colour 0", "colour 1", "colour 2", "colour 3", "colour 4"],
    });
    expect(dataset.clean + dataset.test).toBe(120);
    expect(devices[0].deployed!.accuracy.value).toBeGreaterThan(0.9);
  });

  it("judges again by another policy without measuring again, and exits 0", async () => {
    const { code, stdout, stderr } = await run(...MODEL, "--policy", "lax.json", "-o", "again.json");
    expect(stdout).toMatch(/^Yes, /);
    expect(code).toBe(0);
    expect(stderr).not.toMatch(/\d+%/);
    const [before, after] = [await json("r/a.json"), await json("again.json")];
    const { gate: _, policy: __, command: ___, ...measured } = before;
    expect(after).toMatchObject(measured);
  });

  it("goes on from finished steps to the same bytes", async () => {
    await cp(join(directory, ".blindspot"), join(directory, "partial"), { recursive: true });
    const kept = await readdir(join(directory, "partial"));
    for (const name of kept)
      if (/^audit-[0-9a-f]{20}\.json$/.test(name)) await unlink(join(directory, "partial", name));
    const steps = kept.filter((name) => name.startsWith("audit-defend"));
    expect(steps.length).toBeGreaterThan(5);
    for (const name of steps.slice(0, 3)) await unlink(join(directory, "partial", name));
    await run(...MODEL, "--policy", "strict.json", "-o", "resumed.json", "--work", "partial", "--jobs", "1");
    expect(await readFile(join(directory, "resumed.json"), "utf8")).toBe(
      await readFile(join(directory, "r/a.json"), "utf8"),
    );
  });

  it("measures anew where an image changed", async () => {
    await writeFile(join(directory, "images/colour 0/extra.png"), png(16, 16));
    const { code } = await run(...MODEL, "--policy", "lax.json", "-o", "more.json", "--preset", "brief");
    await unlink(join(directory, "images/colour 0/extra.png"));
    expect(code).toBe(0);
    expect((await json("more.json")).inputs.data).not.toEqual((await json("again.json")).inputs.data);
  });

  it("takes a float model, .onnx, .npy images and a training set, and prints JSON alone on stdout", async () => {
    const args = ["int8.onnx", "--data", "arrays", "--training-data", "arrays", ...DEVICE];
    const { stdout, stderr } = await run(...args, "--policy", "lax.json", "--json");
    const result = JSON.parse(stdout) as AuditResult;
    expect(result.model).toMatchObject({ kind: "integer", float: null, name: "int8.onnx" });
    expect(result.dataset.training).toBe(150);
    const clustered = result.cells.find(
      ({ defense, arm }) => defense === "activationClustering" && arm === "QF",
    )!;
    expect(clustered.score).not.toBeNull();
    expect(stderr).toContain("Yes, int8.onnx");
    const float = JSON.parse(
      (await run("float.blindspot", "--data", "arrays", ...DEVICE, "--json")).stdout,
    ) as AuditResult;
    expect(float.model).toMatchObject({ kind: "float", float: null });
    expect(float.cells.some(({ arm }) => arm === "FF")).toBe(true);
  });
});

describe("wrong use of audit", () => {
  const data = ["--data", "images"];
  it.each<[string, string[], RegExp]>([
    ["no device", ["int8.tflite", ...data], /required option '--profile/],
    ["no images", ["int8.tflite", ...DEVICE], /required option '--data/],
    [
      "an unknown device",
      ["int8.tflite", ...data, "--profile", "toaster"],
      /profile toaster: expected .*, got neither/,
    ],
    [
      "a device twice",
      ["int8.tflite", ...data, ...DEVICE, "stm32l4r5-cmsis-nn"],
      /each device once, got stm32l4r5-cmsis-nn twice/,
    ],
    [
      "no such model",
      ["none.tflite", ...data, ...DEVICE],
      /none.tflite: expected a model, got nothing there/,
    ],
    [
      "no such images",
      ["int8.tflite", "--data", "nowhere", ...DEVICE],
      /nowhere: expected a directory with the data set/,
    ],
    [
      "an unknown preset",
      ["int8.tflite", ...data, ...DEVICE, "--preset", "huge"],
      /--preset: expected brief, quick, study, got huge/,
    ],
    [
      "an unknown resize",
      ["int8.tflite", ...data, ...DEVICE, "--resize", "zoom"],
      /--resize: expected crop, stretch, got zoom/,
    ],
    [
      "no such policy",
      ["int8.tflite", ...data, ...DEVICE, "--policy", "none.json"],
      /none.json: expected a policy, got nothing there/,
    ],
    [
      "a misspelt policy",
      ["int8.tflite", ...data, ...DEVICE, "--policy", "typo.json"],
      /typo.json: expected only the fields of the schema, got unknown field accuracydrop/,
    ],
    [
      "an integer float twin",
      ["int8.tflite", "--float", "int8.onnx", ...data, ...DEVICE],
      /int8.onnx: expected a float model/,
    ],
    [
      "images of another size",
      ["int8.tflite", "--data", "small", ...DEVICE],
      /small\/a\/x.png: expected 16 x 16 pixels .* got 4 x 4/,
    ],
    [
      "too few classes",
      ["int8.tflite", "--data", "few", ...DEVICE],
      /few: expected 5 classes, as int8.tflite has outputs, got 2/,
    ],
    [
      "a picture that is none",
      ["int8.tflite", "--data", "broken", ...DEVICE],
      /broken\/a\/x.png: expected a picture/,
    ],
  ])("is one line and exit code 2: %s", async (_, args, message) => {
    await writeFile(join(directory, "typo.json"), '{"accuracydrop":{}}');
    for (const [set, bytes] of [
      ["small", png(4, 4)],
      ["few", png(16, 16)],
      ["broken", new TextEncoder().encode("GIF89a")],
    ] as const)
      for (const folder of ["a", "b"]) {
        await mkdir(join(directory, set, folder), { recursive: true });
        await writeFile(join(directory, set, folder, "x.png"), bytes);
      }
    const { code, stdout, stderr } = await run(...args);
    const lines = stderr
      .trim()
      .split("\n")
      .filter((line) => !/^\d+% /.test(line));
    expect(lines).toHaveLength(1);
    expect(lines[0]).toMatch(message);
    expect([code, stdout]).toEqual([2, ""]);
  });
});
