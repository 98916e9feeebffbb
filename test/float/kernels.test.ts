import { readdirSync, readFileSync } from "node:fs";
import * as tf from "@tensorflow/tfjs-core";
import { describe, expect, test } from "vitest";
import { PARAMETER_BLOCKS } from "../../src/float/kernels.ts";
import { run, runMany } from "../../src/float/register.ts";
import { seededRandom } from "../../src/random.ts";
import { backend, normals } from "./setup.ts";

const folder = new URL("../../assembly/train/", import.meta.url);
const source = readdirSync(folder)
  .map((file) => readFileSync(new URL(file, folder), "utf8"))
  .join("\n");

describe("parameter blocks", () => {
  test.each(Object.entries(PARAMETER_BLOCKS))(
    "%s has the fields of the class in assembly/train",
    (name, fields) => {
      const body = source.match(new RegExp(`class ${name} \\{([^}]*)\\}`))?.[1] ?? "";
      expect([...body.matchAll(/(\w+): i32;/g)].map((match) => match[1])).toEqual(fields);
    },
  );
});

/** Cross-entropy in float64. */
function crossEntropy(logits: Float32Array, labels: Int32Array, classes: number) {
  let loss = 0;
  const gradient = new Float64Array(logits.length);
  labels.forEach((label, row) => {
    const z = Array.from(logits.subarray(row * classes, (row + 1) * classes));
    const sum = z.reduce((total, v) => total + Math.exp(v), 0);
    loss += Math.log(sum) - z[label];
    z.forEach((v, k) => {
      gradient[row * classes + k] = (Math.exp(v) / sum - (k === label ? 1 : 0)) / labels.length;
    });
  });
  return { loss, gradient };
}

describe("softmax cross-entropy", () => {
  test.each([1, 10, 40])("agrees with float64 on logits of deviation %i", (scale) => {
    const random = seededRandom(scale);
    const [rows, classes] = [17, 11];
    const logits = normals(random, rows * classes).map((v) => v * scale);
    const labels = Int32Array.from({ length: rows }, () => random.below(classes));
    const expected = crossEntropy(logits, labels, classes);
    tf.tidy(() => {
      const inputs = { logits: tf.tensor(logits, [rows, classes]) };
      const [gradient, sums] = runMany("SOFTMAX_CROSS_ENTROPY", inputs, { labels });
      expect(Math.abs(sums.dataSync()[0] / expected.loss - 1)).toBeLessThan(1e-6);
      gradient.dataSync().forEach((v: number, i: number) => {
        expect(Math.abs(v - expected.gradient[i])).toBeLessThan(1e-7);
      });
    });
  });

  test("counts a row as right when the first of its largest logits is the label", () => {
    tf.tidy(() => {
      const logits = tf.tensor([1, 3, 3, 5, 5, 0], [2, 3]);
      const [, sums] = runMany("SOFTMAX_CROSS_ENTROPY", { logits }, { labels: Int32Array.of(1, 1) });
      expect(sums.dataSync()[1]).toBe(1);
    });
  });
});

describe("integer gate", () => {
  test.each([
    ["int8", Int8Array.of(-128, -127, 0, 5, 126, 127, -128, 3, 127, -1, 9), -128, 127],
    ["int16", Int16Array.of(0, 1, 2, 254, 255, 0, 7), 0, 255],
  ] as const)("lets a gradient through strictly between the clamps, %s", (_, values, lower, upper) => {
    tf.tidy(() => {
      const dy = tf.tensor(Float32Array.from(values, (_, i) => i + 1));
      const out = run("GATE_INTEGER", { dy }, { values, lower, upper }).dataSync();
      expect(Array.from(out)).toEqual(Array.from(values, (q, i) => (q > lower && q < upper ? i + 1 : 0)));
    });
  });
});

describe("against tfjs's stock kernels", () => {
  test("batch norm in training normalizes as tf.moments and tf.batchNorm do", () => {
    tf.tidy(() => {
      const random = seededRandom(4);
      const x = tf.tensor4d(
        normals(random, 4 * 9 * 9 * 12).map((v) => 3 * v + 100),
        [4, 9, 9, 12],
      );
      const gammaBeta = tf.tensor2d(normals(random, 24), [2, 12]);
      const block = { rows: 4 * 81, depth: 12, activation: 0 };
      const [y, moments] = runMany("BATCH_NORMALIZATION", { x, gammaBeta }, { block, epsilon: 1e-3 });
      const { mean, variance } = tf.moments(x, [0, 1, 2]);
      const [gamma, beta] = tf.unstack(gammaBeta) as [tf.Tensor1D, tf.Tensor1D];
      const expected = tf.batchNorm(x, mean as tf.Tensor1D, variance as tf.Tensor1D, beta, gamma, 1e-3);
      expect(tf.max(tf.abs(tf.sub(y, expected))).dataSync()[0]).toBeLessThan(1e-4);
      expect(tf.max(tf.abs(tf.sub(moments, tf.stack([mean, variance])))).dataSync()[0]).toBeLessThan(1e-4);
    });
  });

  test.each([
    [32, 16, 16, 3, 1],
    [16, 16, 32, 3, 2],
    [8, 64, 64, 3, 1],
    [32, 3, 16, 3, 1],
    [16, 32, 64, 1, 2],
  ])("convolution of %i² x %i to %i, %i x kernel, stride %i", (size, input, depth, kernel, stride) => {
    tf.tidy(() => {
      const random = seededRandom(size + depth);
      const x = tf.tensor4d(normals(random, 2 * size * size * input), [2, size, size, input]);
      const filter = tf.tensor4d(normals(random, kernel * kernel * input * depth), [
        kernel,
        kernel,
        input,
        depth,
      ]);
      const expected = tf.conv2d(x, filter, stride, "same");
      const before = stride === 1 || kernel === 1 ? (kernel - 1) >> 1 : 0;
      const block = {
        ...{ batches: 2, inputHeight: size, inputWidth: size, inputDepth: input },
        ...{
          filterHeight: kernel,
          filterWidth: kernel,
          outputHeight: size / stride,
          outputWidth: size / stride,
        },
        ...{
          outputDepth: depth,
          strideHeight: stride,
          strideWidth: stride,
          dilationHeight: 1,
          dilationWidth: 1,
        },
        ...{ paddingTop: before, paddingLeft: before, activation: 0 },
      };
      const y = run("CONV_2D", { x, filter }, { block, shape: expected.shape });
      const largest = tf.max(tf.abs(expected)).dataSync()[0];
      expect(tf.max(tf.abs(tf.sub(y, expected))).dataSync()[0] / largest).toBeLessThan(1e-5);
    });
  });
});

test("the backend answers a second start with the same instance", async () => {
  const { startBackend } = await import("../../src/float/backend.ts");
  expect(await startBackend(undefined as never)).toBe(backend);
});
