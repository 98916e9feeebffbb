import { describe, expect, it } from "vitest";
import { ModelFormatError, UnsupportedOpError } from "../../src/errors.ts";
import { importOnnx } from "../../src/import/onnx/index.ts";
import { type Draft, ModelProto, type TensorProto } from "../../src/import/onnx/schema.ts";
import { encodeMessage } from "../../src/import/onnx/wire.ts";
import { seededRandom } from "../../src/random.ts";
import { model, type NodeDraft, node, type Parts, tensor } from "./onnxModels.ts";
import { mutated, outcomeOf, SEEDS } from "./onnxMutations.ts";

type Constant = Draft<typeof TensorProto>;

/** A model of these nodes from float32 x [1, 4] to y. */
function small(nodes: NodeDraft[], constants: Constant[] = [], parts: Partial<Parts> = {}): Uint8Array {
  return model({
    inputs: { x: ["float32", [1, 4]] },
    outputs: { y: ["float32", [1, 4]] },
    nodes,
    constants,
    ...parts,
  });
}
const relu = node("Relu", "x", "y");
const add = node("Add", "x w", "y");
const rawTensor = (dims: number[], bytes: number, more: Constant = {}): Constant => ({
  name: "w",
  dims,
  dataType: 1,
  rawData: new Uint8Array(bytes),
  ...more,
});
const external = (...entries: [string, string][]): Constant => ({
  name: "w",
  dims: [4],
  dataType: 1,
  dataLocation: 1,
  externalData: entries.map(([key, value]) => ({ key, value })),
});

