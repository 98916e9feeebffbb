import type { AuditResult, Finding, Level } from "../../harness/audit/gate.ts";
import { RULES } from "../../harness/audit/rules.ts";
import { html, type Markup, trusted } from "../html/markup.ts";
import { Figures } from "../html/page.ts";
import { triggerFigure } from "../html/pictures.ts";
import { STYLE } from "../html/style.css.ts";
import { className, count, defenseTitle, list, plural } from "../words.ts";
import { devicesSection } from "./devices.ts";
import { evidenceSection } from "./evidence.ts";
import { AUDIT_STYLE } from "./style.css.ts";
import { atLevel } from "./view.ts";

/** A page is under 2 MB; figures for which there is no room are left out. */
const MAX_BYTES = 2_000_000;

/** An audit as one HTML file that opens from disk: no script, nothing loaded from elsewhere, under 2 MB. */
export function auditHtml(result: AuditResult): string {
  for (let part = 1; ; part *= 0.6) {
    const text = pageText(result, new Figures(part));
    if (new TextEncoder().encode(text).length < MAX_BYTES || part < 0.01) return text;
  }
}

function pageText(result: AuditResult, figures: Figures): string {
  const { gate, model } = result;
  return html`<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1"><meta name="color-scheme" content="light dark">
<title>${gate.ship ? "May ship" : "Do not ship"}: ${model.name} (Blindspot audit)</title>
<style>${trusted(STYLE)}${trusted(AUDIT_STYLE)}</style></head>
<body class="audit-page"><a class="skip" href="#answer">Skip to the answer</a>
<main>
${answer(result)}
${auditSections(result, figures)}
</main></body></html>
`.text;
}

/** What stands below the answer. */
export function auditSections(result: AuditResult, figures: Figures): Markup {
  return html`${devicesSection(result)}
${evidenceSection(result, figures)}
${checksSection(result)}
${basisSection(result)}`;
}

/** What fails and what warns, each with its reason. */
export function auditReasons({ gate }: AuditResult): Markup {
  const [fails, warnings] = (["fail", "warn"] as const).map((level) => atLevel(gate.findings, level));
  return html`${reasons(fails, "Why not", "fail")}${reasons(warnings, gate.ship ? "Look at this first" : "Also", "warn")}`;
}

/** Yes or no, and why in a sentence. */
export function verdictLine(result: AuditResult): Markup {
  const [first, ...rest] = shortAnswer(result);
  return html`<p class="verdict-line"><span class="stamp">${result.gate.ship ? "Yes" : "No"}</span><span>${first}${rest.length > 0 && html` <small>${rest.join(" ")}</small>`}</span></p>`;
}

/** The first screen. */
function answer(result: AuditResult): Markup {
  const { gate, model, devices } = result;
  return html`<header class="gate ${gate.ship ? "g-yes" : "g-no"}" id="answer"><div>
<p class="kicker">Blindspot audit</p>
<h1>May I ship <span class="file">${model.name}</span>?</h1>
${verdictLine(result)}
${auditReasons(result)}
<p class="tally">${tally(result)}. Audited for ${list(devices.map(({ title }) => title))}.</p></div>
${accusedPicture(result)}
</header>`;
}

/** The gate's sentences, of "it": the heading names the model. */
function shortAnswer({ gate, model }: AuditResult): string[] {
  const said = gate.answer.replace(/^(Yes|No), /, "").replace(model.name, "it");
  return said
    .split(/(?<=\.) (?=[A-Z])/)
    .map((sentence) => sentence.charAt(0).toUpperCase() + sentence.slice(1));
}

/** The trigger that was found, where a class is accused. */
function accusedPicture({ suspect, dataset }: AuditResult): Markup {
  if (!suspect) return html``;
  const { height, width, classNames } = dataset;
  const title = `The least that turns other images into ${className(classNames, suspect.class)}, as Neural Cleanse found it`;
  return triggerFigure({ kind: "trigger", title, height, width, ...suspect, truth: false }, "");
}

