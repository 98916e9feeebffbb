/** One line of the bench: what was measured, and beside what. */
import { pairedRatio, type Timing } from "./measure.ts";

export interface BenchRow {
  section: string;
  work: string;
  /** In `unit`. */
  value: number;
  /** Between the quartiles of the rounds, in `unit`; left out where there is one value. */
  spread?: number;
  rounds?: number;
  unit: string;
  /** What it is held against. value: in the same unit; left out where it is not installed, and `why` says so. */
  peer?: { name: string; value?: number; spread?: number; why?: string };
  /** How many times as good as the peer, or as the peer's bound. */
  ratio?: number;
  /** The ratio (or without a peer the value) that it must have; a value that must be at most this where `atMost`. */
  target?: number;
  atMost?: true;
}

export const round = (value: number, digits = 4) => Number(value.toPrecision(digits));

/** A row of two times a run, the first ours; runs, peerRuns: images that each run has. */
export function timeRow(
  row: Pick<BenchRow, "section" | "work" | "target">,
  ours: Timing,
  name: string,
  peer: Timing | string,
  runs = 1,
  peerRuns = 1,
): BenchRow {
  const scaled = ({ median, spread }: Timing, images: number) => ({
    value: round(median / images),
    spread: round(spread / images, 2),
  });
  const base = { ...row, ...scaled(ours, runs), rounds: ours.rounds, unit: "ms an image" };
  if (typeof peer === "string") return { ...base, peer: { name, why: peer } };
  return {
    ...base,
    peer: { name, ...scaled(peer, peerRuns) },
    ratio: round((pairedRatio(peer, ours) * runs) / peerRuns, 3),
  };
}

/** Whether a row has what it must have; undefined where nothing is asked of it. */
export function met({ target, ratio, value, peer, atMost }: BenchRow): boolean | undefined {
  if (target === undefined) return undefined;
  const found = peer === undefined ? value : ratio;
  if (found === undefined) return undefined;
  return atMost ? found <= target : found >= target;
}
