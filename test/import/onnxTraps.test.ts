import { beforeAll, describe, expect, it } from "vitest";
import { findProfile } from "../../src/cli/profiles.ts";
import { loadKernelModule } from "../../src/cli/wasm.ts";
import { importOnnx } from "../../src/import/onnx/index.ts";
import { bindKernels, type Kernels } from "../../src/kernels/module.ts";
import { compile } from "../../src/model/compile.ts";
import { elements } from "../../src/model/graph.ts";
import type { Profile } from "../../src/profile/schema.ts";
import { seededRandom } from "../../src/random.ts";
import { model, node, type Parts, tensor } from "./onnxModels.ts";
import { describeBesideOrt, expectEqual } from "./onnxRuntime.ts";

type Attributes = Parameters<typeof node>[3];
interface Trap {
  x: number[];
  /** The one node, or more. */
  nodes: Parts["nodes"];
  constants?: Parts["constants"];
  opset?: number;
  rank?: number;
}
const ints = (name: string, ...list: number[]) => tensor(name, "int64", [list.length], list);
const pool = (op: "AveragePool" | "MaxPool", x: number[], attributes: Attributes): Trap => ({
  x,
  nodes: [node(op, "x", "y", attributes)],
  opset: 19,
});
const average = (x: number[], attributes: Attributes) => pool("AveragePool", x, attributes);

/** Windows and ranges whose least common form is the one that is read wrongly. */
const EQUAL: Record<string, Trap> = {
  "AveragePool that counts the padding of SAME_LOWER": average([1, 3, 5, 4], {
    ...{ kernel_shape: [2, 4], strides: [3, 1], auto_pad: "SAME_LOWER", count_include_pad: 1 },
  }),
  "AveragePool that counts the padding of SAME_UPPER": average([1, 2, 7, 6], {
    ...{ kernel_shape: [3, 4], strides: [2, 3], auto_pad: "SAME_UPPER", count_include_pad: 1 },
  }),
  "AveragePool that counts pads which differ": average([1, 2, 7, 6], {
    ...{ kernel_shape: [3, 4], pads: [1, 0, 2, 3], count_include_pad: 1 },
  }),
  "AveragePool with ceil_mode": average([1, 2, 6, 7], {
    ...{ kernel_shape: [3, 2], strides: [2, 3], ceil_mode: 1 },
  }),
  "MaxPool with ceil_mode and pads": pool("MaxPool", [1, 2, 6, 7], {
    ...{ kernel_shape: [3, 2], strides: [2, 3], pads: [1, 0, 0, 1], ceil_mode: 1 },
  }),
  "MaxPool with VALID and a ceil_mode that changes nothing": pool("MaxPool", [1, 2, 6, 6], {
    ...{ kernel_shape: [2, 2], strides: [2, 2], auto_pad: "VALID", ceil_mode: 1 },
  }),
  "Slice with ends far outside, and a step": {
    x: [1, 4, 5, 6],
    nodes: [node("Slice", "x from to axes steps", "y")],
    constants: [ints("from", -3, -100), ints("to", 2 ** 40, 100), ints("axes", -1, 2), ints("steps", 2, 1)],
  },
  "Flatten on an axis from the end": {
    x: [1, 2, 3, 4],
    nodes: [node("Flatten", "x", "y", { axis: -3 })],
    rank: 2,
  },
  "Softmax on axis 1 of two dimensions, operator set 11": {
    x: [1, 5],
    nodes: [node("Softmax", "x", "y")],
    opset: 11,
  },
};

/** What ONNX Runtime computes otherwise than the Graph would, or not at all. */
const REFUSED: Record<string, [trap: Trap, reason: string]> = {
  "AveragePool with SAME and a stride past the window": [
    average([1, 3, 9, 7], { kernel_shape: [1, 4], strides: [3, 1], auto_pad: "SAME_UPPER" }),
    "auto_pad with windows that leave rows out",
  ],
  "MaxPool with VALID and ceil_mode": [
    pool("MaxPool", [1, 1, 8, 7], {
      ...{ kernel_shape: [4, 1], strides: [3, 3], auto_pad: "VALID", ceil_mode: 1 },
    }),
    "ceil_mode with auto_pad VALID",
  ],
  "AveragePool that counts padding, with ceil_mode": [
    average([1, 1, 8, 7], {
      ...{ kernel_shape: [3, 3], strides: [2, 2], pads: [1, 1, 1, 1], ceil_mode: 1, count_include_pad: 1 },
    }),
    "count_include_pad with ceil_mode",
  ],
  "an empty Slice": [
    {
      x: [1, 4, 5],
      nodes: [node("Slice", "x from to axes", "y")],
      constants: [ints("from", 3), ints("to", 2), ints("axes", 1)],
    },
    "an empty slice",
  ],
  "Softmax over all of three dimensions, operator set 11": [
    { x: [1, 2, 5], nodes: [node("Softmax", "x", "y")], opset: 11 },
    "a softmax over several axes",
  ],
  "Transpose of the batch": [
    { x: [1, 2, 3], nodes: [node("Transpose", "x", "y")] },
    "moves the batch, dimension 0",
  ],
};

