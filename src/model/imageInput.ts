/** How the bytes of an image become the codes of a model's input, by the input's own quantization. */
import type { Tensor } from "./graph.ts";

/** real = factor * pixel + offset, pixel in 0..255. */
export interface Convention {
  name: string;
  factor: number;
  offset: number;
}

/** In the order of preference where two fit equally. */
export const CONVENTIONS: readonly Convention[] = [
  { name: "0..1", factor: 1 / 255, offset: 0 },
  { name: "0..255", factor: 1, offset: 0 },
  { name: "-1..1", factor: 1 / 127.5, offset: -1 },
  { name: "-1..127/128", factor: 1 / 128, offset: -1 },
  { name: "-128..127", factor: 1, offset: -128 },
];

/** Least and largest code of each type that an image input has. */
const CODES: Partial<Record<Tensor["dtype"], readonly [number, number]>> = {
  int8: [-128, 127],
  uint8: [0, 255],
  int16: [-32768, 32767],
};

/** A convention is taken where both ends of its range are that near to the ends of the codes', of 256 steps. */
const NEAR = 16;

export interface ImageInput {
  /** The real values that the model takes a pixel of 0..255 for. */
  convention: string;
  /** How a pixel becomes a code, in words. */
  rule: string;
  /** The input's value of each pixel value: 256 entries. */
  values: number[];
}

/** The code of a real value, rounded half up and clamped. Undefined for types that have none. */
export function codeOf(
  real: number,
  { dtype, quantization }: Pick<Tensor, "dtype" | "quantization">,
): number | undefined {
  const codes = CODES[dtype];
  if (!codes || !quantization) return undefined;
  const code = Math.floor(real / quantization.scale[0] + 0.5) + quantization.zeroPoint[0];
  return Math.min(codes[1], Math.max(codes[0], code));
}

/** The real values of the least and the largest code. Undefined for types that have none. */
export function rangeOf({
  dtype,
  quantization,
}: Pick<Tensor, "dtype" | "quantization">): [number, number] | undefined {
  const codes = CODES[dtype];
  if (!codes || !quantization) return undefined;
  const real = (code: number) => quantization.scale[0] * (code - quantization.zeroPoint[0]);
  return [real(codes[0]), real(codes[1])];
}

/** What an image is to an input of which the convention is known. Undefined for types that have no codes. */
export function imageInputAs(
  tensor: Pick<Tensor, "dtype" | "quantization">,
  { name, factor, offset }: Convention,
): ImageInput | undefined {
  const reals = Array.from({ length: 256 }, (_, pixel) => factor * pixel + offset);
  if (tensor.dtype === "float32")
    return {
      convention: name,
      rule: `x = ${factor === 1 ? "" : `${factor} * `}pixel + ${offset}`,
      values: reals,
    };
  if (!CODES[tensor.dtype] || !tensor.quantization) return undefined;
  const rule = "q = round(real / scale) + zero point";
  return { convention: name, rule, values: reals.map((real) => codeOf(real, tensor)!) };
}

/**
 * What an image is to this input. The convention is the one whose range the codes cover best; where they cover it to
 * within a code, a pixel is its own code (less 128 in int8), as a camera's byte goes to a device. float32: 0..1, assumed.
 * Undefined where no convention fits.
 */
export function imageInput(tensor: Pick<Tensor, "dtype" | "quantization">): ImageInput | undefined {
  const pixels = Array.from({ length: 256 }, (_, pixel) => pixel);
  if (tensor.dtype === "float32")
    return {
      convention: "0..1 (assumed: float32 has no scale to tell)",
      rule: "x = pixel/255",
      values: pixels.map((p) => p / 255),
    };
  const codes = CODES[tensor.dtype];
  if (!codes || !tensor.quantization) return undefined;
  const [best] = CONVENTIONS.map((convention) => ({
    convention,
    error: errorOf(convention, tensor.quantization!, codes),
  })).sort((a, b) => a.error - b.error);
  if (best.error > NEAR) return undefined;
  const { name, factor, offset } = best.convention;
  if (tensor.dtype !== "int16" && best.error <= 1)
    return {
      convention: name,
      rule: tensor.dtype === "int8" ? "q = pixel - 128" : "q = pixel",
      values: pixels.map((p) => p + codes[0]),
    };
  return {
    convention: name,
    rule: "q = round(real / scale) + zero point",
    values: pixels.map((p) => codeOf(factor * p + offset, tensor)!),
  };
}

/** The larger distance of an end of the convention's range from the end of the codes, of 256 steps. */
function errorOf(
  { factor, offset }: Convention,
  { scale, zeroPoint }: NonNullable<Tensor["quantization"]>,
  [least, largest]: readonly [number, number],
): number {
  const code = (real: number) => real / scale[0] + zeroPoint[0];
  const step = (largest - least + 1) / 256;
  const ends = [code(offset) - least, code(255 * factor + offset) - largest];
  // A float32 scale is not its decimal: half a thousandth of a code is nothing.
  return Math.round((Math.max(...ends.map(Math.abs)) / step) * 1e3) / 1e3;
}
