/** Integer nodes that ONNX Runtime leaves in float32 between DequantizeLinear and QuantizeLinear. */
import { composeSteps, type Part } from "../../kernels/compose.ts";
import { OPS } from "../../kernels/ops.ts";
import { unpackInt4 } from "../../kernels/weights.ts";
import { computedOn, onnxRuntimeForm } from "../computedOn.ts";
import { elements, type OpName, type Tensor } from "../graph.ts";
import { byteActivation, first, type Lowering, only, type Site, scaleOf, zeroPointOf } from "../site.ts";
import { FLOAT_LOWERINGS } from "./lower.ts";

/** Ops whose codes depend on it; functions and sums of two values are tables of what they are in float32. */
const ROWS = [
  "CONV_2D",
  "DEPTHWISE_CONV_2D",
  "FULLY_CONNECTED",
  "AVERAGE_POOL_2D",
  "MEAN",
  "SOFTMAX",
  "LOG_SOFTMAX",
  "HARD_SWISH",
  "PRELU",
] as const satisfies readonly OpName[];

const isByte = ({ dtype }: Tensor) => dtype === "int8" || dtype === "uint8";
const KNOWN: ReadonlySet<OpName> = new Set(ROWS);

/** Whether a node on bytes is one of them under the profile of the site. */
export const isUnfused = (op: OpName, site: Site) =>
  KNOWN.has(op) &&
  onnxRuntimeForm(site) !== undefined &&
  isByte(site.inputs[0]) &&
  isByte(site.output) &&
  computedOn(op, site) === "float32";

/** A constant's codes as float32 values; floats are as they are. */
function valuesOf({ data, dtype, shape, quantization }: Tensor): Float32Array {
  if (dtype === "float32" || !quantization) return data as Float32Array;
  const { scale, zeroPoint, axis = 0 } = quantization;
  const codes = dtype === "int4" ? unpackInt4(data as Uint8Array, elements(shape)) : (data as Int8Array);
  const inner = elements(shape.slice(axis + 1));
  return Float32Array.from(codes, (code, i) => {
    const at = scale.length === 1 ? 0 : Math.floor(i / inner) % shape[axis];
    return Math.fround(code - zeroPoint[zeroPoint.length === 1 ? 0 : at]) * scale[at];
  });
}

const real = (tensor: Tensor): Tensor => {
  const { quantization: _, data, ...rest } = tensor;
  return { ...rest, dtype: "float32", ...(data && { data: valuesOf(tensor) }) };
};

/** The node on the values of its codes. */
function realSite(site: Site): Site {
  const output = real(site.output);
  return { ...site, inputs: site.inputs.map(real), output, outputs: [output], dequantized: true };
}

/** A product of matrices as such: its filter is [out, in]. */
function matrixSite(site: Site): Site {
  const { inputs, ...rest } = realSite(site);
  const [x, filter, ...bias] = inputs;
  const [out, , , depth] = filter.shape;
  return { ...rest, inputs: [x, { ...filter, shape: [out, depth] }, ...bias] };
}

/** The node in float32, and its row. */
function realNode(op: OpName, site: Site): { row: Lowering<OpName>; site: Site } {
  const isProduct = op === "CONV_2D" && (site as Site<"CONV_2D">).attributes.isProduct;
  const row = FLOAT_LOWERINGS[isProduct ? "FULLY_CONNECTED" : op] as Lowering<OpName>;
  return { row, site: isProduct ? matrixSite(site) : realSite(site) };
}

const bytesOf = ({ shape }: Tensor) => elements(shape.slice(1));

const unfused = (op: OpName): Lowering<OpName> => {
  const refuseReal = (site: Site) => {
    const own = realNode(op, site);
    return own.row.refuse(own.site);
  };
  return {
    refuse: (site) =>
      first(
        byteActivation(site.inputs[0], "input"),
        byteActivation(site.output, "output"),
        ...site.inputs
          .slice(1)
          .map(({ data, quantization }, i) =>
            only(`input ${i + 1}: needs a quantized constant`, data !== undefined && !!quantization),
          ),
        refuseReal(site),
      ),
    lower: (site) => {
      const { inputs, output, kernels } = site;
      const [x] = inputs;
      const own = realNode(op, site);
      const step = own.row.lower(own.site)!;
      const [inputBytes, outputBytes] = [bytesOf(x), bytesOf(output)];
      const from = { elements: inputBytes, scale: scaleOf(x), zeroPoint: zeroPointOf(x) };
      const to = { elements: outputBytes, scale: scaleOf(output), zeroPoint: zeroPointOf(output) };
      const rounding = "quotient-half-even" as const;
      const parts: Part[] = [
        { step: OPS.DEQUANTIZE.prepare(kernels, from), input: "input", output: 0 },
        { step, input: 0, output: 1 },
        { step: OPS.QUANTIZE.prepare(kernels, { ...to, rounding }), input: 1, output: "output" },
      ];
      return composeSteps(parts, { inputBytes, outputBytes }, [inputBytes * 4, outputBytes * 4]);
    },
  };
};

export const UNFUSED: { [Op in OpName]?: Lowering<Op> } = Object.fromEntries(
  ROWS.map((op) => [op, unfused(op)]),
);
