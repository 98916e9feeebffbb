/** A region of the sign plane: x to the right, y down, the sign within [-1, 1]. */
export type Region = (x: number, y: number) => boolean;

export type Outline = "circle" | "triangle" | "inverted" | "diamond" | "octagon" | "square";

const HALF_ROOT_3 = 0.8660254037844386;

/** Outward unit normals of the edges of each polygon. */
const NORMALS: Record<Exclude<Outline, "circle">, [number, number][]> = {
  triangle: [
    [0, 1],
    [HALF_ROOT_3, -0.5],
    [-HALF_ROOT_3, -0.5],
  ],
  inverted: [
    [0, -1],
    [HALF_ROOT_3, 0.5],
    [-HALF_ROOT_3, 0.5],
  ],
  diamond: [
    [Math.SQRT1_2, Math.SQRT1_2],
    [Math.SQRT1_2, -Math.SQRT1_2],
    [-Math.SQRT1_2, Math.SQRT1_2],
    [-Math.SQRT1_2, -Math.SQRT1_2],
  ],
  octagon: [
    [1, 0],
    [-1, 0],
    [0, 1],
    [0, -1],
    [Math.SQRT1_2, Math.SQRT1_2],
    [Math.SQRT1_2, -Math.SQRT1_2],
    [-Math.SQRT1_2, Math.SQRT1_2],
    [-Math.SQRT1_2, -Math.SQRT1_2],
  ],
  square: [
    [1, 0],
    [-1, 0],
    [0, 1],
    [0, -1],
  ],
};

/** Distance from centre to edge, and how far below the plane's centre the shape's centre lies. */
const FIT: Record<Outline, { apothem: number; drop: number }> = {
  circle: { apothem: 1, drop: 0 },
  triangle: { apothem: 0.58, drop: 0.28 },
  inverted: { apothem: 0.58, drop: -0.28 },
  diamond: { apothem: 0.76, drop: 0 },
  octagon: { apothem: 0.95, drop: 0 },
  square: { apothem: 0.88, drop: 0 },
};

/** How far inside the outline (x, y) lies; negative outside. */
export function depth(outline: Outline, x: number, y: number): number {
  const { apothem, drop } = FIT[outline];
  const below = y - drop;
  if (outline === "circle") return apothem - Math.sqrt(x * x + below * below);
  let least = apothem;
  for (const [nx, ny] of NORMALS[outline]) least = Math.min(least, apothem - nx * x - ny * below);
  return least;
}

export function line(x0: number, y0: number, x1: number, y1: number, thickness = 0.2): Region {
  const [dx, dy] = [x1 - x0, y1 - y0];
  const length = dx * dx + dy * dy;
  return (x, y) => {
    const along = Math.min(Math.max(((x - x0) * dx + (y - y0) * dy) / length, 0), 1);
    const [ox, oy] = [x - x0 - along * dx, y - y0 - along * dy];
    return 4 * (ox * ox + oy * oy) <= thickness * thickness;
  };
}

export function disc(cx: number, cy: number, radius: number): Region {
  return (x, y) => (x - cx) * (x - cx) + (y - cy) * (y - cy) <= radius * radius;
}

export function box(left: number, top: number, right: number, bottom: number): Region {
  return (x, y) => x >= left && x <= right && y >= top && y <= bottom;
}

export function all(...regions: Region[]): Region {
  return (x, y) => regions.some((region) => region(x, y));
}

export function without(region: Region, hole: Region): Region {
  return (x, y) => region(x, y) && !hole(x, y);
}

export function ring(cx: number, cy: number, radius: number, thickness = 0.17): Region {
  return without(disc(cx, cy, radius + thickness / 2), disc(cx, cy, radius - thickness / 2));
}

/** A triangle whose tip is at (x1, y1), seen along the direction from (x0, y0). */
function head(x0: number, y0: number, x1: number, y1: number, size: number): Region {
  const length = Math.sqrt((x1 - x0) * (x1 - x0) + (y1 - y0) * (y1 - y0));
  const [dx, dy] = [(x1 - x0) / length, (y1 - y0) / length];
  return (x, y) => {
    const back = (x1 - x) * dx + (y1 - y) * dy;
    const aside = Math.abs((x - x1) * dy - (y - y1) * dx);
    return back >= 0 && back <= size && aside <= 0.85 * back;
  };
}

/** An arrow through `points` (x, y, x, y, ...), its tip at the last. */
export function arrow(...points: number[]): Region {
  const parts: Region[] = [];
  for (let i = 0; i + 3 < points.length; i += 2) {
    const [x0, y0, x1, y1] = points.slice(i, i + 4);
    const last = i + 4 === points.length;
    const [ex, ey] = last ? [x1 - 0.3 * (x1 - x0), y1 - 0.3 * (y1 - y0)] : [x1, y1];
    parts.push(line(x0, y0, ex, ey, 0.22));
    if (last) parts.push(head(x0, y0, x1, y1, 0.46));
  }
  return all(...parts);
}

/** Rows of three cells, a digit of base 8 each, highest bit left. */
const GLYPHS: Record<string, string> = {
  "0": "75557",
  "1": "26227",
  "2": "71747",
  "3": "71317",
  "5": "74717",
  "7": "71222",
  "8": "75757",
  P: "75744",
  H: "55755",
  T: "72222",
};

/** `characters` in cells of `width` by `height`, centred on (cx, cy), one cell apart. */
export function text(characters: string, width: number, height: number, cx = 0, cy = 0): Region {
  const left = cx - ((characters.length * 4 - 1) * width) / 2;
  const top = cy - 2.5 * height;
  return (x, y) => {
    const column = Math.floor((x - left) / width);
    const row = Math.floor((y - top) / height);
    const glyph = GLYPHS[characters[Math.floor(column / 4)]];
    const cell = column % 4;
    if (!glyph || column < 0 || row < 0 || row > 4 || cell === 3) return false;
    return ((Number(glyph[row]) >> (2 - cell)) & 1) === 1;
  };
}