/** Bytes, and what the one-line error says beside the file's name. */
const MALFORMED: Record<string, [bytes: Uint8Array, message: string | RegExp]> = {
  "an empty file": [new Uint8Array(), "expected an ONNX model with nodes, got none"],
  text: [
    new TextEncoder().encode("not a model at all, but long enough"),
    /offset \d+: expected an ONNX model, got/,
  ],
  "a file cut in the middle": [small([relu]).slice(0, 40), /offset \d+: expected an ONNX model, got/],
  "a varint without an end": [new Uint8Array(40).fill(0xff), /offset \d+/],
  "groups nested a million deep": [
    Uint8Array.from({ length: 1_000_000 }, (_, i) => (i % 2 ? 0x01 : 0xf3)),
    /offset \d+: .*recursion/,
  ],
  "a length beyond the file": [
    Uint8Array.of(0x3a, 0xff, 0xff, 0xff, 0xff, 0x07),
    /offset 6: .* bytes where 0 are left/,
  ],
  "no operator set": [
    encodeMessage(ModelProto, { graph: { node: [relu], output: [{ name: "y" }] } }),
    "opset_import: expected the ai.onnx operator set",
  ],
  "operator set 3": [small([relu], [], { opset: 3 }), "expected operator set 9 to 25, got 3"],
  "an input without a type": [
    encodeMessage(ModelProto, {
      opsetImport: [{ version: 13 }],
      graph: { node: [relu], input: [{ name: "x" }], output: [{ name: "y" }] },
    }),
    "input x: expected a tensor with a shape",
  ],
  "a negative dimension": [
    small([relu], [], { inputs: { x: ["float32", [1, -4]] } }),
    "dimensions of at least 0, got [1,-4]",
  ],
  "huge dimensions": [
    small([relu], [], { inputs: { x: ["float32", [2 ** 31, 2 ** 31]] } }),
    "at most 2147483647 elements",
  ],
  "raw data of another length": [
    small([add], [rawTensor([4], 15)]),
    "tensor w: expected 16 bytes of float32, got 15",
  ],
  "a tensor of huge dimensions": [
    small([add], [rawTensor([2 ** 20, 2 ** 20], 16)]),
    "tensor w: expected at most 2147483647",
  ],
  "an element type of the future": [
    small([add], [rawTensor([4], 16, { dataType: 99 })]),
    "an ONNX element type, 1 to 26, got 99",
  ],
  "a filter of one dimension before a Mul": [
    small([node("Conv", "x w", "c"), node("Mul", "c w", "y")], [rawTensor([4], 16)], {
      inputs: { x: ["float32", [1, 4, 4, 4]] },
    }),
    "expected a filter of 4 dimensions, got [4]",
  ],
  "a BatchNormalization of other channels than its Conv's": [
    small(
      [node("Conv", "x w", "c"), node("BatchNormalization", "c g g g g", "y")],
      [rawTensor([2, 4, 1, 1], 32), rawTensor([3], 12, { name: "g" })],
      { inputs: { x: ["float32", [1, 4, 4, 4]] } },
    ),
    "expected 2 values, got [3]",
  ],
  "a MatMul of other depths": [
    small([node("MatMul", "x v", "y")], [], {
      inputs: { x: ["float32", [1, 4, 4]], v: ["float32", [1, 5, 4]] },
    }),
    "expected operands of one depth, got [1,4,4] and [1,5,4]",
  ],
  "a MatMul of dimensions that do not broadcast": [
    small([node("MatMul", "x v", "y")], [], {
      inputs: { x: ["float32", [1, 2, 4, 4]], v: ["float32", [1, 3, 4, 4]] },
    }),
    "expected dimensions that broadcast, got [1,2] and [1,3]",
  ],
  "a MatMul of huge products": [
    small([node("MatMul", "x v", "y")], [], {
      inputs: { x: ["float32", [1, 2 ** 20, 1]], v: ["float32", [1, 1, 2 ** 20]] },
    }),
    "an output of 1 to 2147483647 elements",
  ],
  "a cycle": [
    small([node("Add", "x b", "a"), node("Relu", "a", "b"), node("Relu", "b", "y")]),
    'node 0 Add Add_a: expected "b" made by an earlier node',
  ],
  "an operand that nothing makes": [
    small([add]),
    'expected "w" made by an earlier node, or an initializer, got none',
  ],
  "an output that nothing makes": [
    small([node("Relu", "x", "z")]),
    "output y: expected a node that makes it",
  ],
  "two nodes of one output": [
    small([relu, node("Tanh", "x", "y")]),
    "expected outputs that nothing else makes",
  ],
  "two initializers of one name": [
    small([add], [rawTensor([4], 16), rawTensor([4], 16)]),
    "initializers: expected a name of its own for each",
  ],
  "two inputs of one name": [
    encodeMessage(ModelProto, {
      opsetImport: [{ version: 13 }],
      graph: {
        node: [relu],
        output: [{ name: "y" }],
        input: Array.from({ length: 2 }, () => ({
          name: "x",
          type: { tensorType: { elemType: 1, shape: { dim: [{ dimValue: 1 }] } } },
        })),
      },
    }),
    "inputs: expected names of their own",
  ],
  "a permutation that repeats an axis": [
    small([node("Transpose", "x", "y", { perm: [0, 0] })]),
    "expected different axes, got [0,0]",
  ],
  "an axis out of range": [
    small([node("Concat", "x x", "y", { axis: 7 })]),
    "expected an axis in [-2, 2), got 7",
  ],
  "a reshape to other elements": [
    small([node("Reshape", "x s", "y")], [tensor("s", "int64", [2], [1, 5])]),
    "expected a shape of 4 elements, got [1,5]",
  ],
  "a constant of 2^60 elements": [
    small(
      [node("ConstantOfShape", "s", "c"), node("Add", "x c", "y")],
      [tensor("s", "int64", [2], [2 ** 30, 2 ** 30])],
    ),
    "expected a shape of at most",
  ],
  "an external path that climbs": [
    small([add], [external(["location", "../../etc/passwd"])]),
    'a relative path below the model, without "..", got "../../etc/passwd"',
  ],
  "an absolute external path": [
    small([add], [external(["location", "/etc/passwd"])]),
    "a relative path below the model",
  ],
  "an external path of Windows": [
    small([add], [external(["location", "C:\\secrets"])]),
    "a relative path below the model",
  ],
  "an external file that is not there": [
    small([add], [external(["location", "w.bin"])]),
    'expected external data in "w.bin", got no such file',
  ],
  "an external length beyond the file": [
    small([add], [external(["location", "data.bin"], ["offset", "8"], ["length", "16"])]),
    "data.bin: expected 24 bytes, for offset 8 and length 16, got 16",
  ],
  "an external offset that is no number": [
    small([add], [external(["location", "data.bin"], ["offset", "-1"])]),
    'offset: expected a number of bytes, got "-1"',
  ],
};

