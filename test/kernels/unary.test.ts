import { beforeAll, describe, expect, it } from "vitest";
import { BUILDS, loadKernelModule } from "../../src/cli/wasm.ts";
import { logOfPositive } from "../../src/kernels/logSoftmax.ts";
import { bindKernels, type Kernels } from "../../src/kernels/module.ts";
import { OPS } from "../../src/kernels/ops.ts";
import { writeParams } from "../../src/kernels/params.ts";
import {
  expOnNegativeValues,
  oneMinusOverOnePlus,
  quantizeMultiplier,
  requantizeMultiplierXnnpack,
} from "../../src/kernels/requantize.ts";
import { seededRandom } from "../../src/random.ts";

const CODES = Int8Array.from({ length: 256 }, (_, i) => i - 128);

describe("LOGISTIC and TANH", () => {
  const random = seededRandom(5);
  const scales = Array.from({ length: 60 }, () => Math.fround(2 ** (random.uniform() * 9 - 8)));

  for (const [op, outputScale, outputZeroPoint] of [
    ["LOGISTIC", 1 / 256, -128],
    ["TANH", 1 / 128, 0],
  ] as const)
    it(`${op}: TFLM's fixed point and both tables give the same codes for 60 scales`, () => {
      for (const inputScale of scales) {
        const inputZeroPoint = random.below(256) - 128;
        const args = { elements: 256, inputScale, inputZeroPoint, outputScale, outputZeroPoint };
        const [fixed, away, even] = (["fixed-point", "table-half-away", "table-half-even"] as const).map(
          (form) => OPS[op].reference({ ...args, form, requantizer: "tflite-double" }, [CODES], 1),
        );
        expect(fixed).toEqual(away);
        expect(even).toEqual(away);
      }
    });

  it("saturate at both ends and are half way at zero", () => {
    const args = {
      elements: 256,
      inputScale: 0.5,
      inputZeroPoint: 0,
      form: "fixed-point",
      requantizer: "tflite-double",
    } as const;
    const at = (op: "LOGISTIC" | "TANH", q: number) =>
      OPS[op].reference({ ...args, outputScale: 0, outputZeroPoint: 0 }, [Int8Array.of(q)], 1)[0];
    expect([-128, 0, 127].map((q) => at("LOGISTIC", q))).toEqual([-128, 0, 127]);
    expect([-128, 0, 127].map((q) => at("TANH", q))).toEqual([-128, 0, 127]);
  });
});

describe("gemmlowp's primitives in Q4.27", () => {
  it("exp and (1 - x) / (1 + x) are within 2^-26 of the real ones", () => {
    for (let raw = -(15 * 2 ** 27); raw <= 0; raw += 6_543_217) {
      const e = expOnNegativeValues(raw, 4) / 2 ** 31;
      expect(Math.abs(e - Math.exp(raw / 2 ** 27))).toBeLessThan(2 ** -20);
      const ratio = oneMinusOverOnePlus(Math.min(Math.round(e * 2 ** 31), 2 ** 31 - 1)) / 2 ** 31;
      expect(Math.abs(ratio - (1 - e) / (1 + e))).toBeLessThan(2 ** -26);
    }
  });
});

describe("HARD_SWISH", () => {
  it("is within one code of the real function, and not always equal to it", () => {
    const random = seededRandom(9);
    let differing = 0;
    for (let i = 0; i < 40; i++) {
      const [inputScale, outputScale] = [0.01 + random.uniform() / 16, 0.01 + random.uniform() / 16].map(
        Math.fround,
      );
      const args = { elements: 256, inputScale, outputScale, inputZeroPoint: -3, outputZeroPoint: 5 };
      OPS.HARD_SWISH.reference(args, [CODES], 1).forEach((got, code) => {
        const x = inputScale * (CODES[code] + 3);
        const real = ((x * Math.min(6, Math.max(0, x + 3))) / 6 / outputScale + 5) as number;
        const want = Math.min(127, Math.max(-128, Math.round(real)));
        expect(Math.abs(got - want)).toBeLessThanOrEqual(1);
        if (got !== want) differing++;
      });
    }
    expect(differing).toBeGreaterThan(0);
  });
});

describe("LEAKY_RELU", () => {
  it("takes -123.488 to -124 by XNNPACK's 8 bits and to -123 in TFLite", () => {
    const ratio = Math.fround(Math.fround(0.05) / Math.fround(0.043));
    const ends = { elements: 1, inputZeroPoint: 3, outputZeroPoint: -20 };
    const operand = [Int8Array.of(-86)];
    const [eight, whole] = [requantizeMultiplierXnnpack(ratio), quantizeMultiplier(ratio)];
    const requantizer = "tflite-double";
    const forms = [
      { ...ends, form: "xnnpack", positive: eight, negative: eight },
      { ...ends, form: "tflite", requantizer, positive: whole, negative: whole },
    ] as const;
    expect(forms.map((args) => OPS.LEAKY_RELU.reference(args, operand, 1)[0])).toEqual([-124, -123]);
  });
});

for (const build of BUILDS)
  describe(`log_x_for_x_greater_than_or_equal_to_1 in the ${build} build`, () => {
    let kernels: Kernels;
    beforeAll(async () => {
      kernels = await bindKernels(await loadKernelModule(build));
    });

    it("equals its reference, and is within 2^-20 of the logarithm", () => {
      const random = seededRandom(3);
      const values = [2 ** 19, 2 ** 19 + 1, 2 ** 31 - 1];
      for (let i = 0; i < 2000; i++) values.push(Math.floor(2 ** (19 + random.uniform() * 12)));
      const a = kernels.place(Int32Array.from(values));
      const result = kernels.allocate(4 * values.length);
      const { exports, memory } = kernels;
      exports.log_x_for_x_greater_than_or_equal_to_1_s32(
        writeParams(kernels, "Primitive", { count: values.length, a, result }),
      );
      const got = new Int32Array(memory.buffer, result, values.length);
      values.forEach((value, i) => {
        expect(got[i]).toBe(logOfPositive(value));
        expect(Math.abs(got[i] / 2 ** 26 - Math.log(value / 2 ** 19))).toBeLessThan(2 ** -20);
      });
    });
  });
