import { readFileSync } from "node:fs";
import { beforeAll, describe, expect, test } from "vitest";
import { BUILDS, loadKernelModule } from "../../src/cli/wasm.ts";
import { bindKernels, type Kernels } from "../../src/kernels/module.ts";
import { writeParams } from "../../src/kernels/params.ts";
import { clamp } from "../../src/kernels/requantize.ts";
import { sigmoidTable } from "../../src/kernels/wide/logistic.ts";
import {
  requantizeSum,
  requantizeSumNarrowed,
  SUM_FORMS,
  signedMultiplier,
} from "../../src/kernels/wide/requantize.ts";
import { placeSoftmaxTables, softmaxTable } from "../../src/kernels/wide/softmax.ts";
import { seededRandom } from "../../src/random.ts";
import { describeShared, sharedJson } from "./shared.ts";

/** Powers of two and their neighbours up to what TFLite allows, small numbers, and random ones; both signs. */
function sums(): bigint[] {
  const random = seededRandom(16);
  const powers = Array.from({ length: 47 }, (_, bit) => 1n << BigInt(bit + 1));
  const drawn = Array.from({ length: 100 }, () => BigInt(Math.floor(random.uniform() * 2 ** 47)));
  const edges = powers.flatMap((power) => [power - 1n, power, power + 1n]);
  const all = [0n, 1n, 3n, 5n, ...edges, ...drawn];
  return [...all, ...all.map((sum) => -sum)];
}

const MULTIPLIERS = [
  0,
  2 ** 30,
  2 ** 30 + 2 ** 15 - 1,
  2 ** 30 + 2 ** 15,
  1518500250,
  0x7ffeffff,
  0x7fff0000,
  2 ** 31 - 1,
];
const SHIFTS = Array.from({ length: 39 }, (_, i) => i - 31);

for (const build of BUILDS) {
  describe(`int64 sums in the ${build} build`, () => {
    let kernels: Kernels;
    beforeAll(async () => {
      kernels = await bindKernels(await loadKernelModule(build));
    });
    const forms = [
      ["requantize_s64", requantizeSum],
      ["requantize_narrowed_s64", requantizeSumNarrowed],
    ] as const;
    test.each(forms)("%s equals its reference on a grid of edges", (kernel, reference) => {
      const grid = MULTIPLIERS.flatMap((multiplier) => SHIFTS.map((shift) => ({ multiplier, shift })));
      const column = sums();
      for (const { multiplier, shift } of grid) {
        const mark = kernels.mark();
        const count = column.length;
        const result = kernels.allocate(count * 4);
        const params = writeParams(kernels, "Primitive", {
          count,
          a: kernels.place(BigInt64Array.from(column)),
          b: kernels.place(new Int32Array(count).fill(multiplier)),
          c: kernels.place(new Int32Array(count).fill(shift)),
          result,
        });
        kernels.exports[kernel](params);
        const expected = Int32Array.from(column, (acc) => reference(acc, multiplier, shift));
        expect(new Int32Array(kernels.memory.buffer, result, count)).toEqual(expected);
        kernels.release(mark);
      }
    });

    test.each(["float32", "float64"] as const)("softmax tables in %s are those of TypeScript", (tables) => {
      const mark = kernels.mark();
      const places = placeSoftmaxTables(kernels, tables);
      for (const which of ["exponentials", "reciprocals"] as const)
        expect(new Int16Array(kernels.memory.buffer, places[which], 513)).toEqual(
          softmaxTable(tables, which),
        );
      kernels.release(mark);
    });
  });
}

test("both forms of an int64 sum agree until the result reaches 2^30", () => {
  for (const acc of sums())
    for (const multiplier of MULTIPLIERS)
      for (const shift of SHIFTS) {
        const wide = requantizeSum(acc, multiplier, shift);
        const exact = Number(acc) * multiplier * 2 ** (shift - 31);
        if (Math.abs(exact) < 2 ** 29) expect(requantizeSumNarrowed(acc, multiplier, shift)).toBe(wide);
      }
  expect(requantizeSum(2n ** 30n, 2 ** 30, 1)).toBe(2 ** 30);
  expect(requantizeSumNarrowed(2n ** 30n, 2 ** 30, 1)).toBe(-(2 ** 30));
});

test("an int64 sum of 55201 at 0.0123456 is 682, of a multiplier cut to 15 bits", () => {
  const { multiplier, shift } = signedMultiplier(0.0123456);
  expect(requantizeSum(55201n, multiplier, shift)).toBe(682);
});

test("a negative slope has the multiplier of the positive one, negated", () => {
  expect(signedMultiplier(-0.3)).toEqual({
    multiplier: -signedMultiplier(0.3).multiplier,
    shift: signedMultiplier(0.3).shift,
  });
});

test("forms of sums have the kernels' numbers", () => {
  const text = ["lanes", "wide/requantize"]
    .map((name) => readFileSync(new URL(`../../assembly/${name}.ts`, import.meta.url), "utf8"))
    .join();
  const names = [
    "DOUBLE_EXACT",
    "SINGLE_EXACT",
    "SUM64_TFLITE",
    "SUM64_CMSIS_NN",
    "SUM64_DOUBLE",
    "SUM32_DOUBLE",
  ];
  expect(Object.values(SUM_FORMS)).toEqual(
    names.map((name) => Number(text.match(new RegExp(`export const ${name}: i32 = (\\d+);`))?.[1])),
  );
});

/** Sum and weighted sum of TFLite's sigmoid_table_uint16 (tflite-micro 90b983c, internal/common.h). */
test("the sigmoid table is TFLite's", () => {
  const table = [...sigmoidTable()];
  expect(table.slice(0, 4)).toEqual([32768, 33451, 34133, 34813]);
  expect(table.reduce((sum, entry) => sum + entry, 0)).toBe(15670629);
  expect(table.reduce((sum, entry) => (sum * 31 + entry) % 1000003, 0)).toBe(337317);
});

test("no entry of the sigmoid table is near a tie, where engines might differ", () => {
  const exact = (i: number) => 65536 / (1 + Math.exp(-i / 24));
  for (let i = 0; i < 255; i++) {
    const value = exact(i) + (exact(i + 0.5) - (exact(i) + exact(i + 1)) / 2) / 2;
    expect(Math.abs(value - Math.floor(value) - 0.5)).toBeGreaterThan(1e-3);
  }
});

interface Row {
  acc: number;
  multiplier: number;
  shift: number;
  zero_point: number;
  results: Record<string, number>;
}

describeShared("requantization cases with int64 sums", "arithmetic/requant-cases.json", () => {
  const families = [
    ["cmsis_nn_s64_16x8", requantizeSumNarrowed],
    ["tflite_int64_16x8", requantizeSum],
  ] as const;
  test.each(families)("of %s are reproduced", (family, requantizeOne) => {
    const { rows } = sharedJson("arithmetic/requant-cases.json") as { rows: Row[] };
    for (const { acc, multiplier, shift, zero_point, results } of rows) {
      const value = requantizeOne(BigInt(acc), multiplier, Math.min(shift, 7));
      expect(clamp(value + zero_point, -128, 127)).toBe(results[family]);
    }
  });
});
