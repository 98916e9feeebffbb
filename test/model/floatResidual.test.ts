/** Conv whose sums start from another image, as ONNX Runtime Web makes it of Conv and Add, bit for bit beside it. */
import { beforeAll, describe, expect, it } from "vitest";
import { findProfile } from "../../src/cli/profiles.ts";
import { BUILDS, loadKernelModule } from "../../src/cli/wasm.ts";
import { importOnnx } from "../../src/import/onnx/index.ts";
import { bindKernels, type Kernels } from "../../src/kernels/module.ts";
import { compile } from "../../src/model/compile.ts";
import { fuseResiduals } from "../../src/model/float/residual.ts";
import { elements, type Graph } from "../../src/model/graph.ts";
import { validateGraph } from "../../src/model/validate.ts";
import type { Profile } from "../../src/profile/schema.ts";
import { type Random, seededRandom } from "../../src/random.ts";
import { float, model, type NodeDraft, node, tensor } from "../import/onnxModels.ts";
import { runOrt } from "../import/onnxRuntime.ts";
import { pick } from "../kernels/cases.ts";
import { reals } from "./floatGraphs.ts";

interface Network {
  shape: number[];
  nodes: NodeDraft[];
  /** Shapes of float32 constants by name. */
  constants: Record<string, number[]>;
  outputs?: string[];
  opset?: number;
  /** Name of a batch of any size. */
  batch?: string;
  /** Of the outputs, where it is not the input's. */
  rank?: number;
}

const bytesOf = (
  { shape, nodes, constants, outputs = ["y"], opset = 14, batch, rank = shape.length }: Network,
  random: Random,
) =>
  model({
    inputs: { x: ["float32", [batch ?? shape[0], ...shape.slice(1)]] },
    outputs: Object.fromEntries(outputs.map((name) => [name, ["float32", new Array(rank).fill("?")]])),
    nodes,
    constants: Object.entries(constants).map(([name, dims]) => {
      const values = reals(elements(dims), random);
      return tensor(name, "float32", dims, /^\d?.v$/.test(name) ? values.map(Math.abs) : values);
    }),
    opset,
  });

const same = { kernel_shape: [3, 3], pads: [1, 1, 1, 1] };
const small = [1, 6, 7, 7];
const square = { w: [6, 6, 3, 3], b: [6] };
const conv = (inputs = "x w b", output = "c") => node("Conv", inputs, output, same);
const two = { ...square, v: [6, 6, 3, 3], d: [6] };

const of = (
  nodes: NodeDraft[],
  constants: Record<string, number[]> = square,
  rest: Partial<Network> = {},
): Network => ({ shape: small, nodes, constants, ...rest });

/** Each network, and how many of its convolutions start from another image. */
const FUSED: Record<string, [Network, number]> = {
  "Add of Conv and its input": [of([conv(), node("Add", "c x", "y")]), 1],
  "Add of an input and its Conv": [of([conv(), node("Add", "x c", "y")]), 1],
  "a batch of three": [of([conv(), node("Add", "c x", "y")], square, { shape: [3, 6, 7, 7] }), 1],
  "a batch by name": [of([conv(), node("Add", "c x", "y")], square, { shape: [2, 6, 7, 7], batch: "N" }), 1],
  "Conv without bias": [of([node("Conv", "x w", "c", same), node("Add", "c x", "y")], { w: square.w }), 0],
  "two Convs, the first of which is taken": [
    of([conv(), conv("x v d", "e"), node("Add", "e c", "y")], two),
    1,
  ],
  "two Convs, of which but the second has a bias": [
    of([node("Conv", "x w", "c", same), conv("x v d", "e"), node("Add", "c e", "y")], two),
    1,
  ],
  "a Conv added to itself": [of([conv(), node("Add", "c c", "y")]), 0],
  "a Conv that is read twice": [of([conv(), node("Add", "c x", "a"), node("Mul", "a c", "y")]), 0],
  "a Conv that is an output": [of([conv(), node("Add", "c x", "y")], square, { outputs: ["y", "c"] }), 0],
  "Conv, Relu, Add": [of([conv(), node("Relu", "c", "r"), node("Add", "r x", "y")]), 0],
  "Conv, Sub": [of([conv(), node("Sub", "c x", "y")]), 0],
  "an image of another shape": [
    of([conv(), node("GlobalAveragePool", "x", "g"), node("Add", "c g", "y")]),
    0,
  ],
  "a constant image": [of([conv(), node("Add", "c z", "y")], { ...square, z: small }), 1],
  "a constant image for two": [
    of([conv(), node("Add", "c z", "y")], { ...square, z: small }, { shape: [2, 6, 7, 7] }),
    0,
  ],
  "a constant image without a batch": [of([conv(), node("Add", "c z", "y")], { ...square, z: [6, 7, 7] }), 0],
  "a constant image first": [of([conv(), node("Add", "z c", "y")], { ...square, z: small }), 1],
  "Add, Add": [of([conv(), node("Add", "c x", "a"), node("Add", "a x", "y")]), 1],
  "Add of an Add and a Conv": [
    of([conv(), node("Add", "c x", "a"), conv("a v d", "e"), node("Add", "a e", "y")], two),
    2,
  ],
  "an image that is made after the Conv": [
    of([conv(), node("Sigmoid", "x", "s"), node("Add", "c s", "y")]),
    1,
  ],
  "a Conv of rows": [
    of(
      [node("Conv", "x w b", "c", { kernel_shape: [3], pads: [1, 1] }), node("Add", "c x", "y")],
      {
        w: [6, 6, 3],
        b: [6],
      },
      { shape: [1, 6, 9] },
    ),
    0,
  ],
  "Conv of operator set 22": [of([conv(), node("Add", "c x", "y")], square, { opset: 22 }), 1],
  "Conv, Add of a channel, Add": [
    of([node("Conv", "x w", "c", same), node("Add", "c f", "a"), node("Add", "a x", "y")], {
      w: square.w,
      f: [6, 1, 1],
    }),
    1,
  ],
};

