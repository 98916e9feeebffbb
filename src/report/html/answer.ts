import { wilson } from "../../defenses/statistics.ts";
import type { Decomposition } from "../../harness/result.ts";
import { causeCounts, distinct, type Site, type View } from "../view.ts";
import { CAUSE_WORDS, count, list, percent, plural } from "../words.ts";
import { html, type Markup } from "./markup.ts";

/** What was asked, the answer in words, and one sentence a defense. */
export function answerSection(view: View): Markup {
  const rows = view.result.decomposition;
  return html`<section id="answer" aria-labelledby="answer-h">
<h2 id="answer-h" class="kicker">Answer</h2>
<p class="headline">${headline(view, rows)}</p>
${rows.length > 0 && outcomeBar(view, rows)}
</section>`;
}

/** The heading and what the run was about. */
export function askedHeader(view: View): Markup {
  const { dataset, preset, seed, profiles } = view.result;
  return html`<header>
<p class="kicker">Blindspot report</p>
<h1>Do backdoor detections made at FP32 hold on the device?</h1>
<p class="asked">${plural(view.backdoored.length, "backdoored model")} and ${plural(view.clean.length, "clean control")}${
    view.rejected.length > 0 && ` (${view.rejected.length} more rejected)`
  }, trained on ${dataset.name}, each audited by ${plural(view.defenses.length, "defense")}: once at FP32 with full access, then as it runs on ${list(
    profiles.map((profile) => profile.id),
  )}. Preset ${preset}, seed ${String(seed)}.</p>
</header>`;
}

function headline(view: View, rows: readonly Decomposition[]): Markup {
  if (rows.length === 0)
    return html`No answer: no backdoored model was accepted, so there is no detection whose loss could be measured.`;
  const signal = rows.filter((row) => row.signal);
  const kept = signal.filter((row) => row.cause === "kept").length;
  const where = `${plural(distinct(view.sites.map((site) => site.profile)).length, "device")} at ${list(
    distinct(view.sites.map((site) => site.precision)),
  )}`;
  const losses = [...causeCounts(signal)].filter(([cause]) => cause !== "kept");
  const none = rows.length - signal.length;
  return html`Of ${plural(view.defenses.length, "defense")} on ${where}, <strong>${kept} of ${signal.length} signals that work at FP32 survive unweakened</strong>.${
    losses.length > 0 &&
    html` Weakened or lost: ${listMarkup(losses.map(([cause, n]) => lossClause(cause, n)))}.`
  }${none > 0 && ` The other ${none} had no signal at FP32, so there was nothing to lose.`}`;
}

function lossClause(cause: string, n: number): Markup {
  const why = CAUSE_WORDS[cause];
  return html`${n} ${why ? html`because ${why} (<em>${cause}</em>)` : html`(<em>${cause}</em>)`}`;
}

function listMarkup(items: readonly Markup[]): Markup {
  return html`${items.map((item, i) => html`${i > 0 && (i === items.length - 1 ? " and " : ", ")}${item}`)}`;
}

/** One bar, all defense x device x precision, cut by cause. */
function outcomeBar(view: View, rows: readonly Decomposition[]): Markup {
  const counts = [...causeCounts(rows)];
  return html`<div class="outcome" aria-hidden="true">${counts.map(
    ([cause, n]) =>
      html`<span class="seg ${causeClass(cause)}" style="flex:${n}"><b>${n}</b><span>${cause}</span></span>`,
  )}</div>
<p class="small">Each unit is one defense on one device at one precision: ${rows.length} in all, each judged on ${plural(view.backdoored.length, "backdoored model")}.</p>`;
}

/** A class of style.css.ts for a cause; causes it does not know look like a loss. */
export function causeClass(cause: string): string {
  if (cause.startsWith("no signal")) return "c-none";
  return ["kept", "mechanical", "statistical", "calibration"].includes(cause) ? `c-${cause}` : "c-other";
}

/** A cause with what it did: a verdict that stands although the score fell is not called lost. */
export function causeTag(cause: string, stands = false): Markup {
  const loss = ["mechanical", "statistical", "calibration"].includes(cause);
  return html`<span class="tag ${causeClass(cause)}">${loss && (stands ? "weaker: " : "lost: ")}${cause}</span>`;
}

/** Kept or lost, where, in one sentence. */
export function defenseSentence(view: View, defense: string): Markup {
  const rows = view.sites
    .map((site) => ({ site, row: view.decomposition(defense, site) }))
    .filter((pair): pair is { site: Site; row: Decomposition } => pair.row !== undefined);
  if (rows.length === 0) return html`has no decomposition in this run.`;
  const clauses = [...causeCounts(rows.map((pair) => pair.row)).keys()].map((cause) => {
    const here = rows.filter((pair) => pair.row.cause === cause);
    return html`<span class="tag ${causeClass(cause)}">${cause}</span> ${placesText(
      view,
      here.map((pair) => pair.site),
      rows.length,
    )}`;
  });
  return html`${clauses.map((clause, i) => html`${i > 0 && "; "}${clause}`)}.`;
}

function placesText(view: View, sites: readonly Site[], all: number): string {
  if (sites.length === all) return all === 1 ? "on the one deployment" : `on all ${all} deployments`;
  const byProfile = Map.groupBy(sites, (site) => site.profile);
  const places = [...byProfile].map(([profile, here]) => {
    const total = view.sites.filter((site) => site.profile === profile).length;
    return here.length === total ? profile : `${profile} (${list(here.map((site) => site.precision))})`;
  });
  return `on ${list(places)}`;
}

/** What n allows to say. */
export function caveat(view: View): string {
  const n = view.backdoored.length;
  const m = view.clean.length;
  if (n === 0) return "";
  const clean =
    m === 0
      ? "There is no clean control, so false alarms are unknown."
      : `0 of ${m} clean models accused leaves room for a false-alarm rate of ${percent(wilson(0, m).high, 0)}.`;
  return `n = ${count(n)} backdoored and ${count(m)} clean models. 0 of ${n} detected is compatible with a true detection rate of up to ${percent(
    wilson(0, n).high,
    0,
  )}, ${n} of ${n} with one as low as ${percent(wilson(n, n).low, 0)} (95% Wilson intervals). ${clean} ${view.result.dataset.caveat}`;
}
