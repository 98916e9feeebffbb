/** The list of devices: by family, searchable, several may be chosen. */
import type { Profile } from "../profile/schema.ts";
import { html, type Markup } from "../report/html/markup.ts";
import { byId } from "./elements.ts";
import { FAMILIES, hides } from "./hidden.ts";

/** Chosen at first: two that hide much, and round differently. */
const FIRST: ReadonlySet<string> = new Set(["stm32l4r5-cmsis-nn", "ethos-u85-tosa"]);

export class Devices {
  readonly #list = byId("profiles");
  readonly #find = byId("find", HTMLInputElement);
  readonly #found = byId("found");

  constructor(profiles: readonly Profile[]) {
    this.#list.innerHTML = Object.keys(FAMILIES)
      .map((family) => group(family as Profile["family"], profiles).text)
      .join("");
    this.#find.addEventListener("input", () => this.#filter());
    this.#list.addEventListener("change", () => this.#tell());
    this.#tell();
  }

  /** In the order of the list. */
  chosen(): string[] {
    return this.#boxes()
      .filter(({ checked }) => checked)
      .map(({ value }) => value);
  }

  focus(): void {
    this.#find.focus();
  }

  #boxes(): HTMLInputElement[] {
    return [...this.#list.querySelectorAll("input")];
  }

  #filter(): void {
    const words = this.#find.value.toLowerCase().split(/\s+/).filter(Boolean);
    for (const label of this.#list.querySelectorAll("label")) {
      const text = `${label.textContent} ${label.dataset.more}`.toLowerCase();
      label.hidden = !words.every((word) => text.includes(word));
    }
    for (const family of this.#list.querySelectorAll("fieldset"))
      family.hidden = family.querySelector("label:not([hidden])") === null;
    this.#tell();
  }

  #tell(): void {
    const labels = [...this.#list.querySelectorAll("label")];
    const shown = labels.filter(({ hidden }) => !hidden).length;
    const chosen = this.chosen();
    const ids = chosen.length > 0 ? `: ${chosen.join(", ")}` : "";
    this.#found.textContent = `${shown} of ${labels.length} shown, ${chosen.length} chosen${ids}`;
  }
}

function group(family: Profile["family"], profiles: readonly Profile[]): Markup {
  const members = profiles.filter((profile) => profile.family === family);
  return html`<fieldset class="family"><legend>${FAMILIES[family]}</legend>${members.map(
    (profile) =>
      html`<label data-more="${family} ${profile.access.why}" title="${profile.access.why}"><input type="checkbox" name="profile" value="${profile.id}"${
        FIRST.has(profile.id) && html` checked`
      }><span><b>${profile.id}</b> <small>${profile.title}</small><small class="hides">${profile.access.level}: ${hides(profile)}</small></span></label>`,
  )}</fieldset>`;
}
