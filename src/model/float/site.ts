/** What the lowerings of ops on float32 share. */
import type { Bounds, FloatForm } from "../../kernels/float/forms.ts";
import type { Profile } from "../../profile/schema.ts";
import type { Activation, Tensor } from "../graph.ts";
import { first, only, type Site } from "../site.ts";

/** Whether a node reads and makes float32. */
export const isFloat = ({ inputs: [x], output }: Site) => x.dtype === "float32" && output.dtype === "float32";

/** The profile's own, once `unary` has seen that it is there. */
export const formOf = ({ profile }: Site): FloatForm => profile.arithmetic.ops.float!.form;

/** False too where the profile has none. */
export const hasForm = ({ profile }: { profile: Profile }, form: FloatForm) =>
  profile.arithmetic.ops.float?.form === form;

export const hasFloat = ({ profile }: Site) =>
  only(
    "float32: how the device computes it is not known to the last bit, or it has none",
    profile.arithmetic.ops.float !== undefined,
  );

export const activation = (tensor: Tensor, name: string) =>
  first(
    only(`${name}: needs an activation, is a constant`, tensor.data === undefined),
    only(`${name}: needs float32, is ${tensor.dtype}`, tensor.dtype === "float32"),
  );

export const constant = (tensor: Tensor, name: string) =>
  only(
    `${name}: needs float32 constants, is ${tensor.dtype}`,
    tensor.dtype === "float32" && tensor.data !== undefined,
  );

export const unary = (site: Site) =>
  first(hasFloat(site), activation(site.inputs[0], "input"), activation(site.output, "output"));

const BOUNDS: Record<Activation, Bounds> = {
  NONE: { activationMin: -Infinity, activationMax: Infinity },
  RELU: { activationMin: 0, activationMax: Infinity },
  RELU6: { activationMin: 0, activationMax: 6 },
  RELU_N1_TO_1: { activationMin: -1, activationMax: 1 },
};
export const NO_BOUNDS = BOUNDS.NONE;

/** forms: whose runtimes make 0 of -0 at a bound of 0. */
export function boundsFor(site: Site, activation: Activation, forms: readonly FloatForm[] = ["xnnpack"]) {
  const bounds = BOUNDS[activation];
  const takesZero = bounds.activationMin === 0 && forms.some((form) => hasForm(site, form));
  return takesZero ? { ...bounds, zero: 0 } : bounds;
}

/** Of a fused activation. */
export const boundsOf = (site: Site, forms?: readonly FloatForm[]) =>
  boundsFor(site, (site.attributes as { activation: Activation }).activation, forms);
