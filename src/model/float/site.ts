/** What the lowerings of ops on float32 share. */
import type { FloatForm } from "../../kernels/float/forms.ts";
import type { Profile } from "../../profile/schema.ts";
import type { Tensor } from "../graph.ts";
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