const files: Record<string, Uint8Array> = { "data.bin": new Uint8Array(16) };
const load = (bytes: Uint8Array) => importOnnx(bytes, "bad.onnx", (path) => files[path]);

describe("importOnnx refuses", () => {
  for (const [name, [bytes, message]] of Object.entries(MALFORMED))
    it(`${name}, saying where`, () => {
      expect(() => load(bytes)).toThrow(ModelFormatError);
      expect(() => load(bytes)).toThrow(message);
      expect(() => load(bytes)).toThrow(/^bad\.onnx/);
    });

  it("every node that a Graph cannot have, in one error", () => {
    const nodes = [
      node("If", "x", "a"),
      node("Relu", "a", "b"),
      node("Gelu", "x", "c"),
      node("Add", "b c", "y"),
    ];
    let error: unknown;
    try {
      load(small(nodes));
    } catch (thrown) {
      error = thrown;
    }
    expect(error).toBeInstanceOf(UnsupportedOpError);
    expect((error as UnsupportedOpError).nodes).toEqual([
      "node 0 If If_a: no such operator in a Graph",
      "node 2 Gelu Gelu_c: no such operator in a Graph",
    ]);
  });

  it("not a long chain between QuantizeLinear and DequantizeLinear, nor waits at a ring of them", () => {
    const ends = [tensor("s", "float32", [], [0.1]), tensor("z", "int8", [], [0])];
    const moved = Array.from({ length: 20_000 }, (_, i) =>
      node("Transpose", i === 0 ? "d" : `t${i - 1}`, `t${i}`, { perm: [0, 1] }),
    );
    const chain = [
      node("QuantizeLinear", "x s z", "c"),
      node("DequantizeLinear", "c s z", "d"),
      ...moved,
      node("QuantizeLinear", `${moved.at(-1)!.output![0]} s z`, "e"),
      node("DequantizeLinear", "e s z", "y"),
    ];
    expect(load(small(chain, ends)).nodes.length).toBeGreaterThan(0);
    const ring = [
      node("Transpose", "b", "a", { perm: [0, 1] }),
      node("Transpose", "a", "b", { perm: [0, 1] }),
      node("QuantizeLinear", "b s z", "e"),
      node("DequantizeLinear", "e s z", "y"),
    ];
    expect(() => load(small(ring, ends))).toThrow('"b" made by an earlier node');
    const quantizedRing = [
      node("Transpose", "d", "a", { perm: [0, 1] }),
      node("QuantizeLinear", "a s z", "e"),
      node("DequantizeLinear", "e s z", "d"),
      node("Relu", "x", "y"),
    ];
    expect(load(small(quantizedRing, ends)).nodes.map(({ op }) => op)).toEqual(["RELU"]);
  });

  it("scales and weights of a wrong type", () => {
    const dequantized = [node("DequantizeLinear", "w s", "d"), node("MatMul", "x d", "y")];
    const codes = tensor("w", "int8", [4, 4], new Array(16).fill(1));
    const scales = [codes, tensor("s", "int64", [], [1])];
    expect(() => load(small(dequantized, scales))).toThrow("scale s is int64");
    const whole = [tensor("w", "int64", [4, 4], new Array(16).fill(1))];
    expect(() => load(small([node("MatMul", "x w", "y")], whole))).toThrow(
      "of floats, or dequantized, got int64",
    );
    expect(() => load(small([node("Add", "x w", "y")], whole))).toThrow("a constant of int64");
  });

  it("scales of blocks that do not fit", () => {
    const constants = [
      tensor("w", "int8", [4, 4], new Array(16).fill(1)),
      tensor("s", "float32", [3, 4], new Array(12).fill(1)),
    ];
    const nodes = [
      node("DequantizeLinear", "w s", "d", { axis: 0, block_size: 2 }),
      node("MatMul", "x d", "y"),
    ];
    expect(() => load(small(nodes, constants, { opset: 21 }))).toThrow(
      "bad.onnx: node 0 DequantizeLinear DequantizeLinear_d: expected s of [2,4], got [3,4]",
    );
  });

  it.each([
    ["a block of fewer than 16", { K: 8, N: 2, bits: 4, block_size: 8 }, "K, N and block_size"],
    ["weights of another size", { K: 32, N: 3, bits: 4, block_size: 32 }, "weights, scales and zero points"],
    ["eight bits", { K: 32, N: 2, bits: 8, block_size: 32 }, "8 bits; there are 4"],
  ])("MatMulNBits with %s", (_, attributes, message) => {
    const constants = [
      tensor("w", "uint8", [2, 1, 16], new Array(32).fill(1)),
      tensor("s", "float32", [2], [1, 1]),
    ];
    const nodes = [node("com.microsoft:MatMulNBits", "x w s", "y", attributes)];
    expect(() => load(small(nodes, constants, { opset: 21 }))).toThrow(message);
  });
});

