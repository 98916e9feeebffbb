/** Quantized operators on seeded operands beside ONNX Runtime: sizes that fill vectors and leave a rest, scales and zero points
 * of every size, codes that two nodes read or that the model gives out, which it computes otherwise. */
import { it } from "vitest";
import { type Random, seededRandom } from "../../src/random.ts";
import { between, pick } from "../kernels/cases.ts";
import { float, model } from "./onnxModels.ts";
import { describeBesideOrt, expectEqualOrRefused, inTurn } from "./onnxRuntime.ts";
import { type Code, QuantizedDraft, type Weights } from "./quantizedDraft.ts";

const SEEDS = 10;

interface Output {
  type: Code | "float32" | "int32";
  rank: number;
}
const REAL_IMAGE: Output = { type: "float32", rank: 4 };
const ofCodes = ({ type }: QuantizedDraft, rank = 4): Output => ({ type, rank });

type Draw = (draft: QuantizedDraft, random: Random) => Output;

const size = (random: Random) => between(random, 1, pick(random, 4, 20, 70));
const imageOf = (random: Random) => [
  1,
  between(random, 1, 40),
  between(random, 1, 14),
  between(random, 1, 14),
];
const isTrue = (random: Random, of: number) => random.below(of) === 0;

function window(random: Random, most: number) {
  const kernel = [between(random, 1, most), between(random, 1, most)];
  const pads = [...kernel, ...kernel].map((taps) => random.below(taps));
  return { kernel, pads: isTrue(random, 2) ? pads : [0, 0, 0, 0] };
}

const CHANNELS: ((random: Random) => [inputs: number, outputs: number, groups: number])[] = [
  (random) => [size(random), size(random), 1],
  (random) => {
    const groups = between(random, 2, 4);
    return [groups * between(random, 1, 8), groups * between(random, 1, 8), groups];
  },
  (random) => new Array<number>(3).fill(size(random)) as [number, number, number],
  (random) => {
    const inputs = between(random, 1, 20);
    return [inputs, inputs * 2, inputs];
  },
];

/** Dense, in groups, and depthwise ones, of any stride, dilation and padding. */
function convolution(random: Random) {
  const [inputs, outputs, group] = pick(random, CHANNELS[0], ...CHANNELS)(random);
  const { kernel, pads } = window(random, 5);
  const dilations = isTrue(random, 5) ? [2, 1] : [1, 1];
  const sizes = kernel.map((taps, axis) => (taps - 1) * dilations[axis] + between(random, 1, 8));
  const strides = [between(random, 1, 2), between(random, 1, 2)];
  return {
    shape: [1, inputs, ...sizes],
    filter: [outputs, inputs / group, ...kernel],
    attributes: { group, kernel_shape: kernel, dilations, pads, strides },
  };
}

const product = (random: Random) => ({
  depth: between(random, 1, pick(random, 4, 40, 300)),
  outputs: size(random),
  rows: between(random, 1, 20),
});
const products = (filter: number[]) => filter.slice(1).reduce((count, taps) => count * taps, 1);

/** What comes between the products and their quantization. */
function activation(draft: QuantizedDraft, from: string): void {
  const kind = draft.random.below(3);
  if (kind === 1) draft.add("Relu", from, "r");
  else if (kind === 2) {
    draft.constant("zero", "float32", [], [0]);
    draft.constant("six", "float32", [], [6]);
    draft.add("Clip", `${from} zero six`, "r");
  } else draft.add("Identity", from, "r");
}

const bothWays = (random: Random): Pick<Weights, "perChannel" | "bias"> => ({
  perChannel: isTrue(random, 2),
  bias: isTrue(random, 2),
});

const conv: Draw = (draft, random) => {
  const { shape, filter, attributes } = convolution(random);
  draft.realInput("x", shape);
  const weights = draft.weights({ of: filter, axis: 0, ...bothWays(random) });
  draft.add("Conv", `x ${weights}`, "t", attributes);
  activation(draft, "t");
  draft.scaleOfSum(products(filter));
  draft.pair("r", "y");
  return REAL_IMAGE;
};

/** Codes from input to output, which stay as they are in the file. */
const convOfCodes: Draw = (draft, random) => {
  const { shape, filter, attributes } = convolution(random);
  draft.codesInput("x", shape);
  draft.add("DequantizeLinear", "x x_s x_z", "xr");
  const weights = draft.weights({ of: filter, axis: 0, ...bothWays(random) });
  draft.add("Conv", `xr ${weights}`, "r", attributes);
  draft.scaleOfSum(products(filter));
  draft.add("QuantizeLinear", "r y_s y_z", "y");
  return ofCodes(draft);
};

