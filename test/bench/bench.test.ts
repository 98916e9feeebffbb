import { beforeAll, describe, expect, it } from "vitest";
import { compareWorks, pairedRatio, summarize } from "../../src/cli/bench/measure.ts";
import { inputOf, loadModel } from "../../src/cli/bench/models.ts";
import { integerNetwork, NETWORK_NAMES } from "../../src/cli/bench/networks.ts";
import { met, timeRow } from "../../src/cli/bench/row.ts";
import { findProfile } from "../../src/cli/profiles.ts";
import { BUILDS, loadKernelModule } from "../../src/cli/wasm.ts";
import { importTflite } from "../../src/import/tflite/importTflite.ts";
import { bindKernels } from "../../src/kernels/module.ts";
import { compile, type Values } from "../../src/model/compile.ts";
import type { Graph } from "../../src/model/graph.ts";

describe("timings", () => {
  it("are medians with the distance between the quartiles", () =>
    expect(summarize([5, 1, 4, 2, 3])).toMatchObject({ median: 3, spread: 2, rounds: 5 }));

  it("have the median of the ratios of each round, which noise over whole rounds leaves alone", () => {
    const ours = summarize([1, 10, 2]);
    expect(pairedRatio(summarize([3, 30, 6]), ours)).toBe(3);
  });

  it("run every work in turn", async () => {
    const order: number[] = [];
    const work = (name: number) => ({ run: () => order.push(name) });
    const times = await compareWorks([work(0), work(1)], { rounds: 3, roundMs: 0, warmMs: 0 });
    expect(times.map(({ rounds }) => rounds)).toEqual([3, 3]);
    expect(order).toEqual([0, 1, 0, 1, 0, 1]);
  });
});

describe("rows", () => {
  const base = { section: "models", work: "x", target: 2 };
  const ours = summarize([4]);

  it("are an image's time, and the ratio of images", () => {
    const row = timeRow(base, ours, "peer", summarize([3]), 2, 1);
    expect([row.value, row.peer?.value, row.ratio, met(row)]).toEqual([2, 3, 1.5, false]);
  });

  it("say why a peer is absent, and are then not judged", () => {
    const row = timeRow(base, ours, "peer", "is not installed");
    expect(row.peer).toEqual({ name: "peer", why: "is not installed" });
    expect([row.ratio, met(row)]).toEqual([undefined, undefined]);
  });

  it("without a peer are judged by their value, downwards where less is better", () => {
    const row = { section: "s", work: "w", value: 5, unit: "MB", target: 4 };
    expect([met(row), met({ ...row, atMost: true })]).toEqual([true, false]);
  });
});

describe("networks of random weights", () => {
  let outputs: (graph: Graph, profile: string, build: (typeof BUILDS)[number]) => Promise<Values>;
  beforeAll(() => {
    outputs = async (graph, profile, build) => {
      const kernels = await bindKernels(await loadKernelModule(build));
      const plan = compile(graph, await findProfile(profile), kernels, { keep: "all" });
      plan.run([inputOf(graph, 1)], 1);
      const made = graph.nodes.flatMap((node) => (node.op === "SOFTMAX" ? [] : node.outputs));
      return Int8Array.from(made.flatMap((id) => Array.from(plan.view(id, 1))));
    };
  });

  for (const name of NETWORK_NAMES)
    for (const profile of ["litert-js", "stm32l4r5-cmsis-nn"])
      it(`${name} has the same tensors in both builds under ${profile}`, async () => {
        const graph = integerNetwork(name);
        const [simd, scalar] = await Promise.all(BUILDS.map((build) => outputs(graph, profile, build)));
        expect(new Set(simd).size).toBeGreaterThan(50);
        expect(Buffer.from(simd.buffer).equals(Buffer.from(scalar.buffer))).toBe(true);
      });

  it("stand in for a model that is not in the directory, as a file that is read back", () => {
    const { name, graph, file } = loadModel("no such directory", { file: "kws", network: "dsCnn" });
    expect(name).toBe("ds_cnn (random weights)");
    expect(importTflite(file, "x").nodes.map(({ op }) => op)).toEqual(graph.nodes.map(({ op }) => op));
  });
});
