/** Training and gradients of the float side (src/float/bench.ts). */
import { startBackend } from "../../float/backend.ts";
import { benchFloat } from "../../float/bench.ts";
import { loadTrainModule } from "../wasm.ts";
import { cpuMilliseconds } from "./measure.ts";
import { type BenchRow, round } from "./row.ts";

/** images/s a core that a work must reach. */
const TARGETS: Record<string, number> = { train: 300, "input gradient": 450 };

export async function benchTraining(): Promise<BenchRow[]> {
  const rows = benchFloat(await startBackend(await loadTrainModule()), cpuMilliseconds);
  return rows.map(({ name, batch, imagesPerSecond, rounds }) => ({
    section: "training",
    work: `resnet8 float32, ${name}, batch ${batch}`,
    value: round(imagesPerSecond, 3),
    rounds,
    unit: "images/s",
    ...(name in TARGETS && { target: TARGETS[name] }),
  }));
}
