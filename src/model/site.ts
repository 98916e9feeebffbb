/** What every lowering needs: the operands of a node, and the checks and numbers that rows share. */
import type { FixedPoint, FloatScale, Output, Step } from "../kernels/args.ts";
import { requantizationOf } from "../kernels/arithmetics.ts";
import type { Kernels } from "../kernels/module.ts";
import { roundHalfAway } from "../kernels/requantize.ts";
import type { Profile, Requantizer } from "../profile/schema.ts";
import type { Activation, Attributes, OpName, Tensor } from "./graph.ts";

/** What a lowering sees: operand tensors in order (undefined where optional and absent) and the node's first output. */
export interface Site<Op extends OpName = OpName> {
  attributes: Attributes[Op];
  inputs: Tensor[];
  output: Tensor;
  /** All of them: SPLIT has several. */
  outputs: Tensor[];
  kernels: Kernels;
  profile: Profile;
  /** Of a float32 sum of products: ONNX Runtime makes the filter of codes in the run. */
  dequantized?: true;
}

/** A row: why this node cannot run on the profile (empty if it can), and the step that runs it. A lowering that returns
 * null leaves the bytes as they are: the output is the input. */
export interface Lowering<Op extends OpName> {
  refuse(site: Site<Op>): string;
  lower(site: Site<Op>): Step | null;
}

export const only = (what: string, ok: boolean) => (ok ? "" : what);
export const first = (...reasons: string[]) => reasons.find((reason) => reason !== "") ?? "";

/** int8 or uint8: the kernels see the latter as int8, every code less 128. */
export function byte(tensor: Tensor, name: string): string {
  if (tensor.dtype !== "int8" && tensor.dtype !== "uint8")
    return `${name}: needs int8 or uint8, is ${tensor.dtype}`;
  return only(`${name}: needs one scale and zero point`, tensor.quantization?.scale.length === 1);
}

export function byteActivation(tensor: Tensor, name: string): string {
  if (tensor.data) return `${name}: needs an activation, is a constant`;
  return byte(tensor, name);
}

type Ops = Profile["arithmetic"]["ops"];

/** What the profile says of an op; refused by its name where it says nothing. */
export const formOf = <Op extends keyof Ops>({ profile }: { profile: Profile }, op: Op) =>
  profile.arithmetic.ops[op] as NonNullable<Ops[Op]>;
export const refuseForm = ({ profile }: { profile: Profile }, op: keyof Ops) =>
  only(`the profile has no form of ${op}`, profile.arithmetic.ops[op] !== undefined);

/** Both int8 or both uint8. */
export const unaryBytes = ({ inputs: [x], output }: Site) =>
  first(byteActivation(x, "input"), byteActivation(output, "output"), sameType(x, output));

export const sameType = (x: Tensor, output: Tensor, name = "output") =>
  only(`${name}: needs ${x.dtype}, is ${output.dtype}`, x.dtype === output.dtype);

export function int8Activation(tensor: Tensor, name: string): string {
  if (tensor.data) return `${name}: needs an activation, is a constant`;
  return int8(tensor, name);
}

export function int8(tensor: Tensor, name: string): string {
  if (tensor.dtype !== "int8") return `${name}: needs int8, is ${tensor.dtype}`;
  return only(`${name}: needs one scale and zero point`, tensor.quantization?.scale.length === 1);
}

export const unary = ({ inputs: [x], output }: Site) =>
  first(int8Activation(x, "input"), int8Activation(output, "output"));

export const sameScale = (x: Tensor, output: Tensor, name = "output") =>
  only(
    `${name}: needs the scale and zero point of the ${name === "output" ? "input" : "output"}`,
    x.quantization?.scale[0] === output.quantization?.scale[0] &&
      x.quantization?.zeroPoint[0] === output.quantization?.zeroPoint[0],
  );

export const sharesScale = ({ inputs: [x], output }: Site) => sameScale(x, output);

export const scaleOf = ({ quantization }: Tensor) => quantization!.scale[0];
/** Of the code as the kernels have it. */
export const zeroPointOf = ({ dtype, quantization }: Tensor) =>
  quantization!.zeroPoint[0] - (dtype === "uint8" ? 128 : 0);

/** The codes of a constant as the kernels have them. */
export function codesOf({ data }: Tensor): Int8Array {
  return data instanceof Uint8Array ? Int8Array.from(data, (code) => code - 128) : (data as Int8Array);
}

/** [low, high] of a fused activation in output codes. Source: CalculateActivationRangeQuantized, LiteRT. */
export function activationRange(activation: Activation, output: Tensor): [number, number] {
  const code = (real: number) => zeroPointOf(output) + roundHalfAway(Math.fround(real / scaleOf(output)));
  const low = activation === "NONE" ? -128 : Math.max(-128, code(activation === "RELU_N1_TO_1" ? -1 : 0));
  const high =
    activation === "RELU6"
      ? Math.min(127, code(6))
      : activation === "RELU_N1_TO_1"
        ? Math.min(127, code(1))
        : 127;
  return [low, high];
}

export function outputArgs(activation: Activation, output: Tensor): Output {
  const [activationMin, activationMax] = activationRange(activation, output);
  return { outputOffset: zeroPointOf(output), activationMin, activationMax };
}

/** One multiplier for each real factor, in the requantizer's own form. doubles: exact products; floats: f32 ones. */
export function requantization(
  requantizer: Requantizer,
  doubles: number[],
  floats: number[],
): FixedPoint | FloatScale {
  return requantizationOf(
    requantizer,
    doubles.map((double, i) => ({ double, float: floats[i] })),
  );
}
