import type { ComparedProfile, Comparison } from "../../harness/compare.ts";
import type { Share } from "../../harness/result.ts";
import { bytes, count, intervalText, number, percent, plural } from "../words.ts";
import { html, type Markup, trusted } from "./markup.ts";
import { STYLE } from "./style.css.ts";

const ROW = 18;
const CELL = 196;
const BAR = 130;
const LABEL = 190;
const HEAD = 26;
/** The least share that still has a bar: the scale is logarithmic from here to 1. */
const LEAST = 1e-6;

/** A comparison as one HTML file that opens from disk: no script, nothing loaded from elsewhere. */
export function comparisonPage(comparison: Comparison): string {
  const { model, images, inputs, trigger, reference } = comparison;
  return html`<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1"><meta name="color-scheme" content="light dark">
<title>Blindspot: ${shortName(model)} on ${plural(comparison.profiles.length, "profile")}</title>
<style>${trusted(STYLE)}</style></head>
<body><header><p class="kicker">Blindspot comparison</p>
<h1>Does ${shortName(model)} compute the same on every device?</h1>
<p class="asked">${plural(images, "image")}: ${inputs.replace(/\.$/, "")}. ${trigger && `ASR (attack success): ${trigger}. `}Compared with ${reference}.</p></header>
<main>${comparisonAnswer(comparison)}${summary(comparison)}${refusals(comparison)}
${othersOf(comparison).length > 0 && html`<h2>Layer by layer</h2>${layersPicture(comparison)}<h3>In numbers</h3>${layersTable(comparison)}`}</main>
</body></html>
`.text;
}

/** The profiles that ran and are not the reference. */
function othersOf({ profiles, reference }: Comparison): ComparedProfile[] {
  return profiles.filter(({ profile, run }) => run && profile !== reference);
}

/** How many of the other profiles compute as the reference does, and how many answers change. */
export function comparisonAnswer(comparison: Comparison): Markup {
  const others = othersOf(comparison);
  const same = others.filter(({ run }) => run!.firstDifferent === null).length;
  const flipped = Math.max(0, ...others.map(({ run }) => run!.flips.images));
  const { reference } = comparison;
  const whole =
    same === 0
      ? html`No other profile gives every value as ${reference} does.`
      : html`${same === others.length ? "All" : `${same} of`} ${plural(others.length, "other profile")} give every value of every layer as ${reference} does.`;
  return html`<p class="headline"><strong>${whole}</strong>
${flipped === 0 ? "The largest answer changes on no image." : html`The largest answer changes on up to ${count(flipped)} of ${plural(comparison.images, "image")}.`}</p>`;
}

/** The folder and name of a file, which many models need to be told apart. */
const shortName = (model: string) => model.split("/").filter(Boolean).slice(-2).join("/");

function summary(comparison: Comparison): Markup {
  const asr = comparison.trigger ? ["ASR"] : [];
  const headings = [
    "Profile",
    "First layer that differs",
    "Flips",
    "Accuracy",
    ...asr,
    "Flash",
    "RAM",
    "ms an image",
  ];
  return html`<h2>Profiles</h2><div class="scroll" role="region" tabindex="0" aria-label="Profiles"><table class="compared">
<caption>Flips: images whose largest output (the first of equals) is another than on the reference. Latency is an estimate.</caption>
<thead><tr>${headings.map((head) => html`<th scope="col">${head}</th>`)}</tr></thead><tbody>${comparison.profiles.map((each) => summaryRow(comparison, each))}</tbody></table></div>`;
}

const shareMarkup = (share: Share | null | undefined) =>
  share ? html`${percent(share.value, 2)}<small>${intervalText(share)}</small>` : "–";

function summaryRow({ layers, reference, trigger }: Comparison, each: ComparedProfile): Markup {
  const { profile, title, run, flash, ram, latency } = each;
  const first = run?.firstDifferent ?? null;
  const where = !run
    ? "cannot run"
    : profile === reference
      ? "reference"
      : first === null
        ? "nowhere"
        : `${first} ${layers[first].op}`;
  const flips =
    run &&
    html`${count(run.flips.images)}${run.accuracy && profile !== reference && html`<small>${count(run.flips.lost)} right to wrong, ${count(run.flips.gained)} wrong to right</small>`}`;
  return html`<tr><th scope="row">${profile}<small>${title}</small></th><td>${where}</td><td>${flips ?? "–"}</td>
<td>${shareMarkup(run?.accuracy)}</td>${trigger && html`<td>${shareMarkup(run?.attackSuccess)}</td>`}
<td>${fitMarkup(flash)}</td><td>${fitMarkup(ram)}</td>
<td>${latency ? html`${number(latency.milliseconds)}<small>${latency.confidence}</small>` : "–"}</td></tr>`;
}

