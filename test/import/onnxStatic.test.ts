import { it } from "vitest";
import { elements } from "../../src/model/graph.ts";
import { seededRandom } from "../../src/random.ts";
import { model, type NodeDraft, node, tensor } from "./onnxModels.ts";
import { describeBesideOrt, expectEqual } from "./onnxRuntime.ts";

type Code = "int8" | "uint8";
const IMAGES = 3;
const SHAPE = [IMAGES, 3, 12, 11];
const CLASSES = 7;

/** A network as onnxruntime.quantization.quantize_static writes it: QDQ, NCHW, int8 weights, int32 biases. */
class StaticNetwork {
  readonly nodes: NodeDraft[] = [];
  readonly constants: ReturnType<typeof tensor>[] = [];
  readonly scales: Record<string, number> = {};
  private readonly random = seededRandom(5);
  private readonly type: Code;

  constructor(type: Code) {
    this.type = type;
  }

  private scalar(name: string, type: "float32" | Code, value: number): void {
    this.constants.push(tensor(name, type, [], [value]));
  }

  /** QuantizeLinear and DequantizeLinear after a tensor; like: of another's scale. */
  qdq(from: string, scale: number, zeroPoint: number): string {
    const zero = this.type === "uint8" ? zeroPoint + 128 : zeroPoint;
    this.scalar(`${from}_scale`, "float32", scale);
    this.scalar(`${from}_zero`, this.type, zero);
    this.scales[from] = scale;
    const ends = `${from}_scale ${from}_zero`;
    this.nodes.push(
      node("QuantizeLinear", `${from} ${ends}`, `${from}_q`),
      node("DequantizeLinear", `${from}_q ${ends}`, `${from}_dq`),
    );
    return `${from}_dq`;
  }

  /** An int8 filter with a scale a channel (or one), and a bias at its scale times the input's. */
  private weights(name: string, dims: number[], perChannel: boolean, inputScale: number): string {
    const scales = Array.from({ length: perChannel ? dims[0] : 1 }, (_, c) =>
      Math.fround(0.004 + 0.0013 * (c % 5)),
    );
    const shape = perChannel ? [dims[0]] : [];
    const codes = Array.from({ length: elements(dims) }, () => this.random.below(255) - 127);
    const bias = Array.from({ length: dims[0] }, () => this.random.below(3000) - 1500);
    const biasScales = scales.map((scale) => Math.fround(scale * Math.fround(inputScale)));
    this.constants.push(
      tensor(`${name}_w`, "int8", dims, codes),
      tensor(`${name}_w_scale`, "float32", shape, scales),
      tensor(
        `${name}_w_zero`,
        "int8",
        shape,
        scales.map(() => 0),
      ),
      tensor(`${name}_b`, "int32", [dims[0]], bias),
      tensor(`${name}_b_scale`, "float32", shape, biasScales),
      tensor(
        `${name}_b_zero`,
        "int32",
        shape,
        scales.map(() => 0),
      ),
    );
    const axis: Record<string, number> = perChannel ? { axis: 0 } : {};
    this.nodes.push(
      node("DequantizeLinear", `${name}_w ${name}_w_scale ${name}_w_zero`, `${name}_wd`, axis),
      node("DequantizeLinear", `${name}_b ${name}_b_scale ${name}_b_zero`, `${name}_bd`, axis),
    );
    return `${name}_wd ${name}_bd`;
  }

  /** from: a tensor that qdq was called for. */
  layer(
    op: "Conv" | "Gemm",
    from: string,
    name: string,
    dims: number[],
    attributes: Record<string, number | number[]>,
  ) {
    const operands = this.weights(name, dims, op === "Conv", this.scales[from]);
    this.nodes.push(node(op, `${from}_dq ${operands}`, name, attributes));
  }

  add(op: string, inputs: string, output: string, attributes: Record<string, number | number[]> = {}): void {
    this.nodes.push(node(op, inputs, output, attributes));
  }

  floats(name: string, value: number): void {
    this.scalar(name, "float32", value);
  }
}

/** Convolution with Relu, depthwise with Clip, pools, a residual sum, a mean, a dense layer: every place has its own scale. */
function network(type: Code): Uint8Array {
  const n = new StaticNetwork(type);
  n.qdq("x", 0.031, -3);
  n.layer("Conv", "x", "c1", [8, 3, 3, 3], { pads: [1, 1, 1, 1], strides: [1, 1], kernel_shape: [3, 3] });
  n.add("Relu", "c1", "r1");
  n.qdq("r1", 0.035, -128);
  n.layer("Conv", "r1", "c2", [8, 1, 3, 3], {
    pads: [1, 1, 1, 1],
    strides: [2, 2],
    kernel_shape: [3, 3],
    group: 8,
  });
  n.floats("low", 0);
  n.floats("high", 6);
  n.add("Clip", "c2 low high", "k2");
  n.qdq("k2", 0.0235, -128);
  n.layer("Conv", "k2", "c3", [8, 8, 1, 1], { kernel_shape: [1, 1] });
  n.qdq("c3", 0.051, 7);
  n.add("Add", "k2_dq c3_dq", "s");
  n.add("Relu", "s", "sr");
  n.qdq("sr", 0.047, -128);
  n.add("MaxPool", "sr_dq", "m", { kernel_shape: [2, 2], strides: [2, 2] });
  n.qdq("m", 0.047, -128);
  n.add("AveragePool", "m_dq", "a", { kernel_shape: [2, 2], strides: [1, 1] });
  n.qdq("a", 0.04, -128);
  n.add("GlobalAveragePool", "a_dq", "g");
  n.qdq("g", 0.03, -128);
  n.add("Flatten", "g_dq", "f");
  n.qdq("f", 0.03, -128);
  n.layer("Gemm", "f", "y", [CLASSES, 8], { transB: 1 });
  n.qdq("y", 0.043, 11);
  return model({
    inputs: { x: ["float32", SHAPE] },
    outputs: { y_dq: ["float32", [IMAGES, CLASSES]] },
    nodes: n.nodes,
    constants: n.constants,
  });
}

describeBesideOrt("a network as ONNX Runtime's static quantizer writes it", (beside) => {
  it.each(["uint8", "int8"] as const)("of %s activations", async (type) => {
    const random = seededRandom(9);
    const x = Float32Array.from({ length: elements(SHAPE) }, () => 2.2 * random.normal());
    await expectEqual(beside, network(type), { x: ["float32", SHAPE, x] });
  });
});