const qlinearConv: Draw = (draft, random) => {
  const { shape, filter, attributes } = convolution(random);
  draft.codesInput("x", shape);
  const { bias, ...weights } = bothWays(random);
  draft.filter({ of: filter, axis: 0, bias, ...weights });
  draft.scaleOfSum(products(filter));
  draft.add("QLinearConv", `x x_s x_z w ws wz y_s y_z${bias ? " b" : ""}`, "y", attributes);
  return ofCodes(draft);
};

const gemm: Draw = (draft, random) => {
  const { depth, outputs } = product(random);
  const transB = random.below(2);
  draft.realInput("x", [1, depth]);
  const weights = draft.weights({
    of: transB ? [outputs, depth] : [depth, outputs],
    axis: 1 - transB,
    ...bothWays(random),
  });
  draft.add("Gemm", `x ${weights}`, "t", { transB });
  activation(draft, "t");
  draft.scaleOfSum(depth);
  draft.pair("r", "y");
  return { type: "float32", rank: 2 };
};

const matMul: Draw = (draft, random) => {
  const { depth, outputs, rows } = product(random);
  draft.realInput("x", [1, rows, depth]);
  draft.add(
    "MatMul",
    `x ${draft.weights({ of: [depth, outputs], axis: 1, perChannel: isTrue(random, 2) })}`,
    "r",
  );
  draft.scaleOfSum(depth);
  draft.pair("r", "y");
  return { type: "float32", rank: 3 };
};

const matMulInteger: Draw = (draft, random) => {
  const { depth, outputs, rows } = product(random);
  draft.codesInput("x", [1, rows, depth]);
  draft.filter({ of: [depth, outputs], axis: 1, perChannel: isTrue(random, 2) });
  draft.add("MatMulInteger", "x w x_z wz", "y");
  return { type: "int32", rank: 3 };
};

/** The second operand is as large, one value a channel, or a constant. */
const binary =
  (op: string): Draw =>
  (draft, random) => {
    const shape = imageOf(random);
    const perChannel = [1, shape[1], 1, 1];
    draft.realInput("a", shape);
    if (isTrue(random, 3)) {
      const dims = pick(random, [], [1], perChannel.slice(1), shape, [shape[3]]);
      draft.scale("b");
      draft.constant("bc", draft.type, dims, draft.codes(dims.reduce((count, n) => count * n, 1)));
      draft.add("DequantizeLinear", "bc b_s b_z", "b");
    } else draft.realInput("b", pick(random, shape, perChannel));
    draft.add(op, pick(random, "a b", "b a"), "t");
    activation(draft, "t");
    draft.result();
    return REAL_IMAGE;
  };

const qlinearBinary =
  (op: string): Draw =>
  (draft, random) => {
    const shape = imageOf(random);
    draft.codesInput("a", shape);
    draft.codesInput("b", pick(random, shape, [1, shape[1], 1, 1]));
    draft.scale("y");
    const [first, second] = pick(random, "ab", "ba");
    const ends = (name: string) => `${name} ${name}_s ${name}_z`;
    draft.add(`com.microsoft:${op}`, `${ends(first)} ${ends(second)} y_s y_z`, "y");
    return ofCodes(draft);
  };

const pooled =
  (op: string): Draw =>
  (draft, random) => {
    const { kernel, pads } = window(random, 4);
    const shape = [1, between(random, 1, 20), ...kernel.map((taps) => taps + random.below(8))];
    const strides = kernel.map((taps) => between(random, 1, Math.min(taps, 3)));
    draft.realInput("x", shape);
    draft.add(op, "x", "r", { kernel_shape: kernel, pads, strides });
    draft.result("x");
    return REAL_IMAGE;
  };

const ofImage =
  (add: (draft: QuantizedDraft, random: Random) => void): Draw =>
  (draft, random) => {
    draft.realInput("x", imageOf(random));
    add(draft, random);
    draft.result("x");
    return REAL_IMAGE;
  };

/** step: of the result, where it is that of a probability. */
const unary =
  (op: string, attributes = {}, step?: number): Draw =>
  (draft, random) => {
    draft.realInput("x", [1, between(random, 1, 40), between(random, 1, 60)]);
    draft.add(op, "x", "r", attributes);
    draft.scale("y", step);
    draft.pair("r", "y");
    return { type: "float32", rank: 3 };
  };

