import { beforeAll, describe, expect, test } from "vitest";
import { BUILDS, loadKernelModule } from "../../src/cli/wasm.ts";
import { ModelFormatError } from "../../src/errors.ts";
import type { Requantization, RequantizerName } from "../../src/kernels/args.ts";
import { bindKernels, type Kernels } from "../../src/kernels/module.ts";
import { writeParams } from "../../src/kernels/params.ts";
import { runPanel, verifyRequantTable } from "../../src/kernels/requantCases.ts";
import * as primitives from "../../src/kernels/requantize.ts";
import { channelOf, FORMS, shiftRange } from "../../src/kernels/requantizers.ts";
import { requantizeNeon } from "../../src/kernels/rounding.ts";
import { type Random, seededRandom } from "../../src/random.ts";
import { describeShared, sharedJson } from "./shared.ts";

const bound = new Map<string, Promise<Kernels>>();
/** One instance a build for the whole file. */
function kernelsOf(build: (typeof BUILDS)[number]): Promise<Kernels> {
  const known = bound.get(build) ?? loadKernelModule(build).then((module) => bindKernels(module));
  bound.set(build, known);
  return known;
}

const TABLE = "arithmetic/requant-cases.json";
for (const build of BUILDS)
  describeShared(`requantization cases of other runtimes in the ${build} build`, TABLE, () => {
    const table = () => sharedJson(TABLE) as Record<string, unknown>;

    test("every family's codes are given by the kernels and by TypeScript", async () => {
      const results = [...verifyRequantTable(await kernelsOf(build), table(), TABLE)];
      expect(results.filter(({ failed, skipped }) => failed > 0 || skipped !== undefined)).toEqual([]);
      for (const { family, passed } of results) expect(passed, family).toBeGreaterThan(400);
      expect(results.length).toBe(40);
    });

    test("a wrong code and an unknown family are told", async () => {
      const { families, rows } = table() as { families: object; rows: { results: object }[] };
      const results = { ...rows[0].results, ruy: 99, tarot: 1 };
      const one = { families, rows: [{ ...rows[0], results }] };
      const found = [...verifyRequantTable(await kernelsOf(build), one, TABLE)];
      const of = (name: string) => found.find(({ family }) => family === name);
      expect(of("ruy")).toMatchObject({ passed: 0, failed: 1 });
      expect(of("tarot")!.skipped).toBe("no arithmetic here computes this family");
    });
  });

describe("a table of requantizations", () => {
  const row = {
    id: 1,
    acc: 5,
    scale: 0.5,
    multiplier: 2 ** 30,
    shift: 0,
    zero_point: 0,
    results: { ruy: 3 },
  };
  test.each([
    [{ acc: 0.5 }, "rows[0]: acc"],
    [{ scale: -1 }, "rows[0]: scale"],
    [{ shift: 99 }, "rows[0]: shift"],
    [{ zero_point: 300 }, "rows[0]: zero_point"],
    [{ results: { ruy: 4000 } }, "rows[0]: results"],
    [{ results: null }, "rows[0]: results"],
  ])("with %j is refused by that name", async (wrong, place) => {
    const json = { families: {}, rows: [{ ...row, ...wrong }] };
    const kernels = await kernelsOf("simd");
    expect(() => [...verifyRequantTable(kernels, json, "x.json")]).toThrow(ModelFormatError);
    expect(() => [...verifyRequantTable(kernels, json, "x.json")]).toThrow(place);
  });
});

const INT32_MIN = -(2 ** 31);
const EDGES = [
  0,
  1,
  -1,
  2,
  -2,
  3,
  -3,
  127,
  -128,
  1186,
  -299,
  2 ** 24 + 1,
  2 ** 28 - 1,
  -(2 ** 28) + 1,
  2 ** 28,
  -(2 ** 28),
  2 ** 30 - 1,
  2 ** 30,
  -(2 ** 30),
  2 ** 31 - 1,
  INT32_MIN + 1,
  INT32_MIN,
];
const MULTIPLIERS = [0, 1, 2 ** 30, 2 ** 30 + 1, 1518500250, 2 ** 31 - 1, -(2 ** 30), INT32_MIN];

/** Edges, ties at every right shift with their neighbours, and values spread over the magnitudes up to `limit`. */
function accumulators(random: Random, limit: number): number[] {
  const values = [...EDGES];
  for (let shift = 0; shift < 30; shift++) {
    for (const near of [-1, 0, 1])
      values.push(2 ** shift + near, -(2 ** shift) + near, 3 * 2 ** (shift - 1) + near);
  }
  for (let i = 0; i < 60; i++) values.push((random.uniform() - 0.5) * 2 ** (1 + random.below(32)));
  const whole = values.map(Math.trunc).filter((value) => Math.abs(value) < limit);
  while (whole.length % 8 !== 0) whole.push(0);
  return whole;
}

