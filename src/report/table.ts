import type { Verdict } from "../defenses/defense.ts";
import type { Arm, Decomposition, Deployment, ModelRecord, Result, Share } from "../harness/result.ts";
import { type Site, type View, viewOf } from "./view.ts";
import { defenseTitle, hits, percent, plural, signed } from "./words.ts";

const WIDTH = 100;
const LABEL = 22;
const COLUMN = 13;
const PER_BLOCK = 5;

type Paint = (text: string, colour: keyof typeof COLOURS) => string;
const COLOURS = { good: 32, bad: 31, off: 90, alarm: 35, strong: 1 } as const;

/**
 * A Result for a terminal of 100 columns: verdicts of every model on every deployment, what each loss is made of, and
 * false alarms. `color`: ANSI colours; every word and letter says the same without them.
 */
export function renderTable(result: Result, { color }: { color: boolean }): string {
  const view = viewOf(result);
  const paint: Paint = (text, colour) => (color ? `\u001b[${COLOURS[colour]}m${text}\u001b[0m` : text);
  return [
    ...blocks(view.defenses).flatMap((defenses) => verdictBlock(view, defenses, paint)),
    ...legend(),
    "",
    ...decompositionBlock(view, paint),
    "",
    ...falseAlarmBlock(view, paint),
    "",
  ].join("\n");
}

function blocks(defenses: string[]): string[][] {
  return Array.from({ length: Math.ceil(defenses.length / PER_BLOCK) }, (_, i) =>
    defenses.slice(i * PER_BLOCK, (i + 1) * PER_BLOCK),
  );
}

function legend(): string[] {
  return [
    "The word is the verdict on the device (QR) and the letters are FF (FP32, full access), FR (FP32, the",
    "device's access), QF (integer, full access): D detected, M missed, - not runnable (never a miss), on",
    "a clean model A false alarm and q rightly quiet. From FF to FR you see what access costs, from FF to",
    "QF what integer arithmetic costs.",
  ];
}

function verdictBlock(view: View, defenses: string[], paint: Paint): string[] {
  const heads = defenses.map((id) => twoLines(defenseTitle(id)));
  const line = (i: 0 | 1, label: string) =>
    `${pad(label, LABEL)}${i ? " acc%  ASR%" : "           "} ${heads.map((head) => pad(head[i], COLUMN)).join("")}`;
  return [
    paint(trimEnd(line(0, "")), "strong"),
    paint(trimEnd(line(1, "model, deployment")), "strong"),
    ...view.result.models.flatMap((model) => modelRows(view, model, defenses, paint)),
    "",
  ];
}

function modelRows(view: View, model: ModelRecord, defenses: string[], paint: Paint): string[] {
  const float = model.deployments.find((deployment) => deployment.profile === null);
  const sizes = float ? `; accuracy of n=${float.accuracy.n}, ASR of n=${float.attackSuccess.n}` : "";
  const title = `${model.id}: ${model.kind}${model.accepted ? "" : ", REJECTED"}${sizes}`;
  const row = (label: string, deployment: Deployment | undefined, site: Site | null) =>
    trimEnd(
      `${pad(label, LABEL)}${share(deployment?.accuracy)} ${share(deployment?.attackSuccess)} ${defenses
        .map((defense) => verdicts(view, model, defense, site, paint))
        .join("")}`,
    );
  const sites = (profile: string) => view.sites.filter((site) => site.profile === profile);
  return [
    paint(cut(title, WIDTH), "strong"),
    ...(model.accepted ? [] : [cut(`  rejected: ${model.rejection}`, WIDTH)]),
    row("  fp32, full access", float, null),
    ...view.result.profiles.flatMap((profile) => [
      ...(sites(profile.id).length ? [cut(`  ${profile.id} (${profile.access})`, WIDTH)] : []),
      ...sites(profile.id).map((site) => row(`    ${site.precision}`, deploymentAt(model, site), site)),
    ]),
  ];
}

function deploymentAt(model: ModelRecord, site: Site): Deployment | undefined {
  return model.deployments.find((d) => d.profile === site.profile && d.precision === site.precision);
}

function verdicts(view: View, model: ModelRecord, defense: string, site: Site | null, paint: Paint): string {
  const of = (arm: Arm) => view.cell(model.id, defense, arm, site)?.verdict;
  const shown = of(site ? "QR" : "FF");
  const [word, colour] = wordOf(shown, model.kind);
  const arms = site ? (["FF", "FR", "QF"] as const).map((arm) => letterOf(of(arm), model.kind)).join("") : "";
  return `${paint(word, colour)}${" ".repeat(9 - word.length)}${pad(arms, COLUMN - 9)}`;
}

