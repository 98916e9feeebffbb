/** Networks of the shapes that MLPerf Tiny and its kin have, with random weights: what a bench without model files runs. */
import { ARCHITECTURES } from "../../float/architectures.ts";
import { foldBatchNorm } from "../../float/fold.ts";
import type { Graph, Node, Tensor } from "../../model/graph.ts";
import { outputShape } from "../../model/shapes.ts";
import { quantizeStatic } from "../../quantize/ptq.ts";
import { activationQuantization } from "../../quantize/uniform.ts";
import { seededRandom } from "../../random.ts";

type Shape = readonly [height: number, width: number, channels: number];
type Draft = Omit<Node, "name" | "outputs">;

/** Appends nodes with random constants; methods take and return tensor indices. */
class Sketch {
  readonly graph: Graph;
  readonly #random = seededRandom(5);

  constructor(name: string, shape: Shape) {
    const input: Tensor = { name: "input", shape: [1, ...shape], dtype: "float32" };
    this.graph = { name, tensors: [input], nodes: [], inputs: [0], outputs: [] };
  }

  #add(draft: Draft): number {
    const { tensors, nodes } = this.graph;
    const node = { ...draft, name: `node${nodes.length}`, outputs: [tensors.length] } as Node;
    const shape = outputShape(
      node,
      node.inputs.map((id) => tensors[id].shape),
    );
    nodes.push(node);
    return tensors.push({ name: node.name, shape, dtype: "float32" }) - 1;
  }

  /** Normal with variance 2 / fan-in. */
  #constant(shape: number[], fanIn: number): number {
    const count = shape.reduce((product, length) => product * length, 1);
    const deviation = Math.sqrt(2 / fanIn);
    const data = Float32Array.from({ length: count }, () => deviation * this.#random.normal());
    return (
      this.graph.tensors.push({ name: `w${this.graph.tensors.length}`, shape, dtype: "float32", data }) - 1
    );
  }

  #depth = (x: number) => this.graph.tensors[x].shape[3];

  convolution(x: number, outputs: number, [height, width]: readonly number[], stride = 1, linear = false) {
    const depth = this.#depth(x);
    const filter = this.#constant([outputs, height, width, depth], height * width * depth);
    return this.#add({
      op: "CONV_2D",
      inputs: [x, filter, this.#constant([outputs], 1000)],
      attributes: {
        ...{ strideHeight: stride, strideWidth: stride, dilationHeight: 1, dilationWidth: 1 },
        padding: "SAME",
        activation: linear ? "NONE" : "RELU6",
      },
    } as Draft);
  }

  depthwise(x: number, stride: number, depthMultiplier = 1): number {
    const outputs = this.#depth(x) * depthMultiplier;
    return this.#add({
      op: "DEPTHWISE_CONV_2D",
      inputs: [x, this.#constant([1, 3, 3, outputs], 9), this.#constant([outputs], 1000)],
      attributes: {
        ...{ strideHeight: stride, strideWidth: stride, dilationHeight: 1, dilationWidth: 1 },
        ...{ padding: "SAME", activation: "RELU6", depthMultiplier },
      },
    } as Draft);
  }

  sum(a: number, b: number): number {
    return this.#add({ op: "ADD", inputs: [a, b], attributes: { activation: "NONE" } } as Draft);
  }

  /** Mean over the image, then logits. */
  classifier(x: number, classes: number): Graph {
    const depth = this.#depth(x);
    const mean = this.#add({
      op: "MEAN",
      inputs: [x],
      attributes: { axes: [1, 2], keepDims: false },
    } as Draft);
    const inputs = [mean, this.#constant([classes, depth], depth), this.#constant([classes], 1000)];
    const logits = this.#add({ op: "FULLY_CONNECTED", inputs, attributes: { activation: "NONE" } } as Draft);
    this.graph.outputs.push(logits);
    return this.graph;
  }
}

/** Keyword spotting: DS-CNN of 64 channels. Source: MLPerf Tiny (Banbury et al., 2021). */
function dsCnn(): Graph {
  const sketch = new Sketch("ds_cnn", [49, 10, 1]);
  let x = sketch.convolution(0, 64, [10, 4], 2);
  for (let i = 0; i < 4; i++) x = sketch.convolution(sketch.depthwise(x, 1), 64, [1, 1]);
  return sketch.classifier(x, 12);
}

/** Outputs of MobileNetV1's blocks before the width, and their strides. Source: Howard et al., 2017, table 1. */
const MOBILENET_V1 = [
  [64, 1],
  [128, 2],
  [128, 1],
  [256, 2],
  [256, 1],
  [512, 2],
  [512, 1],
  [512, 1],
  [512, 1],
  [512, 1],
  [512, 1],
  [1024, 2],
  [1024, 1],
] as const;

/** MobileNetV1 of width 0.25; over one channel the first layer is depthwise, as person_detect has it. */
function mobileNetV1(name: string, shape: Shape): Graph {
  const sketch = new Sketch(name, shape);
  let x = shape[2] === 1 ? sketch.depthwise(0, 2, 8) : sketch.convolution(0, 8, [3, 3], 2);
  for (const [outputs, stride] of MOBILENET_V1)
    x = sketch.convolution(sketch.depthwise(x, stride), outputs / 4, [1, 1]);
  return sketch.classifier(x, 2);
}

/** Expansion, outputs at width 0.35, repeats, first stride. Source: Sandler et al., 2018, table 2. */
const MOBILENET_V2 = [
  [1, 8, 1, 1],
  [6, 8, 2, 2],
  [6, 16, 3, 2],
  [6, 24, 4, 2],
  [6, 32, 3, 1],
  [6, 56, 3, 2],
  [6, 112, 1, 1],
] as const;

function mobileNetV2(): Graph {
  const sketch = new Sketch("mobilenet_v2_035_160", [160, 160, 3]);
  let x = sketch.convolution(0, 16, [3, 3], 2);
  let depth = 16;
  for (const [expansion, outputs, repeats, first] of MOBILENET_V2)
    for (let i = 0; i < repeats; i++) {
      const stride = i === 0 ? first : 1;
      const expanded = expansion === 1 ? x : sketch.convolution(x, depth * expansion, [1, 1]);
      const projected = sketch.convolution(sketch.depthwise(expanded, stride), outputs, [1, 1], 1, true);
      x = stride === 1 && depth === outputs ? sketch.sum(x, projected) : projected;
      depth = outputs;
    }
  return sketch.classifier(sketch.convolution(x, 1280, [1, 1]), 2);
}

const resnet8 = () =>
  foldBatchNorm(ARCHITECTURES.resnet8(10, { height: 32, width: 32, channels: 3, random: seededRandom(1) }));

const NETWORKS = {
  resnet8,
  dsCnn,
  personDetect: () => mobileNetV1("person_detect", [96, 96, 1]),
  visualWakeWords: () => mobileNetV1("mobilenet_v1_025_96", [96, 96, 3]),
  mobileNetV2,
};
export type NetworkName = keyof typeof NETWORKS;
export const NETWORK_NAMES = Object.keys(NETWORKS) as NetworkName[];

/** Every activation in [-3, 3]; int8 or int4 weights, one scale a channel. */
export function integerNetwork(name: NetworkName, weightBits: 8 | 4 = 8): Graph {
  const range = activationQuantization(-3, 3);
  return quantizeStatic(NETWORKS[name](), () => range, { weightBits, granularity: "per-channel" });
}
