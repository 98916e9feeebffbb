import * as Plot from "@observablehq/plot";
import type { Arm, Cell, Result, Share } from "../../harness/result.ts";
import { distinct, type Site, type View } from "../view.ts";
import { ARM_WORDS, defenseTitle, hits, intervalText, number, plural } from "../words.ts";
import { chart, INK } from "./chart.ts";
import { html, type Markup, trusted } from "./markup.ts";
import type { Page } from "./page.ts";

const KINDS = ["published", "fp32Calibrated", "recalibrated"] as const;
type Kind = (typeof KINDS)[number];
const KIND_WORDS: Record<Kind, string> = {
  published: "published",
  fp32Calibrated: "FP32-calibrated",
  recalibrated: "recalibrated",
};

/** One arm at one place: a line of the chart and of the table. */
interface Line {
  label: string;
  arm: Arm;
  site: Site | null;
  backdoored: Cell[];
  clean: Cell[];
}

/** Scores of backdoored and clean models against the three thresholds, and false-positive rates. */
export function thresholdsSection(page: Page): Markup {
  return html`<section id="thresholds" aria-labelledby="thresholds-h">
<h2 id="thresholds-h">Scores, thresholds and false alarms</h2>
<p>A model is accused when its score is above the threshold. Published: the number of the paper or its code. FP32-calibrated: from clean models at FP32.
Recalibrated: from clean models at that precision and access; where this brings a detection back, only the threshold was lost, not the signal.</p>
${page.view.defenses.map((defense) => defensePart(page, defense))}
</section>`;
}

function defensePart(page: Page, defense: string): Markup {
  const { view } = page;
  const lines = linesOf(view, defense);
  const cells = lines.flatMap((line) => [...line.backdoored, ...line.clean]);
  const sources = distinct(cells.map((cell) => cell.thresholds.published.source));
  const measured = lines.filter((line) =>
    [...line.backdoored, ...line.clean].some((cell) => cell.score !== null),
  );
  return html`<h3>${defenseTitle(defense)}</h3>
<p class="small">Score: ${distinct(cells.map((cell) => cell.scoreName)).join("; ") || "none"}. Published threshold: ${sources.join("; ") || "none"}.</p>
${measured.length > 0 && html`<figure class="wide">${strip(page, defense, measured)}<figcaption>${STRIP_LEGEND}${dropped(lines.length - measured.length)}</figcaption></figure>`}
<details class="onpaper"><summary>The numbers: ${defenseTitle(defense)}, all thresholds</summary>${table(page, defense, lines)}</details>`;
}

function dropped(lines: number): string {
  return lines > 0
    ? ` ${plural(lines, "arm")} without any score (not runnable) ${lines === 1 ? "is" : "are"} left out.`
    : "";
}

function linesOf(view: View, defense: string): Line[] {
  const line = (arm: Arm, site: Site | null): Line => {
    const of = (models: View["clean"]) =>
      models.map((model) => view.cell(model.id, defense, arm, site)).filter((cell) => cell !== undefined);
    const place = site ? `${site.profile}, ${site.precision}` : "FP32 workstation";
    return { label: `${place} · ${arm}`, arm, site, backdoored: of(view.backdoored), clean: of(view.clean) };
  };
  return [line("FF", null), ...view.sites.flatMap((site) => [line("QF", site), line("QR", site)])];
}

const STRIP_LEGEND = trusted(
  '<span class="legend"><span><svg class="swatch" viewBox="0 0 16 10" aria-hidden="true"><path d="M8 1l4.5 8h-9z" fill="var(--second)"/></svg> backdoored model</span> <span><svg class="swatch" viewBox="0 0 16 10" aria-hidden="true"><circle cx="8" cy="5" r="3.4" fill="none" stroke="var(--first)" stroke-width="1.6"/></svg> clean model</span> <span><svg class="swatch" viewBox="0 0 16 10" aria-hidden="true"><path d="M8 0v10" stroke="var(--ink)" stroke-width="2"/></svg> published threshold</span> <span><svg class="swatch" viewBox="0 0 16 10" aria-hidden="true"><path d="M8 0v10" stroke="var(--ink)" stroke-width="2" stroke-dasharray="2 2"/></svg> recalibrated</span></span>',
);

interface Dot {
  y: string;
  x: number;
}

