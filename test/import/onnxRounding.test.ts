/** Operators between QuantizeLinear and DequantizeLinear beside ONNX Runtime: on many scales and zero points, where an exact half
 * is rounded as the noise of the float arithmetic has it. */
import { describe, expect, it } from "vitest";
import { importOnnx } from "../../src/import/onnx/index.ts";
import { type Random, seededRandom } from "../../src/random.ts";
import { model, type NodeDraft, node, tensor } from "./onnxModels.ts";
import { type Beside, describeBesideOrt, expectEqual, inTurn } from "./onnxRuntime.ts";

type Code = "int8" | "uint8";
type Tensors = ReturnType<typeof tensor>[];
const SHAPE = [1, 20, 6, 7];
const ELEMENTS = 20 * 6 * 7;

interface Case {
  /** From a and b to r. */
  nodes: NodeDraft[];
  /** Of r. */
  shape?: number[];
  /** Of the output, where it is not drawn. */
  zeroPoint?: "lowest";
  /** The output has the scale of a. */
  keepsScale?: true;
  /** The nodes are on codes, from a_q and b_q to y. */
  onCodes?: true;
}

const binary = (op: string, ...then: NodeDraft[]): Case => ({
  nodes: [node(op, "a b", then.length > 0 ? "t" : "r"), ...then],
});
const relu = node("Relu", "t", "r");
const clip = node("Clip", "t zero six", "r");
const mean = (axes: string, shape: number[]): Case => ({
  nodes: [node("ReduceMean", `a ${axes}`, "r")],
  shape,
});
const pool = (kernel: number[], shape: number[]): Case => ({
  nodes: [node("AveragePool", "a", "r", { kernel_shape: kernel })],
  shape,
  keepsScale: true,
});

const CASES: Record<string, Case> = {
  Add: binary("Add"),
  Sub: binary("Sub"),
  Mul: binary("Mul"),
  "Add and a Relu, which is the clamp of the codes": { ...binary("Add", relu), zeroPoint: "lowest" },
  "Add and a Relu, which keeps it in float32": binary("Add", relu),
  "Add and a Clip, which keeps it in float32": binary("Add", clip),
  "Mul and a Relu, which keeps it in float32": binary("Mul", relu),
  "Concat of other scales": { nodes: [node("Concat", "a b", "r", { axis: 1 })], shape: [1, 40, 6, 7] },
  "AveragePool at one scale": pool([2, 3], [1, 20, 5, 5]),
  "AveragePool to another scale": { ...pool([2, 3], [1, 20, 5, 5]), keepsScale: undefined },
  "AveragePool of the plane": pool([6, 7], [1, 20, 1, 1]),
  GlobalAveragePool: { nodes: [node("GlobalAveragePool", "a", "r")], shape: [1, 20, 1, 1] },
  "ReduceMean of the plane": { ...mean("plane", [1, 20, 1, 1]), keepsScale: true },
  "ReduceMean of the channels": { ...mean("channels", [1, 1, 6, 7]), keepsScale: true },
  "ReduceMean of channels and columns": { ...mean("both", [1, 1, 6, 1]), keepsScale: true },
};

for (const op of ["QLinearAdd", "QLinearMul"])
  CASES[`${op} of the file`] = {
    nodes: [
      node(`com.microsoft:${op}`, "a_q a_s a_z b_q b_s b_z y_s y_z", "y_q"),
      node("DequantizeLinear", "y_q y_s y_z", "y"),
    ],
    onCodes: true,
  };
CASES["QLinearAveragePool of the file"] = {
  nodes: [
    node("com.microsoft:QLinearAveragePool", "a_q a_s a_z a_s a_z", "y_q", { kernel_shape: [2, 3] }),
    node("DequantizeLinear", "y_q a_s a_z", "y"),
  ],
  shape: [1, 20, 5, 5],
  keepsScale: true,
  onCodes: true,
};

const AXES = Object.entries({ plane: [2, 3], channels: [1], both: [1, 3] }).map(([name, axes]) =>
  tensor(name, "int64", [axes.length], axes),
);
const real = (name: string, value: number) => tensor(name, "float32", [], [value]);
const LIMITS = [real("zero", 0), real("six", 6)];

class Draft {
  readonly nodes: NodeDraft[] = [];
  readonly constants: Tensors = [...AXES, ...LIMITS];
  readonly #type: Code;
  readonly #random: Random;

  constructor(type: Code, random: Random) {
    this.#type = type;
    this.#random = random;
  }

  get lowest(): number {
    return this.#type === "int8" ? -128 : 0;
  }