type Tail<T> = T extends [unknown, ...infer Rest] ? Rest : never;

/** Accumulators of as many bits as a form allows are compared. */
const BITS = [31, 29.999, 28.5, 27.999, 25, 20, 12, 4];

for (const build of BUILDS) {
  describe(`requantizers of the ${build} build`, () => {
    let kernels: Kernels;
    beforeAll(async () => {
      kernels = await kernelsOf(build);
    });

    /** A kernel over int32 columns a, b, c. */
    const table = (kernel: string, ...columns: number[][]): number[] => {
      const mark = kernels.mark();
      const [a, b, c] = columns.map((column) => kernels.place(Int32Array.from(column)));
      const result = kernels.allocate(columns[0].length * 4);
      kernels.exports[kernel](
        writeParams(kernels, "Primitive", { count: columns[0].length, a, b, c, result }),
      );
      const values = Array.from(new Int32Array(kernels.memory.buffer, result, columns[0].length));
      kernels.release(mark);
      return values;
    };

    test.each([
      ["requantize_double_s32", primitives.requantizeDouble],
      ["requantize_single_s32", primitives.requantizeSingle],
      ["requantize_neon_s32", requantizeNeon],
    ] as const)("%s equals its primitive on every edge, multiplier and shift", (kernel, primitive) => {
      const grid = EDGES.flatMap((acc) =>
        MULTIPLIERS.flatMap((multiplier) =>
          Array.from({ length: 62 }, (_, i) => [acc, multiplier, i - 31] as const),
        ),
      );
      const column = (index: 0 | 1 | 2) => grid.map((entry) => entry[index]);
      expect(table(kernel, column(0), column(1), column(2))).toEqual(
        grid.map((entry) => primitive(...entry)),
      );
    });

    test("high multiply and division by a power of two equal their primitives", () => {
      const pairs = EDGES.flatMap((a) => [...EDGES, ...MULTIPLIERS].map((b) => [a, b] as const));
      const [a, b] = [pairs.map((pair) => pair[0]), pairs.map((pair) => pair[1])];
      expect(table("doubling_high_mult_s32", a, b)).toEqual(
        pairs.map((pair) => primitives.saturatingDoublingHighMultiply(...pair)),
      );
      expect(table("doubling_high_mult_no_sat_s32", a, b)).toEqual(
        pairs.map((pair) => primitives.doublingHighMultiply(...pair)),
      );
      const exponents = b.map((_, i) => i % 32);
      expect(table("divide_by_power_of_two_s32", a, exponents)).toEqual(
        a.map((value, i) => primitives.roundingDivideByPowerOfTwo(value, exponents[i])),
      );
    });

    test("exponential and reciprocal equal their primitives", () => {
      const negative = Array.from({ length: 2000 }, (_, i) => -Math.floor(2 ** 31 * (i / 1999) ** 4));
      expect(table("exp_on_negative_values_s32", negative)).toEqual(
        negative.map((value) => primitives.expOnNegativeValues(value)),
      );
      const fractions = Array.from({ length: 2000 }, (_, i) => Math.floor((2 ** 31 - 1) * (i / 1999)));
      expect(table("one_over_one_plus_x_s32", fractions)).toEqual(fractions.map(primitives.oneOverOnePlus));
    });

    const panel = (...args: Tail<Parameters<typeof runPanel>>) => runPanel(kernels, ...args);

    for (const form of FORMS.filter((row) => row.requantizer !== "none")) {
      const requantizer = form.requantizer as RequantizerName;
      test(`form ${form.id} of ${requantizer} is exact for every accumulator and shift it allows`, () => {
        const random = seededRandom(7).fork(String(form.id));
        let compared = 0;
        for (let shift = -31; shift <= 30; shift++) {
          for (const spread of form.id > 7 ? [9] : [1, 2, 9]) {
            const shifts = Array.from({ length: 8 }, (_, lane) => Math.max(shift - (lane % spread), -31));
            const multiplier = MULTIPLIERS.map((edge, i) => (i % 3 ? edge : 2 ** 30 + random.below(2 ** 30)));
            const scale = multiplier.map((m) => Math.fround(m * 2 ** (shift - 31)));
            const args = { requantizer, multiplier, shift: shifts, scale } as Requantization;
            const bits = BITS.find((count) => form.allows(2 ** count, shiftRange(args)));
            if (bits === undefined) continue;
            const values = accumulators(random, 2 ** bits + 1);
            const activationMax = 127 - random.below(9);
            const output = { outputOffset: random.below(256) - 128, activationMin: -128, activationMax };
            const expected = Int8Array.from({ length: values.length * 8 }, (_, i) =>
              primitives.requantize(requantizer, values[i >> 3], channelOf(args, i & 7), output),
            );
            expect(panel(form, args, values, output), `shifts ${shifts}`).toEqual(expected);
            compared++;
          }
        }
        expect(compared).toBeGreaterThan(requantizer === "wrap-sixteen" ? 15 : 20);
      });
    }

    test("the accumulators themselves come out unchanged", () => {
      const form = FORMS.find((row) => row.requantizer === "none")!;
      const output = { outputOffset: 0, activationMin: -128, activationMax: 127 };
      const result = panel(form, { requantizer: "none" }, EDGES, output);
      expect(Array.from(result)).toEqual(EDGES.flatMap((value) => Array(8).fill(value)));
    });
  });
}

