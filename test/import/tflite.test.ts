import { describe, expect, it } from "vitest";
import { ModelFormatError, UnsupportedOpError } from "../../src/errors.ts";
import { importModel } from "../../src/import/index.ts";
import { importTflite, isTflite } from "../../src/import/tflite/importTflite.ts";
import type { Graph } from "../../src/model/graph.ts";
import { type BuiltModel, type BuiltOperator, type BuiltTensor, buildTflite } from "./tfliteBuilder.ts";

const load = (model: BuiltModel): Graph => importTflite(buildTflite(model), "m.tflite");

/** x is tensor 0, the output is tensor 1, and the rest follow. */
function one(
  operator: Omit<BuiltOperator, "outputs" | "inputs"> & { inputs?: number[]; outputs?: number[] },
  x: BuiltTensor,
  y: BuiltTensor,
  ...rest: BuiltTensor[]
): BuiltModel {
  const operators = [{ inputs: [0], outputs: [1], ...operator }];
  return { tensors: [x, y, ...rest], operators, inputs: [0], outputs: operators[0].outputs };
}

function refusals(model: BuiltModel): string[] {
  try {
    load(model);
  } catch (error) {
    expect(error).toBeInstanceOf(UnsupportedOpError);
    return (error as UnsupportedOpError).nodes;
  }
  return [];
}

const i32 = (...data: number[]): BuiltTensor => ({ shape: [data.length], type: "int32", data });
const attributes = (model: BuiltModel) => load(model).nodes[0].attributes;

const CONV: BuiltOperator["options"] = [
  "Conv2DOptions",
  [
    [1, { int32: 2 }],
    [2, { int32: 1 }],
    [3, { int8: 3 }],
  ],
];
const filter = { shape: [2, 3, 3, 1], scale: [0.1, 0.2], data: new Uint8Array(18).fill(255) };
const bias: BuiltTensor = { shape: [2], type: "int32", scale: [0.05, 0.1], axis: 3, data: [7, -9] };
const conv = (extra: Partial<BuiltModel> = {}): BuiltModel => ({
  ...one(
    { op: "CONV_2D", inputs: [0, 2, 3], options: CONV },
    { shape: [1, 4, 6, 1], name: "x", zeroPoint: [-3] },
    { shape: [1, 4, 3, 2], name: "y" },
    filter,
    bias,
  ),
  ...extra,
});

