import type { View } from "../view.ts";
import { distinct } from "../view.ts";
import { html, type Markup } from "./markup.ts";

/** Bytes that the parts which grow with the number of models may take of a page, so that it stays under 2 MB. */
const ROOM = { calibration: 150_000, audit: 600_000, deployments: 250_000, cells: 400_000 };
type Pool = keyof typeof ROOM;

/** What the sections of one page share: the reasons by number, and the figures that are already on it. */
export class Page {
  readonly view: View;
  /** Why something could not be run, each sentence once. */
  readonly reasons: string[];
  private readonly figures = new Map<string, string>();
  private readonly room: Record<Pool, number>;
  private ids = 0;
  /** Figures and tables for which there was no room. */
  omittedFigures = 0;
  omittedTables = 0;

  /** part: how much of the usual room this page may use. */
  constructor(view: View, part = 1) {
    this.view = view;
    this.room = { ...ROOM };
    for (const pool of Object.keys(ROOM) as Pool[]) this.room[pool] *= part;
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

  /** Draws what `content` (any JSON) says, once a page; the second time it is the id of the first. */
  figure(pool: Pool, content: unknown, draw: (id: string) => Markup): { drawn?: Markup; known?: string } {
    const key = JSON.stringify(content);
    const known = this.figures.get(key);
    if (known) return { known };
    if (this.room[pool] <= 0) {
      this.omittedFigures++;
      return {};
    }
    const id = `f${this.figures.size + 1}`;
    this.figures.set(key, id);
    const drawn = draw(id);
    this.room[pool] -= drawn.text.length;
    return { drawn };
  }

  /** Whether there is room for one more table; takes the room if so. */
  admits(pool: Pool, table: Markup): boolean {
    if (this.room[pool] < table.text.length) {
      this.omittedTables++;
      return false;
    }
    this.room[pool] -= table.text.length;
    return true;
  }
}
