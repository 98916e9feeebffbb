import { beforeAll, describe, expect, it } from "vitest";
import { findProfile } from "../../src/cli/profiles.ts";
import { loadKernelModule } from "../../src/cli/wasm.ts";
import { UnsupportedOpError } from "../../src/errors.ts";
import { exportTflite } from "../../src/export/tflite.ts";
import { importTflite } from "../../src/import/tflite/importTflite.ts";
import { bindKernels, type Kernels } from "../../src/kernels/module.ts";
import { compile } from "../../src/model/compile.ts";
import type { Profile } from "../../src/profile/schema.ts";
import { type LiteRt, runLiteRt, startLiteRt } from "./liteRt.ts";
import { inputsOf, OP_CASES } from "./liteRtCases.ts";

/** By operator, type, scales and shapes: whether XNNPACK takes it or LiteRT's own kernels do, every byte is the profile's. */
describe("LiteRT.js and its profile", () => {
  let liteRt: LiteRt;
  let profile: Profile;
  let kernels: Kernels;
  beforeAll(async () => {
    liteRt = await startLiteRt();
    profile = await findProfile("litert-js");
    kernels = await bindKernels(await loadKernelModule());
  });

  it.each(OP_CASES.filter(({ missing }) => !missing))("compute $name alike", async ({ name, graph }) => {
    const file = exportTflite(graph);
    const inputs = inputsOf(graph);
    const shapes = graph.inputs.map((id) => graph.tensors[id].shape);
    const mark = kernels.mark();
    const expected = compile(importTflite(file, name), profile, kernels).run(inputs, 1);
    kernels.release(mark);
    for (const values of expected) expect(new Set(values).size).toBeGreaterThan(values.length > 1 ? 1 : 0);
    expect(await runLiteRt(liteRt, file, inputs, shapes)).toEqual(expected);
  });

  it.each(OP_CASES.filter(({ missing }) => missing))("have no $name", ({ graph }) =>
    expect(() => compile(graph, profile, kernels)).toThrow(UnsupportedOpError),
  );
});
