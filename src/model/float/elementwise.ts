/** ADD, SUB, MUL and PRELU of float32. */
import type { Bounds } from "../../kernels/float/forms.ts";
import { FLOAT_OPS } from "../../kernels/float/ops.ts";
import { type Activation, elements, type Tensor } from "../graph.ts";
import { refuseOperands, sharesSecond, withOperands } from "../operands.ts";
import { first, type Lowering, only, type Site } from "../site.ts";
import { activation, hasFloat } from "./site.ts";

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
        operator: op,
        elements: elements(site.output.shape.slice(1)),
        input2Shared: sharesSecond(site),
      }),
    ),
});

/** bounds: of each fused activation. */
export const ELEMENTWISE = (bounds: Record<Activation, Bounds>) => {
  const fused = ({ attributes }: Site) => bounds[(attributes as { activation: Activation }).activation];
  return {
    ADD: binary("ADD", fused),
    SUB: binary("SUB", fused),
    MUL: binary("MUL", fused),
    PRELU: binary("PRELU", () => bounds.NONE),
  } satisfies { [Name in Op]: Lowering<Name> };
};
