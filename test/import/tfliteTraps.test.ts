import { beforeAll, describe, expect, it } from "vitest";
import { shippedProfiles } from "../../src/cli/profiles.ts";
import { loadKernelModule } from "../../src/cli/wasm.ts";
import { importTflite } from "../../src/import/tflite/importTflite.ts";
import { bindKernels, type Kernels } from "../../src/kernels/module.ts";
import { compile } from "../../src/model/compile.ts";
import { elements } from "../../src/model/graph.ts";
import type { Profile } from "../../src/profile/schema.ts";
import { seededRandom } from "../../src/random.ts";
import { type LiteRt, runLiteRt, startLiteRt } from "../export/liteRt.ts";
import { type BuiltModel, type BuiltOperator, type BuiltTensor, buildTflite } from "./tfliteBuilder.ts";

const i32 = (...data: number[]): BuiltTensor => ({ shape: [data.length], type: "int32", data });
const bytes = (...values: number[]) => new Uint8Array(Int8Array.from(values).buffer);
const halves = (shape: number[], ...bits: number[]): BuiltTensor => ({
  shape,
  type: "FLOAT16",
  data: new Uint8Array(Uint16Array.from(bits).buffer),
});
const float = (shape: number[], ...values: number[]): BuiltTensor => ({
  shape,
  type: "float32",
  data: new Uint8Array(Float32Array.from(values).buffer),
});
const free = (shape: number[]): BuiltTensor => ({ shape, type: "float32" });

/** x is tensor 0, y tensor 1, the rest follow; of one operator, unless `before` makes its constants. */
function one(
  op: string,
  [x, y]: [number[], number[]],
  inputs: number[],
  rest: BuiltTensor[],
  options?: BuiltOperator["options"],
  before: BuiltOperator[] = [],
): BuiltModel {
  const tensors = [free(x), free(y), ...rest].map((tensor, i) => ({ ...tensor, name: `t${i}` }));
  const operators = [...before, { op, inputs, outputs: [1], options }];
  return { tensors, operators, inputs: [0], outputs: [1], signature: true };
}
const dequantize = (from: number, to: number): BuiltOperator => ({
  op: "DEQUANTIZE",
  inputs: [from],
  outputs: [to],
});
const conv: BuiltOperator["options"] = [
  "Conv2DOptions",
  [
    [1, { int32: 1 }],
    [2, { int32: 1 }],
  ],
];
const slice = (...fields: [number, { int32: number }][]): BuiltOperator["options"] => [
  "StridedSliceOptions",
  fields,
];
const axis = (of: "ConcatenationOptions" | "SplitOptions", value: number): BuiltOperator["options"] => [
  of,
  [[0, { int32: value }]],
];

