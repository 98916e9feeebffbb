import type { Pixels, Subject } from "../defenses/defense.ts";
import type { Kernels } from "../kernels/module.ts";
import { type Classifier, classifierOf, type Head } from "../model/classifier.ts";
import { activationArray, compile, type Values } from "../model/compile.ts";
import { elements, type Graph, type Tensor } from "../model/graph.ts";
import type { Convention } from "../model/imageInput.ts";
import type { Profile } from "../profile/schema.ts";
import { unpackInt4 } from "../quantize/uniform.ts";
import { deviceByte, devicePixels, type OpenSubject, softmaxRows } from "./access.ts";
import { meanOfChannels } from "./features.ts";
import { rememberImages } from "./rememberImages.ts";
import { reused } from "./reused.ts";

export interface ForwardModel {
  /** An image classifier, quantized by quantizeStatic or imported. */
  graph: Graph;
  profile: Profile;
  name: string;
  /** What the model takes a pixel for, where its input scale does not tell. */
  taken?: Convention;
}

/** Gives pixels as the model's input holds them: a camera's bytes, each by its entry of `values`. size: pixel values an image.
 * What it gives stays until the next call. */
export function inputCoder(
  { values }: Classifier,
  { dtype }: Tensor,
  size: number,
): (pixels: Pixels, count: number) => Values {
  const table = activationArray(dtype, values.length);
  table.set(values);
  // As most models have them: then a byte's upper bit is turned, in four at a time.
  const isTurned = dtype === "int8" && values.every((code, byte) => code === byte - 128);
  const room = reused((length) => activationArray(dtype, length));
  return (pixels, count) => {
    const length = count * size;
    const codes = room(length);
    if (!(pixels instanceof Uint8Array))
      for (let i = 0; i < length; i++) codes[i] = table[deviceByte(pixels[i])];
    else if (isTurned && length % 4 === 0 && pixels.byteOffset % 4 === 0) {
      const from = new Uint32Array(pixels.buffer, pixels.byteOffset, length / 4);
      const to = new Uint32Array(codes.buffer, 0, length / 4);
      for (let i = 0; i < to.length; i++) to[i] = from[i] ^ 0x80808080;
    } else for (let i = 0; i < length; i++) codes[i] = table[pixels[i]];
    return codes;
  };
}

/** Real values; of a tensor without quantization they are what is there. */
export function dequantized(codes: ArrayLike<number>, { quantization }: Tensor): Float32Array {
  if (!quantization) return Float32Array.from(codes);
  const [scale, zeroPoint] = [quantization.scale[0], quantization.zeroPoint[0]];
  const real = new Float32Array(codes.length);
  for (let i = 0; i < real.length; i++) real[i] = scale * (codes[i] - zeroPoint);
  return real;
}

/** An integer model under a profile's arithmetic with all that its forward pass can show. Its constants stay in the kernels'
 * memory. Any runtime can do this: gradients are integerSubject's. @throws UnsupportedOpError, ModelFormatError. */
