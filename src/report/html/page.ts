import type { View } from "../view.ts";
import { distinct } from "../view.ts";
import { html, type Markup } from "./markup.ts";

/** Bytes that figures, and rows of details, may take of a page: together with the rest it stays under 2 MB. */
const FIGURE_BYTES = 1_000_000;
const DETAIL_BYTES = 500_000;

/** What the sections of one page share: the reasons by number, and the figures that are already on it. */
export class Page {
  readonly view: View;
  /** Why something could not be run, each sentence once. */
  readonly reasons: string[];
  private readonly figures = new Map<string, string>();
  private figureBytes = 0;
  private detailBytes = 0;
  private ids = 0;
  /** Figures and models for which there was no room. */
  omittedFigures = 0;
  omittedModels = 0;

  constructor(view: View) {
    this.view = view;
    const stopped = view.result.cells.filter((cell) => cell.verdict === "not runnable");
    this.reasons = distinct(stopped.map((cell) => cell.reason));
  }

  /** A new id, unique on this page. */
  id(): string {
    return `c${++this.ids}`;
  }

  /** Links to the sentences that say why something could not be run. */
  notes(reasons: readonly string[]): Markup {
    const numbers = reasons.map((reason) => this.reasons.indexOf(reason) + 1).filter((n) => n > 0);
    return html`${numbers.map((n) => html`<sup><a href="#why-${n}" aria-label="reason ${n}">${n}</a></sup>`)}`;
  }

  /** Draws what `content` (any JSON) says, once a page: the second time it is a link to the first. */
  figure(content: unknown, title: string, draw: (id: string) => Markup): Markup {
    const key = JSON.stringify(content);
    const known = this.figures.get(key);
    if (known)
      return html`<p class="same"><a href="#${known}">${title}: the same as Figure ${known.slice(1)}</a></p>`;
    if (this.figureBytes > FIGURE_BYTES) {
      this.omittedFigures++;
      return html``;
    }
    const id = `f${this.figures.size + 1}`;
    this.figures.set(key, id);
    const drawn = draw(id);
    this.figureBytes += drawn.text.length;
    return drawn;
  }

  /** Whether the details of one more model fit; counts them if so. */
  admit(details: Markup): Markup {
    if (this.detailBytes + details.text.length > DETAIL_BYTES + this.figureBytes) {
      this.omittedModels++;
      return html``;
    }
    this.detailBytes += details.text.length;
    return details;
  }
}
