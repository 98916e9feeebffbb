import type { Decomposition } from "../../harness/result.ts";
import { ARMS, interactionOf, stateOf, type View } from "../view.ts";
import { defenseTitle, signed } from "../words.ts";
import { causeTag, defenseSentence } from "./answer.ts";
import { html, type Markup } from "./markup.ts";

/** Every loss, split into what access and what arithmetic cost, with the sentence that says why. */
export function lossesSection(view: View): Markup {
  return html`<section id="losses" aria-labelledby="losses-h">
<h2 id="losses-h">What each loss is made of</h2>
<p>S is the measure named in the caption, averaged over the accepted backdoored models that have a score. A positive part is a loss:
mechanical = S(FF) − S(FR), statistical = S(FF) − S(QF), total = S(FF) − S(QR). The overlap S(FF) − S(FR) − S(QF) + S(QR) is what the two parts count twice.
Coverage is the share of models for which an arm gives a score at all.</p>
${view.defenses.map((defense) => defenseTable(view, defense))}
</section>`;
}

function defenseTable(view: View, defense: string): Markup {
  const rows = view.result.decomposition.filter((row) => row.defense === defense);
  const first = rows[0];
  if (!first)
    return html`<h3>${defenseTitle(defense)}</h3><p>No decomposition: no accepted backdoored model has a score.</p>`;
  const signal = rows.every((row) => row.signal)
    ? html`<span class="tag c-kept">signal at FP32</span>`
    : html`<span class="tag c-none">no signal at FP32</span>`;
  return html`<h3>${defenseTitle(defense)} ${signal}</h3>
<p class="perdefense">${defenseSentence(view, defense)}</p>
<div class="scroll" role="region" tabindex="0" aria-label="Losses of ${defenseTitle(defense)}"><table class="losses">
<caption>S: ${first.measure}. n = ${String(first.models)} backdoored models.</caption>
<thead><tr><th scope="col">Device</th><th scope="col">Precision</th><th scope="col">S(FF)</th><th scope="col">mechanical</th><th scope="col">statistical</th><th scope="col">overlap</th><th scope="col">total</th><th scope="col">coverage<small>FF · FR · QF · QR</small></th><th scope="col">Why</th></tr></thead>
<tbody>${rows.map((row, i) => lossRow(view, row, deviceHead(view, rows, i)))}</tbody></table></div>`;
}

/** One heading for the rows of a device that follow one another. */
function deviceHead(view: View, rows: readonly Decomposition[], i: number): Markup {
  const { profile } = rows[i];
  if (i > 0 && rows[i - 1].profile === profile) return html``;
  const end = rows.findIndex((row, j) => j > i && row.profile !== profile);
  const span = (end < 0 ? rows.length : end) - i;
  return html`<th scope="rowgroup" rowspan="${span}">${view.profileTitle(profile)}</th>`;
}

function lossRow(view: View, row: Decomposition, device: Markup): Markup {
  return html`<tr>${device}<th scope="row">${row.precision}</th>
<td>${row.S.FF === null ? notRunnable() : html`${row.S.FF.toFixed(2)}${level(row.S.FF)}`}</td>
${[row.mechanical, row.statistical, interactionOf(row), row.total].map((part, i) => html`<td>${part === null ? notRunnable() : html`${signed(part)}${difference(part, ["m", "s", "o", "t"][i])}`}</td>`)}
<td class="coverage">${ARMS.map((arm, i) => html`${i > 0 && " · "}${coverage(row, arm)}`)}</td>
<td class="why">${causeTag(row.cause, stateOf(view.tally(view.backdoored, row.defense, "QR", row)) === "detected")} ${row.sentence}</td></tr>`;
}

function coverage(row: Decomposition, arm: (typeof ARMS)[number]): Markup {
  const none = row.runnable[arm] === 0;
  return html`<span${none && html` class="nr"`}>${row.runnable[arm]}/${row.models}</span>`;
}

function notRunnable(): Markup {
  return html`<span class="nr">n/r</span><svg class="bar" viewBox="0 0 80 8" aria-hidden="true"><rect class="b-n" width="80" height="8"/></svg>`;
}

/** 0 to 1, with a tick where signal begins. */
function level(value: number): Markup {
  const width = (80 * Math.min(1, Math.max(0, value))).toFixed(1);
  return html`<svg class="bar" viewBox="0 0 80 8" aria-hidden="true"><rect class="b-g" width="80" height="8"/><rect class="b-f" width="${width}" height="8"/><path class="b-x" d="M72 0v8"/></svg>`;
}

/** A loss goes to the right of the line at a quarter, a gain to its left. */
function difference(value: number, kind: string): Markup {
  const end = 20 + 60 * Math.max(-1 / 3, Math.min(1, value));
  const [x, width] = value < 0 ? [end, 20 - end] : [20, end - 20];
  return html`<svg class="bar" viewBox="0 0 80 8" aria-hidden="true"><rect class="b-g" width="80" height="8"/><rect class="b-${kind}" x="${x.toFixed(1)}" width="${Math.max(width, 0).toFixed(1)}" height="8"/><path class="b-x" d="M20 0v8"/></svg>`;
}
