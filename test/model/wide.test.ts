import { beforeAll, describe, expect, it } from "vitest";
import { shippedProfiles } from "../../src/cli/profiles.ts";
import { BUILDS, loadKernelModule } from "../../src/cli/wasm.ts";
import { UnsupportedOpError } from "../../src/errors.ts";
import { bindKernels } from "../../src/kernels/module.ts";
import { compile, type Values } from "../../src/model/compile.ts";
import type { DType, Graph, Node, Tensor, TensorData } from "../../src/model/graph.ts";
import type { Profile } from "../../src/profile/schema.ts";

interface Made {
  shape: number[];
  scale?: number | number[];
  dtype?: DType;
  zeroPoint?: number;
  axis?: number;
  data?: TensorData;
}

function tensor({ shape, scale = [], dtype = "int16", zeroPoint = 0, axis, data }: Made): Tensor {
  const scales = [scale].flat();
  const quantization = {
    scale: Float32Array.from(scales),
    zeroPoint: new Int32Array(scales.length).fill(zeroPoint),
    ...(axis === undefined ? {} : { axis }),
  };
  return {
    name: "t",
    shape,
    dtype,
    ...(scales.length > 0 ? { quantization } : {}),
    ...(data ? { data } : {}),
  };
}

/** One node; the first tensors without data are the inputs, the last tensor is the output. */
function graphOf(op: string, attributes: object, made: Made[]): Graph {
  const tensors = made.map(tensor);
  const output = tensors.length - 1;
  const ids = tensors.map((_, i) => i).slice(0, -1);
  const node = { op, name: "n", inputs: ids, outputs: [output], attributes } as unknown as Node;
  return {
    name: "g",
    tensors,
    nodes: [node],
    inputs: ids.filter((id) => !tensors[id].data),
    outputs: [output],
  };
}

const ramp = (length: number, step = 1237) =>
  Int16Array.from({ length }, (_, i) => ((i * step) % 65536) - 32768);
const real = (values: ArrayLike<number>, scale: number) => Array.from(values, (q) => q * scale);
const window = { strideHeight: 1, strideWidth: 1, padding: "SAME", activation: "NONE" };
const fused = { activation: "NONE" };

