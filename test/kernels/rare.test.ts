import { beforeAll, describe, expect, test } from "vitest";
import { BUILDS, loadKernelModule } from "../../src/cli/wasm.ts";
import type { Conv2dArgs, Op, Values } from "../../src/kernels/args.ts";
import { requantizationOf } from "../../src/kernels/arithmetics.ts";
import { bindKernels, type Kernels } from "../../src/kernels/module.ts";
import { OPS } from "../../src/kernels/ops.ts";
import {
  CONV_2D_ORDERED,
  depthwiseAsConv2d,
  fullyConnectedAsConv2d,
  ORDERED_ACCUMULATORS,
} from "../../src/kernels/ordered.ts";
import { ADD_FORMS, MUL_FORMS, multiplyRequantized, type Pair } from "../../src/kernels/pairs.ts";
import {
  AVERAGE_POOL_2D_ROUNDED,
  AVERAGE_ROUNDINGS,
  PAIRWISE,
  REAL_TABLE,
  SOFTMAX_BY_TABLE,
} from "../../src/kernels/tables.ts";
import { seededRandom } from "../../src/random.ts";
import { CASES } from "./cases.ts";
import { check } from "./run.ts";

const FULL = { outputOffset: 0, activationMin: -128, activationMax: 127 };
const PIXEL = {
  inputHeight: 1,
  inputWidth: 1,
  outputHeight: 1,
  outputWidth: 1,
  filterHeight: 1,
  filterWidth: 1,
};
const WINDOW = {
  inputHeight: 5,
  inputWidth: 4,
  inputDepth: 6,
  outputHeight: 5,
  outputWidth: 2,
  filterHeight: 3,
  filterWidth: 3,
  strideHeight: 1,
  strideWidth: 2,
  padTop: 1,
  padLeft: 1,
};
const random = seededRandom(11);
const codes = (count: number, low = -128, high = 127) =>
  Int8Array.from({ length: count }, () => low + random.below(high - low + 1));
const unit = { strideHeight: 1, strideWidth: 1, dilationHeight: 1, dilationWidth: 1, padTop: 0, padLeft: 0 };

/** 40 products of 127 * 127, then 30 of -127 * 127. */
const longSum = (factor: number): Conv2dArgs => ({
  ...PIXEL,
  ...unit,
  ...FULL,
  ...requantizationOf("power-of-two-half-up", [{ double: factor, float: factor }]),
  weightBits: 8,
  filter: Int8Array.from({ length: 70 }, (_, i) => (i < 40 ? 127 : -127)),
  bias: null,
  inputDepth: 70,
  outputDepth: 1,
  groups: 1,
  inputOffset: 0,
});

function convolutions(): Conv2dArgs[] {
  const scaling = requantizationOf(
    "float-even",
    Array.from({ length: 8 }, (_, i) => ({ double: 0, float: Math.fround(0.0003 * (i + 1)) })),
  );
  const rest = {
    ...FULL,
    ...scaling,
    weightBits: 8 as const,
    inputOffset: 7,
    dilationHeight: 1,
    dilationWidth: 1,
  };
  const bias = Array.from({ length: 8 }, () => random.below(60000) - 30000);
  const dense = { ...WINDOW, ...rest, bias, filter: codes(8 * 9 * 3), outputDepth: 8, groups: 2 };
  const three = requantizationOf(
    "neon-double",
    Array.from({ length: 12 }, (_, i) => ({ double: 0.0004 * (i + 1), float: 0 })),
  );
  const depthwise = depthwiseAsConv2d({
    ...WINDOW,
    ...FULL,
    ...three,
    weightBits: 8,
    inputOffset: -3,
    bias: null,
    filter: codes(9 * 12),
    depthMultiplier: 2,
    dilationHeight: 1,
    dilationWidth: 1,
  });
  const dilated = { ...dense, dilationHeight: 2, outputHeight: 3, filter: codes(8 * 9 * 6), groups: 1 };
  const connected = fullyConnectedAsConv2d({
    ...FULL,
    ...scaling,
    weightBits: 8,
    bias,
    filter: codes(8 * 33),
    inputDepth: 33,
    outputDepth: 8,
    inputOffset: 128,
    filterOffset: 0,
  });
  return [dense, depthwise, dilated, connected];
}

/** Positive weights first, then negative ones, so that sums leave 20 bits and come back. */
function drawConvolution(): Conv2dArgs {
  for (;;) {
    const { args } = CASES.CONV_2D(random);
    const { outputDepth, groups, filterHeight, filterWidth, inputDepth } = args;
    const length = (filterHeight * filterWidth * inputDepth) / groups;
    if (args.requantizer === "none" || (length < 60 && random.below(4) > 0)) continue;
    const filter = Int8Array.from({ length: outputDepth * length }, (_, i) => {
      const size = random.below(128);
      return i % length < length / 2 ? size : -size;
    });
    return { ...args, weightBits: 8, filter };
  }
}

const ORDERED_KERNELS = { "saturate-20": "conv_2d_saturating_s8", "saturate-pairs-16": "conv_2d_paired_s8" };

