/** Estimates beside what MLPerf Tiny measured: how far the latency model can be trusted. */
import type { Profile } from "../profile/schema.ts";
import { estimateLatency } from "./estimate.ts";
import { MLPERF_TINY } from "./mlperfTiny.ts";

export interface LatencyRow {
  device: string;
  /** The engine that was measured; null where nothing was. */
  engine: string | null;
  network: keyof typeof MLPERF_TINY;
  publishedMs: number | null;
  estimatedMs: number | null;
  /** Estimated over published. */
  ratio: number | null;
}

const NETWORKS = Object.keys(MLPERF_TINY) as LatencyRow["network"][];
const round = (value: number) => Number(value.toPrecision(4));

/** A row for every device, engine and network that was measured or can be estimated. */
export function latencyTable(profiles: Iterable<Profile>): LatencyRow[] {
  return [...profiles].flatMap(({ id: device, compute }) => {
    const engines = compute.measured ?? [{ engine: null, inferencesPerSecond: {} }];
    return engines.flatMap(({ engine, inferencesPerSecond }) =>
      NETWORKS.flatMap((network) => {
        const rate = (inferencesPerSecond as Partial<Record<typeof network, number>>)[network];
        const estimate = estimateLatency(MLPERF_TINY[network](), { compute });
        const publishedMs = rate === undefined ? null : round(1000 / rate);
        const estimatedMs = estimate && round(estimate.milliseconds);
        if (publishedMs === null && estimatedMs === null) return [];
        const ratio = publishedMs && estimatedMs && round(estimatedMs / publishedMs);
        return [{ device, engine, network, publishedMs, estimatedMs, ratio: ratio || null }];
      }),
    );
  });
}
