import type { Cell, ModelRecord } from "../../harness/result.ts";
import { inPairs } from "../view.ts";
import { className, defenseTitle, list, number, plural, verdictWord } from "../words.ts";
import { figuresMarkup } from "./figures.ts";
import { html, type Markup } from "./markup.ts";
import type { Page } from "./page.ts";

/** Every cell, by model and defense, with what it saw. */
export function detailsSection(page: Page): Markup {
  const parts = inPairs(page.view.result.models).map((model) => modelPart(page, model));
  return html`<section id="details" aria-labelledby="details-h">
<h2 id="details-h">Every audit, with what it saw</h2>
<p>Open a model, then a defense. A figure that several audits share is drawn once.${omitted(page)}</p>
${parts}</section>`;
}

function omitted({ omittedFigures, omittedTables }: Page): string {
  const left = [
    ...(omittedFigures > 0 ? [plural(omittedFigures, "figure")] : []),
    ...(omittedTables > 0 ? [plural(omittedTables, "table")] : []),
  ];
  return left.length
    ? ` To keep this file small, ${list(left)} of this Result are left out; its JSON has them.`
    : "";
}

function modelPart(page: Page, model: ModelRecord): Markup {
  return html`<details class="model"><summary><b>${model.id}</b> · ${model.kind}${model.accepted ? "" : " · rejected"}${
    model.kind === "backdoored" &&
    ` · target ${className(page.view.result.dataset.classNames, model.attack.target)}`
  }</summary>${page.view.defenses.map((defense) => defensePart(page, model, defense))}</details>`;
}

const ORDER = ["FF", "QR", "QF", "FR"];

function defensePart(page: Page, model: ModelRecord, defense: string): Markup {
  const cells = page.view.result.cells.filter((cell) => cell.model === model.id && cell.defense === defense);
  if (cells.length === 0) return html``;
  const drawn = cells
    .filter((cell) => cell.figures.length > 0)
    .sort((a, b) => ORDER.indexOf(a.arm) - ORDER.indexOf(b.arm));
  const table = html`<div class="scroll" role="region" tabindex="0" aria-label="${defenseTitle(defense)} on ${model.id}"><table class="cells">
<caption>${defenseTitle(defense)} on ${model.id}. Score: ${cells[0].scoreName}.</caption>
<thead><tr><th scope="col">Arm</th><th scope="col">Where, access</th><th scope="col">Verdict</th><th scope="col">Score</th><th scope="col">Accused</th><th scope="col">Measured against the truth</th><th scope="col">What was seen</th></tr></thead>
<tbody>${cells.map((cell) => row(page, model, cell))}</tbody></table></div>`;
  if (!page.admits("cells", table)) return html``;
  return html`<details><summary>${defenseTitle(defense)}: ${summary(cells, model)}</summary>
${table}<div class="audits">${drawn.map((cell) => figuresOf(page, cell))}</div></details>`;
}

function figuresOf(page: Page, { arm, precision, profile, figures }: Cell): Markup {
  return figuresMarkup(page, `${arm} · ${precision}${profile === null ? "" : ` on ${profile}`}`, figures);
}

function summary(cells: readonly Cell[], model: ModelRecord): string {
  const of = (verdict: Cell["verdict"]) => cells.filter((cell) => cell.verdict === verdict).length;
  const verdicts = ["detected", "not detected", "not runnable"] as const;
  return verdicts
    .filter((verdict) => of(verdict) > 0)
    .map((verdict) => `${verdictWord(verdict, model.kind)} in ${of(verdict)}`)
    .join(", ");
}

function row(page: Page, model: ModelRecord, cell: Cell): Markup {
  const where = cell.profile === null ? "" : ` on ${cell.profile}`;
  const head = html`<th scope="row">${cell.arm}</th><td class="where">${cell.precision}${where}, ${cell.access}</td><td>${verdict(cell, model)}</td>`;
  if (cell.verdict === "not runnable")
    return html`<tr>${head}<td colspan="4">not run${page.notes([cell.reason])}</td></tr>`;
  const names = page.view.result.dataset.classNames;
  const measures = Object.entries(cell.measures).map(([name, value]) => `${name}\u00a0${number(value)}`);
  return html`<tr>${head}<td class="where">${scoreText(cell)}</td>
<td>${cell.flagged.map((index) => className(names, index)).join(", ") || "–"}</td><td>${measures.join(", ") || "–"}</td><td class="why">${cell.reason} <span class="small">${passes(cell)}</span></td></tr>`;
}

function scoreText({ score, thresholds }: Cell): string {
  if (score === null) return "–";
  return `${number(score)} ${score > thresholds.published.value ? ">" : "≤"} ${number(thresholds.published.value)}`;
}

function verdict(cell: Cell, model: ModelRecord): Markup {
  const word = verdictWord(cell.verdict, model.kind);
  const kind = {
    detected: "v-d",
    "not detected": "v-m",
    "not runnable": "v-n",
    "false alarm": "v-a",
    "rightly quiet": "v-q",
  }[word];
  const moved = (["fp32Calibrated", "recalibrated"] as const)
    .filter(
      (kind) =>
        cell.verdict !== "not runnable" && (cell.thresholds[kind]?.verdict ?? cell.verdict) !== cell.verdict,
    )
    .map(
      (kind) =>
        `${kind === "recalibrated" ? "recalibrated" : "FP32-calibrated"}: ${verdictWord(cell.thresholds[kind]!.verdict, model.kind)}`,
    );
  return html`<span class="verdict ${kind ?? ""}">${word}</span>${moved.length > 0 && html`<small>${moved.join("; ")}</small>`}`;
}

function passes({ passes: { forward, backward } }: Cell): string {
  return `${plural(forward, "image")} forward${backward ? `, ${plural(backward, "image")} backward` : ""}`;
}
