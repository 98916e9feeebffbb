import type { View } from "../view.ts";
import { distinct } from "../view.ts";
import { html, type Markup } from "./markup.ts";

/** Bytes that the parts which grow with the number of models may take of a page, so that it stays under 2 MB. */
const ROOM = { calibration: 150_000, audit: 600_000, deployments: 250_000, cells: 400_000 };
type Pool = keyof typeof ROOM;

/** The figures of one page: each drawn once, as long as there is room. */
export class Figures {
  protected readonly room: Record<Pool, number>;
  private readonly known = new Map<string, string>();
  private ids = 0;
  /** Figures for which there was no room. */
  omittedFigures = 0;

  /** part: how much of the usual room this page may use. */
  constructor(part = 1) {
    this.room = { ...ROOM };
    for (const pool of Object.keys(ROOM) as Pool[]) this.room[pool] *= part;
  }

  /** A new id, unique on this page. */
  id(): string {
    return `c${++this.ids}`;
  }

  /** Draws what `content` (any JSON) says, once a page; the second time it is the id of the first. */
  figure(pool: Pool, content: unknown, draw: (id: string) => Markup): { drawn?: Markup; known?: string } {
    const key = JSON.stringify(content);
    const known = this.known.get(key);
    if (known) return { known };
    if (this.room[pool] <= 0) {
      this.omittedFigures++;
      return {};
    }
    const id = `f${this.known.size + 1}`;
    this.known.set(key, id);
    const drawn = draw(id);
    this.room[pool] -= drawn.text.length;
    return { drawn };
  }
}

/** What the sections of a report share: the reasons by number, and the figures that are already on it. */
export class Page extends Figures {
  readonly view: View;
  /** Why something could not be run, each sentence once. */
  readonly reasons: string[];
  /** Tables for which there was no room. */
  omittedTables = 0;

  constructor(view: View, part = 1) {
    super(part);
    this.view = view;
    const stopped = view.result.cells.filter((cell) => cell.verdict === "not runnable");
    this.reasons = distinct(stopped.map((cell) => cell.reason));
  }

  /** Links to the sentences that say why something could not be run. */
  notes(reasons: readonly string[]): Markup {
    const numbers = reasons.map((reason) => this.reasons.indexOf(reason) + 1).filter((n) => n > 0);
    return html`${numbers.map((n) => html`<sup><a href="#why-${n}" aria-label="reason ${n}">${n}</a></sup>`)}`;
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
