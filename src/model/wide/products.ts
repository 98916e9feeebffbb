/** CONV_2D, DEPTHWISE_CONV_2D and FULLY_CONNECTED of int16 activations by int8 weights. */
import { quantizeMultiplier } from "../../kernels/requantize.ts";
import type { SumScaling } from "../../kernels/wide/args.ts";
import { WIDE_OPS } from "../../kernels/wide/ops.ts";
import { withQuirks } from "../families.ts";
import { elements } from "../graph.ts";
import { first, type Lowering, only, type Site, scaleOf } from "../site.ts";
import { refuseTransposed, transposedWindow } from "../transposed.ts";
import { outputArgs, rulesOf, unary, windowArgs } from "./site.ts";

/** The largest left shift of an int64 sum. */
const MAX_LEFT_SHIFT = 7;

type Products = "CONV_2D" | "DEPTHWISE_CONV_2D" | "FULLY_CONNECTED" | "TRANSPOSE_CONV";

/** input scale * filter scale / output scale. FULLY_CONNECTED with one scale may form the product in float32. */
function sumFactors({ inputs: [x, filter], output, profile }: Site, op: Products): number[] {
  const scales = [...filter.quantization!.scale];
  const narrow =
    op === "FULLY_CONNECTED" &&
    scales.length === 1 &&
    profile.arithmetic.ops.FULLY_CONNECTED.scaleProduct === "float32";
  return scales.map((scale) => {
    const product = scaleOf(x) * scale;
    return (narrow ? Math.fround(product) : product) / scaleOf(output);
  });
}

/** A FULLY_CONNECTED that takes the exact quotient of its scales: LiteRT's, but of one scale with less than an int64 bias. */
const isReal = (site: Site, op: Products) =>
  op === "FULLY_CONNECTED" &&
  rulesOf(site).fullyConnected === "double" &&
  (site.inputs[1].quantization!.scale.length > 1 || site.inputs[2]?.dtype === "int64");

/** 64: the sum is an int64 one. Without bias it is, but for CONV_2D where the profile says otherwise, and where isReal could be. */
function sumBits(site: Site, op: Products): 32 | 64 {
  const bias = site.inputs[2];
  if (bias) return bias.dtype === "int64" ? 64 : 32;
  if (op === "FULLY_CONNECTED" && rulesOf(site).fullyConnected === "double") return 32;
  return op === "CONV_2D" && rulesOf(site).withoutBias === "int32" ? 32 : 64;
}

function sumScaling(site: Site, op: Products): SumScaling {
  if (isReal(site, op)) return realScaling(site);
  const pairs = sumFactors(site, op).map(quantizeMultiplier);
  const scaling = { multiplier: pairs.map((p) => p.multiplier), shift: pairs.map((p) => p.shift) };
  const data = site.inputs[2]?.data ?? null;
  const { requantizer, sum32, sum64 } = rulesOf(site);
  const narrow = op === "TRANSPOSE_CONV" ? requantizer : sum32;
  return sumBits(site, op) === 32
    ? { ...scaling, sum: 32, requantizer: narrow, bias: data as Int32Array | null }
    : { ...scaling, sum: 64, requantizer: `${sum64}-wide`, bias: data as BigInt64Array | null };
}

function realScaling({ inputs: [x, filter, bias], output }: Site): SumScaling {
  const factor = Float64Array.from(
    filter.quantization!.scale,
    (scale) => (scaleOf(x) * scale) / scaleOf(output),
  );
  const values = bias && BigInt64Array.from(bias.data as Int32Array, BigInt);
  const requantizer = bias?.dtype === "int32" ? "double-32" : "double";
  return { sum: 64, requantizer, factor, bias: values ?? null };
}

/** Ops that no runtime has with an int32 bias. */
const WIDE_BIAS: ReadonlySet<Products> = new Set(["DEPTHWISE_CONV_2D"]);

const refuseProducts = (op: Products, axis: number) => (site: Site) => {
  const [, filter, bias] = site.inputs;
  return (
    first(
      unary(site),
      only(`filter: needs int8 constants, is ${filter.dtype}`, filter.data instanceof Int8Array),
      only("filter: needs quantization", filter.quantization !== undefined),
      only(
        `filter: needs scales along axis ${axis}`,
        filter.quantization?.axis === undefined || filter.quantization.axis === axis,
      ),
      only("filter: needs zero point 0", filter.quantization?.zeroPoint.every((z) => z === 0) ?? false),
      only(
        "bias: needs int32 or int64 constants, one an output channel",
        !bias ||
          ((bias.data instanceof Int32Array || bias.data instanceof BigInt64Array) &&
            bias.data.length === filter.shape[axis]),
      ),
      only(`bias: ${op} needs int64`, bias?.dtype !== "int32" || !WIDE_BIAS.has(op)),
      // Only a site that is right so far has scales to look at.
    ) || refuseShift(site, op)
  );
};