describe("the form of a .tflite file", () => {
  it("knows it by its identifier", () => {
    expect(isTflite(buildTflite(conv()))).toBe(true);
    expect(isTflite(new Uint8Array(8))).toBe(false);
    expect(() => importTflite(new Uint8Array(64), "m.tflite")).toThrow(
      'm.tflite: offset 4: expected a TFLite model ("TFL3")',
    );
  });

  it("reads names, shapes, types, quantization, constants and attributes", () => {
    const graph = load(conv());
    expect(graph.nodes).toEqual([
      {
        op: "CONV_2D",
        name: "y",
        inputs: [0, 2, 3],
        outputs: [1],
        attributes: {
          padding: "SAME",
          strideWidth: 2,
          strideHeight: 1,
          activation: "RELU6",
          dilationWidth: 1,
          dilationHeight: 1,
        },
      },
    ]);
    expect(graph.tensors[0]).toEqual({
      name: "x",
      shape: [1, 4, 6, 1],
      dtype: "int8",
      quantization: { scale: Float32Array.of(0.5), zeroPoint: Int32Array.of(-3) },
    });
    expect(graph.tensors[2].quantization).toEqual({
      scale: Float32Array.of(0.1, 0.2),
      zeroPoint: Int32Array.of(0, 0),
      axis: 0,
    });
    expect(graph.tensors[2].data).toEqual(new Int8Array(18).fill(-1));
    expect(graph.tensors[3].data).toEqual(Int32Array.of(7, -9));
  });

  for (const codes of ["old", "new", "both"] as const)
    it(`takes the operator from ${codes === "both" ? "both code fields" : `the ${codes} code field alone`}`, () =>
      expect(load(conv({ codes })).nodes[0].op).toBe("CONV_2D"));

  it("names an operator whose code is above 127", () =>
    expect(refusals(conv({ operators: [{ op: 150, inputs: [0], outputs: [1] }] }))[0]).toContain(
      "0 GELU y:",
    ));

  it("reads data that lies behind the FlatBuffer", () => {
    const model = conv();
    model.tensors[2] = { ...filter, outOfLine: true };
    model.tensors[3] = { ...bias, outOfLine: true };
    const graph = load(model);
    expect(graph.tensors[2].data).toEqual(new Int8Array(18).fill(-1));
    expect(graph.tensors[3].data).toEqual(Int32Array.of(7, -9));
    expect(() => importTflite(buildTflite(model).subarray(0, -1), "m")).toThrow("offset and size");
  });

  it("reads a file that starts at any address of its buffer", () => {
    const bytes = buildTflite(conv());
    const shifted = new Uint8Array(bytes.length + 3);
    shifted.set(bytes, 3);
    expect(importTflite(shifted.subarray(3), "m.tflite")).toEqual(load(conv()));
  });

  it("does not copy constants of an aligned file", () => {
    const bytes = buildTflite(conv());
    expect(importTflite(bytes, "m").tensors[2].data!.buffer).toBe(bytes.buffer);
  });

  it("ignores signature_defs and subgraphs that nothing calls", () =>
    expect(load(conv({ signature: true, subgraphs: 3 }))).toEqual(load(conv())));

  it("takes a batch of unknown size, and nothing else unknown", () => {
    const model = conv();
    model.tensors[0].signature = [-1, 4, 6, 1];
    model.tensors[1] = { ...model.tensors[1], signature: [-1, 4, 3, 2] };
    expect(load(model).tensors[0].shape).toEqual([1, 4, 6, 1]);
    model.tensors[0].signature = [-1, -1, 6, 1];
    expect(refusals(model)[0]).toContain("size known only at run time: [-1,-1,6,1]");
  });

  it("derives a shape that the file leaves open", () => {
    const model = conv();
    model.tensors[1] = { shape: [1, 1, 1, 2], signature: [-1, 4, 3, 2] };
    expect(load(model).tensors[1].shape).toEqual([1, 4, 3, 2]);
  });

  it("rejects a shape that contradicts the operands, naming the node", () => {
    const model = conv();
    model.tensors[1].shape = [1, 4, 4, 2];
    expect(() => load(model)).toThrow(
      "m.tflite: node 0 CONV_2D y: expected output 0 of shape [1,4,3,2], got [1,4,4,2]",
    );
  });

  it("takes any version but 3 for an error", () =>
    expect(() => load(conv({ version: 2 }))).toThrow("expected 3, got 2"));

  it("names every operator it cannot import, in one error", () => {
    const model = conv({
      operators: [
        { op: "SVDF", inputs: [0], outputs: [1] },
        ...conv().operators.map((operator) => ({ ...operator, outputs: [4] })),
        { op: "UNIDIRECTIONAL_SEQUENCE_LSTM", inputs: [4], outputs: [5] },
      ],
      outputs: [5],
    });
    model.tensors.push({ shape: [1, 4, 3, 2] }, { shape: [1, 1], name: "z" });
    expect(refusals(model).map((line) => line.split(":")[0])).toEqual([
      "0 SVDF y",
      "2 UNIDIRECTIONAL_SEQUENCE_LSTM z",
    ]);
  });

  it("refuses state, sparse or foreign types where a node touches them", () => {
    const model = conv();
    model.tensors[0].variable = true;
    expect(refusals(model)).toEqual([
      "0 CONV_2D y: tensor x: state kept between runs",
      "input 0 x: state kept between runs",
    ]);
    model.tensors[0] = { shape: [1, 4, 6, 1], type: "FLOAT16" };
    expect(refusals(model)[0]).toContain("type FLOAT16");
  });
});

