import { buildTflite } from "./tfliteBuilder.ts";

/** A small file with every kind of thing in it: constants in and behind the FlatBuffer, indices, options, signatures. */
export function exampleTflite(): Uint8Array<ArrayBuffer> {
  const int = { type: "int32" as const };
  return buildTflite({
    signature: true,
    subgraphs: 2,
    tensors: [
      { shape: [1, 6, 6, 2], name: "x", zeroPoint: [3], signature: [-1, 6, 6, 2] },
      { shape: [4, 2], ...int, data: [0, 0, 1, 1, 1, 1, 0, 0] },
      { shape: [1, 8, 8, 2], name: "padded", zeroPoint: [3] },
      { shape: [4, 3, 3, 2], scale: [0.1, 0.2, 0.3, 0.4], data: new Uint8Array(72).fill(5) },
      { shape: [4], ...int, scale: [1, 1, 1, 1], axis: 3, data: [1, 2, 3, 4], outOfLine: true },
      { shape: [1, 8, 8, 4], name: "convolved" },
      { shape: [], ...int, data: [3] },
      { shape: [1, 8, 8, 2], name: "left" },
      { shape: [1, 8, 8, 2], name: "right" },
      { shape: [1, 8, 8, 4], name: "joined" },
      { shape: [2], ...int, data: [1, 2] },
      { shape: [1, 4], name: "mean" },
      { shape: [2], ...int, data: [-1, 4] },
      { shape: [1, 4], name: "flat" },
      { shape: [3, 4], type: "int4", scale: [0.1], data: new Uint8Array(6).fill(0x37) },
      { shape: [1, 3], name: "y" },
      { shape: [1, 3], name: "z", scale: [1 / 256], zeroPoint: [-128] },
    ],
    operators: [
      { op: "PAD", inputs: [0, 1], outputs: [2] },
      {
        op: "CONV_2D",
        inputs: [2, 3, 4],
        outputs: [5],
        options: [
          "Conv2DOptions",
          [
            [1, { int32: 1 }],
            [2, { int32: 1 }],
            [3, { int8: 1 }],
          ],
        ],
      },
      { op: "SPLIT", inputs: [6, 5], outputs: [7, 8], options: ["SplitOptions", [[0, { int32: 2 }]]] },
      {
        op: "CONCATENATION",
        inputs: [8, 7],
        outputs: [9],
        options: ["ConcatenationOptions", [[0, { int32: -1 }]]],
      },
      { op: "MEAN", inputs: [9, 10], outputs: [11], options: ["ReducerOptions", [[0, { int8: 0 }]]] },
      { op: "RESHAPE", inputs: [11, 12], outputs: [13] },
      { op: "FULLY_CONNECTED", inputs: [13, 14, -1], outputs: [15] },
      { op: "SOFTMAX", inputs: [15], outputs: [16], options: ["SoftmaxOptions", [[0, { float32: 1 }]]] },
    ],
    inputs: [0],
    outputs: [16],
  });
}