export function forwardSubject(
  kernels: Kernels,
  model: ForwardModel,
): { subject: OpenSubject; classifier: Classifier } {
  const { graph, profile, name } = model;
  const classifier = classifierOf(graph, name, model.taken);
  const { classes, height, width, channels, logits, head } = classifier;
  const plan = compile(graph, profile, kernels, { keep: head ? [head.features, logits] : [logits] });
  const size = height * width * channels;
  const inputOf = inputCoder(classifier, graph.tensors[graph.inputs[0]], size);
  const parts = [...new Set([logits, graph.outputs[0], ...(head ? [head.features] : [])])].map((tensor) => ({
    tensor,
    width: elements(graph.tensors[tensor].shape.slice(1)),
    make: (length: number) => activationArray(graph.tensors[tensor].dtype, length),
  }));
  const seen = rememberImages(size, parts, (pixels, count) => {
    const rows = parts.map(({ width, make }) => make(count * width));
    plan.run([inputOf(pixels, count)], count, (first, here) => {
      parts.forEach(({ tensor, width }, p) => {
        rows[p].set(plan.view(tensor, here), first * width);
      });
    });
    return rows;
  });
  const codesOf = (tensor: number, pixels: Pixels, count: number) =>
    seen(devicePixels(pixels, count, size), count)[parts.findIndex((part) => part.tensor === tensor)];
  const rowsOf = (tensor: number, pixels: Pixels, count: number) =>
    dequantized(codesOf(tensor, pixels, count), graph.tensors[tensor]);
  const shape = { access: "A1" as const, integer: true, classes, height, width, channels };
  const base: OpenSubject = {
    ...shape,
    name,
    scoreKind: "logits",
    scores: (pixels, count) => rowsOf(logits, pixels, count),
    probabilities: (pixels, count) => {
      if (!classifier.normalized) return softmaxRows(base.scores(pixels, count), classes);
      return rowsOf(graph.outputs[0], pixels, count);
    },
    missing: {},
  };
  if (!head) {
    const reason = "the scores come from no single linear layer, so there are no features";
    return { classifier, subject: { ...base, missing: { features: reason, pruning: reason, tune: reason } } };
  }
  const featureCodes = (pixels: Pixels, count: number) => codesOf(head.features, pixels, count);
  const features = (pixels: Pixels, count: number) =>
    dequantized(featureCodes(pixels, count), graph.tensors[head.features]);
  const accumulators = profile.access.logits === "int32" && accumulatorTail(graph, head, classes);
  const subject: OpenSubject = {
    ...base,
    scores: accumulators ? (pixels, count) => accumulators(featureCodes(pixels, count)) : base.scores,
    features,
    featureDepth: head.depth,
    pruning: {
      channels: head.depth,
      meanActivation: (pixels, count) => meanOfChannels(features(pixels, count), head.depth),
      without: (dropped): Subject => {
        const tail = compile(tailWithout(graph, head, dropped), profile, kernels, { keep: [logits] });
        const tailScores = (pixels: Pixels, count: number) => {
          const out = new Float32Array(count * classes);
          tail.run([featureCodes(pixels, count)], count, (first, here) => {
            out.set(dequantized(tail.view(logits, here), graph.tensors[logits]), first * classes);
          });
          return out;
        };
        return {
          ...shape,
          name: `${name} without ${dropped.length} channels`,
          scoreKind: "logits",
          scores: tailScores,
          missing: {},
        };
      },
    },
  };
  return { classifier, subject };
}

/** A filter's codes, one a byte. */
const filterCodes = ({ dtype, data, shape }: Tensor): Int8Array | Uint8Array =>
  dtype === "int4" ? unpackInt4(data as Uint8Array, elements(shape)) : (data as Int8Array | Uint8Array);

/** The head and what follows it, on the features, with the columns of the dropped channels zero: exact, because a weight at
 * its zero point adds nothing. Tensor numbers stay. */
function tailWithout(graph: Graph, head: Head, dropped: readonly number[]): Graph {
  const nodes = graph.nodes.slice(head.node);
  const id = nodes[0].inputs[1];
  const w = graph.tensors[id];
  const data = filterCodes(w).slice();
  const none = w.quantization!.zeroPoint[0];
  for (const d of dropped) for (let at = d; at < data.length; at += head.depth) data[at] = none;
  const tensors = graph.tensors.with(id, { ...w, dtype: w.dtype === "int4" ? "int8" : w.dtype, data });
  return { ...graph, name: `${graph.name} tail`, tensors, nodes, inputs: [head.features] };
}

/** Real logits from the int32 accumulators of the last layer, which never saturate. */
function accumulatorTail(graph: Graph, head: Head, classes: number): (features: Values) => Float32Array {
  const { depth } = head;
  const [input, w, b] = graph.nodes[head.node].inputs.map((id) => graph.tensors[id]);
  const filter = filterCodes(w);
  const { scale: scales, zeroPoint: zeros } = w.quantization!;
  const scale = (k: number) => input.quantization!.scale[0] * (scales[k] ?? scales[0]);
  const zeroPoint = input.quantization!.zeroPoint[0];
  return (features) => {
    const count = features.length / depth;
    const out = new Float32Array(count * classes);
    for (let i = 0; i < count; i++)
      for (let k = 0; k < classes; k++) {
        let acc = Number(b?.data?.[k] ?? 0);
        const none = zeros[k] ?? zeros[0];
        for (let d = 0; d < depth; d++)
          acc += (features[i * depth + d] - zeroPoint) * (filter[k * depth + d] - none);
        out[i * classes + k] = acc * scale(k);
      }
    return out;
  };
}
