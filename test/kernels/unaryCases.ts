/** Random cases of the functions of one value, of LOG_SOFTMAX and of CAST. */
import type { CastType } from "../../src/kernels/cast.ts";
import { FLOAT_FORMS } from "../../src/kernels/float/forms.ts";
import { logSoftmaxMultipliers } from "../../src/kernels/logSoftmax.ts";
import { quantizeMultiplier, requantizeMultiplierXnnpack } from "../../src/kernels/requantize.ts";
import type { Random } from "../../src/random.ts";
import { type ArgsOf, between, type Case, int8s, pick, scale } from "./cases.ts";

const requantizer = (random: Random) => pick(random, "tflite-double" as const, "tflite-single" as const);

function elementwise(random: Random) {
  const [elements, batches] = [between(random, 1, 70), between(random, 1, 3)];
  const ends = { inputZeroPoint: between(random, -128, 127), outputZeroPoint: between(random, -128, 127) };
  return { ends, elements, batches, operands: [int8s(random, batches * elements)] };
}

function sigmoid(random: Random): Case<ArgsOf<"LOGISTIC">> {
  const { ends, elements, ...rest } = elementwise(random);
  const form = pick(random, "fixed-point" as const, "table-half-away" as const, "table-half-even" as const);
  const args = { ...ends, elements, form, inputScale: scale(random), outputScale: 1 / 256 };
  return { args: { ...args, requantizer: requantizer(random) }, ...rest };
}

function hardSwish(random: Random): Case<ArgsOf<"HARD_SWISH">> {
  const { ends, elements, ...rest } = elementwise(random);
  return { args: { ...ends, elements, inputScale: scale(random), outputScale: scale(random) }, ...rest };
}

function leakyRelu(random: Random): Case<ArgsOf<"LEAKY_RELU">> {
  const { ends, elements, ...rest } = elementwise(random);
  const [ratio, alpha] = [scale(random) / scale(random), random.uniform() * 1.5];
  const args =
    random.below(2) === 0
      ? {
          form: "xnnpack" as const,
          positive: requantizeMultiplierXnnpack(ratio),
          negative: requantizeMultiplierXnnpack(ratio * alpha),
        }
      : {
          form: "tflite" as const,
          requantizer: requantizer(random),
          positive: quantizeMultiplier(ratio),
          negative: quantizeMultiplier(ratio * alpha),
        };
  return { args: { ...ends, elements, ...args }, ...rest };
}

function prelu(random: Random): Case<ArgsOf<"PRELU">> {
  const { ends, elements, ...rest } = elementwise(random);
  const ratio = scale(random) / scale(random);
  const args = {
    ...ends,
    elements,
    alpha: Int16Array.from({ length: elements }, () => between(random, -255, 255)),
    requantizer: requantizer(random),
    positive: quantizeMultiplier(ratio),
    negative: quantizeMultiplier(ratio * scale(random)),
  };
  return { args, ...rest };
}

function logSoftmax(random: Random): Case<ArgsOf<"LOG_SOFTMAX">> {
  const [rows, rowSize, batches] = [between(random, 1, 4), between(random, 1, 40), between(random, 1, 3)];
  const inputScale = Math.fround(2 ** (random.uniform() * 8 - 7));
  const form = pick(random, "fixed-point" as const, "fixed-point" as const, "float-table" as const);
  const args =
    form === "fixed-point"
      ? { form, requantizer: requantizer(random), ...logSoftmaxMultipliers(inputScale) }
      : { form, scale: inputScale, outputScale: 1 / 16, outputOffset: 127 };
  return { args: { rows, rowSize, ...args }, operands: [int8s(random, batches * rows * rowSize)], batches };
}

const CAST_TYPES: CastType[] = ["int8", "uint8", "int16", "int32", "float32"];

/** Around the ends of every type, and far beyond. */
const real = (random: Random) =>
  pick(
    random,
    random.uniform() * 600 - 300,
    (random.uniform() - 0.5) * 2 ** pick(random, 17, 18, 32, 33, 34, 120),
    pick(random, Number.NaN, Infinity, -Infinity, -0, 0.999, -0.999, 2 ** 31, -(2 ** 31), 2 ** 32),
  );

function castOperand(random: Random, type: CastType, count: number) {
  if (type === "float32") return Float32Array.from({ length: count }, () => real(random));
  if (type === "int8" || type === "uint8") return int8s(random, count);
  const bits = type === "int16" ? 15 : 31;
  const codes = Array.from({ length: count }, () => between(random, -(2 ** bits), 2 ** bits - 1));
  return type === "int16" ? Int16Array.from(codes) : Int32Array.from(codes);
}

function cast(random: Random): Case<ArgsOf<"CAST">> {
  const [elements, batches] = [between(random, 1, 40), between(random, 1, 3)];
  const from = pick(random, ...CAST_TYPES);
  const to = pick(random, ...CAST_TYPES.filter((type) => type !== from));
  const form = FLOAT_FORMS[random.below(FLOAT_FORMS.length)];
  const operands = [castOperand(random, from, batches * elements)];
  return { args: { elements, from, to, form }, operands, batches };
}

export const UNARY_CASES = {
  LOGISTIC: sigmoid,
  TANH: sigmoid,
  HARD_SWISH: hardSwish,
  LEAKY_RELU: leakyRelu,
  PRELU: prelu,
  LOG_SOFTMAX: logSoftmax,
  CAST: cast,
};