function wordOf(verdict: Verdict | undefined, kind: ModelRecord["kind"]): [string, keyof typeof COLOURS] {
  if (verdict === undefined) return [".", "off"];
  if (verdict === "not runnable") return ["n/r", "off"];
  if (kind === "clean") return verdict === "detected" ? ["ALARM", "alarm"] : ["quiet", "good"];
  return verdict === "detected" ? ["detected", "good"] : ["missed", "bad"];
}

function letterOf(verdict: Verdict | undefined, kind: ModelRecord["kind"]): string {
  if (verdict === undefined) return ".";
  if (verdict === "not runnable") return "-";
  if (kind === "clean") return verdict === "detected" ? "A" : "q";
  return verdict === "detected" ? "D" : "M";
}

function decompositionBlock(view: View, paint: Paint): string[] {
  const rows = view.result.decomposition;
  if (rows.length === 0) return ["No decomposition: the run has no backdoored model that was accepted."];
  const head = `${pad("  profile, precision", 34)}  S(FF)  mechanical  statistical    total    n  cause`;
  return [
    paint(
      "What each loss is made of (S: the measure named, mean over n accepted backdoored models)",
      "strong",
    ),
    head,
    ...view.defenses.flatMap((defense) => {
      const own = rows.filter((row) => row.defense === defense);
      const measures = [...new Set(own.map((row) => row.measure))].join(", ");
      return own.length
        ? [cut(`${defense}: S is ${measures}`, WIDTH), ...own.map((row) => lossRow(row, paint))]
        : [];
    }),
    "A loss is positive; total = S(FF) - S(QR); n/r: that arm could not be run, so there is no number.",
  ];
}

function lossRow(row: Decomposition, paint: Paint): string {
  const float = row.S.FF === null ? "n/r" : row.S.FF.toFixed(2);
  const part = (value: number | null) => (value === null ? "n/r" : ascii(signed(value)));
  const numbers = `${right(float, 5)}  ${right(part(row.mechanical), 10)}  ${right(part(row.statistical), 11)}`;
  const cause = cut(row.cause, WIDTH - 82);
  const colour = row.cause === "kept" ? "good" : row.signal ? "bad" : "off";
  return `${pad(`  ${row.profile}, ${row.precision}`, 34)}  ${numbers}  ${right(part(row.total), 7)}  ${right(String(row.models), 3)}  ${paint(cause, colour)}`;
}

function falseAlarmBlock(view: View, paint: Paint): string[] {
  const n = plural(view.clean.length, "accepted clean model");
  return [
    paint(`False alarms on ${n} (published threshold, 95% Wilson interval)`, "strong"),
    ...view.defenses.map((defense) => falseAlarmLine(view, defense)),
  ];
}

function falseAlarmLine(view: View, defense: string): string {
  const rows = view.result.falsePositives.filter((row) => row.defense === defense);
  const float = rows.find((row) => row.arm === "FF")?.published ?? null;
  const worst = rows
    .filter((row) => row.arm === "QR" && row.published !== null)
    .sort((a, b) => b.published!.value - a.published!.value)[0];
  const device = worst
    ? `worst device ${rate(worst.published)} (${worst.profile}, ${worst.precision})`
    : "n/r on every device";
  return cut(`  ${pad(defense, 22)}FP32 ${pad(`${rate(float)};`, 19)}${device}`, WIDTH);
}

function rate(share: Share | null): string {
  if (share === null) return "n/r";
  return `${hits(share)}/${share.n} [${percent(share.low, 0).slice(0, -1)}, ${percent(share.high, 0)}]`;
}

const share = (value: Share | undefined) => right(value ? (100 * value.value).toFixed(1) : ".", 5);
const ascii = (text: string) => text.replace("−", "-");
const right = (text: string, width: number) => text.padStart(width);
const trimEnd = (text: string) => text.trimEnd();

function cut(text: string, width: number): string {
  const line = text.replace(/\p{Cc}/gu, " ");
  return line.length > width ? `${line.slice(0, width - 1)}…` : line;
}

/** Cut to leave one blank, then padded. */
function pad(text: string, width: number): string {
  return cut(text, width - 1).padEnd(width);
}

function twoLines(title: string): [string, string] {
  const words = title.split(" ");
  return words.length === 1 ? ["", title] : [words.slice(0, -1).join(" "), words.at(-1)!];
}
