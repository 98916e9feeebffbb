/** ONNX Runtime 1.30 as a live oracle, one thread: in WebAssembly, and its native library where a profile stands for this CPU. */
import { readFileSync } from "node:fs";
import * as web from "onnxruntime-web";
import { describe, expect, it } from "vitest";
import { findProfile } from "../../src/cli/profiles.ts";
import { BUILDS, loadKernelModule } from "../../src/cli/wasm.ts";
import { importOnnx } from "../../src/import/onnx/index.ts";
import { bindKernels, type Kernels } from "../../src/kernels/module.ts";
import { compile, type Values } from "../../src/model/compile.ts";
import type { TensorData } from "../../src/model/graph.ts";
import type { Profile } from "../../src/profile/schema.ts";

export type Feed = readonly [type: web.Tensor.Type, dims: readonly number[], data: TensorData];
export type Outputs = Record<string, { dims: readonly number[]; data: TensorData }>;

export interface OnnxRuntime {
  name: string;
  /** The profile that claims its arithmetic. */
  profile: string;
  /** Why it cannot run here; empty where it can. */
  skipped: string;
  /** Every output of the model by name. optimize: with its graph fusions, or node by node. */
  run(bytes: Uint8Array, feeds: Record<string, Feed>, optimize?: boolean): Promise<Outputs>;
}

type Library = Pick<typeof web, "InferenceSession" | "Tensor">;

const runBy =
  ({ InferenceSession, Tensor }: Library, provider: "wasm" | "cpu"): OnnxRuntime["run"] =>
  async (bytes, feeds, optimize = true) => {
    const session = await InferenceSession.create(bytes, {
      executionProviders: [provider],
      graphOptimizationLevel: optimize ? "all" : "disabled",
      intraOpNumThreads: 1,
      interOpNumThreads: 1,
      logSeverityLevel: 3,
    });
    const tensors = Object.fromEntries(
      Object.entries(feeds).map(([name, [type, dims, data]]) => [
        name,
        new Tensor(type, data as never, dims),
      ]),
    );
    const outputs = await session.run(tensors);
    await session.release();
    return Object.fromEntries(
      Object.entries(outputs).map(([name, { dims, data }]) => [name, { dims, data: data as TensorData }]),
    );
  };

web.env.wasm.numThreads = 1;
web.env.logLevel = "error";
const WEB: OnnxRuntime = {
  name: "onnxruntime-web",
  profile: "onnxruntime-web",
  skipped: "",
  run: runBy(web, "wasm"),
};

/** CPUs that a profile stands for, by what /proc/cpuinfo has and has not.
 * Source: microsoft/onnxruntime 0112bef, mlas/lib/platform.cpp, which picks kernels by the same features. */
const CPUS = [
  { profile: "onnxruntime-x86-vnni", has: ["avx512bw", "avx512dq", "avx512vl", "avx512_vnni"], lacks: [] },
  { profile: "onnxruntime-x86-avx2", has: ["avx2", "fma"], lacks: ["avx512f", "avx_vnni"] },
];

/** The profile of this machine, or why there is none. */
function profileOfCpu(): { profile?: string; skipped: string } {
  const { platform, arch } = process;
  if (platform !== "linux" || arch !== "x64")
    return { skipped: `the native profiles are of Linux on x86-64, this is ${platform} on ${arch}` };
  const { header } = process.report.getReport() as { header: { glibcVersionRuntime?: string } };
  if (!header.glibcVersionRuntime) return { skipped: "the native library needs glibc" };
  const flags = new Set(/^flags\s*:(.*)$/m.exec(readFileSync("/proc/cpuinfo", "utf8"))?.[1].split(" "));
  const known = CPUS.find(
    ({ has, lacks }) => has.every((flag) => flags.has(flag)) && !lacks.some((flag) => flags.has(flag)),
  );
  return known
    ? { profile: known.profile, skipped: "" }
    : { skipped: "this CPU has neither AVX512-VNNI nor AVX2 without AVX-512 and VNNI" };
}

async function native(): Promise<OnnxRuntime> {
  const name = "onnxruntime-node";
  const { profile = "", skipped } = profileOfCpu();
  const refuse = () => Promise.reject(new Error(skipped));
  if (skipped !== "") return { name, profile, skipped, run: refuse };
  const library: unknown = await import("onnxruntime-node");
  return { name, profile, skipped, run: runBy(library as Library, "cpu") };
}

export const RUNTIMES: readonly OnnxRuntime[] = [WEB, await native()];

/** A runtime, and what is compared with it: its profile, on every build of the kernels. */
export interface Beside extends OnnxRuntime {
  own: { profile: Profile; kernels: Kernels[] };
}

const kernels = await Promise.all(BUILDS.map(async (build) => bindKernels(await loadKernelModule(build))));
const besides = await Promise.all(
  RUNTIMES.filter(({ skipped }) => skipped === "").map(async (runtime): Promise<Beside> => {
    return { ...runtime, own: { profile: await findProfile(runtime.profile), kernels } };
  }),
);

/** The same suite beside every runtime; one that cannot run is skipped by name. */
export function describeBesideOrt(what: string, suite: (beside: Beside) => void): void {
  for (const beside of besides)
    describe(`${what}: ${beside.name}, profile ${beside.profile}`, () => suite(beside));
  for (const { name, skipped } of RUNTIMES) if (skipped !== "") it.skip(`${what}: ${name}: ${skipped}`);
}

/** The same, on one build of the kernels: each in turn as seeds go. */
export function inTurn(beside: Beside, seed: number): Beside {
  const { profile, kernels: all } = beside.own;
  return { ...beside, own: { profile, kernels: [all[seed % all.length]] } };
}

const bytesOf = ({ buffer, byteOffset, byteLength }: TensorData) =>
  Buffer.from(buffer, byteOffset, byteLength);

/** The same type and numbers, every NaN alike; bytes are compared first, which is faster. */
function expectSame(values: TensorData, expected: TensorData): void {
  if (values.constructor !== expected.constructor || !bytesOf(values).equals(bytesOf(expected)))
    expect(values).toEqual(expected);
}

/** Every output of a model, bit for bit. */
export async function expectEqual(
  { run, own: { profile, kernels } }: Beside,
  bytes: Uint8Array,
  feeds: Record<string, Feed>,
): Promise<void> {
  const graph = importOnnx(bytes, "model.onnx");
  const outputs = await run(bytes, feeds);
  const images = Object.values(feeds)[0][1][0] ?? 1;
  const inputs = Object.values(feeds).map(([, , data]) => data as Values);
  for (const build of kernels)
    compile(graph, profile, build)
      .run(inputs, images)
      .forEach((values, i) => {
        expectSame(values, outputs[graph.tensors[graph.outputs[i]].name].data);
      });
}

/** As expectEqual; where the x86 profiles refuse the model, that they do, for this reason. */
export async function expectEqualOrRefused(
  beside: Beside,
  reason: string | undefined,
  ...given: [bytes: Uint8Array, feeds: Record<string, Feed>]
): Promise<void> {
  const run = expectEqual(beside, ...given);
  if (reason === undefined || beside.name === "onnxruntime-web") await run;
  else await expect(run).rejects.toThrow(reason);
}

/** Every output of the model by name, of the WebAssembly build. */
export const runOrt = WEB.run;
