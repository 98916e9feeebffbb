import * as Plot from "@observablehq/plot";
import { parseHTML } from "linkedom";
import { html, type Markup, trusted } from "./markup.ts";

/** Width of a figure in its own units; CSS shrinks it on narrow screens. */
export const FIGURE_WIDTH = 440;

/** CSS variables, so that a chart follows the page into the dark and onto paper. */
export const INK = {
  first: "var(--first)",
  second: "var(--second)",
  rule: "var(--rule)",
  faint: "var(--line)",
  ink: "var(--ink)",
  paper: "var(--paper)",
};

export type ChartOptions = NonNullable<Parameters<typeof Plot.plot>[0]>;

/** What a screen reader says of a chart, and the id that ties the words to it. */
export interface ChartWords {
  id: string;
  title: string;
  description: string;
}

/** A chart as inline SVG, drawn without a browser. */
export function chart(options: ChartOptions, { id, title, description }: ChartWords): Markup {
  const { document } = parseHTML("<!doctype html><html><body></body></html>");
  const plot = Plot.plot({
    className: "plot",
    width: FIGURE_WIDTH,
    marginLeft: 48,
    marginBottom: 38,
    ...options,
    document,
  } as ChartOptions);
  const svg = slim(String((plot as unknown as { outerHTML: string }).outerHTML));
  const open = svg.indexOf(">");
  const words = html`<title id="${id}t">${title}</title><desc id="${id}d">${description}</desc>`;
  return trusted(
    `${svg.slice(0, open)} role="img" aria-labelledby="${id}t ${id}d">${words.text}${svg.slice(open + 1)}`,
  );
}

/** Drops Plot's own style sheet and labels, and digits in attributes that no screen can show. */
function slim(svg: string): string {
  return svg
    .replace(/<style>[\s\S]*?<\/style>/g, "")
    .replace(/ xmlns(:xlink)?="[^"]*"/g, "")
    .replace(/ aria-(label|description|hidden)="[^"]*"/g, "")
    .replace(/="[^"]*"/g, (value) =>
      value.replace(/-?\d+\.\d{2,}/g, (n) => String(Math.round(Number(n) * 10) / 10)),
    );
}
