/** DEPTHWISE_CONV_2D of 3x3 filters by rows: assembly/depthwise.ts. */
import type { DepthwiseConv2dArgs, Step } from "./args.ts";
import { convolutionBytes, formOf, type Layer, packLayer } from "./layer.ts";
import type { Kernels } from "./module.ts";
import { PANEL_LANES } from "./requantizers.ts";
import { makeStep } from "./step.ts";
import { partsOf, wholeWeights } from "./weights.ts";
import { paddedImage, tapOffsets } from "./windows.ts";

/** Taps by pairs: the first two rows by columns, the third along itself, its last with a zero. */
const TAPS = [0, 3, 1, 4, 2, 5, 6, 7, 8];
/** Pixels that the last outputs of a row may read beyond it. */
const BEYOND = 6;
/** Requantizers that the kernel has: in floats, aligned and wide. */
const FORMS: ReadonlySet<number> = new Set([1, 3, 4, 6, 7]);

const outputDepth = ({ inputDepth, depthMultiplier }: DepthwiseConv2dArgs) => inputDepth * depthMultiplier;

function layerOf(args: DepthwiseConv2dArgs): Layer {
  const depth = outputDepth(args);
  const filter = wholeWeights(args, TAPS.length * depth);
  const at = (channel: number, k: number) => (k < TAPS.length ? filter[TAPS[k] * depth + channel] : 0);
  return { groups: 1, groupDepth: depth, length: TAPS.length, paddedLength: TAPS.length + 1, at };
}

export const DEPTHWISE_3X3 = {
  reason: "3x3 at stride 1 or 2: pairs of taps are put together once for all outputs that read them",
  allows: (args: DepthwiseConv2dArgs): boolean =>
    args.filterHeight === 3 &&
    args.filterWidth === 3 &&
    args.strideHeight === args.strideWidth &&
    args.strideWidth <= 2 &&
    args.dilationHeight === 1 &&
    args.dilationWidth === 1 &&
    outputDepth(args) % 4 === 0 &&
    args.requantizer !== "none" &&
    partsOf(wholeWeights(args, TAPS.length * outputDepth(args))) === 1 &&
    FORMS.has(formOf(args, layerOf(args)).form.id),
  prepare(kernels: Kernels, args: DepthwiseConv2dArgs): Step {
    const mark = kernels.mark();
    const depth = outputDepth(args);
    const image = paddedImage(args, Math.ceil(depth / PANEL_LANES) * PANEL_LANES * 2);
    const taps = tapOffsets(args, image, 3);
    const values = {
      ...packLayer(kernels, args, layerOf(args)),
      ...image,
      offsets: kernels.place(Int32Array.from([...TAPS, 8], (tap) => taps[tap])),
      offsetCount: 1,
      pairs: 5,
      depthMultiplier: args.depthMultiplier,
      spacingHeight: 1,
      spacingWidth: 1,
    };
    const bytes = convolutionBytes(args, image, depth);
    const scratchBytes = bytes.scratchBytes + BEYOND * image.pixelBytes;
    const kernel = `depthwise_conv_2d_3x3_s${args.weightBits}`;
    return makeStep(kernels, mark, kernel, "Convolution", values, { ...bytes, scratchBytes });
  },
};
