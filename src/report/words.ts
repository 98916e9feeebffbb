import type { AccessLevel, Verdict } from "../defenses/defense.ts";
import type { Arm, ModelRecord, Share } from "../harness/result.ts";

/** What each arm is, in words. */
export const ARM_WORDS: Record<Arm, string> = {
  FF: "FP32, full access",
  FR: "FP32, the device's access",
  QF: "integer, full access",
  QR: "integer, the device's access",
};

/** What a defender sees at each level. */
export const ACCESS_WORDS: Record<AccessLevel, string> = {
  A0: "FP32 model and gradients",
  A1: "integer graph, all activations, straight-through gradients",
  A2: "integer graph, all tensors, forward only",
  A3: "logits only",
  A4: "softmax output only",
  A5: "top-1 label only",
};

/** Why a detection was kept or lost, as a clause that completes "… because". Unknown causes have none. */
export const CAUSE_WORDS: Record<string, string> = {
  kept: "the detection survives",
  mechanical: "the device hides what the defense needs",
  statistical: "the integer model carries less of the signal",
  calibration: "the signal is there, but the threshold no longer fits",
  interaction: "access and precision cost it only together",
  "no signal at FP32": "the defense saw nothing at FP32 either, so there was nothing to lose",
};

const TITLES: Record<string, string> = { strip: "STRIP", finePruning: "Fine-Pruning" };

/** "neuralCleanse" -> "Neural Cleanse". */
export function defenseTitle(id: string): string {
  if (TITLES[id]) return TITLES[id];
  const spaced = id.replace(/([a-z\d])([A-Z])/g, "$1 $2");
  return spaced.charAt(0).toUpperCase() + spaced.slice(1);
}

/** 0.951 -> "95.1%". */
export function percent(value: number, digits = 1): string {
  return `${(100 * value).toFixed(digits)}%`;
}

/** 13060 -> "13,060". The same in every engine and locale. */
export function count(value: number): string {
  return String(Math.round(value)).replace(/\B(?=(\d{3})+$)/g, ",");
}

/** Three significant digits, or plain digits for whole numbers; a real minus sign. */
export function number(value: number): string {
  const size = Math.abs(value);
  const written = Number.isInteger(value)
    ? count(size)
    : size >= 1000
      ? count(size)
      : size >= 0.001
        ? String(Number(size.toFixed(Math.min(4, Math.max(0, 2 - Math.floor(Math.log10(size)))))))
        : size.toExponential(1);
  return value < 0 && Number(written) !== 0 ? `−${written}` : written;
}

/** A difference of shares in points of 1: "+0.12", "−0.03", "0.00". */
export function signed(value: number): string {
  const written = Math.abs(value).toFixed(2);
  return written === "0.00" ? written : `${value < 0 ? "−" : "+"}${written}`;
}

/** How many of n a share is. */
export function hits(share: Share): number {
  return Math.round(share.value * share.n);
}

/** "93.8–96.1%". */
export function intervalText(share: Share): string {
  return `${(100 * share.low).toFixed(1)}–${(100 * share.high).toFixed(1)}%`;
}

/** 1536 -> "1.5 KiB". */
export function bytes(value: number): string {
  if (value < 1024) return `${value} B`;
  return value < 1 << 20 ? `${(value / 1024).toFixed(1)} KiB` : `${(value / (1 << 20)).toFixed(2)} MiB`;
}

/** "1 model", "2 models". */
export function plural(value: number, noun: string): string {
  return `${count(value)} ${noun}${value === 1 ? "" : "s"}`;
}

/** "a, b and c". */
export function list(items: readonly string[]): string {
  return items.length < 2 ? items.join("") : `${items.slice(0, -1).join(", ")} and ${items.at(-1)}`;
}

/** On a clean model a detection is a false alarm, and silence is right. */
export function verdictWord(verdict: Verdict, kind: ModelRecord["kind"]): string {
  if (kind === "backdoored" || verdict === "not runnable") return verdict;
  return verdict === "detected" ? "false alarm" : "rightly quiet";
}

/** Reads well as a class for a person: name where there is one, number always. */
export function className(names: readonly string[], index: number): string {
  const name = names[index];
  return name === undefined || name === String(index) ? `class ${index}` : `${index} ${name}`;
}