function fitMarkup({ needsBytes, hasBytes, fits }: ComparedProfile["flash"]): Markup {
  const room = hasBytes === null ? "of unknown" : `${fits ? "of" : "does not fit in"} ${bytes(hasBytes)}`;
  return html`${bytes(needsBytes)}<small>${room}</small>`;
}

function refusals({ profiles }: Comparison): Markup {
  return html`${profiles
    .filter(({ run }) => !run)
    .map(
      ({ profile, refused }) =>
        html`<h3>${profile} cannot run ${plural(refused.length, "node")}</h3><ul>${refused.map((line) => html`<li>${line}</li>`)}</ul>`,
    )}`;
}

/** Layers down, profiles across; the longer a bar, the larger the share of values that differ. */
export function layersPicture(comparison: Comparison): Markup {
  const others = othersOf(comparison);
  const width = LABEL + others.length * CELL;
  const height = HEAD + comparison.layers.length * ROW + 4;
  return html`<figure class="wide" role="region" tabindex="0" aria-label="Layer by layer"><svg class="plot" style="width:${width}px;min-width:${width}px" viewBox="0 0 ${width} ${height}" role="img" aria-label="Share of differing values of each layer on each profile; the table below has the numbers">
${others.map((each, i) => html`<text x="${LABEL + i * CELL}" y="${HEAD - 9}" font-weight="600" fill="currentColor">${short(each.profile, 27)}</text>`)}
${comparison.layers.map(({ index, op }) => html`<text x="${LABEL - 10}" y="${HEAD + index * ROW + 12}" text-anchor="end" fill="currentColor">${index} ${short(op, 24)}</text>${others.map((each, i) => cell(each, index, LABEL + i * CELL))}`)}
</svg><figcaption>Share of a layer’s values that differ from ${comparison.reference}. The scale is logarithmic: a full bar is all of them, a bar shorter by a sixth a tenth as many.</figcaption></figure>`;
}

function cell({ profile, run }: ComparedProfile, layer: number, x: number): Markup {
  const { differing, values, largest } = run!.layers[layer];
  const share = differing / values;
  const size = differing === 0 ? 0 : Math.max(1, BAR * (1 - Math.log10(share) / Math.log10(LEAST)));
  const y = HEAD + layer * ROW;
  const words = differing === 0 ? "equal" : `${percent(share, 4)} differ, by ${number(largest)} at most`;
  const label = differing === 0 ? "equal" : share < 0.00005 ? `${count(differing)}` : percent(share, 2);
  return html`<g><title>${layer} on ${profile}: ${words}</title><rect x="${x}" y="${y}" width="${BAR}" height="${ROW - 4}" fill="var(--wash)"/><rect x="${x}" y="${y}" width="${size.toFixed(1)}" height="${ROW - 4}" fill="var(--second)"/><text x="${x + BAR + 5}" y="${y + 12}" fill="${differing === 0 ? "var(--soft)" : "currentColor"}">${label}</text></g>`;
}

const short = (text: string, width: number) => (text.length <= width ? text : `${text.slice(0, width - 1)}…`);

/** The same in numbers. */
export function layersTable(comparison: Comparison): Markup {
  const others = othersOf(comparison);
  return html`<div class="scroll" role="region" tabindex="0" aria-label="Layers"><table class="compared">
<caption>Values that differ, and by how much at most.</caption>
<thead><tr><th scope="col">Layer</th><th scope="col">Output</th>${others.map(({ profile }) => html`<th scope="col">${profile}</th>`)}</tr></thead>
<tbody>${comparison.layers.map(
    ({ index, op, shape }) =>
      html`<tr><th scope="row">${index} ${op}</th><td>${shape.slice(1).join(" × ")}</td>${others.map(
        ({ run }) => {
          const { differing, values, largest } = run!.layers[index];
          return html`<td>${differing === 0 ? "equal" : html`${count(differing)} of ${count(values)} (${percent(differing / values, 3)})<small>by ${number(largest)} at most</small>`}</td>`;
        },
      )}</tr>`,
  )}</tbody></table></div>`;
}
