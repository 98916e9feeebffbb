import { beforeAll, describe, expect, it } from "vitest";
import { shippedProfiles } from "../../src/cli/profiles.ts";
import { loadKernelModule } from "../../src/cli/wasm.ts";
import { exportOnnx } from "../../src/export/onnx.ts";
import { importOnnx } from "../../src/import/onnx/index.ts";
import { bindKernels } from "../../src/kernels/module.ts";
import { compile } from "../../src/model/compile.ts";
import { elements, type Graph, type OpName } from "../../src/model/graph.ts";
import type { Profile } from "../../src/profile/schema.ts";
import { seededRandom } from "../../src/random.ts";
import { outputsOf } from "./onnxEvaluate.ts";
import { float, model, type NodeDraft, node, tensor } from "./onnxModels.ts";
import { runOrt } from "./onnxRuntime.ts";

type Code = "int8" | "uint8";
const random = seededRandom(11);
const LOW = { int8: -128, uint8: 0, int4: -8 } as const;
const codes = (type: keyof typeof LOW, count: number) =>
  Array.from({ length: count }, () => LOW[type] + random.below(type === "int4" ? 16 : 256));
const scale = (name: string, ...values: number[]) =>
  tensor(name, "float32", values.length === 1 ? [] : [values.length], values);
const point = (name: string, type: Code, value: number) => tensor(name, type, [], [value]);

/** Constants named p, p_scale, p_zero for activations x and y. */
const ends = (type: Code, x: [number, number], y: [number, number]) => [
  scale("x_scale", x[0]),
  point("x_zero", type, x[1]),
  scale("y_scale", y[0]),
  point("y_zero", type, y[1]),
];
const weightsOf = (channels: number, dims: number[]) => [
  tensor("w", "int8", dims, codes("int8", elements(dims))),
  scale("w_scale", ...Array.from({ length: channels }, (_, c) => 0.002 + c * 0.0007)),
  tensor("w_zero", "int8", channels === 1 ? [] : [channels], new Array(channels).fill(0)),
  tensor(
    "b",
    "int32",
    [dims[0]],
    Array.from({ length: dims[0] }, () => random.below(4000) - 2000),
  ),
  tensor("b_zero", "int32", channels === 1 ? [] : [channels], new Array(channels).fill(0)),
];
const xIn = node("DequantizeLinear", "x x_scale x_zero", "xr");
const yOut = (from: string) => node("QuantizeLinear", `${from} y_scale y_zero`, "y");
const wIn = [
  node("DequantizeLinear", "w w_scale w_zero", "wr", { axis: 0 }),
  node("DequantizeLinear", "b b_scale b_zero", "br", { axis: 0 }),
];

interface Case {
  type: Code;
  x: number[];
  rank?: number;
  nodes: NodeDraft[];
  constants: ReturnType<typeof tensor>[];
  ops: OpName[];
  opset?: number;
  /** Largest difference to ONNX Runtime; 0 where the arithmetic is the same. */
  within: 0 | 1;
}

/** [N, H, W, C] in and out around nodes on x0 and y0, so that no TRANSPOSE is left for kernels that have none. */
const X = [1, 6, 7, 3];
const xImage = [
  node("Transpose", "x", "x0", { perm: [0, 3, 1, 2] }),
  node("DequantizeLinear", "x0 x_scale x_zero", "xr"),
];
const yImage = (from: string) => [
  node("QuantizeLinear", `${from} y_scale y_zero`, "y0"),
  node("Transpose", "y0", "y", { perm: [0, 2, 3, 1] }),
];

function withBiasScale(constants: ReturnType<typeof tensor>[], xScale: number, channels: number) {
  const values = Array.from({ length: channels }, (_, c) =>
    Math.fround(Math.fround(0.002 + c * 0.0007) * Math.fround(xScale)),
  );
  return [...constants, scale("b_scale", ...values)];
}

