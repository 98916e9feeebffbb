/** Ops that move values: slices, transposition, repetition and concatenation, and the same in plain TypeScript. */
import type { Op, Operands, Step, Values } from "./args.ts";
import type { Kernels } from "./module.ts";
import { makeStep } from "./step.ts";

/** What is read of a dense tensor, in elements. stride 0 repeats, a negative one goes backwards. */
interface View {
  sizes: readonly number[];
  strides: readonly number[];
  start: number;
  inputElements: number;
  elementBytes: number;
}

/** begin, sizes, strides: one entry a dimension of one image. elementBytes: 1, 2 or 4. */
export interface StridedSliceArgs {
  shape: readonly number[];
  begin: readonly number[];
  strides: readonly number[];
  /** Of the output, no dimension dropped. */
  sizes: readonly number[];
  elementBytes: number;
}
/** Output dimension i is input dimension permutation[i], of one image. */
export interface TransposeArgs {
  shape: readonly number[];
  permutation: readonly number[];
  elementBytes: number;
}
/** shape: as many dimensions as outputShape, each the same or 1. */
export interface BroadcastToArgs {
  shape: readonly number[];
  outputShape: readonly number[];
  elementBytes: number;
}
/** Input i gives sizes[i] bytes to each of the `outer` parts of an image. tables: 256 codes by the code read as uint8,
 * where an input is on another scale than the output. constants: one image of inputs that are not bound. */
export interface ConcatenationArgs {
  outer: number;
  sizes: readonly number[];
  tables?: readonly (Int8Array | undefined)[];
  constants?: readonly (Int8Array | undefined)[];
}

const product = (sizes: readonly number[]) => sizes.reduce((total, size) => total * size, 1);

/** Elements from one index of a dimension to the next. */
export function denseStrides(shape: readonly number[]): number[] {
  return shape.map((_, axis) => product(shape.slice(axis + 1)));
}

/** The innermost dimensions that lie dense become runs; the rest is filled up to five dimensions. */
function loops(view: View) {
  const sizes = [...view.sizes];
  const strides = [...view.strides];
  let run = 1;
  while (sizes.length > 0 && (strides.at(-1) === run || sizes.at(-1) === 1)) {
    run *= sizes.pop()!;
    strides.pop();
  }
  if (sizes.length > 5) throw new RangeError(`more than five dimensions: ${view.sizes.join("x")}`);
  while (sizes.length < 5) {
    sizes.unshift(1);
    strides.unshift(0);
  }
  return { sizes, strides, run };
}

function prepareView(kernels: Kernels, view: View): Step {
  const { sizes, strides, run } = loops(view);
  const bytes = strides.map((stride) => stride * view.elementBytes);
  const values = {
    size0: sizes[0],
    size1: sizes[1],
    size2: sizes[2],
    size3: sizes[3],
    size4: sizes[4],
    stride0: bytes[0],
    stride1: bytes[1],
    stride2: bytes[2],
    stride3: bytes[3],
    stride4: bytes[4],
    start: view.start * view.elementBytes,
    runBytes: run * view.elementBytes,
    imageBytes: view.inputElements * view.elementBytes,
  };
  return makeStep(kernels, kernels.mark(), "gather", "Gather", values, {
    inputBytes: view.inputElements * view.elementBytes,
    outputBytes: product(view.sizes) * view.elementBytes,
  });
}

/** Every output index of every image, by the input index that `source` makes of it. */
function collect(
  input: Values,
  batches: number,
  inputElements: number,
  sizes: readonly number[],
  source: (index: number[]) => number,
): Values {
  const elements = product(sizes);
  const output = new (input.constructor as Int8ArrayConstructor)(batches * elements);
  for (let at = 0; at < output.length; at++) {
    const index = sizes.map(
      (size, axis) => Math.floor((at % elements) / product(sizes.slice(axis + 1))) % size,
    );
    output[at] = input[Math.floor(at / elements) * inputElements + source(index)];
  }
  return output;
}

const flat = (index: readonly number[], shape: readonly number[]) =>
  index.reduce((at, i, axis) => at * shape[axis] + i, 0);

