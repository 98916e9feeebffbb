/** ADD, SUB and MUL of two int16 activations, or of one and a constant. */
import type { Step } from "../../kernels/args.ts";
import { addMultipliers, quantizeMultiplier } from "../../kernels/requantize.ts";
import { powerOfTwo } from "../../kernels/wide/logistic.ts";
import { WIDE_OPS } from "../../kernels/wide/ops.ts";
import { elements } from "../graph.ts";
import { first, type Lowering, only, type Site, scaleOf } from "../site.ts";
import { has16Bits, outputArgs, rulesOf, symmetric } from "./site.ts";

/** The largest right shift of an operand where all scales are powers of two. */
const MAX_OPERAND_SHIFT = 15;

type Elementwise = Site<"ADD" | "SUB" | "MUL">;

/** Two activations of one shape, or one and a constant whose dimensions, the last ones aligned, are its image's or 1. */
function refuseBinary(site: Site): string {
  const {
    inputs: [a, b],
    output,
  } = site;
  const image = a.shape.slice(1);
  const fits = b.shape.every(
    (size, axis) => size === 1 || size === image[image.length - b.shape.length + axis],
  );
  return first(
    has16Bits(site),
    symmetric(a, "input 0"),
    symmetric({ ...b, data: undefined }, "input 1"),
    symmetric(output, "output"),
    b.data
      ? only("input 1: needs to broadcast to one image of input 0", fits)
      : only("inputs: need one shape (no broadcasting)", String(a.shape) === String(b.shape)),
  );
}

const elementwise = ({ attributes, inputs: [, b], output }: Elementwise) => ({
  ...outputArgs(attributes.activation, output),
  elements: elements(output.shape.slice(1)),
  input1Offset: 0,
  input2Offset: 0,
  input2Shared: b.data !== undefined,
});

/** A constant second operand is spread over one image, which all images share. */
function bindConstant({ inputs: [a, b], kernels }: Site, prepare: () => Step): Step {
  if (!b.data) return prepare();
  const address = kernels.place(spread(b.data as Int16Array, b.shape, a.shape.slice(1)));
  const { input2Bytes: _, ...step } = prepare();
  return { ...step, bind: (operands) => step.bind({ ...operands, input2: address }) };
}

function spread(values: Int16Array, shape: readonly number[], image: readonly number[]): Int16Array {
  const padded = image.map((_, axis) => shape[shape.length - image.length + axis] ?? 1);
  return Int16Array.from({ length: elements(image) }, (_, index) => {
    let at = 0;
    for (let axis = image.length - 1, rest = index, stride = 1; axis >= 0; axis--) {
      if (padded[axis] > 1) at += (rest % image[axis]) * stride;
      stride *= padded[axis];
      rest = Math.floor(rest / image[axis]);
    }
    return values[at];
  });
}

/**
 * Which operand is shifted right and by how much, where the model asks for it, the runtime knows it and all three scales are
 * powers of two. Source: TFLite kernels/add.cc.
 */
function operandShift(site: Elementwise): { shifted: 1 | 2; shift: number } | undefined {
  const { attributes, inputs, output } = site;
  const asked = "powerOfTwoScales" in attributes && attributes.powerOfTwoScales === true;
  if (!asked || rulesOf(site).powerOfTwoScales !== "shift") return undefined;
  const [first, second, out] = [...inputs, output].map((tensor) => powerOfTwo(scaleOf(tensor)));
  if (first === undefined || second === undefined || out === undefined) return undefined;
  return first === out ? { shifted: 2, shift: out - second } : { shifted: 1, shift: out - first };
}

function refuseShift(site: Elementwise): string {
  const operand = operandShift(site);
  if (!operand) return "";
  const { inputs, output } = site;
  const other = inputs[operand.shifted === 1 ? 1 : 0];
  return first(
    only(
      "scales: one operand needs the output's",
      powerOfTwo(scaleOf(other)) === powerOfTwo(scaleOf(output)),
    ),
    only(
      `scales: need the output's or up to 2^${MAX_OPERAND_SHIFT} below it`,
      operand.shift >= 0 && operand.shift <= MAX_OPERAND_SHIFT,
    ),
  );
}

/** ADD, or SUB by the sign -1. */
export const sum = (input2Sign: 1 | -1): Lowering<"ADD" | "SUB"> => ({
  refuse: (site) => refuseBinary(site) || refuseShift(site),
  lower: (site) => {
    const {
      inputs: [a, b],
      output,
      kernels,
      profile,
    } = site;
    const common = { ...elementwise(site), input2Sign };
    const narrow = input2Sign === -1 && profile.arithmetic.ops.SUB?.ratios === "float32";
    const shift = operandShift(site);
    const form = shift
      ? { form: "shifted" as const, ...shift }
      : {
          form: "rescaled" as const,
          requantizer: rulesOf(site).requantizer,
          ...addMultipliers(scaleOf(a), scaleOf(b), scaleOf(output), 15, narrow),
        };
    return bindConstant(site, () => WIDE_OPS.ADD.prepare(kernels, { ...common, ...form }));
  },
});

export const MUL: Lowering<"MUL"> = {
  refuse: refuseBinary,
  lower: (site) => {
    const {
      inputs: [a, b],
      output,
      kernels,
    } = site;
    const scaling = quantizeMultiplier((scaleOf(a) * scaleOf(b)) / scaleOf(output));
    const { requantizer } = rulesOf(site);
    return bindConstant(site, () =>
      WIDE_OPS.MUL.prepare(kernels, { ...elementwise(site), requantizer, ...scaling }),
    );
  },
};
