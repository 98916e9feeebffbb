/** ADD, SUB, MUL and PRELU of float32. */
import type { Bounds } from "../../kernels/float/forms.ts";
import { FLOAT_OPS } from "../../kernels/float/ops.ts";
import { elements, type Tensor } from "../graph.ts";
import { refuseOperands, sharesSecond, withOperands } from "../operands.ts";
import { first, type Lowering, only, type Site } from "../site.ts";
import { activation, boundsOf, hasFloat, hasForm, NO_BOUNDS } from "./site.ts";

type Op = "ADD" | "SUB" | "MUL" | "PRELU";

const isFloat32 = ({ dtype }: Tensor, name: string) =>
  only(`${name}: needs float32, is ${dtype}`, dtype === "float32");

const binary = (op: Op, boundsOf: (site: Site) => Bounds): Lowering<Op> => ({
  refuse: (site) =>
    first(
      hasFloat(site),
      isFloat32(site.inputs[0], "input 0"),
      isFloat32(site.inputs[1], "input 1"),
      activation(site.output, "output"),
      refuseOperands(site),
    ),
  lower: (site) =>
    withOperands(site, () =>
      FLOAT_OPS.BINARY.prepare(site.kernels, {
        ...boundsOf(site),
        operator: op === "PRELU" && hasForm(site, "xnnpack") ? "PRELU_XNNPACK" : op,
        elements: elements(site.output.shape.slice(1)),
        input2Shared: sharesSecond(site),
      }),
    ),
});

export const ELEMENTWISE = {
  ADD: binary("ADD", boundsOf),
  SUB: binary("SUB", boundsOf),
  MUL: binary("MUL", boundsOf),
  PRELU: binary("PRELU", () => NO_BOUNDS),
} satisfies { [Name in Op]: Lowering<Name> };
