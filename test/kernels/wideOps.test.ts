import { beforeAll, describe, expect, test } from "vitest";
import { BUILDS, loadKernelModule } from "../../src/cli/wasm.ts";
import type { Op } from "../../src/kernels/args.ts";
import { bindKernels, type Kernels } from "../../src/kernels/module.ts";
import { WIDE_OPS } from "../../src/kernels/wide/ops.ts";
import { type Random, seededRandom } from "../../src/random.ts";
import type { Case } from "./cases.ts";
import { check } from "./run.ts";
import { WIDE_CASES } from "./wideCases.ts";

const CASES_PER_OP = 120;
for (const build of BUILDS) {
  describe(`int16 in the ${build} build`, () => {
    let kernels: Kernels;
    beforeAll(async () => {
      kernels = await bindKernels(await loadKernelModule(build), { initialPages: 64 });
    });
    for (const name of Object.keys(WIDE_OPS) as (keyof typeof WIDE_OPS)[]) {
      test(`${name} equals its reference on ${CASES_PER_OP} random cases`, () => {
        const random = seededRandom(2026).fork(`int16 ${name}`);
        const op = WIDE_OPS[name] as Op<unknown>;
        const draw = WIDE_CASES[name] as (random: Random) => Case<unknown>;
        for (let i = 0; i < CASES_PER_OP; i++) check(kernels, op, draw(random), random);
      });
    }

    /** 512 products of -32768 * -128 are 2^31: where CMSIS-NN's own int32 partial sums wrap. */
    for (const length of [510, 511, 512, 513, 1024, 4096])
      test(`${length} products of the largest kind are summed without wrapping`, () => {
        const random = seededRandom(length);
        const scaling = {
          sum: 64 as const,
          requantizer: "tflite-wide" as const,
          multiplier: [2 ** 30],
          shift: [-18],
          bias: null,
          outputOffset: 0,
          activationMin: -32768,
          activationMax: 32767,
        };
        const filter = new Int8Array(3 * length).fill(-128);
        const row = { inputDepth: length, outputDepth: 3, filter };
        const input = new Int16Array(3 * length).fill(-32768);
        const dense = { args: { ...scaling, ...row }, operands: [input], batches: 3 };
        check(kernels, WIDE_OPS.FULLY_CONNECTED, dense, random);
        const sums = WIDE_OPS.FULLY_CONNECTED.reference(dense.args, [input], 1);
        expect(sums[0]).toBe(Math.min(Math.floor((length * 2 ** 22) / 2 ** 19 + 0.5), 32767));
        const shape = {
          outputHeight: 1,
          filterHeight: 1,
          strideHeight: 1,
          strideWidth: 1,
          dilationHeight: 1,
          dilationWidth: 1,
          padTop: 0,
          padLeft: 0,
          inputHeight: 1,
        };
        const pixels = { ...shape, inputWidth: 3, outputWidth: 3, filterWidth: 1 };
        const convolution = { ...scaling, ...row, ...pixels, groups: 1 };
        check(kernels, WIDE_OPS.CONV_2D, { args: convolution, operands: [input], batches: 1 }, random);
        const wide = { ...shape, inputWidth: length, outputWidth: 1, filterWidth: length, inputDepth: 3 };
        const depthwise = { ...scaling, ...wide, filter, depthMultiplier: 1 };
        check(
          kernels,
          WIDE_OPS.DEPTHWISE_CONV_2D,
          { args: depthwise, operands: [input], batches: 1 },
          random,
        );
      });
  });
}