const pair = (scales: [number, number, number], zeros: [number, number, number], sign: 1 | -1 = 1): Pair => ({
  ...FULL,
  scale1: scales[0],
  scale2: scales[1],
  outputScale: scales[2],
  input1Offset: -zeros[0],
  input2Offset: -zeros[1],
  outputOffset: zeros[2],
  sign,
  codeOffset: 0,
  isSwapped: false,
  isReal: false,
});

for (const build of BUILDS)
  describe(`rare operations of the ${build} build equal their references`, () => {
    let kernels: Kernels;
    beforeAll(async () => {
      kernels = await bindKernels(await loadKernelModule(build));
    });

    function compare<Args>(op: Op<Args>, args: Args, operands: Values[], batches: number) {
      const step = op.prepare(kernels, args);
      const [input, input2] = operands.map((values) => kernels.place(values));
      const output = kernels.allocate(step.outputBytes * batches);
      step.bind({ input, input2: input2 ?? 0, output });
      step.run(batches);
      const values = new Int8Array(kernels.memory.buffer, output, step.outputBytes * batches);
      const expected = op.reference(args, operands, batches);
      expect(values).toEqual(expected);
      expect(new Set(expected).size).toBeGreaterThan(2);
    }

    for (const accumulator of ORDERED_ACCUMULATORS)
      test(`CONV_2D with ${accumulator}, whose order shows in a fifth of the cases`, () => {
        const drawn = [...convolutions(), ...Array.from({ length: 60 }, drawConvolution)];
        let shown = 0;
        const kernel = ORDERED_KERNELS[accumulator];
        for (const conv of drawn) {
          const args = { ...conv, accumulator };
          const operands = [codes(2 * conv.inputHeight * conv.inputWidth * conv.inputDepth, -20, 127)];
          const saturated = CONV_2D_ORDERED.reference(args, operands, 2);
          const differs = String(saturated) !== String(OPS.CONV_2D.reference(conv, operands, 2));
          if (differs) shown++;
          check(
            kernels,
            CONV_2D_ORDERED,
            { args, operands, batches: 2 },
            random,
            differs ? kernel : undefined,
          );
        }
        expect(shown).toBeGreaterThan(drawn.length / 5);
      });

    test("weights of seven bits and sums of 20 run on the kernels of layers that do not saturate", () => {
      const [dense] = convolutions();
      const seven = { ...dense, filter: Int8Array.from(dense.filter, (w) => w >> 1) };
      for (const accumulator of ORDERED_ACCUMULATORS) {
        const args = { ...seven, accumulator };
        check(
          kernels,
          CONV_2D_ORDERED,
          { args, operands: [codes(2 * 5 * 4 * 6)], batches: 2 },
          random,
          "conv_2d_s8",
        );
      }
    });

    test("PAIRWISE with a shared operand and with one an image", () => {
      const combine = ADD_FORMS.onnxruntime(pair([0.02, 0.03, 0.04], [3, -5, 7]));
      compare(PAIRWISE, { elements: 50, input2Shared: true, combine }, [codes(100), codes(50)], 2);
      compare(PAIRWISE, { elements: 50, input2Shared: false, combine }, [codes(100), codes(100)], 2);
    });

    for (const rounding of AVERAGE_ROUNDINGS)
      test(`AVERAGE_POOL_2D, ${rounding}`, () =>
        compare(
          AVERAGE_POOL_2D_ROUNDED,
          {
            ...WINDOW,
            ...FULL,
            rounding,
            inputOffset: 5,
            outputOffset: -5,
            inputScale: 0.03,
            outputScale: 0.02,
          },
          [codes(3 * 5 * 4 * 6)],
          3,
        ));

    test("a function of one code, by its real value", () => {
      const ends = {
        elements: 100,
        inputScale: 0.05,
        inputZeroPoint: 3,
        outputScale: 0.04,
        outputZeroPoint: -7,
      };
      const args = { ...ends, real: (x: number) => (x >= 0 ? x : Math.fround(x * Math.fround(0.1))) };
      compare(REAL_TABLE, args, [codes(200)], 2);
    });

    for (const form of ["onnxruntime", "uint16-table"] as const)
      test(`SOFTMAX, ${form}`, () => {
        const args = { form, rows: 3, rowSize: 37, scale: 0.07, outputScale: 1 / 256, outputOffset: -128 };
        compare(SOFTMAX_BY_TABLE, args, [codes(3 * 37 * 2, -40, 20)], 2);
      });

    test("ESP32-S3 loses what passes 20 bits: 20 where 32 bits give 79", () => {
      const input = [new Int8Array(70).fill(127)];
      const args = { ...longSum(2 ** -11), accumulator: "saturate-20" as const };
      expect(CONV_2D_ORDERED.reference(args, input, 1)).toEqual(Int8Array.of(20));
      const step = CONV_2D_ORDERED.prepare(kernels, args);
      const output = kernels.allocate(1);
      step.bind({ input: kernels.place(input[0]), output, scratch: kernels.allocate(step.scratchBytes) });
      step.run(1);
      expect(new Int8Array(kernels.memory.buffer, output, 1)[0]).toBe(20);
    });
  });

