import { type Attributes, windowAxis } from "../../model/graph.ts";
import type { Value } from "./builder.ts";
import { refuse } from "./refusal.ts";
import type { Rows, Site } from "./site.ts";
import { channelsLast, type Image, imageOf, pairOf, windowOf } from "./windows.ts";

function pool(site: Site, op: "AVERAGE_POOL_2D" | "MAX_POOL_2D"): Value[] {
  const { builder } = site;
  if (site.node.outputs.length > 1 && site.node.outputs[1] !== "") refuse("indices of the maxima");
  const image = imageOf(site, 0);
  const [height, width] = pairOf(site, "kernel_shape", image.spatial, 0);
  if (height === 0) site.malformed("a kernel_shape", "none");
  const window = windowOf(site, image, [height, width]);
  const { dilationHeight, dilationWidth, ...rest } = window;
  if (dilationHeight !== 1 || dilationWidth !== 1) refuse("a dilated window");
  const size = { filterHeight: height, filterWidth: width };
  const attributes = { ...rest, ...size, activation: "NONE" as const };
  const [top, bottom, left, right] = amountsOf(attributes, image);
  // ONNX Runtime moves such windows where LiteRT and ONNX's convolutions do not.
  if (Math.min(top + bottom, left + right) < -1) refuse("auto_pad with windows that leave rows out");
  const countsPadding = op === "AVERAGE_POOL_2D" && site.int("count_include_pad", 0) !== 0;
  if (!countsPadding || rest.padding === "VALID")
    return [image.value(builder.emit(op, [image.tensor], attributes))];
  if (site.int("ceil_mode", 0) !== 0) refuse("count_include_pad with ceil_mode");
  const padded = builder.emit("PAD", [image.tensor], {
    before: [0, top, left, 0].map(atLeast0),
    after: [0, bottom, right, 0].map(atLeast0),
  });
  return [image.value(builder.emit(op, [padded], { ...attributes, padding: "VALID" }))];
}

const atLeast0 = (amount: number) => Math.max(amount, 0);

/** Padding as [top, bottom, left, right]; SAME's are below 0 after windows that end before the image. */
function amountsOf(
  window: Attributes["AVERAGE_POOL_2D"],
  { height, width }: Image,
): [number, number, number, number] {
  const { padding, filterHeight, filterWidth, strideHeight, strideWidth } = window;
  if (padding === "VALID") return [0, 0, 0, 0];
  if (padding !== "SAME") return [...padding];
  const axis = (size: number, filter: number, stride: number): [number, number] => {
    const { output, before } = windowAxis(size, filter, stride, 1, "SAME");
    return [before, (output - 1) * stride + filter - size - before];
  };
  return [...axis(height, filterHeight, strideHeight), ...axis(width, filterWidth, strideWidth)];
}

/** Pools and normalization: operators that see an image's channels. */
export const POOLS: Rows = {
  AveragePool: (site) => pool(site, "AVERAGE_POOL_2D"),
  MaxPool: (site) => pool(site, "MAX_POOL_2D"),
  GlobalAveragePool: (site) => {
    const image = imageOf(site, 0);
    return [image.value(site.builder.emit("MEAN", [image.tensor], { axes: [1, 2], keepDims: true }))];
  },
  GlobalMaxPool: (site) => {
    const image = imageOf(site, 0);
    const made = site.builder.emit("MAX_POOL_2D", [image.tensor], {
      strideHeight: 1,
      strideWidth: 1,
      padding: "VALID",
      filterHeight: image.height,
      filterWidth: image.width,
      activation: "NONE",
    });
    return [image.value(made)];
  },
  BatchNormalization: (site) => {
    const { builder } = site;
    if (site.int("training_mode", 0) !== 0) refuse("training_mode");
    const order = channelsLast(site.rank(0));
    const x = builder.inOrder(site.activation(0), order);
    const channels = builder.shape(x).at(-1);
    const moments = [1, 2, 3, 4].map((i) => {
      const constant = site.realConstant(i, ["gamma", "beta", "the mean", "the variance"][i - 1]);
      if (constant.data.length !== channels) site.malformed(`${channels} values`, `[${constant.dims}]`);
      return builder.constant(constant);
    });
    const attributes = { epsilon: site.float("epsilon", 1e-5), activation: "NONE" as const };
    const tensor = builder.emit("BATCH_NORMALIZATION", [x, ...moments], attributes);
    return [{ kind: "activation", tensor, order }];
  },
};
