/** REQUANTIZE, RELU and kin. */
import { OPS } from "../kernels/ops.ts";
import { requantizeMultiplierXnnpack } from "../kernels/requantize.ts";
import { REAL_TABLE } from "../kernels/tables.ts";
import { type Activation, elements } from "./graph.ts";
import {
  byteActivation,
  first,
  type Lowering,
  outputArgs,
  requantization,
  scaleOf,
  zeroPointOf,
} from "./site.ts";

const REALS: Record<Activation, (x: number) => number> = {
  NONE: (x) => x,
  RELU: (x) => Math.max(x, 0),
  RELU6: (x) => Math.min(Math.max(x, 0), 6),
  RELU_N1_TO_1: (x) => Math.min(Math.max(x, -1), 1),
};

/** int8 to int8 on another scale, clamped to the op's own range. */
export const rescale = (
  activation: Activation,
): Lowering<"QUANTIZE" | "RELU" | "RELU6" | "RELU_N1_TO_1"> => ({
  refuse: ({ inputs: [x], output }) => first(byteActivation(x, "input"), byteActivation(output, "output")),
  lower: ({ inputs: [x], output, kernels, profile }) => {
    const ratio = Math.fround(scaleOf(x) / scaleOf(output));
    const { form, requantizer } = profile.arithmetic.ops.QUANTIZE;
    if (form === "quotient-half-even")
      return REAL_TABLE.prepare(kernels, {
        elements: elements(output.shape.slice(1)),
        ...{ inputScale: scaleOf(x), inputZeroPoint: zeroPointOf(x), real: REALS[activation] },
        ...{ outputScale: scaleOf(output), outputZeroPoint: zeroPointOf(output) },
      });
    const scaling =
      form === "xnnpack"
        ? { requantizer: "xnnpack-8-bit" as const, multiplier: requantizeMultiplierXnnpack(ratio) }
        : requantization(
            requantizer,
            [activation === "NONE" ? scaleOf(x) / scaleOf(output) : ratio],
            [ratio],
          );
    const args = {
      ...outputArgs(activation, output),
      elements: elements(output.shape.slice(1)),
      inputOffset: -zeroPointOf(x),
    };
    return OPS.REQUANTIZE.prepare(kernels, { ...args, ...scaling });
  },
});
