/** Speed of the convolution kernels on the layers of ResNet-8 (MLPerf Tiny, 32x32x3, 12.5 MMAC an image). */
import type { Conv2dArgs, RequantizerName, Step } from "./args.ts";
import type { Kernels } from "./module.ts";
import { OPS } from "./ops.ts";
import { packInt4 } from "./weights.ts";

/** Input size and channels, output channels, filter size, stride. */
const RESNET_8: readonly (readonly [
  size: number,
  depth: number,
  outputs: number,
  filter: number,
  stride: number,
])[] = [
  [32, 3, 16, 3, 1],
  [32, 16, 16, 3, 1],
  [32, 16, 16, 3, 1],
  [32, 16, 32, 3, 2],
  [16, 32, 32, 3, 1],
  [32, 16, 32, 1, 2],
  [16, 32, 64, 3, 2],
  [8, 64, 64, 3, 1],
  [16, 32, 64, 1, 2],
];

export interface BenchRow {
  layer: string;
  weightBits: 8 | 4;
  requantizer: RequantizerName;
  macs: number;
  /** Best of the rounds, microseconds an image. */
  microseconds: number;
  gigaMacsPerSecond: number;
}

/** SAME padding, requantization of the common kind, weights from a small generator. */
function layerArgs(
  layer: (typeof RESNET_8)[number],
  weightBits: 8 | 4,
  requantizer: RequantizerName,
): Conv2dArgs {
  const [size, inputDepth, outputDepth, filterSize, stride] = layer;
  const output = Math.ceil(size / stride);
  const pad = Math.max((output - 1) * stride + filterSize - size, 0) >> 1;
  const span = weightBits === 8 ? 255 : 15;
  const count = outputDepth * filterSize * filterSize * inputDepth;
  const weights = Int8Array.from(
    { length: count },
    (_, i) => ((Math.imul(i, 2654435761) >>> 8) % span) - (span >> 1),
  );
  const scaling =
    requantizer === "float-even" || requantizer === "float-up"
      ? { requantizer, scale: new Float32Array(outputDepth).fill(0.0017) }
      : {
          requantizer,
          multiplier: new Int32Array(outputDepth).fill(1518500250),
          shift: Int32Array.from({ length: outputDepth }, (_, i) => -8 - (i % 3)),
        };
  return {
    ...scaling,
    inputHeight: size,
    inputWidth: size,
    inputDepth,
    outputHeight: output,
    outputWidth: output,
    outputDepth,
    filterHeight: filterSize,
    filterWidth: filterSize,
    strideHeight: stride,
    strideWidth: stride,
    dilationHeight: 1,
    dilationWidth: 1,
    padTop: pad,
    padLeft: pad,
    groups: 1,
    inputOffset: 5,
    outputOffset: -5,
    activationMin: -5,
    activationMax: 127,
    weightBits,
    filter: weightBits === 8 ? weights : packInt4(weights),
    bias: new Int32Array(outputDepth).fill(100),
  };
}

function place(kernels: Kernels, step: Step): void {
  step.bind({
    input: kernels.allocate(step.inputBytes),
    output: kernels.allocate(step.outputBytes),
    scratch: kernels.allocate(step.scratchBytes),
  });
}

/** Best time of one run in microseconds, over `rounds` rounds of at least a millisecond. */
function time(step: Step, rounds: number, now: () => number): number {
  let best = Number.POSITIVE_INFINITY;
  for (let round = 0; round < rounds; round++) {
    let runs = 0;
    const start = now();
    let elapsed = 0;
    for (; elapsed < 1; elapsed = now() - start, runs += 4) {
      for (let i = 0; i < 4; i++) step.run(1);
    }
    best = Math.min(best, (elapsed * 1000) / runs);
  }
  return best;
}

type Setting = Pick<BenchRow, "weightBits" | "requantizer">;

function measure(
  kernels: Kernels,
  layer: (typeof RESNET_8)[number],
  { weightBits, requantizer }: Setting,
  now: () => number,
  rounds: number,
): BenchRow {
  const mark = kernels.mark();
  const args = layerArgs(layer, weightBits, requantizer);
  const step = OPS.CONV_2D.prepare(kernels, args);
  place(kernels, step);
  const microseconds = time(step, rounds, now);
  kernels.release(mark);
  const [size, depth, outputs, filter, stride] = layer;
  const name = `${size}x${size}x${depth} ${filter}x${filter}/${stride} ${outputs}`;
  return benchRow(name, { weightBits, requantizer }, OPS.CONV_2D.macs(args), microseconds);
}

/**
 * Times every convolution of ResNet-8, in both widths and all requantizers. The last row of each block is their sum.
 * now: a clock in milliseconds (performance.now). Every block runs once untimed, so that the optimizing compiler is done.
 */
export function benchConvolutions(kernels: Kernels, now: () => number, rounds = 30): BenchRow[] {
  const rows: BenchRow[] = [];
  for (const requantizer of ["tflite-double", "tflite-single", "float-even"] as const) {
    for (const weightBits of [8, 4] as const) {
      const setting = { weightBits, requantizer };
      const block = () => RESNET_8.map((layer) => measure(kernels, layer, setting, now, rounds));
      block();
      const timed = block();
      const total = (key: "macs" | "microseconds") => timed.reduce((sum, row) => sum + row[key], 0);
      rows.push(
        ...timed,
        benchRow("ResNet-8, 9 convolutions", setting, total("macs"), total("microseconds")),
      );
    }
  }
  return rows;
}

function benchRow(layer: string, setting: Setting, macs: number, microseconds: number): BenchRow {
  return { layer, ...setting, macs, microseconds, gigaMacsPerSecond: macs / microseconds / 1000 };
}
