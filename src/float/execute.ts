import * as tf from "@tensorflow/tfjs-core";
import { elements, type Graph, type Node } from "../model/graph.ts";
import type { FloatBackend } from "./backend.ts";
import { constantsOf } from "./constants.ts";
import { backwardPass, ForwardPass, type PassOptions, type Source } from "./pass.ts";
import { run } from "./register.ts";

/** Graph inputs are pixel * INPUT_SCALE, so an int8 input of scale 1/255 and zero point -128 is exactly pixel - 128. */
export const INPUT_SCALE = Math.fround(1 / 255);

/** Images a pass. Results do not depend on it: no kernel of inference or of an input gradient mixes images. */
const BATCH = 32;

/** Values that inputGradient may hold between the two passes of many images; beyond it, it runs images again. */
const HELD_BYTES = 200e6;

/** Pixel units, NHWC. */
export type Pixels = Uint8Array | Float32Array;

/** A float Graph whose constants live in the backend's memory. */
export interface Prepared {
  graph: Graph;
  backend: FloatBackend;
  classes: number;
  /** height, width, channels of the input. */
  inputShape: readonly [number, number, number];
  constants: ReadonlyMap<number, tf.Tensor>;
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

/**
 * Uploads the constants. The graph must have one NHWC input and one output of shape [batch, classes], all float32.
 * Throws RangeError where it does not.
 */
export function prepare(backend: FloatBackend, graph: Graph): Prepared {
  const input = graph.tensors[graph.inputs[0]];
  const output = graph.tensors[graph.outputs[0]];
  if (graph.inputs.length !== 1 || graph.outputs.length !== 1 || input.shape.length !== 4) {
    throw new RangeError(`${graph.name}: expected one NHWC input and one output`);
  }
  const constants = constantsOf(graph, false);
  const [, height, width, channels] = input.shape;
  return {
    graph,
    backend,
    classes: elements(output.shape.slice(1)),
    inputShape: [height, width, channels],
    constants,
    dispose() {
      for (const tensor of constants.values()) tensor.dispose();
    },
  };
}

function passOptions({ graph, constants }: Prepared, batches: number, inputGradient: boolean): PassOptions {
  return { graph, batches, training: false, constants, trained: new Set(), inputGradient };
}

/** `batches` images from `first` on, as the graph's input. */
function uploadPixels({ inputShape }: Prepared, pixels: Pixels, first: number, batches: number): tf.Tensor {
  const size = elements(inputShape);
  const part = pixels.subarray(first * size, (first + batches) * size);
  return run("PIXELS", {}, { pixels: part, shape: [batches, ...inputShape], factor: INPUT_SCALE });
}

function checkPixels({ graph, inputShape }: Prepared, pixels: Pixels, count: number): void {
  const expected = count * elements(inputShape);
  if (pixels.length < expected) {
    throw new RangeError(
      `${graph.name}: expected ${expected} pixel values for ${count} images, got ${pixels.length}`,
    );
  }
}

function forEachBatch(count: number, visit: (first: number, batches: number) => void): void {
  for (let first = 0; first < count; first += BATCH) visit(first, Math.min(BATCH, count - first));
}

/** The output tensor: count * classes. */
export function forward(prepared: Prepared, pixels: Pixels, count: number): Float32Array {
  const output = prepared.graph.outputs[0];
  const logits = new Float32Array(count * prepared.classes);
  observe(prepared, pixels, count, [output], (values, first) => {
    logits.set(values.get(output)!, first * prepared.classes);
  });
  return logits;
}

/** A tensor's values where they lie: gone with the tensor, or when the backend's memory grows. */
function valuesOf({ backend }: Prepared, tensor: tf.Tensor): Float32Array {
  return backend.floats(backend.pointer(tensor), tensor.size);
}

/** Runs the images in batches and shows `visit` the values of the tensors of these indices, batch by batch: it must copy
 * what it keeps, and run nothing on the backend. */
export function observe(
  prepared: Prepared,
  pixels: Pixels,
  count: number,
  tensors: readonly number[],
  visit: (values: ReadonlyMap<number, Float32Array>, first: number, count: number) => void,
): void {
  checkPixels(prepared, pixels, count);
  const keep = new Set([...tensors, ...prepared.graph.outputs]);
  forEachBatch(count, (first, batches) => {
    tf.tidy(() => {
      const pass = new ForwardPass(passOptions(prepared, batches, false));
      pass.run(uploadPixels(prepared, pixels, first, batches), keep);
      visit(new Map(tensors.map((index) => [index, valuesOf(prepared, pass.value(index))])), first, batches);
    });
  });
}

/** Bytes of activations an image. */
function activationBytes(graph: Graph): number {
  let count = 0;
  for (const { shape, data } of graph.tensors) if (!data) count += elements(shape.slice(1));
  return 4 * count;
}

/** The input's gradient in pixel units, copied to its place. */
function readInputGradient(
  prepared: Prepared,
  options: PassOptions,
  source: Source,
  logitsGradient: Float32Array,
  to: Float32Array,
  first: number,
  done?: (node: Node) => void,
): void {
  const { classes, graph, inputShape } = prepared;
  const part = logitsGradient.subarray(first * classes, (first + options.batches) * classes);
  const outputShape = [options.batches, ...graph.tensors[graph.outputs[0]].shape.slice(1)];
  const dOutput = run("PIXELS", {}, { pixels: part, shape: outputShape, factor: 1 });
  const { input } = backwardPass(options, source, dOutput, done);
  if (!input) return;
  const scaled = run("SCALE", { x: input }, { factor: INPUT_SCALE });
  to.set(valuesOf(prepared, scaled), first * elements(inputShape));
}

/**
 * logitsGradient is called once, with the logits of all images, and returns d loss / d logit (count * classes).
 * gradient: d loss / d pixel, count * height * width * channels, in `gradient` where it is given.
 */
export function inputGradient(
  prepared: Prepared,
  pixels: Pixels,
  count: number,
  logitsGradient: (logits: Float32Array) => Float32Array,
  gradient: Float32Array = new Float32Array(count * elements(prepared.inputShape)),
): { logits: Float32Array; gradient: Float32Array } {
  checkPixels(prepared, pixels, count);
  const { classes } = prepared;
  const logits = new Float32Array(count * classes);
  const held = new Map<number, ForwardPass>();
  const hold = Math.floor(HELD_BYTES / activationBytes(prepared.graph));
  const begin = (first: number, batches: number) => {
    const pass = new ForwardPass(passOptions(prepared, batches, true));
    const output = pass.run(uploadPixels(prepared, pixels, first, batches));
    logits.set(valuesOf(prepared, output), first * classes);
    return pass;
  };
  tf.tidy(() => {
    forEachBatch(count, (first, batches) => {
      if (first + batches <= hold) held.set(first, begin(first, batches));
      else tf.tidy(() => void begin(first, batches));
    });
    const dLogits = logitsGradient(logits);
    forEachBatch(count, (first, batches) => {
      tf.tidy(() => {
        const pass = held.get(first) ?? begin(first, batches);
        readInputGradient(prepared, pass.options, pass, dLogits, gradient, first, (node) =>
          pass.releaseNode(node),
        );
      });
    });
  });
  return { logits, gradient };
}

/** Values and clamps of an integer run, one batch of it. */
function integerSource(
  shadow: Prepared,
  activations: ReadonlyMap<number, IntegerActivation>,
  first: number,
  batches: number,
): Source {
  const { graph } = shadow;
  const part = (index: number, { values }: IntegerActivation) => {
    const size = elements(graph.tensors[index].shape.slice(1));
    return values.subarray(first * size, (first + batches) * size);
  };
  return {
    saved: () => [],
    value(index) {
      const activation = activations.get(index);
      if (!activation) {
        throw new RangeError(
          `${graph.name}: expected integer values of tensor ${index} "${graph.tensors[index].name}", got none`,
        );
      }
      const { scale, zeroPoint } = activation;
      const real = Float32Array.from(part(index, activation), (q) => scale * (q - zeroPoint));
      return tf.tensor(real, [batches, ...graph.tensors[index].shape.slice(1)]);
    },
    gate(node, dy) {
      const activation = activations.get(node.outputs[0]);
      return activation ? gateInteger(dy, part(node.outputs[0], activation), activation) : dy;
    },
  };
}

function gateInteger(
  dy: tf.Tensor,
  values: Int8Array | Uint8Array | Int16Array,
  { minimum, maximum }: IntegerActivation,
): tf.Tensor {
  const signed = values instanceof Uint8Array ? Int16Array.from(values) : values;
  return run("GATE_INTEGER", { dy }, { values: signed, lower: minimum, upper: maximum });
}

/**
 * Straight-through gradient of an integer model. `shadow`: prepared from a graph with the integer graph's tensor
 * indices and its weights dequantized. activations: by tensor index, values of all `count` images; a tensor without
 * an entry passes everything, but the operands of MAX_POOL_2D and MUL and the output of SOFTMAX must have one. An
 * entry for the graph's input is not applied: pixels have no clamp of the model's. Returns d loss / d pixel, in `gradient`
 * where it is given.
 */
export function shadowGradient(
  shadow: Prepared,
  activations: ReadonlyMap<number, IntegerActivation>,
  logitsGradient: Float32Array,
  count: number,
  gradient: Float32Array = new Float32Array(count * elements(shadow.inputShape)),
): Float32Array {
  forEachBatch(count, (first, batches) => {
    tf.tidy(() => {
      const source = integerSource(shadow, activations, first, batches);
      readInputGradient(shadow, passOptions(shadow, batches, true), source, logitsGradient, gradient, first);
    });
  });
  return gradient;
}
