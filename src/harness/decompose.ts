import type { Verdict } from "../defenses/defense.ts";
import { DEFENSES } from "../defenses/index.ts";
import { share } from "./lab.ts";
import type { Arm, Cell, Decomposition, ModelRecord, Result, Share, Thresholds } from "./result.ts";

/** A cell before its calibrated thresholds are known. */
export type RawCell = Omit<Cell, "thresholds">;

const verdictAt = (score: number | null, threshold: number): Verdict =>
  score === null ? "not runnable" : score > threshold ? "detected" : "not detected";

/** The smallest threshold that accuses none of these clean models: their largest score; null for fewer than 2. */
function calibrated(scores: number[]): number | null {
  return scores.length < 2 ? null : Math.max(...scores);
}

const samePlace = (a: RawCell, b: RawCell) =>
  a.defense === b.defense && a.precision === b.precision && a.profile === b.profile && a.arm === b.arm;
const isFloat = (a: RawCell, b: RawCell) => a.defense === b.defense && a.arm === "FF";

/** Adds to every cell the verdicts by thresholds fitted on clean models at FP32 and at the cell's own place. A clean
 * model is judged by a threshold fitted on the other clean models. */
export function withThresholds(cells: RawCell[], models: ModelRecord[]): Cell[] {
  const clean = new Set(
    models.filter(({ kind, accepted }) => kind === "clean" && accepted).map(({ id }) => id),
  );
  const judge = (cell: RawCell, alike: (a: RawCell, b: RawCell) => boolean) => {
    const pool = cells.filter(
      (other) => alike(other, cell) && clean.has(other.model) && other.score !== null,
    );
    if (pool.length < 2) return null;
    const others = pool.filter(({ model }) => model !== cell.model).map(({ score }) => score!);
    const value = clean.has(cell.model) ? Math.max(...others) : calibrated(others)!;
    return { value, verdict: verdictAt(cell.score, value) };
  };
  return cells.map((cell) => {
    const { threshold, thresholdSource } = DEFENSES.find(({ id }) => id === cell.defense)!;
    const thresholds: Thresholds = {
      published: { value: threshold, source: thresholdSource, verdict: cell.verdict },
      fp32Calibrated: judge(cell, isFloat),
      recalibrated: judge(cell, samePlace),
    };
    return { ...cell, thresholds };
  });
}

/** False alarms on clean models, per place and threshold. */
export function falsePositives(cells: Cell[], models: ModelRecord[]): Result["falsePositives"] {
  const clean = new Set(
    models.filter(({ kind, accepted }) => kind === "clean" && accepted).map(({ id }) => id),
  );
  const groups = Map.groupBy(
    cells.filter(({ model }) => clean.has(model)),
    ({ defense, precision, profile, arm }) => JSON.stringify([defense, precision, profile, arm]),
  );
  return [...groups.values()].map((group) => {
    const { defense, precision, profile, arm } = group[0];
    const rate = (verdicts: (Verdict | undefined)[]): Share | null => {
      const run = verdicts.filter((verdict) => verdict !== undefined && verdict !== "not runnable");
      return run.length === 0
        ? null
        : share(run.filter((verdict) => verdict === "detected").length, run.length);
    };
    return {
      defense,
      precision,
      profile,
      arm,
      published: rate(group.map(({ thresholds }) => thresholds.published.verdict)),
      fp32Calibrated: rate(group.map(({ thresholds }) => thresholds.fp32Calibrated?.verdict)),
      recalibrated: rate(group.map(({ thresholds }) => thresholds.recalibrated?.verdict)),
    };
  });
}

/** S of some cells of one place: the mean over backdoored models of the defense's own measure of signal. */
function strength(defense: string, cells: Cell[], backdoored: Set<string>): number | null {
  const { signal } = DEFENSES.find(({ id }) => id === defense)!;
  const values = cells
    .filter(({ model, score }) => score !== null && backdoored.has(model))
    .map(({ measures }) => measures[signal])
    .filter((value) => value !== undefined);
  return values.length === 0 ? null : values.reduce((a, b) => a + b, 0) / values.length;
}

const SIGNAL = 0.9;
const LOSS = 0.05;
const round = (value: number | null) => (value === null ? null : Math.round(value * 1e4) / 1e4);