describe("quantization in a file", () => {
  it("takes a bias for one axis whatever its quantized_dimension", () =>
    expect(load(conv()).tensors[3].quantization!.axis).toBe(0));

  it("takes one scale for the whole tensor whatever its quantized_dimension", () => {
    const model = conv();
    model.tensors[2] = { ...filter, scale: [0.1], axis: 3 };
    expect(load(model).tensors[2].quantization).toEqual({
      scale: Float32Array.of(0.1),
      zeroPoint: Int32Array.of(0),
    });
  });

  it("rejects scales that do not fit the axis, are zero or not finite", () => {
    for (const scale of [[1, 2, 3], [0], [Number.NaN], [Number.POSITIVE_INFINITY], [-1]]) {
      const model = conv();
      model.tensors[2] = { ...filter, scale };
      expect(() => load(model)).toThrow(ModelFormatError);
    }
  });

  it("rejects a zero point outside the type", () => {
    const model = conv();
    model.tensors[0].zeroPoint = [-129];
    expect(() => load(model)).toThrow("zero points in [-128, 127], got -129");
  });

  it("reads int4 as two values a byte", () => {
    const model = conv();
    model.tensors[2] = { ...filter, type: "int4", data: new Uint8Array(9) };
    expect(load(model).tensors[2]).toMatchObject({ dtype: "int4", data: new Uint8Array(9) });
    model.tensors[2].data = new Uint8Array(18);
    expect(() => load(model)).toThrow("9 bytes for int4 [2,3,3,1], got 18 bytes");
  });
});

describe("operators", () => {
  it("leaves out a bias that is absent or -1", () => {
    for (const inputs of [
      [0, 2],
      [0, 2, -1],
    ])
      expect(load(conv({ operators: [{ ...conv().operators[0], inputs }] })).nodes[0].inputs).toEqual([0, 2]);
  });

  it("takes the depth multiplier from the shapes, not from depth_multiplier", () =>
    expect(
      attributes(
        one(
          {
            op: "DEPTHWISE_CONV_2D",
            inputs: [0, 2],
            options: [
              "DepthwiseConv2DOptions",
              [
                [1, { int32: 1 }],
                [2, { int32: 1 }],
                [3, { int32: 0 }],
              ],
            ],
          },
          { shape: [1, 4, 4, 2] },
          { shape: [1, 4, 4, 6] },
          { shape: [1, 3, 3, 6], data: new Uint8Array(54) },
        ),
      ),
    ).toMatchObject({ depthMultiplier: 3 }));

  it("keeps rows inside an image for FULLY_CONNECTED where the file does, and refuses them as images", () => {
    const model = (keep: number, shape: number[]) =>
      one(
        { op: "FULLY_CONNECTED", inputs: [0, 2], options: ["FullyConnectedOptions", [[2, { int8: keep }]]] },
        { shape: [1, 5, 8] },
        { shape },
        { shape: [3, 8], data: new Uint8Array(24) },
      );
    expect(load(model(1, [1, 5, 3])).tensors[1].shape).toEqual([1, 5, 3]);
    expect(refusals(model(0, [5, 3]))).toEqual(["0 FULLY_CONNECTED t: 5 rows an image that become images"]);
  });

  it("puts a constant second where the order does not matter", () => {
    const model = one(
      { op: "ADD", inputs: [2, 0] },
      { shape: [1, 4] },
      { shape: [1, 4] },
      { shape: [], data: Uint8Array.of(3) },
    );
    expect(load(model).nodes[0].inputs).toEqual([0, 2]);
  });

  it("takes operands that both broadcast, and rejects those that do not fit", () => {
    const model = (a: number[], b: number[]): BuiltModel => ({
      tensors: [{ shape: a }, { shape: b }, { shape: [1, 4, 4] }],
      operators: [{ op: "MUL", inputs: [0, 1], outputs: [2] }],
      inputs: [0, 1],
      outputs: [2],
    });
    expect(load(model([1, 4, 1], [1, 1, 4])).tensors[2].shape).toEqual([1, 4, 4]);
    expect(() => load(model([1, 4, 4], [1, 3, 4]))).toThrow(ModelFormatError);
  });

  it("refuses a fused TANH", () => {
    const model = conv({
      operators: [
        {
          ...conv().operators[0],
          options: [
            "Conv2DOptions",
            [
              [1, { int32: 2 }],
              [2, { int32: 1 }],
              [3, { int8: 4 }],
            ],
          ],
        },
      ],
    });
    expect(refusals(model)).toEqual(["0 CONV_2D y: fused activation TANH"]);
  });

  it("rejects options of another operator", () => {
    const model = conv({
      operators: [{ ...conv().operators[0], options: ["Pool2DOptions", [[1, { int32: 2 }]]] }],
    });
    expect(() => load(model)).toThrow("expected Conv2DOptions (1), got options of type 5");
  });

  it("rejects strides of 0", () => {
    const model = conv({
      operators: [{ ...conv().operators[0], options: ["Conv2DOptions", [[3, { int8: 0 }]]] }],
    });
    expect(() => load(model)).toThrow("expected stride_w in [1, 65535], got 0");
  });
});

