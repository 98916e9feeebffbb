import { type Activation, type Graph, type Node, type Padding, windowAxis } from "../model/graph.ts";
import type { Random } from "../random.ts";

export interface ArchitectureOptions {
  height: number;
  width: number;
  channels: number;
  /** Channels of the first stage; default 16. */
  widthParam?: number;
  random: Random;
}

/** As Keras, so that small variances stay harmless in integer scales. */
const EPSILON = 1e-3;

/** Appends nodes to a graph; methods take and return tensor indices. */
class Builder {
  readonly graph: Graph;
  #random: Random;

  constructor(name: string, { height, width, channels, random }: ArchitectureOptions) {
    this.#random = random;
    this.graph = { name, tensors: [], nodes: [], inputs: [], outputs: [] };
    this.graph.inputs.push(this.#tensor("input", [1, height, width, channels]));
  }

  #tensor(name: string, shape: number[], data?: Float32Array): number {
    this.graph.tensors.push({ name, shape, dtype: "float32", data });
    return this.graph.tensors.length - 1;
  }

  #constant(name: string, length: number, value: number): number {
    return this.#tensor(name, [length], new Float32Array(length).fill(value));
  }

  /** Normal with variance 2 / fan-in. Source: He et al., ICCV 2015, eq. 10. */
  #filter(name: string, shape: number[]): number {
    const fanIn = shape.slice(1).reduce((product, size) => product * size, 1);
    const deviation = Math.sqrt(2 / fanIn);
    const data = new Float32Array(shape[0] * fanIn).map(() => deviation * this.#random.normal());
    return this.#tensor(name, shape, data);
  }

  #node(node: Node, shape: number[]): number {
    node.outputs.push(this.#tensor(node.name, shape));
    this.graph.nodes.push(node);
    return node.outputs[0];
  }

  #shape(index: number): number[] {
    return this.graph.tensors[index].shape;
  }

  /** A convolution without bias, its batch normalization, and an activation. */
  convolution(name: string, x: number, depth: number, size: number, stride: number, activation: Activation) {
    const [, height, width, channels] = this.#shape(x);
    const padding: Padding = "SAME";
    const outputHeight = windowAxis(height, size, stride, 1, padding).output;
    const outputWidth = windowAxis(width, size, stride, 1, padding).output;
    const shape = [1, outputHeight, outputWidth, depth];
    const attributes = {
      strideHeight: stride,
      strideWidth: stride,
      dilationHeight: 1,
      dilationWidth: 1,
      padding,
      activation: "NONE" as const,
    };
    const inputs = [x, this.#filter(`${name}/filter`, [depth, size, size, channels]), -1];
    const convolved = this.#node({ op: "CONV_2D", name, inputs, outputs: [], attributes }, shape);
    return this.#normalization(`${name}/norm`, convolved, activation);
  }

  #normalization(name: string, x: number, activation: Activation): number {
    const shape = this.#shape(x);
    const depth = shape[3];
    const inputs = [
      x,
      this.#constant(`${name}/gamma`, depth, 1),
      this.#constant(`${name}/beta`, depth, 0),
      this.#constant(`${name}/mean`, depth, 0),
      this.#constant(`${name}/variance`, depth, 1),
    ];
    const attributes = { activation, epsilon: EPSILON };
    return this.#node({ op: "BATCH_NORMALIZATION", name, inputs, outputs: [], attributes }, shape);
  }

  add(name: string, a: number, b: number): number {
    const attributes = { activation: "RELU" as const };
    return this.#node({ op: "ADD", name, inputs: [a, b], outputs: [], attributes }, this.#shape(a));
  }

  /** Two by two, stride two. */
  maxPool(name: string, x: number): number {
    const [, height, width, depth] = this.#shape(x);
    const attributes = {
      filterHeight: 2,
      filterWidth: 2,
      strideHeight: 2,
      strideWidth: 2,
      padding: "VALID" as const,
      activation: "NONE" as const,
    };
    const shape = [1, height >> 1, width >> 1, depth];
    return this.#node({ op: "MAX_POOL_2D", name, inputs: [x], outputs: [], attributes }, shape);
  }

  globalMean(name: string, x: number): number {
    const attributes = { axes: [1, 2], keepDims: false };
    return this.#node({ op: "MEAN", name, inputs: [x], outputs: [], attributes }, [1, this.#shape(x)[3]]);
  }

  dense(name: string, x: number, depth: number): number {
    const inputs = [
      x,
      this.#filter(`${name}/filter`, [depth, this.#shape(x)[1]]),
      this.#constant(`${name}/bias`, depth, 0),
    ];
    const attributes = { activation: "NONE" as const };
    return this.#node({ op: "FULLY_CONNECTED", name, inputs, outputs: [], attributes }, [1, depth]);
  }

  finish(output: number): Graph {
    this.graph.outputs.push(output);
    return this.graph;
  }
}

/** Two 3x3 convolutions and a shortcut: the identity, or a 1x1 projection where the stride is 2. */
function residualBlock(builder: Builder, name: string, x: number, depth: number, stride: number): number {
  const first = builder.convolution(`${name}/conv1`, x, depth, 3, stride, "RELU");
  const second = builder.convolution(`${name}/conv2`, first, depth, 3, 1, "NONE");
  const shortcut = stride === 1 ? x : builder.convolution(`${name}/project`, x, depth, 1, stride, "NONE");
  return builder.add(`${name}/add`, second, shortcut);
}

/** Source: image classification of MLPerf Tiny (Banbury et al., 2021); the projections have batch norm too. */
function resnet8(classes: number, options: ArchitectureOptions): Graph {
  const width = options.widthParam ?? 16;
  const builder = new Builder("resnet8", options);
  let x = builder.convolution("stem", builder.graph.inputs[0], width, 3, 1, "RELU");
  x = residualBlock(builder, "stage1", x, width, 1);
  x = residualBlock(builder, "stage2", x, 2 * width, 2);
  x = residualBlock(builder, "stage3", x, 4 * width, 2);
  return builder.finish(builder.dense("logits", builder.globalMean("pool", x), classes));
}

/** Three 3x3 convolutions with max pooling between them. */
function cnn(classes: number, options: ArchitectureOptions): Graph {
  const width = options.widthParam ?? 16;
  const builder = new Builder("cnn", options);
  let x = builder.convolution("conv1", builder.graph.inputs[0], width, 3, 1, "RELU");
  x = builder.convolution("conv2", builder.maxPool("pool1", x), 2 * width, 3, 1, "RELU");
  x = builder.convolution("conv3", builder.maxPool("pool2", x), 4 * width, 3, 1, "RELU");
  return builder.finish(builder.dense("logits", builder.globalMean("pool3", x), classes));
}

/** Untrained graphs with batch norm, He-normal filters; the output is logits, the input pixel * INPUT_SCALE. */
export const ARCHITECTURES: Record<
  "resnet8" | "cnn",
  (classes: number, options: ArchitectureOptions) => Graph
> = { resnet8, cnn };