  /** A scale and a zero point of this name; returns the range of their codes. */
  scale(name: string, zeroPoint = this.#random.below(256) + this.lowest): [low: number, step: number] {
    const step = Math.fround(0.005 + this.#random.below(1000) / 10000);
    this.constants.push(real(`${name}_s`, step), tensor(`${name}_z`, this.#type, [], [zeroPoint]));
    return [(this.lowest - zeroPoint) * step, step];
  }

  pair(from: string, to: string, scale = to): void {
    const ends = `${scale}_s ${scale}_z`;
    this.nodes.push(
      node("QuantizeLinear", `${from} ${ends}`, `${to}_q`),
      node("DequantizeLinear", `${to}_q ${ends}`, to),
    );
  }
}

const feed = (x: Float32Array) => ["float32", SHAPE, x] as const;

function suite(beside: Beside, type: Code): void {
  it.each(Object.entries(CASES))(
    "%s",
    async (_, { nodes, shape = SHAPE, zeroPoint, keepsScale, onCodes }) => {
      for (let seed = 0; seed < 20; seed++) {
        const random = seededRandom(seed);
        const draft = new Draft(type, random);
        const names = nodes.some(({ input }) => /^b(_q)?$/m.test(input?.join("\n") ?? ""))
          ? ["a", "b"]
          : ["a"];
        const inputs = names.map((name) => {
          const [low, step] = draft.scale(name);
          draft.pair(`${name}_x`, name);
          const x = Float32Array.from({ length: ELEMENTS }, () => low + random.below(256) * step);
          return [`${name}_x`, feed(x)];
        });
        draft.nodes.push(...nodes);
        if (!keepsScale) draft.scale("y", zeroPoint && draft.lowest);
        if (!onCodes) draft.pair("r", "y", keepsScale ? "a" : "y");
        const bytes = model({
          inputs: Object.fromEntries(names.map((name) => [`${name}_x`, ["float32", SHAPE]])),
          outputs: { y: ["float32", shape] },
          nodes: draft.nodes,
          constants: draft.constants,
          opset: 18,
        });
        await expectEqual(inTurn(beside, seed), bytes, Object.fromEntries(inputs));
      }
    },
  );

  it.each([2, 3])(
    "%i pairs of other scales, one after the other, and again after a Sigmoid",
    async (count) => {
      for (let seed = 0; seed < 20; seed++) {
        const random = seededRandom(seed);
        const draft = new Draft(type, random);
        let last = "x";
        for (const part of ["first", "second"]) {
          for (let i = 0; i < count; i++) {
            // Two whose ranges have one point in common have no scale in common.
            draft.scale(`${part}${i}`, 30 + random.below(196) + draft.lowest);
            draft.pair(last, `${part}${i}`);
            last = `${part}${i}`;
          }
          draft.nodes.push(node("Sigmoid", last, part === "first" ? "t" : "y"));
          last = "t";
        }
        const bytes = model({
          inputs: { x: ["float32", SHAPE] },
          outputs: { y: ["float32", SHAPE] },
          nodes: draft.nodes,
          constants: draft.constants,
          opset: 18,
        });
        const x = Float32Array.from({ length: ELEMENTS }, () => (random.below(2000) - 1000) / 100);
        await expectEqual(inTurn(beside, seed), bytes, { x: feed(x) });
      }
    },
  );
}

describeBesideOrt("quantized operators", (beside) => {
  describe.each(["int8", "uint8"] as const)("%s", (type) => suite(beside, type));
});

it("pairs whose ranges meet in 0 alone: refused in one line", () => {
  const draft = new Draft("int8", seededRandom(1));
  draft.scale("a", -128);
  draft.scale("y", 127);
  draft.pair("x", "a");
  draft.pair("a", "y");
  const bytes = model({
    inputs: { x: ["float32", SHAPE] },
    outputs: { y: ["float32", SHAPE] },
    nodes: draft.nodes,
    constants: draft.constants,
  });
  expect(() => importOnnx(bytes, "m.onnx")).toThrow(
    /^m\.onnx: cannot run 1 node: [^\n]+ not positive[^\n]+$/,
  );
});

describeBesideOrt("float32", (beside) => {
  it.each([
    ["plane", [1, 20, 1, 1]],
    ["channels", [1, 1, 6, 7]],
    ["both", [1, 1, 6, 1]],
  ])("ReduceMean of %s", async (axes, shape) => {
    const bytes = model({
      inputs: { x: ["float32", SHAPE] },
      outputs: { y: ["float32", shape] },
      nodes: [node("ReduceMean", `x ${axes}`, "y")],
      constants: AXES,
      opset: 18,
    });
    const random = seededRandom(1);
    const x = Float32Array.from({ length: ELEMENTS }, () => (random.below(1e6) - 5e5) / 3e5);
    await expectEqual(beside, bytes, { x: feed(x) });
  });
});
