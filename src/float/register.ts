import * as tf from "@tensorflow/tfjs-core";
import { windowAxis } from "../model/graph.ts";
import type { FloatBackend } from "./backend.ts";
import { BLOCK_BYTES, type Block } from "./kernels.ts";

type Inputs = Record<string, tf.TensorInfo>;
// biome-ignore lint/suspicious/noExplicitAny: tfjs passes a kernel's attributes untyped; each row names what it takes.
type Attributes = any;
type Kernel = (inputs: Inputs, attributes: Attributes) => tf.TensorInfo | tf.TensorInfo[];

const length = (shape: readonly number[]) => shape.reduce((product, size) => product * size, 1);

/** Our kernels by the name under which tfjs runs them. `block` attributes are parameter blocks of kernels.ts. */
function floatKernels(backend: FloatBackend): Record<string, Kernel> {
  const { kernels, tfjs } = backend;
  const at = (tensor?: tf.TensorInfo) => (tensor ? backend.pointer(tensor) : 0);
  const output = (shape: number[]) => tfjs.makeOutput(shape, "float32");

  /** Copies bytes into the scratch area: for operands that are no tensors, such as pixels and integer activations. */
  const upload = (values: ArrayBufferView) => {
    const pointer = backend.scratch(values.byteLength);
    backend
      .bytes(pointer, values.byteLength)
      .set(new Uint8Array(values.buffer, values.byteOffset, values.byteLength));
    return pointer;
  };

  /** Scratch for any pass of a convolution; asking takes room for a second block behind the first. */
  const convolutionScratch = (block: Block<"Conv2D">) => {
    const params = backend.params("Conv2D", block);
    return backend.scratch(kernels.conv_2d_scratch(params, params + BLOCK_BYTES));
  };

  return {
    CONV_2D: ({ x, filter, bias }, { block, shape }) => {
      const y = output(shape);
      const scratch = convolutionScratch(block);
      kernels.conv_2d_f32(backend.params("Conv2D", block), at(x), at(filter), at(bias), at(y), scratch);
      return y;
    },
    CONV_2D_INPUT_GRADIENT: ({ dy, filter, addend }, { block, shape }) => {
      const dx = output(shape);
      const scratch = convolutionScratch(block);
      const params = backend.params("Conv2D", block);
      kernels.conv_2d_input_gradient_f32(params, at(dy), at(filter), at(addend), at(dx), scratch);
      return dx;
    },
    CONV_2D_FILTER_GRADIENT: ({ x, dy }, { block, shape }) => {
      const dFilter = output(shape);
      const scratch = convolutionScratch(block);
      kernels.conv_2d_filter_gradient_f32(
        backend.params("Conv2D", block),
        at(x),
        at(dy),
        at(dFilter),
        scratch,
      );
      return dFilter;
    },
    DEPTHWISE_CONV_2D: ({ x, filter, bias }, { block, shape }) => {
      const y = output(shape);
      kernels.depthwise_conv_2d_f32(
        backend.params("DepthwiseConv2D", block),
        at(x),
        at(filter),
        at(bias),
        at(y),
      );
      return y;
    },
    DEPTHWISE_CONV_2D_INPUT_GRADIENT: ({ dy, filter }, { block, shape }) => {
      const dx = output(shape);
      const params = backend.params("DepthwiseConv2D", block);
      kernels.depthwise_conv_2d_input_gradient_f32(params, at(dy), at(filter), at(dx));
      return dx;
    },
    DEPTHWISE_CONV_2D_FILTER_GRADIENT: ({ x, dy }, { block, shape }) => {
      const dFilter = output(shape);
      const params = backend.params("DepthwiseConv2D", block);
      kernels.depthwise_conv_2d_filter_gradient_f32(params, at(x), at(dy), at(dFilter));
      return dFilter;
    },
    FULLY_CONNECTED: ({ x, filter, bias }, { block, shape }) => {
      const y = output(shape);
      kernels.fully_connected_f32(
        backend.params("FullyConnected", block),
        at(x),
        at(filter),
        at(bias),
        at(y),
      );
      return y;
    },
    FULLY_CONNECTED_INPUT_GRADIENT: ({ dy, filter }, { block, shape }) => {
      const dx = output(shape);
      const params = backend.params("FullyConnected", block);
      kernels.fully_connected_input_gradient_f32(params, at(dy), at(filter), at(dx));
      return dx;
    },
    FULLY_CONNECTED_FILTER_GRADIENT: ({ x, dy }, { block, shape }) => {
      const dFilter = output(shape);
      const params = backend.params("FullyConnected", block);
      kernels.fully_connected_filter_gradient_f32(params, at(x), at(dy), at(dFilter));
      return dFilter;
    },
    /** Equal shapes only. */
    ADD: ({ a, b }, { activation }) => {
      const out = output(a.shape);
      kernels.add_f32(at(a), at(b), at(out), length(a.shape), activation);
      return out;
    },
    ACTIVATION: ({ x }, { activation }) => {
      const out = output(x.shape);
      kernels.activation_f32(at(x), at(out), length(x.shape), activation);
      return out;
    },
    GATE: ({ dy, y }, { activation }) => {
      const out = output(dy.shape);
      kernels.gate_f32(at(dy), at(y), at(out), length(dy.shape), activation);
      return out;
    },
    /** values: Int8Array or Int16Array as long as dy. */
    GATE_INTEGER: ({ dy }, { values, lower, upper }) => {
      const out = output(dy.shape);
      const gate = values instanceof Int8Array ? kernels.gate_s8 : kernels.gate_s16;
      gate(at(dy), upload(values), at(out), length(dy.shape), lower, upper);
      return out;
    },
    /** Uint8Array or Float32Array times factor. */
    PIXELS: (_, { pixels, shape, factor }) => {
      const out = output(shape);
      const scale = pixels instanceof Uint8Array ? kernels.scale_u8 : kernels.scale_f32;
      scale(upload(pixels), at(out), length(shape), factor);
      return out;
    },
    SCALE: ({ x }, { factor }) => {
      const out = output(x.shape);
      kernels.scale_f32(at(x), at(out), length(x.shape), factor);
      return out;
    },
    AFFINE: ({ x, scale, shift }, { block }) => {
      const out = output(x.shape);
      kernels.affine_f32(backend.params("Normalization", block), at(x), at(scale), at(shift), at(out));
      return out;
    },
    COLUMN_SUM: ({ x }, { block }) => {
      const out = output([block.depth]);
      const scratch = backend.scratch(8 * block.depth);
      kernels.column_sum_f32(backend.params("Normalization", block), at(x), at(out), scratch);
      return out;
    },
    /** Returns y and [2, depth] moments. */
    BATCH_NORMALIZATION: ({ x, gammaBeta }, { block, epsilon }) => {
      const y = output(x.shape);
      const moments = output([2, block.depth]);
      const params = backend.params("Normalization", block);
      const scratch = backend.scratch(32 * block.depth);
      kernels.batch_norm_train_f32(params, at(x), at(gammaBeta), epsilon, at(y), at(moments), scratch);
      return [y, moments];
    },
    /** Returns dx and [2, depth] gradients of gamma and beta. */
    BATCH_NORMALIZATION_GRADIENT: ({ x, y, dy, gammaBeta, moments }, { block, epsilon }) => {
      const dx = output(x.shape);
      const dGammaBeta = output([2, block.depth]);
      kernels.batch_norm_train_gradient_f32(
        backend.params("Normalization", block),
        at(x),
        at(y),
        at(dy),
        at(gammaBeta),
        at(moments),
        epsilon,
        at(dx),
        at(dGammaBeta),
        backend.scratch(32 * block.depth),
      );
      return [dx, dGammaBeta];
    },
    AVERAGE_POOL_2D: ({ x }, { block, shape }) => {
      const y = output(shape);
      kernels.average_pool_2d_f32(backend.params("Pool2D", block), at(x), at(y), backend.scratch(16));
      return y;
    },
    AVERAGE_POOL_2D_GRADIENT: ({ dy }, { block, shape }) => {
      const dx = output(shape);
      kernels.average_pool_2d_gradient_f32(
        backend.params("Pool2D", block),
        at(dy),
        at(dx),
        backend.scratch(16),
      );
      return dx;
    },
    MAX_POOL_2D: ({ x }, { block, shape }) => {
      const y = output(shape);
      kernels.max_pool_2d_f32(backend.params("Pool2D", block), at(x), at(y), backend.scratch(16));
      return y;
    },
    MAX_POOL_2D_GRADIENT: ({ x, dy }, { block, shape }) => {
      const dx = output(shape);
      const params = backend.params("Pool2D", block);
      kernels.max_pool_2d_gradient_f32(params, at(x), at(dy), at(dx), backend.scratch(16));
      return dx;
    },
    /** labels: Int32Array. Returns the gradient of the mean loss, and [summed loss, right answers]. */
    SOFTMAX_CROSS_ENTROPY: ({ logits }, { labels }) => {
      const dLogits = output(logits.shape);
      const sums = output([2]);
      const batches = labels.length;
      const classes = length(logits.shape) / batches;
      kernels.softmax_cross_entropy_f32(at(logits), upload(labels), batches, classes, at(dLogits), at(sums));
      return [dLogits, sums];
    },
    /** Updates w and v in place. */
    SGD: ({ w, v, g }, { rate, momentum, decay }) => {
      kernels.sgd_f32(at(w), at(v), at(g), length(w.shape), rate, momentum, decay);
      return [];
    },
    /** [batches, rows, depth] to [batches, depth]. */
    MEAN_ROWS: ({ x }, { batches, rows, depth }) => {
      const y = output([batches, depth]);
      kernels.mean_rows_f32(at(x), at(y), batches, rows, depth);
      return y;
    },
    MEAN_ROWS_GRADIENT: ({ dy }, { shape, batches, rows, depth }) => {
      const dx = output(shape);
      kernels.mean_rows_gradient_f32(at(dy), at(dx), batches, rows, depth);
      return dx;
    },
  };
}