/** Conv between Quantize and DequantizeLinear, its bias in `scale` where the products are in 1/8. */
function convolution(scale: number): Uint8Array {
  const real = (name: string, value: number) => tensor(name, "float32", [], [value]);
  return model({
    inputs: { x: ["float32", [1, 1, 2, 2]] },
    outputs: { y: ["float32", [1, 1, 2, 2]] },
    nodes: [
      node("QuantizeLinear", "x xs zero", "xq"),
      node("DequantizeLinear", "xq xs zero", "xr"),
      node("DequantizeLinear", "wq ws zero", "w"),
      node("DequantizeLinear", "bq bs", "b"),
      node("Conv", "xr w b", "r"),
      node("QuantizeLinear", "r ys zero", "yq"),
      node("DequantizeLinear", "yq ys zero", "y"),
    ],
    constants: [
      ...[real("xs", 0.25), real("ws", 0.5), real("ys", 0.5), real("bs", scale)],
      tensor("zero", "int8", [], [0]),
      tensor("wq", "int8", [1, 1, 1, 1], [3]),
      tensor("bq", "int32", [1], [100]),
    ],
  });
}

const bytesOf = ({ x, nodes, constants, opset, rank = x.length }: Trap) =>
  model({
    inputs: { x: ["float32", x] },
    outputs: { y: ["float32", Array.from({ length: rank }, (_, i) => `d${i}`)] },
    nodes,
    constants,
    opset,
  });

describeBesideOrt("an .onnx file that is easily misread", (beside) => {
  it.each(Object.entries(EQUAL))("%s", async (name, trap) => {
    const bytes = bytesOf(trap);
    const random = seededRandom(name.length);
    // Sixteenths, whose sums are exact in any order: what is compared is which values are taken.
    const input = Float32Array.from({ length: elements(trap.x) }, () => (random.below(64) - 31) / 16);
    await expectEqual(beside, bytes, { x: ["float32", trap.x, input] });
  });

  it("a bias in units of the products", () =>
    expectEqual(beside, convolution(0.125), {
      x: ["float32", [1, 1, 2, 2], Float32Array.of(1, -2, 3, 0.5)],
    }));

  it.each([0, 44, 129, 255])("uint8 averages of zero point %i, halves too", async (zeroPoint) => {
    const bytes = model({
      inputs: { x: ["float32", [1, 1, 3, 200]] },
      outputs: { y: ["float32", [1, 1, 2, 198]] },
      nodes: [
        node("QuantizeLinear", "x s z", "xq"),
        node("DequantizeLinear", "xq s z", "xr"),
        node("AveragePool", "xr", "r", { kernel_shape: [2, 3] }),
        node("QuantizeLinear", "r s z", "yq"),
        node("DequantizeLinear", "yq s z", "y"),
      ],
      constants: [tensor("s", "float32", [], [0.02]), tensor("z", "uint8", [], [zeroPoint])],
    });
    const random = seededRandom(zeroPoint);
    const input = Float32Array.from({ length: 600 }, () => (random.below(256) - zeroPoint) * 0.02);
    await expectEqual(beside, bytes, { x: ["float32", [1, 1, 3, 200], input] });
  });
});

describe("an .onnx file that would be misread", () => {
  let kernels: Kernels;
  let profile: Profile;
  beforeAll(async () => {
    kernels = await bindKernels(await loadKernelModule());
    profile = await findProfile("onnxruntime-web");
  });

  it("a bias of another scale, which is not summed with the products: refused", () =>
    expect(() => compile(importOnnx(convolution(0.2), "m.onnx"), profile, kernels)).toThrow(
      /^test on onnxruntime-web: cannot run 3 nodes: [^\n]+CONV_2D Conv_r[^\n]+$/,
    ));

  it.each(Object.entries(REFUSED))("%s: refused", (_, [trap, reason]) => {
    const run = () => importOnnx(bytesOf(trap), "m.onnx");
    expect(run).toThrow(reason);
    expect(run).toThrow(/^m\.onnx: cannot run 1 node: [^\n]+$/);
  });
});
