/** Graphs of one float32 op, for what another runtime makes of them. */
import type { Attributes, Graph, Node, OpName, Tensor } from "../../src/model/graph.ts";
import { outputShape } from "../../src/model/shapes.ts";
import { type Random, seededRandom } from "../../src/random.ts";

const random = seededRandom(7);

/** Mostly within [-2, 2], at times far beyond. */
export function reals(length: number, from: Random = random): Float32Array {
  return Float32Array.from({ length }, () => (from.uniform() * 4 - 2) * (from.below(8) === 0 ? 5 : 1));
}

export function graphOf<Op extends OpName>(
  op: Op,
  shape: number[],
  attributes: Attributes[Op],
  constants: readonly (readonly number[])[] = [],
): Graph {
  const given: Tensor[] = constants.map((dims, i) => ({
    name: `constant ${i}`,
    shape: [...dims],
    dtype: "float32",
    data: reals(dims.reduce((product, size) => product * size, 1)),
  }));
  const tensors: Tensor[] = [{ name: "x", shape, dtype: "float32" }, ...given];
  const inputs = tensors.map((_, i) => i);
  const node = { op, name: op, inputs, outputs: [tensors.length], attributes } as unknown as Node;
  const made = outputShape(
    node,
    tensors.map((tensor) => tensor.shape),
  );
  tensors.push({ name: "y", shape: made, dtype: "float32" });
  return { name: op, tensors, nodes: [node], inputs: [0], outputs: [tensors.length - 1] };
}

const window = (padding: "SAME" | "VALID", stride: number) =>
  ({ padding, strideHeight: stride, strideWidth: stride }) as const;
const DENSE = { dilationHeight: 1, dilationWidth: 1 } as const;
const pool = (padding: "SAME" | "VALID", size: number, stride: number) =>
  ({ ...window(padding, stride), filterHeight: size, filterWidth: size, activation: "NONE" }) as const;

/** shape [1, height, height, channels]. */
export const convolution = (height: number, channels: number, outputs: number, size: number, stride = 1) =>
  graphOf(
    "CONV_2D",
    [1, height, height, channels],
    { ...window("SAME", stride), ...DENSE, activation: "RELU" },
    [[outputs, size, size, channels], [outputs]],
  );
export const depthwise = (height: number, channels: number, size: number, stride = 1, multiplier = 1) =>
  graphOf(
    "DEPTHWISE_CONV_2D",
    [1, height, height, channels],
    { ...window("SAME", stride), ...DENSE, activation: "RELU6", depthMultiplier: multiplier },
    [[1, size, size, channels * multiplier], [channels * multiplier]],
  );
export const dense = (inputs: number, outputs: number) =>
  graphOf("FULLY_CONNECTED", [1, inputs], { activation: "NONE" }, [[outputs, inputs], [outputs]]);
export const average = (
  height: number,
  channels: number,
  padding: "SAME" | "VALID",
  size: number,
  stride: number,
) => graphOf("AVERAGE_POOL_2D", [1, height, height, channels], pool(padding, size, stride));
export const maximum = (
  height: number,
  channels: number,
  padding: "SAME" | "VALID",
  size: number,
  stride: number,
) => graphOf("MAX_POOL_2D", [1, height, height, channels], pool(padding, size, stride));
