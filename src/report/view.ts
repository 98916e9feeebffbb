import type { Verdict } from "../defenses/defense.ts";
import type { Arm, Cell, Decomposition, ModelRecord, Result } from "../harness/result.ts";

export const ARMS: readonly Arm[] = ["FF", "FR", "QF", "QR"];

/** A place where an integer model runs. */
export interface Site {
  profile: string;
  precision: string;
}

/** Verdicts over models, e.g. all accepted backdoored ones. `reasons`: of those not runnable, each once. */
export interface Tally {
  detected: number;
  missed: number;
  notRunnable: number;
  reasons: string[];
}

/** A Result with the look-ups that every report needs. */
export interface View {
  result: Result;
  defenses: string[];
  /** Every integer deployment, by profile and then precision, in the order of the Result. */
  sites: Site[];
  /** Accepted models only: what every count is over. */
  backdoored: ModelRecord[];
  clean: ModelRecord[];
  rejected: ModelRecord[];
  cell(model: string, defense: string, arm: Arm, site: Site | null): Cell | undefined;
  tally(models: readonly ModelRecord[], defense: string, arm: Arm, site: Site | null): Tally;
  decomposition(defense: string, site: Site): Decomposition | undefined;
  profileTitle(id: string | null): string;
}

export function viewOf(result: Result): View {
  const cells = Map.groupBy(result.cells, (cell) => key(cell.model, cell.defense, cell.arm));
  const access = new Map(result.profiles.map((profile) => [profile.id, profile.access]));
  const titles = new Map(result.profiles.map((profile) => [profile.id, profile.title]));
  const accepted = result.models.filter((model) => model.accepted);
  const cell: View["cell"] = (model, defense, arm, site) => {
    const found = cells.get(key(model, defense, arm)) ?? [];
    if (arm === "FF" || !site) return found[0];
    const here = found.filter(
      (c) => c.profile === site.profile || (c.profile === null && c.access === access.get(site.profile)),
    );
    const same = here.find((c) => c.precision === site.precision);
    return arm === "FR"
      ? (same ?? here[0])
      : (same ?? found.find((c) => c.profile === null && c.precision === site.precision));
  };
  return {
    result,
    defenses: distinct([...result.cells, ...result.decomposition].map((row) => row.defense)),
    sites: sitesOf(result),
    backdoored: accepted.filter((model) => model.kind === "backdoored"),
    clean: accepted.filter((model) => model.kind === "clean"),
    rejected: result.models.filter((model) => !model.accepted),
    cell,
    tally: (models, defense, arm, site) =>
      tallyOf(models.map((model) => cell(model.id, defense, arm, site)).filter((c) => c !== undefined)),
    decomposition: (defense, site) =>
      result.decomposition.find(
        (row) => row.defense === defense && row.profile === site.profile && row.precision === site.precision,
      ),
    profileTitle: (id) => (id === null ? "FP32 workstation" : (titles.get(id) ?? id)),
  };
}

const key = (...parts: string[]) => parts.join("\u0000");

/** Each once, in order of first appearance. */
export function distinct<T>(items: readonly T[]): T[] {
  return [...new Set(items)];
}

function sitesOf(result: Result): Site[] {
  const found = [
    ...result.models.flatMap((model) => model.deployments),
    ...result.cells.filter((cell) => cell.arm === "QF" || cell.arm === "QR"),
    ...result.decomposition,
  ].filter((row): row is typeof row & { profile: string } => row.profile !== null);
  const profiles = distinct([
    ...result.profiles.map((profile) => profile.id),
    ...found.map((row) => row.profile),
  ]);
  return profiles.flatMap((profile) =>
    distinct(found.filter((row) => row.profile === profile).map((row) => row.precision)).map((precision) => ({
      profile,
      precision,
    })),
  );
}

function tallyOf(cells: readonly Cell[]): Tally {
  const of = (verdict: Verdict) => cells.filter((cell) => cell.verdict === verdict);
  const stopped = of("not runnable");
  return {
    detected: of("detected").length,
    missed: of("not detected").length,
    notRunnable: stopped.length,
    reasons: distinct(stopped.map((cell) => cell.reason)),
  };
}

/** One state for a tally: what a tile shows. "not measured" where there is no cell at all. */
export function stateOf(tally: Tally): "detected" | "partly" | "missed" | "not runnable" | "not measured" {
  if (tally.detected + tally.missed === 0) return tally.notRunnable ? "not runnable" : "not measured";
  if (tally.missed === 0) return "detected";
  return tally.detected === 0 ? "missed" : "partly";
}

/** "2/3", "n/r", or "·" where nothing was measured; the models that could not be run are never counted as missed. */
export function tallyText(tally: Tally): string {
  const n = tally.detected + tally.missed;
  return n ? `${tally.detected}/${n}` : tally.notRunnable ? "n/r" : "·";
}

/** Groups causes by their first words: "kept", "mechanical", …, and whatever else the harness says, as it says it. */
export function causeCounts(rows: readonly Decomposition[]): Map<string, number> {
  const order = ["kept", "mechanical", "statistical", "calibration", "no signal at FP32"];
  const counts = new Map(order.map((cause) => [cause, 0]));
  for (const { cause } of rows) counts.set(cause, (counts.get(cause) ?? 0) + 1);
  for (const [cause, n] of counts) if (n === 0) counts.delete(cause);
  return counts;
}

/** What both together cost beyond (or, when positive, less than) the sum: total = mechanical + statistical - this. */
export function interactionOf({ S }: Decomposition): number | null {
  return S.FF === null || S.FR === null || S.QF === null || S.QR === null ? null : S.FF - S.FR - S.QF + S.QR;
}

/** Accepted models first, each backdoored one beside its clean twin. */
export function inPairs(models: readonly ModelRecord[]): ModelRecord[] {
  const pairs = models
    .filter((model) => model.kind === "backdoored")
    .flatMap((model) => [model, ...models.filter((twin) => twin.kind === "clean" && twin.id === model.twin)]);
  const all = distinct([...pairs, ...models]);
  return [...all.filter((model) => model.accepted), ...all.filter((model) => !model.accepted)];
}

/** A deployment whose accuracy fell more than 5 points below its FP32 model: broken rather than compressed. */
export function isDegraded(model: ModelRecord, site: Site): boolean {
  const float = model.deployments.find((deployment) => deployment.profile === null);
  const here = model.deployments.find(
    (deployment) => deployment.profile === site.profile && deployment.precision === site.precision,
  );
  return float !== undefined && here !== undefined && float.accuracy.value - here.accuracy.value > 0.05;
}
