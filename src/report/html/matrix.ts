import type { Arm } from "../../harness/result.ts";
import { ARMS, isDegraded, type Site, stateOf, type Tally, tallyText, type View } from "../view.ts";
import { ARM_WORDS, defenseTitle, percent } from "../words.ts";
import { causeTag, caveat } from "./answer.ts";
import { html, type Markup } from "./markup.ts";
import type { Page } from "./page.ts";

const TILE: Record<ReturnType<typeof stateOf>, string> = {
  detected: "t-d",
  partly: "t-p",
  missed: "t-m",
  "not runnable": "t-n",
  "not measured": "t-u",
};

/** Defense x device x precision: a square of four arms in every cell, and the reasons why some could not run. */
export function matrixSection(page: Page): Markup {
  const { view } = page;
  return html`<section id="verdicts" aria-labelledby="verdicts-h">
<h2 id="verdicts-h">Verdicts</h2>
${howToRead()}
<table class="matrix" role="table">
<caption>Backdoored models detected by the published threshold, of ${String(view.backdoored.length)} accepted; false alarms of ${String(view.clean.length)} accepted clean models.</caption>
<thead role="rowgroup"><tr role="row"><th scope="col" role="columnheader">Deployment</th>${view.defenses.map((defense) => html`<th scope="col" role="columnheader">${defenseTitle(defense)}</th>`)}</tr></thead>
<tbody role="rowgroup"><tr role="row"><th scope="row" role="rowheader">FP32 workstation<small>full access (A0): where the model was vetted</small></th>${view.defenses.map((defense) => floatCell(view, defense))}</tr></tbody>
${view.result.profiles.map((profile) => deviceRows(page, profile))}
</table>
<p class="caveat"><b>How far this carries.</b> ${caveat(view)}</p>
${reasonsList(page)}
</section>`;
}

function howToRead(): Markup {
  const sample = (arm: Arm, state: string, text: string) =>
    html`<span class="tile ${state}${arm === "QR" && " qr"}">${text}</span>`;
  return html`<div class="howto"><div class="key" aria-hidden="true"><span></span><i>full access</i><i>device’s access</i><i>FP32</i>${sample("FF", "t-u", "FF")}${sample("FR", "t-u", "FR")}<i>integer</i>${sample("QF", "t-u", "QF")}${sample("QR", "t-u", "QR")}</div>
<div><p><b>How to read it.</b> In every square the step to the right is what the device hides and the step down is what integer arithmetic changes; the framed corner at the bottom right is the device as shipped.
“n/r” means not runnable, which is never counted as a miss: the number beside it leads to the reason.</p>
<p class="legend states"><span><span class="tile t-d">2/2</span> detected in all</span><span><span class="tile t-p" style="--k:50%">1/2</span> in some</span><span><span class="tile t-m">0/2</span> missed in all</span><span><span class="tile t-n">n/r</span> not runnable</span><span><span class="tile t-u">·</span> not measured</span></p></div></div>`;
}

function tile(tally: Tally, arm: Arm, words: string): Markup {
  const n = tally.detected + tally.missed;
  const partly = n > 0 && tally.notRunnable > 0 ? ` (${tally.notRunnable} n/r)` : "";
  return html`<span class="tile ${TILE[stateOf(tally)]}${arm === "QR" && " qr"}" title="${words}"${
    tally.detected > 0 && tally.missed > 0 && html` style="--k:${Math.round((100 * tally.detected) / n)}%"`
  }>${tallyText(tally)}${partly}</span>`;
}

function tallyWords(tally: Tally, arm: Arm): string {
  const n = tally.detected + tally.missed;
  const run = n ? `detected in ${tally.detected} of ${n}` : "";
  const stopped = tally.notRunnable ? `not runnable on ${tally.notRunnable}` : "";
  return `${ARM_WORDS[arm]}: ${[run, stopped].filter(Boolean).join(", ") || "not measured"}`;
}

function floatCell(view: View, defense: string): Markup {
  const tally = view.tally(view.backdoored, defense, "FF", null);
  const rows = view.result.decomposition.filter((row) => row.defense === defense);
  const noSignal = rows.length > 0 && rows.every((row) => !row.signal);
  return html`<td role="cell" data-head="${defenseTitle(defense)}"><span class="single" role="img" aria-label="${tallyWords(tally, "FF")}">${tile(tally, "FF", tallyWords(tally, "FF"))}</span>
${noSignal && html`<span class="tag c-none">no signal at FP32</span>`}${alarms(view, defense, "FF", null)}</td>`;
}

function deviceRows(page: Page, profile: View["result"]["profiles"][number]): Markup {
  const { view } = page;
  const sites = view.sites.filter((site) => site.profile === profile.id);
  if (sites.length === 0) return html``;
  return html`<tbody role="rowgroup"><tr class="group" role="row"><th colspan="${view.defenses.length + 1}" scope="rowgroup" role="rowheader">${profile.title} <small>${profile.id} · ${profile.access}: ${profile.accessWhy}</small></th></tr>
${sites.map((site) => html`<tr role="row"><th scope="row" role="rowheader">${site.precision}${siteNote(view, site)}</th>${view.defenses.map((defense) => siteCell(page, defense, site))}</tr>`)}</tbody>`;
}

function siteNote(view: View, site: Site): Markup {
  const accuracies = view.backdoored
    .flatMap((model) => model.deployments)
    .filter((d) => d.profile === site.profile && d.precision === site.precision)
    .map((d) => d.accuracy.value);
  const degraded = view.backdoored.filter((model) => isDegraded(model, site)).length;
  if (accuracies.length === 0) return html``;
  const range = [Math.min(...accuracies), Math.max(...accuracies)].map((value) => percent(value));
  return html`<small>accuracy ${range[0] === range[1] ? range[0] : `${range[0]} to ${range[1]}`}</small>${
    degraded > 0 &&
    html`<small class="warn">${degraded} of ${view.backdoored.length} models lost over 5 points: broken more than compressed</small>`
  }`;
}

function siteCell(page: Page, defense: string, site: Site): Markup {
  const { view } = page;
  const tallies = ARMS.map((arm) => [arm, view.tally(view.backdoored, defense, arm, site)] as const);
  const words = tallies.map(([arm, tally]) => tallyWords(tally, arm)).join("; ");
  const cause = view.decomposition(defense, site)?.cause;
  const reasons = tallies.flatMap(([, tally]) => tally.reasons);
  return html`<td role="cell" data-head="${defenseTitle(defense)}"><span class="arms" role="img" aria-label="${words}">${tallies.map(([arm, tally]) => tile(tally, arm, tallyWords(tally, arm)))}</span>
<span class="under"><span class="why-not">${cause !== undefined && causeTag(cause, stateOf(tallies[3][1]) === "detected")}${page.notes([...new Set(reasons)])}</span>${alarms(view, defense, "QR", site)}</span></td>`;
}

/** Detections on clean models, named as what they are. */
function alarms(view: View, defense: string, arm: Arm, site: Site | null): Markup {
  const tally = view.tally(view.clean, defense, arm, site);
  const n = tally.detected + tally.missed;
  if (n === 0) return html``;
  return tally.detected > 0
    ? html`<small class="alarm">⚠ false alarm on ${tally.detected}/${n}</small>`
    : html`<small>no false alarm, n=${n}</small>`;
}

function reasonsList(page: Page): Markup {
  if (page.reasons.length === 0) return html``;
  return html`<div class="reasons"><h3>Why some could not run</h3><ol>${page.reasons.map((reason, i) => html`<li id="why-${i + 1}">${reason}</li>`)}</ol></div>`;
}
