import { beforeAll, describe, test } from "vitest";
import { BUILDS, loadKernelModule } from "../../src/cli/wasm.ts";
import type { Op } from "../../src/kernels/args.ts";
import { bindKernels, type Kernels } from "../../src/kernels/module.ts";
import { OPS } from "../../src/kernels/ops.ts";
import { type Random, seededRandom } from "../../src/random.ts";
import { CASES, type Case } from "./cases.ts";
import { check } from "./run.ts";
import { VARIANTS } from "./variantCases.ts";

const CASES_PER_OP = 150;

for (const build of BUILDS) {
  describe(`${build} build`, () => {
    let kernels: Kernels;
    beforeAll(async () => {
      kernels = await bindKernels(await loadKernelModule(build), { initialPages: 64 });
    });
    for (const name of Object.keys(OPS) as (keyof typeof OPS)[]) {
      test(`${name} equals its reference on ${CASES_PER_OP} random cases`, () => {
        const random = seededRandom(2026).fork(name);
        const [op, draw] = [OPS[name] as Op<unknown>, CASES[name] as (random: Random) => Case<unknown>];
        for (let i = 0; i < CASES_PER_OP; i++) check(kernels, op, draw(random), random);
      });
    }
    for (const { op, kernel, what, draw } of VARIANTS) {
      test(`${kernel} equals the reference of ${op} on ${CASES_PER_OP} random cases of ${what}`, () => {
        const random = seededRandom(2027).fork(kernel + what);
        for (let i = 0; i < CASES_PER_OP; i++) {
          const drawn = draw(random);
          check(kernels, OPS[op] as Op<unknown>, drawn, random, `${kernel}_s${drawn.args.weightBits}`);
        }
      });
    }
  });
}