/** tfjs's own convolution attributes as a parameter block. filter: [height, width, input, output or multiplier]. */
function convolutionBlock(input: number[], filter: number[], output: number[], attributes: Attributes) {
  const [strideHeight, strideWidth] = [attributes.strides].flat().concat([attributes.strides].flat());
  const [dilationHeight, dilationWidth] = [attributes.dilations ?? 1].flat().concat([1]);
  const pad =
    typeof attributes.pad === "string" ? (attributes.pad.toUpperCase() as "SAME" | "VALID") : "VALID";
  return {
    batches: input[0],
    inputHeight: input[1],
    inputWidth: input[2],
    inputDepth: input[3],
    filterHeight: filter[0],
    filterWidth: filter[1],
    outputHeight: output[1],
    outputWidth: output[2],
    outputDepth: output[3],
    strideHeight,
    strideWidth,
    dilationHeight,
    dilationWidth,
    paddingTop: windowAxis(input[1], filter[0], strideHeight, dilationHeight, pad).before,
    paddingLeft: windowAxis(input[2], filter[1], strideWidth, dilationWidth, pad).before,
    activation: 0,
  } satisfies Block<"Conv2D">;
}

/** tfjs's names for the gradients that its wasm backend lacks, or has slow, so that tf.grad works too. NHWC; pad "same" or "valid". */
function stockKernels(ours: Record<string, Kernel>): Record<string, Kernel> {
  return {
    Conv2DBackpropInput: ({ dy, filter }, attributes) => {
      const shape: number[] = attributes.inputShape;
      const block = convolutionBlock(shape, filter.shape, dy.shape, attributes);
      return ours.CONV_2D_INPUT_GRADIENT({ dy, filter }, { block, shape });
    },
    Conv2DBackpropFilter: ({ x, dy }, attributes) => {
      const shape: number[] = attributes.filterShape;
      const block = convolutionBlock(x.shape, shape, dy.shape, attributes);
      return ours.CONV_2D_FILTER_GRADIENT({ x, dy }, { block, shape });
    },
    DepthwiseConv2dNativeBackpropInput: ({ dy, filter }, attributes) => {
      const shape: number[] = attributes.inputShape;
      const block = convolutionBlock(shape, filter.shape, dy.shape, attributes);
      const depthMultiplier = filter.shape[3];
      return ours.DEPTHWISE_CONV_2D_INPUT_GRADIENT(
        { dy, filter },
        { block: { ...block, depthMultiplier }, shape },
      );
    },
    DepthwiseConv2dNativeBackpropFilter: ({ x, dy }, attributes) => {
      const shape: number[] = attributes.filterShape;
      const block = convolutionBlock(x.shape, shape, dy.shape, attributes);
      const depthMultiplier = shape[3];
      return ours.DEPTHWISE_CONV_2D_FILTER_GRADIENT(
        { x, dy },
        { block: { ...block, depthMultiplier }, shape },
      );
    },
  };
}