/** float32 models that LiteRT.js runs: constants behind DEQUANTIZE, axes from the end, masks, shapes from two places. */
const EQUAL: Record<string, BuiltModel> = {
  "float16 weights behind DEQUANTIZE": one(
    "FULLY_CONNECTED",
    [
      [1, 3],
      [1, 2],
    ],
    [0, 3],
    [halves([2, 3], 0x3c01, 0xc000, 0x0001, 0x3555, 0x7bff, 0x8000), free([2, 3])],
    ["FullyConnectedOptions", [[0, { int8: 0 }]]],
    [dequantize(2, 3)],
  ),
  "int8 weights a channel behind DEQUANTIZE": one(
    "CONV_2D",
    [
      [1, 2, 2, 2],
      [1, 2, 2, 2],
    ],
    [0, 3, 4],
    [
      {
        shape: [2, 1, 1, 2],
        scale: [0.1, 0.3],
        zeroPoint: [0, 0],
        axis: 0,
        data: bytes(-128, 127, 3, -7),
      },
      free([2, 1, 1, 2]),
      float([2], 0.5, -0.5),
    ],
    conv,
    [dequantize(2, 3)],
  ),
  "FULLY_CONNECTED that keeps its dimensions": one(
    "FULLY_CONNECTED",
    [
      [1, 2, 3],
      [1, 2, 2],
    ],
    [0, 2],
    [float([2, 3], 1, 2, 3, 4, 5, 6)],
    [
      "FullyConnectedOptions",
      [
        [0, { int8: 0 }],
        [2, { int8: 1 }],
      ],
    ],
  ),
  "STRIDED_SLICE backwards": one(
    "STRIDED_SLICE",
    [
      [1, 5],
      [1, 3],
    ],
    [0, 2, 3, 4],
    [i32(0, -1), i32(1, -6), i32(1, -2)],
    slice([0, { int32: 0 }]),
  ),
  "STRIDED_SLICE with masks": one(
    "STRIDED_SLICE",
    [
      [1, 4, 3],
      [1, 3],
    ],
    [0, 2, 3, 4],
    [i32(7, -2, 7), i32(7, 7, 2), i32(1, 1, 1)],
    slice([0, { int32: 5 }], [1, { int32: 5 }], [4, { int32: 2 }]),
  ),
  "CONCATENATION on an axis from the end": one(
    "CONCATENATION",
    [
      [1, 2, 2],
      [1, 2, 4],
    ],
    [0, 0],
    [],
    axis("ConcatenationOptions", -1),
  ),
  "ADD of a constant of fewer dimensions": one(
    "ADD",
    [
      [1, 2, 3],
      [1, 2, 3],
    ],
    [0, 2],
    [float([3], 1, 2, 3)],
    ["AddOptions", [[0, { int8: 0 }]]],
  ),
  "SUB of x from a constant": one(
    "SUB",
    [
      [1, 2, 3],
      [1, 2, 3],
    ],
    [2, 0],
    [float([1, 1, 3], 1, 2, 3)],
    ["SubOptions", [[0, { int8: 0 }]]],
  ),
  "MEAN over axes from the end, twice": one(
    "MEAN",
    [
      [1, 2, 2, 3],
      [1, 3],
    ],
    [0, 2],
    [i32(-3, -2, 1)],
    ["ReducerOptions", [[0, { int8: 0 }]]],
  ),
  "RESHAPE by its tensor, not by its options": one(
    "RESHAPE",
    [
      [1, 6],
      [1, 2, 3],
    ],
    [0, 2],
    [i32(1, -1, 3)],
    ["ReshapeOptions", [[0, { ints: [1, 3, 2] }]]],
  ),
  "TRANSPOSE with axes from 0": one(
    "TRANSPOSE",
    [
      [1, 2, 3],
      [1, 3, 2],
    ],
    [0, 2],
    [i32(0, 2, 1)],
  ),
};

const int8 = (shape: number[], scale = 0.5, zeroPoint = 0): BuiltTensor => ({
  shape,
  scale: [scale],
  zeroPoint: [zeroPoint],
});
/** As `one`, with int8 ends. */
const quantized = (model: BuiltModel, x = int8([]), y = int8([])): BuiltModel => {
  const [first, second, ...rest] = model.tensors;
  return {
    ...model,
    tensors: [{ ...x, shape: first.shape }, { ...y, shape: second.shape }, ...rest],
  };
};
const pool: BuiltOperator["options"] = [
  "Pool2DOptions",
  [[0, { int8: 1 }], ...[1, 2, 3, 4].map((id): [number, { int32: number }] => [id, { int32: 2 }])],
];
const bias = (zeroPoint: number): BuiltTensor => ({
  ...i32(1, 2),
  scale: [0.25],
  zeroPoint: [zeroPoint],
});
const weights = (zeroPoint: number): BuiltTensor => ({
  ...int8([2, 2], 0.5, zeroPoint),
  data: bytes(1, 2, 3, 4),
});
const dense = (filter: BuiltTensor, other: BuiltTensor) =>
  quantized(
    one(
      "FULLY_CONNECTED",
      [
        [1, 2],
        [1, 2],
      ],
      [0, 2, 3],
      [filter, other],
    ),
  );
const two = (a: BuiltTensor, b: BuiltTensor): BuiltModel => ({
  tensors: [a, b, { ...a, name: "y" }],
  operators: [{ op: "ADD", inputs: [0, 1], outputs: [2] }],
  inputs: [0, 1],
  outputs: [2],
});