function strip(page: Page, defense: string, lines: Line[]): Markup {
  const dots = (pick: (line: Line) => Cell[]): Dot[] =>
    lines.flatMap((line) =>
      pick(line).flatMap((cell) => (cell.score === null ? [] : [{ y: line.label, x: cell.score }])),
    );
  const ticks = (kind: Kind): Dot[] =>
    lines.flatMap((line) =>
      valuesOf([...line.backdoored, ...line.clean], kind).map((x) => ({ y: line.label, x })),
    );
  const at = { x: "x", y: "y" };
  return chart(
    {
      width: 860,
      height: 46 + 24 * lines.length,
      marginTop: 6,
      marginLeft: 230,
      x: { label: "score", grid: true, zero: true, nice: true },
      y: { label: null, domain: lines.map((line) => line.label), tickSize: 0, tickFormat: shorten },
      marks: [
        Plot.tickX(ticks("published"), { ...at, stroke: INK.ink, strokeWidth: 2 }),
        Plot.tickX(ticks("recalibrated"), { ...at, stroke: INK.ink, strokeWidth: 2, strokeDasharray: "3 3" }),
        Plot.dot(
          dots((line) => line.clean),
          { ...at, r: 4, stroke: INK.first, fill: INK.paper, strokeWidth: 1.6 },
        ),
        Plot.dot(
          dots((line) => line.backdoored),
          { ...at, r: 4.5, symbol: "triangle", fill: INK.second },
        ),
      ],
    },
    {
      id: page.id(),
      title: `${defenseTitle(defense)}: scores of models and thresholds`,
      description: "One line for each arm; the table below holds the same numbers.",
    },
  );
}

const shorten = (label: string) => (label.length > 40 ? `${label.slice(0, 24)}…${label.slice(-15)}` : label);

/** The distinct values of a threshold, over models. */
function valuesOf(cells: readonly Cell[], kind: Kind): number[] {
  const ran = cells.filter((cell) => cell.verdict !== "not runnable");
  return distinct(ran.map((cell) => cell.thresholds[kind]?.value).filter((value) => value !== undefined));
}

function table(page: Page, defense: string, lines: Line[]): Markup {
  return html`<div class="scroll" role="region" tabindex="0" aria-label="Thresholds of ${defenseTitle(defense)}"><table>
<caption>Backdoored models detected, and clean models accused, by three thresholds (95% Wilson intervals).</caption>
<thead><tr><th scope="col" rowspan="2">Deployment and arm</th>${KINDS.map((kind) => html`<th scope="colgroup" colspan="3">${KIND_WORDS[kind]}</th>`)}</tr>
<tr>${KINDS.map(() => html`<th scope="col">value</th><th scope="col">detected</th><th scope="col">false alarms</th>`)}</tr></thead>
<tbody>${lines.map((line) => tableRow(page, defense, line))}</tbody></table></div>`;
}

function tableRow(page: Page, defense: string, line: Line): Markup {
  const { view } = page;
  const rate = view.result.falsePositives.find((row) => isAt(row, defense, line));
  const all = [...line.backdoored, ...line.clean];
  const ran = line.backdoored.filter((cell) => cell.verdict !== "not runnable");
  const place = line.site
    ? html`${view.profileTitle(line.site.profile)}, ${line.site.precision}`
    : "FP32 workstation";
  const head = html`<th scope="row">${place}<small>${line.arm}: ${ARM_WORDS[line.arm]}</small></th>`;
  if (all.length > 0 && all.every((cell) => cell.verdict === "not runnable"))
    return html`<tr>${head}<td colspan="9"><span class="nr">not runnable</span>${page.notes(distinct(all.map((cell) => cell.reason)))}</td></tr>`;
  return html`<tr>${head}${KINDS.map((kind) => html`<td>${rangeText(valuesOf(all, kind))}</td><td>${detections(ran, kind)}</td><td>${rateMarkup(rate?.[kind])}</td>`)}</tr>`;
}

function isAt(row: Result["falsePositives"][number], defense: string, { arm, site }: Line): boolean {
  if (row.defense !== defense || row.arm !== arm) return false;
  return site === null || (row.profile === site.profile && row.precision === site.precision);
}

function rangeText(values: number[]): string {
  if (values.length === 0) return "–";
  const [low, high] = [Math.min(...values), Math.max(...values)];
  return low === high ? number(low) : `${number(low)} to ${number(high)}`;
}

function detections(cells: readonly Cell[], kind: Kind): string {
  const judged = cells.map((cell) => cell.thresholds[kind]).filter((threshold) => threshold !== null);
  return judged.length
    ? `${judged.filter(({ verdict }) => verdict === "detected").length}/${judged.length}`
    : "–";
}

function rateMarkup(rate: Share | null | undefined): Markup {
  if (!rate) return html`–`;
  const k = hits(rate);
  return html`<span${k > 0 && html` class="alarm"`}>${k > 0 && "⚠ "}${k}/${rate.n}</span><small>${intervalText(rate)}</small>`;
}
