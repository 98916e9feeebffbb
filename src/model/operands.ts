/** The two operands of ADD, SUB, MUL and PRELU: activations, one repeated to the other's shape if need be, or one a constant. */
import type { Step } from "../kernels/args.ts";
import { composeSteps, type Part, type Place } from "../kernels/compose.ts";
import type { Kernels } from "../kernels/module.ts";
import { OPS } from "../kernels/ops.ts";
import { elements, type Tensor } from "./graph.ts";
import { codesOf, first, only, type Site } from "./site.ts";

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

/** What the two must be beside their types. */
export const refuseOperands = ({ inputs: [a, b], output }: Site) =>
  first(
    only("inputs: needs an activation, both are constants", !a.data || !b.data),
    refuseRepeating(a, output, "input 0"),
    refuseRepeating(b, output, "input 1"),
  );

/** The second operand is a constant that all images share. */
export const sharesSecond = ({ inputs: [, b] }: Site) => b.data !== undefined;

type Codes = Int8Array | Int16Array | Float32Array;

/** A constant over one image. */
function spread(values: Codes, shape: readonly number[], image: readonly number[]): Codes {
  const args = { shape, outputShape: image, elementBytes: values.BYTES_PER_ELEMENT };
  return OPS.BROADCAST_TO.reference(args, [values], 1) as Codes;
}

function placeConstant(kernels: Kernels, tensor: Tensor, output: Tensor): number {
  const { data } = tensor;
  const codes = data instanceof Int16Array || data instanceof Float32Array ? data : codesOf(tensor);
  return kernels.place(spread(codes, imageOf(tensor, output.shape), output.shape.slice(1)));
}

/** The step with a second operand that all images share. */
export function bindConstant(input2: number, step: Step): Step {
  const { input2Bytes: _, ...rest } = step;
  return { ...rest, bind: (operands) => step.bind({ ...operands, input2 }) };
}

/**
 * What a kernel of two whole operands needs around it: constants in memory, smaller activations repeated, one image after
 * another where there is either. prepare: the kernel, its second operand shared where sharesSecond says so.
 */
export function withOperands(site: Site, prepare: () => Step): Step {
  const { inputs, output, kernels } = site;
  const [a, b] = inputs;
  const image = output.shape.slice(1);
  const elementBytes = { int16: 2, float32: 4 }[output.dtype as string] ?? 1;
  const shapes = inputs.map((tensor) => imageOf(tensor, output.shape));
  const isWhole = shapes.map((shape) => elements(shape) === elements(image));
  const step = b.data ? bindConstant(placeConstant(kernels, b, output), prepare()) : prepare();
  if (!a.data && isWhole[0] && (b.data || isWhole[1])) return step;
  const parts: Part[] = [];
  const temporaries: number[] = [];
  const bytesOf = (shape: readonly number[]) => elements(shape) * elementBytes;
  const place = (i: 0 | 1, operand: Place): Place => {
    if (isWhole[i]) return operand;
    const args = { shape: shapes[i], outputShape: image, elementBytes };
    const output = temporaries.push(bytesOf(image)) - 1;
    parts.push({ step: OPS.BROADCAST_TO.prepare(kernels, args), input: operand, output });
    return output;
  };
  const outputBytes = bytesOf(image);
  if (a.data) {
    const input2 = place(1, "input");
    parts.push({ step, input: { constant: placeConstant(kernels, a, output) }, input2, output: "output" });
    const whole = composeSteps(parts, { inputBytes: bytesOf(shapes[1]), outputBytes }, temporaries);
    return { ...whole, bind: (operands) => whole.bind({ ...operands, input: operands.inputs![1] }) };
  }
  const input = place(0, "input");
  const input2 = b.data ? {} : { input2: place(1, "input2") };
  parts.push({ step, input, ...input2, output: "output" });
  const bytes = { inputBytes: bytesOf(shapes[0]), outputBytes };
  return composeSteps(parts, b.data ? bytes : { ...bytes, input2Bytes: bytesOf(shapes[1]) }, temporaries);
}