/** What other runtimes refuse or compute otherwise than the network meant, and the reason given. */
const REFUSED: Record<string, [model: BuiltModel, reason: string]> = {
  "an average pool to another scale": [
    quantized(
      one(
        "AVERAGE_POOL_2D",
        [
          [1, 2, 2, 1],
          [1, 1, 1, 1],
        ],
        [0],
        [],
        pool,
      ),
      int8([]),
      int8([], 0.25),
    ),
    "an output of another scale or zero point than the input's",
  ],
  "a maximum pool to another zero point": [
    quantized(
      one(
        "MAX_POOL_2D",
        [
          [1, 2, 2, 1],
          [1, 1, 1, 1],
        ],
        [0],
        [],
        pool,
      ),
      int8([]),
      int8([], 0.5, 3),
    ),
    "an output of another scale or zero point than the input's",
  ],
  "weights with a zero point": [dense(weights(5), bias(0)), "filter: needs zero point 0"],
  "a bias with a zero point": [dense(weights(0), bias(7)), "a bias of zero point 7"],
  "a constant of three images": [
    quantized(
      one(
        "ADD",
        [
          [1, 2],
          [3, 2],
        ],
        [0, 2],
        [{ ...int8([3, 2]), data: bytes(1, 2, 3, 4, 5, 6) }],
      ),
    ),
    "input 1: needs to broadcast to one image of the output",
  ],
  "inputs of one image and of three": [
    two(int8([3, 2]), int8([1, 2])),
    "input 1 t: needs 3 images as input 0, has 1",
  ],
  "float32 SOFTMAX with a beta": [
    one(
      "SOFTMAX",
      [
        [1, 4],
        [1, 4],
      ],
      [0],
      [],
      ["SoftmaxOptions", [[0, { float32: 2.5 }]]],
    ),
    "XNNPACK needs beta 1",
  ],
  "a scalar input": [
    quantized(one("RELU", [[], []], [0], [])),
    "input 0 t: needs a dimension of images, is a scalar",
  ],
  "an input of int64": [
    {
      ...two(int8([1, 2]), int8([1, 2])),
      inputs: [3, 0, 1],
      tensors: [...two(int8([1, 2]), int8([1, 2])).tensors, { shape: [1], type: "int64" }],
    },
    "input 0 t: needs int8, uint8, int16, int32, float32, is int64",
  ],
  "float16 that no DEQUANTIZE reads": [
    one(
      "ADD",
      [
        [1, 2],
        [1, 2],
      ],
      [0, 2],
      [halves([1, 2], 0, 0)],
    ),
    "type FLOAT16",
  ],
  "float16 known only at run time": [
    {
      ...one(
        "DEQUANTIZE",
        [
          [1, 2],
          [1, 2],
        ],
        [2],
        [{ shape: [1, 2], type: "FLOAT16" }],
      ),
    },
    "type FLOAT16",
  ],
};

describe("a .tflite file that is easily misread", () => {
  let kernels: Kernels;
  let profile: Profile;
  let liteRt: LiteRt;
  beforeAll(async () => {
    kernels = await bindKernels(await loadKernelModule());
    profile = (await shippedProfiles()).get("litert-js")!;
    liteRt = await startLiteRt("compat");
  });

  it.each(Object.entries(EQUAL))("%s: LiteRT.js's values", async (name, model) => {
    const file = buildTflite(model);
    const graph = importTflite(file, "m.tflite");
    const random = seededRandom(name.length);
    const { shape } = graph.tensors[0];
    const input = Float32Array.from({ length: elements(shape) }, () => random.uniform() * 4 - 2);
    const [output] = compile(graph, profile, kernels).run([input], shape[0]);
    const [expected] = await runLiteRt(liteRt, file, [input], [shape]);
    expect(output).toEqual(expected);
    expect(output.some((value) => value !== 0)).toBe(true);
  });

  it.each(Object.entries(REFUSED))("%s: refused", (_, [model, reason]) => {
    const run = () => compile(importTflite(buildTflite(model), "m.tflite"), profile, kernels);
    expect(run).toThrow(reason);
    expect(run).toThrow(/^m\.tflite[^\n]*: cannot run 1 node: [^\n]+$/);
  });

  it("tells float16 that is cut off", () => {
    const model = EQUAL["float16 weights behind DEQUANTIZE"];
    const tensors = model.tensors.with(2, { ...halves([2, 3], 1, 2), name: "t2" });
    expect(() => importTflite(buildTflite({ ...model, tensors }), "m.tflite")).toThrow(
      "expected 12 bytes for float16 [2,3], got 4 bytes",
    );
  });
});
