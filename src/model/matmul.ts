/** BATCH_MATMUL: the matrices that a node multiplies, and its lowerings for bytes and for float32. */
import type { Output, Step } from "../kernels/args.ts";
import { requantizationOf } from "../kernels/arithmetics.ts";
import { isFused } from "../kernels/float/forms.ts";
import { FLOAT_OPS } from "../kernels/float/ops.ts";
import { type MatMulShape, type MatrixDimension, mergedDimensions } from "../kernels/matmul.ts";
import { OPS } from "../kernels/ops.ts";
import { onnxRuntimeForm } from "./computedOn.ts";
import { formOf as floatForm, hasFloat, hasForm } from "./float/site.ts";
import type { Tensor } from "./graph.ts";
import { bindConstant } from "./operands.ts";
import {
  byte,
  codesOf,
  first,
  type Lowering,
  only,
  refuseForm,
  type Site,
  scaleOf,
  zeroPointOf,
} from "./site.ts";

type MatMul = Site<"BATCH_MATMUL">;

/** Dimensions that the kernel walks, once neighbours are merged. */
const MOST_DIMENSIONS = 3;

/** The dimensions of one image, at least two: an activation has its batch before them, a constant may have a 1 there. */
function imageOf({ shape, data }: Tensor, rank: number): number[] {
  const own = data && (shape.length < rank || shape.length === 2) ? shape : shape.slice(1);
  return own.length === 1 ? [1, ...own] : [...own];
}

function dimensionsOf({ inputs, output }: MatMul): MatrixDimension[] {
  const [x, y] = inputs.map((tensor) => imageOf(tensor, output.shape.length).slice(0, -2));
  const rank = Math.max(x.length, y.length);
  return Array.from({ length: rank }, (_, i) => {
    const [own, other] = [x[i - rank + x.length] ?? 1, y[i - rank + y.length] ?? 1];
    return { size: Math.max(own, other), x: own > 1, y: other > 1 };
  });
}

function shapeOf(site: MatMul): MatMulShape {
  const { inputs, output, attributes } = site;
  const { adjX, adjY } = attributes;
  const [x, y] = inputs.map((tensor) => imageOf(tensor, output.shape.length).slice(-2));
  return {
    ...{ rows: x[adjX ? 1 : 0], depth: x[adjX ? 0 : 1], columns: y[adjY ? 0 : 1] },
    dimensions: mergedDimensions(dimensionsOf(site)),
    ...{ adjX, adjY, xShared: inputs[0].data !== undefined, yShared: inputs[1].data !== undefined },
  };
}

/** A tensor of fewer dimensions is aligned with the last ones, so its first must not stand for images. */
const refuseBatch = ({ shape, data }: Tensor, name: string, rank: number) =>
  first(
    only(
      `${name}: needs two to ${rank} dimensions, has ${shape.length}`,
      shape.length >= 2 && shape.length <= rank,
    ),
    only(
      `${name}: needs a dimension of images and two more`,
      data !== undefined || (shape.length === rank && (rank > 2 || name === "x")),
    ),
    only(
      `${name}: needs one matrix for all images`,
      !data || rank === 2 || shape.length < rank || shape[0] === 1,
    ),
  );

function refuseShape(site: MatMul): string {
  const { inputs, output, attributes } = site;
  const [x, y] = inputs;
  const rank = output.shape.length;
  const faults = first(
    refuseBatch(x, "x", rank),
    refuseBatch(y, "y", rank),
    only("inputs: needs an activation, both are constants", !x.data || !y.data),
    only("adjX: the batch cannot be transposed", !attributes.adjX || x.data !== undefined || rank > 2),
  );
  if (faults !== "") return faults;
  const [a, b] = inputs.map((tensor) => imageOf(tensor, rank));
  const depths = [a.at(attributes.adjX ? -2 : -1), b.at(attributes.adjY ? -1 : -2)];
  return first(
    only(`y: needs a depth of ${depths[0]}, has ${depths[1]}`, depths[0] === depths[1]),
    only(
      "inputs: needs dimensions that broadcast",
      dimensionsOf(site).every(({ size }, i, all) =>
        [a, b].every((own) => [1, size].includes(own.slice(0, -2).at(i - all.length) ?? 1)),
      ),
    ),
    only(
      "inputs: broadcast by turns too often",
      mergedDimensions(dimensionsOf(site)).length <= MOST_DIMENSIONS,
    ),
  );
}

