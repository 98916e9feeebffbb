/** Memory of a long evaluation, start of the command line, size of the kernels. */
import { execFile } from "node:child_process";
import { mkdtemp, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { formatNpy } from "../../data/npy.ts";
import { exportTflite } from "../../export/tflite.ts";
import { ROOT } from "../package.ts";
import { summarize } from "./measure.ts";
import { inputOf, ourWork } from "./models.ts";
import { integerNetwork } from "./networks.ts";
import { type BenchRow, round } from "./row.ts";

const IMAGES = 10_000;
const STARTS = 9;

/** Peak resident size of this process after 10,000 images at once; what other sections took is not in it. */
export async function benchMemory(): Promise<BenchRow[]> {
  const megabytes = () => round(process.resourceUsage().maxRSS / 1024, 3);
  const graph = integerNetwork("resnet8");
  await (await ourWork(graph, "litert-js", IMAGES / 10)).run();
  const few = megabytes();
  await (await ourWork(graph, "litert-js", IMAGES)).run();
  const row = { section: "footprint", unit: "MB", atMost: true } as const;
  return [
    { ...row, work: `peak memory, resnet8, ${IMAGES / 10} images`, value: few, target: 600 },
    { ...row, work: `peak memory, resnet8, ${IMAGES} images`, value: megabytes(), target: 600 },
  ];
}

/** Tells its CPU time at its end. */
const TELL_CPU = `data:text/javascript,${encodeURIComponent(`
  process.on("exit", () => {
    const { user, system } = process.cpuUsage();
    process.stderr.write("\\n" + (user + system));
  });`)}`;

/** From the start of the process to its end: one image through a model of about 100 KB. */
export async function benchStart(): Promise<BenchRow[]> {
  const graph = integerNetwork("resnet8");
  const { shape } = graph.tensors[graph.inputs[0]];
  const directory = await mkdtemp(join(tmpdir(), "blindspot-bench-"));
  const [model, input] = [join(directory, "model.tflite"), join(directory, "input.npy")];
  await writeFile(model, exportTflite(graph));
  await writeFile(input, formatNpy({ shape: [1, ...shape.slice(1)], data: inputOf(graph, 1) }));
  const run = promisify(execFile);
  const command = [process.argv[1], "run", model, "--profile", "litert-js", "--input", input];
  const [wall, cpu]: number[][] = [[], []];
  for (let i = -1; i < STARTS; i++) {
    const start = performance.now();
    const { stderr } = await run(process.execPath, ["--import", TELL_CPU, ...command]);
    if (i < 0) continue;
    wall.push(performance.now() - start);
    cpu.push(Number(stderr.split("\n").at(-1)) / 1000);
  }
  const { size } = await stat(model);
  await rm(directory, { recursive: true });
  const work = `blindspot run, ${Math.round(size / 1000)} KB model, start to end`;
  return [
    { times: wall, unit: "ms wall" },
    { times: cpu, unit: "ms CPU" },
  ].map(({ times, unit }): BenchRow => {
    const { median, spread, rounds } = summarize(times);
    const found = { value: round(median, 3), spread: round(spread, 2), rounds };
    return { section: "footprint", work, ...found, unit, target: 300, atMost: true };
  });
}

export async function benchSizes(): Promise<BenchRow[]> {
  const { size } = await stat(new URL("build/kernels.simd.wasm", ROOT));
  return [
    {
      section: "footprint",
      work: "kernels' WebAssembly, raw",
      value: round(size / 1000, 3),
      unit: "KB",
      target: 150,
      atMost: true,
    },
  ];
}
