import { beforeAll, describe, expect, test } from "vitest";
import { BUILDS, loadKernelModule } from "../../src/cli/wasm.ts";
import type { Op, Step, Values } from "../../src/kernels/args.ts";
import { bindKernels, type Kernels } from "../../src/kernels/module.ts";
import { WIDE_OPS } from "../../src/kernels/wide/ops.ts";
import { type Random, seededRandom } from "../../src/random.ts";
import type { Case } from "./cases.ts";
import { WIDE_CASES } from "./wideCases.ts";

const CASES_PER_OP = 120;
const GUARD = 32;
const FILLER = 0x5a;

const bytesAt = (kernels: Kernels, address: number, length: number) =>
  new Uint8Array(kernels.memory.buffer, address, length);

/** `bytes` of filler between guards of filler, `skew` past an aligned address. */
function guarded(kernels: Kernels, bytes: number, skew: number): number {
  const block = kernels.allocate(bytes + 2 * GUARD);
  bytesAt(kernels, block, bytes + 2 * GUARD).fill(FILLER);
  return block + GUARD / 2 + skew;
}

/** The output's bytes of a step on misaligned operands over dirty memory; guards checked. */
function run(kernels: Kernels, step: Step, operands: readonly Values[], batches: number, skew: number) {
  const [input, input2] = operands.map((values) => {
    const address = guarded(kernels, values.byteLength, skew);
    bytesAt(kernels, address, values.byteLength).set(new Uint8Array(values.buffer));
    return address;
  });
  const bytes = step.outputBytes * batches;
  const output = guarded(kernels, bytes, skew);
  const scratch = guarded(kernels, step.scratchBytes, 0);
  step.bind(operands.length > 1 ? { input, input2, output, scratch } : { input, output, scratch });
  step.run(batches);
  for (const guard of [output - GUARD / 2, output + bytes, scratch - GUARD / 2, scratch + step.scratchBytes])
    expect(bytesAt(kernels, guard, GUARD / 2).every((byte) => byte === FILLER)).toBe(true);
  return bytesAt(kernels, output, bytes).slice();
}

function check<Args>(
  kernels: Kernels,
  op: Op<Args>,
  { args, operands, batches }: Case<Args>,
  random: Random,
): void {
  const mark = kernels.mark();
  const step = op.prepare(kernels, args);
  const actual = run(kernels, step, operands, batches, random.below(4) * 4);
  const expected = new Uint8Array(op.reference(args, operands, batches).buffer);
  const first = actual.findIndex((byte, i) => byte !== expected[i]);
  if (first >= 0 || actual.length !== expected.length)
    expect.fail(`byte ${first}: ${JSON.stringify(args, (_, value) => shown(value))}`);
  kernels.release(mark);
}

const shown = (value: unknown) =>
  typeof value === "bigint" ? `${value}n` : ArrayBuffer.isView(value) ? `${value}`.slice(0, 200) : value;

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
