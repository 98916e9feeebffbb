import { availableParallelism, cpus } from "node:os";
import type { Command } from "commander";
import { ARCHITECTURES } from "../../float/architectures.ts";
import { startBackend } from "../../float/backend.ts";
import { benchFloat } from "../../float/bench.ts";
import { foldBatchNorm } from "../../float/fold.ts";
import { benchConvolutions } from "../../kernels/bench.ts";
import { bindKernels } from "../../kernels/module.ts";
import { compile, type Plan } from "../../model/compile.ts";
import { quantizeStatic } from "../../quantize/ptq.ts";
import { activationQuantization } from "../../quantize/uniform.ts";
import { seededRandom } from "../../random.ts";
import { print } from "../io.ts";
import { findProfile } from "../profiles.ts";
import { loadKernelModule, loadTrainModule } from "../wasm.ts";

const ROUNDS = 21;
const IMAGES = 32;
const PROFILES = ["stm32l4r5-cmsis-nn", "android-litert-xnnpack"];

export function add(program: Command): void {
  program
    .command("bench")
    .description("speed of kernels, models and training on this machine, in CPU time of one thread")
    .option("--json", "machine-readable")
    .action(bench);
}

/** Milliseconds of CPU time of this process: steadier than wall time on a shared machine. */
function cpuMilliseconds(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
}

function median(values: number[]): number {
  return values.toSorted((a, b) => a - b)[values.length >> 1];
}

async function bench({ json }: { json?: boolean }): Promise<void> {
  const machine = { cpu: cpus()[0].model, cores: availableParallelism(), node: process.version };
  const models = await benchModels();
  const convolutions = benchConvolutions(await bindKernels(await loadKernelModule()), () =>
    performance.now(),
  );
  const float = benchFloat(await startBackend(await loadTrainModule()), cpuMilliseconds);
  if (json) return print(JSON.stringify({ machine, models, convolutions, float }, null, 2));
  print(`${machine.cpu}, ${machine.cores} threads, node ${machine.node}; CPU time of one thread, medians\n`);
  print("ResNet-8, width 16, 32x32x3, integer, batch 32");
  for (const { profile, weights, msPerImage, overInt8 } of models)
    print(
      `  ${profile.padEnd(24)} ${weights}  ${msPerImage.toFixed(3)} ms/image  (${overInt8.toFixed(2)} x its int8)`,
    );
  print("\nconvolutions of ResNet-8, wall time, best of the rounds");
  for (const { layer, requantizer, weightBits, macs, microseconds } of convolutions)
    print(
      `  ${requantizer.padEnd(14)} int${weightBits}  ${layer.padEnd(26)} ${microseconds.toFixed(0).padStart(6)} us  ${(macs / microseconds / 1000).toFixed(1).padStart(5)} GMAC/s`,
    );
  print("\nResNet-8, width 16, float32, batch 32");
  for (const { name, imagesPerSecond } of float)
    print(`  ${name.padEnd(16)} ${imagesPerSecond.toFixed(0).padStart(6)} images/s`);
}

async function benchModels() {
  const images = Int8Array.from({ length: IMAGES * 3072 }, (_, i) => ((i * 89) % 256) - 128);
  const rows = await Promise.all(
    PROFILES.flatMap((profile) =>
      ([8, 4] as const).map(async (bits) => ({
        profile,
        bits,
        plan: await resnet8(profile, bits),
        times: [] as number[],
      })),
    ),
  );
  for (let round = -3; round < ROUNDS; round++)
    for (const { plan, times } of rows) {
      const before = cpuMilliseconds();
      plan.run([images], IMAGES);
      if (round >= 0) times.push((cpuMilliseconds() - before) / IMAGES);
    }
  return rows.map(({ profile, bits, times }) => {
    const int8 = rows.find((other) => other.profile === profile && other.bits === 8)!;
    return {
      profile,
      weights: `int${bits}`,
      msPerImage: median(times),
      overInt8: median(times) / median(int8.times),
    };
  });
}

async function resnet8(profile: string, weightBits: 8 | 4): Promise<Plan> {
  const float = ARCHITECTURES.resnet8(10, { height: 32, width: 32, channels: 3, random: seededRandom(1) });
  const range = activationQuantization(-3, 3);
  const graph = quantizeStatic(foldBatchNorm(float), () => range, { weightBits, granularity: "per-channel" });
  return compile(graph, await findProfile(profile), await bindKernels(await loadKernelModule()));
}
