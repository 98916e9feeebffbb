import * as Plot from "@observablehq/plot";
import type { Figure } from "../../defenses/defense.ts";
import { count, list, number } from "../words.ts";
import { type ChartOptions, chart, FIGURE_WIDTH, INK } from "./chart.ts";
import { html, type Markup, trusted } from "./markup.ts";
import type { Figures } from "./page.ts";
import { triggerFigure } from "./pictures.ts";

/** At most this many points a series are drawn, evenly picked. */
const MAX_POINTS = 200;

type Of<Kind extends Figure["kind"]> = Extract<Figure, { kind: Kind }>;
type Named = { name: string };

/**
 * The figures of one cell under its place. What is already on the page becomes a link, but for the true trigger, which
 * stands beside every inverted one.
 */
export function figuresMarkup(page: Figures, place: string, figures: readonly Figure[]): Markup {
  const truths = figures.filter((figure) => figure.kind === "trigger" && figure.truth);
  const found = figures
    .filter((figure) => !truths.includes(figure))
    .map((figure) => page.figure("audit", figure, (id) => draw(figure, id)));
  const drawn = found.flatMap((figure) => figure.drawn ?? []);
  const known = found.flatMap((figure) => figure.known ?? []);
  const links = known.map((id, i) => html`${i > 0 && ", "}<a href="#${id}">Figure ${id.slice(1)}</a>`);
  if (drawn.length === 0)
    return known.length ? html`<p class="same">${place}: the same as ${links}.</p>` : html``;
  return html`<div class="audit"><h4>${place}</h4><div class="figures">${truths.map((figure) => draw(figure, ""))}${drawn}</div>${known.length > 0 && html`<p class="same">Also ${links}.</p>`}</div>`;
}

function draw(figure: Figure, id: string): Markup {
  switch (figure.kind) {
    case "trigger":
      return triggerFigure(figure, id);
    case "histogram":
      return framed(id, figure.title, legend(figure.series, "bars"), histogram(figure, id));
    case "scatter":
      return framed(
        id,
        figure.title,
        html`${legend(figure.series, "points")}${sampled(figure)}`,
        scatter(figure, id),
      );
    case "curve":
      return framed(id, figure.title, legend(figure.series, "lines"), curve(figure, id));
    case "bars":
      return framed(id, figure.title, html`Marked bars are labelled.`, bars(figure, id));
  }
}

/** A chart with its number, caption and legend. */
export function framed(id: string, title: string, below: Markup, svg: Markup): Markup {
  return html`<figure id="${id}">${svg}<figcaption>Figure ${id.slice(1)}. <b>${title}.</b> ${below}</figcaption></figure>`;
}

/** Swatches that differ in form as well as in colour. */
function legend(series: readonly Named[], form: "bars" | "points" | "lines"): Markup {
  const swatch = (i: number) =>
    html`<svg class="swatch" viewBox="0 0 16 10" aria-hidden="true">${SWATCHES[form][i % 2]}</svg>`;
  return html`<span class="legend">${series.map(({ name }, i) => html`<span>${swatch(i)} ${name}</span> `)}</span>`;
}

const SWATCHES = {
  bars: [
    trusted('<rect width="16" height="10" fill="var(--first)" fill-opacity=".55"/>'),
    trusted(
      '<rect x=".8" y=".8" width="14.4" height="8.4" fill="none" stroke="var(--second)" stroke-width="1.6"/>',
    ),
  ],
  points: [
    trusted('<circle cx="8" cy="5" r="3" fill="var(--first)"/>'),
    trusted('<path d="M5 2l6 6m-6 0l6-6" stroke="var(--second)" stroke-width="1.6"/>'),
  ],
  lines: [
    trusted('<path d="M0 5h16" stroke="var(--first)" stroke-width="2"/>'),
    trusted('<path d="M0 5h16" stroke="var(--second)" stroke-width="2" stroke-dasharray="4 2.5"/>'),
  ],
};

const inkOf = (i: number) => (i % 2 ? INK.second : INK.first);

function thresholdMarks(threshold: number | undefined, along: "x" | "y"): Plot.Markish[] {
  if (threshold === undefined) return [];
  const rule = { stroke: INK.ink, strokeDasharray: "2 3", strokeWidth: 1.4 };
  const words = [`threshold ${number(threshold)}`];
  return along === "x"
    ? [
        Plot.ruleX([threshold], rule),
        Plot.text(words, {
          x: [threshold],
          frameAnchor: "top",
          dy: -12,
          text: words,
          fill: INK.ink,
          stroke: INK.paper,
          strokeWidth: 4,
        }),
      ]
    : [
        Plot.ruleY([threshold], rule),
        Plot.text(words, {
          y: [threshold],
          frameAnchor: "right",
          dy: -7,
          text: words,
          fill: INK.ink,
          stroke: INK.paper,
          strokeWidth: 4,
        }),
      ];
}

function histogram(figure: Of<"histogram">, id: string): Markup {
  const marks = figure.series.flatMap(({ counts }, s) =>
    Plot.rectY(
      counts
        .map((value, i) => ({ x1: figure.edges[i], x2: figure.edges[i + 1], value }))
        .filter((bin) => bin.value > 0),
      s % 2
        ? { x1: "x1", x2: "x2", y: "value", fill: "none", stroke: inkOf(s), strokeWidth: 1.4 }
        : { x1: "x1", x2: "x2", y: "value", fill: inkOf(s), fillOpacity: 0.55 },
    ),
  );
  const totals = figure.series.map(({ name, counts }) => `${count(sum(counts))} ${name}`);
  return chart(
    {
      height: 210,
      marginTop: 26,
      x: { label: figure.xLabel, domain: [figure.edges[0] ?? 0, figure.edges.at(-1) ?? 1] },
      y: { label: "count", grid: true, ticks: 4 },
      marks: [...marks, Plot.ruleY([0], { stroke: INK.rule }), ...thresholdMarks(figure.threshold, "x")],
    },
    { id, title: figure.title, description: `Histogram of ${figure.xLabel}: ${list(totals)}.` },
  );
}