/** Serves SPLIT too, once an output. */
export const STRIDED_SLICE: Op<StridedSliceArgs> = {
  macs: () => 0,
  prepare(kernels, { shape, begin, strides, sizes, elementBytes }) {
    const dense = denseStrides(shape);
    return prepareView(kernels, {
      sizes,
      strides: dense.map((stride, axis) => stride * strides[axis]),
      start: flat(begin, shape),
      inputElements: product(shape),
      elementBytes,
    });
  },
  reference: ({ shape, begin, strides, sizes }, [input], batches) =>
    collect(input, batches, product(shape), sizes, (index) =>
      flat(
        index.map((i, axis) => begin[axis] + i * strides[axis]),
        shape,
      ),
    ),
};

export const TRANSPOSE: Op<TransposeArgs> = {
  macs: () => 0,
  prepare(kernels, { shape, permutation, elementBytes }) {
    const dense = denseStrides(shape);
    return prepareView(kernels, {
      sizes: permutation.map((axis) => shape[axis]),
      strides: permutation.map((axis) => dense[axis]),
      start: 0,
      inputElements: product(shape),
      elementBytes,
    });
  },
  reference: ({ shape, permutation }, [input], batches) =>
    collect(
      input,
      batches,
      product(shape),
      permutation.map((axis) => shape[axis]),
      (index) =>
        flat(
          shape.map((_, axis) => index[permutation.indexOf(axis)]),
          shape,
        ),
    ),
};

/** What ADD, SUB and MUL read of an activation that they repeat. */
export const BROADCAST_TO: Op<BroadcastToArgs> = {
  macs: () => 0,
  prepare(kernels, { shape, outputShape, elementBytes }) {
    const dense = denseStrides(shape);
    return prepareView(kernels, {
      sizes: outputShape,
      strides: dense.map((stride, axis) => (shape[axis] === 1 ? 0 : stride)),
      start: 0,
      inputElements: product(shape),
      elementBytes,
    });
  },
  reference: ({ shape, outputShape }, [input], batches) =>
    collect(input, batches, product(shape), outputShape, (index) =>
      flat(
        index.map((i, axis) => (shape[axis] === 1 ? 0 : i)),
        shape,
      ),
    ),
};

function prepareConcatenation(
  kernels: Kernels,
  { outer, sizes, tables, constants }: ConcatenationArgs,
): Step {
  const mark = kernels.mark();
  const outputStride = sizes.reduce((sum, size) => sum + size, 0);
  let outputStart = 0;
  const parts = sizes.map((rowBytes, i) => {
    const table = tables?.[i] ? kernels.place(tables[i]) : 0;
    const values = { rows: outer, rowBytes, outputStart, outputStride, table };
    outputStart += rowBytes;
    const bytes = { inputBytes: outer * rowBytes, outputBytes: outer * outputStride };
    return makeStep(kernels, mark, "copy_rows", "CopyRows", values, bytes);
  });
  const places = sizes.map((_, i) => (constants?.[i] ? kernels.place(constants[i]) : undefined));
  let bound = 0;
  /** All images at once, or each by itself with the same constant. */
  const runPart = (part: Step, constant: number | undefined, batches: number) => {
    if (constant === undefined) return part.run(batches);
    for (let image = 0; image < batches; image++) {
      part.bind({ input: constant, output: bound + image * part.outputBytes });
      part.run(1);
    }
  };
  return {
    ...parts[0],
    constantBytes: kernels.mark() - mark,
    bind: ({ inputs, output }: Operands) => {
      bound = output;
      parts.forEach((part, i) => {
        part.bind({ input: places[i] ?? inputs![i], output });
      });
    },
    run: (batches) =>
      parts.forEach((part, i) => {
        runPart(part, places[i], batches);
      }),
  };
}

/** One call an input. */
export const CONCATENATION: Op<ConcatenationArgs> = {
  macs: () => 0,
  prepare: prepareConcatenation,
  reference({ outer, sizes, tables, constants }, operands, batches) {
    const part = (row: number, i: number) => {
      const [values, at] = constants?.[i] ? [constants[i], row % outer] : [operands[i], row];
      return Array.from(values.subarray(at * sizes[i], (at + 1) * sizes[i]), (code) =>
        tables?.[i] ? tables[i][code & 255] : code,
      );
    };
    const rows = Array.from({ length: batches * outer }, (_, row) => sizes.flatMap((_, i) => part(row, i)));
    return Int8Array.from(rows.flat());
  },
};
