import type { Figure } from "../defenses/defense.ts";
import type { Result } from "./result.ts";

/** A Result as a file holds it: every figure once, in `figures`, and in a cell its place there; a trigger's mask in
 * hundredths and its pattern, where they are bytes, in base64. */
export function resultText(result: Result): string {
  const places = new Map<string, number>();
  const figures: unknown[] = [];
  const placeOf = (figure: Figure) => {
    const packed = packedFigure(figure);
    const text = JSON.stringify(packed);
    const place = places.get(text) ?? figures.push(packed) - 1;
    places.set(text, place);
    return place;
  };
  const cells = result.cells.map((cell) => ({ ...cell, figures: cell.figures.map(placeOf) }));
  return JSON.stringify({ ...result, cells, figures });
}

/** Mask values are stored times this. */
const MASK_SCALE = 100;

function packedFigure(figure: Figure): unknown {
  if (figure.kind !== "trigger") return figure;
  const mask = figure.mask.map((value) => Math.round(value * MASK_SCALE));
  const isKept = mask.every((code, i) => isByte(code) && code / MASK_SCALE === figure.mask[i]);
  if (!isKept || !figure.pattern.every(isByte)) return figure;
  return { ...figure, mask: base64(mask), pattern: base64(figure.pattern) };
}

/** A packed figure as it was; anything else as it is, for a schema to judge. */
export function unpackedFigure(packed: unknown): unknown {
  if (packed === null || typeof packed !== "object" || (packed as Figure).kind !== "trigger") return packed;
  const { mask, pattern } = packed as { mask: unknown; pattern: unknown };
  const codes = bytesOf(mask);
  return {
    ...packed,
    mask: codes ? codes.map((code) => code / MASK_SCALE) : mask,
    pattern: bytesOf(pattern) ?? pattern,
  };
}

const isByte = (value: number) =>
  Number.isInteger(value) && value >= 0 && value <= 255 && !Object.is(value, -0);

const base64 = (bytes: readonly number[]) => btoa(bytes.map((byte) => String.fromCharCode(byte)).join(""));

function bytesOf(text: unknown): number[] | null {
  if (
    typeof text !== "string" ||
    !/^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/.test(text)
  )
    return null;
  return Array.from(atob(text), (character) => character.charCodeAt(0));
}