const codes = (tensor: Tensor) => (tensor.data instanceof Float32Array ? tensor.data : codesOf(tensor));

/** The step with its constant operand in memory. */
function withConstant({ inputs: [x, y], kernels }: MatMul, step: Step): Step {
  if (y.data) return bindConstant(kernels.place(codes(y)), step);
  if (!x.data) return step;
  const input = kernels.place(codes(x));
  return { ...step, bind: (operands) => step.bind({ ...operands, input }) };
}

export const floatMatMul: Lowering<"BATCH_MATMUL"> = {
  refuse: (site) => {
    const [x, y] = site.inputs;
    return first(
      hasFloat(site),
      ...[x, y, site.output].map(({ dtype }) =>
        only(`needs float32 alone, has ${dtype}`, dtype === "float32"),
      ),
      only(
        "how ONNX Runtime's x86 build sums it is not had here",
        !isFused(site.profile.arithmetic.ops.float?.form),
      ),
      only(
        "alpha: no runtime but ONNX Runtime has it",
        (site.attributes.alpha ?? 1) === 1 || hasForm(site, "onnxruntime"),
      ),
      refuseShape(site),
    );
  },
  lower: (site) => {
    const [, y] = site.inputs;
    return withConstant(
      site,
      FLOAT_OPS.BATCH_MATMUL.prepare(site.kernels, {
        ...shapeOf(site),
        form: floatForm(site),
        alpha: site.attributes.alpha ?? 1,
        isPacked: y.data !== undefined && y.shape.length === 2,
      }),
    );
  },
};

const WHOLE: Pick<Output, "activationMin" | "activationMax"> = { activationMin: -128, activationMax: 127 };

/** Of bytes. TFLite forms the product of the scales in float32. Source: GetQuantizedConvolutionMultipler, kernel_util.cc. */
export const matMul: Lowering<"BATCH_MATMUL"> = {
  refuse: (site) => {
    const { inputs, output, profile, attributes } = site;
    const types: readonly string[] = profile.arithmetic.ops.BATCH_MATMUL?.types ?? [];
    const named = [...inputs.map((tensor, i) => [tensor, "xy"[i]] as const), [output, "output"] as const];
    return first(
      refuseForm(site, "BATCH_MATMUL"),
      ...named.map(([tensor, name]) =>
        first(
          byte(tensor, name),
          only(
            `${name}: the profile has ${types.join(" and ")}, is ${tensor.dtype}`,
            types.includes(tensor.dtype),
          ),
        ),
      ),
      only(
        "ONNX Runtime multiplies real values here",
        attributes.computedOn !== "float32" || onnxRuntimeForm(site) === undefined,
      ),
      only("alpha: sums of codes have none", attributes.alpha === undefined),
      refuseShape(site),
    );
  },
  lower: (site) => {
    const { inputs, output, kernels, profile } = site;
    const [x, y] = inputs;
    const { requantizer, symmetric } = profile.arithmetic.ops.BATCH_MATMUL!;
    const isSymmetric = symmetric !== undefined && y.quantization!.zeroPoint[0] === 0;
    const product = Math.fround(scaleOf(x) * scaleOf(y));
    const factor = { double: product / scaleOf(output), float: Math.fround(product / scaleOf(output)) };
    const step = OPS.BATCH_MATMUL.prepare(kernels, {
      ...shapeOf(site),
      ...WHOLE,
      ...requantizationOf(isSymmetric ? symmetric : requantizer, [factor]),
      ...{ xOffset: -zeroPointOf(x), yOffset: -zeroPointOf(y), outputOffset: zeroPointOf(output) },
    });
    return withConstant(site, step);
  },
};
