/** Convolutions beside the machine's bound, int4 beside int8, every requantizer beside its scalar build. */
import type { Conv2dArgs, Requantization, RequantizerName } from "../../kernels/args.ts";
import { bindKernels, type Kernels } from "../../kernels/module.ts";
import { OPS } from "../../kernels/ops.ts";
import { writeParams } from "../../kernels/params.ts";
import { chooseForm, FORMS, PANEL_LANES, packPanels } from "../../kernels/requantizers.ts";
import { packInt4 } from "../../kernels/weights.ts";
import { loadKernelModule } from "../wasm.ts";
import { compareWorks, pairedRatio, type Work } from "./measure.ts";
import { ourWork } from "./models.ts";
import { integerNetwork } from "./networks.ts";
import { PEAK_MACS, peakWork } from "./peak.ts";
import { type BenchRow, round, timeRow } from "./row.ts";

/** 3x3: input size and channels, output channels, stride. */
const LAYERS = [
  { size: 32, inputDepth: 16, outputDepth: 16, stride: 1 },
  { size: 16, inputDepth: 32, outputDepth: 32, stride: 1 },
  { size: 8, inputDepth: 64, outputDepth: 64, stride: 1 },
  { size: 8, inputDepth: 128, outputDepth: 128, stride: 1 },
  { size: 32, inputDepth: 16, outputDepth: 32, stride: 2 },
  { size: 16, inputDepth: 32, outputDepth: 64, stride: 2 },
  { size: 16, inputDepth: 64, outputDepth: 128, stride: 2 },
] as const;
type Layer = (typeof LAYERS)[number];

const scattered = (count: number, span: number) =>
  Int8Array.from({ length: count }, (_, i) => ((Math.imul(i, 2654435761) >>> 8) % span) - (span >> 1));

function layerArgs({ size, inputDepth, outputDepth, stride }: Layer, weightBits: 8 | 4): Conv2dArgs {
  const output = size / stride;
  const weights = scattered(outputDepth * 9 * inputDepth, weightBits === 8 ? 255 : 15);
  return {
    requantizer: "float-even",
    scale: new Float32Array(outputDepth).fill(0.0017),
    ...{ inputHeight: size, inputWidth: size, inputDepth },
    ...{ outputHeight: output, outputWidth: output, outputDepth },
    ...{ filterHeight: 3, filterWidth: 3, strideHeight: stride, strideWidth: stride },
    ...{ dilationHeight: 1, dilationWidth: 1, groups: 1 },
    padTop: stride === 1 ? 1 : 0,
    padLeft: stride === 1 ? 1 : 0,
    ...{ inputOffset: 5, outputOffset: -5, activationMin: -5, activationMax: 127 },
    weightBits,
    filter: weightBits === 8 ? weights : packInt4(weights),
    bias: new Int32Array(outputDepth).fill(100),
  };
}

function layerWork(kernels: Kernels, args: Conv2dArgs): Work {
  const step = OPS.CONV_2D.prepare(kernels, args);
  const [input, output, scratch] = [step.inputBytes, step.outputBytes, step.scratchBytes].map(
    kernels.allocate,
  );
  step.bind({ input, output, scratch });
  return { run: () => step.run(1) };
}

/** The bound is i32x4.dot_i16x8_s with its sum from registers; 3x3 filters at stride 1 need fewer products than they say. */
async function benchConvolutions(): Promise<BenchRow[]> {
  const kernels = await bindKernels(await loadKernelModule());
  const args = LAYERS.map((layer) => layerArgs(layer, 8));
  const works = args.map((each) => layerWork(kernels, each));
  const [peak, ...times] = await compareWorks([await peakWork(), ...works], { warmMs: 300 });
  const bound = PEAK_MACS / peak.median / 1e6;
  return times.map((time, i): BenchRow => {
    const { median, spread, rounds } = time;
    const { size, inputDepth, outputDepth, stride } = LAYERS[i];
    const speed = OPS.CONV_2D.macs(args[i]) / median / 1e6;
    return {
      section: "kernels",
      work: `int8 3x3/${stride}, ${size}x${size}, ${inputDepth} to ${outputDepth} channels`,
      value: round(speed, 3),
      spread: round((speed * spread) / median, 2),
      rounds,
      unit: "GMAC/s",
      peer: { name: "dot_i16x8_s peak", value: round(bound, 3) },
      ratio: round((pairedRatio(peak, time) * OPS.CONV_2D.macs(args[i])) / PEAK_MACS, 3),
      target: 0.75,
    };
  });
}