const CASES: Record<string, Case> = {
  "a QDQ convolution with Relu": {
    type: "int8",
    x: X,
    nodes: [
      ...xImage,
      ...wIn,
      node("Conv", "xr wr br", "c", { pads: [1, 1, 1, 1], strides: [2, 1] }),
      node("Relu", "c", "r"),
      ...yImage("r"),
    ],
    constants: withBiasScale(
      [...ends("int8", [0.03, -5], [0.02, -90]), ...weightsOf(4, [4, 3, 3, 3])],
      0.03,
      4,
    ),
    ops: ["CONV_2D"],
    within: 0,
  },
  "a QDQ depthwise convolution": {
    type: "int8",
    x: X,
    nodes: [
      ...xImage,
      ...wIn,
      node("Conv", "xr wr br", "c", { group: 3, auto_pad: "SAME_UPPER" }),
      ...yImage("c"),
    ],
    constants: withBiasScale(
      [...ends("int8", [0.03, 7], [0.015, 3]), ...weightsOf(3, [3, 1, 3, 3])],
      0.03,
      3,
    ),
    ops: ["DEPTHWISE_CONV_2D"],
    within: 0,
  },
  "a QDQ Gemm": {
    type: "int8",
    x: [1, 20],
    nodes: [xIn, ...wIn, node("Gemm", "xr wr br", "g", { transB: 1 }), yOut("g")],
    constants: withBiasScale([...ends("int8", [0.03, 7], [0.05, 3]), ...weightsOf(1, [5, 20])], 0.03, 1),
    ops: ["FULLY_CONNECTED"],
    within: 0,
  },
  "a QLinearConv of uint8": {
    type: "uint8",
    x: [1, 3, 6, 7],
    nodes: [
      node("QLinearConv", "x x_scale x_zero w w_scale w_zero y_scale y_zero b", "y", {
        pads: [0, 1, 1, 0],
        dilations: [2, 1],
      }),
    ],
    constants: [...ends("uint8", [0.03, 120], [0.04, 131]), ...weightsOf(4, [4, 3, 3, 3])],
    ops: ["TRANSPOSE", "CONV_2D", "TRANSPOSE"],
    within: 0,
  },
  "a QLinearMatMul": {
    type: "uint8",
    x: [1, 4],
    nodes: [node("QLinearMatMul", "x x_scale x_zero w w_scale w_zero y_scale y_zero", "y")],
    constants: [...ends("uint8", [0.03, 120], [0.02, 131]), ...weightsOf(1, [4, 3])],
    ops: ["FULLY_CONNECTED"],
    within: 0,
  },
  "a QGemm": {
    type: "int8",
    x: [1, 20],
    nodes: [
      node("com.microsoft:QGemm", "x x_scale x_zero w w_scale w_zero b y_scale y_zero", "y", { transB: 1 }),
    ],
    constants: [...ends("int8", [0.03, 7], [0.05, 3]), ...weightsOf(5, [5, 20])],
    ops: ["FULLY_CONNECTED"],
    within: 0,
  },
  "QLinearAdd and QLinearMul": {
    type: "int8",
    x: [1, 30],
    nodes: [
      node("com.microsoft:QLinearAdd", "x x_scale x_zero x x_scale x_zero m_scale x_zero", "m"),
      node("com.microsoft:QLinearMul", "m m_scale x_zero x x_scale x_zero y_scale y_zero", "y"),
    ],
    constants: [...ends("int8", [0.03, 7], [0.05, 3]), scale("m_scale", 0.07)],
    ops: ["ADD", "MUL"],
    within: 1,
  },
  "QLinearGlobalAveragePool and QLinearAveragePool": {
    type: "uint8",
    x: [1, 3, 6, 6],
    nodes: [
      node("com.microsoft:QLinearAveragePool", "x x_scale x_zero x_scale x_zero", "a", {
        kernel_shape: [2, 2],
        strides: [2, 2],
      }),
      node("com.microsoft:QLinearGlobalAveragePool", "a x_scale x_zero y_scale y_zero", "y"),
    ],
    constants: ends("uint8", [0.03, 120], [0.005, 131]),
    ops: ["TRANSPOSE", "AVERAGE_POOL_2D", "MEAN", "RESHAPE"],
    within: 1,
  },
  "QLinearSigmoid, QLinearLeakyRelu and QLinearConcat": {
    type: "uint8",
    x: [1, 40],
    nodes: [
      node("com.microsoft:QLinearSigmoid", "x x_scale x_zero s_scale s_zero", "s"),
      node("com.microsoft:QLinearLeakyRelu", "x x_scale x_zero y_scale y_zero", "l", { alpha: float(0.2) }),
      node("com.microsoft:QLinearConcat", "y_scale y_zero s s_scale s_zero l y_scale y_zero", "y", {
        axis: 1,
      }),
    ],
    constants: [
      ...ends("uint8", [0.03, 120], [0.02, 131]),
      scale("s_scale", 1 / 256),
      point("s_zero", "uint8", 0),
    ],
    ops: ["LOGISTIC", "LEAKY_RELU", "QUANTIZE", "CONCATENATION"],
    within: 1,
  },
  "moves between DequantizeLinear and QuantizeLinear": {
    type: "int8",
    x: [1, 4, 6, 6],
    rank: 2,
    nodes: [
      xIn,
      node("MaxPool", "xr", "p", { kernel_shape: [2, 2], strides: [2, 2] }),
      node("Flatten", "p", "f"),
      node("QuantizeLinear", "f x_scale x_zero", "y"),
    ],
    constants: ends("int8", [0.03, 7], [0.05, 3]),
    ops: ["TRANSPOSE", "MAX_POOL_2D", "TRANSPOSE", "RESHAPE"],
    within: 0,
  },
  "a convolution whose QuantizeLinear follows a MaxPool, its bias a float": {
    type: "int8",
    x: X,
    nodes: [
      ...xImage,
      wIn[0],
      node("Conv", "xr wr bf", "c", { pads: [1, 1, 1, 1] }),
      node("Relu", "c", "r"),
      node("MaxPool", "r", "p", { kernel_shape: [2, 2], strides: [2, 2] }),
      ...yImage("p"),
    ],
    constants: [
      ...ends("int8", [0.03, -5], [0.02, -90]),
      ...weightsOf(4, [4, 3, 3, 3]),
      tensor("bf", "float32", [4], [0.1, -0.2, 0.05, 0]),
    ],
    ops: ["CONV_2D", "MAX_POOL_2D"],
    within: 1,
  },
  "a MatMulInteger": {
    type: "uint8",
    x: [1, 4],
    nodes: [node("MatMulInteger", "x w x_zero w_zero", "y")],
    constants: [point("x_zero", "uint8", 12), ...weightsOf(3, [4, 3])],
    ops: ["FULLY_CONNECTED"],
    within: 0,
  },
  "int4 weights in a QDQ Gemm": {
    type: "int8",
    x: [1, 20],
    nodes: [
      xIn,
      node("DequantizeLinear", "w4 w_scale w4_zero", "wr", { axis: 0 }),
      node("Gemm", "xr wr", "g", { transB: 1 }),
      yOut("g"),
    ],
    constants: [
      ...ends("int8", [0.03, 7], [0.05, 3]),
      scale("w_scale", 0.1, 0.2, 0.15),
      tensor("w4", "int4", [3, 20], codes("int4", 60)),
      tensor("w4_zero", "int4", [3], [0, 0, 0]),
    ],
    opset: 21,
    ops: ["FULLY_CONNECTED"],
    within: 1,
  },
};

