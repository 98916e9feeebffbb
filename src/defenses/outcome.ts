import type { Figure, Outcome } from "./defense.ts";
import type { Passes } from "./passes.ts";

/** Beginning of a decision: everything but the verdict. */
export interface Findings {
  reason: string;
  score: number;
  flagged: number[];
  /** Undefined, null and non-finite values are left out: what cannot be measured has no entry. */
  measures: Record<string, number | null | undefined>;
  figures: Figure[];
  perClass?: number[];
}

function known(measures: Findings["measures"]): Record<string, number> {
  const entries = Object.entries(measures).filter(([, value]) => Number.isFinite(value));
  return Object.fromEntries(entries) as Record<string, number>;
}

export function decided(findings: Findings, threshold: number, passes: Passes): Outcome {
  const verdict = findings.score > threshold ? "detected" : "not detected";
  return { verdict, ...findings, measures: known(findings.measures), passes };
}

/** The defense could not work on this subject: neither "clean" nor "infected". */
export function notRunnable(reason: string, passes: Passes, seen: Partial<Findings> = {}): Outcome {
  return {
    verdict: "not runnable",
    reason,
    score: null,
    flagged: [],
    measures: known(seen.measures ?? {}),
    figures: seen.figures ?? [],
    passes,
  };
}

/** `value` with this many decimals: figures hold what is drawn. */
export function rounded(value: number, decimals: number): number {
  const scale = Number(`1e${decimals}`);
  return Math.round(value * scale) / scale;
}
