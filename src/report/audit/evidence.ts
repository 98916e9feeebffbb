import type { AuditResult } from "../../harness/audit/gate.ts";
import type { AuditCell } from "../../harness/audit/result.ts";
import type { Arm } from "../../harness/result.ts";
import { figuresMarkup } from "../html/figures.ts";
import { html, type Markup } from "../html/markup.ts";
import type { Figures } from "../html/page.ts";
import { distinct } from "../view.ts";
import { ARM_WORDS, className, defenseTitle } from "../words.ts";
import { armsOf, cellAt, defensesOf } from "./view.ts";

const WORDS: Record<Arm, string> = {
  ...ARM_WORDS,
  FF: "float twin, everything visible",
  FR: "float twin, as the device shows it",
};

/** What each defense said in each arm, what became of its detections on the devices, and its pictures. */
export function evidenceSection(result: AuditResult, figures: Figures): Markup {
  const { suspect, dataset } = result;
  const accused =
    suspect &&
    html`<p>Neural Cleanse accuses <strong>${className(dataset.classNames, suspect.class)}</strong> (${WORDS[suspect.arm]}${suspect.profile && `, ${suspect.profile}`}; anomaly index ${suspect.score.toFixed(2)}). STRIP and Fine-Pruning were run with the trigger that it found.</p>`;
  return html`<section id="evidence" aria-labelledby="evidence-h"><h2 id="evidence-h">What the defenses say</h2>
${accused ?? html`<p>Neural Cleanse accuses no class by its published threshold, so there is no trigger for STRIP and Fine-Pruning to work with.</p>`}
${scores(result)}${losses(result)}${pictures(result, figures)}</section>`;
}

function scores(result: AuditResult): Markup {
  const arms = armsOf(result);
  const ran = result.devices.filter(({ deployed }) => deployed);
  const reasons = distinct(result.cells.filter(({ score }) => score === null).map(({ reason }) => reason));
  const note = (cell: AuditCell) => {
    const n = reasons.indexOf(cell.reason) + 1;
    return html`<sup><a href="#why-${n}" aria-label="reason ${n}">${n}</a></sup>`;
  };
  const tile = (cell: AuditCell | undefined, decides: boolean) => {
    if (!cell) return html`<td></td>`;
    const kind = cell.score === null ? "n" : cell.verdict === "detected" ? "m" : "q";
    const shown = cell.score === null ? html`n/r${note(cell)}` : cell.score.toFixed(2);
    return html`<td${decides && html` class="decides"`}><span class="score s-${kind}">${shown}</span></td>`;
  };
  return html`<div class="scroll" role="region" tabindex="0" aria-label="Scores"><table class="scores">
<caption>Scores; framed ones are above the published threshold, hatched ones not runnable, which clears nothing. Bold columns decide by the policy.</caption>
<thead><tr><th scope="col">Defense</th>${arms.map((arm) => html`<th scope="col"${result.policy.arms.includes(arm) && html` class="decides"`}>${arm}<small>${WORDS[arm]}</small></th>`)}<th scope="col">Published threshold</th></tr></thead>
${ran.map(
  ({
    profile,
    access,
  }) => html`<tbody><tr class="group"><th scope="rowgroup" colspan="${arms.length + 2}">${profile} <small>shows ${access}</small></th></tr>
${defensesOf(result).map((defense) => {
  const threshold = cellAt(result, defense, arms[0], profile)?.published;
  return html`<tr><th scope="row">${defenseTitle(defense)}<small>${cellAt(result, defense, arms[0], profile)?.scoreName}</small></th>${arms.map((arm) => tile(cellAt(result, defense, arm, profile), result.policy.arms.includes(arm)))}<td>${threshold?.value}</td></tr>`;
})}</tbody>`,
)}</table></div>
${reasons.length > 0 && html`<details><summary>Why some could not be run</summary><ol class="whys">${reasons.map((reason, i) => html`<li id="why-${i + 1}">${reason}</li>`)}</ol></details>`}`;
}

function losses({ losses: rows }: AuditResult): Markup {
  if (rows.length === 0) return html``;
  return html`<h3>What the devices keep and lose of it</h3><ul class="losses-list">${rows.map(
    ({ defense, profile, cause, sentence }) =>
      html`<li><b>${defenseTitle(defense)} on ${profile}</b> <span class="tag c-${["kept", "mechanical", "statistical", "calibration"].includes(cause) ? cause : "other"}">${cause === "kept" ? "kept" : `lost: ${cause}`}</span> ${sentence}</li>`,
  )}</ul>`;
}

/** Each picture once; the deciding arms first. */
function pictures(result: AuditResult, figures: Figures): Markup {
  const parts = defensesOf(result).map((defense) => {
    const cells = result.cells.filter((cell) => cell.defense === defense && cell.figures.length > 0);
    const decides = (cell: AuditCell) => (result.policy.arms.includes(cell.arm) ? 0 : 1);
    const drawn = cells
      .toSorted((a, b) => decides(a) - decides(b))
      .map((cell) => figuresMarkup(figures, placeOf(cell), cell.figures));
    return drawn.length > 0
      ? html`<details class="onpaper"${defense === "neuralCleanse" && html` open`}><summary>${defenseTitle(defense)}: ${cells[0].reason.replace(`${defenseTitle(defense)}: `, "")}</summary><div class="audits">${drawn}</div></details>`
      : html``;
  });
  return html`<h3>Pictures</h3>${parts}`;
}

const placeOf = ({ arm, profile }: AuditCell) => `${arm}${profile ? `, ${profile}` : ""}: ${WORDS[arm]}`;
