import type { Graph } from "../model/graph.ts";
import type { FloatBackend } from "./backend.ts";

/** Graph inputs are pixel * INPUT_SCALE, so an int8 input of scale 1/255 and zero point -128 is exactly pixel - 128. */
export const INPUT_SCALE = Math.fround(1 / 255);

/** Pixel units, NHWC. */
export type Pixels = Uint8Array | Float32Array;

/** A float Graph whose constants live in the backend's memory. */
export interface Prepared {
  graph: Graph;
  classes: number;
  /** height, width, channels of the input. */
  inputShape: readonly [number, number, number];
  dispose(): void;
}

/** What an integer run left in one activation tensor, for count images. real = scale * (value - zeroPoint). */
export interface IntegerActivation {
  values: Int8Array | Uint8Array | Int16Array;
  /** The clamp of the node that wrote it: a gradient passes where minimum < value < maximum. */
  minimum: number;
  maximum: number;
  scale: number;
  zeroPoint: number;
}

/** Uploads the constants. The graph must have one input and one output of shape [batch, classes], all float32. */
export declare function prepare(backend: FloatBackend, graph: Graph): Prepared;

/** The output tensor: count * classes. */
export declare function forward(prepared: Prepared, pixels: Pixels, count: number): Float32Array;

/** Runs the images in batches and shows `visit` the values of the tensors of these indices, batch by batch. */
export declare function observe(
  prepared: Prepared,
  pixels: Pixels,
  count: number,
  tensors: readonly number[],
  visit: (values: ReadonlyMap<number, Float32Array>, first: number, count: number) => void,
): void;

/** Index of the tensor that the last FULLY_CONNECTED reads: the features of the defenses. */
export declare function penultimateTensor(graph: Graph): number;

/** logitsGradient is called once, with the logits of all images. gradient: d loss / d pixel, count * height * width * channels. */
export declare function inputGradient(
  prepared: Prepared,
  pixels: Pixels,
  count: number,
  logitsGradient: (logits: Float32Array) => Float32Array,
): { logits: Float32Array; gradient: Float32Array };

/** Straight-through gradient of an integer model: `shadow` carries the dequantized weights and has the integer graph's
 * tensor indices; activations are keyed by tensor index; tensors without an entry pass everything. Returns d loss / d pixel. */
export declare function shadowGradient(
  shadow: Prepared,
  activations: ReadonlyMap<number, IntegerActivation>,
  logitsGradient: Float32Array,
  count: number,
): Float32Array;
