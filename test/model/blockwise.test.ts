/** Weights of four bits with a scale a block, beside ONNX Runtime, bit for bit: QDQ of operator set 21, and MatMulNBits. */
import { it } from "vitest";
import { elements } from "../../src/model/graph.ts";
import { seededRandom } from "../../src/random.ts";
import { model, node, tensor } from "../import/onnxModels.ts";
import { describeBesideOrt, expectEqualOrRefused } from "../import/onnxRuntime.ts";
import { reals } from "./floatGraphs.ts";

const random = seededRandom(3);
const bytes = (count: number) => Uint8Array.from({ length: count }, () => random.below(256));
const scales = (count: number) => Float32Array.from({ length: count }, () => 0.01 + random.uniform() / 10);

const ends = (shape: number[]) => ({
  inputs: { x: ["float32", shape] as const },
  outputs: { y: ["float32", shape.map(() => "?")] as const },
});

/** x [rows, K] by weights [K, N], scales a block of K. */
function qdq(type: "int4" | "uint4", shape: number[], outputs: number, block: number): Uint8Array {
  const depth = shape.at(-1)!;
  const blocks = Math.ceil(depth / block);
  const low = type === "int4" ? -8 : 0;
  const codes = (count: number) => Int8Array.from({ length: count }, () => low + random.below(16));
  return model({
    ...ends(shape),
    nodes: [
      node("DequantizeLinear", "w s z", "d", { axis: 0, block_size: block }),
      node("MatMul", "x d", "y"),
    ],
    constants: [
      tensor("w", type, [depth, outputs], codes(depth * outputs)),
      tensor("s", "float32", [blocks, outputs], scales(blocks * outputs)),
      tensor("z", type, [blocks, outputs], codes(blocks * outputs)),
    ],
    opset: 21,
  });
}

function nBits(shape: number[], outputs: number, block: number, hasZeros: boolean): Uint8Array {
  const depth = shape.at(-1)!;
  const blocks = Math.ceil(depth / block);
  const zeros = outputs * Math.ceil(blocks / 2);
  return model({
    ...ends(shape),
    nodes: [
      node("com.microsoft:MatMulNBits", `x w s${hasZeros ? " z" : ""}`, "y", {
        ...{ K: depth, N: outputs, bits: 4, block_size: block, accuracy_level: 4 },
      }),
    ],
    constants: [
      tensor("w", "uint8", [outputs, blocks, block / 2], bytes((outputs * blocks * block) / 2)),
      tensor("s", "float32", [outputs * blocks], scales(outputs * blocks)),
      ...(hasZeros ? [tensor("z", "uint8", [zeros], bytes(zeros))] : []),
    ],
    opset: 21,
  });
}

describeBesideOrt("weights of four bits in blocks", (beside) => {
  async function check(file: Uint8Array, shape: number[]): Promise<void> {
    const reason = "ONNX Runtime's x86 build multiplies by blocks of codes as integers";
    await expectEqualOrRefused(beside, reason, file, { x: ["float32", shape, reals(elements(shape))] });
  }

  it.each([
    ["int4", [1, 64], 10, 32],
    ["uint4", [1, 96], 7, 16],
    ["int4", [1, 3, 128], 9, 32],
    ["int4", [1, 300], 20, 32],
  ] as const)("QDQ %s, x %j to %i, blocks of %i", (type, shape, outputs, block) =>
    check(qdq(type, [...shape], outputs, block), [...shape]),
  );

  it.each([
    [[1, 64], 10, 32, false],
    [[1, 96], 8, 16, true],
    [[1, 2, 128], 16, 32, true],
    [[1, 320], 24, 32, false],
  ] as const)("MatMulNBits, x %j to %i, blocks of %i, zero points: %s", (shape, outputs, block, hasZeros) =>
    check(nBits([...shape], outputs, block, hasZeros), [...shape]),
  );
});
