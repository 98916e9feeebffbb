import * as Plot from "@observablehq/plot";
import type { CalibrationCard, Deployment, ModelRecord, Share } from "../../harness/result.ts";
import { distinct, inPairs, isDegraded } from "../view.ts";
import { bytes, className, count, intervalText, list, number, percent } from "../words.ts";
import { chart, INK } from "./chart.ts";
import { framed } from "./figures.ts";
import { html, type Markup, trusted } from "./markup.ts";
import type { Page } from "./page.ts";

/** Every model: accepted or why not, what it does on each deployment, and how its quantization was calibrated. */
export function modelsSection(page: Page): Markup {
  const models = inPairs(page.view.result.models);
  return html`<section id="models" aria-labelledby="models-h">
<h2 id="models-h">The models</h2>
<p>A backdoored model is accepted when, at FP32, its attack succeeds on more than 95% of stamped images of other classes and its clean accuracy is within 2 points of its clean twin.
Rejected models are shown and count nowhere.</p>
${overview(page, models)}
${models.map((model) => modelPart(page, model))}
</section>`;
}

function overview(page: Page, models: ModelRecord[]): Markup {
  const names = page.view.result.dataset.classNames;
  return html`<div class="scroll" role="region" tabindex="0" aria-label="Models"><table class="models">
<caption>Models at FP32, each backdoored one above its clean twin (95% Wilson intervals).</caption>
<thead><tr><th scope="col">Model</th><th scope="col">Kind</th><th scope="col">Accepted</th><th scope="col">Accuracy</th><th scope="col">Attack success</th><th scope="col">Attack</th><th scope="col">Architecture, seed</th></tr></thead>
<tbody>${models.map((model) => overviewRow(model, names))}</tbody></table></div>`;
}

function overviewRow(model: ModelRecord, names: readonly string[]): Markup {
  const float = model.deployments.find((deployment) => deployment.profile === null);
  const { attack } = model;
  const what =
    model.kind === "clean"
      ? html`none<small>success is measured with the trigger of ${model.twin}</small>`
      : html`${attack.name} to ${className(names, attack.target)}<small>${attack.triggerColor}, size ${number(attack.triggerSize)}, ${attack.triggerPosition}; ${percent(attack.poisonRate)} poisoned</small>`;
  return html`<tr><th scope="row">${model.id}</th><td>${model.kind}</td><td>${model.accepted ? "✓ yes" : html`<b class="warn">✕ rejected</b><small>${model.rejection}</small>`}</td>
<td>${shareMarkup(float?.accuracy)}</td><td>${shareMarkup(float?.attackSuccess)}</td><td>${what}</td><td>${model.architecture}<small>seed ${String(model.seed)}</small></td></tr>`;
}

function shareMarkup(share: Share | null | undefined): Markup {
  if (!share) return html`–`;
  return html`${percent(share.value)}<small>${intervalText(share)}, n=${count(share.n)}</small>`;
}

function modelPart(page: Page, model: ModelRecord): Markup {
  const table = html`<div class="scroll" role="region" tabindex="0" aria-label="Deployments of ${model.id}"><table>
<caption>${model.id}: accuracy, attack success and top-1 flips against FP32.</caption>
<thead><tr><th scope="col">Deployment</th><th scope="col">Accuracy</th><th scope="col">Attack success</th><th scope="col">Flips</th><th scope="col">Memory</th><th scope="col">Latency</th></tr></thead>
<tbody>${model.deployments.map((deployment) => deploymentRow(page, model, deployment))}</tbody></table></div>`;
  if (!page.admits("deployments", table)) return html``;
  return html`<details><summary>${model.id} on every deployment, with its calibration</summary>
${table}<div class="figures">${calibrations(page, model)}</div></details>`;
}