function scatter(figure: Of<"scatter">, id: string): Markup {
  const all = figure.series.flatMap(({ points }) => points);
  return chart(
    {
      height: 300,
      x: { label: figure.xLabel, domain: extent(all.map(([x]) => x)), grid: true, ticks: 5 },
      y: { label: figure.yLabel, domain: extent(all.map(([, y]) => y)), grid: true, ticks: 5 },
      marks: figure.series.map(({ points }, s) => pointsMark(pick(points), s)),
    },
    {
      id,
      title: figure.title,
      description: `Scatter of ${list(figure.series.map(({ name, points }) => `${points.length} ${name}`))}.`,
    },
  );
}

/** All points of a series in one path, a tenth of the bytes of one element each: dots, or crosses. */
function pointsMark(points: [number, number][], series: number): Plot.Markish {
  return ((
    _index: unknown,
    scales: Record<"x" | "y", (v: number) => number>,
    _v: unknown,
    _d: unknown,
    context: unknown,
  ) => {
    const { document } = context as {
      document: { createElementNS(space: string, name: string): SvgElement };
    };
    const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
    const shape = series % 2 ? "m-2.5-2.5l5 5m-5 0l5-5" : "h0";
    path.setAttribute(
      "d",
      points.map(([x, y]) => `M${scales.x(x).toFixed(0)} ${scales.y(y).toFixed(0)}${shape}`).join(""),
    );
    path.setAttribute("class", series % 2 ? "crosses" : "dots");
    return path;
  }) as unknown as Plot.Markish;
}

interface SvgElement {
  setAttribute(name: string, value: string): void;
}

function sampled({ series }: Of<"scatter">): Markup {
  const cut = series.filter(({ points }) => points.length > MAX_POINTS);
  return html`${cut.map(({ name, points }) => ` ${MAX_POINTS} of ${count(points.length)} ${name} points are drawn.`)}`;
}

function pick<T>(items: readonly T[]): T[] {
  if (items.length <= MAX_POINTS) return [...items];
  return Array.from({ length: MAX_POINTS }, (_, i) => items[Math.floor((i * items.length) / MAX_POINTS)]);
}

function curve(figure: Of<"curve">, id: string): Markup {
  const share = figure.series.every(({ points }) => points.every(([, y]) => y >= 0 && y <= 1));
  const y: ChartOptions["y"] = share
    ? { domain: [0, 100], percent: true, label: `${figure.yLabel}, %` }
    : { label: figure.yLabel };
  return chart(
    {
      height: 230,
      x: { label: figure.xLabel },
      y: { ...y, grid: true, ticks: 5 },
      marks: [
        Plot.ruleY([0], { stroke: INK.rule }),
        ...figure.series.map(({ points }, s) =>
          Plot.line(points, { stroke: inkOf(s), strokeWidth: 2, strokeDasharray: s % 2 ? "5 3" : undefined }),
        ),
      ],
    },
    {
      id,
      title: figure.title,
      description: figure.series.map(ends).join(" "),
    },
  );
}

function ends({ name, points }: { name: string; points: [number, number][] }): string {
  const [first, last] = [points[0], points.at(-1)];
  if (!first || !last) return `${name}: no points.`;
  return `${name} goes from ${number(first[1])} at ${number(first[0])} to ${number(last[1])} at ${number(last[0])}.`;
}

function bars(figure: Of<"bars">, id: string): Markup {
  const marked = figure.bars.filter((bar) => bar.marked);
  const every = Math.ceil(figure.bars.length / 15);
  const plain = { x: "label", y: "value", insetLeft: 0.5, insetRight: 0.5 };
  return chart(
    {
      height: 210,
      marginTop: 26,
      x: {
        label: figure.xLabel,
        domain: figure.bars.map((bar) => bar.label),
        ticks: figure.bars.filter((_, i) => i % every === 0).map((bar) => bar.label),
        tickSize: 3,
      },
      y: { label: figure.yLabel, grid: true, ticks: 4 },
      width: FIGURE_WIDTH,
      marks: [
        Plot.barY(
          figure.bars.filter((bar) => !bar.marked),
          { ...plain, fill: INK.first, fillOpacity: 0.45 },
        ),
        Plot.barY(marked, { ...plain, fill: INK.second }),
        Plot.text(marked, {
          x: "label",
          y: "value",
          text: "label",
          dy: -8,
          fontWeight: 700,
          fill: INK.second,
        }),
        Plot.ruleY([0], { stroke: INK.rule }),
        ...thresholdMarks(figure.threshold, "y"),
      ],
    },
    {
      id,
      title: figure.title,
      description: `${figure.bars.length} bars of ${figure.yLabel}. ${
        marked.length
          ? `Marked: ${list(marked.map(({ label, value }) => `${label} (${number(value)})`))}.`
          : "None is marked."
      }`,
    },
  );
}

const sum = (values: readonly number[]) => values.reduce((total, value) => total + value, 0);

function extent(values: readonly number[]): [number, number] {
  const low = values.reduce((a, b) => Math.min(a, b), Infinity);
  const high = values.reduce((a, b) => Math.max(a, b), -Infinity);
  if (low > high) return [0, 1];
  const margin = (high - low || 1) * 0.03;
  return [low - margin, high + margin];
}
