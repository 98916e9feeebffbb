/** ADD, SUB and MUL: of two activations, one repeated to the other's shape if need be, or of an activation and a constant. */
import type { AddFixedPoint, Step } from "../kernels/args.ts";
import { composeSteps, type Part, type Place } from "../kernels/compose.ts";
import { OPS } from "../kernels/ops.ts";
import { addMultipliers, addMultipliersXnnpack } from "../kernels/requantize.ts";
import { preparePairedProduct, preparePairedSum } from "./families.ts";
import { elements, type OpName, type Tensor } from "./graph.ts";
import {
  byte,
  byteActivation,
  codesOf,
  first,
  formOf,
  type Lowering,
  only,
  outputArgs,
  requantization,
  type Site,
  sameType,
  scaleOf,
  zeroPointOf,
} from "./site.ts";

type Elementwise = Site<"ADD" | "SUB" | "MUL">;

/** The dimensions of one image, 1 where the output has one more. Constants have no batch. */
function imageOf({ shape, data }: Tensor, output: readonly number[]): number[] {
  const own = data || shape.length === 0 ? shape : shape.slice(1);
  const rank = output.length - 1;
  const whole = own.length > rank ? own.slice(own.length - rank) : own;
  return [...new Array<number>(rank - whole.length).fill(1), ...whole];
}

const repeats = (shape: readonly number[], image: readonly number[]) =>
  shape.every((size, axis) => size === 1 || size === image[axis]);

/** A tensor of fewer dimensions is aligned with the last ones, so its first must not stand for images. */
function refuseRepeating(tensor: Tensor, output: Tensor, name: string): string {
  const { shape, data } = tensor;
  const beyond = data ? shape.slice(0, Math.max(0, shape.length - output.shape.length + 1)) : [];
  return first(
    only(
      `${name}: needs to broadcast to one image of the output`,
      repeats(imageOf(tensor, output.shape), output.shape.slice(1)) && beyond.every((size) => size === 1),
    ),
    only(
      `${name}: needs the dimensions of the output, or one image`,
      data !== undefined || shape.length === output.shape.length || shape[0] === 1,
    ),
  );
}

const refuse = ({ inputs: [a, b], output }: Site) =>
  first(
    byteActivation(a, "input 0"),
    byte(b, "input 1"),
    byteActivation(output, "output"),
    sameType(a, output),
    only(`input 1: needs ${a.dtype}, is ${b.dtype}`, a.dtype === b.dtype),
    refuseRepeating(a, output, "input 0"),
    refuseRepeating(b, output, "input 1"),
  );

function commonArgs({ attributes, inputs: [a, b], output }: Elementwise) {
  return {
    ...outputArgs(attributes.activation, output),
    elements: elements(output.shape.slice(1)),
    input1Offset: -zeroPointOf(a),
    input2Offset: -zeroPointOf(b),
    input2Shared: b.data !== undefined,
  };
}

/** What the kernel needs around it: a constant in memory, smaller activations repeated. */
function withOperands(site: Elementwise, prepare: () => Step): Step {
  const {
    inputs: [a, b],
    output,
    kernels,
  } = site;
  const image = output.shape.slice(1);
  const [first, second] = [imageOf(a, output.shape), imageOf(b, output.shape)];
  const whole = (shape: number[]) => elements(shape) === elements(image);
  const step = b.data ? bindConstant(kernels.place(spread(codesOf(b), second, image)), prepare) : prepare();
  if (whole(first) && (b.data || whole(second))) return step;
  const parts: Part[] = [];
  const temporaries: number[] = [];
  const place = (shape: number[], operand: Place): Place => {
    if (whole(shape)) return operand;
    const args = { shape, outputShape: image, elementBytes: 1 };
    temporaries.push(elements(image));
    parts.push({
      step: OPS.BROADCAST_TO.prepare(kernels, args),
      input: operand,
      output: temporaries.length - 1,
    });
    return temporaries.length - 1;
  };
  const input = place(first, "input");
  const input2 = b.data ? {} : { input2: place(second, "input2") };
  parts.push({ step, input, ...input2, output: "output" });
  const bytes = { inputBytes: elements(first), outputBytes: elements(image) };
  return composeSteps(parts, b.data ? bytes : { ...bytes, input2Bytes: elements(second) }, temporaries);
}

function bindConstant(input2: number, prepare: () => Step): Step {
  const { input2Bytes: _, ...step } = prepare();
  return { ...step, bind: (operands) => step.bind({ ...operands, input2 }) };
}

/** A constant over one image, which all images share. */
function spread(values: Int8Array, shape: readonly number[], image: readonly number[]): Int8Array {
  const args = { shape, outputShape: image, elementBytes: 1 };
  return OPS.BROADCAST_TO.reference(args, [values], 1) as Int8Array;
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
      const paired = preparePairedSum(site, common, input2Sign);
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
    const double = (scaleOf(a) * scaleOf(b)) / scaleOf(output);
    const float = Math.fround(Math.fround(scaleOf(a) * scaleOf(b)) / scaleOf(output));
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
