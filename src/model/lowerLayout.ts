/** Lowerings of the ops that move values, resize or convert them as they are. */
import type { CastType } from "../kernels/cast.ts";
import { OPS } from "../kernels/ops.ts";
import { clamp, roundHalfAway } from "../kernels/requantize.ts";
import { hasFloat } from "./float/site.ts";
import { type Attributes, type DType, elements, type OpName, type Tensor } from "./graph.ts";
import {
  byte,
  byteActivation,
  codesOf,
  first,
  formOf,
  type Lowering,
  only,
  refuseForm,
  type Site,
  sameScale,
  sameType,
  scaleOf,
  sharesScale,
  unaryBytes,
} from "./site.ts";

const BYTES: Partial<Record<DType, number>> = { int8: 1, uint8: 1, int16: 2, int32: 4, float32: 4 };

/** Values that are moved only: a type of whole bytes, the same scale on both sides. */
const moved = (site: Site) => {
  const [x] = site.inputs;
  return first(
    only(`input: needs ${Object.keys(BYTES).join(", ")}, is ${x.dtype}`, x.dtype in BYTES),
    only("input: needs an activation, is a constant", x.data === undefined),
    sameType(x, site.output),
    sharesScale(site),
  );
};

const slice: Lowering<"STRIDED_SLICE"> = {
  refuse: (site) => {
    const { begin, end, strides } = site.attributes;
    const whole = begin[0] === 0 && end[0] === site.inputs[0].shape[0] && strides[0] === 1;
    return first(moved(site), only("begin, end: the batch cannot be sliced", whole));
  },
  lower: ({ attributes, inputs: [x], kernels }) =>
    OPS.STRIDED_SLICE.prepare(kernels, {
      shape: x.shape.slice(1),
      begin: attributes.begin.slice(1),
      strides: attributes.strides.slice(1),
      sizes: attributes.begin
        .map((from, i) => Math.ceil((attributes.end[i] - from) / attributes.strides[i]))
        .slice(1),
      elementBytes: BYTES[x.dtype]!,
    }),
};

/** One slice an output. */
const split: Lowering<"SPLIT"> = {
  refuse: (site) =>
    first(
      moved(site),
      only("axis: the batch cannot be split", site.attributes.axis !== 0),
      ...site.outputs.map((output) =>
        first(sameType(site.inputs[0], output), sameScale(site.inputs[0], output)),
      ),
    ),
  lower: ({ attributes: { axis, sizes }, inputs: [x], kernels }) => {
    const shape = x.shape.slice(1);
    const parts = sizes.map((size, i) =>
      OPS.STRIDED_SLICE.prepare(kernels, {
        shape,
        begin: shape.map((_, d) => (d === axis - 1 ? elementsBefore(sizes, i) : 0)),
        strides: shape.map(() => 1),
        sizes: shape.map((length, d) => (d === axis - 1 ? size : length)),
        elementBytes: BYTES[x.dtype]!,
      }),
    );
    return {
      ...parts[0],
      constantBytes: parts.reduce((sum, part) => sum + part.constantBytes, 0),
      bind: ({ input, outputs }) =>
        parts.forEach((part, i) => {
          part.bind({ input, output: outputs![i] });
        }),
      run: (batches) => {
        for (const part of parts) part.run(batches);
      },
    };
  },
};

const elementsBefore = (sizes: readonly number[], i: number) =>
  sizes.slice(0, i).reduce((sum, size) => sum + size, 0);

const transpose: Lowering<"TRANSPOSE"> = {
  refuse: (site) =>
    first(moved(site), only("permutation: the batch must stay first", site.attributes.permutation[0] === 0)),
  lower: ({ attributes, inputs: [x], kernels }) =>
    OPS.TRANSPOSE.prepare(kernels, {
      shape: x.shape.slice(1),
      permutation: attributes.permutation.slice(1).map((axis) => axis - 1),
      elementBytes: BYTES[x.dtype]!,
    }),
};

