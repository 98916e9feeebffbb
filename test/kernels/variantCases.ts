/** Random layers that each special kernel of a convolution takes. */
import type { OPS } from "../../src/kernels/ops.ts";
import type { Random } from "../../src/random.ts";
import {
  type ArgsOf,
  add,
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

function depthwise(random: Random, shape: Shape, depthMultiplier: number) {
  const batches = between(random, 1, 3);
  const at = window(random, shape);
  const channels = shape.depth * depthMultiplier;
  const args = {
    ...at,
    ...rest(random, shape.filter * shape.filter * channels, channels),
    depthMultiplier,
  };
  return { args, operands: [int8s(random, batches * image(at))], batches };
}

/** op: whose reference it equals; kernel: without the bits of weights; takes: what of the layers drawn it is chosen for, all where left out. */
export interface VariantCase<Name extends keyof typeof OPS> {
  op: Name;
  kernel: string;
  what: string;
  draw(random: Random): Case<ArgsOf<Name>>;
  takes?(args: ArgsOf<Name>): boolean;
}
const row = <Name extends keyof typeof OPS>(variant: VariantCase<Name>) => variant;
const whole = (args: { filter: unknown }) => !(args.filter instanceof Int16Array);

export const VARIANTS = [
  row({
    op: "CONV_2D",
    kernel: "conv_2d_winograd",
    what: "3x3 filters at stride 1",
    draw: (random) =>
      conv2d(random, {
        depth: 8 * between(random, 2, 4),
        outputs: pick(random, 8, 16, between(random, 1, 20)),
        filter: 3,
        stride: 1,
        least: 8,
      }),
  }),
  row({
    op: "CONV_2D",
    kernel: "fully_connected",
    what: "1x1 filters",
    draw: (random) =>
      conv2d(random, {
        depth: between(random, 1, 70),
        outputs: pick(random, 8, 16, between(random, 1, 40)),
        filter: 1,
        stride: 1,
        least: 1,
      }),
    takes: whole,
  }),
  row({
    op: "DEPTHWISE_CONV_2D",
    kernel: "depthwise_conv_2d_3x3",
    what: "3x3 filters",
    draw: (random) => {
      const multiplier = pick(random, 1, 1, 2);
      const depth = (4 / multiplier) * between(random, 1, 9);
      const stride = pick(random, 1, 2);
      return depthwise(random, { depth, outputs: 0, filter: 3, stride, least: 1 }, multiplier);
    },
    takes: (args) =>
      whole(args) && args.inputDepth > 1 && ["tflite-double", "float-even"].includes(args.requantizer),
  }),
  row({
    op: "DEPTHWISE_CONV_2D",
    kernel: "conv_2d",
    what: "one channel",
    draw: (random) => {
      const stride = pick(random, 1, 2);
      const shape = { depth: 1, outputs: 0, filter: pick(random, 2, 3), stride, least: 1 };
      return depthwise(random, shape, between(random, 1, 20));
    },
  }),
  row({
    op: "ADD",
    kernel: "lookup_pair_s8",
    what: "many elements",
    draw: (random) => add(random, between(random, 2048, 2200)),
    takes: (args) => args.requantizer !== "float-even",
  }),
];