const bytesOf = ({ type, x, rank, nodes, constants, opset }: Case) =>
  model({
    inputs: { x: [type, x] },
    outputs: {
      y: [
        nodes.some(({ opType }) => opType === "MatMulInteger") ? "int32" : type,
        Array.from({ length: rank ?? x.length }, (_, i) => `d${i}`),
      ],
    },
    nodes,
    constants,
    ...(opset && { opset }),
  });

const array = (type: Code, values: number[]) =>
  type === "int8" ? Int8Array.from(values) : Uint8Array.from(values);

describe("an imported quantized operator", () => {
  let profile: Profile;
  beforeAll(async () => {
    profile = (await shippedProfiles()).get("android-litert-xnnpack")!;
  });

  /** ONNX Runtime's codes, its graph fused and node by node, for an input of random codes. */
  async function oracle(
    name: string,
  ): Promise<{ graph: Graph; input: ReturnType<typeof array>; expected: number[][] }> {
    const { type, x } = CASES[name];
    const bytes = bytesOf(CASES[name]);
    const input = array(type, codes(type, elements(x)));
    const feeds = { x: [type, x, input] as const };
    const runs = [await runOrt(bytes, feeds), await runOrt(bytes, feeds, false)];
    return {
      graph: importOnnx(bytes, "test.onnx"),
      input,
      expected: runs.map(({ y }) => Array.from(y.data, Number)),
    };
  }

  for (const [name, { ops, within }] of Object.entries(CASES))
    it(`of ${name} gives ONNX Runtime's integers${within ? ", one step apart at most" : ""}`, async () => {
      const { graph, input, expected } = await oracle(name);
      expect(graph.nodes.map(({ op }) => op)).toEqual(ops);
      const own = Array.from(outputsOf(graph, [input])[0]);
      if (within === 0) expect(own).toEqual(expected[0]);
      else own.forEach((value, i) => expect(Math.abs(value - expected[0][i])).toBeLessThanOrEqual(within));
      expect(new Set(own).size).toBeGreaterThan(2);
    });

  for (const name of Object.keys(CASES).filter((key) => key !== "a MatMulInteger"))
    it(`of ${name}, exported again, gives ONNX Runtime's integers, one step apart at most`, async () => {
      const { graph, input, expected } = await oracle(name);
      const { type, x } = CASES[name];
      const { y } = await runOrt(exportOnnx(graph), { x: [type, x, input] });
      Array.from(y.data, Number).forEach((value, i) =>
        expect(Math.abs(value - expected[0][i])).toBeLessThanOrEqual(1),
      );
    });

  it("of int32 sums is refused by the exporter in one line", async () => {
    const { graph } = await oracle("a MatMulInteger");
    expect(() => exportOnnx(graph)).toThrow(
      "cannot run 1 node: 0 FULLY_CONNECTED MatMulInteger_y: output: int32 accumulators",
    );
  });

  for (const name of ["a QDQ convolution with Relu", "a QDQ depthwise convolution", "a QDQ Gemm"])
    it(`of ${name} runs on the XNNPACK profile's kernels to ONNX Runtime's integers`, async () => {
      const { graph, input, expected } = await oracle(name);
      const plan = compile(graph, profile, await bindKernels(await loadKernelModule()));
      expect(Array.from(plan.run([input as Int8Array], 1)[0])).toEqual(expected[0]);
    });
});