/** int8 inputs must have the output's scale, as TFLite requires; uint8 ones are rescaled in float32. */
const concatenation: Lowering<"CONCATENATION"> = {
  refuse: ({ attributes, inputs, output }) =>
    first(
      byteActivation(output, "output"),
      only("axis: the batch cannot be concatenated", attributes.axis !== 0),
      only("activation: needs NONE", attributes.activation === "NONE"),
      only(
        "inputs: needs an activation",
        inputs.some(({ data }) => !data),
      ),
      ...inputs.map((x, i) =>
        first(
          byte(x, `input ${i}`),
          sameType(x, output),
          x.dtype === "uint8" ? "" : sameScale(x, output, `input ${i}`),
        ),
      ),
    ),
  lower: ({ attributes: { axis }, inputs, output, kernels }) => {
    return OPS.CONCATENATION.prepare(kernels, {
      outer: elements(output.shape.slice(1, axis)),
      sizes: inputs.map((x) => elements(x.shape.slice(axis))),
      tables: inputs.map((x) => (sameScale(x, output) === "" ? undefined : rescaleTable(x, output))),
      constants: inputs.map((x) => (x.data ? codesOf(x) : undefined)),
    });
  },
};

/** Source: ConcatenationWithScaling, TFLite reference/concatenation.h. The codes there are uint8. */
function rescaleTable(x: Tensor, output: Tensor): Int8Array {
  const scale = Math.fround(scaleOf(x) * Math.fround(1 / scaleOf(output)));
  const bias = Math.fround(-x.quantization!.zeroPoint[0] * scale);
  return Int8Array.from({ length: 256 }, (_, at) => {
    const value = Math.fround(Math.fround((at ^ 128) * scale) + bias);
    return clamp(roundHalfAway(value) + output.quantization!.zeroPoint[0], 0, 255) - 128;
  });
}

type Resize = Attributes["RESIZE_BILINEAR"];

const resizeArgs = ({ alignCorners, halfPixelCenters }: Resize, x: Tensor, output: Tensor) => ({
  inputHeight: x.shape[1],
  inputWidth: x.shape[2],
  inputDepth: x.shape[3],
  outputHeight: output.shape[1],
  outputWidth: output.shape[2],
  alignCorners,
  halfPixelCenters,
});

const refuseResize = (site: Site) => first(unaryBytes(site), sharesScale(site));

/** Of non-negative codes, as uint8's, half away from zero is half up. */
const bilinear: Lowering<"RESIZE_BILINEAR"> = {
  refuse: (site) => first(refuseResize(site), refuseForm(site, "RESIZE_BILINEAR")),
  lower: (site) => {
    const {
      attributes,
      inputs: [x],
      output,
      kernels,
    } = site;
    const { form } = formOf(site, "RESIZE_BILINEAR");
    const ownForm = form === "tflite" && x.dtype === "uint8" ? "tflite-up" : form;
    return OPS.RESIZE_BILINEAR.prepare(kernels, { ...resizeArgs(attributes, x, output), form: ownForm });
  },
};

const nearest: Lowering<"RESIZE_NEAREST_NEIGHBOR"> = {
  refuse: refuseResize,
  lower: ({ attributes, inputs: [x], output, kernels }) =>
    OPS.RESIZE_NEAREST_NEIGHBOR.prepare(kernels, resizeArgs(attributes, x, output)),
};

const CAST_TYPES: readonly DType[] = ["int8", "uint8", "int16", "int32", "float32"];
const isCastType = (dtype: DType): dtype is CastType => CAST_TYPES.includes(dtype);

/** Values as they are: codes, not what they stand for. */
const cast: Lowering<"CAST"> = {
  refuse: (site) => {
    const { inputs, output } = site;
    const [x] = inputs;
    return first(
      only(`input: needs ${CAST_TYPES.join(", ")}, is ${x.dtype}`, isCastType(x.dtype)),
      only("input: needs an activation, is a constant", x.data === undefined),
      only(
        `output: needs another of ${CAST_TYPES.join(", ")}, is ${output.dtype}`,
        isCastType(output.dtype) && output.dtype !== x.dtype,
      ),
      x.dtype === "float32" ? hasFloat(site) : "",
    );
  },
  lower: ({ inputs: [x], output, kernels, profile }) =>
    OPS.CAST.prepare(kernels, {
      elements: elements(x.shape.slice(1)),
      from: x.dtype as CastType,
      to: output.dtype as CastType,
      ...(x.dtype === "float32" && { form: profile.arithmetic.ops.float!.form }),
    }),
};

export const LAYOUT = {
  STRIDED_SLICE: slice,
  SPLIT: split,
  TRANSPOSE: transpose,
  CONCATENATION: concatenation,
  RESIZE_BILINEAR: bilinear,
  RESIZE_NEAREST_NEIGHBOR: nearest,
  CAST: cast,
} satisfies { [Op in OpName]?: Lowering<Op> };