function tally({ gate }: AuditResult): string {
  const counts = (["fail", "warn", "note", "pass"] as const).map(
    (level) => [level, atLevel(gate.findings, level).length] as const,
  );
  const words: Record<Level, string> = { fail: "failed", warn: "warnings", note: "notes", pass: "passed" };
  return list(
    counts
      .filter(([, n]) => n > 0)
      .map(([level, n]) => `${n} ${n === 1 ? words[level].replace(/s$/, "") : words[level]}`),
  );
}

function reasons(findings: readonly Finding[], title: string, level: Level): Markup {
  if (findings.length === 0) return html``;
  return html`<div class="reasons r-${level}"><h2>${title}</h2><ul>${findings.map(
    ({ rule, message }) => html`<li><b>${titleOf(rule)}</b> ${message}</li>`,
  )}</ul></div>`;
}

const titleOf = (rule: string) => RULES.find(({ id }) => id === rule)!.title;

const MARKS: Record<Level, string> = { fail: "fails", warn: "warns", note: "note", pass: "passes" };

function checksSection({ gate }: AuditResult): Markup {
  const rows = gate.findings.map(
    ({ level, rule, message, profile, defense }) =>
      html`<tr class="l-${level}"><th scope="row"><span class="mark m-${level}">${MARKS[level]}</span></th><td>${titleOf(rule)}<small>${defense ? defenseTitle(defense) : (profile ?? "the model")}</small></td><td class="why">${message}</td></tr>`,
  );
  return html`<section id="checks" aria-labelledby="checks-h"><h2 id="checks-h">Every check</h2>
<div class="scroll" role="region" tabindex="0" aria-label="Every check"><table class="checks">
<thead><tr><th scope="col">Result</th><th scope="col">Rule</th><th scope="col">What was found</th></tr></thead><tbody>${rows}</tbody></table></div>
<details><summary>What the rules mean</summary><dl class="rules">${RULES.map(({ title, help }) => html`<dt>${title}</dt><dd>${help}</dd>`)}</dl></details></section>`;
}

function basisSection({
  dataset,
  model,
  inputs,
  preset,
  seed,
  policy,
  command,
  versions,
}: AuditResult): Markup {
  const rows: [string, string | Markup][] = [
    ["Model", html`${model.file}<small>sha256 ${inputs.model}</small>`],
    [
      "Float twin",
      model.float
        ? html`${model.float}<small>sha256 ${inputs.float ?? ""}</small>`
        : model.kind === "float"
          ? "the model itself"
          : "none was given",
    ],
    ["Input", model.input],
    [
      "Images",
      `${dataset.name}: ${plural(dataset.test, "image")} measured, ${count(dataset.clean)} for the defenses. ${dataset.caveat}`,
    ],
    ["Training set", dataset.training === null ? "not given" : plural(dataset.training, "image")],
    [
      "Run",
      `preset ${preset}, seed ${seed}, ${list(Object.entries(versions).map(([name, version]) => `${name} ${version}`))}`,
    ],
    ["Deciding arms", policy.arms.join(", ")],
  ];
  return html`<section id="basis" aria-labelledby="basis-h"><h2 id="basis-h">How this was measured</h2>
<table class="plain"><tbody>${rows.map(([name, value]) => html`<tr><th scope="row">${name}</th><td>${value}</td></tr>`)}</tbody></table>
<p class="command"><code>${command}</code></p>
<details><summary>The policy</summary><pre class="command"><code>${JSON.stringify(policy, null, 2)}</code></pre></details>
<h3>What this cannot say</h3><ul class="limits">
<li>A defense that finds nothing does not show that there is nothing: each one looks for backdoors of its kind.</li>
<li>A threshold is a number of its paper’s models. On a model of your own, false alarms are known only from clean models of the same kind.</li>
<li>Memory counts weights and activations, not the runtime; time is an estimate of the profile.</li></ul></section>`;
}
