import { all, arrow, box, disc, line, type Outline, type Region, ring, text, without } from "./signShapes.ts";

export type Paint = "red" | "white" | "black" | "blue" | "yellow" | "grey" | "green" | "orange";

/** How one class looks. */
export interface SignClass {
  name: string;
  outline: Outline;
  rim: Paint;
  /** Width of the rim, as in the sign plane. */
  rimWidth: number;
  fill: Paint;
  ink: Paint;
  symbol: Region;
}

const nothing: Region = () => false;

const cross = all(line(-0.45, -0.45, 0.45, 0.45), line(0.45, -0.45, -0.45, 0.45));
const slash = line(-0.55, 0.55, 0.55, -0.55, 0.24);
const car = all(
  box(-0.55, -0.02, 0.55, 0.28),
  box(-0.3, -0.32, 0.3, 0),
  disc(-0.32, 0.3, 0.16),
  disc(0.32, 0.3, 0.16),
);
const pair = all(
  box(-0.66, -0.08, -0.06, 0.22),
  box(-0.54, -0.36, -0.18, 0),
  box(-0.62, 0.22, -0.46, 0.38),
  box(-0.26, 0.22, -0.1, 0.38),
  box(0.06, -0.08, 0.66, 0.22),
  box(0.18, -0.36, 0.54, 0),
  box(0.1, 0.22, 0.26, 0.38),
  box(0.46, 0.22, 0.62, 0.38),
);
const person = all(
  disc(0, -0.42, 0.16),
  line(0, -0.25, 0, 0.1, 0.22),
  line(0, 0.1, -0.22, 0.55, 0.15),
  line(0, 0.1, 0.22, 0.55, 0.15),
  line(-0.32, -0.02, 0.32, -0.16, 0.14),
);
const bicycle = all(
  ring(-0.36, 0.22, 0.26, 0.12),
  ring(0.36, 0.22, 0.26, 0.12),
  line(-0.36, 0.22, -0.05, -0.2, 0.11),
  line(-0.05, -0.2, 0.36, 0.22, 0.11),
  line(0.2, -0.3, 0.36, 0.22, 0.11),
);
const snow = all(
  line(0, -0.5, 0, 0.5, 0.14),
  line(-0.43, -0.25, 0.43, 0.25, 0.14),
  line(0.43, -0.25, -0.43, 0.25, 0.14),
);

/** Places a symbol that was drawn around the centre. */
function moved(region: Region, dx: number, dy: number, scale: number): Region {
  return (x, y) => region((x - dx) / scale, (y - dy) / scale);
}

function ban(name: string, symbol: Region, ink: Paint = "black"): SignClass {
  return { name, outline: "circle", rim: "red", rimWidth: 0.24, fill: "white", ink, symbol };
}

function order(name: string, symbol: Region): SignClass {
  return { name, outline: "circle", rim: "white", rimWidth: 0.08, fill: "blue", ink: "white", symbol };
}

function warning(name: string, symbol: Region): SignClass {
  const inside = moved(symbol, 0, 0.32, 0.62);
  return {
    name,
    outline: "triangle",
    rim: "red",
    rimWidth: 0.17,
    fill: "white",
    ink: "black",
    symbol: inside,
  };
}

function panel(name: string, fill: Paint, ink: Paint, symbol: Region): SignClass {
  return { name, outline: "square", rim: ink, rimWidth: 0.1, fill, ink, symbol };
}

function diamond(name: string, fill: Paint, symbol: Region): SignClass {
  return {
    name,
    outline: "diamond",
    rim: "black",
    rimWidth: 0.1,
    fill,
    ink: "black",
    symbol: moved(symbol, 0, 0, 0.9),
  };
}