/** Registers every kernel on tfjs's wasm backend, in place of a stock one of that name. */
export function registerKernels(backend: FloatBackend): void {
  const ours = floatKernels(backend);
  for (const [kernelName, kernel] of Object.entries({ ...ours, ...stockKernels(ours) })) {
    if (tf.getKernel(kernelName, "wasm")) tf.unregisterKernel(kernelName, "wasm");
    tf.registerKernel({
      kernelName,
      backendName: "wasm",
      kernelFunc: ({ inputs, attrs }) => kernel(inputs as Inputs, attrs),
    });
  }
}

/** Runs one of our kernels on tensors, through tfjs's engine. */
export function run(
  kernelName: string,
  inputs: Record<string, tf.Tensor | undefined>,
  attributes: object = {},
): tf.Tensor {
  return tf
    .engine()
    .runKernel(kernelName, inputs as tf.NamedTensorMap, attributes as tf.NamedAttrMap) as tf.Tensor;
}

/** The same for a kernel with several outputs. */
export function runMany(
  kernelName: string,
  inputs: Record<string, tf.Tensor>,
  attributes: object,
): tf.Tensor[] {
  return tf.engine().runKernel(kernelName, inputs, attributes as tf.NamedAttrMap) as unknown as tf.Tensor[];
}
