import type { Graph } from "../model/graph.ts";
import type { Random } from "../random.ts";

export interface ArchitectureOptions {
  height: number;
  width: number;
  channels: number;
  /** Channels of the first stage; default 16. */
  widthParam?: number;
  random: Random;
}

/** Untrained graphs with batch norm, He-normal filters; the output is logits. */
export declare const ARCHITECTURES: Record<
  "resnet8" | "cnn",
  (classes: number, options: ArchitectureOptions) => Graph
>;
