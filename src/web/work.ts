/** What runs and what came of it, for eyes and for ears. */
import { html } from "../report/html/markup.ts";
import { count, percent } from "../report/words.ts";
import { byId } from "./elements.ts";
import type { AuditDone, AuditEvent, DeviceAnswer } from "./protocol.ts";

/** A screen reader hears how far it is at each quarter. */
const SPOKEN = 4;

/** What may be taken away, by its field of AuditDone. */
const DOWNLOADS = [
  { of: "json", type: "application/json", name: "blindspot-result.json" },
  { of: "report", type: "text/html", name: "blindspot-report.html" },
] as const;

export class Work {
  readonly #verdict = byId("verdict");
  readonly #answer = byId("answer");
  readonly #progress = byId("progress", HTMLProgressElement);
  readonly #doing = byId("doing");
  readonly #said = byId("said");
  readonly #first = byId("first");
  readonly #answers = byId("answers");
  readonly #reasons = byId("reasons");
  readonly #body = byId("body");
  readonly #downloads = DOWNLOADS.map((row) => ({
    ...row,
    button: byId(`download-${row.of}`, HTMLButtonElement),
  }));
  #done: AuditDone | null = null;
  #quarter = 0;

  constructor() {
    for (const { of, button, type, name } of this.#downloads)
      button.addEventListener("click", () => {
        if (this.#done) save(new Blob([this.#done[of]], { type }), name);
      });
  }

  /** Clears what an earlier run left. */
  begin(model: string): void {
    this.#quarter = 0;
    this.#verdict.dataset.state = "running";
    this.#verdict.setAttribute("aria-busy", "true");
    this.#say(`Auditing ${model}…`);
    this.#answers.innerHTML = "";
    this.#reasons.innerHTML = "";
    this.#body.innerHTML = "";
    this.#first.hidden = true;
    this.#offer(null);
    this.#tell("Starting", 0);
    this.#verdict.focus({ preventScroll: true });
    this.#verdict.scrollIntoView({ block: "nearest" });
  }

  hear(event: AuditEvent): void {
    if (event.kind === "progress") this.#tell(event.title, event.share);
    if (event.kind === "device") this.#add(event.answer);
  }

  finish(done: AuditDone): void {
    this.#end(done.ship ? "ship" : "stop", done.answer, "Finished.", 1);
    document.title = `${done.ship ? "Yes" : "No"}: may this model ship? (Blindspot)`;
    this.#answer.innerHTML = done.verdict;
    this.#reasons.innerHTML = done.reasons;
    this.#body.innerHTML = done.body;
    // The same, and more, stands in the report now.
    this.#first.hidden = true;
    this.#offer(done);
  }

  /** The run stopped: on request, or with one line that says why. */
  stop(line: string, state: "cancelled" | "failed"): void {
    this.#end(state, line, state === "failed" ? "Stopped." : "Cancelled: what was finished is kept.", 0);
  }

  #end(state: string, answer: string, doing: string, share: number): void {
    this.#verdict.dataset.state = state;
    this.#verdict.removeAttribute("aria-busy");
    this.#say(answer);
    this.#doing.textContent = doing;
    this.#said.textContent = answer;
    this.#progress.value = share;
  }

  #say(line: string): void {
    this.#answer.innerHTML = html`<p>${line}</p>`.text;
  }

  #tell(title: string, share: number): void {
    this.#progress.value = share;
    this.#doing.textContent = `${Math.floor(100 * share)} % · ${title}`;
    const quarter = Math.floor(share * SPOKEN);
    if (quarter === this.#quarter) return;
    this.#quarter = quarter;
    this.#said.textContent = `${Math.floor(100 * share)} percent, ${title}`;
  }

  #add({ title, profile, precision, accuracy, refused }: DeviceAnswer): void {
    this.#first.hidden = false;
    const says = accuracy
      ? html`<b>${percent(accuracy.value)}</b> of ${count(accuracy.n)} images right`
      : html`<b class="warn">cannot run it</b> ${refused.join("; ")}`;
    this.#answers.insertAdjacentHTML(
      "beforeend",
      html`<li>${says}<small>${profile ?? title}, ${precision}</small></li>`.text,
    );
  }

  #offer(done: AuditDone | null): void {
    this.#done = done;
    for (const { button } of this.#downloads) button.disabled = done === null;
  }
}

function save(file: Blob, name: string): void {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(file);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}