const ACTIVATIONS: ((output: string) => NodeDraft[])[] = [
  () => [],
  (a) => [node("Relu", a, "y")],
  (a) => [
    node("Constant", "", "low", { value_float: float(0) }),
    node("Constant", "", "high", { value_float: float(6) }),
    node("Clip", `${a} low high`, "y"),
  ],
  (a) => [node("Sigmoid", a, "y")],
  (a) => [node("Tanh", a, "y")],
  (a) => [node("LeakyRelu", a, "y", { alpha: float(0.1) })],
];

/** One block: Convs of some algorithm of MLAS, added to their input or to a second Conv. */
function block(seed: number): Network {
  const random = seededRandom(seed);
  const group = pick(random, 1, 1, 1, 2, 3, 8);
  const own = pick(random, 1, 1, 2, 5, 9, 40, 130);
  const channels = group * own;
  const outputs = group * pick(random, own, own, 1, 2, 12);
  const [height, width] = [pick(random, 1, 3, 5, 8, 13, 30), pick(random, 1, 3, 7, 12, 21)];
  const [tall, wide] = pick(random, [1, 1], [3, 3], [3, 3], [5, 3], [1, 5]);
  const strides = pick(random, [1, 1], [1, 1], [2, 2], [1, 2]);
  const pads = [(tall - 1) / 2, (wide - 1) / 2];
  const main = { kernel_shape: [tall, wide], group, strides, pads: [...pads, ...pads] };
  const batches = pick(random, 1, 1, 2, 3);
  const isSame = strides.every((stride) => stride === 1) && outputs === channels;
  const isPair = !isSame || random.below(3) === 0;
  const [hasBias, hasOther] = [random.below(8) > 0, random.below(2) === 0];
  const convs = [node("Conv", hasBias ? "x w b" : "x w", "c", main)];
  if (isPair) convs.push(node("Conv", hasOther ? "x v d" : "x v", "e", { kernel_shape: [1, 1], strides }));
  const other = isPair ? "e" : "x";
  const after = ACTIVATIONS[random.below(ACTIVATIONS.length)]("a");
  return {
    shape: [batches, channels, height, width],
    nodes: [
      ...(random.below(2) === 0 ? convs : convs.reverse()),
      node("Add", random.below(2) === 0 ? `c ${other}` : `${other} c`, after.length > 0 ? "a" : "y"),
      ...after,
    ],
    constants: {
      w: [outputs, own, tall, wide],
      ...{ b: [outputs], v: [outputs, channels, 1, 1], d: [outputs] },
    },
  };
}

