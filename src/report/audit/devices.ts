import type { AuditResult } from "../../harness/audit/gate.ts";
import type { AuditDevice } from "../../harness/audit/result.ts";
import type { Share } from "../../harness/result.ts";
import type { Fit } from "../../model/inspect.ts";
import { html, type Markup } from "../html/markup.ts";
import { bytes, intervalText, percent, plural } from "../words.ts";

/** Accuracy, flips, memory and time: one row a device. */
export function devicesSection(result: AuditResult): Markup {
  const { devices, float } = result;
  const twin = float && "deployed" in float ? float.deployed : null;
  return html`<section id="devices" aria-labelledby="devices-h"><h2 id="devices-h">On the device</h2>
<div class="scroll" role="region" tabindex="0" aria-label="On the device"><table class="devices">
<thead><tr>${["Device", "Accuracy", "Answers that change", "Weights", "Activations", "One image"].map((head) => html`<th scope="col">${head}</th>`)}</tr></thead>
<tbody>${twin && html`<tr><th scope="row">FP32<small>the float twin</small></th><td data-head="Accuracy">${shareMarkup(twin.accuracy)}</td><td></td><td></td><td></td><td></td></tr>`}
${devices.map((device) => row(device, twin?.accuracy.value ?? null, result))}</tbody></table></div>
${float && "refused" in float && html`<p class="small">The float twin could not be run: ${float.refused}</p>`}</section>`;
}

function row(device: AuditDevice, float: number | null, { devices }: AuditResult): Markup {
  const { profile, title, deployed, refused, flash, ram, latency } = device;
  const head = html`<th scope="row">${profile}<small>${title}</small></th>`;
  if (!deployed)
    return html`<tr>${head}<td colspan="5"><span class="mark m-fail">cannot run it</span> ${plural(refused.length, "node")}: <small>${refused.join("; ")}</small></td></tr>`;
  const first = devices.find((other) => other.deployed)!.profile;
  const fall = float === null ? null : deployed.accuracy.value - float;
  return html`<tr>${head}
<td data-head="Accuracy">${shareMarkup(deployed.accuracy)}${fall !== null && html`<small>${fall < 0 ? "−" : "+"}${percent(Math.abs(fall))} from FP32; ${deployed.precision}</small>`}</td>
<td data-head="Changed">${deployed.flipsFromFloat && html`${percent(deployed.flipsFromFloat.value)}<small>from FP32</small>`}${deployed.flipsFromFirst && html`${!deployed.flipsFromFloat && percent(deployed.flipsFromFirst.value)}<small>${deployed.flipsFromFloat && percent(deployed.flipsFromFirst.value)} from ${first}</small>`}</td>
<td data-head="Weights">${fitMarkup(flash)}</td><td data-head="Activations">${fitMarkup(ram)}</td>
<td data-head="One image">${latency ? html`${latency.milliseconds.toPrecision(3)} ms<small>estimate, ${latency.confidence}</small>` : "–"}</td></tr>`;
}

const shareMarkup = (share: Share) =>
  html`${percent(share.value)}<small>${intervalText(share)}, n = ${share.n}</small>`;

function fitMarkup({ needsBytes, hasBytes, fits }: Fit): Markup {
  const used = hasBytes === null ? 0 : Math.min(1, needsBytes / hasBytes);
  const bar = html`<svg class="fit${fits === false && " over"}" viewBox="0 0 100 6" preserveAspectRatio="none" aria-hidden="true"><rect class="all" width="100" height="6"/><rect class="used" width="${Math.max(1, Math.round(100 * used))}" height="6"/></svg>`;
  return html`${bytes(needsBytes)}${hasBytes !== null && bar}<small>${hasBytes === null ? "the profile gives no limit" : `${fits ? "of" : "does not fit in"} ${bytes(hasBytes)}`}</small>`;
}
