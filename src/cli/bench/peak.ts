/** What the machine can do at most: i32x4.dot_i16x8_s with its sums in registers (assembly/bench.ts). */
import { loadBenchModule } from "../wasm.ts";
import type { Work } from "./measure.ts";

const ROUNDS = 100_000;
const MACS_A_ROUND = 96;

/** Multiply-accumulates of one run of peakWork. */
export const PEAK_MACS = ROUNDS * MACS_A_ROUND;

export async function peakWork(): Promise<Work> {
  const env = { memory: new WebAssembly.Memory({ initial: 1 }), abort() {} };
  const { exports } = await WebAssembly.instantiate(await loadBenchModule(), { env });
  const { dot_peak } = exports as unknown as { dot_peak(rounds: number): number };
  return { run: () => dot_peak(ROUNDS) };
}