for (const build of BUILDS)
  for (const id of ["stm32l4r5-cmsis-nn", "android-litert-xnnpack"])
    describe(`int16 activations on ${id} in the ${build} build`, () => {
      let profile: Profile;
      beforeAll(async () => {
        profile = (await shippedProfiles()).get(id)!;
      });
      const run = async (graph: Graph, inputs: Values[], count = 1) =>
        compile(graph, profile, await bindKernels(await loadKernelModule(build))).run(inputs, count)[0];
      /** Every output is its real value, to within `steps` codes. */
      const close = (output: Values, scale: number, expected: number[], steps = 1) => {
        expect(output).toBeInstanceOf(Int16Array);
        expect(output.length).toBe(expected.length);
        expected.forEach((value, i) => {
          const saturated = Math.min(Math.max(value / scale, -32768), 32767);
          expect(Math.abs(output[i] - saturated)).toBeLessThanOrEqual(steps);
        });
      };

      it.each(["int32", "int64"] as const)("sums 1x1 convolutions with a bias of %s", async (dtype) => {
        const filter = Int8Array.of(1, -2, 127, -128, 5, 6);
        const bias = [1000, -70000, 33];
        const graph = graphOf("CONV_2D", { ...window, dilationHeight: 1, dilationWidth: 1 }, [
          { shape: [1, 3, 3, 2], scale: 0.001 },
          {
            shape: [3, 1, 1, 2],
            scale: [0.01, 0.002, 0.03],
            dtype: "int8",
            axis: 0,
            data: filter,
          },
          {
            shape: [3],
            dtype,
            data: dtype === "int32" ? Int32Array.from(bias) : BigInt64Array.from(bias, BigInt),
          },
          { shape: [1, 3, 3, 3], scale: 0.004 },
        ]);
        const x = ramp(2 * 18);
        const output = await run(graph, [x], 2);
        const expected = Array.from({ length: 2 * 27 }, (_, i) => {
          const [pixel, channel] = [Math.floor(i / 3), i % 3];
          const sum = x[2 * pixel] * filter[2 * channel] + x[2 * pixel + 1] * filter[2 * channel + 1];
          return (sum + bias[channel]) * 0.001 * [0.01, 0.002, 0.03][channel];
        });
        close(output, 0.004, expected, 2);
      });

      it("sums depthwise and fully connected layers without a bias", async () => {
        const x = ramp(12, 5001);
        const filter = Int8Array.of(100, -50, 3);
        const depthwise = graphOf(
          "DEPTHWISE_CONV_2D",
          { ...window, depthMultiplier: 1, dilationHeight: 1, dilationWidth: 1 },
          [
            { shape: [1, 2, 2, 3], scale: 0.001 },
            { shape: [1, 1, 1, 3], scale: 0.01, dtype: "int8", data: filter },
            { shape: [1, 2, 2, 3], scale: 0.002 },
          ],
        );
        close(
          await run(depthwise, [x]),
          0.002,
          Array.from(x, (q, i) => q * filter[i % 3] * 1e-5),
          2,
        );
        const dense = graphOf("FULLY_CONNECTED", fused, [
          { shape: [1, 12], scale: 0.001 },
          {
            shape: [1, 12],
            scale: 0.01,
            dtype: "int8",
            data: Int8Array.from({ length: 12 }, (_, i) => i - 6),
          },
          { shape: [1, 1], scale: 0.003 },
        ]);
        const sum = x.reduce((total, q, i) => total + q * (i - 6), 0);
        close(await run(dense, [x]), 0.003, [sum * 1e-5]);
      });

      it("adds, subtracts and multiplies", async () => {
        const [a, b] = [ramp(20), ramp(20, 4999)];
        const shape = [1, 20];
        for (const [op, combine] of [
          ["ADD", (x: number, y: number) => x + y],
          ["SUB", (x: number, y: number) => x - y],
          ["MUL", (x: number, y: number) => x * y],
        ] as const) {
          const graph = graphOf(op, fused, [
            { shape, scale: 0.0001 },
            { shape, scale: 0.0003 },
            { shape, scale: 0.0005 },
          ]);
          const expected = Array.from(a, (q, i) => combine(q * 0.0001, b[i] * 0.0003));
          close(await run(graph, [a, b]), 0.0005, expected);
        }
      });

      it("adds a constant that broadcasts", async () => {
        const constant = Int16Array.of(100, -200, 300);
        const graph = graphOf("ADD", fused, [
          { shape: [1, 2, 3], scale: 0.001 },
          { shape: [3], scale: 0.01, data: constant },
          { shape: [1, 2, 3], scale: 0.002 },
        ]);
        const x = Int16Array.of(1, 2, 3, 1000, 2000, 3000, 0, 0, 0, -1, -2, -3);
        const expected = Array.from(x, (q, i) => q * 0.001 + constant[i % 3] * 0.01);
        close(await run(graph, [x], 2), 0.002, expected);
      });

      it("adds by a shift where the model asks for it and the runtime knows it", async () => {
        const graph = graphOf("ADD", { ...fused, powerOfTwoScales: true }, [
          { shape: [1, 4], scale: 2 ** -11 },
          { shape: [1, 4], scale: 2 ** -12 },
          { shape: [1, 4], scale: 2 ** -11 },
        ]);
        const [a, b] = [Int16Array.of(0, 0, 32767, -32768), Int16Array.of(-3, 3, 9, -9)];
        expect(Array.from(await run(graph, [a, b]))).toEqual([-2, 2, 32767, -32768]);
      });

      it("pools, pads and reshapes", async () => {
        const x = ramp(16, 9001);
        const same = { scale: 0.01 };
        const pool = { ...window, padding: "VALID", filterHeight: 2, filterWidth: 2 };
        const made = [
          { shape: [1, 4, 4, 1], ...same },
          { shape: [1, 3, 3, 1], ...same },
        ];
        const taps = (i: number) => [0, 1, 4, 5].map((d) => x[Math.floor(i / 3) * 4 + (i % 3) + d]);
        const means = Array.from({ length: 9 }, (_, i) => taps(i).reduce((sum, q) => sum + q) / 4);
        close(await run(graphOf("AVERAGE_POOL_2D", pool, made), [x]), 1, means, 0.5);
        const maxima = Array.from({ length: 9 }, (_, i) => Math.max(...taps(i)));
        close(await run(graphOf("MAX_POOL_2D", pool, made), [x]), 1, maxima, 0);
        const average = graphOf("MEAN", { axes: [1, 2], keepDims: false }, [
          { shape: [1, 4, 4, 1], ...same },
          { shape: [1, 1], scale: 0.004 },
        ]);
        close(await run(average, [x]), 0.004, [x.reduce((sum, q) => sum + q * 0.01, 0) / 16]);
        const padded = graphOf("PAD", { before: [0, 1], after: [0, 2] }, [
          { shape: [1, 16], ...same },
          { shape: [1, 19], ...same },
        ]);
        expect(Array.from(await run(padded, [x]))).toEqual([0, ...x, 0, 0]);
      });

      it("concatenates, slices and transposes", async () => {
        const x = ramp(12, 5003);
        const joined = graphOf("CONCATENATION", { axis: 2, ...fused }, [
          { shape: [1, 2, 1], scale: 0.01 },
          { shape: [1, 2, 2], scale: 0.01 },
          { shape: [1, 2, 3], scale: 0.01 },
        ]);
        expect(Array.from(await run(joined, [x.slice(0, 4), x.slice(4)], 2))).toEqual(
          [0, 4, 5, 1, 6, 7, 2, 8, 9, 3, 10, 11].map((i) => x[i]),
        );
        const transposed = graphOf("TRANSPOSE", { permutation: [0, 2, 1] }, [
          { shape: [1, 3, 4], scale: 0.01 },
          { shape: [1, 4, 3], scale: 0.01 },
        ]);
        expect(Array.from(await run(transposed, [x]))).toEqual(
          [0, 4, 8, 1, 5, 9, 2, 6, 10, 3, 7, 11].map((i) => x[i]),
        );
        const sliced = graphOf(
          "STRIDED_SLICE",
          { begin: [0, 1, 0], end: [1, 3, 4], strides: [1, 1, 2], squeeze: [] },
          [
            { shape: [1, 3, 4], scale: 0.01 },
            { shape: [1, 2, 2], scale: 0.01 },
          ],
        );
        expect(Array.from(await run(sliced, [x]))).toEqual([4, 6, 8, 10].map((i) => x[i]));
      });

      it("converts from and to float32, int8, int16 and int32", async () => {
        const shape = [1, 6];
        const float = Float32Array.of(0, 0.0015, -0.0015, 40, -40, 1);
        const quantize = graphOf("QUANTIZE", {}, [
          { shape, dtype: "float32" },
          { shape, scale: 0.001 },
        ]);
        close(await run(quantize, [float]), 0.001, [...float]);
        const dequantize = graphOf("DEQUANTIZE", {}, [
          { shape, scale: 0.001 },
          { shape, dtype: "float32" },
        ]);
        const codes = Int16Array.of(0, 1, -1, 32767, -32768, 7);
        expect(Array.from(await run(dequantize, [codes]))).toEqual(
          Array.from(codes, (q) => Math.fround(q * Math.fround(0.001))),
        );
        const narrow = graphOf("QUANTIZE", {}, [
          { shape, scale: 0.001 },
          { shape, scale: 0.25, dtype: "int8", zeroPoint: -3 },
        ]);
        expect(Array.from(await run(narrow, [codes]))).toEqual([-3, -3, -3, 127, -128, -3]);
        const widened = graphOf("QUANTIZE", {}, [
          { shape, scale: 0.25, dtype: "int8", zeroPoint: -3 },
          { shape, scale: 0.001 },
        ]);
        close(
          await run(widened, [Int8Array.of(-3, -2, -4, 127, -128, 0)]),
          0.001,
          [0, 0.25, -0.25, 32.5, -31.25, 0.75],
        );
        const audio = graphOf("QUANTIZE", {}, [
          { shape, scale: 2 ** -22, dtype: "int32" },
          { shape, scale: 0.001 },
        ]);
        close(
          await run(audio, [Int32Array.of(0, 2 ** 22, -(2 ** 22), 2 ** 30, 1, 2 ** 20)]),
          0.001,
          [0, 1, -1, 256, 0, 0.25],
        );
      });

      it("applies RELU, RELU6, LEAKY_RELU, LOGISTIC and TANH", async () => {
        const x = ramp(50, 1311);
        const made = (scale: number, output: number) => [
          { shape: [1, 50], scale },
          { shape: [1, 50], scale: output },
        ];
        const reals = real(x, 0.0003);
        const relu6 = reals.map((value) => Math.min(Math.max(value, 0), 6));
        close(await run(graphOf("RELU6", {}, made(0.0003, 0.0002)), [x]), 0.0002, relu6);
        close(
          await run(graphOf("RELU", {}, made(0.0003, 0.0003)), [x]),
          0.0003,
          reals.map((value) => Math.max(value, 0)),
        );
        for (const alpha of [0.2, -0.5]) {
          const leaky = reals.map((value) => (value < 0 ? value * alpha : value));
          const graph = graphOf("LEAKY_RELU", { alpha }, made(0.0003, 0.0004));
          close(await run(graph, [x]), 0.0004, leaky);
        }
        for (const scale of [2 ** -12, 2 ** -11, 0.0003]) {
          const values = real(x, scale);
          const sigmoid = values.map((value) => 1 / (1 + Math.exp(-value)));
          close(await run(graphOf("LOGISTIC", {}, made(scale, 2 ** -15)), [x]), 2 ** -15, sigmoid, 8);
          close(
            await run(graphOf("TANH", {}, made(scale, 2 ** -15)), [x]),
            2 ** -15,
            values.map(Math.tanh),
            12,
          );
        }
      });

      it("gives probabilities in 1/32768", async () => {
        const x = Int16Array.of(0, 1000, 2000, -30000, 500, 2000, 2000, 2000, 2000, 2000);
        const graph = graphOf("SOFTMAX", { beta: 1 }, [
          { shape: [1, 2, 5], scale: 0.001 },
          { shape: [1, 2, 5], scale: 2 ** -15 },
        ]);
        const expected = [x.subarray(0, 5), x.subarray(5)].flatMap((row) => {
          const exponentials = Array.from(row, (q) => Math.exp(q * 0.001));
          const sum = exponentials.reduce((total, value) => total + value);
          return exponentials.map((value) => value / sum);
        });
        close(await run(graph, [x]), 2 ** -15, expected, 12);
      });

      it("refuses, by name, what its runtime does not do", async () => {
        const kernels = await bindKernels(await loadKernelModule(build));
        const shape = [1, 4];
        const refusals: [Graph, string][] = [
          [
            graphOf("ADD", fused, [
              { shape, scale: 0.1 },
              { shape, scale: 0.1, zeroPoint: 3 },
              { shape, scale: 0.1 },
            ]),
            "input 1: needs zero point 0",
          ],
          [
            graphOf("ADD", fused, [
              { shape, scale: 0.1 },
              { shape, scale: 0.1, dtype: "int8" },
              { shape, scale: 0.1 },
            ]),
            "input 1: needs int16, is int8",
          ],
          [
            graphOf("TANH", {}, [
              { shape, scale: 0.1 },
              { shape, scale: 0.1 },
            ]),
            "output: needs scale 1/32768",
          ],
          [
            graphOf("CONV_2D", { ...window, dilationHeight: 1, dilationWidth: 1 }, [
              { shape: [1, 2, 2, 4], scale: 1 },
              { shape: [1, 1, 1, 4], scale: 1, dtype: "int8", data: new Int8Array(4) },
              { shape: [1], scale: 1, dtype: "int64", data: new BigInt64Array(1) },
              { shape: [1, 2, 2, 1], scale: 0.001 },
            ]),
            "scales: needs a product below 128 times the output's",
          ],
          [
            graphOf("HARD_SWISH", {}, [
              { shape, scale: 0.1 },
              { shape, scale: 0.1 },
            ]),
            "HARD_SWISH",
          ],
        ];
        for (const [graph, reason] of refusals) {
          expect(() => compile(graph, profile, kernels)).toThrow(UnsupportedOpError);
          expect(() => compile(graph, profile, kernels)).toThrow(reason);
        }
      });
    });

it("a profile without int16 activations refuses them", async () => {
  const profile = (await shippedProfiles()).get("ethos-u65")!;
  const graph = graphOf("RELU", {}, [
    { shape: [1, 4], scale: 0.1 },
    { shape: [1, 4], scale: 0.1 },
  ]);
  const kernels = await bindKernels(await loadKernelModule());
  expect(() => compile(graph, profile, kernels)).toThrow("int16 activations: the profile has none");
});
