import type { Value } from "./builder.ts";
import { refuse } from "./refusal.ts";
import type { Rows, Site } from "./site.ts";
import { imageOf } from "./windows.ts";

const MAX_SIZE = 1 << 16;

/** [height, width] after the operator, and the scales it was given, where it was. */
function target(
  site: Site,
  spatial: 1 | 2,
  sizes: [number, number],
): { to: [number, number]; scales?: number[] } {
  const rank = spatial + 2;
  const isOld = site.node.op === "Upsample" || site.opset < 11;
  const at = isOld ? 1 : 2;
  const scaleAttribute = site.node.attributes.get("scales")?.floats;
  const last = (values: readonly number[]) => {
    if (values.length !== rank) site.malformed(`${rank} scales or sizes`, `[${values}]`);
    return spatial === 2 ? [values[2], values[3]] : [1, values[2]];
  };
  if (!isOld && site.has(3) && site.constant(3, "the sizes").data.length > 0) {
    const [height, width] = last(site.numbers(3, "the sizes"));
    return { to: [spatial === 1 ? 1 : height, width] };
  }
  const given = site.has(at)
    ? site.numbers(at, "the scales")
    : (scaleAttribute ?? site.malformed("scales or sizes", "none"));
  if (given.length === rank && (given[0] !== 1 || given[1] !== 1))
    refuse("resizes the batch or the channels");
  const scales = last(given);
  return { to: [Math.floor(sizes[0] * scales[0]), Math.floor(sizes[1] * scales[1])], scales };
}

type Coordinate = (i: number, from: number, to: number, scale: number) => number;
/** The input coordinate of output i. Source: ONNX Resize, coordinate_transformation_mode. */
const COORDINATES: Record<string, Coordinate> = {
  asymmetric: (i, _from, _to, scale) => i / scale,
  half_pixel: (i, _from, _to, scale) => (i + 0.5) / scale - 0.5,
  pytorch_half_pixel: (i, _from, to, scale) => (to > 1 ? (i + 0.5) / scale - 0.5 : 0),
  align_corners: (i, from, to) => (to > 1 ? (i * (from - 1)) / (to - 1) : 0),
  tf_half_pixel_for_nn: (i, _from, _to, scale) => (i + 0.5) / scale,
};
const NEAREST: Record<string, (x: number) => number> = {
  round_prefer_floor: (x) => Math.ceil(x - 0.5),
  round_prefer_ceil: (x) => Math.floor(x + 0.5),
  floor: Math.floor,
  ceil: Math.ceil,
};

interface Form {
  alignCorners: boolean;
  halfPixelCenters: boolean;
}
const FORMS: Form[] = [
  { alignCorners: false, halfPixelCenters: false },
  { alignCorners: false, halfPixelCenters: true },
  { alignCorners: true, halfPixelCenters: false },
];

/** TFLite's nearest input index. Source: GetNearestNeighbor, LiteRT reference. */
function nearestInput(i: number, from: number, to: number, { alignCorners, halfPixelCenters }: Form): number {
  const scale = alignCorners && to > 1 ? (from - 1) / (to - 1) : from / to;
  const x = Math.fround(Math.fround(i + (halfPixelCenters ? 0.5 : 0)) * Math.fround(scale));
  return Math.min(from - 1, Math.max(0, alignCorners ? Math.floor(x + 0.5) : Math.floor(x)));
}

interface Axis {
  from: number;
  to: number;
  scale: number;
}

/** The TFLite form that reads the same inputs, index by index. */
function nearestForm(site: Site, mode: string, axes: Axis[]): Form {
  const coordinate = COORDINATES[mode] ?? refuse(`coordinates ${mode}`);
  const rounding = site.string(
    "nearest_mode",
    mode === "asymmetric" && site.opset < 11 ? "floor" : "round_prefer_floor",
  );
  const round = NEAREST[rounding] ?? refuse(`nearest_mode ${rounding}`);
  const isSame = (form: Form) =>
    axes.every(({ from, to, scale }) => {
      for (let i = 0; i < to; i++) {
        const index = Math.min(from - 1, Math.max(0, round(coordinate(i, from, to, scale))));
        if (index !== nearestInput(i, from, to, form)) return false;
      }
      return true;
    });
  return (
    FORMS.find(isSame) ??
    refuse(`nearest with ${mode} and ${rounding} reads other pixels than TFLite's forms`)
  );
}

function linearForm(mode: string, axes: Axis[]): Form {
  if (mode === "align_corners") return FORMS[2];
  if (axes.some(({ from, to, scale }) => Math.abs(from * scale - to) > 1e-3))
    refuse("scales whose product with the size is not whole");
  if (mode === "asymmetric") return FORMS[0];
  const isHalf = mode === "half_pixel" || (mode === "pytorch_half_pixel" && axes.every(({ to }) => to > 1));
  return isHalf ? FORMS[1] : refuse(`linear with coordinates ${mode}`);
}

function resize(site: Site): Value[] {
  const image = imageOf(site, 0);
  const { to, scales } = target(site, image.spatial, [image.height, image.width]);
  const sizes = [image.height, image.width];
  if (!to.every((size) => size >= 1 && size <= MAX_SIZE) || sizes.some((size) => size > MAX_SIZE))
    refuse(`resizes [${sizes}] to [${to}]; at most ${MAX_SIZE}`);
  site.builder.budget.spend((to[0] + to[1]) * 8);
  const isOld = site.node.op === "Upsample" || site.opset < 11;
  const mode = isOld ? "asymmetric" : site.string("coordinate_transformation_mode", "half_pixel");
  const axes = to.map((size, a) => ({ from: sizes[a], to: size, scale: scales?.[a] ?? size / sizes[a] }));
  if (site.int("antialias", 0) !== 0) refuse("antialias");
  const kind = site.string("mode", "nearest");
  const attributes = { height: to[0], width: to[1] };
  if (kind !== "nearest" && kind !== "linear") refuse(`mode ${kind}`);
  const made =
    kind === "nearest"
      ? site.builder.emit("RESIZE_NEAREST_NEIGHBOR", [image.tensor], {
          ...attributes,
          ...nearestForm(site, mode, axes),
        })
      : site.builder.emit("RESIZE_BILINEAR", [image.tensor], { ...attributes, ...linearForm(mode, axes) });
  return [image.value(made)];
}

/** Resize, and Upsample as it was before operator set 10. */
export const RESIZE: Rows = { Resize: resize, Upsample: resize };