describe("importOnnx stops", () => {
  const big = tensor("w", "float32", [512, 512], new Float32Array(512 * 512));
  it("a file that copies one tensor a thousand times", () => {
    const nodes = Array.from({ length: 1000 }, (_, i) => node("Transpose", "w", `t${i}`, { perm: [1, 0] }));
    const sum = node("Concat", nodes.map(({ output }) => output![0]).join(" "), "c", { axis: 0 });
    const use = [node("MatMul", "x c", "y")];
    expect(() => load(small([...nodes, sum, ...use], [big]))).toThrow(
      /constants: expected at most \d+ bytes in memory/,
    );
  });

  it("a file that expands one value to large shapes again and again", () => {
    const nodes = Array.from({ length: 100 }, (_, i) => node("Expand", "one shape", `e${i}`));
    const sum = node("Concat", nodes.map(({ output }) => output![0]).join(" "), "c", { axis: 0 });
    const constants = [tensor("one", "float32", [1], [1]), tensor("shape", "int64", [2], [2048, 2048])];
    expect(() => load(small([...nodes, sum, node("MatMul", "x c", "y")], constants))).toThrow(
      ModelFormatError,
    );
  });

  it("a file of a million empty messages", () => {
    const empty = new Uint8Array(2_000_000);
    for (let i = 0; i < empty.length; i += 2) empty[i] = 0x42; // opset_import, of length 0
    expect(() => load(empty)).toThrow("more than 500000 messages");
  });
});

describe("importOnnx reads", () => {
  it("external data at an offset", () => {
    files["sub/w.bin"] = new Uint8Array(Float32Array.of(9, 1, 2, 3, 4).buffer);
    const bytes = small([add], [external(["location", "sub/w.bin"], ["offset", "4"], ["length", "16"])]);
    expect(load(bytes).tensors.find(({ data }) => data)!.data).toEqual(Float32Array.of(1, 2, 3, 4));
  });

  it("float16 from raw data and from bits in int32_data", () => {
    const bits = [0x3c00, 0xc000, 0x0001, 0x3555];
    const expected = Float32Array.of(1, -2, 2 ** -24, 0.333251953125);
    const raw = {
      name: "w",
      dims: [4],
      dataType: 10,
      rawData: new Uint8Array(Uint16Array.from(bits).buffer),
    };
    for (const constant of [raw, { name: "w", dims: [4], dataType: 10, int32Data: bits }])
      expect(load(small([add], [constant])).tensors.find(({ data }) => data)!.data).toEqual(expected);
  });

  it("uint4 weights as int4, codes and zero point less 8", () => {
    const constants = [
      tensor("w", "uint4", [4, 2], [0, 1, 2, 3, 12, 13, 14, 15]),
      tensor("s", "float32", [], [0.5]),
      tensor("z", "uint4", [], [8]),
    ];
    const nodes = [node("DequantizeLinear", "w s z", "d"), node("MatMul", "x d", "y")];
    const { tensors } = load(small(nodes, constants, { opset: 21, outputs: { y: ["float32", [1, 2]] } }));
    const weights = tensors.find(({ dtype }) => dtype === "int4")!;
    expect(weights.shape).toEqual([2, 4]);
    expect(weights.data).toEqual(Uint8Array.of(0xa8, 0x64, 0xb9, 0x75));
    expect(weights.quantization!.zeroPoint).toEqual(Int32Array.of(0));
  });
});

describe("broken models", () => {
  for (const [name, bytes] of Object.entries(SEEDS)) {
    it(`start from a ${name} model that imports`, () => expect(outcomeOf(bytes)).toBe("imported"));
    it(`made from the ${name} model give a Graph or one of two errors`, () => {
      const random = seededRandom(3);
      for (let i = 0; i < 400; i++) outcomeOf(mutated(bytes, random));
    });
  }
});
