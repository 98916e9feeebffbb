/** The window of a TRANSPOSE_CONV: that of the convolution which it transposes, from the output to the input. */
import type { Window } from "../kernels/args.ts";
import { windowAxis } from "./graph.ts";
import { only, type Site } from "./site.ts";

function padding({ attributes, inputs: [, filter], output }: Site<"TRANSPOSE_CONV">) {
  const { padding, strideHeight, strideWidth } = attributes;
  if (typeof padding !== "string") return { padTop: padding[0], padLeft: padding[2] };
  const [, height, width] = output.shape;
  return {
    padTop: windowAxis(height, filter.shape[1], strideHeight, 1, padding as "SAME" | "VALID").before,
    padLeft: windowAxis(width, filter.shape[2], strideWidth, 1, padding as "SAME" | "VALID").before,
  };
}

export function refuseTransposed(site: Site<"TRANSPOSE_CONV">): string {
  const { padTop, padLeft } = padding(site);
  const [, filterHeight, filterWidth] = site.inputs[1].shape;
  return only(
    "padding: needs less than the filter",
    padTop < filterHeight && padLeft < filterWidth && Math.min(padTop, padLeft) >= 0,
  );
}

export function transposedWindow(site: Site<"TRANSPOSE_CONV">): Window & { outputDepth: number } {
  const {
    attributes: { strideHeight, strideWidth },
    inputs: [x, filter],
    output,
  } = site;
  const [, inputHeight, inputWidth, inputDepth] = x.shape;
  const [outputDepth, filterHeight, filterWidth] = filter.shape;
  const [, outputHeight, outputWidth] = output.shape;
  return {
    ...{ inputHeight, inputWidth, inputDepth, outputHeight, outputWidth, outputDepth },
    ...{ filterHeight, filterWidth, strideHeight, strideWidth },
    ...padding(site),
  };
}