function deploymentRow(page: Page, model: ModelRecord, deployment: Deployment): Markup {
  const { profile, precision, latency } = deployment;
  const degraded = profile !== null && isDegraded(model, { profile, precision });
  return html`<tr><th scope="row">${page.view.profileTitle(profile)}, ${precision}<small>${deployment.scheme}</small></th>
<td>${shareMarkup(deployment.accuracy)}${degraded && html`<small class="warn">over 5 points below FP32</small>`}</td><td>${shareMarkup(deployment.attackSuccess)}</td><td>${shareMarkup(deployment.flips)}</td>
<td>${memoryMarkup(deployment.memory)}</td><td>${latency ? html`${number(latency.milliseconds)} ms<small>${latency.confidence}</small>` : "–"}</td></tr>`;
}

function memoryMarkup(memory: Deployment["memory"]): Markup {
  if (!memory) return html`–`;
  const of = (limit: number | null) => (limit === null ? "" : ` of ${bytes(limit)}`);
  return html`${memory.fits ? "fits" : html`<b class="warn">does not fit</b>`}<small>weights ${bytes(memory.weightBytes)}${of(memory.flashBytes)}, arena ${bytes(memory.arenaBytes)}${of(memory.ramBytes)}</small>`;
}

/** One chart for all deployments that were calibrated alike. */
function calibrations(page: Page, model: ModelRecord): Markup {
  const cards = Map.groupBy(
    model.deployments.filter((deployment) => deployment.calibration !== null),
    (deployment) => JSON.stringify(deployment.calibration),
  );
  return html`${[...cards.values()].map((same) => {
    const card = same[0].calibration!;
    const places = distinct(
      same.map(({ precision, profile }) => `${precision}${profile === null ? "" : ` on ${profile}`}`),
    );
    const title = `${model.id}, ${list(places)}: images clipped, layer by layer`;
    return page.figure("calibration", [model.id, card], (id) =>
      framed(id, title, cardWords(card), clipChart(card, id, title)),
    ).drawn;
  })}`;
}

function cardWords(card: CalibrationCard): Markup {
  const empty = card.perClass.filter((images) => images === 0).length;
  return html`${CLIP_LEGEND} Share of images with a value that the calibrated range cuts off. Calibrated on ${count(card.images)} images${
    card.perClass.length > 0 &&
    `, ${Math.min(...card.perClass)} to ${Math.max(...card.perClass)} a class${empty ? ` (${empty} classes without any)` : ""}`
  }.`;
}

const CLIP_LEGEND = trusted(
  '<span class="legend"><span><svg class="swatch" viewBox="0 0 16 10" aria-hidden="true"><circle cx="8" cy="5" r="3.4" fill="none" stroke="var(--first)" stroke-width="1.6"/></svg> clean</span> <span><svg class="swatch" viewBox="0 0 16 10" aria-hidden="true"><path d="M8 1l4.5 8h-9z" fill="var(--second)"/></svg> triggered</span></span>',
);

function clipChart({ layers }: CalibrationCard, id: string, title: string): Markup {
  const worst = layers.reduce((a, b) => (a.triggeredClipRate >= b.triggeredClipRate ? a : b), layers[0]);
  const y = (layer: CalibrationCard["layers"][number]) => layer.name;
  return chart(
    {
      height: 60 + 18 * layers.length,
      marginLeft: 110,
      x: { label: "share of images, %", percent: true, domain: [0, 100], grid: true, ticks: 5 },
      y: {
        label: null,
        domain: layers.map(y),
        tickSize: 0,
        tickFormat: (name: string) => (name.length > 17 ? `…${name.slice(-16)}` : name),
      },
      marks: [
        Plot.ruleY(layers, { y: "name", x1: "cleanClipRate", x2: "triggeredClipRate", stroke: INK.rule }),
        Plot.dot(layers, {
          y: "name",
          x: "cleanClipRate",
          r: 3.5,
          stroke: INK.first,
          strokeWidth: 1.6,
          fill: INK.paper,
        }),
        Plot.dot(layers, { y: "name", x: "triggeredClipRate", r: 4, symbol: "triangle", fill: INK.second }),
      ],
    },
    {
      id,
      title,
      description: worst
        ? `Largest for triggered images: ${worst.name}, ${percent(worst.triggeredClipRate)} against ${percent(worst.cleanClipRate)} of clean ones.`
        : "No layers.",
    },
  );
}
