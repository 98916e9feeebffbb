import type { Result } from "../harness/result.ts";
import { answerSection, askedHeader } from "./html/answer.ts";
import { devicesSection, paperSection, reproduceSection } from "./html/appendix.ts";
import { detailsSection } from "./html/details.ts";
import { lossesSection } from "./html/losses.ts";
import { html, trusted } from "./html/markup.ts";
import { matrixSection } from "./html/matrix.ts";
import { modelsSection } from "./html/models.ts";
import { Page } from "./html/page.ts";
import { STYLE } from "./html/style.css.ts";
import { thresholdsSection } from "./html/thresholds.ts";
import { viewOf } from "./view.ts";

const SECTIONS = [
  ["answer", "Answer"],
  ["verdicts", "Verdicts"],
  ["losses", "Losses"],
  ["thresholds", "Thresholds"],
  ["models", "Models"],
  ["details", "Details"],
  ["paper", "Paper"],
  ["devices", "Devices"],
  ["reproduce", "Reproduce"],
];

/** A page is under 2 MB; what does not fit is counted and left out. */
const MAX_BYTES = 2_000_000;

/**
 * A Result as one HTML file that opens from disk: no script, nothing loaded from elsewhere, under 2 MB. The same
 * Result gives the same bytes.
 */
export function renderHtml(result: Result): string {
  const view = viewOf(result);
  for (let part = 2; ; part *= 0.75) {
    const text = pageText(new Page(view, part));
    if (new TextEncoder().encode(text).length < MAX_BYTES || part < 0.01) return text;
  }
}

function pageText(page: Page): string {
  const { view } = page;
  const { result } = view;
  const sections = SECTIONS.filter(([id]) => id !== "paper" || result.paper.length > 0);
  return html`<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1"><meta name="color-scheme" content="light dark">
<title>Blindspot: ${result.dataset.name}, ${result.preset}, seed ${String(result.seed)}</title>
<style>${trusted(STYLE)}</style></head>
<body><a class="skip" href="#answer">Skip to the answer</a>
${askedHeader(view)}
<nav aria-label="Sections">${sections.map(([id, title]) => html`<a href="#${id}">${title}</a> `)}</nav>
<main>
${answerSection(view)}
${matrixSection(page)}
${lossesSection(view)}
${thresholdsSection(page)}
${modelsSection(page)}
${detailsSection(page)}
${paperSection(view)}
${devicesSection(view)}
${reproduceSection(view)}
</main></body></html>
`.text;
}
