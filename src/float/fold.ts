import type { Graph } from "../model/graph.ts";

/** The same function without BATCH_NORMALIZATION nodes: each is folded into the convolution or dense layer before it. */
export declare function foldBatchNorm(graph: Graph): Graph;
