import { DEFENSES } from "../../defenses/index.ts";
import type { Arm } from "../result.ts";
import type { AuditCell, AuditDevice, Loss, Suspect } from "./result.ts";

/** A fall of S that counts. */
const LOSS = 0.05;

/** What became of each detection of the reference (FF where there is a float twin, else QF) on each device. Defenses that
 * detect nothing there have nothing to lose, and no entry. */
export function lossesOf(
  cells: readonly AuditCell[],
  devices: readonly AuditDevice[],
  suspect: Suspect | null,
): Loss[] {
  return DEFENSES.flatMap(({ id, signal }) =>
    devices
      .filter(({ deployed }) => deployed)
      .flatMap(({ profile, access }) => {
        const at = (arm: Arm) =>
          cells.find(
            (cell) => cell.defense === id && cell.arm === arm && (arm === "FF" || cell.profile === profile),
          );
        const reference: Arm = at("FF") ? "FF" : "QF";
        const first = at(reference);
        if (first?.verdict !== "detected") return [];
        const accused = suspect?.class ?? first.flagged[0];
        const S: Loss["S"] = {};
        for (const arm of ["FF", "FR", "QF", "QR"] as const) {
          const value = strength(at(arm), signal, accused);
          if (value !== null) S[arm] = Math.round(value * 1e4) / 1e4;
        }
        return [{ defense: id, profile, reference, S, ...causeOf({ access, reference, S, at }) }];
      }),
  );
}

/** How clearly the accused class stands out: the share of the other classes that are less suspicious, ties half; where the
 * defense judges triggered images, its own measure; null where it did not run. */
function strength(cell: AuditCell | undefined, signal: string, accused: number | undefined): number | null {
  if (!cell || cell.score === null) return null;
  const { perClass, measures } = cell;
  if (!perClass || accused === undefined) return measures[signal] ?? null;
  const others = perClass.filter((_, c) => c !== accused);
  const less = others.reduce(
    (sum, value) => sum + (value < perClass[accused] ? 1 : value === perClass[accused] ? 0.5 : 0),
    0,
  );
  return less / Math.max(1, others.length);
}

interface Case {
  access: string;
  reference: Arm;
  S: Loss["S"];
  at(arm: Arm): AuditCell | undefined;
}

function causeOf({ access, reference, S, at }: Case): Pick<Loss, "cause" | "sentence"> {
  const [device, first] = [at("QR"), at(reference)!];
  const where = reference === "FF" ? "the float twin" : "the integer model with everything visible";
  if (!device || device.score === null)
    return {
      cause: "mechanical",
      sentence: `detected on ${where}; not runnable at ${access}: ${device?.reason ?? "not run"}`,
    };
  const text = (arm: Arm) => (S[arm] === undefined ? "none" : S[arm].toFixed(2));
  const total = (S[reference] ?? 0) - (S.QR ?? 0);
  if (total < LOSS) {
    const scores = `score ${device.score.toFixed(2)} here, ${first.score!.toFixed(2)} on ${where}`;
    return device.verdict === "detected"
      ? { cause: "kept", sentence: `keeps its detection (${scores}).` }
      : {
          cause: "calibration",
          sentence: `the same class or trigger still stands out (S = ${text("QR")}), but no longer above the threshold of ${device.published.value} (${scores}).`,
        };
  }
  const fall = `how far the accused class or trigger stands out (S, 0 to 1) falls from ${text(reference)} on ${where} to ${text("QR")}`;
  if (reference === "QF")
    return { cause: "mechanical", sentence: `${fall} with what ${access} shows of the same integers.` };
  const [mechanical, statistical] = [S.FF! - (S.FR ?? 0), S.FF! - (S.QF ?? 0)];
  if (S.FR === undefined && S.QF === undefined)
    return { cause: "unknown", sentence: `${fall}; no other arm ran.` };
  if (mechanical < LOSS && statistical < LOSS)
    return {
      cause: "interaction",
      sentence: `${fall}: neither access (S(FR) = ${text("FR")}) nor precision (S(QF) = ${text("QF")}) costs much alone.`,
    };
  return mechanical > statistical - LOSS
    ? {
        cause: "mechanical",
        sentence: `${fall}; the float twin with this device's access already falls to ${text("FR")}, the integers with everything visible stay at ${text("QF")}.`,
      }
    : {
        cause: "statistical",
        sentence: `${fall}; the integers with everything visible already fall to ${text("QF")}.`,
      };
}
