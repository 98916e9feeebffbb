/** ADD, SUB and MUL of bytes. */
import type { AddFixedPoint } from "../kernels/args.ts";
import { OPS } from "../kernels/ops.ts";
import { addMultipliers, addMultipliersXnnpack } from "../kernels/requantize.ts";
import { preparePairedProduct, preparePairedSum } from "./families.ts";
import { elements, type OpName } from "./graph.ts";
import { refuseOperands, sharesSecond, withOperands } from "./operands.ts";
import {
  byte,
  byteActivation,
  first,
  formOf,
  type Lowering,
  outputArgs,
  requantization,
  type Site,
  sameType,
  scaleOf,
  zeroPointOf,
} from "./site.ts";

type Elementwise = Site<"ADD" | "SUB" | "MUL">;

const refuse = (site: Site) => {
  const {
    inputs: [a, b],
    output,
  } = site;
  return first(
    byte(a, "input 0"),
    byte(b, "input 1"),
    byteActivation(output, "output"),
    sameType(a, output),
    sameType(a, b, "input 1"),
    refuseOperands(site),
  );
};

function commonArgs(site: Elementwise) {
  const {
    attributes,
    inputs: [a, b],
    output,
  } = site;
  return {
    ...outputArgs(attributes.activation, output),
    elements: elements(output.shape.slice(1)),
    input1Offset: -zeroPointOf(a),
    input2Offset: -zeroPointOf(b),
    input2Shared: sharesSecond(site),
  };
}

const sum = (input2Sign: 1 | -1): Lowering<"ADD" | "SUB"> => ({
  refuse,
  lower: (site) => {
    const {
      inputs: [a, b],
      output,
      kernels,
      profile,
    } = site;
    const { form, requantizer } = formOf(site, "ADD");
    const scales = [scaleOf(a), scaleOf(b), scaleOf(output)] as const;
    const common = { ...commonArgs(site), input2Sign };
    const narrow = input2Sign === -1 && profile.arithmetic.ops.SUB?.ratios === "float32";
    return withOperands(site, () => {
      const paired = preparePairedSum(site, common, input2Sign === 1 ? "ADD" : "SUB");
      if (paired) return paired;
      return form === "xnnpack"
        ? OPS.ADD.prepare(kernels, {
            ...common,
            requantizer: "float-even",
            ...addMultipliersXnnpack(...scales),
          })
        : OPS.ADD.prepare(kernels, {
            ...common,
            requantizer: requantizer as AddFixedPoint["requantizer"],
            ...addMultipliers(...scales, 20, narrow),
          });
    });
  },
});

const mul: Lowering<"MUL"> = {
  refuse,
  lower: (site) => {
    const {
      inputs: [a, b],
      output,
      kernels,
    } = site;
    const float = Math.fround(Math.fround(scaleOf(a) * scaleOf(b)) / scaleOf(output));
    const isNarrow = formOf(site, "MUL").ratios === "float32";
    const double = isNarrow ? float : (scaleOf(a) * scaleOf(b)) / scaleOf(output);
    return withOperands(
      site,
      () =>
        preparePairedProduct(site, commonArgs(site)) ??
        OPS.MUL.prepare(kernels, {
          ...commonArgs(site),
          ...requantization(formOf(site, "MUL").requantizer, [double], [float]),
        }),
    );
  },
};

export const ELEMENTWISE = { ADD: sum(1), SUB: sum(-1), MUL: mul } satisfies {
  [Op in OpName]?: Lowering<Op>;
};
