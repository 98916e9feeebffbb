/** float32 convolutions and pools on seeded sizes beside ONNX Runtime: channels that fill blocks, leave a rest, or are few. */
import { it } from "vitest";
import { elements } from "../../src/model/graph.ts";
import { type Random, seededRandom } from "../../src/random.ts";
import { model, type NodeDraft, node, tensor } from "../import/onnxModels.ts";
import { describeBesideOrt, expectEqual } from "../import/onnxRuntime.ts";
import { between, pick } from "../kernels/cases.ts";
import { reals } from "./floatGraphs.ts";

const SEEDS = Array.from({ length: 30 }, (_, seed) => seed);
const FEW = [1, 3, 5, 8, 12];
const CHANNELS = [...FEW, 16, 17, 24, 32, 40, 48, 144, 160];

interface Sizes {
  inputs: number;
  outputs: number;
  group: number;
  kernel: number[];
}

const kernelOf = (random: Random) => [pick(random, 1, 2, 3, 5), pick(random, 1, 2, 3, 5)];
const inGroups = (inputs: number, outputs: number, group: number, random: Random): Sizes => ({
  ...{ inputs: inputs * group, outputs: outputs * group, group },
  kernel: kernelOf(random),
});
const drawn = (random: Random, ...of: number[]) => pick(random, ...of);

const KINDS: Record<string, (random: Random) => Sizes> = {
  "dense Conv": (random) => inGroups(drawn(random, ...CHANNELS), drawn(random, 1, 8, 10, 16, 33), 1, random),
  "Conv of points": (random) => ({
    ...{ inputs: drawn(random, ...CHANNELS), outputs: drawn(random, 1, 8, 16, 33), group: 1, kernel: [1, 1] },
  }),
  "Conv in groups": (random) =>
    inGroups(drawn(random, 2, 8, 16, 32), drawn(random, 2, 8, 16), drawn(random, 2, 3), random),
  "depthwise Conv": (random) => inGroups(1, 1, drawn(random, ...CHANNELS), random),
  "depthwise Conv of two outputs a channel": (random) => inGroups(1, 2, drawn(random, ...FEW, 16), random),
};

interface Drawn {
  shape: number[];
  /** From x to r. */
  nodes: NodeDraft[];
  /** Shapes by name. */
  constants: Record<string, number[]>;
}

function convolution(random: Random, { inputs, outputs, group, kernel }: Sizes): Drawn {
  const dilations = random.below(5) === 0 ? [2, 1] : [1, 1];
  // An image of one row may stand for a row, which is summed in an order of its own.
  const sizes = kernel.map(
    (taps, axis) => (taps - 1) * dilations[axis] + between(random, taps === 1 ? 2 : 1, 9),
  );
  const isPadded = random.below(2) === 0 && elements(kernel) > 1;
  const pads = [...kernel, ...kernel].map((taps) => (isPadded ? random.below(taps) : 0));
  const strides = [between(random, 1, 3), between(random, 1, 3)];
  const constants = {
    w: [outputs, inputs / group, ...kernel],
    ...(random.below(2) === 0 && { b: [outputs] }),
  };
  const names = ["x", ...Object.keys(constants)].join(" ");
  return {
    shape: [1, inputs, ...sizes],
    nodes: [node("Conv", names, "r", { kernel_shape: kernel, group, dilations, pads, strides })],
    constants,
  };
}

/** A window may be the whole plane. */
function pool(random: Random, op: "AveragePool" | "GlobalAveragePool"): Drawn {
  const kernel = kernelOf(random);
  const shape = [1, drawn(random, ...CHANNELS), ...kernel.map((taps) => taps + pick(random, 0, 0, 3, 7))];
  const isPadded = random.below(2) === 0;
  const pads = [...kernel, ...kernel].map((taps) => (isPadded ? random.below(taps) : 0));
  const strides = pick(
    random,
    [1, 1],
    kernel.map((taps) => Math.min(taps, 3)),
  );
  const attributes: Record<string, number[]> =
    op === "AveragePool" ? { kernel_shape: kernel, strides, pads } : {};
  return { shape, nodes: [node(op, "x", "r", attributes)], constants: {} };
}

/** What reads a convolution on blocked images. */
const BEHIND = {
  AveragePool: { kernel_shape: [2, 3] },
  GlobalAveragePool: {},
  MaxPool: { kernel_shape: [2, 2] },
  Sigmoid: {},
  HardSwish: {},
  LeakyRelu: {},
};

describeBesideOrt("float32 convolutions and pools", (beside) => {
  async function check({ shape, nodes, constants }: Drawn, last: string): Promise<void> {
    const bytes = model({
      inputs: { x: ["float32", shape] },
      outputs: { y: ["float32", ["n", "c", "h", "w"]] },
      nodes: [...nodes, node(last, "r", "y", BEHIND[last as keyof typeof BEHIND] ?? {})],
      constants: Object.entries(constants).map(([name, dims]) =>
        tensor(name, "float32", dims, reals(elements(dims))),
      ),
      opset: 14,
    });
    await expectEqual(beside, bytes, { x: ["float32", shape, reals(elements(shape))] });
  }

  it.each(Object.entries(KINDS))("%s", async (_, sizesOf) => {
    for (const seed of SEEDS) {
      const random = seededRandom(seed);
      const last = pick(random, "Relu", "Identity", "Sigmoid");
      await check(convolution(random, sizesOf(random)), last);
    }
  });

  it.each([1, 2, 3, 5])("Conv of the whole plane, %i outputs a channel", async (outputs) => {
    for (const channels of [4, 16, 17])
      for (const stride of [1, 3]) {
        const constants = { w: [outputs * channels, 1, 3, 4] };
        const attributes = { kernel_shape: [3, 4], group: channels, strides: [stride, stride] };
        const nodes = [node("Conv", "x w", "r", attributes)];
        await check({ shape: [1, channels, 3, 4], nodes, constants }, "Identity");
      }
  });

  it.each(["AveragePool", "GlobalAveragePool"] as const)("%s", async (op) => {
    for (const seed of SEEDS) await check(pool(seededRandom(seed), op), "Identity");
  });

  it.each(Object.keys(BEHIND))("%s behind a Conv", async (op) => {
    for (const outputs of CHANNELS.slice(0, 10)) {
      const constants = { w: [outputs, 3, 3, 3], b: [outputs] };
      const nodes = [node("Conv", "x w b", "r", { kernel_shape: [3, 3], pads: [1, 1, 1, 1] })];
      await check({ shape: [1, 3, 6, 7], nodes, constants }, op);
    }
  });
});
