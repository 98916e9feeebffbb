/** Random layers that each special kernel of a convolution takes. */
import type { OPS } from "../../src/kernels/ops.ts";
import type { Random } from "../../src/random.ts";
import {
  type ArgsOf,
  between,
  type Case,
  image,
  inputOffset,
  int8s,
  output,
  pick,
  requantization,
  uint8Weights,
  weights,
} from "./cases.ts";

interface Shape {
  depth: number;
  outputs: number;
  filter: number;
  stride: number;
  /** Least size of the output. */
  least: number;
}

/** A window that starts up to filter - 1 before the image and ends as far behind it. */
function axis(random: Random, { filter, stride, least }: Shape) {
  const outputs = between(random, least, least + 8);
  const pad = random.below(filter);
  const behind = random.below(filter);
  return { outputs, pad, input: Math.max(1, (outputs - 1) * stride + filter - pad - behind) };
}

function window(random: Random, shape: Shape) {
  const [vertical, horizontal] = [axis(random, shape), axis(random, shape)];
  const { depth, filter, stride } = shape;
  return {
    inputHeight: vertical.input,
    inputWidth: horizontal.input,
    inputDepth: depth,
    outputHeight: vertical.outputs,
    outputWidth: horizontal.outputs,
    filterHeight: filter,
    filterWidth: filter,
    strideHeight: stride,
    strideWidth: stride,
    padTop: vertical.pad,
    padLeft: horizontal.pad,
    dilationHeight: 1,
    dilationWidth: 1,
  };
}

function rest(random: Random, weightCount: number, channels: number) {
  return {
    ...output(random),
    ...requantization(random, channels),
    ...uint8Weights(random, weights(random, weightCount, channels)),
    inputOffset: inputOffset(random),
  };
}

function conv2d(random: Random, shape: Shape): Case<ArgsOf<"CONV_2D">> {
  const { depth, outputs, filter } = shape;
  const batches = between(random, 1, 3);
  const at = window(random, shape);
  const args = {
    ...at,
    ...rest(random, outputs * filter * filter * depth, outputs),
    outputDepth: outputs,
    groups: 1,
  };
  return { args, operands: [int8s(random, batches * image(at))], batches };
}

interface VariantCase<Name extends keyof typeof OPS = "CONV_2D"> {
  op: Name;
  kernel: string;
  what: string;
  draw(random: Random): Case<ArgsOf<Name>>;
}

export const VARIANTS: readonly VariantCase[] = [
  {
    op: "CONV_2D",
    kernel: "conv_2d_winograd",
    what: "3x3 filters at stride 1",
    draw: (random) =>
      conv2d(random, {
        depth: 8 * between(random, 2, 5),
        outputs: pick(random, 8, 16, between(random, 1, 40)),
        filter: 3,
        stride: 1,
        least: 8,
      }),
  },
];
