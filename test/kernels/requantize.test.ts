import { beforeAll, describe, expect, test } from "vitest";
import { BUILDS, loadKernelModule } from "../../src/cli/wasm.ts";
import type { Output, Requantization, RequantizerName } from "../../src/kernels/args.ts";
import { type ArithmeticName, hexagonFold, requantizationOf } from "../../src/kernels/arithmetics.ts";
import { bindKernels, type Kernels } from "../../src/kernels/module.ts";
import { writeParams } from "../../src/kernels/params.ts";
import * as primitives from "../../src/kernels/requantize.ts";
import { channelOf, exactForm, FORMS, packPanels, shiftRange } from "../../src/kernels/requantizers.ts";
import { requantizeNeon } from "../../src/kernels/rounding.ts";
import { type Random, seededRandom } from "../../src/random.ts";
import { describeShared, sharedJson } from "./shared.ts";

interface Row {
  acc: number;
  scale: number;
  multiplier: number;
  shift: number;
  zero_point: number;
  results: Record<string, number | null>;
}

/** Every family of the case file but the two of 64-bit accumulators and the three exact ones, by what computes it here. */
const FAMILIES: Partial<Record<ArithmeticName, readonly string[]>> = {
  "tflite-double": [
    "tflite_ref_double",
    "cmsis_nn_double",
    "esp_nn_exact",
    "esp_nn_fast_c",
    "tosa_rescale_double",
    "ethos_u_tfl",
  ],
  "tflite-single": [
    "tflite_single_rounding",
    "ruy",
    "cmsis_nn_single",
    "tosa_rescale_single",
    "ethos_u_natural_port",
    "fbgemm_fixed_point",
  ],
  "float-even": [
    "xnnpack_fp32",
    "qnnpack_fp32",
    "onnxruntime_native_x86_executed",
    "onnxruntime_web_wasm_executed",
    "litertjs_compat_executed",
    "litertjs_relaxed_executed",
    "fbgemm_float",
  ],
  "neon-double": ["tflite_neon_4rows_double"],
  rndnu: ["xnnpack_rndnu"],
  rndnu16: ["xnnpack_rndnu16_qu8"],
  "qnnpack-q31": ["qnnpack_q31"],
  "qnnpack-precise": ["qnnpack_precise"],
  "esp-nn-skip-nudge": ["esp_nn_s3_asm_skip_nudge_port"],
  "ethos-u-truncate": ["ethos_u_truncate_port"],
  "hexagon-nn": ["hexagon_nn_port"],
  nvdla: ["nvdla_sdp_port"],
  "gap-sq8": ["gap_nntool_u8scale"],
  "power-of-two-half-up": ["esp_dl_half_up_s3", "vitis_dpu_half_up"],
  "power-of-two-half-even": ["esp_dl_half_even_p4"],
  max78000: ["max78000_sim_formula"],
  "k210-simulator": ["k210_simulator_act_stage"],
};
/** Roundings that are in the file under the name of the rounding itself. */
const EXACT = [
  ["half-even", "exact_half_even"],
  ["half-away", "exact_half_away"],
  ["tflite-single", "exact_half_up"],
] as const;

/** One accumulator of the file as a convolution on that runtime has it. */
function caseOf(name: ArithmeticName, { acc, scale, zero_point }: Row) {
  const requantization = requantizationOf(name, [{ double: scale, float: Math.fround(scale) }]);
  const folded = name === "hexagon-nn" ? hexagonFold(scale, zero_point) : 0;
  const outputOffset = name === "hexagon-nn" ? -128 : zero_point;
  return {
    requantization,
    acc: acc + folded,
    output: { outputOffset, activationMin: -128, activationMax: 127 },
  };
}

const bound = new Map<string, Promise<Kernels>>();
/** One instance a build for the whole file. */
function kernelsOf(build: (typeof BUILDS)[number]): Promise<Kernels> {
  const known = bound.get(build) ?? loadKernelModule(build).then((module) => bindKernels(module));
  bound.set(build, known);
  return known;
}

describeShared("requantization cases of other runtimes", "arithmetic/requant-cases.json", () => {
  const rows = () => (sharedJson("arithmetic/requant-cases.json") as { rows: Row[] }).rows;

  test("quantizeMultiplier gives the multiplier and shift of every scale", () => {
    for (const { scale, multiplier, shift } of rows()) {
      expect(primitives.quantizeMultiplier(scale)).toEqual({ multiplier, shift });
    }
  });

  for (const [name, families] of Object.entries(FAMILIES) as [ArithmeticName, string[]][]) {
    test.each(families)(`${name} equals %s in TypeScript and in both builds`, async (family) => {
      const defined = rows().filter(({ results }) => results[family] !== null);
      const cases = defined.map((row) => caseOf(name, row));
      const expected = Int8Array.from(defined, ({ results }) => results[family]!);
      expect(defined.length).toBeGreaterThan(400);
      const primitive = cases.map(({ requantization, acc, output }) =>
        primitives.requantize(requantization.requantizer, acc, channelOf(requantization, 0), output),
      );
      expect(Int8Array.from(primitive)).toEqual(expected);
      for (const build of BUILDS) {
        const kernels = await kernelsOf(build);
        const bytes = cases.map(({ requantization, acc, output }) => {
          const exact = FORMS.find(({ id }) => id === exactForm(requantization.requantizer))!;
          return runPanel(kernels, exact, requantization, [acc], output)[0];
        });
        expect(Int8Array.from(bytes), build).toEqual(expected);
      }
    });
  }

  test.each(EXACT)("%s of the multiplier equals %s", (requantizer, family) => {
    for (const row of rows()) {
      const output = { outputOffset: row.zero_point, activationMin: -128, activationMax: 127 };
      const value = primitives.requantize(requantizer, row.acc, { ...row, scale: 0 }, output);
      expect(value, JSON.stringify(row)).toBe(row.results[family]);
    }
  });

  test("every family of the file is compared here", () => {
    const compared = [...Object.values(FAMILIES).flat(), ...EXACT.map(([, family]) => family)];
    // int64 sums: wideRequantize.test.ts.
    const known = [...compared, "cmsis_nn_s64_16x8", "tflite_int64_16x8"].sort();
    expect(known).toEqual(Object.keys(rows()[0].results).sort());
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

/** One panel: all accumulators by eight channels, each in every lane. */
function runPanel(
  kernels: Kernels,
  form: (typeof FORMS)[number],
  args: Requantization,
  values: number[],
  output: Output,
) {
  const mark = kernels.mark();
  const rightShift = Math.max(-shiftRange(args).min, 0);
  const panels = kernels.place(packPanels(form, args, rightShift, null, { groups: 1, groupDepth: 8 }));
  const rows = Int32Array.from({ length: values.length * 8 }, (_, i) => values[i >> 3]);
  const address = kernels.allocate(rows.length * 4);
  const fields = {
    requantizer: form.id,
    rightShift,
    panels,
    batches: values.length,
    output: address,
    ...output,
  };
  const input = kernels.place(rows);
  kernels.exports.requantize_panel_s8(writeParams(kernels, "Requantized", { ...fields, input }));
  const bytes = args.requantizer === "none" ? rows.length * 4 : rows.length;
  const result = kernels.memory.buffer.slice(address, address + bytes);
  kernels.release(mark);
  return args.requantizer === "none" ? new Int32Array(result) : new Int8Array(result);
}

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
