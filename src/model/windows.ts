/** The window of a convolution or pool over images of bytes. */
import type { Window } from "../kernels/args.ts";
import { type Attributes, windowAxis } from "./graph.ts";
import type { Site } from "./site.ts";

export function windowArgs(
  attributes: Attributes["CONV_2D"] | Attributes["AVERAGE_POOL_2D"],
  site: Site,
  filterHeight: number,
  filterWidth: number,
): Window {
  const [, inputHeight, inputWidth, inputDepth] = site.inputs[0].shape;
  const [, outputHeight, outputWidth] = site.output.shape;
  const { padding, strideHeight, strideWidth } = attributes;
  const dilation = "dilationHeight" in attributes ? attributes : { dilationHeight: 1, dilationWidth: 1 };
  const explicit = typeof padding === "string" ? undefined : padding;
  const before = (input: number, filter: number, stride: number, step: number, at: 0 | 2) =>
    windowAxis(
      input,
      filter,
      stride,
      step,
      explicit ? [explicit[at], explicit[at + 1]] : (padding as "SAME" | "VALID"),
    ).before;
  return {
    inputHeight,
    inputWidth,
    inputDepth,
    outputHeight,
    outputWidth,
    filterHeight,
    filterWidth,
    strideHeight,
    strideWidth,
    padTop: before(inputHeight, filterHeight, strideHeight, dilation.dilationHeight, 0),
    padLeft: before(inputWidth, filterWidth, strideWidth, dilation.dilationWidth, 2),
  };
}
