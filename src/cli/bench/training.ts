/** Training and gradients of the float side (src/float/bench.ts), beside PyTorch. */
import { startBackend } from "../../float/backend.ts";
import { benchFloat, type FloatBenchRow } from "../../float/bench.ts";
import { loadTrainModule } from "../wasm.ts";
import { cpuMilliseconds, pairedRatio, summarize } from "./measure.ts";
import { startPyTorch } from "./pytorch.ts";
import { type BenchRow, round } from "./row.ts";

/** images/s a core that a work must reach; PyTorch's, where it is installed, for the eye. */
const TARGETS: Record<string, number> = { train: 300, "input gradient": 450 };

/** Works that PyTorch does beside us. */
const SHARED: ReadonlySet<string> = new Set(["train", "input gradient", "inference"]);

export async function benchTraining(): Promise<BenchRow[]> {
  const pytorch = await startPyTorch();
  const peer = async (work: string) => (pytorch && SHARED.has(work) ? pytorch.run(work) : null);
  const backend = await startBackend(await loadTrainModule());
  const rows = await benchFloat(backend, { clock: cpuMilliseconds, peer });
  pytorch?.close();
  const name = pytorch ? `PyTorch ${pytorch.version}` : "PyTorch";
  return rows.flatMap((row) => benchRow(row, name));
}

/** What must be reached, and the row beside the peer where it does the work. */
function benchRow({ name, batch, ms, peerMs }: FloatBenchRow, peerName: string): BenchRow[] {
  const speed = (times: readonly number[]) => {
    const { median, spread } = summarize(times.map((time) => (1000 * batch) / time));
    return { value: round(median, 3), spread: round(spread, 2) };
  };
  const row: BenchRow = {
    section: "training",
    work: `resnet8 float32, ${name}, batch ${batch}`,
    ...speed(ms),
    rounds: ms.length,
    unit: "images/s",
    ...(name in TARGETS && { target: TARGETS[name] }),
  };
  if (peerMs.length === 0) return [row];
  const ratio = round(pairedRatio(summarize(peerMs), summarize(ms)), 3);
  const { target: _, ...beside } = row;
  return [row, { ...beside, peer: { name: peerName, ...speed(peerMs) }, ratio }];
}