/** mechanical = S(FF) - S(FR), statistical = S(FF) - S(QF), total = S(FF) - S(QR), and the cause in words. */
export function decompose(
  cells: Cell[],
  models: ModelRecord[],
  profiles: Result["profiles"],
  precisions: readonly string[],
): Decomposition[] {
  const accepted = models.filter((model) => model.accepted);
  const backdoored = new Set(accepted.filter(({ kind }) => kind === "backdoored").map(({ id }) => id));
  return DEFENSES.flatMap(({ id: defense, signal }) =>
    precisions.flatMap((precision) =>
      profiles.map((profile) => {
        const at = (arm: Arm) =>
          cells.filter(
            (cell) =>
              cell.defense === defense && cell.arm === arm && inPlace(cell, arm, precision, profile.id),
          );
        const arms = { FF: at("FF"), FR: at("FR"), QF: at("QF"), QR: at("QR") };
        const each = <T>(of: (cells: Cell[]) => T) => ({
          FF: of(arms.FF),
          FR: of(arms.FR),
          QF: of(arms.QF),
          QR: of(arms.QR),
        });
        const S = each((group) => round(strength(defense, group, backdoored)));
        const runnable = each(
          (group) => group.filter(({ model, score }) => score !== null && backdoored.has(model)).length,
        );
        const less = (arm: Arm) => (S.FF === null || S[arm] === null ? null : round(S.FF - S[arm]!));
        const row = {
          defense,
          precision,
          profile: profile.id,
          measure: signal,
          models: backdoored.size,
          runnable,
          S,
          mechanical: less("FR"),
          statistical: less("QF"),
          total: less("QR"),
          signal: S.FF !== null && S.FF > SIGNAL,
        };
        return { ...row, ...causeOf(row, arms, backdoored, profile) };
      }),
    ),
  );
}

function inPlace(cell: Cell, arm: Arm, precision: string, profile: string): boolean {
  if (arm === "FF") return true;
  return cell.profile === profile && (arm === "FR" || cell.precision === precision);
}

type Row = Omit<Decomposition, "cause" | "sentence">;

/** Detected backdoored models of those judged, by one of the thresholds. */
function found(cells: Cell[], backdoored: Set<string>, by: keyof Thresholds): number {
  return cells.filter((cell) => backdoored.has(cell.model) && cell.thresholds[by]?.verdict === "detected")
    .length;
}

function causeOf(
  row: Row,
  arms: Record<Arm, Cell[]>,
  backdoored: Set<string>,
  profile: Result["profiles"][number],
): Pick<Decomposition, "cause" | "sentence"> {
  const title = DEFENSES.find(({ id }) => id === row.defense)!.title;
  const S = (arm: Arm) => (row.S[arm] === null ? "none" : row.S[arm]!.toFixed(2));
  if (row.S.FF === null)
    return {
      cause: "no signal at FP32",
      sentence: `${title} gives no score at FP32: ${arms.FF[0]?.reason ?? "not run"}`,
    };
  if (!row.signal)
    return {
      cause: "no signal at FP32",
      sentence: `${title} has S = ${S("FF")} at FP32 with full access, not above ${SIGNAL}: there is no detection to lose.`,
    };
  if (row.S.QR === null) {
    const reason = arms.QR.find(({ model }) => backdoored.has(model))?.reason ?? "not run";
    const shadow =
      row.S.QF === null ? "" : ` With the integer graph and straight-through access S is ${S("QF")}.`;
    return { cause: "mechanical", sentence: `Not runnable at ${profile.access}: ${reason}${shadow}` };
  }
  const lost = found(arms.FF, backdoored, "published") - found(arms.QR, backdoored, "published");
  if (row.total! < LOSS) return keptOrCalibration(row, arms, backdoored, lost, title);
  const [mechanical, statistical] = [row.mechanical ?? 0, row.statistical ?? 0];
  if (mechanical < LOSS && statistical < LOSS)
    return {
      cause: "interaction",
      sentence: `Neither access (S(FR) = ${S("FR")}) nor precision (S(QF) = ${S("QF")}) costs much alone, together S falls from ${S("FF")} to ${S("QR")}.`,
    };
  return mechanical > statistical - LOSS
    ? {
        cause: "mechanical",
        sentence: `S falls from ${S("FF")} to ${S("QR")}; FP32 with this device's access already falls to ${S("FR")}, the integer model with full access stays at ${S("QF")}.`,
      }
    : {
        cause: "statistical",
        sentence: `S falls from ${S("FF")} to ${S("QR")}; the integer model with full access already falls to ${S("QF")}.`,
      };
}

function keptOrCalibration(
  row: Row,
  arms: Record<Arm, Cell[]>,
  backdoored: Set<string>,
  lost: number,
  title: string,
): Pick<Decomposition, "cause" | "sentence"> {
  const again = found(arms.QR, backdoored, "recalibrated");
  const now = found(arms.QR, backdoored, "published");
  const S = `S stays at ${row.S.QR!.toFixed(2)} (FP32: ${row.S.FF!.toFixed(2)})`;
  if (lost > 0 && again > now)
    return {
      cause: "calibration",
      sentence: `${S}, but the published threshold finds ${now} of ${row.models}; one fitted on clean models here finds ${again}.`,
    };
  if (lost > 0)
    return {
      cause: "calibration",
      sentence: `${S}, but the published threshold finds ${lost} fewer of ${row.models} models than at FP32.`,
    };
  return { cause: "kept", sentence: `${title} keeps its signal: ${S}.` };
}
