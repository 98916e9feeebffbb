import type { Random } from "../random.ts";
import type { Paint, SignClass } from "./signClasses.ts";
import { depth } from "./signShapes.ts";

/** Cells a side of a texture; it spans [-REACH, REACH] of the sign plane. */
export const TEXELS = 96;
export const REACH = 1.05;

/** What a texel shows. */
const [RIM, FILL, INK] = [1, 2, 3];

/** Base colours, red, green and blue in 0..255. */
const PAINTS: Record<Paint, [number, number, number]> = {
  red: [196, 28, 36],
  white: [236, 236, 232],
  black: [28, 28, 32],
  blue: [24, 74, 172],
  yellow: [240, 190, 30],
  grey: [128, 130, 132],
  green: [22, 120, 72],
  orange: [236, 128, 24],
};

/** The class as TEXELS * TEXELS codes: 0 outside, 1 rim, 2 fill, 3 symbol. */
export function drawTexture(sign: SignClass): Uint8Array {
  const texture = new Uint8Array(TEXELS * TEXELS);
  for (let row = 0; row < TEXELS; row++) {
    const y = ((row + 0.5) * 2 * REACH) / TEXELS - REACH;
    for (let column = 0; column < TEXELS; column++) {
      const x = ((column + 0.5) * 2 * REACH) / TEXELS - REACH;
      const inside = depth(sign.outline, x, y);
      if (inside < 0) continue;
      const fill = sign.symbol(x, y) ? INK : FILL;
      texture[row * TEXELS + column] = inside < sign.rimWidth ? RIM : fill;
    }
  }
  return texture;
}

type Colour = [number, number, number];

/** What all frames of one physical sign share. */
export interface Track {
  /** Colours of rim, fill and ink after wear, three values each. */
  paints: Float64Array;
  /** Half-angle tangent of the rotation. */
  tilt: number;
  /** Width over height, and perspective along x and y. */
  aspect: number;
  lean: [number, number];
  background: Background;
  /** Gains of the three channels. */
  cast: Colour;
  /** Shade falls where nx * x + ny * y > edge; gain 1 is no shade. */
  shade: { nx: number; ny: number; edge: number; gain: number };
  light: number;
  /** Radius in pixels of the first and of the last frame, and the centre of the last. */
  near: number;
  far: number;
  drift: [number, number];
}

/** Colours on a grid of 5x5 between which the background is interpolated, and boxes over it. */
export interface Background {
  grid: Float64Array;
  boxes: { left: number; top: number; right: number; bottom: number; colour: Colour }[];
}

export const between = (random: Random, low: number, high: number) => low + (high - low) * random.uniform();

/** One of many colours of streets: greys, greens, browns, sky, now and then something bright. */
function streetColour(random: Random): Colour {
  const level = between(random, 20, 230);
  const hue = random.below(8);
  const tints: Colour[] = [
    [1, 1, 1],
    [1, 1, 1],
    [0.95, 1, 1.05],
    [0.7, 1, 0.55],
    [1, 0.85, 0.65],
    [0.7, 0.9, 1.25],
    [1.1, 0.5, 0.4],
    [between(random, 0.4, 1.2), between(random, 0.4, 1.2), between(random, 0.4, 1.2)],
  ];
  return tints[hue].map((tint) => Math.min(255, level * tint)) as Colour;
}

export const GRID = 5;

function drawBackground(random: Random): Background {
  const [a, b, c] = [streetColour(random), streetColour(random), streetColour(random)];
  const rough = between(random, 0, 60);
  const grid = new Float64Array(GRID * GRID * 3);
  for (let i = 0; i < GRID * GRID; i++) {
    const down = Math.floor(i / GRID) / (GRID - 1);
    const mix = random.uniform() * 0.6;
    const bump = rough * (random.uniform() - 0.5);
    for (let k = 0; k < 3; k++) {
      grid[i * 3 + k] = (a[k] * (1 - down) + b[k] * down) * (1 - mix) + c[k] * mix + bump;
    }
  }
  const boxes = Array.from({ length: random.below(5) }, () => {
    const [left, top] = [between(random, -12, 32), between(random, -12, 32)];
    const tall = random.below(2) === 0;
    const [width, height] = tall
      ? [between(random, 2, 9), between(random, 12, 44)]
      : [between(random, 8, 32), between(random, 3, 14)];
    return { left, top, right: left + width, bottom: top + height, colour: streetColour(random) };
  });
  return { grid, boxes };
}

export function drawTrack(sign: SignClass, random: Random): Track {
  const wear = between(random, 0, 0.45);
  const dirt = streetColour(random);
  const worn = (paint: Paint): Colour =>
    PAINTS[paint].map((value, k) => {
      const faded = value * (1 - wear) + (150 * 0.6 + dirt[k] * 0.4) * wear;
      return faded + 24 * (random.uniform() - 0.5);
    }) as Colour;
  const far = between(random, 8.5, 11.5);
  return {
    paints: Float64Array.of(...worn(sign.rim), ...worn(sign.fill), ...worn(sign.ink)),
    tilt: between(random, -0.1, 0.1),
    aspect: between(random, 0.82, 1.12),
    lean: [between(random, -0.16, 0.16), between(random, -0.12, 0.12)],
    background: drawBackground(random),
    cast: [between(random, 0.82, 1.12), between(random, 0.9, 1.05), between(random, 0.82, 1.15)],
    shade: {
      nx: between(random, -1, 1),
      ny: between(random, -1, 1),
      edge: between(random, -0.6, 0.8),
      gain: random.below(3) === 0 ? between(random, 0.35, 0.75) : 1,
    },
    light: between(random, 0.33, 1.12),
    far,
    near: between(random, far, 15),
    drift: [between(random, -4, 4), between(random, -4, 4)],
  };
}
