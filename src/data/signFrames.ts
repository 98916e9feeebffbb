import type { Random } from "../random.ts";
import { SIDE } from "./binary.ts";
import { type Background, between, GRID, REACH, TEXELS, type Track } from "./signDrawing.ts";

/** Samples a pixel in each direction. */
const SAMPLES = 3;

/** What differs from frame to frame of a track. */
interface Frame {
  radius: number;
  /** Centre in pixels, from the image's top left. */
  centre: [number, number];
  tilt: number;
  /** Extent of a pixel's samples in pixels: 1 is sharp. */
  spread: [number, number];
  light: number;
  /** Light added by haze, levels. */
  haze: number;
  /** Largest noise, levels. */
  noise: number;
  parallax: [number, number];
}

/** progress: 0 for the first frame of the track, 1 for the last. */
function drawFrame(track: Track, progress: number, random: Random): Frame {
  const radius = (track.far + (track.near - track.far) * progress) * between(random, 0.94, 1.06);
  const room = Math.max(0.5, SIDE / 2 + 1 - radius);
  const away = (drift: number) => {
    const at = drift * (1 - 0.5 * progress) + between(random, -2, 2);
    return SIDE / 2 + Math.min(Math.max(at, -room), room);
  };
  const blur = random.below(3) === 0 ? between(random, 1.2, 2.6) : between(random, 0.8, 1.4);
  const smear = random.below(5) === 0 ? between(random, 1, 1.8) : 1;
  const sideways = random.below(2) === 0;
  return {
    radius,
    centre: [away(track.drift[0]), away(track.drift[1])],
    tilt: track.tilt + between(random, -0.03, 0.03),
    spread: [blur * (sideways ? smear : 1), blur * (sideways ? 1 : smear)],
    light: track.light * between(random, 0.85, 1.15),
    haze: random.below(3) === 0 ? between(random, 0, 55) : between(random, 0, 12),
    noise: between(random, 2, 16),
    parallax: [between(random, -3, 3), between(random, -3, 3)],
  };
}

/** Writes the background's colour at (x, y) to `colour`. */
function paintBackground({ grid, boxes }: Background, x: number, y: number, colour: Float64Array): void {
  const u = Math.min(Math.max((x / SIDE) * (GRID - 1), 0), GRID - 1.001);
  const v = Math.min(Math.max((y / SIDE) * (GRID - 1), 0), GRID - 1.001);
  const column = Math.floor(u);
  const row = Math.floor(v);
  const du = u - column;
  const dv = v - row;
  const at = (row * GRID + column) * 3;
  for (let k = 0; k < 3; k++) {
    const top = grid[at + k] * (1 - du) + grid[at + 3 + k] * du;
    const bottom = grid[at + GRID * 3 + k] * (1 - du) + grid[at + GRID * 3 + 3 + k] * du;
    colour[k] = top * (1 - dv) + bottom * dv;
  }
  for (const box of boxes) {
    if (x >= box.left && x < box.right && y >= box.top && y < box.bottom) {
      for (let k = 0; k < 3; k++) colour[k] = box.colour[k];
    }
  }
}

/** Maps image pixels to texels: texel = (m0 x + m1 y + m2, m3 x + m4 y + m5) / (m6 x + m7 y + m8). */
function projection(track: Track, { radius, centre, tilt }: Frame): Float64Array {
  const norm = 1 + tilt * tilt;
  const [cosine, sine] = [(1 - tilt * tilt) / norm, (2 * tilt) / norm];
  const [cx, cy] = centre;
  const a = [cosine / (radius * track.aspect), sine / (radius * track.aspect)];
  const b = [-sine / radius, cosine / radius];
  const [px, py] = [track.lean[0] / radius, track.lean[1] / radius];
  const half = TEXELS / 2;
  const unit = half / REACH;
  const w = [px, py, 1 - px * cx - py * cy];
  const row = (r: number[]) => {
    const shift = -(r[0] * cx + r[1] * cy);
    return [unit * r[0] + half * w[0], unit * r[1] + half * w[1], unit * shift + half * w[2]];
  };
  return Float64Array.of(...row(a), ...row(b), ...w);
}

/** Counts in `cover` how many of the samples of pixel (x, y) show nothing, rim, fill and symbol. */
function coverPixel(
  texture: Uint8Array,
  m: Float64Array,
  spread: [number, number],
  x: number,
  y: number,
  cover: Int32Array,
): void {
  const stepX = spread[0] / SAMPLES;
  const stepY = spread[1] / SAMPLES;
  const left = x + 0.5 - ((SAMPLES - 1) / 2) * stepX;
  const top = y + 0.5 - ((SAMPLES - 1) / 2) * stepY;
  for (let code = 0; code < 4; code++) cover[code] = 0;
  for (let i = 0; i < SAMPLES; i++) {
    const sy = top + i * stepY;
    let u = m[0] * left + m[1] * sy + m[2];
    let v = m[3] * left + m[4] * sy + m[5];
    let w = m[6] * left + m[7] * sy + m[8];
    for (let j = 0; j < SAMPLES; j++) {
      const inverse = 1 / w;
      const column = (u * inverse) | 0;
      const row = (v * inverse) | 0;
      const inside = u >= 0 && v >= 0 && column < TEXELS && row < TEXELS;
      cover[inside ? texture[row * TEXELS + column] : 0]++;
      u += m[0] * stepX;
      v += m[3] * stepX;
      w += m[6] * stepX;
    }
  }
}

/** Light falling on (x, y): 1, or the shade's gain beyond its edge, with a soft border of 3 pixels. */
function shadeAt({ shade }: Track, x: number, y: number): number {
  const middle = SIDE / 2;
  const side = (shade.nx * (x - middle) + shade.ny * (y - middle) - shade.edge * 10) / 3 + 0.5;
  const share = Math.min(Math.max(side, 0), 1);
  return 1 + (shade.gain - 1) * share;
}

/** Noise of the three channels from one draw of 30 bits: 10 bits each, uniform in [-1, 1). */
function noiseOf(bits: number, channel: number): number {
  return ((bits >>> (10 * channel)) & 1023) / 512 - 1;
}

/** Draws a frame of the track into `pixels` (32x32x3, NHWC) at `offset`. progress: 0 first, 1 last of the track. */
export function paintFrame(
  { texture, track, progress }: { texture: Uint8Array; track: Track; progress: number },
  random: Random,
  pixels: Uint8Array,
  offset: number,
): void {
  const frame = drawFrame(track, progress, random);
  const { light, haze, noise, spread, parallax } = frame;
  const { paints, cast, background } = track;
  const m = projection(track, frame);
  const behind = new Float64Array(3);
  const cover = new Int32Array(4);
  const total = SAMPLES * SAMPLES;
  for (let y = 0; y < SIDE; y++) {
    for (let x = 0; x < SIDE; x++) {
      coverPixel(texture, m, spread, x, y, cover);
      const rest = cover[0];
      if (rest > 0) paintBackground(background, x + parallax[0], y + parallax[1], behind);
      const gain = (light * shadeAt(track, x, y)) / total;
      const bits = random.below(2 ** 30);
      for (let k = 0; k < 3; k++) {
        let sum = cover[1] * paints[k] + cover[2] * paints[3 + k] + cover[3] * paints[6 + k];
        if (rest > 0) sum += rest * behind[k];
        const value = sum * gain * cast[k] + haze + noise * noiseOf(bits, k);
        pixels[offset + (y * SIDE + x) * 3 + k] = Math.floor(Math.min(Math.max(value, 0), 255) + 0.5);
      }
    }
  }
}
