import type { PaperRow } from "../../harness/result.ts";
import { distinct, type View } from "../view.ts";
import { ACCESS_WORDS, count, defenseTitle, number } from "../words.ts";
import { html, type Markup } from "./markup.ts";

/** The paper's protocol as its public code runs it, and what made each verdict so. */
export function paperSection(view: View): Markup {
  const { paper } = view.result;
  if (paper.length === 0) return html``;
  return html`<section id="paper" aria-labelledby="paper-h">
<h2 id="paper-h">The paper’s own protocol, as coded</h2>
<p>arXiv 2512.06243 reports 0% detection at INT8. These are its rules, as its public code runs them, on our models; the sentence beside each row says what decided it.</p>
${distinct(paper.map((row) => row.defense)).map((defense) =>
  paperTable(
    defense,
    paper.filter((row) => row.defense === defense),
  ),
)}
</section>`;
}

function paperTable(defense: string, rows: readonly PaperRow[]): Markup {
  const groups = Map.groupBy(rows, (row) =>
    [row.precision, row.detected, row.because, row.score, row.rule].join("\u0000"),
  );
  return html`<h3>${defenseTitle(defense)}</h3><div class="scroll" role="region" tabindex="0" aria-label="${defenseTitle(defense)} as coded by the paper"><table>
<caption>Rule as coded: ${distinct(rows.map((row) => row.rule)).join("; ")}.</caption>
<thead><tr><th scope="col">Models</th><th scope="col">Precision</th><th scope="col">Verdict</th><th scope="col">Score</th><th scope="col">Because</th></tr></thead>
<tbody>${[...groups.values()].map(
    (same) =>
      html`<tr><th scope="row">${same.map((row) => row.model).join(", ")}</th><td>${same[0].precision}</td><td>${same[0].detected ? "detected" : "not detected"}</td><td>${number(same[0].score)}</td><td class="why">${same[0].because}</td></tr>`,
  )}</tbody></table></div>`;
}

/** What each device computes with and lets a defender see. */
export function devicesSection(view: View): Markup {
  return html`<section id="devices" aria-labelledby="devices-h">
<h2 id="devices-h">The devices</h2>
<div class="scroll" role="region" tabindex="0" aria-label="Devices"><table>
<caption>What each device computes with, and what a defender can see on it.</caption>
<thead><tr><th scope="col">Device</th><th scope="col">Access</th><th scope="col">Arithmetic</th></tr></thead>
<tbody>${view.result.profiles.map(
    (profile) =>
      html`<tr><th scope="row">${profile.title}<small>${profile.id} · ${profile.family}</small></th><td>${profile.access}: ${ACCESS_WORDS[profile.access]}<small>${profile.accessWhy}</small></td><td>${profile.arithmetic}</td></tr>`,
  )}</tbody></table></div></section>`;
}

/** All that is needed to get the same Result again. */
export function reproduceSection(view: View): Markup {
  const { result } = view;
  const { dataset } = result;
  const hashes = [...Object.values(result.inputs).flatMap((group) => Object.entries(group))];
  const models = result.models.flatMap((model) =>
    model.deployments.map((d): [string, string] => [
      `${model.id}, ${d.precision}${d.profile === null ? "" : ` on ${d.profile}`}`,
      d.sha256,
    ]),
  );
  return html`<section id="reproduce" aria-labelledby="reproduce-h">
<h2 id="reproduce-h">To get the same Result again</h2>
<pre class="command"><code>${result.command}</code></pre>
<p>Seed ${String(result.seed)}, preset ${result.preset}. ${dataset.name}: ${String(dataset.classNames.length)} classes, ${dataset.width} × ${dataset.height} × ${dataset.channels};
${count(dataset.train)} images to train, ${count(dataset.held)} held by the defender, ${count(dataset.test)} to test. ${dataset.caveat}</p>
<div class="pairs">${pairs("Versions", Object.entries(result.versions))}${pairs(
    "Options",
    Object.entries(result.options).map(([name, value]) => [name, JSON.stringify(value) ?? "undefined"]),
  )}</div>
${pairs("sha256 of data, profiles and kernels", hashes)}
<details><summary>sha256 of ${count(models.length)} models as deployed</summary>${pairs("sha256 of models", models)}</details>
</section>`;
}

function pairs(caption: string, rows: readonly (readonly [string, string])[]): Markup {
  return html`<div class="scroll" role="region" tabindex="0" aria-label="${caption}"><table class="plain"><caption>${caption}</caption><tbody>${rows.map(
    ([name, value]) => html`<tr><th scope="row">${name}</th><td><code>${value}</code></td></tr>`,
  )}</tbody></table></div>`;
}
