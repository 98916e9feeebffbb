/** What ONNX Runtime computes into the weights when it reads a model. Every operation is rounded to float32, as there. */
import type { Budget } from "./budget.ts";
import { allocate, type Constant } from "./constants.ts";
import { linksOf } from "./rewrite.ts";
import type { OnnxNode } from "./site.ts";

/** What the pass needs to know of the model. */
interface Scope {
  outputs: ReadonlySet<string>;
  budget: Budget;
  /** A constant of the file, or undefined. */
  constant(name: string): Constant | undefined;
  define(name: string, value: Constant): void;
}

/** What becomes of weights, a factor an output channel, and of their bias; undefined: no such thing, or as it is. */
interface Folded {
  scale?: Float32Array;
  bias(before: Float32Array | undefined): Float32Array | undefined;
}

const f32 = Math.fround;
const DEFAULT_EPSILON = 1e-5;

/** A constant of float32, of these dimensions where they are given. */
function floats(constant: Constant | undefined, dims?: readonly number[]): Float32Array | undefined {
  const { data } = constant ?? {};
  const fits = dims === undefined || String(constant?.dims) === String(dims);
  return data instanceof Float32Array && !constant?.quantization && fits ? data : undefined;
}

/** Source: microsoft/onnxruntime 1.30.0, conv_bn_fusion.cc and matmul_bn_fusion.cc. */
function normalization(node: OnnxNode, channels: number, { constant }: Scope): Folded | undefined {
  const moments = node.inputs.slice(1).map((name) => floats(constant(name), [channels]));
  const [gamma, beta, mean, variance] = moments as Float32Array[];
  const isTraining = node.outputs.slice(1).some((name) => name !== "");
  if (moments.length !== 4 || moments.includes(undefined) || isTraining) return undefined;
  const epsilon = f32(node.attributes.get("epsilon")?.f ?? DEFAULT_EPSILON);
  const scale = gamma.map((value, c) => value / f32(Math.sqrt(f32(variance[c] + epsilon))));
  return {
    scale,
    bias: (before) =>
      before
        ? before.map((value, c) => f32(f32(value - mean[c]) * scale[c]) + beta[c])
        : beta.map((value, c) => value - f32(mean[c] * scale[c])),
  };
}

/** The second operand of a Mul or Add: a value for each channel, with or without a dimension for the batch. */
function perChannel(node: OnnxNode, { dims }: Constant, { constant }: Scope): Float32Array | undefined {
  const other = constant(node.inputs[1]);
  const channels = [dims[0], ...new Array<number>(dims.length - 2).fill(1)];
  return floats(other, channels) ?? floats(other, [1, ...channels]);
}

type Fold = (next: OnnxNode, weights: Constant, scope: Scope) => Folded | undefined;

/** Source: conv_mul_fusion.cc. */
const multiplied: Fold = (next, weights, scope) => {
  const one = floats(scope.constant(next.inputs[1]), []);
  const scale = one ? new Float32Array(weights.dims[0]).fill(one[0]) : perChannel(next, weights, scope);
  if (!scale) return undefined;
  return { scale, bias: (before) => before?.map((value, c) => value * scale[c]) };
};

/** Source: conv_add_fusion.cc. */
const added: Fold = (next, weights, scope) => {
  const term = perChannel(next, weights, scope);
  return term && { bias: (before) => term.map((value, c) => (before ? before[c] + value : value)) };
};

/** What a node takes over from the one that alone reads it. rank: that its weights have at least; axis: of the output channels
 * in them. */
const FOLDS: Record<string, { rank: number; axis: 0 | 1; becomes: string; next: Record<string, Fold> }> = {
  Conv: {
    rank: 3,
    axis: 0,
    becomes: "Conv",
    next: {
      BatchNormalization: (next, { dims }, scope) => normalization(next, dims[0], scope),
      Mul: multiplied,
      Add: added,
    },
  },
  MatMul: {
    rank: 2,
    axis: 1,
    becomes: "Gemm",
    next: {
      BatchNormalization: (next, { dims }, scope) =>
        dims.length === 2 ? normalization(next, dims[1], scope) : undefined,
    },
  },
};

function scaled(weights: Constant, data: Float32Array, scale: Float32Array, axis: 0 | 1, budget: Budget) {
  const inner = axis === 0 ? data.length / scale.length : 1;
  const made = allocate("float32", data.length, budget);
  for (let i = 0; i < data.length; i++) made[i] = data[i] * scale[Math.floor(i / inner) % scale.length];
  return { ...weights, data: made };
}

/** One node in the place of two; undefined where they stay. */
function folded(node: OnnxNode, next: OnnxNode, scope: Scope): OnnxNode | undefined {
  const { rank, axis, becomes, next: rules } = FOLDS[node.op];
  const [x, w, b] = node.inputs;
  const fold = Object.hasOwn(rules, next.op) && next.domain === "" ? rules[next.op] : undefined;
  if (!fold || next.inputs[0] !== node.outputs[0]) return undefined;
  const weights = scope.constant(w);
  const data = floats(weights);
  if (!weights || !data || weights.dims.length < rank) return undefined;
  const before = floats(b === undefined ? undefined : scope.constant(b), [weights.dims[axis]]);
  const own = b === undefined || before ? fold(next, weights, scope) : undefined;
  if (!own) return undefined;
  const name = (part: string) => `${next.outputs[0]}#${part}`;
  const inputs = [x, w];
  if (own.scale) {
    inputs[1] = name("weights");
    scope.define(inputs[1], scaled(weights, data, own.scale, axis, scope.budget));
  }
  const bias = own.bias(before);
  if (bias) {
    inputs[2] = name("bias");
    scope.budget.spend(bias.byteLength);
    const dims = [bias.length];
    scope.define(inputs[2], { kind: "constant", name: inputs[2], dims, type: "float32", data: bias });
  }
  return { ...node, op: becomes, inputs, outputs: next.outputs };
}

/**
 * Conv with the BatchNormalization, Mul or Add that alone reads it, and MatMul with its BatchNormalization, as one node of other
 * weights. A name that the model gives out stays.
 */
export function foldWeights(nodes: readonly OnnxNode[], scope: Scope): OnnxNode[] {
  const { readers } = linksOf(nodes);
  const dropped = new Set<OnnxNode>();
  const soleReader = (name: string) =>
    scope.outputs.has(name) || readers.get(name)?.length !== 1 ? undefined : readers.get(name)![0];
  return nodes.flatMap((original) => {
    if (dropped.has(original)) return [];
    let node = original;
    while (node.domain === "" && Object.hasOwn(FOLDS, node.op)) {
      const next = soleReader(node.outputs[0]);
      const made = next && folded(node, next, scope);
      if (!made) break;
      dropped.add(next);
      node = made;
    }
    return [node];
  });
}
