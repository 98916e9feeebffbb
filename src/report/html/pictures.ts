import type { Figure } from "../../defenses/defense.ts";
import { number } from "../words.ts";
import { html, type Markup } from "./markup.ts";

type TriggerFigure = Extract<Figure, { kind: "trigger" }>;

/** What lies under the trigger: the grey of a mean image. */
const GROUND = 128;

/** Up to this many pixels a picture is smaller as rectangles. */
const FEW_PIXELS = 64;

/** An inverted trigger, stamped on grey, and its mask alone; or the true one, which has no number (`id` empty). */
export function triggerFigure(figure: TriggerFigure, id: string): Markup {
  const norm = number(figure.mask.reduce((sum, value) => sum + value, 0));
  const size = `${norm} of ${figure.height * figure.width} pixels`;
  const name = id ? html`Figure ${id.slice(1)}. ` : "";
  return html`<figure class="trigger${figure.truth && " truth"}"${id && html` id="${id}"`}><div>${stampedPicture(figure)}${
    !figure.truth && picture(maskPixels(figure), figure, "its mask")
  }</div>
<figcaption>${name}<b>${figure.title}</b>${figure.truth && " (ground truth)"}. Mask: ${size}.</figcaption></figure>`;
}

function picture(pixels: Uint8Array, { title, width, height }: TriggerFigure, words: string): Markup {
  return html`<img src="${bitmap(pixels, width, height)}" width="112" height="112" alt="${title}, ${words}">`;
}

function stampedPicture(figure: TriggerFigure): Markup {
  const { mask, width, height, title } = figure;
  const pixels = stamped(figure);
  const marked = [...mask.keys()].filter((i) => mask[i] > 0);
  if (marked.length > FEW_PIXELS) return picture(pixels, figure, "stamped on grey");
  const rects = marked.map((i) => {
    const colour = [...pixels.subarray(3 * i, 3 * i + 3)]
      .map((value) => value.toString(16).padStart(2, "0"))
      .join("");
    return html`<rect x="${i % width}" y="${Math.floor(i / width)}" width="1" height="1" fill="#${colour}"/>`;
  });
  return html`<svg class="pixels" viewBox="0 0 ${width} ${height}" width="112" height="112" role="img" aria-label="${title}, stamped on grey" shape-rendering="crispEdges"><rect width="${width}" height="${height}" fill="#808080"/>${rects}</svg>`;
}

function stamped({ mask, pattern }: TriggerFigure): Uint8Array {
  const channels = pattern.length / mask.length;
  return Uint8Array.from({ length: mask.length * 3 }, (_, i) => {
    const pixel = Math.floor(i / 3);
    const value = pattern[pixel * channels + (channels === 3 ? i % 3 : 0)];
    return Math.round(GROUND + mask[pixel] * (value - GROUND));
  });
}

function maskPixels({ mask }: TriggerFigure): Uint8Array {
  return Uint8Array.from({ length: mask.length * 3 }, (_, i) => Math.round(255 * mask[Math.floor(i / 3)]));
}

/**
 * RGB pixels as a data URI. BMP, because every browser reads it and it needs neither compression nor checksums:
 * 54 bytes of header, rows from the bottom up, BGR, padded to 4 bytes.
 */
export function bitmap(rgb: Uint8Array, width: number, height: number): string {
  const stride = (width * 3 + 3) & ~3;
  const bytes = new Uint8Array(54 + stride * height);
  const view = new DataView(bytes.buffer);
  view.setUint16(0, 0x424d);
  view.setUint32(2, bytes.length, true);
  view.setUint32(10, 54, true);
  view.setUint32(14, 40, true);
  view.setInt32(18, width, true);
  view.setInt32(22, height, true);
  view.setUint16(26, 1, true);
  view.setUint16(28, 24, true);
  for (let y = 0; y < height; y++)
    for (let i = 0; i < width * 3; i++)
      bytes[54 + (height - 1 - y) * stride + i] = rgb[y * width * 3 + i - (i % 3) + 2 - (i % 3)];
  return `data:image/bmp;base64,${btoa(Array.from(bytes, (byte) => String.fromCharCode(byte)).join(""))}`;
}