const AXES = [[2, 3], [1], [3], [2], [1, 2], [1, 3], [1, 2, 3]];
const SPECIAL = [Number.NaN, Infinity, -Infinity, 3e38, -3e38, 1e10, -1e10, 0, -0, 1e-40];

const OPERATORS: Record<string, Draw> = {
  Conv: conv,
  "Conv from codes to codes": convOfCodes,
  QLinearConv: qlinearConv,
  "Conv of codes that two nodes read": (draft, random) => {
    const output = conv(draft, random);
    draft.add("MaxPool", "x", "m", { kernel_shape: [1, 1] });
    draft.pair("m", "other", "x");
    return output;
  },
  Gemm: gemm,
  MatMul: matMul,
  MatMulInteger: matMulInteger,
  Add: binary("Add"),
  Sub: binary("Sub"),
  Mul: binary("Mul"),
  QLinearAdd: qlinearBinary("QLinearAdd"),
  QLinearMul: qlinearBinary("QLinearMul"),
  AveragePool: pooled("AveragePool"),
  MaxPool: pooled("MaxPool"),
  GlobalAveragePool: ofImage((draft) => draft.add("GlobalAveragePool", "x", "r")),
  ReduceMean: ofImage((draft, random) => {
    const axes = pick(random, ...AXES);
    draft.constant("axes", "int64", [axes.length], axes);
    draft.add("ReduceMean", "x axes", "r");
  }),
  Concat: (draft, random) => {
    const shape = imageOf(random);
    draft.realInput("a", shape);
    draft.realInput("b", shape.with(1, between(random, 1, 20)));
    draft.add("Concat", "a b", "r", { axis: 1 });
    draft.result();
    return REAL_IMAGE;
  },
  Pad: ofImage((draft) => {
    draft.constant("pads", "int64", [8], [0, 0, 1, 2, 0, 0, 2, 0]);
    draft.add("Pad", "x pads", "r");
  }),
  Transpose: ofImage((draft) => draft.add("Transpose", "x", "r", { perm: [0, 2, 3, 1] })),
  Sigmoid: unary("Sigmoid", {}, 0.004),
  Tanh: unary("Tanh", {}, 0.008),
  LeakyRelu: unary("LeakyRelu", { alpha: float(0.13) }),
  HardSwish: unary("HardSwish"),
  Relu: unary("Relu"),
  "QuantizeLinear, NaN and infinities too": (draft, random) => {
    const count = between(random, 1, 300);
    const { low, step } = draft.scale("y");
    const real = () =>
      pick(random, low + (random.below(600) / 2 - 20) * step, (random.uniform() - 0.5) * 600 * step);
    const x = Float32Array.from({ length: count }, () =>
      isTrue(random, 12) ? pick(random, ...SPECIAL) : real(),
    );
    draft.feeds.x = ["float32", [1, count], x];
    draft.add("QuantizeLinear", "x y_s y_z", "y");
    return ofCodes(draft, 2);
  },
};

/** What it has on uint8 codes alone. */
const UNSIGNED = new Set(["MatMulInteger"]);
const hasOther = (draft: QuantizedDraft) => draft.nodes.some(({ output }) => output?.includes("other"));

/** Sums that AVX2's 16-bit pairs saturate, and no requantization follows. */
const SATURATED = new Set(["MatMulInteger"]);

describeBesideOrt("seeded operands", (beside) => {
  const saturates = beside.own.profile.arithmetic.accumulator.overflow === "saturate-pairs";
  it.each(Object.entries(OPERATORS))("%s", async (name, draw) => {
    for (let seed = 0; seed < SEEDS; seed++) {
      const random = seededRandom(seed);
      const type = UNSIGNED.has(name) ? "uint8" : pick(random, "int8" as const, "uint8" as const);
      const draft = new QuantizedDraft(random, type);
      const { type: outputType, rank } = draw(draft, random);
      const output = (of: string) =>
        [outputType, Array.from({ length: rank }, (_, i) => `${of}${i}`)] as const;
      const bytes = model({
        inputs: Object.fromEntries(
          Object.entries(draft.feeds).map(([input, [feedType, shape]]) => [
            input,
            [feedType as Code, [...shape]],
          ]),
        ),
        outputs: { y: output("y"), ...(hasOther(draft) && { other: output("other") }) },
        nodes: draft.nodes,
        constants: draft.constants,
        opset: 18,
      });
      const reason = saturates && SATURATED.has(name) ? "the accumulator saturates" : undefined;
      await expectEqualOrRefused(inTurn(beside, seed), reason, bytes, draft.feeds);
    }
  });
});