describe("attributes in constant tensors", () => {
  const x = { shape: [1, 4, 6, 2] };

  it("PAD takes before and after", () =>
    expect(
      attributes(
        one(
          { op: "PAD", inputs: [0, 2] },
          x,
          { shape: [1, 7, 6, 2] },
          { ...i32(0, 0, 1, 2, 0, 0, 0, 0), shape: [4, 2] },
        ),
      ),
    ).toEqual({ before: [0, 1, 0, 0], after: [0, 2, 0, 0] }));

  it("PADV2 takes a value that is not the zero point", () => {
    const pads = { ...i32(0, 0, 1, 2, 0, 0, 0, 0), shape: [4, 2] };
    const model = (value: number) =>
      one({ op: "PADV2", inputs: [0, 2, 3] }, x, { shape: [1, 7, 6, 2] }, pads, {
        shape: [1],
        data: Uint8Array.of(value),
      });
    expect(attributes(model(133))).toMatchObject({ value: -123 });
    expect(attributes(model(0))).not.toHaveProperty("value");
  });

  it("MEAN takes axes, from the end too", () =>
    expect(
      attributes(
        one(
          { op: "MEAN", inputs: [0, 2], options: ["ReducerOptions", [[0, { int8: 1 }]]] },
          x,
          { shape: [1, 1, 1, 2] },
          i32(-2, 1),
        ),
      ),
    ).toEqual({ axes: [1, 2], keepDims: true }));

  it("RESHAPE takes its shape from the tensor or the options, and fills in -1", () => {
    const fromTensor = one({ op: "RESHAPE", inputs: [0, 2] }, x, { shape: [1, 8, 6] }, i32(-1, 8, 6));
    const fromOptions = one({ op: "RESHAPE", options: ["ReshapeOptions", [[0, { ints: [1, 8, -1] }]]] }, x, {
      shape: [1, 8, 6],
    });
    for (const model of [fromTensor, fromOptions]) expect(attributes(model)).toEqual({ shape: [1, 8, 6] });
    expect(refusals(one({ op: "RESHAPE", inputs: [0, 2] }, x, { shape: [8, 6] }, i32(8, 6)))[0]).toContain(
      "moves values between images",
    );
  });

  it("RESHAPE takes a shape that SHAPE, STRIDED_SLICE and PACK compute from the output, without these nodes", () => {
    const int = { type: "int32" as const };
    const graph = load({
      tensors: [
        { shape: [1, 4, 6, 2], signature: [-1, 4, 6, 2] },
        { shape: [1, 48], signature: [-1, 48] },
        { shape: [4], ...int },
        i32(0),
        i32(1),
        { shape: [], ...int },
        { shape: [], ...int, data: [48] },
        { shape: [2], ...int },
      ],
      operators: [
        { op: "SHAPE", inputs: [0], outputs: [2] },
        { op: "STRIDED_SLICE", inputs: [2, 3, 4, 4], outputs: [5] },
        { op: "PACK", inputs: [5, 6], outputs: [7] },
        { op: "RESHAPE", inputs: [0, 7], outputs: [1] },
      ],
      inputs: [0],
      outputs: [1],
    });
    expect(graph.nodes.map(({ op, attributes: own }) => [op, own])).toEqual([
      ["RESHAPE", { shape: [1, 48] }],
    ]);
  });

  it("TRANSPOSE takes its permutation, which keeps the batch", () => {
    const model = (...permutation: number[]) =>
      one(
        { op: "TRANSPOSE", inputs: [0, 2] },
        x,
        { shape: permutation.map((axis) => x.shape[axis]) },
        i32(...permutation),
      );
    expect(attributes(model(0, 3, 1, 2))).toEqual({ permutation: [0, 3, 1, 2] });
    expect(refusals(model(1, 0, 2, 3))[0]).toContain("transposition of the batch");
    expect(() => load(model(0, 1, 1, 3))).toThrow("a permutation");
  });

  it("SPLIT takes its axis from the first input", () => {
    const part = { shape: [1, 4, 2, 2] };
    const model: BuiltModel = {
      tensors: [i32(-2), x, part, part, part],
      operators: [
        { op: "SPLIT", inputs: [0, 1], outputs: [2, 3, 4], options: ["SplitOptions", [[0, { int32: 3 }]]] },
      ],
      inputs: [1],
      outputs: [2, 3, 4],
    };
    expect(load(model).nodes[0]).toMatchObject({
      inputs: [1],
      outputs: [2, 3, 4],
      attributes: { axis: 2, sizes: [2, 2, 2] },
    });
  });

  const slice = (
    shape: number[],
    [begin, end, strides]: number[][],
    masks: { begin?: number; end?: number; shrink?: number } = {},
  ) =>
    one(
      {
        op: "STRIDED_SLICE",
        inputs: [0, 2, 3, 4],
        options: [
          "StridedSliceOptions",
          [
            [0, { int32: masks.begin ?? 0 }],
            [1, { int32: masks.end ?? 0 }],
            [4, { int32: masks.shrink ?? 0 }],
          ],
        ],
      },
      x,
      { shape },
      i32(...begin),
      i32(...end),
      i32(...strides),
    );

  it("STRIDED_SLICE resolves masks, negative indices and strides, and what is past the end", () => {
    expect(
      attributes(
        slice(
          [1, 2, 3, 2],
          [
            [0, -3, 1, 0],
            [0, -1, 99, 0],
            [1, 1, 2, 1],
          ],
          { end: 0b1001, begin: 0b1001 },
        ),
      ),
    ).toEqual({
      begin: [0, 1, 1, 0],
      end: [1, 3, 6, 2],
      strides: [1, 1, 2, 1],
      squeeze: [],
    });
    expect(
      attributes(
        slice(
          [1, 4, 3, 2],
          [
            [0, 0, -1],
            [1, 4, -99],
            [1, 1, -2],
          ],
        ),
      ),
    ).toEqual({
      begin: [0, 0, 5, 0],
      end: [1, 4, -1, 2],
      strides: [1, 1, -2, 1],
      squeeze: [],
    });
    expect(
      attributes(
        slice(
          [1, 6, 2],
          [
            [0, -1],
            [1, 0],
            [1, 1],
          ],
          { shrink: 0b10 },
        ),
      ),
    ).toEqual({
      begin: [0, 3, 0, 0],
      end: [1, 4, 6, 2],
      strides: [1, 1, 1, 1],
      squeeze: [1],
    });
    expect(refusals(slice([4, 6, 2], [[0], [1], [1]], { shrink: 1 }))[0]).toContain("slice of the batch");
  });

  it("RESIZE_BILINEAR takes its size and flags", () =>
    expect(
      attributes(
        one(
          { op: "RESIZE_BILINEAR", inputs: [0, 2], options: ["ResizeBilinearOptions", [[3, { int8: 1 }]]] },
          x,
          { shape: [1, 8, 3, 2] },
          i32(8, 3),
        ),
      ),
    ).toEqual({ height: 8, width: 3, alignCorners: false, halfPixelCenters: true }));

  it("TRANSPOSE_CONV takes its output shape, and operands in the Graph's order", () => {
    const model = one(
      {
        op: "TRANSPOSE_CONV",
        inputs: [2, 3, 0],
        options: [
          "TransposeConvOptions",
          [
            [1, { int32: 2 }],
            [2, { int32: 2 }],
          ],
        ],
      },
      x,
      { shape: [1, 8, 12, 3] },
      i32(1, 8, 12, 3),
      { shape: [3, 3, 3, 2], data: new Uint8Array(54) },
    );
    expect(load(model).nodes[0]).toMatchObject({
      inputs: [0, 3],
      attributes: { outputShape: [1, 8, 12, 3] },
    });
  });

  it("refuses what is not constant", () =>
    expect(
      refusals({
        tensors: [x, { shape: [1, 4, 6, 2] }, { shape: [4], type: "int32" }],
        operators: [{ op: "TRANSPOSE", inputs: [0, 2], outputs: [1] }],
        inputs: [0, 2],
        outputs: [1],
      })[0],
    ).toContain("permutation known only at run time"));
});

describe("importModel", () => {
  it("knows a .tflite file by its bytes whatever its name, and by its name when the bytes are broken", () => {
    expect(importModel(buildTflite(conv()), "model.bin").nodes.length).toBe(1);
    expect(() => importModel(new Uint8Array(8), "model.TFLITE")).toThrow('a TFLite model ("TFL3")');
    expect(() => importModel(new Uint8Array(8), "model.bin")).toThrow(ModelFormatError);
  });
});
