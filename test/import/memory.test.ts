import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { describe, expect, it } from "vitest";
import { exportOnnx } from "../../src/export/onnx.ts";
import { exportTflite } from "../../src/export/tflite.ts";
import { importOnnx } from "../../src/import/onnx/index.ts";
import { importTflite } from "../../src/import/tflite/importTflite.ts";
import type { Graph, Node, Quantization, Tensor } from "../../src/model/graph.ts";

/** As node --expose-gc has it. */
function collector(): () => void {
  setFlagsFromString("--expose-gc");
  return runInNewContext("gc") as () => void;
}

const codes = (scale: number[], axis?: number): Quantization => ({
  scale: Float32Array.from(scale),
  zeroPoint: new Int32Array(scale.length),
  ...(axis !== undefined && { axis }),
});

/** A chain of 3x3 convolutions of 128 channels that weighs about 4 MB. */
function network(dtype: "int8" | "float32"): Graph {
  const channels = 128;
  const layers = dtype === "int8" ? 28 : 7;
  const weights = channels * channels * 9;
  const each = (scale: number, axis?: number) =>
    dtype === "int8"
      ? { quantization: codes(axis === undefined ? [scale] : new Array(channels).fill(scale), axis) }
      : {};
  const image = (i: number): Tensor => ({ name: `a${i}`, shape: [1, 8, 8, channels], dtype, ...each(0.05) });
  const tensors: Tensor[] = [image(0)];
  const nodes: Node[] = [];
  for (let i = 0; i < layers; i++) {
    const data =
      dtype === "int8"
        ? Int8Array.from({ length: weights }, (_, k) => ((k * 37) % 251) - 125)
        : Float32Array.from({ length: weights }, (_, k) => ((k * 37) % 251) / 125 - 1);
    const x = i === 0 ? 0 : tensors.length - 1;
    const filter =
      tensors.push({ name: `w${i}`, shape: [channels, 3, 3, channels], dtype, data, ...each(0.01, 0) }) - 1;
    const bias =
      tensors.push(
        dtype === "int8"
          ? {
              name: `b${i}`,
              shape: [channels],
              dtype: "int32",
              data: new Int32Array(channels),
              ...each(0.0005, 0),
            }
          : { name: `b${i}`, shape: [channels], dtype, data: new Float32Array(channels) },
      ) - 1;
    const output = tensors.push(image(i + 1)) - 1;
    const attributes = {
      ...{ strideHeight: 1, strideWidth: 1, dilationHeight: 1, dilationWidth: 1 },
      padding: "SAME" as const,
      activation: "RELU" as const,
    };
    nodes.push({ op: "CONV_2D", name: `c${i}`, inputs: [x, filter, bias], outputs: [output], attributes });
  }
  return { name: "large", tensors, nodes, inputs: [0], outputs: [tensors.length - 1] };
}

const READERS = {
  tflite: { write: exportTflite, read: (bytes: Uint8Array) => importTflite(bytes, "x.tflite") },
  onnx: { write: exportOnnx, read: (bytes: Uint8Array) => importOnnx(bytes, "x.onnx") },
};

describe("a model of 4 MB", () => {
  const gc = collector();
  for (const [format, { write, read }] of Object.entries(READERS))
    for (const dtype of ["int8", "float32"] as const)
      it(`of ${dtype}, read as .${format}, takes at most three times its size, the file included`, () => {
        const bytes = write(network(dtype));
        expect(bytes.length).toBeGreaterThan(3.9e6);
        // A collection in between would hide what was allocated: the most of several readings.
        const taken = Array.from({ length: 4 }, () => {
          gc();
          const before = process.memoryUsage().arrayBuffers;
          const graph = read(bytes);
          expect(graph.nodes.some(({ op }) => op === "CONV_2D")).toBe(true);
          return process.memoryUsage().arrayBuffers - before;
        });
        expect(Math.max(...taken) / bytes.length + 1).toBeLessThanOrEqual(3);
      });
});
