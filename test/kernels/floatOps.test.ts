import { beforeAll, describe, test } from "vitest";
import { BUILDS, loadKernelModule } from "../../src/cli/wasm.ts";
import type { Op } from "../../src/kernels/args.ts";
import { FLOAT_OPS } from "../../src/kernels/float/ops.ts";
import { bindKernels, type Kernels } from "../../src/kernels/module.ts";
import { type Random, seededRandom } from "../../src/random.ts";
import type { Case } from "./cases.ts";
import { FLOAT_CASES } from "./floatCases.ts";
import { check } from "./run.ts";

const CASES_PER_OP = 200;

for (const build of BUILDS) {
  describe(`float32 in the ${build} build`, () => {
    let kernels: Kernels;
    beforeAll(async () => {
      kernels = await bindKernels(await loadKernelModule(build));
    });

    test.each(Object.keys(FLOAT_OPS) as (keyof typeof FLOAT_OPS)[])("%s equals its reference", (name) => {
      const random = seededRandom(name.length);
      const op = FLOAT_OPS[name] as Op<unknown>;
      const draw = FLOAT_CASES[name] as (random: Random) => Case<unknown>;
      for (let i = 0; i < CASES_PER_OP; i++) check(kernels, op, draw(random), random);
    });
  });
}
