import { existsSync, readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { UnsupportedOpError } from "../../src/errors.ts";
import { importOnnx } from "../../src/import/onnx/index.ts";
import { DATA_TYPES, type DataTypeName, ModelProto } from "../../src/import/onnx/schema.ts";
import { decodeMessage, encodeMessage } from "../../src/import/onnx/wire.ts";
import type { Graph, OpName } from "../../src/model/graph.ts";
import { evaluate } from "./onnxEvaluate.ts";

/** Models and vectors that are not part of the repository; without them these tests are skipped. */
const MODELS = new URL("../../../shared/models/", import.meta.url);
const read = (path: string) => new Uint8Array(readFileSync(new URL(path, MODELS)));
const json = (path: string) => JSON.parse(new TextDecoder().decode(read(path)));

interface Place {
  name: string;
  dtype: DataTypeName;
  shape: number[];
  base64: string;
}
const bytesOf = (base64: string) => Uint8Array.from(Buffer.from(base64, "base64"));

function valuesOf({ dtype, base64 }: Pick<Place, "dtype" | "base64">): number[] {
  const bytes = bytesOf(base64);
  const arrays = {
    float32: Float32Array,
    uint8: Uint8Array,
    int8: Int8Array,
    int16: Int16Array,
    int32: Int32Array,
  };
  if (dtype === "int4" || dtype === "uint4")
    return Array.from(bytes, (byte) => [byte & 15, byte >> 4])
      .flat()
      .map((nibble) => (dtype === "int4" ? (nibble << 28) >> 28 : nibble));
  return Array.from(new arrays[dtype as keyof typeof arrays](bytes.buffer));
}

/** The model with these inputs made constants: operator tests give scales and weights as inputs. */
function bound(bytes: Uint8Array, constants: Place[]): Uint8Array {
  const { graph, ...model } = decodeMessage(ModelProto, bytes, "test");
  const tensors = constants.map(({ name, dtype, shape, base64 }) => ({
    name,
    dims: shape,
    dataType: DATA_TYPES[dtype],
    rawData: bytesOf(base64),
  }));
  return encodeMessage(ModelProto, {
    ...model,
    graph: { ...graph, initializer: [...graph!.initializer, ...tensors] },
  } as never);
}

interface OperatorTest {
  /** Inputs that stay inputs. */
  inputs: number[];
  ops?: OpName[];
  /** Why it cannot be imported, where it cannot. */
  refused?: string;
}

const OPERATORS: Record<string, OperatorTest> = {
  test_convinteger_with_padding: { inputs: [0], ops: ["RESHAPE", "CONV_2D", "TRANSPOSE"] },
  test_dequantizelinear: { inputs: [0], ops: ["DEQUANTIZE"] },
  test_dequantizelinear_blocked: { inputs: [0], refused: "blockwise quantization" },
  test_dequantizelinear_int4: { inputs: [0], refused: "input x: is int4" },
  test_dequantizelinear_uint4: { inputs: [0], refused: "input x: is uint4" },
  test_dynamicquantizelinear_max_adjusted: { inputs: [0], refused: "DynamicQuantizeLinear" },
  test_matmulinteger: { inputs: [0], ops: ["FULLY_CONNECTED"] },
  test_qlinearmatmul_2D_int8_float32: { inputs: [0], ops: ["FULLY_CONNECTED"] },
  test_qlinearmatmul_3D_int8_float32: { inputs: [0], refused: "another matrix for each image: [2,4,3]" },
  test_quantizelinear: { inputs: [0], ops: ["QUANTIZE"] },
  test_quantizelinear_blocked_asymmetric: { inputs: [0], refused: "blockwise quantization" },
  test_quantizelinear_int16: { inputs: [0], ops: ["QUANTIZE"] },
  test_quantizelinear_uint16: { inputs: [0], refused: "uint16" },
  migx_convinteger_bias_test: { inputs: [0], ops: ["TRANSPOSE", "CONV_2D", "TRANSPOSE"] },
  migx_convinteger_no_bias_uint8_test: { inputs: [0], ops: ["TRANSPOSE", "CONV_2D", "RESHAPE"] },
  migx_int4_const_identity_qdq_test: { inputs: [0], refused: "whose first dimension is not the batch" },
  migx_qlinearconv_pad_1_test: { inputs: [0], ops: ["RESHAPE", "CONV_2D", "RESHAPE"] },
  migx_qlinearmatmul_1D_test: { inputs: [0], refused: "a right operand of one dimension" },
  migx_qlinearmatmul_3D_test: { inputs: [0], refused: "another matrix for each image: [2,4,3]" },
};

/** Each case of an operator test: inputs and the outputs of ONNX's own reference or of ONNX Runtime. */
function casesOf(test: Record<string, unknown>): { inputs: Place[]; outputs: Place[] }[] {
  if (test.inputs) return [{ inputs: test.inputs as Place[], outputs: test.expected as Place[] }];
  const cases = test.cases as { inputs: Place[]; outputs: Record<string, Place[]> }[];
  return cases.map(({ inputs, outputs }) => ({
    inputs,
    outputs: Object.values(outputs).find(Array.isArray) ?? [],
  }));
}

describe.skipIf(!existsSync(new URL("onnx_op_tests", MODELS)))("shared ONNX operator tests", () => {
  const { tests } = existsSync(MODELS) ? json("onnx_op_tests/vectors.json") : { tests: {} };
  it("are all listed here", () => expect(Object.keys(OPERATORS).sort()).toEqual(Object.keys(tests).sort()));

  for (const [name, { inputs, ops, refused }] of Object.entries(OPERATORS))
    it(refused ? `${name} is refused in one line: ${refused}` : `${name} gives the expected values`, () => {
      for (const { inputs: places, outputs } of casesOf(tests[name])) {
        const bytes = read(`onnx_op_tests/${name}.onnx`);
        const model = bound(
          bytes,
          places.filter((_, i) => !inputs.includes(i)),
        );
        if (refused) {
          expect(() => importOnnx(model, name)).toThrow(UnsupportedOpError);
          expect(() => importOnnx(model, name)).toThrow(refused);
          expect(() => importOnnx(model, name)).toThrow("cannot run 1 node:");
          continue;
        }
        const graph = importOnnx(model, name);
        expect(graph.nodes.map(({ op }) => op)).toEqual(ops);
        const values = evaluate(
          graph,
          inputs.map((i) => valuesOf(places[i])),
        );
        expect(Array.from(values[graph.outputs[0]])).toEqual(valuesOf(outputs[0]));
      }
    });
});

const shape = (graph: Graph) => graph.nodes.map(({ op }) => op);

interface VectorFile {
  inputs: { tensors: { base64: string; encoding: string; scale: number; zero: number }[] }[];
  outputs: Record<string, { samples?: string[][] }>;
}
const inputOf = ({ encoding, base64, scale, zero }: VectorFile["inputs"][number]["tensors"][number]) =>
  encoding === "u8_affine"
    ? Array.from(bytesOf(base64), (byte) => (byte - zero) * scale)
    : valuesOf({ dtype: "float32", base64 });

/** Outputs of every sample beside those of ONNX Runtime, native. */
function compared(name: string, graph: Graph): { own: number[]; expected: number[] }[] {
  const vectors: VectorFile = json(`${name}/vectors.json`);
  return vectors.inputs.map(({ tensors }, i) => ({
    own: Array.from(evaluate(graph, tensors.map(inputOf))[graph.outputs[0]]),
    expected: valuesOf({ dtype: "float32", base64: vectors.outputs.ort_node_cpu.samples![i][0] }),
  }));
}

describe.skipIf(!existsSync(new URL("onnx_shark_quantized_mlp", MODELS)))("the shared QDQ network", () => {
  const name = "onnx_shark_quantized_mlp";
  const graph = existsSync(MODELS) ? importOnnx(read(`${name}/model.onnx`), name) : ({} as Graph);

  it("is integer between its QUANTIZE and its DEQUANTIZE", () =>
    expect(shape(graph)).toEqual(["QUANTIZE", "FULLY_CONNECTED", "TANH", "FULLY_CONNECTED", "DEQUANTIZE"]));

  it("has int8 weights and int32 biases on the product of the scales", () => {
    for (const { op, inputs } of graph.nodes)
      if (op === "FULLY_CONNECTED") {
        const [x, weights, bias] = inputs.map((id) => graph.tensors[id]);
        expect([x.dtype, weights.dtype, bias.dtype]).toEqual(["uint8", "int8", "int32"]);
        const product = x.quantization!.scale[0] * weights.quantization!.scale[0];
        expect(bias.quantization!.scale[0] / product).toBeCloseTo(1, 5);
      }
  });

  it("gives ONNX Runtime's outputs", () => {
    for (const { own, expected } of compared(name, graph)) expect(own).toEqual(expected);
  });
});

describe.skipIf(!existsSync(new URL("onnx_factorio_mnist_quantized", MODELS)))(
  "the shared dynamic network",
  () => {
    const name = "onnx_factorio_mnist_quantized";
    const graph = existsSync(MODELS) ? importOnnx(read(`${name}/model.onnx`), name) : ({} as Graph);

    it("is three FULLY_CONNECTED of float activations with int8 weights", () => {
      expect(shape(graph)).toEqual(["FULLY_CONNECTED", "FULLY_CONNECTED", "FULLY_CONNECTED"]);
      for (const { inputs } of graph.nodes)
        expect(inputs.map((id) => graph.tensors[id].dtype)).toEqual(["float32", "int8"]);
    });

    it("gives ONNX Runtime's outputs to float32 rounding", () => {
      for (const { own, expected } of compared(name, graph))
        own.forEach((value, i) =>
          expect(Math.abs(value - expected[i])).toBeLessThanOrEqual(1e-5 * (1 + Math.abs(expected[i]))),
        );
    });
  },
);
