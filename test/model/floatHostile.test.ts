/** float32 nodes that no kernel may see: each is refused in one line. */
import { beforeAll, describe, expect, it } from "vitest";
import { findProfile } from "../../src/cli/profiles.ts";
import { loadKernelModule } from "../../src/cli/wasm.ts";
import { UnsupportedOpError } from "../../src/errors.ts";
import { bindKernels, type Kernels } from "../../src/kernels/module.ts";
import { compile } from "../../src/model/compile.ts";
import type { Graph } from "../../src/model/graph.ts";
import { graphOf } from "./floatGraphs.ts";

/** Profile, graph and what the line says. */
const REFUSED: Record<string, [profile: string, graph: Graph, reason: string]> = {
  "SOFTMAX on a device without float32": [
    "max78000",
    graphOf("SOFTMAX", [1, 5], { beta: 1 }),
    "float32: how the device computes it is not known",
  ],
};

describe("a float32 node is refused in one line", () => {
  let kernels: Kernels;
  beforeAll(async () => {
    kernels = await bindKernels(await loadKernelModule());
  });

  it.each(Object.entries(REFUSED))("%s", async (_, [id, graph, reason]) => {
    const profile = await findProfile(id);
    const held = kernels.mark();
    const run = () => compile(graph, profile, kernels);
    expect(run).toThrow(UnsupportedOpError);
    expect(run).toThrow(reason);
    expect(kernels.mark()).toBe(held);
  });
});