describe("rare operations, one value", () => {
  test("vpmaddubsw makes 255 * 127 + 255 * 127 32,767", () => {
    const args = {
      ...longSum(2 ** -9),
      filter: Int8Array.of(127, 127),
      inputDepth: 2,
      inputOffset: 128,
      accumulator: "saturate-pairs-16" as const,
    };
    expect(CONV_2D_ORDERED.reference(args, [Int8Array.of(127, 127)], 1)).toEqual(Int8Array.of(64));
    const seven = { ...args, filter: Int8Array.of(64, 64) };
    expect(CONV_2D_ORDERED.reference(seven, [Int8Array.of(127, 127)], 1)).toEqual(Int8Array.of(64));
  });

  test("ADD of scales 0.5 and 0.25 to 1 rounds as each runtime does", () => {
    const pairs = [
      [1, 0],
      [-1, 0],
      [3, 0],
      [-3, 0],
      [-5, 0],
      [0, 2],
      [0, -2],
    ] as const;
    const of = (form: keyof typeof ADD_FORMS) => {
      const combine = ADD_FORMS[form](pair([0.5, 0.25, 1], [0, 0, 0]));
      return pairs.map(([a, b]) => combine(a, b) + 0);
    };
    expect(of("onnxruntime")).toEqual([0, 0, 2, -2, -2, 0, 0]);
    expect(of("onnxruntime-x86")).toEqual([0, 0, 2, -2, -2, 0, 0]);
    expect(of("qnnpack")).toEqual([1, -1, 2, -2, -3, 1, -1]);
  });

  test("ONNX Runtime native and web differ in 50 of 65,536 pairs of one ADD", () => {
    const operands = pair([0.013, 0.4, 0.31], [-128, 0, 10]);
    const [web, native] = [ADD_FORMS.onnxruntime(operands), ADD_FORMS["onnxruntime-x86"](operands)];
    let differing = 0;
    for (let a = -128; a < 128; a++)
      for (let b = -128; b < 128; b++) if (web(a, b) !== native(a, b)) differing++;
    expect(differing).toBe(50);
  });

  test("ONNX Runtime adds the zero point of a product before rounding", () => {
    const operands = pair([0.5, 1, 1], [0, 0, -3]);
    expect(MUL_FORMS.onnxruntime(operands)(1, 1)).toBe(-2);
    expect(multiplyRequantized(operands, "float-even")(1, 1)).toBe(-3);
  });

  test("TOSA's reciprocal rounds half away from zero for up to 256 values, whatever the zero point", () => {
    for (let size = 2; size <= 256; size++)
      for (let sum = -size * 3; sum <= size * 3; sum++) {
        const input = new Int8Array(size);
        for (let i = 0, rest = sum; rest !== 0; i = (i + 1) % size, rest -= Math.sign(rest))
          input[i] += Math.sign(rest);
        const window = { strideHeight: 1, strideWidth: 1, padTop: 0, padLeft: 0 };
        const shape = {
          ...window,
          inputHeight: 1,
          inputWidth: size,
          inputDepth: 1,
          filterHeight: 1,
          filterWidth: size,
        };
        const args = {
          ...PIXEL,
          ...FULL,
          ...shape,
          rounding: "reciprocal" as const,
          inputScale: 1,
          outputScale: 1,
        };
        const [own] = AVERAGE_POOL_2D_ROUNDED.reference(
          { ...args, inputOffset: 3, outputOffset: -3 },
          [input.map((v) => v - 3)],
          1,
        );
        const magnitude = Math.floor(Math.abs(sum) / size + 0.5);
        expect(Number(own) + 3, `${sum} of ${size}`).toBe(sum < 0 ? -magnitude || 0 : magnitude);
      }
  });

  test("averages of sums 2, -2 of 4 and 12, -12 of 25 are 0 but in TFLite's form", () => {
    for (const rounding of ["truncate", "half-even", "dequantized"] as const)
      for (const [sum, side] of [
        [2, 2],
        [-2, 2],
        [12, 5],
        [-12, 5],
      ]) {
        const input = new Int8Array(side * side);
        input[0] = sum;
        const shape = { inputHeight: side, inputWidth: side, filterHeight: side, filterWidth: side };
        const args = {
          ...PIXEL,
          ...FULL,
          ...unit,
          ...shape,
          inputDepth: 1,
          rounding,
          inputOffset: 0,
          inputScale: 1,
          outputScale: 1,
        };
        expect(AVERAGE_POOL_2D_ROUNDED.reference(args, [input], 1)[0] + 0).toBe(0);
      }
  });

  test("softmax of one row is -92 by ONNX Runtime's table, where the fixed-point form gives -93", () => {
    const row = Int8Array.of(-47, 0, -43, -52, -51, -13, -2, -51, -26, -35, -37);
    const args = { rows: 1, rowSize: 11, scale: 0.0309618, outputScale: 1 / 256, outputOffset: -128 };
    expect(SOFTMAX_BY_TABLE.reference({ ...args, form: "onnxruntime" }, [row], 1)[5]).toBe(-92);
  });
});
