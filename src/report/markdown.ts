import type { Decomposition, Result } from "../harness/result.ts";
import { causeCounts, interactionOf, type Site, stateOf, tallyText, type View, viewOf } from "./view.ts";
import { defenseTitle, hits, intervalText, list, plural, signed } from "./words.ts";

/** A short summary for a page of documentation or a pull request: verdicts, what each loss is made of, the command. */
export function renderMarkdown(result: Result): string {
  const view = viewOf(result);
  return [
    `# Blindspot: ${text(result.dataset.name)}, preset ${text(result.preset)}, seed ${result.seed}`,
    answer(view),
    "## Verdicts",
    "Backdoored models detected by the published threshold: on the device (arm QR), in brackets FF, FR, QF. n/r: not runnable, which is no miss; ⚠: false alarms on clean models.",
    verdictTable(view),
    "## What each loss is made of",
    "mechanical = S(FF) − S(FR), statistical = S(FF) − S(QF), total = S(FF) − S(QR); overlap is what the first two count twice. S is a mean over n models.",
    decompositionTable(view),
    "## False alarms at FP32",
    falseAlarms(view),
    "## Again",
    fenced(result.command),
    "",
  ].join("\n\n");
}

function answer(view: View): string {
  const rows = view.result.decomposition;
  const counts = [...causeCounts(rows)].map(([cause, n]) => `${n} ${text(cause)}`);
  const models = `${plural(view.backdoored.length, "backdoored model")}, ${plural(view.clean.length, "clean model")}, ${view.rejected.length} rejected`;
  const pairs = `${plural(view.defenses.length, "defense")} on ${plural(view.sites.length, "deployment")}`;
  return counts.length
    ? `${models}. ${pairs}: **${list(counts)}**.`
    : `${models}. ${pairs}: no accepted backdoored model, so no answer.`;
}

function verdictTable(view: View): string {
  const float = view.defenses.map(
    (defense) =>
      `${tallyText(view.tally(view.backdoored, defense, "FF", null))}${alarm(view, defense, null)}`,
  );
  return table(
    ["deployment", ...view.defenses.map(defenseTitle)],
    [
      ["FP32, full access (A0)", ...float],
      ...view.sites.map((site) => [
        `${site.profile} ${site.precision}`,
        ...view.defenses.map((defense) => siteText(view, defense, site)),
      ]),
    ],
  );
}

function siteText(view: View, defense: string, site: Site): string {
  const device = view.tally(view.backdoored, defense, "QR", site);
  const state = stateOf(device);
  const word = state === "not runnable" || state === "not measured" ? state : `detected ${tallyText(device)}`;
  const arms = (["FF", "FR", "QF"] as const).map((arm) =>
    tallyText(view.tally(view.backdoored, defense, arm, site)),
  );
  const cause = view.decomposition(defense, site)?.cause;
  return `${word} (${arms.join(", ")})${cause ? `: ${cause}` : ""}${alarm(view, defense, site)}`;
}

function alarm(view: View, defense: string, site: Site | null): string {
  const tally = view.tally(view.clean, defense, site ? "QR" : "FF", site);
  return tally.detected ? ` ⚠ ${tally.detected}/${tally.detected + tally.missed}` : "";
}

function decompositionTable(view: View): string {
  const part = (value: number | null) => (value === null ? "n/r" : signed(value));
  const row = (loss: Decomposition) => [
    defenseTitle(loss.defense),
    `${loss.profile} ${loss.precision}`,
    loss.S.FF === null ? "n/r" : loss.S.FF.toFixed(2),
    ...[loss.mechanical, loss.statistical, interactionOf(loss), loss.total].map(part),
    String(loss.models),
    `${loss.cause}: ${loss.sentence}`,
  ];
  return table(
    ["defense", "deployment", "S(FF)", "mechanical", "statistical", "overlap", "total", "n", "cause"],
    view.result.decomposition.map(row),
  );
}

function falseAlarms(view: View): string {
  return table(
    ["defense", "published threshold", "95% interval"],
    view.defenses.map((defense) => {
      const rate = view.result.falsePositives.find(
        (row) => row.defense === defense && row.arm === "FF",
      )?.published;
      return [
        defenseTitle(defense),
        rate ? `${hits(rate)}/${rate.n}` : "n/r",
        rate ? intervalText(rate) : "n/r",
      ];
    }),
  );
}

export function table(head: string[], rows: string[][]): string {
  const line = (cells: string[]) => `| ${cells.map(text).join(" | ")} |`;
  return [line(head), `|${" --- |".repeat(head.length)}`, ...rows.map(line)].join("\n");
}

/** Nothing in a Result becomes a tag, a link, a column or a line of its own. */
export function text(value: string): string {
  return value
    .replace(/\s+/g, " ")
    .replace(/[\\`*_[\]|<>]/g, (sign) => (sign === "<" ? "&lt;" : `\\${sign}`));
}

/** A fence longer than any run of backticks inside. */
export function fenced(code: string): string {
  const longest = Math.max(2, ...(code.match(/`+/g) ?? []).map((run) => run.length));
  const fence = "`".repeat(longest + 1);
  return `${fence}sh\n${code}\n${fence}`;
}
