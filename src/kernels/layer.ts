/** What every convolution packs: constants in wasm memory, the widened image, sizes. */
import type { Conv2dArgs, DepthwiseConv2dArgs, Output, Requantization, Weights } from "./args.ts";
import type { Kernels } from "./module.ts";
import { chooseForm, packPanels } from "./requantizers.ts";
import { accumulatorBound, inputBound, packWeights } from "./weights.ts";
import type { paddedImage } from "./windows.ts";

/** assembly/convolution.ts IMAGE; overread: a run of odd length reads one value more. */
export const SCRATCH_HEAD = 512 + 64 * 32;
export const OVERREAD = 16;

export interface Layer {
  groups: number;
  groupDepth: number;
  /** Weights a channel, before padding to pairs, and after. */
  length: number;
  paddedLength: number;
  at(channel: number, k: number): number;
}

/** A bound on the accumulators of a layer, bias included. */
export function layerBound(
  { inputOffset, bias }: Weights & { inputOffset: number },
  { groups, groupDepth, length, at }: Layer,
): number {
  return accumulatorBound(groups * groupDepth, length, bias, inputBound(inputOffset), at);
}

/** The form that a layer's requantizer has. */
export const formOf = (args: Weights & Requantization & { inputOffset: number }, layer: Layer) =>
  chooseForm(args, layerBound(args, layer));

/** Constants of a layer in wasm memory, and the fields that say where. weights: packed already, where not by panels. */
export function packLayer(
  kernels: Kernels,
  args: Weights & Requantization & Output & { inputOffset: number; filterOffset?: number },
  layer: Layer,
  weights?: ArrayBufferView,
) {
  const { groups, groupDepth, paddedLength, at } = layer;
  const filterOffset = args.filterOffset ?? 0;
  const shifted = (channel: number, k: number) => at(channel, k) + filterOffset;
  const { form, rightShift } = formOf(args, { ...layer, at: shifted });
  const packing = { weightBits: args.weightBits, groups, groupDepth, length: paddedLength, at };
  return {
    requantizer: form.id,
    rightShift,
    panels: kernels.place(packPanels(form, args, rightShift, args.bias, layer)),
    weights: kernels.place(weights ?? packWeights(packing)),
    outputOffset: args.outputOffset,
    activationMin: args.activationMin,
    activationMax: args.activationMax,
    inputOffset: args.inputOffset,
    groups,
    groupDepth,
    outputDepth: groups * groupDepth,
  };
}

export function outputElementBytes({ requantizer }: Requantization): number {
  return requantizer === "none" ? 4 : 1;
}

export function even(count: number): number {
  return count + (count & 1);
}

export type Image = ReturnType<typeof paddedImage>;

export function convolutionBytes(args: Conv2dArgs | DepthwiseConv2dArgs, image: Image, outputDepth: number) {
  return {
    inputBytes: args.inputHeight * args.inputWidth * args.inputDepth,
    outputBytes: args.outputHeight * args.outputWidth * outputDepth * outputElementBytes(args),
    scratchBytes: SCRATCH_HEAD + image.paddedHeight * image.paddedWidth * image.pixelBytes + OVERREAD,
  };
}