const DYNAMIC: Record<string, { x: number[]; op: string; weights: number[]; ops: OpName[] }> = {
  "a MatMul": { x: [1, 12], op: "MatMulInteger", weights: [12, 5], ops: ["FULLY_CONNECTED"] },
  "a convolution": {
    x: [1, 3, 6, 5],
    op: "ConvInteger",
    weights: [5, 3, 3, 3],
    ops: ["TRANSPOSE", "CONV_2D", "TRANSPOSE"],
  },
};

describe("ONNX Runtime's dynamic quantization", () => {
  for (const [name, { x, op, weights, ops }] of Object.entries(DYNAMIC))
    it(`of ${name} becomes a float op with int8 weights and its bias, with ONNX Runtime's values`, async () => {
      const isConvolution = op === "ConvInteger";
      const bytes = model({
        inputs: { x: ["float32", x] },
        outputs: { y: ["float32", x.map((_, i) => `d${i}`)] },
        nodes: [
          node("DynamicQuantizeLinear", "x", "q qs qz"),
          node(op, "q w qz w_zero", "m"),
          node("Cast", "m", "f", { to: 1 }),
          node("Mul", "w_scale qs", "s"),
          node("Mul", "f s", "p"),
          node("Add", "p b", "a"),
          node("Relu", "a", "y"),
        ],
        constants: [
          tensor("w", "int8", weights, codes("int8", elements(weights))),
          tensor("w_zero", "int8", [], [0]),
          scale("w_scale", 0.01),
          tensor("b", "float32", isConvolution ? [5, 1, 1] : [5], [0.5, -1, 2, 0, 1]),
        ],
      });
      const graph = importOnnx(bytes, "test.onnx");
      expect(graph.nodes.map((one) => one.op)).toEqual(ops);
      const weighted = graph.nodes.find(({ inputs }) => inputs.length === 3)!;
      expect(weighted.inputs.map((id) => graph.tensors[id].dtype)).toEqual(["float32", "int8", "float32"]);
      const input = Float32Array.from({ length: elements(x) }, () => random.uniform() * 3 - 1);
      const { y } = await runOrt(bytes, { x: ["float32", x, input] });
      outputsOf(graph, [input])[0].forEach((value, i) => expect(value).toBeCloseTo(Number(y.data[i]), 4));
      if (isConvolution) return;
      const again = await runOrt(exportOnnx(graph), { x: ["float32", x, input] });
      expect(Array.from(again.y.data, Number)).toEqual(Array.from(y.data, Number));
    });
});