const refuseShift = (site: Site, op: Products) =>
  only(
    `scales: needs a product below ${2 ** MAX_LEFT_SHIFT} times the output's`,
    sumBits(site, op) === 32 ||
      isReal(site, op) ||
      sumFactors(site, op).every((factor) => quantizeMultiplier(factor).shift <= MAX_LEFT_SHIFT),
  );

export const CONV_2D: Lowering<"CONV_2D"> = {
  refuse: refuseProducts("CONV_2D", 0),
  lower: (site) => {
    const { attributes, inputs, output, kernels, profile } = site;
    const [x, filter] = inputs;
    const args = {
      ...windowArgs(attributes, site, [filter.shape[1], filter.shape[2]]),
      ...outputArgs(attributes.activation, output),
      ...sumScaling(site, "CONV_2D"),
      filter: filter.data as Int8Array,
      outputDepth: filter.shape[0],
      groups: x.shape[3] / filter.shape[3],
      dilationHeight: attributes.dilationHeight,
      dilationWidth: attributes.dilationWidth,
    };
    return withQuirks(profile, "CONV_2D_S16", kernels, args, WIDE_OPS.CONV_2D.prepare(kernels, args));
  },
};

export const DEPTHWISE_CONV_2D: Lowering<"DEPTHWISE_CONV_2D"> = {
  refuse: (site) =>
    first(
      refuseProducts("DEPTHWISE_CONV_2D", 3)(site),
      only(
        "filter: needs input channels * depthMultiplier",
        site.inputs[1].shape[3] === site.inputs[0].shape[3] * site.attributes.depthMultiplier,
      ),
    ),
  lower: (site) => {
    const { attributes, inputs, output, kernels } = site;
    const [, filter] = inputs;
    return WIDE_OPS.DEPTHWISE_CONV_2D.prepare(kernels, {
      ...windowArgs(attributes, site, [filter.shape[1], filter.shape[2]]),
      ...outputArgs(attributes.activation, output),
      ...sumScaling(site, "DEPTHWISE_CONV_2D"),
      filter: filter.data as Int8Array,
      depthMultiplier: attributes.depthMultiplier,
      dilationHeight: attributes.dilationHeight,
      dilationWidth: attributes.dilationWidth,
    });
  },
};

export const FULLY_CONNECTED: Lowering<"FULLY_CONNECTED"> = {
  refuse: (site) =>
    first(
      refuseProducts("FULLY_CONNECTED", 0)(site),
      only(
        "filter: needs the input's width",
        elements(site.inputs[0].shape.slice(1)) % site.inputs[1].shape[1] === 0,
      ),
    ),
  lower: (site) => {
    const { attributes, inputs, output, kernels, profile } = site;
    const [x, filter] = inputs;
    const rows = elements(x.shape.slice(1)) / filter.shape[1];
    const args = {
      ...outputArgs(attributes.activation, output),
      ...sumScaling(site, "FULLY_CONNECTED"),
      filter: filter.data as Int8Array,
      inputDepth: filter.shape[1],
      outputDepth: filter.shape[0],
    };
    const plain = WIDE_OPS.FULLY_CONNECTED.prepare(kernels, args);
    const step = withQuirks(profile, "FULLY_CONNECTED_S16", kernels, args, plain);
    const { inputBytes, outputBytes } = step;
    const bytes = { inputBytes: inputBytes * rows, outputBytes: outputBytes * rows };
    return { ...step, ...bytes, run: (batches) => step.run(batches * rows) };
  },
};

export const TRANSPOSE_CONV: Lowering<"TRANSPOSE_CONV"> = {
  refuse: (site) => first(refuseProducts("TRANSPOSE_CONV", 0)(site), refuseTransposed(site)),
  lower: (site) => {
    const { attributes, inputs, output, kernels } = site;
    return WIDE_OPS.TRANSPOSE_CONV.prepare(kernels, {
      ...transposedWindow(site),
      ...outputArgs(attributes.activation, output),
      ...sumScaling(site, "TRANSPOSE_CONV"),
      filter: inputs[1].data as Int8Array,
    });
  },
};
