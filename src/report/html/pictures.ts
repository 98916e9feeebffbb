import type { Figure } from "../../defenses/defense.ts";
import { number } from "../words.ts";
import { html, type Markup } from "./markup.ts";

type TriggerFigure = Extract<Figure, { kind: "trigger" }>;

/** What lies under the trigger: the grey of a mean image. */
const GROUND = 128;

/** An inverted or true trigger, stamped on grey, and its mask alone. */
export function triggerFigure(figure: TriggerFigure, id: string): Markup {
  const norm = number(figure.mask.reduce((sum, value) => sum + value, 0));
  const size = `${norm} of ${figure.height * figure.width} pixels`;
  const picture = (pixels: Uint8Array, words: string) =>
    html`<img src="${bitmap(pixels, figure.width, figure.height)}" width="112" height="112" alt="${figure.title}, ${words}">`;
  const pictures = figure.truth
    ? picture(stamped(figure), "stamped on grey")
    : [picture(stamped(figure), "stamped on grey"), picture(maskPixels(figure), "its mask")];
  return html`<figure class="trigger${figure.truth ? " truth" : ""}" id="${id}"><div>${pictures}</div>
<figcaption><b>${figure.title}</b>${figure.truth ? " (ground truth)" : ""}. Mask: ${size}.</figcaption></figure>`;
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