/** A Conv, blocks of two or three Convs with a shortcut, BatchNormalization in some, and a classifier. */
function residualNetwork(seed: number): Network {
  const random = seededRandom(seed);
  const nodes: NodeDraft[] = [];
  const constants: Record<string, number[]> = {};
  const convolve = (x: string, y: string, from: number, to: number, size: number, stride = 1) => {
    const pad = (size - 1) / 2;
    const attributes = { kernel_shape: [size, size], pads: [pad, pad, pad, pad], strides: [stride, stride] };
    constants[`${y}w`] = [to, from, size, size];
    const isNormalized = random.below(2) === 0;
    if (!isNormalized) constants[`${y}b`] = [to];
    nodes.push(
      node("Conv", `${x} ${y}w${isNormalized ? "" : ` ${y}b`}`, isNormalized ? `${y}c` : y, attributes),
    );
    if (!isNormalized) return;
    const moments = ["g", "o", "m", "v"].map((part) => y + part);
    for (const name of moments) constants[name] = [to];
    nodes.push(node("BatchNormalization", `${y}c ${moments.join(" ")}`, y));
  };
  const relu = (x: string) => {
    nodes.push(node("Relu", x, `${x}r`));
    return `${x}r`;
  };
  let depth = pick(random, 4, 8, 16);
  convolve("x", "s", 3, depth, 3);
  let x = relu("s");
  for (let i = 0; i < 3; i++) {
    const [to, stride] = pick(random, [depth, 1], [depth * 2, 2]);
    const [size, y] = [pick(random, 1, 3), `${i}`];
    convolve(x, `${y}p`, depth, to, 3, stride);
    convolve(relu(`${y}p`), `${y}q`, to, to, size);
    if (to !== depth) convolve(x, `${y}i`, depth, to, 1, stride);
    const pair = [`${y}q`, to === depth ? x : `${y}i`];
    nodes.push(node("Add", (random.below(2) === 0 ? pair : pair.reverse()).join(" "), `${y}a`));
    x = relu(`${y}a`);
    depth = to;
  }
  nodes.push(
    node("GlobalAveragePool", x, "p"),
    node("Flatten", "p", "f"),
    node("Gemm", "f l k", "y", { transB: 1 }),
  );
  return {
    shape: [pick(random, 1, 1, 2), 3, 17, 17],
    nodes,
    constants: { ...constants, l: [10, depth], k: [10] },
    rank: 2,
  };
}

const signedZeros = (length: number) => Float32Array.from({ length }, (_, i) => (i % 3 === 0 ? 0 : -0));

describe("Conv and Add as onnxruntime-web 1.30 computes them", () => {
  let profile: Profile;
  let kernels: Kernels[];
  beforeAll(async () => {
    profile = await findProfile("onnxruntime-web");
    kernels = await Promise.all(BUILDS.map(async (build) => bindKernels(await loadKernelModule(build))));
  });

  async function check(network: Network, x: Float32Array, random: Random): Promise<Graph> {
    const bytes = bytesOf(network, random);
    const graph = importOnnx(bytes, "model.onnx");
    const outputs = await runOrt(bytes, { x: ["float32", network.shape, x] });
    for (const own of kernels)
      compile(graph, profile, own)
        .run([x], network.shape[0])
        .forEach((values, i) => {
          expect(values).toEqual(outputs[graph.tensors[graph.outputs[i]].name].data);
        });
    return graph;
  }
  const fusedIn = (graph: Graph) =>
    fuseResiduals(graph, profile).nodes.filter(({ inputs }) => inputs.length === 4).length;

  it.each(Object.entries(FUSED))("%s", async (_, [network, count]) => {
    const random = seededRandom(1);
    const graph = await check(network, reals(elements(network.shape), random), random);
    expect(fusedIn(graph)).toBe(count);
  });

  it.each(Array.from({ length: 200 }, (_, seed) => seed))("a block of seed %i", async (seed) => {
    const random = seededRandom(seed + 1000);
    const network = block(seed);
    const length = elements(network.shape);
    await check(network, seed % 4 === 0 ? signedZeros(length) : reals(length, random), random);
  });

  it.each(Array.from({ length: 30 }, (_, seed) => seed))("a residual network of seed %i", async (seed) => {
    const random = seededRandom(seed + 2000);
    const network = residualNetwork(seed);
    const graph = await check(network, reals(elements(network.shape), random), random);
    expect(fusedIn(graph)).toBe(3);
  });

  const known = () =>
    importOnnx(bytesOf(of([conv(), node("Add", "c x", "y")]), seededRandom(1)), "model.onnx");

  it("keeps what the Conv gives by itself where it is asked for", () => {
    const graph = known();
    const x = reals(elements(small));
    const [convolution, add] = graph.nodes.filter(({ op }) => op === "CONV_2D" || op === "ADD");
    for (const own of kernels) {
      const plan = compile(graph, profile, own, { keep: "all" });
      const [output] = plan.run([x], 1);
      const alone = compile({ ...graph, outputs: convolution.outputs }, profile, own);
      expect(plan.view(convolution.outputs[0], 1)).toEqual(alone.run([x], 1)[0]);
      expect(compile(graph, profile, own, { keep: convolution.outputs }).run([x], 1)[0]).toEqual(output);
      expect(compile(graph, profile, own).run([x], 1)[0]).toEqual(output);
      expect(() => plan.view(add.outputs[0], 1)).not.toThrow();
    }
  });

  it("leaves Conv and Add to runtimes that have them", async () => {
    const graph = known();
    for (const id of ["litert-js", "rp2040-tflm", "onnxruntime-x86-vnni"])
      expect(fuseResiduals(graph, await findProfile(id)), id).toBe(graph);
  });

  it("is no part of a Graph in a file", () => {
    const fused = fuseResiduals(known(), profile);
    expect(() => validateGraph(fused, "model")).toThrow("2 to 3 inputs");
  });
});