/** Profiles whose int4 layers have the arithmetic of their int8 ones: one rounds twice, one once. XNNPACK's do not. */
const INT4_PROFILES = ["stm32l4r5-cmsis-nn", "ethos-u85-tosa"] as const;

async function benchInt4(): Promise<BenchRow[]> {
  const networks = [integerNetwork("resnet8", 4), integerNetwork("resnet8", 8)];
  const rows: BenchRow[] = [];
  for (const profile of INT4_PROFILES) {
    const works = await Promise.all(networks.map((network) => ourWork(network, profile, 1)));
    const [time, other] = await compareWorks(works, { rounds: 41 });
    const row = { section: "kernels", work: `resnet8, ${profile}, int4 weights`, target: 0.95 };
    rows.push(timeRow(row, time, "int8 weights", other));
  }
  const kernels = await bindKernels(await loadKernelModule());
  const constants = ([4, 8] as const).map((bits) =>
    LAYERS.reduce(
      (sum, layer) => sum + OPS.CONV_2D.prepare(kernels, layerArgs(layer, bits)).constantBytes,
      0,
    ),
  );
  rows.push({
    section: "kernels",
    work: "constants of the layers above, int4",
    value: constants[0],
    unit: "bytes",
    peer: { name: "int8", value: constants[1] },
    ratio: round(constants[1] / constants[0], 3),
    target: 1.9,
  });
  return rows;
}

const PIXELS = 1024;

/** Accumulators of up to 20 bits by one panel of eight channels, their right shifts in two sizes (0 for wrap-sixteen). */
function requantizerArgs(requantizer: RequantizerName): Requantization {
  const shift = Int32Array.from({ length: PANEL_LANES }, (_, i) =>
    requantizer === "wrap-sixteen" ? 0 : -7 - (i & 1),
  );
  const multiplier = new Int32Array(PANEL_LANES).fill(requantizer === "sixteen-bit" ? 23170 : 1518500250);
  return {
    requantizer,
    shift,
    multiplier,
    scale: new Float32Array(PANEL_LANES).fill(0.0017),
  } as Requantization;
}

function requantizerWork(kernels: Kernels, args: Requantization): Work {
  const { form, rightShift } = chooseForm(args, 2 ** 20);
  const input = kernels.place(
    scattered(PIXELS * PANEL_LANES * 4, 255).map((v, i) =>
      (i & 3) === 3 ? v >> 7 : (i & 3) === 2 ? v >> 4 : v,
    ),
  );
  const params = writeParams(kernels, "Requantized", {
    requantizer: form.id,
    rightShift,
    panels: kernels.place(packPanels(form, args, rightShift, null, { groups: 1, groupDepth: PANEL_LANES })),
    batches: PIXELS,
    input,
    output: kernels.allocate(PIXELS * PANEL_LANES),
    ...{ outputOffset: 3, activationMin: -128, activationMax: 127 },
  });
  return { run: () => kernels.exports.requantize_panel_s8(params) };
}

async function benchRequantizers(): Promise<BenchRow[]> {
  const names = new Set(FORMS.map(({ requantizer }) => requantizer).filter((name) => name !== "none"));
  const builds = await Promise.all(
    (["simd", "scalar"] as const).map(async (build) => bindKernels(await loadKernelModule(build))),
  );
  const works = [...names].flatMap((name) =>
    builds.map((kernels) => requantizerWork(kernels, requantizerArgs(name))),
  );
  const times = await compareWorks(works, { warmMs: 60, roundMs: 4 });
  return [...names].map((name, i): BenchRow => {
    const [ours, scalar] = times.slice(2 * i, 2 * i + 2);
    const nanoseconds = (ms: number) => round((ms * 1e6) / PIXELS / PANEL_LANES, 3);
    return {
      section: "requantizers",
      work: name,
      value: nanoseconds(ours.median),
      spread: nanoseconds(ours.spread),
      rounds: ours.rounds,
      unit: "ns a value",
      peer: { name: "scalar build", value: nanoseconds(scalar.median), spread: nanoseconds(scalar.spread) },
      ratio: round(pairedRatio(scalar, ours), 3),
      target: 4,
    };
  });
}

export const benchKernels = async () => [
  ...(await benchConvolutions()),
  ...(await benchInt4()),
  ...(await benchRequantizers()),
];
