import { describe, expect, it } from "vitest";
import { DYNAMIC, extremesOf } from "../../src/quantize/dynamic.ts";
import { dynamicLinear } from "../../src/quantize/paper.ts";

const unsigned = (name: keyof typeof DYNAMIC, minimum: number, maximum: number) => {
  const { scale, zeroPoint, low } = DYNAMIC[name].range({ minimum, maximum });
  return { scale: Number(scale.toFixed(6)), zeroPoint: low < 0 ? zeroPoint + 128 : zeroPoint };
};

describe("dynamic ranges", () => {
  it("of [-1, 1] have zero point 127 in ONNX Runtime and TFLite, 128 in PyTorch and XNNPACK", () => {
    expect(unsigned("onnxruntime", -1, 1)).toEqual({ scale: 0.007843, zeroPoint: 127 });
    expect(unsigned("tflite-hybrid", -1, 1)).toEqual({ scale: 0.007843, zeroPoint: 127 });
    expect(unsigned("pytorch-qnnpack", -1, 1)).toEqual({ scale: 0.007843, zeroPoint: 128 });
    expect(unsigned("xnnpack-qd8", -1, 1)).toEqual({ scale: 0.007843, zeroPoint: 128 });
  });

  it("of [-0.3, 2] have twice the scale in PyTorch on x86, which keeps 7 bits", () => {
    expect(unsigned("pytorch-fbgemm", -0.3, 2).scale).toBe(0.01811);
    for (const name of ["pytorch-qnnpack", "onnxruntime", "tflite-hybrid", "xnnpack-qd8"] as const)
      expect(unsigned(name, -0.3, 2).scale).toBe(0.00902);
  });

  it("hold 0 exactly, and no code leaves its range", () => {
    for (const { range, quantize } of Object.values(DYNAMIC))
      for (const [minimum, maximum] of [
        [0, 3],
        [-3, 0],
        [-0.7, 5],
        [0, 0],
      ]) {
        const found = range({ minimum, maximum });
        expect(quantize(0, found)).toBe(found.zeroPoint);
        for (const x of [minimum, maximum]) {
          expect(quantize(x, found)).toBeGreaterThanOrEqual(found.low);
          expect(quantize(x, found)).toBeLessThanOrEqual(found.high);
        }
      }
  });

  it("ties are rounded to even but in TFLite, which rounds with the zero point in", () => {
    const range = { scale: 1, zeroPoint: 7, low: -128, high: 255 };
    const codes = (name: keyof typeof DYNAMIC) =>
      [0.5, 1.5, 2.5, -0.5, -1.5].map((x) => DYNAMIC[name].quantize(x, range));
    for (const name of ["pytorch-qnnpack", "onnxruntime", "xnnpack-qd8"] as const)
      expect(codes(name)).toEqual([7, 9, 9, 7, 5]);
    expect(codes("tflite-hybrid")).toEqual([8, 9, 10, 7, 6]);
  });

  it("only PyTorch leaves convolutions in float", () => {
    const dense = Object.entries(DYNAMIC).filter(
      ([, { ops }]) => !(ops as readonly string[]).includes("CONV_2D"),
    );
    expect(dense.map(([name]) => name)).toEqual(["pytorch-qnnpack", "pytorch-fbgemm"]);
  });
});

describe("dynamicLinear", () => {
  it("is the float layer to within its steps", () => {
    const features = Float32Array.from({ length: 12 }, (_, i) => Math.sin(i));
    const filter = Float32Array.from({ length: 12 }, (_, i) => Math.cos(i * 2));
    const bias = Float32Array.of(0.5, -0.25, 0.125);
    const { minimum, maximum } = extremesOf(features);
    const step = (maximum - minimum) / 255 + 1 / 127.5;
    const logits = dynamicLinear(filter, bias, features);
    for (let i = 0; i < 3; i++)
      for (let k = 0; k < 3; k++) {
        let real = bias[k];
        for (let d = 0; d < 4; d++) real += features[i * 4 + d] * filter[k * 4 + d];
        expect(Math.abs(logits[i * 3 + k] - real)).toBeLessThan(4 * step);
      }
  });
});