describe("requantization primitives", () => {
  test("P1 gives TFLite's multipliers", () => {
    const pairs = [1, 0.5, 0.25, 0.1, 0.7, 1.3, 7e-4, 1e-9, 2 ** -33, 0].map(primitives.quantizeMultiplier);
    expect(pairs.map(({ multiplier, shift }) => [multiplier, shift])).toEqual([
      [1073741824, 1],
      [1073741824, 0],
      [1073741824, -1],
      [1717986918, -3],
      [1503238554, 0],
      [1395864371, 1],
      [1539316279, -10],
      [1152921505, -29],
      [0, 0],
      [0, 0],
    ]);
  });

  test("double rounding moves a value twice, single once, float to even", () => {
    const of = (acc: number, multiplier: number, shift: number, scale: number) => [
      primitives.requantizeDouble(acc, multiplier, shift),
      primitives.requantizeSingle(acc, multiplier, shift),
      requantizeNeon(acc, multiplier, shift),
      primitives.requantizeFloat(acc, Math.fround(scale), -1000, 1000),
    ];
    expect(of(1186, 1600472320, -3, 0.0931597501)).toEqual([111, 110, 111, 110]);
    expect(of(-299, 2138348928, -2, 0.2489365786)).toEqual([-75, -74, -74, -74]);
    expect(of(-40, 1073741824, -3, 0.0625)).toEqual([-3, -2, -2, -2]);
  });

  test("softmax multipliers equal TFLite's for a scale of 0.1", () => {
    expect(primitives.softmaxMultiplier(Math.fround(0.1), 1)).toEqual({
      multiplier: 1717986944,
      shift: 23,
      diffMin: -248,
    });
  });

  test("XNNPACK's addition has 21-bit multipliers and rounds ties up", () => {
    const { input1Multiplier, input2Multiplier, shift } = primitives.addMultipliersXnnpack(0.5, 0.25, 1);
    const sum = (a: number, b: number) =>
      Math.floor((a * input1Multiplier + b * input2Multiplier + 2 ** (shift - 1)) / 2 ** shift);
    const pairs = [
      [1, 0],
      [-1, 0],
      [3, 0],
      [-3, 0],
      [-5, 0],
      [0, 2],
      [0, -2],
    ];
    expect(pairs.map(([a, b]) => sum(a, b))).toEqual([1, 0, 2, -1, -2, 1, 0]);
    expect([input1Multiplier, shift]).toEqual([2 ** 20, 21]);
  });

  test("XNNPACK's 8-bit requantization loses fraction bits that TFLite keeps", () => {
    const ratio = Math.fround(Math.fround(0.05) / Math.fround(0.043));
    const multiplier = primitives.requantizeMultiplierXnnpack(ratio);
    expect(Math.floor(((-86 - 3) * multiplier + 128) / 256) - 20).toBe(-124);
    const exact = primitives.quantizeMultiplier(ratio);
    expect(primitives.requantizeDouble(-86 - 3, exact.multiplier, exact.shift) - 20).toBe(-123);
  });

  test("MEAN divides its multiplier, so 12 of 25 rounds to 1", () => {
    const { multiplier, shift } = primitives.meanMultiplier(1, 25);
    expect(primitives.requantizeDouble(12, multiplier, shift)).toBe(1);
  });
});
