/** Where devices part, layer by layer, and the images whose answer flips. */
import { type ImageSet, select } from "../data/dataset.ts";
import type { Comparison } from "../harness/compare.ts";
import { comparisonAnswer, layersPicture, layersTable } from "../report/html/comparison.ts";
import { html, type Markup } from "../report/html/markup.ts";
import { bitmap } from "../report/html/pictures.ts";
import { className, plural } from "../report/words.ts";

export function layersSection(comparison: Comparison, test: ImageSet, classNames: readonly string[]): Markup {
  const { profiles, reference, images } = comparison;
  return html`<section class="layers"><h2>Where the devices part, layer by layer</h2>
${comparisonAnswer(comparison)}
<p class="small">The same integers on ${plural(images, "test image")}, compared with ${reference}.</p>
${layersPicture(comparison)}
${profiles.map(({ profile, run }) => run && flips(profile, run.flips.first, test, classNames))}
<details><summary>Layer by layer in numbers</summary>${layersTable(comparison)}</details></section>`;
}

function flips(
  profile: string,
  flipped: { image: number; from: number; to: number }[],
  test: ImageSet,
  classNames: readonly string[],
): Markup {
  if (flipped.length === 0) return html``;
  const name = (index: number) => className(classNames, index);
  return html`<h3>Answers that flip on ${profile}</h3><ul class="flips">${flipped.map(
    ({ image, from, to }) =>
      html`<li>${thumbnail(test, image)}<span>${name(from)} <span aria-hidden="true">→</span><span class="visually-hidden">becomes</span> <b>${name(to)}</b><small>labelled ${name(test.labels[image])}</small></span></li>`,
  )}</ul>`;
}

function thumbnail(set: ImageSet, index: number): Markup {
  const { pixels, height, width, channels } = select(set, [index]);
  const rgb = Uint8Array.from(
    { length: height * width * 3 },
    (_, i) => pixels[channels === 3 ? i : Math.floor(i / 3)],
  );
  return html`<img src="${bitmap(rgb, width, height)}" width="48" height="48" alt="Test image ${index}">`;
}
