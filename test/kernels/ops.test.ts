import { beforeAll, describe, expect, test } from "vitest";
import { BUILDS, loadKernelModule } from "../../src/cli/wasm.ts";
import type { Op } from "../../src/kernels/args.ts";
import { bindKernels, type Kernels } from "../../src/kernels/module.ts";
import { OPS } from "../../src/kernels/ops.ts";
import { type Random, seededRandom } from "../../src/random.ts";
import { CASES, type Case } from "./cases.ts";
import { check } from "./run.ts";
import { VARIANTS, type VariantCase } from "./variantCases.ts";

const CASES_PER_OP = 150;
const CASES_PER_VARIANT = 60;

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
    for (const { op, kernel, what, draw, takes } of VARIANTS as unknown as VariantCase<"CONV_2D">[]) {
      test(`${kernel} equals the reference of ${op} on ${CASES_PER_VARIANT} random cases of ${what}`, () => {
        const random = seededRandom(2027).fork(kernel + what);
        let taken = 0;
        for (let i = 0; i < CASES_PER_VARIANT; i++) {
          const drawn = draw(random);
          const expected = !takes || takes(drawn.args);
          if (expected) taken++;
          const { weightBits } = drawn.args;
          const name = weightBits ? `${kernel}_s${weightBits}` : kernel;
          check(kernels, OPS[op], drawn, random, expected ? name : undefined);
        }
        expect(taken).toBeGreaterThan(CASES_PER_VARIANT / 3);
      });
    }
  });
}
