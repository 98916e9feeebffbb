/** What ONNX Runtime computes the integer nodes of a Graph on. */
import { type FloatForm, isOnnxRuntime } from "../kernels/float/forms.ts";
import { roundHalfEven } from "../kernels/requantize.ts";
import {
  type Activation,
  type Attributes,
  type Integer,
  isGlobalPool,
  type OpName,
  type Tensor,
} from "./graph.ts";
import { type Site, scaleOf, zeroPointOf } from "./site.ts";

export type Computed = "uint8" | "int8" | "float32";

/** Ops that it has no integer form of. Source: microsoft/onnxruntime 1.30.0, qdq_selector_action_transformer.cc. */
const ALWAYS_REAL: ReadonlySet<OpName> = new Set(["SUB", "LOG_SOFTMAX", "TANH", "HARD_SWISH", "PRELU"]);

/** The profile's form where it is ONNX Runtime. */
export function onnxRuntimeForm({ profile }: Pick<Site, "profile">): FloatForm | undefined {
  const form = profile.arithmetic.ops.float?.form;
  return isOnnxRuntime(form) ? form : undefined;
}

/** What quantizing NaN to the output's codes gives. */
export function codeOfNaN({ profile, attributes, output }: Site): number {
  const { nan } = profile.arithmetic.ops.QUANTIZE;
  if (!nan) return zeroPointOf(output);
  const isInt8 = output.dtype === "int8" && (attributes as Integer).computedOn === "codes";
  return nan === "zero" && isInt8 ? 0 : -128;
}

/** Whether the codes' own ends clamp as the activation does: it is dropped then, else the node before it stays real.
 * Source: microsoft/onnxruntime 0008737, qdq_util.cc, IsClipMadeRedundantByQ. */
function isClampOfCodes(activation: Activation, output: Tensor): boolean {
  const zero = zeroPointOf(output);
  if (activation === "NONE" || activation === "RELU") return activation === "NONE" || zero === -128;
  const code = (value: number) => roundHalfEven(Math.fround(value / scaleOf(output))) + zero;
  const [low, high] = activation === "RELU6" ? [0, 6] : [-1, 1];
  return code(low) <= -128 && code(high) >= 127;
}

/** What a node on bytes is computed on: what the importer found, or what follows from the node itself. Codes are uint8 on
 * WebAssembly and x86. Source: microsoft/onnxruntime 07be093, qdq_s8_to_u8.cc, without kOrtSessionOptionsQDQIsInt8Allowed. */
export function computedOn(op: OpName, { attributes, inputs: [x], output }: Site): Computed {
  const { computedOn: found, activation = "NONE" } = attributes as Integer & { activation?: Activation };
  if (found) return found === "codes" ? (output.dtype as "int8" | "uint8") : found;
  const isReal =
    ALWAYS_REAL.has(op) ||
    (op === "MEAN" && !isGlobalPool(attributes as Attributes["MEAN"], x.shape.length)) ||
    !isClampOfCodes(activation, output);
  return isReal ? "float32" : "uint8";
}