/** The 43 classes, in the order of their labels. */
export const SIGN_CLASSES: SignClass[] = [
  ban("limit 20", text("20", 0.17, 0.21)),
  ban("limit 30", text("30", 0.17, 0.21)),
  ban("limit 50", text("50", 0.17, 0.21)),
  ban("limit 70", text("70", 0.17, 0.21)),
  ban("limit 80", text("80", 0.17, 0.21)),
  ban("no vehicles", nothing),
  ban("no cars", car),
  ban("no pedestrians", person),
  ban("no bicycles", bicycle),
  ban("no passing", pair),
  ban("no left turn", all(arrow(0.3, 0.5, 0.3, -0.15, -0.55, -0.15))),
  ban("no right turn", all(arrow(-0.3, 0.5, -0.3, -0.15, 0.55, -0.15))),
  { ...ban("no stopping", cross, "red"), fill: "blue" },
  { ...ban("no parking", slash, "red"), fill: "blue" },
  { ...ban("no entry", box(-0.65, -0.18, 0.65, 0.18), "white"), fill: "red" },
  { ...ban("end of limits", slash), rim: "grey", rimWidth: 0.1 },
  { ...ban("end of limit 80", all(text("80", 0.16, 0.2), slash)), rim: "grey", rimWidth: 0.1, ink: "grey" },
  {
    name: "stop",
    outline: "octagon",
    rim: "white",
    rimWidth: 0.1,
    fill: "red",
    ink: "white",
    symbol: text("5T0P", 0.1, 0.14),
  },
  {
    name: "yield",
    outline: "inverted",
    rim: "red",
    rimWidth: 0.2,
    fill: "white",
    ink: "black",
    symbol: nothing,
  },
  order("ahead", arrow(0, 0.65, 0, -0.7)),
  order("left", arrow(0.65, 0, -0.7, 0)),
  order("right", arrow(-0.65, 0, 0.7, 0)),
  order("turn left", arrow(0.3, 0.6, 0.3, -0.2, -0.65, -0.2)),
  order("turn right", arrow(-0.3, 0.6, -0.3, -0.2, 0.65, -0.2)),
  order("keep left", arrow(0.45, -0.45, -0.5, 0.5)),
  order("keep right", arrow(-0.45, -0.45, 0.5, 0.5)),
  order(
    "roundabout",
    without(
      ring(0, 0, 0.48, 0.22),
      all(line(0, 0, 0, -0.9, 0.2), line(0, 0, 0.8, 0.45, 0.2), line(0, 0, -0.8, 0.45, 0.2)),
    ),
  ),
  order("bicycles", bicycle),
  warning("danger", all(line(0, -0.66, 0, 0.14, 0.28), disc(0, 0.58, 0.18))),
  warning("curve to the left", arrow(0.3, 0.6, 0.3, 0, -0.4, -0.6)),
  warning("curve to the right", arrow(-0.3, 0.6, -0.3, 0, 0.4, -0.6)),
  warning(
    "double curve",
    all(line(0.3, 0.6, 0.3, 0.25), line(0.3, 0.25, -0.3, -0.1), line(-0.3, -0.1, 0.1, -0.65)),
  ),
  warning(
    "bumps",
    all(
      without(all(disc(-0.36, 0.4, 0.34), disc(0.36, 0.4, 0.34)), box(-1, 0.4, 1, 1)),
      box(-0.8, 0.4, 0.8, 0.58),
    ),
  ),
  warning("crossroads", all(line(0, -0.6, 0, 0.6, 0.28), line(-0.55, 0.1, 0.55, 0.1, 0.28))),
  warning("signals", all(disc(0, -0.6, 0.21), disc(0, 0, 0.21), disc(0, 0.6, 0.21))),
  warning("children", all(moved(person, -0.35, 0.1, 0.85), moved(person, 0.35, 0.1, 0.85))),
  warning("ice", snow),
  { ...diamond("priority road", "yellow", nothing), rim: "white", rimWidth: 0.2 },
  { ...diamond("end of priority", "yellow", slash), rim: "white", rimWidth: 0.2 },
  diamond(
    "road work",
    "orange",
    all(line(-0.4, 0.45, 0.25, -0.4, 0.16), line(-0.05, -0.5, 0.5, -0.1, 0.24), box(-0.5, 0.38, 0.5, 0.54)),
  ),
  panel("parking", "blue", "white", text("P", 0.3, 0.22)),
  panel("hospital", "blue", "white", text("H", 0.3, 0.22)),
  panel("one way", "green", "white", arrow(0, 0.65, 0, -0.65)),
];
