/** ADD, SUB and MUL of int16. */
import { addMultipliers, quantizeMultiplier } from "../../kernels/requantize.ts";
import { powerOfTwo } from "../../kernels/wide/logistic.ts";
import { WIDE_OPS } from "../../kernels/wide/ops.ts";
import { elements } from "../graph.ts";
import { refuseOperands, sharesSecond, withOperands } from "../operands.ts";
import { first, type Lowering, only, type Site, scaleOf } from "../site.ts";
import { has16Bits, outputArgs, rulesOf, symmetric } from "./site.ts";

/** The largest right shift of an operand where all scales are powers of two. */
const MAX_OPERAND_SHIFT = 15;

type Elementwise = Site<"ADD" | "SUB" | "MUL">;

function refuseBinary(site: Site): string {
  const {
    inputs: [a, b],
    output,
  } = site;
  return first(
    has16Bits(site),
    symmetric({ ...a, data: undefined }, "input 0"),
    symmetric({ ...b, data: undefined }, "input 1"),
    symmetric(output, "output"),
    refuseOperands(site),
  );
}

const elementwise = (site: Elementwise) => ({
  ...outputArgs(site.attributes.activation, site.output),
  elements: elements(site.output.shape.slice(1)),
  input1Offset: 0,
  input2Offset: 0,
  input2Shared: sharesSecond(site),
});

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
    return withOperands(site, () => WIDE_OPS.ADD.prepare(kernels, { ...common, ...form }));
  },
});

export const MUL: Lowering<"MUL"> = {
  refuse: refuseBinary,
  lower: (site) => {
    const {
      inputs: [a, b],
      output,
      kernels,
      profile,
    } = site;
    const round = profile.arithmetic.ops.MUL?.ratios === "float32" ? Math.fround : (ratio: number) => ratio;
    const scaling = quantizeMultiplier(round(round(scaleOf(a) * scaleOf(b)) / scaleOf(output)));
    const { requantizer } = rulesOf(site);
    return withOperands(site, () =>
      WIDE_OPS.MUL.prepare(kernels, { ...elementwise(site), requantizer, ...scaling }),
    );
  },
};
